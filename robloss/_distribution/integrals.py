"""Integrals of e^(−ρ) over x, by one Gauss–Legendre rule in a variable in which all are tame.

# notation: b = |α − 2|, m = √b but within [`NARROW`, 2], x = m sinh y, h = y − y₀,
#           unit = the number that stands for scale 1, where x is measured in other units

In y the Cauchy's tails fall like e^(−y), the stretched exponentials faster, and a plateau (α < 0)
grows like e^y; what is left of 1 + s/b is regular within |Im y| < π/2. The range is cut where the
closed-form inverse of the loss says that the integrand has become negligible.

The nodes are constants to automatic differentiation: the derivative in alpha of an integral is
the integral of the derivative, by the same rule and with the loss's own closed form. A limit's
derivative comes from a strip of zero width between the limit and its own constant.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from robloss._backends import constant, evaluate, numbers_beside
from robloss._distribution.legendre import PLACES, SHARES
from robloss._typing import Array

# Growth of the loss from the lower limit at which a tail is cut. The Cauchy integrand, the
# slowest, has then fallen by e^(−40) in y.
FALL = 80.0
# The same for moments, whose integrands carry powers of the loss or of log x.
MOMENT_FALL = 120.0
# The loss at a lower limit from which on the integral is 0 in any floating range.
DEEPEST = 1e4
# Where the range of a moment is split in two: this is the best place for the Cauchy law.
SPLIT = 0.35
# Next to α = 2 the loss has detail of width √b but of height b² only: below b = 1e-6 it is less
# than an ulp of the integral.
NARROW = 1e-3
# Distance from either end at which `both_ends` has half as many nodes as at the end itself.
DENSE = 12.0
# Nodes times points that are evaluated at once: 16 MB per temporary array of doubles.
BLOCK = 2**21
# The unit for integrals that may reach beyond the largest number: a Cauchy tail that starts at that
# number is cut 2^58 further out.
FAR_UNIT = 2.0**-80
# From this |α| on the loss is its limit at ±inf; below the other, that at 0.
LARGE, SMALL = 1e17, 1e-30


def unit_loss(x: Array, alpha: Array, unit: Array | float = 1.0) -> Array:
    """ρ at scale 1."""
    return evaluate("smooth_loss", x, alpha, unit, check=False)


def log_whole(alpha: Array) -> Array:
    """log Z of the law that is not truncated."""
    return evaluate("smooth_log_partition", alpha, check=False)


def inverse_loss(xp: Any, rho: Array, alpha: Array, unit: Array | float = 1.0) -> Array:
    """The x ≥ 0 at which the loss of scale 1 is `rho`, the largest number that is safe at most.

    To place nodes and first guesses: it is accurate to the precision of exp at large arguments.
    """
    sign = xp.where(alpha < 0, -1.0, xp.ones_like(alpha))
    size = xp.abs(alpha)
    shape = sign * xp.where(size > LARGE, LARGE, size)
    is_zero, is_two = size < SMALL, shape == 2
    b = xp.where(is_two, 1.0, xp.abs(shape - 2))
    safe = xp.where(is_zero, 1.0, shape)
    inside = rho * (shape / b)
    log_u = 2 * xp.log1p(xp.where(inside > -1, inside, -1.0)) / safe
    log_u = xp.where(is_zero, 2 * rho / b, log_u)
    log_b = xp.log(b) + 2 * xp.log(xp.ones_like(b) * unit)
    limit = 2 * math.log(ceiling(xp, rho))
    log_u = xp.where(log_u + log_b > limit, limit - log_b, log_u)
    root = xp.exp(0.5 * (log_u + log_b)) * xp.sqrt(-xp.expm1(-log_u))
    return xp.where(is_two, xp.sqrt(2 * rho) * unit, root)


def ceiling(xp: Any, array: Array) -> float:
    """A number next to which sums and products of a few x do not overflow."""
    return float(xp.finfo(array.dtype).max) * 2.0**-14


def width(xp: Any, alpha: Array) -> Array:
    """m, from where on x counts by its logarithm."""
    b = xp.abs(alpha - 2)
    root = xp.sqrt(xp.where(b < 4, b, 4.0))
    return xp.where(root > NARROW, root, NARROW)


def span(xp: Any, lower: Array, upper: Array, m: Array) -> Array:
    """asinh(upper/m) − asinh(lower/m), to its last digits for limits that are close."""
    near, far = xp.hypot(lower, m), xp.hypot(upper, m)
    ratio = lower / upper
    return xp.asinh((upper - lower) / near * ((1 + ratio) / (1 + ratio * (far / near))))


def panels(xp: Any, *edges: Array) -> Iterator[tuple[Array, Array]]:
    """Yield h and dh at the nodes of each panel from 0 to `edges`, on a new last axis."""
    start = xp.zeros_like(edges[0])
    for edge in edges:
        first, length = start[..., None], (edge - start)[..., None]
        for place, share in _rule(xp, edge):
            yield first + length * place, length * share
        start = edge


def both_ends(xp: Any, length: Array) -> Iterator[tuple[Array, Array]]:
    """Yield h and dh at nodes from 0 to `length`, on a new last axis, dense near both ends.

    For integrands whose detail is there, and that are smooth on the way: both halves are panels in
    log1p(h/`DENSE`), h counted from their own end.
    """
    full = length[..., None]
    stretch = xp.log1p(full / (2 * DENSE))
    for upper in (False, True):
        for place, share in _rule(xp, length):
            growth = xp.expm1(stretch * place)
            h = DENSE * growth
            yield full - h if upper else h, DENSE * (1 + growth) * stretch * share


def _rule(xp: Any, example: Array) -> Iterator[tuple[Array, Array]]:
    """Yield nodes and weights of [0, 1], few at a time for many points.

    So that no temporary array grows without bound.
    """
    step = max(1, min(len(PLACES), BLOCK // max(1, math.prod(example.shape))))
    places, shares = (numbers_beside(xp, one, example) for one in (PLACES, SHARES))
    for first in range(0, len(PLACES), step):
        yield places[first : first + step], shares[first : first + step]


def nodes(
    xp: Any, lower: Array, places: Iterator[tuple[Array, Array]], m: Array
) -> Iterator[tuple[Array, Array]]:
    """Yield x and dx/hypot(lower, m) at the places of `panels` or `both_ends`."""
    unit = xp.hypot(lower, m)[..., None]
    lower = lower[..., None]
    for h, dh in places:
        sinh, cosh = _hyperbolic(xp, 0.5 * h)
        x = lower + 2 * sinh * (lower * sinh + unit * cosh)
        yield x, dh * (1 + 2 * sinh * (sinh + (lower / unit) * cosh))


def move(xp: Any, x: Array, h: Array, m: Array) -> Array:
    """m sinh(asinh(x/m) + h), with no digit of a small h lost."""
    sinh, cosh = _hyperbolic(xp, 0.5 * h)
    return x + 2 * sinh * (x * sinh + xp.hypot(x, m) * cosh)


def _hyperbolic(xp: Any, h: Array) -> tuple[Array, Array]:
    """The hyperbolic sine, to the last digits of a small one, and cosine.

    Of half an argument, since e^h itself may overflow where x does not.
    """
    growth = xp.expm1(h)
    sinh = 0.5 * (growth + growth / (1 + growth))
    return sinh, sinh + 1 / (1 + growth)


def log_integral(
    xp: Any, alpha: Array, lower: Array, upper: Array, truncated: bool = False
) -> Array:
    """Logarithm of ∫ e^(−ρ) dx from `lower` to `upper`, at scale 1; 0 ≤ lower ≤ upper ≤ inf.

    The result has the broadcast shape, −inf where the range is empty, and −ρ where that alone tells
    that nothing is left. Without `truncated` the upper limit must be infinite, and alpha ≥ 0.
    """
    # One shape: torch's and JAX's transforms, and the nodes' new axis, then need no care.
    alpha, lower, upper = xp.broadcast_arrays(alpha, lower, upper)
    shape, m = constant(alpha), width(xp, constant(alpha))
    depth = unit_loss(constant(lower), shape)
    too_deep = depth > DEEPEST
    lower = xp.where(too_deep, 0.0, lower)
    log_width = xp.log(xp.hypot(constant(lower), m))
    unit = xp.where(constant(upper) > 1, FAR_UNIT, xp.ones_like(m))
    lower, upper, m = lower * unit, upper * unit, m * unit
    bottom, end = constant(lower), constant(upper)
    at_bottom = unit_loss(bottom, shape, unit)
    cut = inverse_loss(xp, at_bottom + FALL, shape, unit)
    top = xp.where((shape >= 0) & (cut < end), cut, end)
    top = xp.where(top > bottom, top, bottom)
    length = span(xp, bottom, top, m)
    places = both_ends(xp, length) if truncated else panels(xp, length)
    total = xp.zeros_like(alpha)
    for sign, limit, fixed in ((-1.0, lower, bottom), (1.0, upper, end)):
        if limit is not fixed:  # something to differentiate
            strip, middle = _strip(xp, limit, fixed)
            fall = at_bottom - unit_loss(middle, alpha, unit)
            height = xp.exp(xp.where(xp.isfinite(fixed), fall, 0.0))
            total = total + sign * (strip / xp.hypot(bottom, m)) * height
    last = unit[..., None]
    for x, dx in nodes(xp, bottom, places, m):
        fall = at_bottom[..., None] - unit_loss(x, alpha[..., None], last)
        total = total + xp.sum(dx * xp.exp(fall), axis=-1)
    return xp.where(too_deep, -depth, xp.log(total) + log_width - at_bottom)


def _strip(xp: Any, limit: Array, fixed: Array) -> tuple[Array, Array]:
    """Length and middle of the strip between a finite limit and its own constant.

    It is empty, but the derivatives of its integral are the whole integral's, to second order.
    """
    finite = xp.isfinite(fixed)
    moving, still = xp.where(finite, limit, 0.0), xp.where(finite, fixed, 0.0)
    return moving - still, 0.5 * moving + 0.5 * still


def expectation(xp: Any, alpha: Array, *terms: Callable[[Array, Array], Array]) -> list[Array]:
    """Means of even functions ``term(x, alpha)`` under the untruncated law of scale 1."""
    shape = constant(alpha)
    zero = xp.zeros_like(shape)
    top = inverse_loss(xp, zero + MOMENT_FALL, shape)
    m = width(xp, shape)
    norm = log_whole(alpha)[..., None] - math.log(2)
    sums = [zero for _ in terms]
    length = span(xp, zero, top, m)
    for x, dx in nodes(xp, zero, panels(xp, SPLIT * length, length), m):
        shapes = alpha[..., None]
        density = dx * xp.exp(-unit_loss(x, shapes) - norm)
        for number, term in enumerate(terms):
            sums[number] = sums[number] + xp.sum(density * term(x, shapes), axis=-1)
    return [one * m for one in sums]
