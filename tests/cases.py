"""What is tested: functions by name, their accuracy contract, and the designed grid of points."""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle

import robloss
from robloss._domains import DENSITY_ALPHA, RESIDUAL, SCALE, Domain
from robloss._ops import OPERATIONS

# ------------------------------------------------------------------------------------ functions


@dataclass(frozen=True)
class Function:
    """A public function of arrays: one of the inventory's operations, or a sum of them."""

    name: str
    parameters: tuple[Domain, ...]
    call: Callable[..., Any]
    takes_out: bool

    @property
    def is_elementwise(self) -> bool:
        """Whether it is one of the six functions of x, alpha and scale."""
        return self.takes_out

    def arguments(self, x: Any, alpha: Any, scale: Any) -> tuple[Any, ...]:
        """Those of the three that it takes."""
        given = {"x": x, "alpha": alpha, "scale": scale}
        return tuple(given[domain.name] for domain in self.parameters)

    def legal(self, x: Any, alpha: Any, scale: Any) -> bool:
        values = self.arguments(x, alpha, scale)
        return all(value in domain for value, domain in zip(values, self.parameters, strict=True))


FUNCTIONS = {
    name: Function(name, row.parameters, getattr(robloss, name), len(row.parameters) == 3)
    for name, row in OPERATIONS.items()
    if row.public
}
FUNCTIONS["nll"] = Function("nll", (RESIDUAL, DENSITY_ALPHA, SCALE), robloss.nll, False)

ELEMENTWISE = tuple(name for name, function in FUNCTIONS.items() if function.is_elementwise)


# ------------------------------------------------------------------------------------- contract

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
SMALLEST_NORMAL = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14}
SMALLEST_NORMAL["bfloat16"] = SMALLEST_NORMAL["float32"]

# log Z: docs/numerics.md states 1e-14 absolute in float64, the formula's docstring 5e-7 in float32.
PARTITION = {"float64": 1e-14, "float32": 5e-7}


# A power of exponent 4096 is 0 or inf in any dtype: where a result is yet a normal number it is a
# limit, which no larger M makes less accurate: a result may not be wholly wrong just because M is
# large.
SATURATED = 4096.0


def allowance(name: str, x: float, alpha: float, scale: float) -> float:
    """Ulp that docs/numerics.md allows in the right column: what any array library must reach."""
    # The limit at an infinite x is a constant: no exponent is rounded there.
    size = 0.0 if math.isinf(x) else min(oracle.exponent_size(x, alpha, scale), SATURATED)
    return 64 + 4 * size if name == "grad_alpha" else 8 + 2 * size


def kernel_allowance(name: str, *point: float) -> float:
    """Ulp that docs/numerics.md allows in the left column: what kernels for NumPy must reach."""
    return {"grad_alpha": 16.0, "curvature": 8.0}.get(name, 6.0)


@functools.cache
def truth(name: str, *point: float) -> Any:
    return getattr(oracle, name)(*point)


def ulp(exact: Any, dtype: str) -> float:
    """The unit in the last place of a true value, of the smallest normal number at least."""
    size = min(abs(float(exact)), float(np.finfo("float64").max))
    return 2.0 ** (math.frexp(max(size, SMALLEST_NORMAL[dtype]))[1] - 1) * EPS[dtype]


LARGEST = {name: float(np.finfo(name).max) for name in ("float64", "float32", "float16")}
LARGEST["bfloat16"] = (2 - 2.0**-7) * 2.0**127


def error_ratio(
    name: str,
    computed: float,
    point: tuple[float, ...],
    dtype: str,
    contract: Callable[..., float] = allowance,
) -> float:
    """Error of a computed value in units of what is allowed: more than 1 is a failure.

    The contract speaks of normal numbers. Of a smaller true value it is asked here that the result
    is no larger than twice the smallest of them; of one past the largest number, or so near that
    the allowance reaches past it, that the result is as large, with the right sign.
    """
    exact = truth(name, *point)
    if not exact.is_finite():
        return 0.0 if _same(computed, float(exact)) else math.inf
    if math.isnan(computed):
        return math.inf
    # 16-bit floats are computed in float32, then rounded once more.
    working = "float32" if dtype in ("float16", "bfloat16") else dtype
    size, tolerance = _size_and_tolerance(name, exact, point, working, contract)
    if working != dtype:
        tolerance += 0.5 * ulp(size, dtype)
    if abs(size) + 2 * oracle.arb(tolerance) > LARGEST[dtype]:
        if name == "curvature":
            return 0.0  # nothing is promised of it where `weight` overflows
        least = LARGEST[dtype] * (1 - min(1.0, 4 * tolerance / LARGEST[dtype]))
        return 0.0 if abs(computed) >= least and (computed > 0) == (exact > 0) else math.inf
    if abs(size) < SMALLEST_NORMAL[dtype]:
        return 0.0 if abs(computed) <= 2 * SMALLEST_NORMAL[dtype] else math.inf
    if math.isinf(computed):
        return math.inf
    with oracle.ctx.workprec(4 * oracle.BITS):
        return float(abs(oracle.arb(computed) - oracle.arb(exact.mid()))) / tolerance


