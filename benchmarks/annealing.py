"""What graduated non-convexity finds that a plain fit misses, and what it does not: two tables.

    python benchmarks/annealing.py [--seeds 50]

Registration: two clouds of 100 points with their correspondences, most of them wrong, and the
rotation and translation between them, by `fit_residuals` from the identity at alpha = -2 and half
the 99 % bound of the noise as scale. Stars: the star cluster CYG OB1 by `fit_linear` at given
shapes and scales. Seeds are fixed.
"""

import argparse
import math
import warnings
from dataclasses import dataclass
from time import perf_counter

import numpy as np

import robloss
from robloss import datasets

ALPHA = -2.0
NOISE = 0.01  # of the side of the cube that holds the points
# 11.345 is the 99 % point of χ² with three degrees of freedom (Yang et al. 2020: c̄²/σ²).
SCALE = 0.5 * math.sqrt(11.345) * NOISE
SCHEDULES = (None, "yang", "jung", "barron")
SHARES = (0.5, 0.7, 0.8, 0.9)
POINTS = 100
# A registration is right within so many radians and sides of the cube.
TURNED, SHIFTED = math.radians(5.0), 0.05
SHAPES, WIDTHS = (-1.0, -2.0, -4.0, -math.inf), (0.2, 0.4, 0.6)
STARTS = 50


@dataclass(frozen=True)
class Scene:
    """Points, where they were seen, and the rotation vector and translation between these."""

    points: np.ndarray
    seen: np.ndarray
    truth: np.ndarray

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """What a motion leaves, (n, 3)."""
        return self.seen - self.points @ rotation(theta[:3]).T - theta[3:]

    def is_right(self, theta: np.ndarray) -> bool:
        """Whether a motion is the true one, but for noise."""
        turn = rotation(theta[:3]).T @ rotation(self.truth[:3])
        angle = math.acos(min(1.0, max(-1.0, 0.5 * (float(np.trace(turn)) - 1.0))))
        return angle < TURNED and float(np.linalg.norm(theta[3:] - self.truth[3:])) < SHIFTED


def rotation(vector: np.ndarray) -> np.ndarray:
    """The matrix that turns about a vector by its length (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle > 0 else vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)


def scene(seed: int, share: float) -> Scene:
    """A cube of points, turned by any angle and shifted by up to 1; outliers anywhere near."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.5, 0.5, size=(POINTS, 3))
    axis = rng.normal(size=3)
    turn = rng.uniform(0.0, math.pi) * axis / np.linalg.norm(axis)
    truth = np.concatenate([turn, rng.uniform(-1.0, 1.0, size=3)])
    seen = points @ rotation(turn).T + truth[3:] + NOISE * rng.normal(size=points.shape)
    wrong = round(share * POINTS)
    # The cube that holds wherever a point may be seen: it is not centred on the true motion.
    seen[:wrong] = rng.uniform(-2.0, 2.0, size=(wrong, 3))
    return Scene(points, seen, truth)


def register(one: Scene, anneal: str | None) -> np.ndarray:
    """The motion that is found from the identity."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", robloss.ConvergenceWarning)
        fit = robloss.fit_residuals(
            one.residuals, np.zeros(6), alpha=ALPHA, scale=SCALE, anneal=anneal
        )
    return np.asarray(fit.params)


def registrations(seeds: int) -> list[str]:
    """The share of right registrations in percent, and the time that one takes."""
    lines = ["| wrong correspondences | none | yang | jung | barron |", "|---|---|---|---|---|"]
    time = dict.fromkeys(SCHEDULES, 0.0)
    for share in SHARES:
        cells = []
        for anneal in SCHEDULES:
            scenes = [scene(seed, share) for seed in range(seeds)]
            begin = perf_counter()
            found = [one.is_right(register(one, anneal)) for one in scenes]
            time[anneal] += perf_counter() - begin
            cells.append(f"{100 * sum(found) / seeds:.0f}")
        lines.append(f"| {100 * share:.0f} % | {' | '.join(cells)} |")
    each = [f"{1e3 * time[one] / (seeds * len(SHARES)):.0f} ms" for one in SCHEDULES]
    return [*lines, f"| time for one | {' | '.join(each)} |"]


def stars() -> list[str]:
    """Slopes of the star cluster by shape, scale and schedule; and by many starts."""
    data = datasets.load_stars()

    def slope(**options: object) -> str:
        fit = robloss.fit_linear(data.X, data.y, **options)
        return f"{float(fit.coef[0]):.2f} ({fit.nll:.1f})"

    heads = ["none", *(one for one in SCHEDULES if one), f"{STARTS} starts"]
    lines = [f"| alpha | scale | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    for alpha in SHAPES:
        for scale in WIDTHS:
            cells = [slope(alpha=alpha, scale=scale, anneal=one) for one in SCHEDULES]
            cells.append(slope(alpha=alpha, scale=scale, n_starts=STARTS, rng=0))
            lines.append(f"| {alpha:g} | {scale:g} | {' | '.join(cells)} |")
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    given = parser.parse_args(arguments)
    print("\n".join(registrations(given.seeds)), end="\n\n")
    print("\n".join(stars()))


if __name__ == "__main__":
    main()
