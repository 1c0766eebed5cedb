"""The mathematics for one number, accurate to a few units in the last place everywhere.

The expressions are those of `_formulas`, with branches instead of `where`. Where an exponent would
magnify the rounding error of an argument, that error is carried along as a second number: x/c, its
square, α − 2, u and 1 + u are pairs (value, remainder), computed by fused multiply-adds. Powers of
1 + u are taken by `pow`, which loses nothing to a large exponent, times a factor from the
remainders.

Everything is float64; a float32 result is rounded once, by the caller. `elementwise` uses these
functions for elements that its vectors do not serve: overflow, subnormal numbers, extreme shapes,
NaN.
"""

import math
from typing import NamedTuple

from robloss._kernels.compiling import kernel
from robloss._kernels.vector import fma
from robloss._quadrature import NODES, REACH, WEIGHTS

# notation: z = x/c, s = z², b = |α − 2|, σ = sign(α − 2), u = s/b, U = 1 + u, L = log U,
#           Λ = (b/2) L, E = (α/2) L, W = e^(σΛ) = c²w, k(y) = (y − 1 + e^(−y))/y²
#           a name ending in _lo is the remainder of the one without

_HUGE = 2.0**400  # |z| from which on z² is not formed
_SMALL = 2.0**-400  # |z| below which remainders are left out: they would be subnormal
_TINY = 2.0**-18  # below it three terms of a series for log1p or expm1 leave less than half an ulp
_SERIES_U = 2.0**-10  # u below which Λ is a series in u: the power of 1 + u would lose remainders
_FAR = 1e9  # |z|/√b from which 1 + u is u to working precision
_LOG_2 = math.log(2.0)
_WIDE = 2.0**60  # b from which on α/b is ±1 to working precision
_SAFE = 640.0  # |exponent| up to which a power is far from the ends of the floating range
_K_SERIES = tuple((-1.0) ** m / math.factorial(m + 2) for m in range(18))
_LAMBDA_SERIES = (2 / 3, 2 / 4, 2 / 5, 2 / 6, 2 / 7)


@kernel
def _illegal(x: float, alpha: float, scale: float) -> bool:
    """Whether the result is NaN: an argument is, or scale lies outside (0, inf)."""
    return math.isnan(x) or math.isnan(alpha) or not (0.0 < scale < math.inf)


class _Parts(NamedTuple):
    """What the operations share; U = (base (1 + rest) 2^octaves)^twice."""

    s: float
    s_lo: float
    b: float
    b_lo: float
    u: float  # inf where it may overflow
    log_u: float  # L
    base: float  # 1 + u; where u may overflow |z|/√b, of order 1 by its octaves
    rest: float
    twice: float  # 1 or 2
    octaves: float


@kernel
def _quotient(x: float, scale: float) -> tuple[float, float, int]:
    """z = (value + remainder) 2^exponent, for any finite x and scale."""
    x, of_x = math.frexp(x)
    scale, of_scale = math.frexp(scale)
    z = x / scale
    return z, fma(-z, scale, x) / scale, of_x - of_scale


@kernel
def _is_tame(z: float, scale: float) -> bool:
    """Whether z, scale, their squares and a power of moderate size can be multiplied freely."""
    return 2.0**-400 < abs(z) < _HUGE and 2.0**-100 < scale < 2.0**100


@kernel
def _distance(alpha: float) -> tuple[float, float]:
    """b and its remainder."""
    d = alpha - 2.0
    b = abs(d)
    if b >= _WIDE:
        return b, 0.0
    back = d - alpha
    return b, ((alpha - (d - back)) + (-2.0 - back)) * math.copysign(1.0, d)


@kernel
def _near_parts(z: float, z_lo: float, alpha: float) -> _Parts:
    """Parts for |z| below _HUGE."""
    b, b_lo = _distance(alpha)
    s = z * z
    s_lo = fma(z, z, -s) + 2.0 * z * z_lo if abs(z) > _SMALL else 0.0
    u, u_lo = s / b, 0.0
    if u > _SMALL and b < _WIDE:
        u_lo = ((fma(-u, b, s) + s_lo) - u * b_lo) / b
    base = 1.0 + u
    lost = u - (base - 1.0) if u < 1.0 else 1.0 - (base - u)
    log_u = math.log1p(u) + u_lo / base
    return _Parts(s, s_lo, b, b_lo, u, log_u, base, (lost + u_lo) / base, 1.0, 0.0)


