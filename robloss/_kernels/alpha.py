"""Derivatives in α up to the second: one spelling for vectors and for arrays of any library."""

import math
from typing import Any

# ∫₀¹ t² e^(Et) dt = Σ E^k/(k! (k + 3)); for |E| < 1 what follows the 18th term is below 1e-17.
MOMENTS = tuple(1 / (math.factorial(k) * (k + 3)) for k in range(18))
_LAST = len(MOMENTS) - 1


def derivatives(
    z: Any, alpha: float, log_t: Any, t: Any, power: Any, fma: Any, where: Any
) -> tuple[Any, Any, Any]:
    """∂ψ/∂α, ∂ρ/∂α and ∂²ρ/∂α² at scale 1 and a finite α other than 2.

    With ρ = Λ φ(E), φ(E) = (e^E − 1)/E, Λ = |α − 2| L/2, E = α L/2, L = log t, t = 1 + u,
    u = z²/|α − 2|; a name ending in _1 or _2 is a derivative with respect to α, v = u/t.

    Parameters
    ----------
    z, log_t, t, power : vector or array
        The residual, L, t and t^(α/2).
    alpha : float
    fma, where : callable
        a b + c, and the choice by a mask.
    """
    d = alpha - 2.0
    b = abs(d)
    sign = math.copysign(1.0, d)
    share = alpha / d
    v = z * z / b / t
    bent = log_t - v
    lam = (0.5 * b) * log_t
    lam_1 = (0.5 * sign) * bent
    lam_2 = (-0.5 / b) * (v * v)
    e = (0.5 * alpha) * log_t
    e_1 = 0.5 * fma(v, -share, log_t)
    e_2 = (v / d) * ((0.5 * share) * (2.0 - v) - 1.0)
    # φ and its derivatives are ∫₀¹ t^k e^(Et) dt: each gives the next, one way or the other.
    third = e * 0.0 + MOMENTS[_LAST]
    for k in range(_LAST - 1, -1, -1):
        third = fma(third, e, MOMENTS[k])
    second = 0.5 * fma(-e, third, power)
    first = fma(-e, second, power)
    small = e * e < 1.0
    inverse = 1.0 / where(small, 1.0, e)
    first = where(small, first, (power - 1.0) * inverse)
    second = where(small, second, (power - first) * inverse)
    third = where(small, third, (power - 2.0 * second) * inverse)
    along = lam * e_1
    slope = fma(second, along, lam_1 * first)
    inner = fma(second, fma(lam, e_2, 2.0 * lam_1 * e_1), lam_2 * first)
    bow = fma(third, along * e_1, inner)
    return 0.5 * z * (power / t) * bent, slope, bow
