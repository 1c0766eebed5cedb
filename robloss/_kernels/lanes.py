"""The loss family on vectors of residuals: the fast path of every kernel.

The mathematics is one power, P = (1 + z)^p, of which ρ = (b/α)(P − 1) and W = P/(1 + z), taken as
the exponential of p log(1 + z). A rounding of the exponent is magnified by its size: so the
logarithm is a pair (value, remainder), and so are the numbers that depend on alpha and scale alone,
derived once per call. What a rounding of z costs grows with b: `power` takes z rounded once,
`careful_power` as a pair, also of alpha and scale that change from lane to lane.

A member of the family is a function of a vector, of alpha and scale, and of what was derived from
them for the whole call; it gives `Parts`, from which every output follows by a product or two. In
lanes that are not `served` what it gives means nothing.
"""

import math
from typing import Any, NamedTuple

from robloss._kernels.compiling import part
from robloss._kernels.vector import (
    absolute,
    any_of,
    constant,
    fma,
    from_bits,
    lost,
    polynomial,
    root,
    rounded,
    to_bits,
    where,
)

# notation: c = scale, s = (x/c)², b = |α − 2|, z = s/b, t = 1 + z, p = α/2, P = t^p,
#           W = c²w = t^(p − 1), L = log t; a name ending in _lo is the remainder of the one without


# The ends of the alphas whose powers take z rounded once: |α − 2|/2 and α/2, by which the rounding
# is magnified, are at most 2 and 3.
MODERATE = -2.0, 6.0
# The same where b or scale are rounded too: found with 3 million points, 6.1 ulp with the above.
STEEP_IN_LANES = 3.0  # |α − 2|
MODERATE_IN_LANES = 2.0 - STEEP_IN_LANES, 2.0 + STEEP_IN_LANES


class Parts(NamedTuple):
    """What the outputs are made of."""

    loss: Any  # ρ
    power: Any  # W
    ratio: Any  # ψ'/w
    pull: Any  # −(∂ρ/∂c)/W = s/c
    pull_lo: Any
    width: Any  # scale's
    loss_served: Any  # the lanes in which ρ is good
    served: Any  # those in which all the rest is
    growth: Any  # None where ∂ρ/∂α is 0 or infinite


class Growth(NamedTuple):
    """What ∂ρ/∂α is made of, good where ρ is."""

    log: Any  # L
    t: Any
    power: Any  # P
    p: Any
    tilt: Any  # p − 1


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
    room: Any  # the largest exponent whose exponential may be multiplied with 1/c²
    dead: Any  # the exponent from which on down it is 0 after that


# --------------------------------------------------------------------- numbers as pairs of floats


@part
def _product(a: Any, a_lo: Any, b: Any, b_lo: Any) -> Any:
    """a b, also of a `b_lo` that is None: 0."""
    product = a * b
    if b_lo is None:
        return product, fma(a_lo, b, fma(a, b, -product))
    return product, fma(a_lo, b, fma(a, b_lo, fma(a, b, -product)))


@part
def _rounded_product(a: Any, b: Any, b_lo: Any) -> Any:
    """a b as one number."""
    if b_lo is None:
        return a * b
    return fma(a, b, a * b_lo)


@part
def _quotient(a: Any, a_lo: Any, b: Any, b_lo: Any) -> Any:
    """a/b."""
    quotient = a / b
    return quotient, (fma(-quotient, b, a) + (a_lo - quotient * b_lo)) / b


@part
def _root(a: Any, a_lo: Any) -> Any:
    """√a."""
    value = math.sqrt(a)
    return value, (fma(-value, value, a) + a_lo) / (value + value)


@part
def _sum(a: Any, b: Any, lo: Any) -> Any:
    """a + b + lo."""
    total = a + b
    back = total - a
    return total, ((a - (total - back)) + (b - back)) + lo


