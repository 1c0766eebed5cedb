"""The mathematics spelled for arrays of any array-API namespace ``xp``.

# notation: z = x/c, s = z², b = |α − 2|, σ = sign(α − 2), u = s/b, L = log1p(u),
#           Λ = (b/2) L, E = (α/2) L, V = e^(σΛ/2), k(y) = (y − 1 + e^(−y))/y²

One set of expressions serves every α (Barron, arXiv:1701.03077, and the page "Theory"):

    ρ = Λ expm1(E)/E        c²w = e^(σΛ) = V²        ψ = x w        ∂ρ/∂c = −x ψ/c

with Λ → s/2 and E → ±s/2 as α → ±∞, and σΛ = 0 at α = 2. Powers are squares of half powers, so
that nothing overflows before the result does. A branch that a point does not take is fed a harmless
number first: neither values nor automatic derivatives of the branch it takes see an inf or a NaN.
"""

import math
from typing import Any, NamedTuple

from robloss._libraries import is_single
from robloss._quadrature import NODES, REACH, WEIGHTS
from robloss._typing import Array

# k(y) = Σ (−y)^m/(m + 2)!; for |y| <= 1 what follows the 18th term is below 1e-17 of the sum.
_K_SERIES = tuple((-1.0) ** m / math.factorial(m + 2) for m in range(18))


# (e^t − 1)/t = Σ t^m/(m + 1)!; for |t| < ½ what follows is below 1e-9 of the sum.
_EXPM1_SERIES = tuple(1 / math.factorial(m + 1) for m in range(9))


class _Limits(NamedTuple):
    """Powers of two, one set per precision, at which an expression changes its form."""

    huge: float  # |z| from which on z² is not formed
    tiny: float  # below it three terms of a series for log1p or expm1 leave less than half an ulp
    wide: float  # b from which on α/b is ±1 to working precision
    steep: float  # Λ from which V may leave the floating range


_SINGLE = _Limits(huge=2.0**50, tiny=2.0**-9, wide=2.0**30, steep=150.0)
_DOUBLE = _Limits(huge=2.0**400, tiny=2.0**-18, wide=2.0**60, steep=1300.0)
# An E from which on e^E is infinite in either; E itself may be, next to the largest α.
_OVERFLOWING = 1e4


class _Parts(NamedTuple):
    z: Array
    infinite: Array  # where x = ±inf: the rest here is harmless there, but no limit
    half_s: Array
    is_two: Array
    sigma: Array
    b: Array  # 1 where α = 2
    log_u: Array  # L
    lam: Array  # Λ, 0 where α = 2
    tilt: Array  # σΛ
    exponent: Array  # E
    pull: Array  # (α − 2) u/(1 + u)
    steep: Array  # where V may leave the floating range
    extreme: Array  # where V or z may
    log_z: Array  # log |z| there, 0 elsewhere
    limits: _Limits


