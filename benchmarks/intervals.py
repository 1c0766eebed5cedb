"""How often 95 % intervals of `fit_linear` contain the truth: a table, by simulation.

    python benchmarks/intervals.py [--replications 2000] [--profiles 500]

A line with intercept and two normal features; errors from the law of the loss (`robloss.sample`)
at scale 1; shape, scale and coefficients all estimated. Seeds are fixed.
"""

import argparse
import math
from dataclasses import dataclass, field

import numpy as np

import robloss

ROWS = (200, 2000)
ALPHAS = (0.5, 1.0, 1.5)
TRUTH = (0.5, 1.0, -2.0)  # intercept and coefficients
LEVEL = 0.95


@dataclass
class Tally:
    """How many intervals there were, and how many contained the truth."""

    inside: int = 0
    of: int = 0

    def add(self, ends: np.ndarray | tuple[float, float], truth: float) -> None:
        """Count an interval, if there is one."""
        low, high = ends
        if math.isnan(low) or math.isnan(high):
            return
        self.of += 1
        self.inside += bool(low <= truth <= high)

    @property
    def share(self) -> float:
        """How many of the intervals contain the truth."""
        return self.inside / self.of

    @property
    def error(self) -> float:
        """The standard deviation of the share if the true one is the level."""
        return math.sqrt(LEVEL * (1 - LEVEL) / self.of)


@dataclass
class Coverage:
    """Tallies of a size and shape."""

    n: int
    alpha: float
    replications: int
    slope: Tally = field(default_factory=Tally)
    h1: Tally = field(default_factory=Tally)
    scale: Tally = field(default_factory=Tally)
    shape: Tally = field(default_factory=Tally)
    profile: Tally = field(default_factory=Tally)
    observation: Tally = field(default_factory=Tally)
    on_bound: int = 0


def measure(n: int, alpha: float, replications: int, profiles: int) -> Coverage:
    """Simulate samples of one size and shape."""
    found = Coverage(n, alpha, replications)
    rng = np.random.default_rng([n, round(10 * alpha)])
    for replication in range(replications):
        X = rng.normal(size=(n + 1, 2))
        y = TRUTH[0] + X @ TRUTH[1:] + robloss.sample(alpha, shape=(n + 1,), rng=rng)
        fit = robloss.fit_linear(X[:n], y[:n])
        ends = fit.conf_int(LEVEL)
        found.slope.add(ends[1], TRUTH[1])
        found.h1.add(fit.inference("H1").conf_int(LEVEL)[1], TRUTH[1])
        found.shape.add(ends[-2], alpha)
        found.scale.add(ends[-1], 1.0)
        low, high = fit.predict_interval(X[n:], of="observation", level=LEVEL)
        found.observation.add((low[0], high[0]), y[n])
        found.on_bound += fit.alpha in fit.alpha_bounds
        if replication < profiles:
            found.profile.add(fit.profile_alpha((fit.alpha,), level=LEVEL).interval, alpha)
    return found


def table(results: list[Coverage]) -> str:
    """The shares in percent, as Markdown."""
    heads = ("n", "alpha", "coefficient", "H1", "scale", "alpha", "profile", "observation", "bound")
    lines = [f"| {' | '.join(heads)} |", "|" + len(heads) * "---|"]
    for one in results:
        tallies = (one.slope, one.h1, one.scale, one.shape, one.profile, one.observation)
        shares = " | ".join(f"{100 * tally.share:.1f}" for tally in tallies)
        share = 100 * one.on_bound / one.replications
        lines.append(f"| {one.n} | {one.alpha:g} | {shares} | {share:.1f} % |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--profiles", type=int, default=500)
    options = parser.parse_args()
    results = [
        measure(n, alpha, options.replications, options.profiles) for n in ROWS for alpha in ALPHAS
    ]
    print(table(results))
    by_profile = f"by profile {100 * results[0].profile.error:.2f}"
    print(f"\nA deviation of a simulated 95 %: {100 * results[0].slope.error:.2f}, {by_profile}")


if __name__ == "__main__":
    main()
