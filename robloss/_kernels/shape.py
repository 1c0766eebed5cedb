"""∂ρ/∂α on vectors of residuals.

With k(y) = (y − 1 + e^(−y))/y², ½ at 0,

    ∂ρ/∂α = ½ L² P |k(E) − k(L)| = ½ Λ L² P · (k(E) − k(L))/(L − E)

Where E and L are small, k is a polynomial, whose difference quotient on the right can be computed
without subtracting its values. Elsewhere k has its closed form, and the difference is arranged in
terms that do not cancel: as it stands for α < 0, and as in `_formulas.grad_alpha` for other α.
"""

from typing import Any

import numpy as np

from robloss._kernels import exact
from robloss._kernels.compiling import kernel, part
from robloss._kernels.memory import store
from robloss._kernels.vector import absolute, any_of, constant, lane, secant, where

# notation: L = log t, E = p L, P = t^p = e^E, p = α/2, Λ = |p − 1| L, q(y) = (1 − e^(−y))/y
#           = 1 − y k(y); a name ending in _lo is the remainder of the one without

# The L above which, for α > 2, k(L) − k(E) cancels more than the terms of the other arrangement: at
# this point, with E = 3, both lose a factor of 5.
_CROSSING = 1.5


@part
def _bounded(y: Any) -> Any:
    """y, clipped to the range of the polynomial k, minus the centre of its powers."""
    reach = constant(y, "REACH")
    return where(y > reach, reach, where(y < -reach, -reach, y)) - constant(y, "CENTER")


@part
def grad_alpha(growth: Any) -> tuple[Any, Any]:
    """∂ρ/∂α, and the lanes in which it is accurate (if `growth` is)."""
    log, t, power = growth.log, growth.t, growth.power
    reach = constant(log, "REACH")
    p = log * 0.0 + growth.p
    e = log * p
    lam = absolute(growth.tilt) * log
    is_far = (absolute(e) > reach) | (log > reach)
    # For α > 2 the difference of k is used up to the crossing, the other arrangement beyond.
    is_between = (p > 1.0) & (log < _CROSSING)
    is_rising = is_far & (p >= 0.0) & ~is_between

    at, to = _bounded(e), _bounded(where(is_rising, lam, log))
    k_e, slope = secant(at, to, "K")
    value = ((-0.5 * slope) * power) * log * log * lam
    k_to = k_e + (to - at) * slope
    is_falling = is_far & (p < 0.0)
    if any_of(is_falling):
        value = where(is_falling, _redescending(log, t, power, p, e, k_e, k_to), value)
    is_growing = is_far & (p >= 0.0)
    if any_of(is_growing):
        other = _rising(log, t, power, p, e, lam, growth.tilt, k_e, k_to, is_between)
        value = where(is_growing, other, value)
    is_good = (value >= constant(value, "LEAST")) | (log == 0.0)
    return value, is_good & (absolute(p) < 0.5 * constant(log, "INFINITE"))


@part
def _redescending(log: Any, t: Any, power: Any, p: Any, e: Any, k_e: Any, k_log: Any) -> Any:
    """½ L² P (k(E) − k(L)) for α < 0, E² P k(E) as 1 + (E − 1) P where E is large."""
    reach = constant(log, "REACH")
    drop = where(log > reach, 1.0 - (1.0 - 1.0 / t) / log, log * k_log)
    first = where(e < -reach, (1.0 + (e - 1.0) * power) / (p * p), power * log * (log * k_e))
    return 0.5 * (first - power * log * drop)


@part
def _rising(
    log: Any, t: Any, power: Any, p: Any, e: Any, lam: Any, tilt: Any, k_e: Any, k_to: Any,
    is_between: Any,
) -> Any:  # fmt: skip
    """½ b (L k(E) − q(E) + e^(−min(E, L)) q(Λ)) · ½ L P for α >= 0; or L (k(L) − k(E)) · ½ L P."""
    reach = constant(log, "REACH")
    inverse = 1.0 / power
    q_e = where(e > reach, (1.0 - inverse) / e, 1.0 - e * k_e)
    k_e = where(e > reach, (1.0 - q_e) / e, k_e)
    over = 1.0 / t
    is_below = p < 1.0
    decay = where(is_below, power * over, inverse * t)  # e^(−Λ)
    q_lam = where(lam > reach, (1.0 - decay) / lam, 1.0 - lam * k_to)
    bracket = log * k_e - q_e + where(is_below, inverse, over) * q_lam
    factor = where(is_between, log * (k_to - k_e), absolute(tilt) * bracket)
    return ((0.5 * log) * factor) * power


@part
def put(start: Any, count: Any, x: Any, alpha: Any, scale: Any, parts: Any, output: Any) -> None:
    """Store ∂ρ/∂α, if there is an output for it; lanes that are not served are computed exactly."""
    if output is not None:
        value, served = of_parts(parts.growth, x, parts.loss_served)
        store(output, start, count, value)
        if any_of(~served):
            _mend(start, count, served, x, alpha, scale, output)


@part
def of_parts(growth: Any, x: Any, served: Any) -> Any:
    """∂ρ/∂α and the lanes in which it is accurate: none at α = 2 and −∞."""
    if growth is None:
        return x, served & (x != x)
    value, is_good = grad_alpha(growth)
    return value, served & is_good


@kernel
def _mend(start: Any, count: Any, served: Any, x: Any, alpha: Any, scale: Any, output: Any) -> None:
    for i in range(count):
        if not lane(served, i):
            at = np.float64(lane(x, i)), np.float64(lane(alpha, i)), np.float64(lane(scale, i))
            output[start + i] = exact.grad_alpha(*at)
