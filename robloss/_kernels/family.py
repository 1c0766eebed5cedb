"""The loss family on vectors of residuals: the fast path of every kernel.

Everything follows from one power, P = (1 + z)^p: ρ = (b/α)(P − 1) and W = P/(1 + z). It is computed
as the exponential of p log(1 + z). A rounding of the exponent is magnified by the exponent's size;
so the logarithm is a pair (value, remainder), and so are the numbers that depend only on alpha and
scale, which are derived once per call. The effect of a rounding of z grows with b: `power` uses z
rounded once, `steep_power` uses a pair; both exist also for alpha and scale that vary from lane to
lane.

A member of the family is a function of a vector, of alpha and scale, and of what was derived from
these for the whole call. It returns `Parts`, from which every output follows by one or two
products. In lanes that are not `served`, its values are meaningless. Only `serve` and `choose`, at
the end, decide which member is used for which alpha.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from robloss._kernels import pairs
from robloss._kernels.compiling import part
from robloss._kernels.parameters import (
    derived,
    of_alpha,
    of_neither,
    of_scale,
    shapes,
    tamed,
    widths,
)
from robloss._kernels.vector import absolute, any_of, constant, fma, root, where

# notation: c = scale, s = (x/c)², b = |α − 2|, z = s/b, t = 1 + z, p = α/2, P = t^p,
#           W = c²w = t^(p − 1), L = log t; a name ending in _lo is the remainder of the one without


# The range of alpha for which z is rounded once: |α − 2|/2 and α/2, which magnify the rounding, are
# at most 2 and 3.
MODERATE = -2.0, 6.0
# The same where b or scale are rounded too. With the above, 3 million points had errors up to 6.1
# ulp.
STEEP_IN_LANES = 3.0  # |α − 2|
MODERATE_IN_LANES = 2.0 - STEEP_IN_LANES, 2.0 + STEEP_IN_LANES


class Parts(NamedTuple):
    """What the outputs are computed from."""

    loss: Any  # ρ
    power: Any  # W
    ratio: Any  # ψ'/w
    pull: Any  # −(∂ρ/∂c)/W = s/c
    pull_lo: Any
    width: Any  # the `Width` of scale
    loss_served: Any  # the lanes in which ρ is accurate
    served: Any  # those in which everything else is
    growth: Any  # None where ∂ρ/∂α is 0 or infinite


class Growth(NamedTuple):
    """What ∂ρ/∂α is computed from; accurate where ρ is."""

    log: Any  # L
    t: Any
    power: Any  # P
    p: Any
    tilt: Any  # p − 1


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
def is_between(ratio: Any, near: Any, far: Any) -> Any:
    """The lanes in which neither x/c nor its square leaves the normal numbers; 0 is served."""
    size = absolute(ratio)
    return ((size >= near) & (size <= far)) | (ratio == 0.0)


@part
def _bent(z: Any, z_lo: Any, t: Any, shape: Any) -> Any:
    """ψ'/w = (1 + (α − 1) z)/(1 + z)."""
    return fma(shape.bend, z, fma(shape.bend, z_lo, fma(shape.bend_lo, z, 1.0))) / t


@part
def _power(z: Any, shape: Any) -> Any:
    """ρ, W, ψ'/w, the size of the largest exponent, and the growth, from z rounded once."""
    log, log_lo, t = pairs.log1p(z)
    y, y_lo = pairs.product(log, log_lo, shape.p, shape.p_lo)
    up, r = pairs.exp(y, y_lo, y)
    loss = absolute(pairs.product_as_one(fma(up, r, up - 1.0), shape.outer, shape.outer_lo))
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
    pull, pull_lo = pairs.product(z, 0.0, of.pull, of.pull_lo)
    served = is_between(kx, constant(x, "NEAR"), of.far)
    return Parts(loss, power, ratio, pull, pull_lo, of.width, served, served, growth)


@part
def _moderate_power(x: Any, shape: Any, width: Any) -> Any:
    """An alpha of moderate size, or a scale, per lane."""
    ratio, s = _once(x, width)
    loss, power, bent, exponent, growth = _power(s / shape.b, shape)
    pull, pull_lo = pairs.product(s, 0.0, width.inverse, width.inverse_lo)
    loss_served = is_between(ratio, constant(x, "NEAR"), constant(x, "FAR"))
    loss_served = loss_served & (exponent <= constant(x, "EXPONENT"))
    served = loss_served & (exponent <= width.room)
    return Parts(loss, power, bent, pull, pull_lo, width, loss_served, served, growth)


@part
def _steep_power(x: Any, shape: Any, width: Any) -> Any:
    """Any alphas and scales: z as a pair."""
    ratio, ratio_lo = _ratio(x, width)
    s, s_lo = pairs.square(ratio, ratio_lo)
    inverse = 1.0 / shape.b
    z = s * inverse
    z_lo = (fma(-z, shape.b, s) + (s_lo - z * shape.b_lo)) * inverse
    log, log_lo, t = pairs.careful_log1p(z, z_lo)
    y, y_lo = pairs.product(log, log_lo, shape.p, shape.p_lo)
    loss_served = is_between(ratio, constant(x, "NEAR"), constant(x, "FAR")) & (y <= shape.room)
    lowest = -constant(x, "EXPONENT")
    is_low = y < lowest
    y, y_lo = where(is_low, lowest, y), where(is_low, 0.0, y_lo)
    up, r = pairs.exp(y, y_lo, y + y_lo)
    loss = absolute(pairs.product_as_one(fma(up, r, up - 1.0), shape.outer, shape.outer_lo))
    growth = Growth(log + log_lo, t, fma(up, r, up), shape.p, shape.tilt)
    y, y_lo = pairs.product(log, log_lo, shape.tilt, shape.tilt_lo)
    up, r = pairs.exp(y, y_lo, y + y_lo)
    power = fma(up, r, up)
    exponent = absolute(y)
    served = loss_served & (exponent <= shape.room) & (exponent <= width.room)
    pull, pull_lo = pairs.product(s, s_lo, width.inverse, width.inverse_lo)
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
    return _steep_power(x, of.shape, of.width)