@kernel
def _far_parts(z: float, z_lo: float, exponent: int, alpha: float) -> _Parts:
    """Parts for (z + z_lo) 2^exponent beyond _HUGE, z of order 1."""
    b, b_lo = _distance(alpha)
    # s is saturated: where it would overflow, only e^(−s) = 0 or e^s = inf are wanted of it.
    s = _HUGE * _HUGE
    root = math.sqrt(b)
    y = abs(z) / root
    if math.ldexp(y, exponent) < _FAR:
        u = math.ldexp(y, exponent) ** 2
        return _Parts(s, 0.0, b, b_lo, u, math.log1p(u), 1.0 + u, 0.0, 1.0, 0.0)
    rest = 0.0
    if b < _WIDE:
        root_lo = (fma(-root, root, b) + b_lo) / (root + root)
        rest = (fma(-y, root, abs(z)) - y * root_lo + math.copysign(z_lo, z * z_lo)) / abs(z)
    # From 1 to 2, so that base and octaves never pull a power in different directions.
    y, of_y = math.frexp(y)
    y *= 2.0
    octaves = float(exponent + of_y - 1)
    log_u = 2.0 * (math.log(y) + rest + octaves * _LOG_2)
    return _Parts(s, 0.0, b, b_lo, math.inf, log_u, y, rest, 2.0, octaves)


@kernel
def _parts(x: float, alpha: float, scale: float) -> _Parts:
    """Split x/scale and alpha != 2 into the quantities of the formulas, with remainders."""
    z = x / scale
    if _is_tame(z, scale):
        return _near_parts(z, fma(-z, scale, x) / scale, alpha)
    z, z_lo, exponent = _quotient(x, scale)
    if exponent < 400 or z == 0.0:
        return _near_parts(math.ldexp(z, exponent), math.ldexp(z_lo, exponent), alpha)
    return _far_parts(z, z_lo, exponent, alpha)


@kernel
def _small_lambda(parts: _Parts) -> tuple[float, float]:
    """Λ = (s/2) log1p(u)/u and its remainder for small u."""
    u = parts.u
    series = 0.0
    for m in range(len(_LAMBDA_SERIES) - 1, -1, -1):
        series = u * (_LAMBDA_SERIES[m] - series)
    correction = 0.5 * parts.s_lo - (0.25 * parts.s * u) * (1.0 - series)
    half = 0.5 * parts.s
    lam = half + correction
    return lam, (half - lam) + correction


@kernel
def _power(exponent: float, change: float, parts: _Parts) -> tuple[float, float]:
    """U^exponent (1 + change) as a number and a power of 2, which is 1 but where u may overflow."""
    exponent *= parts.twice
    change += exponent * parts.rest
    value: float = parts.base**exponent
    octaves = 0.0
    if parts.octaves != 0.0:
        whole = parts.octaves * exponent
        change += fma(parts.octaves, exponent, -whole) * _LOG_2
        octaves = min(max(round(whole), -1e5), 1e5)
        value *= 2.0 ** (whole - octaves)
    if value == 0.0 or math.isinf(value):
        return value, octaves
    return value + value * (change + 0.5 * change * change), octaves


@kernel
def _weight_power(k: float, alpha: float, parts: _Parts) -> tuple[float, float]:
    """e^(kσΛ) = W^k, as a number and a power of 2."""
    if alpha == 2.0:
        return 1.0, 0.0
    k = k if alpha > 2.0 else -k
    if parts.u < _SERIES_U:
        lam, lam_lo = _small_lambda(parts)
        value = math.exp(k * lam)
        return (value if math.isinf(value) else value + value * (k * lam_lo)), 0.0
    return _power(0.5 * k * parts.b, 0.5 * k * parts.b_lo * parts.log_u, parts)


@kernel
def _loss_power(k: float, alpha: float, parts: _Parts) -> float:
    """e^(kE) = U^(kα/2)."""
    if parts.u < _SERIES_U:
        return _weight_power(k, alpha, parts)[0] * math.exp(k * parts.log_u)
    value, octaves = _power(0.5 * k * alpha, 0.0, parts)
    return math.ldexp(value, int(octaves)) if octaves != 0.0 else value


@kernel
def _exponents(alpha: float, parts: _Parts) -> tuple[float, float, float, float]:
    """L, Λ, σΛ and E."""
    b, log_u = parts.b, parts.log_u
    exponent = 0.5 * alpha * log_u
    if parts.u < _SERIES_U:
        lam, _ = _small_lambda(parts)
        log_u = 2.0 * lam / b
        exponent = (alpha / b) * lam if b < _WIDE else math.copysign(lam, alpha)
    elif -4.0 <= alpha <= 1.0:
        lam = log_u - exponent  # spares the rounding of α − 2 and a product
    else:
        lam = 0.5 * b * log_u
    return log_u, lam, (lam if alpha > 2.0 else -lam), exponent