@part
def _pair(like: Any, value: Any, value_lo: Any) -> Any:
    """A pair of float64 as a pair of numbers of the dtype of `like`."""
    narrow = rounded(like, value)
    return narrow, rounded(like, (value - narrow) + value_lo)


# ------------------------------------------------------------------------- logarithm, exponential


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


# ------------------------------------------------------------------------------ alpha and scale


@part
def shape(like: Any, alpha: Any) -> Any:
    """Of one alpha for all elements of an array."""
    far = constant(like, "INFINITE")
    alpha = min(max(alpha, -far), far)
    if abs(alpha) < constant(like, "CAUCHY"):
        alpha = constant(like, "CAUCHY")
    d, d_lo = _sum(alpha, -2.0, 0.0)
    sign = math.copysign(1.0, d)
    b, b_lo = sign * d, sign * d_lo
    if b < constant(like, "NORMAL"):
        b = constant(like, "NORMAL")
    room = constant(like, "EXPONENT")
    if b > constant(like, "STEEP"):
        room = 32.0
    p, p_lo = rounded(like, 0.5 * alpha), lost(like, 0.5 * alpha)
    tilt, tilt_lo = _pair(like, 0.5 * d, 0.5 * d_lo)
    outer, outer_lo = _pair(like, *_quotient(b, b_lo, alpha, 0.0))
    bend, bend_lo = _pair(like, *_sum(d, 1.0, d_lo))
    b, b_lo = _pair(like, b, b_lo)
    return Shape(p, p_lo, tilt, tilt_lo, b, b_lo, outer, outer_lo, bend, bend_lo, room)


@part
def _tamed(alpha: Any) -> Any:
    """An alpha per lane, the infinite ones large numbers."""
    far = constant(alpha, "INFINITE")
    return where(alpha > far, far, where(alpha < -far, -far, alpha))


@part
def shapes(alpha: Any) -> Any:
    """Of a finite alpha per lane."""
    alpha = where(absolute(alpha) < constant(alpha, "CAUCHY"), constant(alpha, "CAUCHY"), alpha)
    d, d_lo = _sum(alpha, -2.0, 0.0)
    b = absolute(d)
    b_lo = where(d < 0.0, -d_lo, d_lo)
    b = where(b < constant(alpha, "NORMAL"), constant(alpha, "NORMAL"), b)
    bend, bend_lo = _sum(d, 1.0, d_lo)
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
    inverse, inverse_lo = _quotient(1.0, 0.0, scale, 0.0)
    weight, weight_lo = _quotient(inverse, inverse_lo, scale, 0.0)
    taken = 2.0 * abs(math.log(scale))
    room = constant(like, "EXPONENT") - taken
    if not room > 1.0:  # nor where scale is NaN or illegal
        inverse = math.nan
    inverse, inverse_lo = _pair(like, inverse, inverse_lo)
    weight, weight_lo = _pair(like, weight, weight_lo)
    dead = -(constant(like, "UNDERFLOW") + taken)
    return Width(inverse, inverse_lo, weight, weight_lo, room, dead)


@part
def widths(scale: Any) -> Any:
    """Of a scale per lane."""
    inverse = 1.0 / scale
    inverse_lo = fma(-inverse, scale, 1.0) * inverse
    weight, weight_lo = _product(inverse, inverse_lo, inverse, inverse_lo)
    exponent = from_bits(
        (to_bits(scale) >> constant(scale, "MANTISSA_BITS")) | constant(scale, "INTEGER")
    )
    taken = absolute(exponent - constant(scale, "INTEGER_BIAS")) * 1.3862943611198906 + 1.4
    room = constant(scale, "EXPONENT") - taken
    inverse = where((room > 1.0) & (scale > 0.0), inverse, math.nan)
    return Width(
        inverse, inverse_lo, weight, weight_lo, room, -taken - constant(scale, "UNDERFLOW")
    )


# ------------------------------------------------------------------------------------ the family


@part
def _square(x: Any, x_lo: Any) -> Any:
    """The square of a pair, as a pair."""
    square = x * x
    return square, fma(x + x, x_lo, fma(x, x, -square))


