"""The loss of a vector by its length: what it exceeds the usual one by.

# notation: ε = ‖r‖/c, d = number of components, m = √(d − 1), u = max(ε − m, 0),
#           b = 2 − α, t = 1 + u²/b

The length of d unit normal deviates has its mode at m, not at 0: a vector of that length is as
ordinary as can be, and weighs 1, as all shorter ones do; a longer one weighs w(u). The loss that
has these weights, ℓ'(ε) = ε w(u), is

    ℓ(ε) = min(ε, m)²/2 + ρ(u) + m ∫₀^u w,

which is ρ itself for d = 1. It is concave in ε² for α ≤ 2, so that reweighting cannot raise it.

T. Hitchcox, J. R. Forbes, "Mind the Gap: Norm-Aware Adaptive Robust Loss for Multivariate
Least-Squares Problems", IEEE Robotics and Automation Letters 7 (2022).
"""

import math
from typing import Any

from robloss._backends import evaluate
from robloss._distribution.integrals import nodes, panels
from robloss._typing import Array

# Where the weight has fallen to e^(−this), what is left of its integral is below e^(−40) of it for
# α <= 0; above it that is farther away than 10^17 scales.
_FALL = 80.0
# From here on the weight is its limit at −∞ to rounding, for all u at which it is not negligible.
_LOWEST = -1e17


def integral_of_weight(xp: Any, u: Array, alpha: float) -> Array:
    """∫₀^u w at scale 1, for α <= 2 and u >= 0, to 1e-14 of it (tests/fit/test_vectors.py)."""
    if alpha == 2:
        return u
    b = 2.0 - max(alpha, _LOWEST)
    fall = 2.0 * _FALL / b
    end = math.sqrt(b * math.expm1(fall)) if fall < 600.0 else math.inf
    m = xp.full_like(u, min(math.sqrt(b), 2.0))
    length = xp.asinh(xp.where(u < end, u, end) / m)
    zero = xp.zeros_like(u)
    total = zero
    for x, dx in nodes(xp, zero, panels(xp, length), m):
        total = total + xp.sum(dx * evaluate("weight", x, alpha, 1.0), axis=-1)
    return total * m


def excess(xp: Any, epsilon: Array, components: int) -> Array:
    """What a length in units of the scale exceeds the mode by."""
    beyond = epsilon - math.sqrt(components - 1.0)
    return xp.where(beyond > 0, beyond, xp.zeros_like(beyond))


def law(
    xp: Any, epsilon: Array, components: int, alpha: float
) -> tuple[Array, Array, Array, Array]:
    """ℓ, its two derivatives in ε, and w, for α <= 2."""
    m, u = math.sqrt(components - 1.0), excess(xp, epsilon, components)
    weight = evaluate("weight", u, alpha, 1.0)
    inside = xp.where(u > 0, xp.full_like(epsilon, m), epsilon)
    beyond = evaluate("loss", u, alpha, 1.0) + m * integral_of_weight(xp, u, alpha)
    loss = 0.5 * inside * inside + beyond
    bend = -u * weight / (1.0 + u * u / (2.0 - alpha)) if alpha < 2 else xp.zeros_like(u)
    return loss, epsilon * weight, weight + epsilon * bend, weight