@kernel
def _is_moderate(power: float) -> bool:
    """Whether a power may be multiplied with tame numbers."""
    return 1e-150 < power < 1e150


@kernel
def _pull(alpha: float, parts: _Parts) -> float:
    """(α − 2) u/(1 + u)."""
    if alpha == 2.0:
        return 0.0
    u = parts.u
    size = (parts.s + parts.s_lo) / (1.0 + u) if u < 1.0 else parts.b / (1.0 + 1.0 / u)
    return size if alpha > 2.0 else -size


@kernel
def _product(
    x: float, alpha: float, scale: float, parts: _Parts, factor: float, of_z: int, of_scale: int
) -> float:
    """The factor times W z^of_z / scale^of_scale, with exponents of 2 kept apart."""
    # The root that surely stays inside the floating range; where u is large none is needed.
    size = 0.5 * (parts.s if math.isinf(parts.b) else parts.b * parts.log_u)
    roots = 1 if size < _SAFE or parts.octaves != 0.0 else (2 if size < 2.0 * _SAFE else 4)
    power, octaves = _weight_power(1.0 / roots, alpha, parts)
    power, exponent = math.frexp(power)
    exponent = (exponent + int(octaves)) * roots
    value = factor
    for _ in range(roots):
        value *= power
    z, z_lo, of_quotient = _quotient(x, scale)
    for _ in range(of_z):
        value = value * z if math.isinf(value) else value * z + value * z_lo
        exponent += of_quotient
    scale, of_divisor = math.frexp(scale)
    for _ in range(of_scale):
        value /= scale
        exponent -= of_divisor
    return math.ldexp(value, exponent)


@kernel
def _power_at_infinity(power: float, constant: float) -> float:
    """Limit of z^power (times a constant that matters only at power 0) as z → ∞."""
    if power < 0.0:
        return 0.0
    return constant if power == 0.0 else math.inf


@kernel
def _expm1_ratio(t: float) -> float:
    """(e^t − 1)/t, 1 at 0."""
    if abs(t) < _TINY:
        return 1.0 + t * (0.5 + t / 6.0)
    return math.expm1(t) / t


@kernel
def _k(y: float) -> float:
    """k(y) = (y − 1 + e^(−y))/y² for y >= −1, ½ at 0."""
    if y >= 1.0:
        return ((y - 1.0) + math.exp(-y)) / y / y
    series = 0.0
    for m in range(len(_K_SERIES) - 1, -1, -1):
        series = series * y + _K_SERIES[m]
    return series


@kernel
def _yk(y: float) -> float:
    """y k(y) = 1 − (1 − e^(−y))/y for y >= 0."""
    return y * _k(y) if y < 1.0 else (y + math.expm1(-y)) / y


@kernel
def _grad_alpha(alpha: float, parts: _Parts) -> float:
    """∂ρ/∂α for finite z != 0 and finite α != 2; see `_formulas.grad_alpha`."""
    log_u, lam, tilt, e = _exponents(alpha, parts)
    if abs(e) <= REACH and lam <= REACH:
        integral = 0.0
        for i in range(len(NODES)):
            node = NODES[i]
            integral += WEIGHTS[i] * math.exp((1.0 - node) * e) * _expm1_ratio(node * tilt)
        return 0.5 * lam * (log_u * log_u * integral)
    if alpha < 0.0:
        exp_e = math.exp(e)
        if e <= -1.0:
            # In this order for |α| near 1e154, where 1/α² is all but subnormal.
            first = ((e - 1.0) * exp_e + 1.0) / e
            return (0.5 * log_u * first) * (log_u / e) - 0.5 * log_u * exp_e * _yk(log_u)
        return (0.5 * log_u) * exp_e * (log_u * _k(e) - _yk(log_u))
    if alpha > 2.0 and log_u < 2.0:
        factor = log_u * (_k(log_u) - _k(e))
    else:
        decay = math.exp(-min(e, log_u)) * _expm1_ratio(-lam)
        factor = 0.5 * abs(alpha - 2.0) * (log_u * _k(e) - _expm1_ratio(-e) + decay)
    # The fewer factors the power is taken in, the fewer of its roundings are multiplied.
    if e < _SAFE:
        return (0.5 * log_u * _loss_power(1.0, alpha, parts)) * factor
    if e < 2.0 * _SAFE:
        half = _loss_power(0.5, alpha, parts)
        return (0.5 * log_u * half) * (factor * half)
    quarter = _loss_power(0.25, alpha, parts)
    return (0.5 * log_u * quarter * quarter) * (quarter * factor * quarter)


