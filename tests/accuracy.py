"""Measure every operation's error against the oracle, in ulp: the table of docs/numerics.md.

`python tests/accuracy.py [--points N] [--seed S] [--library NAME ...]` prints the table;
tests/test_accuracy.py asserts it on fewer points, and benchmarks/numerics.py records it beside what
users have today.
"""

import argparse
import functools
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle
from backends import Library
from cases import EPS, LARGEST, SMALLEST_NORMAL, allowance, kernel_allowance
from samples import SAMPLES, Seed, densities

from robloss._backends import evaluate

ELEMENTWISE = ("loss", "influence", "weight", "curvature", "grad_alpha", "grad_scale")
PARTITION = ("log_partition", "log_partition_derivative")

# docs/numerics.md, absolute in float64: 1e-14, and 1e-12 (1 + |log|alpha - 2||) for the derivative.
# In float32 what the formula's docstring states: 5e-7.
PARTITION_BOUND = {"float64": (1e-14, 1e-12), "float32": (5e-7, 5e-7)}


# ---------------------------------------------------------------------------------- true values


@dataclass(frozen=True)
class Truth:
    """True values at points where they are normal numbers, each as (whole + rest) 2**exponent.

    Errors count in units of 2**unit.
    """

    points: np.ndarray  # (n, 3), or (n, 1) for functions of alpha
    whole: np.ndarray
    rest: np.ndarray
    exponent: np.ndarray
    unit: np.ndarray

    def errors(self, computed: np.ndarray) -> np.ndarray:
        """Distances in units; infinite for a NaN or an infinity."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.ldexp(computed, -self.exponent)
            distance = np.abs((scaled - self.whole) - self.rest)
            distance = np.ldexp(distance, self.exponent - self.unit)
        return np.where(np.isfinite(computed), distance, np.inf)


def _split(exact: Any, exponent: int) -> tuple[float, float]:
    """(whole, rest) of a ball in units of 2**exponent."""
    with oracle.ctx.workprec(4 * oracle.BITS):
        scaled = oracle.arb(exact.mid()) * oracle.arb(2) ** -exponent
        whole = float(scaled)
        return whole, float(scaled - whole)


def _last_place(exact: Any, dtype: str) -> int:
    """The exponent of the unit in the last place of a normal number."""
    mantissa, exponent = (int(part) for part in oracle.arb(exact.mid()).man_exp())
    return exponent + abs(mantissa).bit_length() - 1 + int(math.log2(EPS[dtype]))


def _entry(name: str, point: tuple[float, ...], dtype: str) -> tuple[float, float, int, int] | None:
    """(whole, rest, exponent, unit), None where nothing is promised."""
    exact = getattr(oracle, name)(*point)
    if not exact.is_finite():
        return None
    if name in PARTITION:
        return *_split(exact, 0), 0, 0
    size = abs(exact)
    if not (SMALLEST_NORMAL[dtype] <= size and size <= LARGEST[dtype]):
        return None
    exponent = unit = _last_place(exact, dtype)
    if name == "curvature":
        other = oracle.weight(*point)
        if not other <= LARGEST[dtype]:
            return None  # nothing is promised of it where the weight overflows
        unit = max(unit, _last_place(other, dtype))
    return *_split(exact, exponent), exponent, unit


def truth(name: str, points: np.ndarray, dtype: str) -> Truth:
    """True values of an operation at those of the points where it is a normal number."""
    entries = [_entry(name, tuple(point), dtype) for point in points.tolist()]
    kept = [row for row, entry in enumerate(entries) if entry is not None]
    whole, rest, exponent, unit = np.array([entries[row] for row in kept]).reshape(-1, 4).T
    return Truth(points[kept], whole, rest, exponent.astype(int), unit.astype(int))


def _joined(parts: list[Truth], count: int) -> Truth:
    fields = ("points", "whole", "rest", "exponent", "unit")
    columns = [np.concatenate([getattr(part, field) for part in parts]) for field in fields]
    return Truth(*[column[:count] for column in columns])


@functools.cache
def sampled(name: str, sample: str, count: int, seed: Seed, dtype: str) -> Truth:
    """As many random points of a sample as asked for, at each of which the value is normal.

    The oracle integrates for the partition: a hundredth as many there, of shapes alone.
    """
    if name in PARTITION:
        return truth(name, densities(max(count // 100, 20), seed, dtype), dtype)
    parts: list[Truth] = []
    for batch in itertools.count():
        parts.append(truth(name, SAMPLES[sample](count, (seed, batch), dtype), dtype))
        if sum(len(part.points) for part in parts) >= count:
            return _joined(parts, count)
        if batch == 100:
            message = f"too few of the points have a normal {name} in {dtype}"
            raise ValueError(message)
    raise AssertionError


# ---------------------------------------------------------------------------------- measurement

Contract = Callable[..., float]


@dataclass(frozen=True)
class Row:
    """What was measured of one operation on one library in one dtype."""

    library: str
    dtype: str
    name: str
    sample: str
    points: int
    median: float  # ulp; for the partition, absolute
    usual: float  # 99.9th percentile of the same
    most: float
    lost: float  # share of points with an error above a thousandth of the value
    beyond: int  # points with an error above what is allowed
    ratio: float  # worst of error/allowed
    where: tuple[float, ...]  # that point
    got: float
    true: float


def promised(library: Library) -> Contract:
    """The left column of docs/numerics.md for the kernels, the right one for the generic path."""
    return kernel_allowance if library is Library.NUMPY else allowance


def _allowed(name: str, points: np.ndarray, dtype: str, contract: Contract) -> np.ndarray:
    if name in ELEMENTWISE:
        return np.array([contract(name, *point) for point in points.tolist()])
    value, slope = PARTITION_BOUND[dtype]
    if name == "log_partition":
        return np.full(len(points), value)
    return slope * (1 + np.abs(np.log(np.abs(points[:, 0] - 2))))


def judge(
    library: str, name: str, dtype: str, sample: str, exact: Truth, values: np.ndarray,
    contract: Contract,
) -> Row:  # fmt: skip
    """The errors of values computed at the points of `exact`."""
    if len(values) == 0:
        message = f"no point of {name} in {dtype} has a normal value"
        raise ValueError(message)
    errors = exact.errors(values)
    ratios = errors / _allowed(name, exact.points, dtype, contract)
    worst = int(np.argmax(ratios))
    value = np.ldexp(exact.whole, exact.exponent)
    one = 1 / EPS[dtype] if name in ELEMENTWISE else np.abs(value)
    return Row(
        library, dtype, name, sample, len(values),
        median=float(np.median(errors)),
        usual=float(np.quantile(errors, 0.999, method="higher")),
        most=float(errors.max()),
        lost=float(np.mean(errors > 1e-3 * one)),
        beyond=int(np.sum(~(ratios <= 1))),
        ratio=float(ratios[worst]),
        where=tuple(exact.points[worst].tolist()),
        got=float(values[worst]),
        true=float(value[worst]),
    )  # fmt: skip


def computed(library: Library, name: str, points: np.ndarray, dtype: str) -> np.ndarray:
    """An operation of robloss at points, on a library."""
    columns = [library.array(column, dtype) for column in points.T]
    return library.to_numpy(evaluate(name, *columns)).astype(float)


def measure(
    library: Library, name: str, dtype: str, points: int, seed: Seed, sample: str = "adversarial"
) -> Row:
    """The errors of one operation on a library, held to what docs/numerics.md promises there."""
    exact = sampled(name, sample, points, seed, dtype)
    values = computed(library, name, exact.points, dtype)
    return judge(library.option, name, dtype, sample, exact, values, promised(library))


def table(rows: Iterable[Row]) -> str:
    """The rows as text."""
    heads = f"{'library':18}{'dtype':9}{'operation':26}{'points':>7}{'99.9 %':>10}{'worst':>10}"
    lines = [
        "error against ball arithmetic, ulp (log_partition: absolute); ratio: worst error/allowed",
        f"{heads}{'ratio':>9}  worst ratio at (x, alpha, scale)",
    ]
    lines += [
        f"{row.library:18}{row.dtype:9}{row.name:26}{row.points:7d}{row.usual:10.3g}"
        f"{row.most:10.3g}{row.ratio:9.3g}  {', '.join(f'{one:.17g}' for one in row.where)}"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", choices=sorted(SAMPLES), default="adversarial")
    parser.add_argument(
        "--library",
        action="append",
        choices=[one.option for one in Library if one is not Library.PAPER],
    )
    options = parser.parse_args()
    chosen = options.library or [one.option for one in Library.present()]
    rows = [
        measure(Library.named(option), name, dtype, options.points, options.seed, options.sample)
        for option in chosen
        for dtype in ("float64", "float32")
        for name in (*ELEMENTWISE, *PARTITION)
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