def _parts(xp: Any, x: Array, alpha: Array, scale: Array) -> _Parts:
    """What the operations share, finite wherever it can be."""
    limits = _SINGLE if is_single(xp.finfo(x.dtype).eps) else _DOUBLE
    one = xp.ones_like(alpha)
    is_two = alpha == 2
    sigma = xp.where(alpha > 2, one, -one)
    b = xp.where(is_two, one, xp.abs(alpha - 2))
    is_wide = b >= limits.wide
    finite_b = xp.where(xp.isinf(b), one, b)
    plain = xp.where(is_wide, 0.0, alpha)

    z = x / scale
    infinite = xp.isinf(x)
    # Where a quotient overflows, though x is finite, the logarithms of its parts are left.
    wild = xp.isinf(z / xp.sqrt(b)) | xp.isinf(z)
    size = xp.where(wild, 1.0, xp.abs(z))
    # s is saturated: where it would overflow, only e^(−s) = 0 or e^s = inf are wanted of it.
    near = (size < limits.huge) & ~wild
    tame = xp.where(near, size, limits.huge)
    s = tame * tame

    # u = s/b; from |z| = huge on (|z|/√b)²; and only its logarithm once that overflows too.
    y = size / xp.sqrt(b)
    beyond = y > limits.huge
    far = beyond | wild
    u = xp.where(near, s / b, xp.where(far, 1.0, y) ** 2)
    u = xp.where(far, 1.0, u)
    log_u = xp.where(beyond, 2 * xp.log(xp.where(beyond, y, 1.0)), xp.log1p(u))
    numerator = xp.log(xp.where(wild & ~infinite, xp.abs(x), 1.0))
    denominator = xp.log(xp.where(scale > 0, scale, 1.0))
    log_u = xp.where(wild, 2 * (numerator - denominator) - xp.log(finite_b), log_u)

    exponent = 0.5 * plain * log_u
    # Λ = L − E spares the rounding of α − 2 and a product, which is the larger error around 0.
    central = (plain >= -4) & (plain <= 1) & ~is_wide
    full = xp.where(central, log_u - exponent, 0.5 * finite_b * log_u)
    lam = xp.where(u < limits.tiny, 0.5 * s * (1 - u * (0.5 - u / 3)), full)
    lam = xp.where(wild & xp.isinf(b), s, lam)
    lam = xp.where(is_two, 0.0, lam)
    steep = lam > limits.steep
    extreme = wild | steep
    log_z = xp.where(wild, numerator - denominator, xp.log(xp.where(extreme, size, 1.0)))
    tilt = sigma * lam
    exponent = xp.where(is_wide, tilt, exponent)
    share = xp.where(u < 1, s / (1 + u), finite_b / (1 + 1 / xp.where(u < 1, 1.0, u)))
    pull = sigma * xp.where(far, finite_b, share)
    return _Parts(
        z,
        infinite,
        xp.where(wild, math.inf, (0.5 * size) * size),
        is_two,
        sigma,
        b,
        log_u,
        lam,
        tilt,
        exponent,
        xp.where(is_two, 0.0, pull),
        steep,
        extreme,
        log_z,
        limits,
    )


def _complete(
    xp: Any, value: Array, limit: Array, parts: _Parts, alpha: Array, scale: Array
) -> Array:
    """Put in the limits at ±inf, and NaN where an argument is NaN or scale is not in (0, inf)."""
    value = xp.where(parts.infinite, limit, value)
    legal = (scale > 0) & (scale < math.inf) & ~xp.isnan(alpha) & ~xp.isnan(parts.z)
    return xp.where(legal, value, math.nan)


def _power_at_infinity(xp: Any, power: Array, constant: Array) -> Array:
    """Limit of z^power (times a constant that matters only at power 0) as z → ∞."""
    zero = xp.zeros_like(power)
    return xp.where(power < 0, zero, xp.where(power == 0, zero + constant, math.inf))


def _signed(xp: Any, x: Array, size: Array) -> Array:
    """The size with the sign of x; array_api_compat's sign of a tensor cannot be mapped by vmap."""
    return xp.where(x < 0, -size, size)


def _halves(xp: Any, p: _Parts, x: Array, scale: Array) -> tuple[Array, Array]:
    """V/c = √w and z V, also where V or z alone leaves the floating range."""
    half = _half(xp, p)
    # One exponential of all factors together: its rounding is small beside that of its argument.
    log_half = 0.5 * xp.where(p.extreme, p.tilt, 0.0)
    log_scale = xp.log(xp.where(scale > 0, scale, 1.0))
    over_scale = xp.where(p.steep, xp.exp(log_half - log_scale), half / scale)
    zv = xp.where(p.extreme | p.infinite, 1.0, p.z) * half
    return over_scale, xp.where(p.extreme, _signed(xp, x, xp.exp(p.log_z + log_half)), zv)


