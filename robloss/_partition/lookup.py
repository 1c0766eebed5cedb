"""log Z and its derivatives for arrays of any library: find the piece, sum its Chebyshev series.

No branch depends on a value and no unselected branch makes a NaN or an infinity, so that the
functions run under `jit`, `vmap` and `compile` and automatic differentiation passes through them.
But at alpha = 2 it gives 0 where the derivative is -inf, and it loses digits elsewhere: custom
derivative rules should call `log_partition_derivative` and `log_partition_second_derivative`.
"""

import math

from robloss._partition import table
from robloss._typing import Array

# notation: b = |alpha-2|, v = the variable of the piece (see generate.py), x = v mapped on [-1, 1]

# From here on the variable is 1/b; below 1 it is alpha; between, log2 b.
NEAR, LARGE = 1.0, 4.0
LOG_PARTITION_AT_2 = math.log(2 * math.pi) / 2

PIECES = len(table.STARTS)


def _columns(coefficients: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    """MIDDLE, HALF and the coefficients of T_0, T_1, ... of all pieces, one after the other."""
    return sum(zip(*coefficients, strict=True), table.MIDDLE + table.HALF)


VALUE = _columns(table.LOG_PARTITION)
SLOPE = _columns(table.DERIVATIVE)
BEND = _columns(table.SECOND_DERIVATIVE)


def log_partition(xp: Array, alpha: Array) -> Array:
    """Logarithm of Z(alpha), in the shape, dtype and device of `alpha`; NaN below 0.

    Absolute error in float64 at most 4e-16 (tests/unit/test_partition.py), in float32 5e-7.
    """
    value = _series(xp, alpha, VALUE)
    return xp.where(alpha == 2.0, LOG_PARTITION_AT_2, _masked(xp, alpha, value))


def log_partition_derivative(xp: Array, alpha: Array) -> Array:
    """Derivative of log Z: negative, -inf at 2, where it diverges like log(b)/4; NaN below 0.

    Relative error in float64 at most 1e-15 (tests/unit/test_partition.py), in float32 5e-7.
    """
    value = _series(xp, alpha, SLOPE)
    inverse = 1.0 / _selected(xp, alpha, alpha >= LARGE)
    value = xp.where(alpha >= LARGE, -(value * inverse) * inverse, value)
    return xp.where(alpha == 2.0, -math.inf, _masked(xp, alpha, value))


def log_partition_second_derivative(xp: Array, alpha: Array) -> Array:
    """Second derivative of log Z; NaN below 0 and at 2 (-inf on the left, +inf on the right).

    Relative error in float64 at most 1e-12, next to its zero at alpha = 1.12.
    """
    value = _series(xp, alpha, BEND)
    inverse = 1.0 / _selected(xp, alpha, (alpha >= NEAR) & (alpha != 2.0))
    value = value * inverse
    value = xp.where(alpha >= LARGE, value * inverse * inverse, value)
    return xp.where(alpha == 2.0, math.nan, _masked(xp, alpha, value))


def _selected(xp: Array, alpha: Array, condition: Array) -> Array:
    """|alpha - 2| where the condition holds, and a harmless 1 elsewhere."""
    return xp.abs(xp.where(condition, alpha, 3.0) - 2.0)


def _masked(xp: Array, alpha: Array, value: Array) -> Array:
    return xp.where(alpha >= 0.0, value, math.nan)


def _series(xp: Array, alpha: Array, columns: tuple[float, ...]) -> Array:
    """The series of the piece that holds each alpha (Clenshaw); finite for every alpha."""
    numbers = _constants(xp, alpha, columns)
    index = _piece(xp, alpha)

    def column(k: int) -> Array:
        return xp.reshape(xp.take(numbers, index + k * PIECES, axis=0), alpha.shape)

    x = (_variable(xp, alpha) - column(0)) / column(1)
    twice = x + x
    one = two = xp.zeros_like(alpha)
    for k in range(len(columns) // PIECES - 1, 2, -1):
        one, two = (twice * one - two) + column(k), one
    return (x * one - two) + column(2)


def _constants(xp: Array, alpha: Array, numbers: tuple[float, ...]) -> Array:
    # Not array_api_compat.device: torch.compile warns at every call of it. A library whose arrays
    # have no device (dask) has only one.
    return xp.asarray(numbers, dtype=alpha.dtype, device=getattr(alpha, "device", None))


def _piece(xp: Array, alpha: Array) -> Array:
    """The number of the piece that holds each alpha, flat."""
    # Comparing with every start works everywhere, and the table is short: NumPy took 0.6 ms for 10⁵
    # so, and 1.6 to search it.
    flat = xp.reshape(alpha, (-1,))  # NumPy compares 0-d arrays to scalars, which have no astype
    index = xp.zeros_like(flat, dtype=xp.int32)
    for start in table.STARTS[1:]:
        index = index + xp.astype(flat >= start, xp.int32)
    return index


def _variable(xp: Array, alpha: Array) -> Array:
    """The variable v, a harmless 0 where alpha is illegal or 2."""
    near = (alpha >= NEAR) & (alpha < LARGE) & (alpha != 2.0)
    large = alpha >= LARGE
    v = xp.where((alpha >= 0.0) & (alpha < NEAR), alpha, 0.0)
    v = xp.where(near, xp.log2(_selected(xp, alpha, near)), v)
    return xp.where(large, 1.0 / _selected(xp, alpha, large), v)