@part
def _power_in_lanes(x: Any, alpha: Any, width: Any) -> Any:
    shape = shapes(alpha)
    parts = _moderate_power(x, shape, width)
    is_steep = shape.b > STEEP_IN_LANES
    if any_of(is_steep):
        # Lane by lane: a result must not depend on what is in the other lanes.
        return _either(is_steep, _steep_power(x, shapes(tamed(alpha)), width), parts)
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
    served = is_between(at, constant(x, "NEAR"), far)
    pull, pull_lo = pairs.product(s, 0.0, width.inverse, width.inverse_lo)
    return Parts(loss, power, ratio, pull, pull_lo, width, _is_near(at), served, growth)


@part
def _growth(z: Any, power: Any, alpha: Any) -> Any:
    log, log_lo, t = pairs.log1p(z)
    return Growth(log + log_lo, t, power, 0.5 * alpha, 0.5 * alpha - 1.0)


@part
def normal(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """alpha = 2."""
    ratio, _ = _ratio(x, of.width)
    s = ratio * ratio
    one = x * 0.0 + 1.0
    return _closed(x, 0.5 * s, one, one, s, ratio, of.width, None)


@part
def charbonnier(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """alpha = 1."""
    ratio, _ = _ratio(x, of.width)
    s = ratio * ratio
    t = s + 1.0
    side = root(t)
    # The loss is √t − 1. The error e of t and of its root matters where the loss is small; it
    # changes the root by e/(2√t), for which a linear approximation is enough.
    taken = fma(-side, side, t) + (s - (t - 1.0))
    loss = fma(taken, where(s < 3.0, fma(s, -1.0 / 12.0, 0.5), 0.0), side - 1.0)
    growth = _growth(s, side, 1.0)
    return _closed(x, loss, 1.0 / side, 1.0 / t, s, ratio, of.width, growth)


@part
def cauchy(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """alpha = 0."""
    ratio, _ = _ratio(x, of.width)
    s = ratio * ratio
    z = 0.5 * s
    log, log_lo, t = pairs.log1p(z)
    inverse = 1.0 / t
    loss = log + log_lo
    growth = Growth(loss, t, x * 0.0 + 1.0, 0.0, -1.0)
    return _closed(x, loss, inverse, (1.0 - z) * inverse, s, ratio, of.width, growth)


@part
def geman_mcclure(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """alpha = −2."""
    ratio, s = _once(x, of.width)  # s from the pair: the error of the ratio would be squared
    inverse = 1.0 / fma(s, 0.25, 1.0)
    loss = (0.5 * s) * inverse
    bent = fma(s, -0.75, 1.0) * inverse
    growth = _growth(0.25 * s, inverse, -2.0)
    return _closed(x, loss, inverse * inverse, bent, s, ratio, of.width, growth)


@part
def welsch(x: Any, alpha: Any, scale: Any, of: Any) -> Any:
    """alpha = −∞."""
    ratio, ratio_lo = _ratio(x, of.width)
    s, s_lo = pairs.square(ratio, ratio_lo)
    y = -0.5 * s
    lowest = -constant(x, "EXPONENT")
    is_dead = y < of.width.dead - 20.0
    served = (y >= -of.width.room) | is_dead
    y = where(y < lowest, lowest, y)
    up, r = pairs.exp(y, None, y)
    # The loss needs no remainder of s: 1 − e^y changes less, relatively, than y does.
    loss = fma(-up, r, 1.0 - up)
    power = fma(up, r, up)
    power = where(is_dead, 0.0, fma(power, -0.5 * s_lo, power))
    served = served & is_between(ratio, constant(x, "NEAR"), constant(x, "FAR"))
    pull, pull_lo = pairs.product(s, s_lo, of.width.inverse, of.width.inverse_lo)
    return Parts(
        loss, power, (1.0 - s) - s_lo, pull, pull_lo, of.width, _is_near(ratio), served, None
    )


# ------------------------------------------------------------------------------------- the choice


def _serve(alpha: Any, act: Any, given: Any) -> Any:
    """``act(member, given)`` with the best member for one alpha and one scale."""
    if alpha == 2.0:
        return act(normal, given)
    if alpha == 1.0:
        return act(charbonnier, given)
    if alpha == 0.0:
        return act(cauchy, given)
    if alpha == -2.0:
        return act(geman_mcclure, given)
    if alpha == -math.inf:
        return act(welsch, given)
    if MODERATE[0] <= alpha <= MODERATE[1]:
        return act(power, given)
    return act(steep_power, given)


serve = part(_serve)


def choose(alpha: Any, scale: Any) -> tuple[Any, Any]:
    """The member for numbers or arrays, and what derives from numbers what it needs."""
    is_array = isinstance(scale, np.ndarray)
    if isinstance(alpha, np.ndarray):
        return (power_in_both, of_neither) if is_array else (power_in_alphas, of_scale)
    if is_array:
        is_moderate = MODERATE_IN_LANES[0] <= alpha <= MODERATE_IN_LANES[1]
        return (power_in_scales if is_moderate else steep_power_in_scales), of_alpha
    return _serve(alpha, lambda member, _: member, None), derived