def _half(xp: Any, p: _Parts) -> Array:
    """V where it is safe, 1 elsewhere."""
    return xp.exp(0.5 * xp.where(p.steep, 0.0, p.tilt))


def _expm1(xp: Any, t: Array, limits: _Limits) -> Array:
    """e^t − 1."""
    value = xp.expm1(t)
    if limits is _DOUBLE:
        return value
    # XLA's float32 expm1 is off by up to 5.7 ulp below ½ (JAX 0.10.2; 1.4 ulp above).
    small = xp.abs(t) < 0.5
    safe = xp.where(small, t, 0.0)
    series = xp.zeros_like(t)
    for coefficient in reversed(_EXPM1_SERIES):
        series = series * safe + coefficient
    return xp.where(small, safe * series, value)


def _expm1_ratio(xp: Any, t: Array, tiny: float) -> Array:
    """(e^t − 1)/t, 1 at 0."""
    small = xp.abs(t) < tiny
    safe = xp.where(small, 1.0, t)
    return xp.where(small, 1 + t * (0.5 + t / 6), xp.expm1(safe) / safe)


def _k(xp: Any, y: Array) -> Array:
    """k(y) = (y − 1 + e^(−y))/y² for y >= −1, ½ at 0."""
    small = y < 1
    t = xp.where(small, y, 0.0)
    series = xp.zeros_like(y)
    for coefficient in reversed(_K_SERIES):
        series = series * t + coefficient
    large = xp.where(small, 1.0, y)
    return xp.where(small, series, (1 + xp.expm1(-large) / large) / large)


def _yk(xp: Any, y: Array) -> Array:
    """y k(y) = 1 − (1 − e^(−y))/y for y >= 0."""
    small = y < 1
    t = xp.where(small, y, 0.0)
    large = xp.where(small, 1.0, y)
    return xp.where(small, t * _k(xp, t), (large + xp.expm1(-large)) / large)


