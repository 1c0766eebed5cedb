"""Integrals of e^(−ρ) over x, by one Gauss–Legendre rule in a variable in which all are tame.

# notation: b = |α − 2|, m = √b but within [`NARROW`, 2], x = m sinh y, h = y − y₀

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

from robloss._backends import constant, evaluate
from robloss._distribution.legendre import NODES, WEIGHTS
from robloss._typing import Array

# Growth of the loss from the lower limit at which a tail is cut. The Cauchy integrand, the
# slowest, has then fallen by e^(−40) in y.
REACH = 80.0
# The same for moments, whose integrands carry powers of the loss or of log x.
MOMENT_REACH = 120.0
# The loss at a lower limit from which on the integral is 0 in any floating range.
DEEPEST = 1e4
# Where the range of a moment is split in two: this is the best place for the Cauchy law.
SPLIT = 0.35
# Next to α = 2 the loss has detail of width √b but of height b² only: below b = 1e-6 it is less
# than an ulp of the integral.
NARROW = 1e-3
# Nodes times points that are evaluated at once: 16 MB per temporary array of doubles.
BLOCK = 2**21
# From this |α| on the loss is its limit at ±inf; below the other, that at 0.
LARGE, SMALL = 1e17, 1e-30


def as_arrays(xp: Any, *values: Any) -> tuple[Array, ...]:
    """Turn prepared arguments into arrays of one dtype and device, numbers among them too."""
    example = next((value for value in values if not isinstance(value, float)), None)
    dtype = xp.float64 if example is None else example.dtype
    # Not array_api_compat.device: torch.compile warns at every call of it.
    device = getattr(example, "device", None)
    return tuple(
        xp.asarray(value, dtype=dtype, device=device) if isinstance(value, float) else value
        for value in values
    )


def unit_loss(x: Array, alpha: Array) -> Array:
    """ρ at scale 1."""
    return evaluate("smooth_loss", x, alpha, 1.0, check=False)


def log_whole(alpha: Array) -> Array:
    """log Z of the law that is not truncated."""
    return evaluate("smooth_log_partition", alpha, check=False)


def inverse_loss(xp: Any, rho: Array, alpha: Array) -> Array:
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
    log_b = xp.log(b)
    limit = 2 * math.log(ceiling(xp, rho))
    log_u = xp.where(log_u + log_b > limit, limit - log_b, log_u)
    root = xp.exp(0.5 * (log_u + log_b)) * xp.sqrt(-xp.expm1(-log_u))
    return xp.where(is_two, xp.sqrt(2 * rho), root)


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
    return xp.asinh(((upper - lower) / far) * ((upper + lower) / (upper * (near / far) + lower)))


def nodes(xp: Any, lower: Array, edges: tuple[Array, ...], m: Array) -> Iterator[tuple[Any, Any]]:
    """Yield x and dx/hypot(lower, m) at the nodes of each panel in h, on a new last axis.

    Few nodes at a time for many points, so that no temporary array grows without bound.
    """
    unit = xp.hypot(lower, m)
    count = max(1, math.prod(edges[-1].shape))
    step = max(1, min(len(NODES), BLOCK // count))
    lower, unit = lower[..., None], unit[..., None]
    start = xp.zeros_like(edges[0])
    for edge in edges:
        length = (edge - start)[..., None]
        for first in range(0, len(NODES), step):
            place, share = constants_like(
                xp, edge, NODES[first : first + step], WEIGHTS[first : first + step]
            )
            sinh, cosh_less_1 = _hyperbolic(xp, start[..., None] + length * place)
            x = lower + (lower * cosh_less_1 + unit * sinh)
            yield x, length * share * (1 + cosh_less_1 + (lower / unit) * sinh)
        start = edge


def move(xp: Any, x: Array, h: Array, m: Array) -> Array:
    """m sinh(asinh(x/m) + h), with no digit of a small h lost."""
    sinh, cosh_less_1 = _hyperbolic(xp, h)
    return x + (x * cosh_less_1 + xp.hypot(x, m) * sinh)


def _hyperbolic(xp: Any, h: Array) -> tuple[Array, Array]:
    """The hyperbolic sine, and the cosine less 1."""
    growth = xp.expm1(h)
    ratio = growth / (1 + growth)
    return 0.5 * (growth + ratio), 0.5 * growth * ratio


def constants_like(xp: Any, example: Array, *values: Any) -> tuple[Array, ...]:
    """Turn constants into arrays of an example's dtype and device."""
    device = getattr(example, "device", None)
    return tuple(xp.asarray(value, dtype=example.dtype, device=device) for value in values)


