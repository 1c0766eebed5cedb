"""The mathematics spelled for scalars and compiled by Numba, for NumPy arrays.

The expressions are those of `_formulas`, with branches in the place of `where`. Everything is
computed in float64, so that a float32 result is rounded once. Each operation is a NumPy ufunc:
broadcasting, strides and ``out=`` are NumPy's.

All that a cached function calls lives in this file, since Numba's disk cache watches no other; the
quadrature rule, which it takes as constants, is a mathematical fact that does not change.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit, vectorize

from robloss._quadrature import NODES, REACH, WEIGHTS

# notation: z = x/c, s = z², b = |α − 2|, σ = sign(α − 2), u = s/b, L = log1p(u),
#           Λ = (b/2) L, E = (α/2) L, V = e^(σΛ/2), k(y) = (y − 1 + e^(−y))/y²

_HUGE = 2.0**400  # |z| from which on z² is not formed
_TINY = 2.0**-18  # below it three terms of a series for log1p or expm1 leave less than half an ulp
_WIDE = 2.0**60  # b from which on α/b is ±1 to working precision
_LOW = -1400.0  # σΛ below which V is not a normal number any more
_K_SERIES = tuple((-1.0) ** m / math.factorial(m + 2) for m in range(18))

_SIGNATURES = ["float32(float32, float64, float64)", "float64(float64, float64, float64)"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _scalar(function: _Function) -> _Function:
    """Compile what the ufuncs call; Numba carries no types."""
    return cast("_Function", njit(error_model="numpy", cache=True)(function))


def _ufunc(function: _Function) -> _Function:
    """Compile a NumPy ufunc."""
    return cast("_Function", vectorize(_SIGNATURES, cache=True)(function))


@_scalar
def _illegal(z: float, alpha: float, scale: float) -> bool:
    """Whether the result is NaN: an argument is, or scale lies outside (0, inf)."""
    return math.isnan(z) or math.isnan(alpha) or not (0.0 < scale < math.inf)


@_scalar
def _parts(z: float, alpha: float) -> tuple[float, float, float, float, float]:
    """L, Λ, σΛ, E and (α − 2) u/(1 + u) for finite z."""
    if alpha == 2.0:
        return math.inf, 0.0, 0.0, math.inf, 0.0
    size = abs(z)
    b = abs(alpha - 2.0)
    if size < _HUGE:
        s = size * size
        u = s / b
        log_u = math.log1p(u)
    else:
        # s is saturated: where it would overflow, only e^(−s) = 0 or e^s = inf are wanted of it.
        s = _HUGE * _HUGE
        y = size / math.sqrt(b)
        if y < _HUGE:
            u = y * y
            log_u = math.log1p(u)
        else:
            u = math.inf
            log_u = 2.0 * math.log(y)
    exponent = 0.5 * alpha * log_u
    if u < _TINY:
        lam = 0.5 * s * (1.0 - u * (0.5 - u / 3.0))
    elif -4.0 <= alpha <= 1.0:
        lam = log_u - exponent  # spares the rounding of α − 2 and a product
    else:
        lam = 0.5 * b * log_u
    sigma = 1.0 if alpha > 2.0 else -1.0
    tilt = sigma * lam
    if b >= _WIDE:
        exponent = tilt
    pull = sigma * (s / (1.0 + u) if u < 1.0 else b / (1.0 + 1.0 / u))
    return log_u, lam, tilt, exponent, pull


@_scalar
def _power_at_infinity(power: float, constant: float) -> float:
    """Limit of z^power (times a constant that matters only at power 0) as z → ∞."""
    if power < 0.0:
        return 0.0
    return constant if power == 0.0 else math.inf


@_scalar
def _expm1_ratio(t: float) -> float:
    """(e^t − 1)/t, 1 at 0."""
    if abs(t) < _TINY:
        return 1.0 + t * (0.5 + t / 6.0)
    return math.expm1(t) / t


@_scalar
def _k(y: float) -> float:
    """k(y) = (y − 1 + e^(−y))/y² for y >= −1, ½ at 0."""
    if y >= 1.0:
        return ((y - 1.0) + math.exp(-y)) / y / y
    series = 0.0
    for m in range(len(_K_SERIES) - 1, -1, -1):
        series = series * y + _K_SERIES[m]
    return series


@_scalar
def _yk(y: float) -> float:
    """y k(y) = 1 − (1 − e^(−y))/y for y >= 0."""
    return y * _k(y) if y < 1.0 else (y + math.expm1(-y)) / y


@_scalar
def _grad_alpha(alpha: float, log_u: float, lam: float, tilt: float, exponent: float) -> float:
    """∂ρ/∂α for finite z != 0 and finite α != 2; see `_formulas.grad_alpha`."""
    e = exponent
    if abs(e) <= REACH and lam <= REACH:
        integral = 0.0
        for i in range(len(NODES)):
            node = NODES[i]
            integral += WEIGHTS[i] * math.exp((1.0 - node) * e) * _expm1_ratio(node * tilt)
        return 0.5 * lam * (log_u * log_u * integral)
    if alpha < 0.0:
        exp_e = math.exp(e)
        if e > -1.0:
            first = log_u * exp_e * _k(e)
        else:
            first = (log_u / e) * (((e - 1.0) * exp_e + 1.0) / e)
        return (0.5 * log_u) * (first - exp_e * _yk(log_u))
    quarter = math.exp(0.25 * e)
    if alpha > 2.0 and log_u < 2.0:
        factor = log_u * (_k(log_u) - _k(e))
    else:
        decay = math.exp(-min(e, log_u)) * _expm1_ratio(-lam)
        factor = 0.5 * abs(alpha - 2.0) * (log_u * _k(e) - _expm1_ratio(-e) + decay)
    return (0.5 * log_u * quarter * quarter) * (quarter * factor * quarter)


@_ufunc
def loss(x: float, alpha: float, scale: float) -> float:
    """ρ."""
    z = x / scale
    if _illegal(z, alpha, scale):
        return math.nan
    if math.isinf(z):
        if alpha >= 0.0:
            return math.inf
        return 1.0 if math.isinf(alpha) else (alpha - 2.0) / alpha
    if alpha == 2.0:
        return (0.5 * abs(z)) * abs(z)
    _, lam, _, exponent, _ = _parts(z, alpha)
    if abs(exponent) < _TINY:
        return lam * (1.0 + exponent * (0.5 + exponent / 6.0))
    half = math.expm1(0.5 * exponent)
    b = abs(alpha - 2.0)
    b_over_alpha = math.copysign(1.0, alpha) if b >= _WIDE else b / alpha
    return (b_over_alpha * half) * (half + 2.0)


@_ufunc
def influence(x: float, alpha: float, scale: float) -> float:
    """ψ = ∂ρ/∂x."""
    z = x / scale
    if _illegal(z, alpha, scale):
        return math.nan
    if math.isinf(z):
        return math.copysign(_power_at_infinity(alpha - 1.0, 1.0 / scale), z)
    _, _, tilt, _, _ = _parts(z, alpha)
    v = math.exp(0.5 * tilt)
    return (z * v) * (v / scale)


@_ufunc
def weight(x: float, alpha: float, scale: float) -> float:
    """w = ψ/x."""
    z = x / scale
    if _illegal(z, alpha, scale):
        return math.nan
    if math.isinf(z):
        return _power_at_infinity(alpha - 2.0, (1.0 / scale) / scale)
    _, _, tilt, _, _ = _parts(z, alpha)
    v = math.exp(0.5 * tilt) / scale
    return v * v


@_ufunc
def curvature(x: float, alpha: float, scale: float) -> float:
    """ψ' = w (1 + (α − 2) u/(1 + u))."""
    z = x / scale
    if _illegal(z, alpha, scale):
        return math.nan
    if math.isinf(z):
        return _power_at_infinity(alpha - 2.0, (1.0 / scale) / scale)
    _, _, tilt, _, pull = _parts(z, alpha)
    v = math.exp(0.5 * tilt) / scale
    return (v * (1.0 + pull)) * v


@_ufunc
def grad_alpha(x: float, alpha: float, scale: float) -> float:
    """∂ρ/∂α."""
    z = x / scale
    if _illegal(z, alpha, scale):
        return math.nan
    if z == 0.0 or (math.isinf(alpha) and not math.isinf(z)):
        return 0.0
    if math.isinf(z):
        if alpha == math.inf:
            return 0.0
        return (1.0 / alpha) * (2.0 / alpha) if alpha < 0.0 else math.inf
    if alpha == 2.0:
        return math.inf
    log_u, lam, tilt, exponent, _ = _parts(z, alpha)
    return _grad_alpha(alpha, log_u, lam, tilt, exponent)


@_ufunc
def grad_scale(x: float, alpha: float, scale: float) -> float:
    """∂ρ/∂c = −x ψ/c."""
    z = x / scale
    if _illegal(z, alpha, scale):
        return math.nan
    if math.isinf(z):
        return -_power_at_infinity(alpha, 2.0 / scale)
    _, _, tilt, _, _ = _parts(z, alpha)
    if tilt > _LOW:
        zv = z * math.exp(0.5 * tilt)
    else:
        quarter = math.exp(0.25 * tilt)
        zv = (z * quarter) * quarter
    return -zv * (zv / scale)