def loss(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """ρ."""
    p = _parts(xp, x, alpha, scale)
    half = _expm1(xp, 0.5 * p.exponent, p.limits)
    is_wide = p.b >= p.limits.wide
    safe_alpha = xp.where(is_wide | (alpha == 0), 1.0, alpha)
    b_over_alpha = xp.where(is_wide, p.sigma, p.b / safe_alpha)
    series = p.lam * (1 + p.exponent * (0.5 + p.exponent / 6))
    small = xp.abs(p.exponent) < p.limits.tiny
    value = xp.where(small, series, (b_over_alpha * half) * (half + 2))
    value = xp.where(p.is_two, p.half_s, value)
    limit = xp.where(alpha < 0, -b_over_alpha, math.inf)
    # Near its limit rounding would lift it above; in the kernels it does not.
    value = xp.minimum(value, limit)
    return _complete(xp, value, limit, p, alpha, scale)


def influence(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """ψ = ∂ρ/∂x."""
    p = _parts(xp, x, alpha, scale)
    over_scale, zv = _halves(xp, p, x, scale)
    # V/c may be subnormal, and 0 to XLA, where ψ is not: each factor gets a root of 1/c there, or
    # one exponential takes all.
    positive = xp.where(scale > 0, scale, 1.0)
    root = xp.sqrt(positive)
    value = xp.where(scale > 1, (zv / root) * (_half(xp, p) / root), zv * over_scale)
    exponent = p.log_z + p.tilt - xp.log(positive)
    steep = _signed(xp, x, xp.exp(xp.where(p.steep, exponent, 0.0)))
    value = xp.where(p.steep, steep, value)
    value = xp.where(x == 0, x, value)  # 1/c overflows where c is subnormal
    limit = _signed(xp, x, _power_at_infinity(xp, alpha - 1, 1 / scale))
    return _complete(xp, value, limit, p, alpha, scale)


def weight(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """w = ψ/x."""
    p = _parts(xp, x, alpha, scale)
    over_scale, _ = _halves(xp, p, x, scale)
    limit = _power_at_infinity(xp, alpha - 2, (1 / scale) / scale)
    return _complete(xp, over_scale * over_scale, limit, p, alpha, scale)


def curvature(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """ψ' = w (1 + (α − 2) u/(1 + u))."""
    p = _parts(xp, x, alpha, scale)
    over_scale, _ = _halves(xp, p, x, scale)
    value = (over_scale * (1 + p.pull)) * over_scale
    limit = _power_at_infinity(xp, alpha - 2, (1 / scale) / scale)
    return _complete(xp, value, limit, p, alpha, scale)


def grad_scale(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """∂ρ/∂c = −x ψ/c."""
    p = _parts(xp, x, alpha, scale)
    _, zv = _halves(xp, p, x, scale)
    root = zv / xp.sqrt(xp.where(scale > 0, scale, 1.0))
    limit = -_power_at_infinity(xp, alpha, 2 / scale)
    return _complete(xp, -root * root, limit, p, alpha, scale)


def grad_alpha(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """∂ρ/∂α = (b/4) ∫₀^L e^(αy/2) (y − 1 + e^(−y)) dy, without cancellation.

    By quadrature where |E| and Λ are moderate; elsewhere by the integral in closed form, in the
    arrangement whose terms do not cancel there.
    """
    p = _parts(xp, x, alpha, scale)
    moderate = (xp.abs(p.exponent) <= REACH) & (p.lam <= REACH)
    negative = alpha < 0
    near = _grad_alpha_by_quadrature(xp, p, moderate)
    redescending = _grad_alpha_below_zero(xp, p, negative & ~moderate)
    other = _grad_alpha_from_zero(xp, p, ~negative & ~moderate)

    value = xp.where(moderate, near, xp.where(negative, redescending, other))
    value = xp.where(xp.isinf(alpha), 0.0, xp.where(p.is_two, math.inf, value))
    value = xp.where(p.z == 0, 0.0, value)
    safe_alpha = xp.where(negative, alpha, -1.0)
    limit = xp.where(negative, (1 / safe_alpha) * (2 / safe_alpha), math.inf)
    limit = xp.where(alpha == math.inf, 0.0, limit)
    return _complete(xp, value, limit, p, alpha, scale)


def _grad_alpha_by_quadrature(xp: Any, p: _Parts, taken: Array) -> Array:
    """½ Λ L² ∫₀¹ v (1 − v) e^(E(1−v)) (e^(vσΛ) − 1)/(vσΛ) dv, for moderate E and Λ.

    That is the integral with the order of integration changed: every factor is positive and
    accurate, and Gauss–Jacobi quadrature takes care of v (1 − v).
    """
    e = xp.where(taken, p.exponent, 0.0)
    tilt = xp.where(taken, p.tilt, 0.0)
    integral = xp.zeros_like(e)
    for node, node_weight in zip(NODES, WEIGHTS, strict=True):
        integral = integral + node_weight * xp.exp((1 - node) * e) * _expm1_ratio(
            xp, node * tilt, p.limits.tiny
        )
    return (0.5 * xp.where(taken, p.lam, 0.0) * p.log_u) * (p.log_u * integral)


def _grad_alpha_below_zero(xp: Any, p: _Parts, taken: Array) -> Array:
    """½ L² e^E [k(E) − k(L)] for α < 0; e^E k(E) is ((E − 1) e^E + 1)/E² where E is not small."""
    e = xp.where(taken, p.exponent, -1.0)
    exp_e = xp.exp(e)
    half_log = 0.5 * p.log_u
    by_series = e > -1
    first = xp.where(
        by_series,
        (half_log * p.log_u) * (exp_e * _k(xp, xp.where(by_series, e, 0.0))),
        (half_log * (p.log_u / e)) * (((e - 1) * exp_e + 1) / e),
    )
    # Where E overflows, 2/α² has underflown.
    return xp.where(xp.isinf(e), 0.0, first - half_log * (exp_e * _yk(xp, p.log_u)))


def _grad_alpha_from_zero(xp: Any, p: _Parts, taken: Array) -> Array:
    """(b/4) L e^E [L k(E) − (1 − e^(−E))/E + e^(−min(E, L)) (1 − e^(−Λ))/Λ] for α >= 0.

    Or, for α > 2 with L < 2, ½ L² e^E [k(L) − k(E)].
    """
    below = p.exponent <= p.log_u  # α <= 2
    e = xp.where(taken, p.exponent, 4.0)
    e = xp.where(e < _OVERFLOWING, e, _OVERFLOWING)
    log_u = xp.where(taken, p.log_u, 4.0)
    lam = xp.where(taken, p.lam, 4.0)
    quarter = xp.exp(0.25 * e)
    k_e = _k(xp, e)
    difference = log_u * (_k(xp, log_u) - k_e)
    bracket = (
        log_u * k_e
        - _expm1_ratio(xp, -e, p.limits.tiny)
        + xp.exp(-xp.where(below, e, log_u)) * _expm1_ratio(xp, -lam, p.limits.tiny)
    )
    factor = xp.where(~below & (log_u < 2), difference, 0.5 * p.b * bracket)
    return (0.5 * log_u * quarter * quarter) * (quarter * factor * quarter)


def beside_two(xp: Any, alpha: Array) -> Array:
    """The next smaller number where alpha is exactly 2; alpha elsewhere."""
    return xp.where(alpha == 2, alpha - xp.finfo(alpha.dtype).eps, alpha)


def influence_grad_alpha(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """∂ψ/∂α = ½ ψ (L − u/(1 + u)), which is also ∂²ρ/∂x∂α."""
    p = _parts(xp, x, alpha, scale)
    over_scale, zv = _halves(xp, p, x, scale)
    value = (0.5 * zv * p.log_u) * (_yk(xp, p.log_u) * over_scale)
    # Not a product with x, whose slope in a branch that is not taken would be 0 times infinity.
    value = xp.where(p.is_two, _signed(xp, x, xp.full_like(x, math.inf)), value)
    value = xp.where(p.z == 0, 0.0, value)
    limit = _signed(xp, x, _power_at_infinity(xp, alpha - 1, math.inf))
    return _complete(xp, value, limit, p, alpha, scale)


def influence_grad_scale(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """∂ψ/∂c = −(ψ + x ψ')/c, which is also ∂²ρ/∂x∂c."""
    p = _parts(xp, x, alpha, scale)
    over_scale, zv = _halves(xp, p, x, scale)
    value = (-(2 + p.pull) * zv) * (over_scale / scale)
    limit = -_signed(xp, x, _power_at_infinity(xp, alpha - 1, (1 / scale) / scale))
    return _complete(xp, value, limit, p, alpha, scale)


def grad_scale_grad_alpha(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """∂²ρ/∂c∂α = −z ∂ψ/∂α."""
    p = _parts(xp, x, alpha, scale)
    _, zv = _halves(xp, p, x, scale)
    value = -(0.5 * zv * p.log_u) * (_yk(xp, p.log_u) * (zv / scale))
    value = xp.where(p.z == 0, 0.0, xp.where(p.is_two, -math.inf, value))
    limit = -_power_at_infinity(xp, alpha, math.inf)
    return _complete(xp, value, limit, p, alpha, scale)


def grad_scale_grad_scale(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    """∂²ρ/∂c² = −(z/c) (c ∂ψ/∂c − ψ) = z²w (3 + (α − 2) u/(1 + u))."""
    p = _parts(xp, x, alpha, scale)
    zv = _halves(xp, p, x, scale)[1] / scale
    limit = _power_at_infinity(xp, alpha, (4 / scale) / scale)
    return _complete(xp, (3 + p.pull) * zv * zv, limit, p, alpha, scale)
