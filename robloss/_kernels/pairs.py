"""Numbers as pairs of floats, and the logarithm and exponential of vectors that take them.

A pair is a value and a remainder, what rounding took from the value: a name ending in _lo is the
remainder of the one without. The functions of pairs take vectors and plain floats alike.
"""

import math
from typing import Any

from robloss._kernels.compiling import part
from robloss._kernels.vector import constant, fma, from_bits, polynomial, rounded, to_bits


@part
def product(a: Any, a_lo: Any, b: Any, b_lo: Any) -> Any:
    """a b, also of a `b_lo` that is None: 0."""
    value = a * b
    if b_lo is None:
        return value, fma(a_lo, b, fma(a, b, -value))
    return value, fma(a_lo, b, fma(a, b_lo, fma(a, b, -value)))


@part
def product_as_one(a: Any, b: Any, b_lo: Any) -> Any:
    """a b as one number."""
    if b_lo is None:
        return a * b
    return fma(a, b, a * b_lo)


@part
def quotient(a: Any, a_lo: Any, b: Any, b_lo: Any) -> Any:
    """a/b."""
    value = a / b
    return value, (fma(-value, b, a) + (a_lo - value * b_lo)) / b


@part
def root(a: Any, a_lo: Any) -> Any:
    """√a."""
    value = math.sqrt(a)
    return value, (fma(-value, value, a) + a_lo) / (value + value)


@part
def total(a: Any, b: Any, lo: Any) -> Any:
    """a + b + lo."""
    both = a + b
    back = both - a
    return both, ((a - (both - back)) + (b - back)) + lo


@part
def narrowed(like: Any, value: Any, value_lo: Any) -> Any:
    """A pair of float64 as a pair of numbers of the dtype of `like`."""
    narrow = rounded(like, value)
    return narrow, rounded(like, (value - narrow) + value_lo)


@part
def square(x: Any, x_lo: Any) -> Any:
    """The square of a pair, as a pair."""
    value = x * x
    return value, fma(x + x, x_lo, fma(x, x, -value))


@part
def _octaves(z: Any) -> Any:
    """(k, 2^-k, f, 1 + z) with 1 + z = 2^k (1 + f), 3/4 <= 1 + f < 3/2, for z >= 0.

    f is exact: with √½ and √2 as its ends it would not be at z just below ½.
    """
    t = z + 1.0
    k = (to_bits(t) + constant(z, "LOW_TO_ONE")) >> constant(z, "MANTISSA_BITS")
    down = from_bits((2 * constant(z, "BIAS") - k) << constant(z, "MANTISSA_BITS"))
    whole = from_bits(k | constant(z, "INTEGER")) - constant(z, "INTEGER_BIAS")
    return whole, down, fma(down, z, down - 1.0), t


@part
def _log(k: Any, q: Any, q_lo: Any) -> Any:
    """k log 2 + log (1 + f) as a pair; q + q_lo = 2f/(2 + f), log(1 + f) = q + q³/12 + ..."""
    w = q * q
    octaves = k * constant(q, "LN2")
    log = octaves + q
    rest = fma(q, w * polynomial(w, "LOG"), fma(k, constant(q, "LN2_LO"), q_lo))
    return log, (q - (log - octaves)) + rest


@part
def log1p(z: Any) -> Any:
    """log(1 + z) as a pair, with an error of 2 ulp of its part past k log 2; and 1 + z."""
    k, _, f, t = _octaves(z)
    log, log_lo = _log(k, f / fma(f, 0.5, 1.0), 0.0)
    return log, log_lo, t


@part
def careful_log1p(z: Any, z_lo: Any) -> Any:
    """log(1 + z + z_lo) as a pair, with an error of a hundredth of an ulp; and 1 + z."""
    k, down, f, t = _octaves(z)
    below = fma(f, 0.5, 1.0)
    inverse = 1.0 / below
    q = f * inverse
    q_lo = (fma(-q, below, f) - q * fma(f, 0.5, 1.0 - below)) * inverse
    # f lacks 2^-k z_lo, and what 2^-k − 1 lacks; 1/(1 + f) = 1 − q + q²/2 − ... to a fiftieth
    f_lo = fma(down, z_lo, down - ((down - 1.0) + 1.0))
    growth = f_lo * fma(q, fma(q, 0.5, -1.0), 1.0)
    log, log_lo = _log(k, q, q_lo + growth)
    return log, log_lo, t


@part
def exp(y: Any, y_lo: Any, about: Any) -> Any:
    """(up, r) with e^(y + y_lo) = up (1 + r), up a power of 2; the result must be a normal number.

    e^y − 1 = up r + (up − 1) then loses nothing. `about` is y + y_lo to 0.025.
    """
    up, r, curve = expanded(y, y_lo, about)
    return up, fma(r * r, curve, r)


@part
def expanded(y: Any, y_lo: Any, about: Any) -> Any:
    """(up, r, (e^r − 1 − r)/r²), with e^(y + y_lo) = up e^r; see `exp`."""
    shifted = fma(about, 1.4426950408889634, constant(y, "ROUND"))
    k = shifted - constant(y, "ROUND")
    r = fma(-k, constant(y, "LN2_LO"), fma(-k, constant(y, "LN2"), y))
    if y_lo is not None:
        r = r + y_lo
    up = from_bits((to_bits(shifted) + constant(y, "BIAS")) << constant(y, "MANTISSA_BITS"))
    return up, r, fma(r, polynomial(r, "EXP"), 0.5)