@kernel
def loss(x: float, alpha: float, scale: float) -> float:
    """ρ."""
    if _illegal(x, alpha, scale):
        return math.nan
    if math.isinf(x):
        if alpha >= 0.0:
            return math.inf
        return 1.0 if math.isinf(alpha) else (alpha - 2.0) / alpha
    if alpha == 2.0:
        z = x / scale
        return (0.5 * abs(z)) * abs(z)
    parts = _parts(x, alpha, scale)
    _, lam, _, e = _exponents(alpha, parts)
    if abs(e) < _TINY:
        return lam * (1.0 + e * (0.5 + e / 6.0))
    b_over_alpha = math.copysign(1.0, alpha) if parts.b >= _WIDE else parts.b / alpha
    if e <= 1.0:
        return b_over_alpha * math.expm1(e)
    if e < _SAFE:
        return b_over_alpha * (_loss_power(1.0, alpha, parts) - 1.0)
    half = _loss_power(0.5, alpha, parts)
    return (b_over_alpha * half) * half


@kernel
def influence(x: float, alpha: float, scale: float) -> float:
    """ψ = ∂ρ/∂x."""
    if _illegal(x, alpha, scale):
        return math.nan
    if math.isinf(x):
        return math.copysign(_power_at_infinity(alpha - 1.0, 1.0 / scale), x)
    if x == 0.0:
        return x
    z = x / scale
    parts = _parts(x, alpha, scale)
    if _is_tame(z, scale):
        power, _ = _weight_power(1.0, alpha, parts)
        if _is_moderate(power):
            z_lo: float = fma(-z, scale, x) / scale
            return (z * power + z_lo * power) / scale
    return _product(x, alpha, scale, parts, 1.0, 1, 1)


@kernel
def weight(x: float, alpha: float, scale: float) -> float:
    """w = ψ/x."""
    if _illegal(x, alpha, scale):
        return math.nan
    if math.isinf(x):
        return _power_at_infinity(alpha - 2.0, (1.0 / scale) / scale)
    parts = _parts(x, alpha, scale)
    if _is_tame(x / scale, scale):
        power, _ = _weight_power(1.0, alpha, parts)
        if _is_moderate(power):
            return power / (scale * scale)
    return _product(x, alpha, scale, parts, 1.0, 0, 2)


@kernel
def curvature(x: float, alpha: float, scale: float) -> float:
    """ψ' = w (1 + (α − 2) u/(1 + u))."""
    if _illegal(x, alpha, scale):
        return math.nan
    if math.isinf(x):
        return _power_at_infinity(alpha - 2.0, (1.0 / scale) / scale)
    parts = _parts(x, alpha, scale)
    ratio = 1.0 + _pull(alpha, parts)
    if _is_tame(x / scale, scale):
        power, _ = _weight_power(1.0, alpha, parts)
        if _is_moderate(power):
            return power * ratio / (scale * scale)
    return _product(x, alpha, scale, parts, ratio, 0, 2)


@kernel
def grad_alpha(x: float, alpha: float, scale: float) -> float:
    """∂ρ/∂α."""
    if _illegal(x, alpha, scale):
        return math.nan
    if x == 0.0 or alpha == math.inf or (alpha == -math.inf and not math.isinf(x)):
        return 0.0
    if math.isinf(x):
        return (1.0 / alpha) * (2.0 / alpha) if alpha < 0.0 else math.inf
    if alpha == 2.0:
        return math.inf
    return _grad_alpha(alpha, _parts(x, alpha, scale))


@kernel
def grad_scale(x: float, alpha: float, scale: float) -> float:
    """∂ρ/∂c = −x ψ/c."""
    if _illegal(x, alpha, scale):
        return math.nan
    if math.isinf(x):
        return -_power_at_infinity(alpha, 2.0 / scale)
    parts = _parts(x, alpha, scale)
    if _is_tame(x / scale, scale):
        power, _ = _weight_power(1.0, alpha, parts)
        if _is_moderate(power) and parts.s * power < 1e270:
            return -(parts.s * power + parts.s_lo * power) / scale
    return _product(x, alpha, scale, parts, -1.0, 2, 1)