def log_integral(xp: Any, alpha: Array, lower: Array, upper: Array, panels: int = 1) -> Array:
    """Logarithm of ∫ e^(−ρ) dx from `lower` to `upper`, at scale 1; 0 ≤ lower ≤ upper ≤ inf.

    The result has the broadcast shape, −inf where the range is empty, and −ρ where that alone tells
    that nothing is left. An infinite upper limit is
    for alpha ≥ 0 only. A second panel keeps the accuracy for enormous upper limits at alpha < 0.
    """
    # One shape: torch's and JAX's transforms, and the nodes' new axis, then need no care.
    alpha, lower, upper = xp.broadcast_arrays(alpha, lower, upper)
    shape, bottom, end = constant(alpha), constant(lower), constant(upper)
    depth = unit_loss(bottom, shape)
    too_deep = depth > DEEPEST
    lower, bottom = xp.where(too_deep, 0.0, lower), xp.where(too_deep, 0.0, bottom)
    at_bottom = xp.where(too_deep, 0.0, depth)
    cut = inverse_loss(xp, at_bottom + REACH, shape)
    top = xp.where((shape >= 0) & (cut < end), cut, end)
    top = xp.where(top > bottom, top, bottom)
    m = width(xp, shape)
    length = span(xp, bottom, top, m)
    edges: tuple[Array, ...] = (length,)
    if panels > 1:
        half = 0.5 * length
        edges = (xp.where(half < 40, half, 40.0), length)
    log_unit = xp.log(xp.hypot(bottom, m))
    total = _strips(xp, alpha, (lower, bottom), (upper, end), at_bottom, log_unit)
    for x, dx in nodes(xp, bottom, edges, m):
        fall = at_bottom[..., None] - unit_loss(x, alpha[..., None])
        total = total + xp.sum(dx * xp.exp(fall), axis=-1)
    return xp.where(too_deep, -depth, xp.log(total) + log_unit - at_bottom)


def _strips(
    xp: Any,
    alpha: Array,
    lower: tuple[Array, Array],
    upper: tuple[Array, Array],
    at_bottom: Array,
    log_unit: Array,
) -> Array:
    """Zero, whose derivatives in the limits are those of the integral, up to second order."""
    total = xp.zeros_like(alpha)
    for sign, (limit, fixed) in ((-1.0, lower), (1.0, upper)):
        if limit is fixed:  # nothing to differentiate here
            continue
        finite = xp.isfinite(fixed)
        moving, still = xp.where(finite, limit, 0.0), xp.where(finite, fixed, 0.0)
        fall = at_bottom - unit_loss(0.5 * moving + 0.5 * still, alpha)
        height = xp.exp(xp.where(finite, fall - log_unit, 0.0))
        total = total + sign * (moving - still) * height
    return total


def expectation(xp: Any, alpha: Array, *terms: Callable[[Array, Array], Array]) -> list[Array]:
    """Means of even functions ``term(x, alpha)`` under the untruncated law of scale 1."""
    shape = constant(alpha)
    zero = xp.zeros_like(shape)
    top = inverse_loss(xp, zero + MOMENT_REACH, shape)
    m = width(xp, shape)
    norm = log_whole(alpha)[..., None] - math.log(2)
    sums = [zero for _ in terms]
    length = span(xp, zero, top, m)
    for x, dx in nodes(xp, zero, (SPLIT * length, length), m):
        shapes = alpha[..., None]
        density = dx * xp.exp(-unit_loss(x, shapes) - norm)
        for number, term in enumerate(terms):
            sums[number] = sums[number] + xp.sum(density * term(x, shapes), axis=-1)
    return [one * m for one in sums]