@part
def _ratio(x: Any, width: Any) -> Any:
    """x/c as a pair, of which the first is x/c rounded once."""
    ratio = fma(x, width.inverse, x * width.inverse_lo)
    return ratio, fma(x, width.inverse_lo, fma(x, width.inverse, -ratio))


@part
def _once(x: Any, width: Any) -> Any:
    """x/c, and s rounded once."""
    ratio, ratio_lo = _ratio(x, width)
    return ratio, fma(ratio, ratio, (ratio + ratio) * ratio_lo)


@part
def _is_between(ratio: Any, near: Any, far: Any) -> Any:
    size = absolute(ratio)
    return ((size >= near) & (size <= far)) | (ratio == 0.0)


class Quick(NamedTuple):
    """What `power` needs of alpha and scale."""

    k: Any  # z = (k x)²
    k_lo: Any
    far: Any  # k|x| up to which lanes are served
    pull: Any  # b/c
    pull_lo: Any
    shape: Any
    width: Any


@part
def quick(like: Any, alpha: Any, scale: Any) -> Any:
    """What `power` needs of alpha and scale."""
    of_shape, of_width = shape(like, alpha), width(like, scale)
    d, d_lo = _sum(alpha, -2.0, 0.0)
    b, b_lo = abs(d), math.copysign(1.0, d) * d_lo
    root_b, root_b_lo = _root(b, b_lo)
    k, k_lo = _quotient(1.0, 0.0, *_product(scale, 0.0, root_b, root_b_lo))
    far = constant(like, "FAR")
    steepest = max(abs(0.5 * alpha), 0.5 * b)
    if of_width.room < steepest * 2.0 * math.log(far):
        far = math.sqrt(math.expm1(of_width.room / steepest))
    if not of_width.room > 1.0:
        k = math.nan
    pull, pull_lo = _quotient(b, b_lo, scale, 0.0)
    k, k_lo = _pair(like, k, k_lo)
    pull, pull_lo = _pair(like, pull, pull_lo)
    return Quick(k, k_lo, far, pull, pull_lo, of_shape, of_width)


@part
def _bent(z: Any, z_lo: Any, t: Any, shape: Any) -> Any:
    """ψ'/w = (1 + (α − 1) z)/(1 + z)."""
    return fma(shape.bend, z, fma(shape.bend, z_lo, fma(shape.bend_lo, z, 1.0))) / t


@part
def _power(z: Any, shape: Any) -> Any:
    """ρ, W, ψ'/w, the largest exponent's size and the growth, of z rounded once."""
    log, log_lo, t = log1p(z)
    y, y_lo = _product(log, log_lo, shape.p, shape.p_lo)
    up, r = exp(y, y_lo, y)
    loss = absolute(_rounded_product(fma(up, r, up - 1.0), shape.outer, shape.outer_lo))
    power = fma(up, r, up)
    growth = Growth(log + log_lo, t, power, shape.p, shape.tilt)
    return loss, power / t, _bent(z, 0.0, t, shape), absolute(y) + log, growth


