"""What the family needs to know about alpha and scale: once for a whole array, or in each lane.

Vectors have the dtype of the data. What is derived once per array is computed in float64 and
rounded to pairs of that dtype.
"""

import math
from typing import Any, NamedTuple

from robloss._kernels import pairs
from robloss._kernels.compiling import part
from robloss._kernels.vector import (
    absolute,
    constant,
    fma,
    from_bits,
    lost,
    rounded,
    to_bits,
    where,
)

# notation: c = scale, s = (x/c)², b = |α − 2|, z = s/b, p = α/2; a name ending in _lo is the
#           remainder of the one without


class Shape(NamedTuple):
    """What is derived from alpha."""

    p: Any
    p_lo: Any
    tilt: Any  # p − 1
    tilt_lo: Any
    b: Any
    b_lo: Any
    outer: Any  # b/α
    outer_lo: Any
    bend: Any  # α − 1
    bend_lo: Any
    room: Any  # the largest exponent that is served


class Width(NamedTuple):
    """What is derived from scale."""

    inverse: Any  # 1/c; NaN where scale is not served
    inverse_lo: Any
    weight: Any  # 1/c²
    weight_lo: Any
    room: Any  # the largest exponent whose exponential may be multiplied by 1/c²
    dead: Any  # the exponent below which that product is 0


@part
def shape(like: Any, alpha: Any) -> Any:
    """Of one alpha for all elements of an array."""
    far = constant(like, "INFINITE")
    alpha = min(max(alpha, -far), far)
    if abs(alpha) < constant(like, "CAUCHY"):
        alpha = constant(like, "CAUCHY")
    d, d_lo = pairs.total(alpha, -2.0, 0.0)
    sign = math.copysign(1.0, d)
    b, b_lo = sign * d, sign * d_lo
    if b == 0.0:
        b = constant(like, "NORMAL")
    room = constant(like, "EXPONENT")
    if b > constant(like, "STEEP"):
        room = 32.0
    p, p_lo = rounded(like, 0.5 * alpha), lost(like, 0.5 * alpha)
    tilt, tilt_lo = pairs.narrowed(like, 0.5 * d, 0.5 * d_lo)
    outer, outer_lo = pairs.narrowed(like, *pairs.quotient(b, b_lo, alpha, 0.0))
    bend, bend_lo = pairs.narrowed(like, *pairs.total(d, 1.0, d_lo))
    b, b_lo = pairs.narrowed(like, b, b_lo)
    return Shape(p, p_lo, tilt, tilt_lo, b, b_lo, outer, outer_lo, bend, bend_lo, room)


@part
def tamed(alpha: Any) -> Any:
    """An alpha per lane, with large numbers in place of infinite ones."""
    far = constant(alpha, "INFINITE")
    return where(alpha > far, far, where(alpha < -far, -far, alpha))


@part
def shapes(alpha: Any) -> Any:
    """Of a finite alpha per lane."""
    alpha = where(absolute(alpha) < constant(alpha, "CAUCHY"), constant(alpha, "CAUCHY"), alpha)
    d, d_lo = pairs.total(alpha, -2.0, 0.0)
    b = absolute(d)
    b_lo = where(d < 0.0, -d_lo, d_lo)
    b = where(b < constant(alpha, "NORMAL"), constant(alpha, "NORMAL"), b)
    bend, bend_lo = pairs.total(d, 1.0, d_lo)
    room = where(b > constant(alpha, "STEEP"), 32.0, b * 0.0 + constant(alpha, "EXPONENT"))
    return Shape(
        0.5 * alpha,
        None,
        0.5 * d,
        0.5 * d_lo,
        b,
        b_lo,
        b / alpha,
        None,
        bend,
        bend_lo,
        room,
    )


@part
def width(like: Any, scale: Any) -> Any:
    """Of one scale for all elements of an array."""
    inverse, inverse_lo = pairs.quotient(1.0, 0.0, scale, 0.0)
    weight, weight_lo = pairs.quotient(inverse, inverse_lo, scale, 0.0)
    taken = 2.0 * abs(math.log(scale))
    room = constant(like, "EXPONENT") - taken
    if not room > 1.0:  # nor where scale is NaN or illegal
        inverse = math.nan
    inverse, inverse_lo = pairs.narrowed(like, inverse, inverse_lo)
    weight, weight_lo = pairs.narrowed(like, weight, weight_lo)
    dead = -(constant(like, "UNDERFLOW") + taken)
    return Width(inverse, inverse_lo, weight, weight_lo, room, dead)


@part
def widths(scale: Any) -> Any:
    """Of a scale per lane."""
    inverse = 1.0 / scale
    inverse_lo = fma(-inverse, scale, 1.0) * inverse
    weight, weight_lo = pairs.product(inverse, inverse_lo, inverse, inverse_lo)
    exponent = from_bits(
        (to_bits(scale) >> constant(scale, "MANTISSA_BITS")) | constant(scale, "INTEGER")
    )
    taken = absolute(exponent - constant(scale, "INTEGER_BIAS")) * 1.3862943611198906 + 1.4
    room = constant(scale, "EXPONENT") - taken
    inverse = where((room > 1.0) & (scale > 0.0), inverse, math.nan)
    return Width(
        inverse, inverse_lo, weight, weight_lo, room, -taken - constant(scale, "UNDERFLOW")
    )


class Derived(NamedTuple):
    """What is derived from one alpha and one scale."""

    k: Any  # z = (k x)²
    k_lo: Any
    far: Any  # k|x| up to which lanes are served
    pull: Any  # b/c
    pull_lo: Any
    shape: Any
    width: Any


@part
def derived(like: Any, alpha: Any, scale: Any) -> Any:
    """Of one alpha and one scale."""
    of_shape, of_width = shape(like, alpha), width(like, scale)
    d, d_lo = pairs.total(alpha, -2.0, 0.0)
    b, b_lo = abs(d), math.copysign(1.0, d) * d_lo
    root_b, root_b_lo = pairs.root(b, b_lo)
    k, k_lo = pairs.quotient(1.0, 0.0, *pairs.product(scale, 0.0, root_b, root_b_lo))
    far = constant(like, "FAR")
    steepest = max(abs(0.5 * alpha), 0.5 * b)
    if of_width.room < steepest * 2.0 * math.log(far):
        far = math.sqrt(math.expm1(of_width.room / steepest))
    if not of_width.room > 1.0:
        k = math.nan
    pull, pull_lo = pairs.quotient(b, b_lo, scale, 0.0)
    k, k_lo = pairs.narrowed(like, k, k_lo)
    pull, pull_lo = pairs.narrowed(like, pull, pull_lo)
    return Derived(k, k_lo, far, pull, pull_lo, of_shape, of_width)


@part
def of_alpha(like: Any, alpha: Any, scale: Any) -> Any:
    """Of one alpha, beside a scale per lane."""
    return shape(like, alpha)


@part
def of_scale(like: Any, alpha: Any, scale: Any) -> Any:
    """Of one scale, beside an alpha per lane."""
    return width(like, scale)


@part
def of_neither(like: Any, alpha: Any, scale: Any) -> Any:
    """Nothing: both are given per lane."""
    return None
