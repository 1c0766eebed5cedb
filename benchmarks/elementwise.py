"""Time of the elementwise operations, as multiples of a copy, beside the textbook formulas.

Every row is checked to compute the same values before it is timed. Repeats are interleaved, so that
a busy moment of the machine meets all rows, and the median is printed.

    python benchmarks/elementwise.py [--size N] [--repeats R] [--alpha A] [--dtype float64]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import robloss
from robloss._ops import OPERATIONS

SCALE = 1.3
# The textbook formulas lose digits to cancellation (`power - 1`); agreement to this is enough to
# know that the same quantity is timed.
SAME = {"float32": 2e-3, "float64": 1e-6}

ELEMENTWISE = [row.name for row in OPERATIONS.values() if row.public and len(row.parameters) == 3]


def plain_loss(x, alpha, scale):
    b = abs(alpha - 2)
    return b / alpha * (((x / scale) ** 2 / b + 1) ** (alpha / 2) - 1)


def plain_weight(x, alpha, scale):
    b = abs(alpha - 2)
    return ((x / scale) ** 2 / b + 1) ** (alpha / 2 - 1) / scale**2


def plain_influence(x, alpha, scale):
    return x * plain_weight(x, alpha, scale)


def plain_grad_scale(x, alpha, scale):
    return -x * x * plain_weight(x, alpha, scale) / scale


def plain_curvature(x, alpha, scale):
    u = (x / scale) ** 2 / abs(alpha - 2)
    return plain_weight(x, alpha, scale) * (1 + (alpha - 2) * u / (1 + u))


def plain_grad_alpha(x, alpha, scale):
    """Written out for alpha < 2."""
    b = abs(alpha - 2)
    u = (x / scale) ** 2 / b
    power = (1 + u) ** (alpha / 2)
    slope = b * np.log1p(u) / (2 * alpha) + u / (2 * (1 + u))
    return -2 / alpha**2 * (power - 1) + power * slope


PLAIN = {name: globals()[f"plain_{name}"] for name in ELEMENTWISE}


def jobs(x: np.ndarray, alpha: float) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name, after checking that peers compute the same values."""
    target = np.empty_like(x)
    found: dict[str, Callable[[], object]] = {"copy": lambda: np.copyto(target, x)}
    for name in ELEMENTWISE:
        ours, plain = getattr(robloss, name), PLAIN[name]
        tolerance = SAME[x.dtype.name]
        np.testing.assert_allclose(
            plain(x, alpha, SCALE), ours(x, alpha, SCALE), rtol=tolerance, atol=tolerance
        )
        found[name] = lambda ours=ours: ours(x, alpha, SCALE, out=target)
        found[f"{name} (plain)"] = lambda plain=plain: plain(x, alpha, SCALE)
    return found


def medians(work: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each job over interleaved repeats."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, job in work.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def report(size: int, repeats: int, alpha: float, dtype: str) -> str:
    """Return the table as Markdown."""
    x = np.random.default_rng(0).standard_cauchy(size).astype(dtype)
    took = medians(jobs(x, alpha), repeats)
    copy = took.pop("copy")
    lines = [
        (
            f"{size} elements of {dtype}, alpha = {alpha:g}, median of {repeats}; "
            f"a copy takes {1e9 * copy / size:.2f} ns per element"
        ),
        "",
        "| operation | ns per element | copies | plain NumPy formula, copies |",
        "|---|---|---|---|",
    ]
    for name in ELEMENTWISE:
        ours, plain = took[name], took[f"{name} (plain)"]
        lines.append(
            f"| {name} | {1e9 * ours / size:.2f} | {ours / copy:.1f} | {plain / copy:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--alpha", type=float, default=0.7, help="below 2 and not 0")
    parser.add_argument("--dtype", choices=sorted(SAME), default="float64")
    print(report(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