@part
def power(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """One alpha of moderate size, one scale."""
    kx = x * of.k
    kx_lo = fma(x, of.k_lo, fma(x, of.k, -kx))
    z = fma(kx, kx, (kx + kx) * kx_lo)
    loss, power, ratio, _, growth = _power(z, of.shape)
    pull, pull_lo = _product(z, 0.0, of.pull, of.pull_lo)
    served = _is_between(kx, constant(x, "NEAR"), of.far)
    return Parts(loss, power, ratio, pull, pull_lo, of.width, served, served, growth)


@part
def _moderate_power(x: Any, shape: Any, width: Any) -> Any:
    """Shapes of moderate size, or scales, per lane."""
    ratio, s = _once(x, width)
    loss, power, bent, exponent, growth = _power(s / shape.b, shape)
    pull, pull_lo = _product(s, 0.0, width.inverse, width.inverse_lo)
    loss_served = _is_between(ratio, constant(x, "NEAR"), constant(x, "FAR"))
    loss_served = loss_served & (exponent <= constant(x, "EXPONENT"))
    served = loss_served & (exponent <= width.room)
    return Parts(loss, power, bent, pull, pull_lo, width, loss_served, served, growth)


@part
def _steep_power(x: Any, shape: Any, width: Any) -> Any:
    """Any shapes and scales: z as a pair."""
    ratio, ratio_lo = _ratio(x, width)
    s, s_lo = _square(ratio, ratio_lo)
    inverse = 1.0 / shape.b
    z = s * inverse
    z_lo = (fma(-z, shape.b, s) + (s_lo - z * shape.b_lo)) * inverse
    log, log_lo, t = careful_log1p(z, z_lo)
    y, y_lo = _product(log, log_lo, shape.p, shape.p_lo)
    loss_served = _is_between(ratio, constant(x, "NEAR"), constant(x, "FAR")) & (y <= shape.room)
    lowest = -constant(x, "EXPONENT")
    is_low = y < lowest
    y, y_lo = where(is_low, lowest, y), where(is_low, 0.0, y_lo)
    up, r = exp(y, y_lo, y + y_lo)
    loss = absolute(_rounded_product(fma(up, r, up - 1.0), shape.outer, shape.outer_lo))
    growth = Growth(log + log_lo, t, fma(up, r, up), shape.p, shape.tilt)
    y, y_lo = _product(log, log_lo, shape.tilt, shape.tilt_lo)
    up, r = exp(y, y_lo, y + y_lo)
    power = fma(up, r, up)
    exponent = absolute(y)
    served = loss_served & (exponent <= shape.room) & (exponent <= width.room)
    pull, pull_lo = _product(s, s_lo, width.inverse, width.inverse_lo)
    bent = _bent(z, z_lo, t, shape)
    return Parts(loss, power, bent, pull, pull_lo, width, loss_served, served, growth)


@part
def _either(mask: Any, a: Any, b: Any) -> Any:
    """The parts `a` in the lanes of a mask, `b` in the others."""
    return Parts(
        where(mask, a.loss, b.loss),
        where(mask, a.power, b.power),
        where(mask, a.ratio, b.ratio),
        where(mask, a.pull, b.pull),
        where(mask, a.pull_lo, b.pull_lo),
        a.width,
        (mask & a.loss_served) | (~mask & b.loss_served),
        (mask & a.served) | (~mask & b.served),
        Growth(
            where(mask, a.growth.log, b.growth.log),
            where(mask, a.growth.t, b.growth.t),
            where(mask, a.growth.power, b.growth.power),
            a.growth.p,
            a.growth.tilt,
        ),
    )


@part
def steep_power(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """Any alpha, one scale."""
    return _steep_power(x, of[0], of[1])


@part
def _power_in_lanes(x: Any, alpha: Any, width: Any) -> Any:
    shape = shapes(alpha)
    parts = _moderate_power(x, shape, width)
    is_steep = shape.b > STEEP_IN_LANES
    if any_of(is_steep):
        # Lane by lane: a result must not depend on what is in the other lanes.
        return _either(is_steep, _steep_power(x, shapes(_tamed(alpha)), width), parts)
    return parts


@part
def power_in_alphas(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """An alpha per lane."""
    return _power_in_lanes(x, alpha, of)


@part
def power_in_both(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """An alpha and a scale per lane."""
    return _power_in_lanes(x, alpha, widths(scale))


@part
def power_in_scales(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """One alpha of moderate size, a scale per lane."""
    return _moderate_power(x, of, widths(scale))


@part
def steep_power_in_scales(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """Any alpha, a scale per lane."""
    return _steep_power(x, of, widths(scale))


@part
def _is_near(ratio: Any) -> Any:
    """Whether a closed form serves the loss: where x/c is small that is s/2, however small."""
    return absolute(ratio) <= constant(ratio, "FAR")


@part
def _closed(
    x: Any, loss: Any, power: Any, ratio: Any, s: Any, at: Any, width: Any, growth: Any
) -> Any:
    far = min(math.exp(0.25 * width.room), constant(x, "FAR"))
    served = _is_between(at, constant(x, "NEAR"), far)
    pull, pull_lo = _product(s, 0.0, width.inverse, width.inverse_lo)
    return Parts(loss, power, ratio, pull, pull_lo, width, _is_near(at), served, growth)


@part
def _growth(z: Any, power: Any, alpha: Any) -> Any:
    log, log_lo, t = log1p(z)
    return Growth(log + log_lo, t, power, 0.5 * alpha, 0.5 * alpha - 1.0)


@part
def normal(x: Any, alpha: Any, scale: Any, width: Any) -> Any:
    """alpha = 2."""
    ratio, _ = _ratio(x, width)
    s = ratio * ratio
    one = x * 0.0 + 1.0
    return _closed(x, 0.5 * s, one, one, s, ratio, width, None)


@part
def charbonnier(x: Any, alpha: Any, scale: Any, width: Any) -> Any:
    """alpha = 1."""
    ratio, _ = _ratio(x, width)
    s = ratio * ratio
    t = s + 1.0
    side = root(t)
    # The loss is √t − 1. What the roundings of t and of its root took, e, counts where that is
    # small; it is e/(2√t) of the root, for which a line will do.
    taken = fma(-side, side, t) + (s - (t - 1.0))
    loss = fma(taken, where(s < 3.0, fma(s, -1.0 / 12.0, 0.5), 0.0), side - 1.0)
    growth = _growth(s, side, 1.0)
    return _closed(x, loss, 1.0 / side, 1.0 / t, s, ratio, width, growth)


@part
def cauchy(x: Any, alpha: Any, scale: Any, width: Any) -> Any:
    """alpha = 0."""
    ratio, _ = _ratio(x, width)
    s = ratio * ratio
    z = 0.5 * s
    log, log_lo, t = log1p(z)
    inverse = 1.0 / t
    loss = log + log_lo
    growth = Growth(loss, t, x * 0.0 + 1.0, 0.0, -1.0)
    return _closed(x, loss, inverse, (1.0 - z) * inverse, s, ratio, width, growth)


@part
def geman_mcclure(x: Any, alpha: Any, scale: Any, width: Any) -> Any:
    """alpha = −2."""
    ratio, s = _once(x, width)  # what it lacks would be squared
    inverse = 1.0 / fma(s, 0.25, 1.0)
    loss = (0.5 * s) * inverse
    bent = fma(s, -0.75, 1.0) * inverse
    growth = _growth(0.25 * s, inverse, -2.0)
    return _closed(x, loss, inverse * inverse, bent, s, ratio, width, growth)


@part
def welsch(x: Any, alpha: Any, scale: Any, width: Any) -> Any:
    """alpha = −∞."""
    ratio, ratio_lo = _ratio(x, width)
    s, s_lo = _square(ratio, ratio_lo)
    y = -0.5 * s
    lowest = -constant(x, "EXPONENT")
    is_dead = y < width.dead - 20.0
    served = (y >= -width.room) | is_dead
    y = where(y < lowest, lowest, y)
    up, r = exp(y, None, y)
    # The loss needs no remainder of s: 1 − e^y changes less, relatively, than y does.
    loss = fma(-up, r, 1.0 - up)
    power = fma(up, r, up)
    power = where(is_dead, 0.0, fma(power, -0.5 * s_lo, power))
    served = served & _is_between(ratio, constant(x, "NEAR"), constant(x, "FAR"))
    pull, pull_lo = _product(s, s_lo, width.inverse, width.inverse_lo)
    return Parts(loss, power, (1.0 - s) - s_lo, pull, pull_lo, width, _is_near(ratio), served, None)
