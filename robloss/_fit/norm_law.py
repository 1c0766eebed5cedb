"""The loss of a vector, as a function of its length's excess over the usual length.

# notation: ε = ‖r‖/c, d = number of components, m = √(d − 1), u = max(ε − m, 0),
#           b = 2 − α, t = 1 + u²/b

The length of a vector of d standard normal numbers has its mode at m, not at 0: vectors up to that
length are ordinary and weigh 1; longer ones weigh w(u). The loss with these weights, ℓ'(ε) = ε
w(u), is

    ℓ(ε) = min(ε, m)²/2 + ρ(u) + m ∫₀^u w,

which is ρ itself for d = 1. For α ≤ 2 it is concave in ε², so that reweighting cannot raise it.

T. Hitchcox, J. R. Forbes, "Mind the Gap: Norm-Aware Adaptive Robust Loss for Multivariate
Least-Squares Problems", IEEE Robotics and Automation Letters 7 (2022).
"""

import math
import operator
from collections.abc import Callable
from typing import Any

from robloss._backends import evaluate
from robloss._distribution.integrals import nodes, panels
from robloss._fit.arrays import loss_by_alpha
from robloss._typing import Array

# The integral is cut where the weight has fallen to e^(−this). For α <= 0 the remainder is then
# below e^(−40) of the integral; for α > 0 the cut is farther away than 10^17 scales.
_FALL = 80.0
# Below this α the weight equals its limit at −∞ up to rounding, for all u where it is not
# negligible.
_LOWEST = -1e17


def integral_of_weight(xp: Any, u: Array, alpha: float) -> Array:
    """∫₀^u w at scale 1, for α <= 2 and u >= 0, to a relative 1e-14 (tests/fit/test_vectors.py)."""
    if alpha == 2:
        return u
    return _integrals(xp, u, alpha, lambda x: [evaluate("weight", x, alpha, 1.0)])[0]


def _integrals(
    xp: Any, u: Array, alpha: float, integrands: Callable[[Array], list[Array]]
) -> list[Array]:
    """∫₀^u of the weight, or of functions that fall like it."""
    b = 2.0 - max(alpha, _LOWEST)
    fall = 2.0 * _FALL / b
    end = math.sqrt(b * math.expm1(fall)) if fall < 600.0 else math.inf
    m = xp.full_like(u, min(math.sqrt(b), 2.0))
    length = xp.asinh(xp.where(u < end, u, end) / m)
    zero = xp.zeros_like(u)
    totals: list[Array] = []
    for x, dx in nodes(xp, zero, panels(xp, length), m):
        parts = [xp.sum(dx * part, axis=-1) for part in integrands(x)]
        totals = list(map(operator.add, totals, parts)) if totals else parts
    return [one * m for one in totals]


def excess(xp: Any, epsilon: Array, components: int) -> Array:
    """The excess of a length, in units of the scale, over the mode; 0 below it."""
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


def law_by_alpha(
    xp: Any, epsilon: Array, components: int, alpha: float
) -> tuple[Array, Array, Array]:
    """∂ℓ/∂α, ∂²ℓ/∂α² and ∂ℓ'/∂α, for a finite α < 2."""
    m, u = math.sqrt(components - 1.0), excess(xp, epsilon, components)
    slope, bow, _ = loss_by_alpha(xp, u, alpha)
    of_slope, of_bow = _integrals(xp, u, alpha, lambda x: list(_weight_by_alpha(xp, x, alpha)))
    tilt = epsilon * _weight_by_alpha(xp, u, alpha)[0]
    return slope + m * of_slope, bow + m * of_bow, tilt


def _weight_by_alpha(xp: Any, u: Array, alpha: float) -> tuple[Array, Array]:
    """∂w/∂α and ∂²w/∂α².

    With v = 1 − 1/t and k = (log t − v)/2, which is ∂log w/∂α: w k and w (k² + v²/(2b)).
    """
    b = 2.0 - alpha
    square = u * u / b
    v = square / (1.0 + square)
    weight, k = evaluate("weight", u, alpha, 1.0), 0.5 * (xp.log1p(square) - v)
    return weight * k, weight * (k * k + v * v / (2.0 * b))