def _size_and_tolerance(
    name: str, exact: Any, point: tuple[float, ...], dtype: str, contract: Callable[..., float]
) -> tuple[Any, float]:
    """The size that counts for overflow and underflow, and the error allowed."""
    if name == "log_partition":
        return oracle.arb(1), PARTITION[dtype]  # an absolute contract
    allowed = contract("loss" if name == "nll" else name, *point)
    if name == "curvature":
        larger = max(exact, truth("weight", *point), key=abs)
        return larger, allowed * ulp(larger, dtype)
    if name == "nll":
        # Each term by its own contract, and a rounding for each of log c and two sums.
        terms = [
            truth("loss", *point),
            oracle.arb(point[2]).log(),
            truth("log_partition", point[1]),
        ]
        largest = max(*terms, exact, key=abs)
        return largest, allowed * ulp(terms[0], dtype) + PARTITION[dtype] + 3 * ulp(largest, dtype)
    return exact, allowed * ulp(exact, dtype)


def _same(computed: float, expected: float) -> bool:
    return computed == expected or (math.isnan(computed) and math.isnan(expected))


# ----------------------------------------------------------------------------------------- grid

INF, NAN = math.inf, math.nan

# alpha: every member of docs/theory.md, the ends, and both sides of the removable points.
ALPHAS = (
    -INF, -1e300, -1e30, -1e16, -40.0, -4.0, -2.0, -1.0, -1e-8, -1e-16, 0.0, 1e-300, 1e-16, 1e-12,
    0.5, 1.0 - 2.0**-53, 1.0, 1.0 + 2.0**-52, 1.5, 2.0 - 1e-8, 2.0 - 1e-12, 2.0 - 2.0**-52, 2.0,
    2.0 + 2.0**-51, 2.0 + 1e-12, 2.0 + 1e-8, 3.0, 4.0, 40.0, 1e16, 1e30, 1e300, INF,
)  # fmt: skip
RATIOS = (
    0.0, 5e-324, 1e-300, 1e-150, 1e-45, 1e-20, 1e-8, 3e-4, 0.1, 0.7, 1.0, 1.5, 4.0, 11.0, 37.0,
    1e3, 1e8, 1e18, 1e60, 1e150, 1e300, INF,
)  # fmt: skip
SCALES = (1.0, 0.75, 1e-3, 40.0)
NAN_POINTS = ((NAN, 1.0, 1.0), (1.0, NAN, 1.0), (1.0, 1.0, NAN), (INF, NAN, 1.0), (NAN, INF, 2.0))


@functools.cache
def grid(dtype: str) -> np.ndarray:
    """Rows of x, alpha and scale, exactly representable in a dtype, without repetitions."""
    kind = {"bfloat16": "float32"}.get(dtype, dtype)
    rows = []
    for number, (alpha, ratio) in enumerate(itertools.product(ALPHAS, RATIOS)):
        scale = SCALES[number % len(SCALES)]
        sign = -1.0 if number % 3 == 0 else 1.0
        rows.append((sign * ratio * scale, alpha, scale))
    with np.errstate(all="ignore"):
        points = np.array(rows + list(NAN_POINTS)).astype(kind)
    if dtype == "bfloat16":
        points = (points.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        points[-len(NAN_POINTS) :] = NAN_POINTS
    points = points.astype(np.float64)
    # A scale is legal in every dtype here: none of SCALES rounds to 0 or inf.
    return np.unique(points, axis=0)


# A few ordinary points for tests of anything but values.
X = np.array([-3.0, -0.5, 0.0, 0.25, 1.0, 2.0, 7.0, 100.0])
ALPHA = np.array([0.5, 0.0, 1.0, 2.0, 1.25, 3.0, 0.0, 1.0])
SCALE_VALUES = np.array([1.0, 2.0, 0.5, 1.5, 1.0, 4.0, 0.25, 1.0])
