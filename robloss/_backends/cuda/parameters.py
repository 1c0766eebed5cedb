"""What the CUDA kernels need of numbers for alpha and scale, in 50 digits, rounded to pairs.

The fields are those of ``Numbers`` in ``outputs.cuh`` and ``Derived`` in ``family.cuh``; the Numba
kernels derive the same for themselves, in `robloss._kernels.parameters`.
"""

import math
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any

import numpy as np

from robloss._kernels.constants import FLOAT32, FLOAT64

# notation: b = |α − 2|, c = scale, z = (x/c)²/b, E = (α/2) log(1 + z)

# The alphas for which z = (x/c)²/b is rounded once, which |α|/2 and |α − 2|/2 magnify, and of which
# the exponent needs no remainder: see `power_of`. Of 20 million points in float32 none had an error
# above 5.9 ulp in ρ, ψ, w or ∂ρ/∂c.
MODERATE = -2.0, 5.0
# −E from which on 1 − e^E is 1 in both formats.
SATURATED = 40.0
_DIGITS = 50
_FIELDS = 22


def member(alpha: float, operations: tuple[str, ...]) -> str:
    """Which member of the family serves one alpha."""
    if MODERATE[0] <= alpha <= MODERATE[1]:
        return "POWER"
    return "SATURATING" if alpha < MODERATE[0] and operations == ("loss",) else "STEEP_POWER"


def layout(real: Any) -> np.dtype[Any]:
    """How ``Numbers<Real>`` lies in memory."""
    return np.dtype([("of", "f8", 2), ("derived", real, _FIELDS)], align=True)


@lru_cache(maxsize=256)
def numbers(alpha: float, scale: float, real: str) -> Any:
    """A ``Numbers<Real>``, as an array of one element, which is what CuPy passes by value.

    Parameters
    ----------
    alpha, scale : float
        An illegal one makes no element served: then all are NaN.
    real : {"float32", "float64"}
    """
    found = np.empty(1, layout(real))
    found["of"] = alpha, scale
    with np.errstate(over="ignore", invalid="ignore"):
        found["derived"] = _derived(alpha, scale, np.dtype(real).type)
    return found


def _derived(alpha: float, scale: float, real: Any) -> list[Any]:
    numbers: dict[str, Any] = FLOAT32 if real is np.float32 else FLOAT64
    legal = not math.isnan(alpha) and 0.0 < scale < math.inf
    room_of_scale = numbers["EXPONENT"] - 2.0 * abs(math.log(scale)) if legal else 0.0
    if not room_of_scale > 1.0:
        return [math.nan] * _FIELDS
    alpha = min(max(alpha, -numbers["INFINITE"]), numbers["INFINITE"])
    if abs(alpha) < numbers["CAUCHY"]:
        alpha = numbers["CAUCHY"]
    with localcontext(prec=_DIGITS):
        a, c = Decimal(alpha), Decimal(scale)
        d = a - 2
        b = abs(d) or Decimal(numbers["NORMAL"])
        shape = [a / 2, d / 2, b, b / a, d + 1]
        width = [1 / c, 1 / (c * c)]
        steep = [1 / (c * b.sqrt()), b / c]
        pairs = [[_pair(one, real) for one in some] for some in (shape, width, steep)]
    room = 32.0 if b > numbers["STEEP"] else numbers["EXPONENT"]
    of_shape, of_width, (k, pull) = pairs
    near, far = _served(alpha, scale, float(b), room_of_scale, numbers)
    return [*sum(of_shape, ()), room, *sum(of_width, ()), room_of_scale, *k, near, far, *pull]


def _served(
    alpha: float, scale: float, b: float, room: float, numbers: dict[str, Any]
) -> tuple[float, float]:
    """|x| from which on z, z b/c and E are normal numbers, and up to which exponents serve."""
    unit = scale * math.sqrt(b)  # of x, in which z = x²
    if alpha < MODERATE[0]:
        exponent = SATURATED / (-0.5 * alpha)
    else:
        exponent = min(room / (0.5 * max(abs(alpha), b)), 2.0 * math.log(numbers["FAR"]))
    near = math.sqrt(numbers["LEAST"] * max(1.0, scale / b, 2.0 / abs(alpha)))
    return unit * near, unit * math.sqrt(math.expm1(exponent))


def _pair(value: Decimal, real: Any) -> tuple[Any, Any]:
    """A number rounded, and what that took from it."""
    rounded = real(float(value))
    if not np.isfinite(rounded):
        return rounded, real(0)
    return rounded, real(float(value - Decimal(float(rounded))))
