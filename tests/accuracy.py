"""Measure every operation's error against the oracle, in ulp: API.md's accuracy table.

`python tests/accuracy.py [--points N] [--seed S] [--library NAME ...]` prints the table;
tests/test_accuracy.py asserts it on fewer points.
"""

import argparse
import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle
from backends import Library
from cases import EPS, SMALLEST_NORMAL, allowance

from robloss._backends import evaluate
from robloss._ops import OPERATIONS

ELEMENTWISE = ("loss", "influence", "weight", "curvature", "grad_alpha", "grad_scale")
PARTITION = ("log_partition", "log_partition_derivative")

# API.md, absolute in float64: 1e-14, and 1e-12 (1 + |log|alpha - 2||) for the derivative. In
# float32 what the formula's docstring states: 5e-7.
PARTITION_BOUND = {"float64": (1e-14, 1e-12), "float32": (5e-7, 5e-7)}


# --------------------------------------------------------------------------------------- points


def _signs(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.choice([-1.0, 1.0], count)


def _alphas(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray:
    """Shapes from every region where the formulas could go wrong, in equal parts."""
    uniform, top = rng.uniform, {"float64": 300, "float32": 30}[dtype]
    gap = {"float64": -16, "float32": -7}[dtype]
    regions = [
        uniform(-4, 4, count),
        uniform(-12, 12, count),
        2 + _signs(rng, count) * 10 ** uniform(gap, 0, count),
        1 + _signs(rng, count) * 10 ** uniform(gap, -1, count),
        _signs(rng, count) * 10 ** uniform(-18, 0, count),
        _signs(rng, count) * 10 ** uniform(0, 20, count),
        _signs(rng, count) * 10 ** uniform(0, top, count),
        rng.choice([-math.inf, -2, 0, 1, 2, 4, math.inf], count),
    ]
    return np.choose(rng.integers(0, len(regions), count), regions)


def _ratios(rng: np.random.Generator, alpha: np.ndarray, dtype: str) -> np.ndarray:
    """|x/scale| over the whole range of API.md, around sqrt|alpha - 2|, and ordinary."""
    low, high = {"float64": (-150, 150), "float32": (-15, 18)}[dtype]
    count = alpha.size
    bend = np.abs(alpha - 2)
    bend[(bend == 0) | np.isinf(bend)] = 1
    regions = [
        10 ** rng.uniform(low, high, count),
        np.sqrt(bend) * 10 ** rng.uniform(-4, 4, count),
        np.abs(rng.standard_normal(count)) * 2,
        10 ** rng.uniform(-3, 2, count),
    ]
    drawn = np.choose(rng.integers(0, len(regions), count), regions)
    return np.clip(drawn, 10.0**low, 10.0**high)


def adversarial(count: int, seed: int, dtype: str) -> np.ndarray:
    """Rows of x, alpha, scale, exact in a dtype."""
    rng = np.random.default_rng(seed)
    alpha = _alphas(rng, count, dtype).astype(dtype).astype(float)
    scale = (10 ** rng.uniform(-3, 3, count)).astype(dtype).astype(float)
    x = (_signs(rng, count) * _ratios(rng, alpha, dtype) * scale).astype(dtype).astype(float)
    return np.stack([x, alpha, scale], axis=1)


def densities(count: int, seed: int, dtype: str) -> np.ndarray:
    """Rows of one shape alpha >= 0."""
    rng = np.random.default_rng(seed)
    alpha = np.abs(_alphas(rng, count, dtype)).astype(dtype).astype(float)
    return np.unique(alpha)[:, None]


# ---------------------------------------------------------------------------------- measurement


@dataclass(frozen=True)
class Row:
    """What was measured of one operation on one library in one dtype."""

    library: str
    dtype: str
    name: str
    points: int
    most: float  # ulp; for the partition, absolute
    usual: float  # 99.9th percentile of the same
    ratio: float  # worst of error/allowed
    where: tuple[float, ...]  # that point
    got: float
    true: float


@functools.cache
def _truth(name: str, points: int, seed: int, dtype: str) -> list[tuple]:
    """(row, point, truth, size whose ulp counts, allowed ulp) where the truth is normal."""
    kept = []
    largest = float(np.finfo(dtype).max)
    for row, point in enumerate(adversarial(points, seed, dtype).tolist()):
        exact = getattr(oracle, name)(*point)
        size = abs(exact)
        if name == "curvature":
            size = max(size, abs(oracle.weight(*point)))
        if exact.is_finite() and SMALLEST_NORMAL[dtype] <= float(abs(exact)) <= largest:
            kept.append((row, tuple(point), exact, float(size), allowance(name, *point)))
    return kept


@functools.cache
def _partition_truth(name: str, points: int, seed: int, dtype: str) -> list[tuple]:
    kept = []
    for row, (alpha,) in enumerate(densities(points, seed, dtype).tolist()):
        exact = getattr(oracle, name)(alpha)
        if exact.is_finite():
            kept.append((row, (alpha,), exact))
    return kept


def _error(computed: float, exact: Any) -> float:
    if not math.isfinite(computed):
        return math.inf
    with oracle.ctx.workprec(4 * oracle.BITS):
        return float(abs(oracle.arb(computed) - oracle.arb(exact.mid())))


def _computed(library: Library, name: str, points: np.ndarray, dtype: str) -> np.ndarray:
    columns = [library.array(column, dtype) for column in points.T]
    return library.to_numpy(evaluate(name, *columns)).astype(float)


def measure(library: Library, name: str, dtype: str, points: int, seed: int) -> Row:
    """The errors of one operation; see `Row`."""
    if name in PARTITION:
        return _measure_partition(library, name, dtype, points, seed)
    values = _computed(library, name, adversarial(points, seed, dtype), dtype)
    judged = []
    for row, point, exact, size, allowed in _truth(name, points, seed, dtype):
        ulp = 2.0 ** (math.frexp(min(size, float(np.finfo("float64").max)))[1] - 1) * EPS[dtype]
        error = _error(values[row], exact) / ulp
        # Where a weight overflows, nothing is promised of the curvature.
        if size <= float(np.finfo(dtype).max):
            judged.append((error / allowed, error, point, values[row], float(exact)))
    return _summary(library, name, dtype, judged)


def _measure_partition(library: Library, name: str, dtype: str, points: int, seed: int) -> Row:
    # The oracle integrates for each: a hundredth as many points.
    points = max(points // 100, 20)
    values = _computed(library, name, densities(points, seed, dtype), dtype)
    judged = []
    for row, point, exact in _partition_truth(name, points, seed, dtype):
        allowed, slope = PARTITION_BOUND[dtype]
        if name == "log_partition_derivative":
            allowed = slope * (1 + abs(math.log(abs(point[0] - 2))))
        error = _error(values[row], exact)
        judged.append((error / allowed, error, point, values[row], float(exact)))
    return _summary(library, name, dtype, judged)


def _summary(library: Library, name: str, dtype: str, judged: list[tuple]) -> Row:
    if not judged:
        message = f"no point of {name} in {dtype} has a normal value"
        raise ValueError(message)
    errors = np.array([error for _, error, *_ in judged])
    ratio, _, where, got, true = max(judged, key=lambda entry: entry[0])
    usual = float(np.quantile(errors, 0.999, method="higher"))
    return Row(
        library.option, dtype, name, len(judged), errors.max(), usual, ratio, where, got, true
    )


def table(rows: Iterable[Row]) -> str:
    """The rows as text."""
    heads = f"{'library':17}{'dtype':9}{'operation':26}{'points':>7}{'99.9 %':>10}{'worst':>10}"
    lines = [
        "error against ball arithmetic, ulp (log_partition: absolute); ratio: worst error/allowed",
        f"{heads}{'ratio':>8}  worst ratio at (x, alpha, scale)",
    ]
    lines += [
        f"{row.library:17}{row.dtype:9}{row.name:26}{row.points:7d}{row.usual:10.3g}"
        f"{row.most:10.3g}{row.ratio:8.3f}  {', '.join(f'{one:.17g}' for one in row.where)}"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--library", action="append", choices=[one.option for one in Library])
    options = parser.parse_args()
    chosen = options.library or [one.option for one in Library if not one.missing]
    rows = [
        measure(Library.named(option), name, dtype, options.points, options.seed)
        for option in chosen
        for dtype in ("float64", "float32")
        for name in (*ELEMENTWISE, *PARTITION)
        if name in OPERATIONS
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
