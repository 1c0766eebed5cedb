"""Asymptotic efficiency of the location estimate at the unit Gaussian, and its tuning constants."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from robloss._backends import compose
from robloss._backends.generic import as_arrays
from robloss._distribution.integrals import both_ends, panels, width
from robloss._domains import ALPHA, EFFICIENCY, SCALE
from robloss._libraries import common_library
from robloss._typing import Array

# notation: c = scale, s = (x/c)², b = |α − 2|, σ = sign(α − 2), u = s/b,
#           ω = c² w = e^(σΛ), A_k = E x² ω^k for x ~ N(0, 1)

# Newton steps for log c, which fall back on halving the bracket.
BRACKETED_STEPS = 30
# Where the Gaussian ends, in its own width: e^(−11²/2) = 5e-27.
END = 11.0
# From this scale on the efficiency is 1: it falls short by about 1.5 c^(−4).
FAR_SCALE = 1e5
# Size of x, beside where the integrand of A_k is largest, below which it is nothing: x³ counts.
NEGLIGIBLE = 1e-5
# How far log x runs from there until the integrand, for α < 2, is no longer like x³; and the range
# of log x in which the Gaussian falls. Both have a panel of their own.
RISE, FALL = 12.5, 5.0
# From this log(x/c) on log1p(u) is log u, whatever b.
FAR = 40.0
# From this b on 1 + s/b is of no consequence: the loss is its limit at ±inf.
WIDE = 1e15


def efficiency(alpha: Array, scale: Array) -> Array:
    r"""Asymptotic efficiency of the location estimate when the residuals are N(0, 1).

    .. math::

        e(\alpha, c) = \frac{(\operatorname{E} \psi'(x))^2}{\operatorname{E} \psi(x)^2},
        \quad x \sim N(0, 1)

    The ratio of the variance of the mean to that of the M-estimate with this loss, as the number of
    residuals grows.

    Parameters
    ----------
    alpha : array or float
        Shape, in [-inf, inf].
    scale : array or float
        Scale, in units of the residuals' standard deviation; in (0, inf).

    Returns
    -------
    array
        Efficiency in [0, 1], in the broadcast shape of the arguments and in their array library,
        device and floating dtype.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, or if torch tensors lie on several devices.

    See Also
    --------
    scale_for_efficiency : the inverse in scale.

    Notes
    -----
    It is 1 at alpha = 2; at alpha = ±inf it is (1 ∓ 2/c²)^(3/2)/(1 ∓ 1/c²)³ (0 where that does not
    exist). E ψ' is computed as E xψ, by Stein's identity. The relative error is at most 1e-12 for
    scales from 1e-20 upwards, 5e-12 for all normal numbers (tests/unit/test_efficiency.py).

    References
    ----------
    P. J. Huber, E. M. Ronchetti, "Robust Statistics", 2nd ed., Wiley 2009.

    Examples
    --------
    >>> from robloss import efficiency
    >>> round(float(efficiency(1.0, 1.287)), 4)
    0.95
    """
    return compose(_efficiency, (ALPHA, SCALE), alpha, scale)


def scale_for_efficiency(alpha: Array, efficiency: Array = 0.95) -> Array:
    """Scale that gives an asymptotic efficiency when the residuals are N(0, 1).

    Parameters
    ----------
    alpha : array or float
        Shape, in [-inf, inf].
    efficiency : array or float, default 0.95
        Desired efficiency, in (0, 1).

    Returns
    -------
    array
        Scale in units of the residuals' standard deviation, in the broadcast shape of the
        arguments and in their array library, device and floating dtype. NaN where no scale has
        so low an efficiency: at alpha = 2 every scale has efficiency 1, and near 2 the efficiency
        has a positive limit for scale → 0 (0.927 at alpha = 1.5).

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain, or asks for an efficiency that no scale
        has (in other libraries' arrays such a value gives NaN), if the shapes do not broadcast, or
        if torch tensors lie on several devices.

    See Also
    --------
    efficiency

    Notes
    -----
    Newton's method is applied to log scale within a bracket. The relative error is at most 1e-12
    for efficiencies from 0.85 to 0.99 (tests/unit/test_efficiency.py). Textbook constants refer to
    other definitions of the scale: 2.385 for Cauchy and 2.985 for Welsch are √2 times the values
    here.

    Examples
    --------
    >>> from robloss import scale_for_efficiency
    >>> round(float(scale_for_efficiency(0.0)), 4)
    1.6864
    """
    result = compose(_scale, (ALPHA, EFFICIENCY), alpha, efficiency)
    library, _ = common_library({"alpha": alpha, "efficiency": efficiency})
    if library == "numpy":
        _check_reachable(result, np.asarray(alpha, float), np.asarray(efficiency, float))
    return result


def _check_reachable(result: Any, alpha: Any, efficiency: Any) -> None:
    """Refuse an efficiency that no scale has; NaN passes where it was given."""
    wrong = np.asarray(np.isnan(result) & ~np.isnan(alpha) & ~np.isnan(efficiency))
    if not wrong.any():
        return
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    shape, asked = (
        float(np.broadcast_to(one, np.shape(result))[index]) for one in (alpha, efficiency)
    )
    where = f" at index {index}" if index else ""
    if shape == 2:
        raise ValueError(
            f"`alpha` must not be 2, where every scale has efficiency 1, but got 2.0{where}. "
            "Pass another alpha, or choose any scale."
        )
    lowest = math.exp(_lowest(np, result))
    least = float(compose(_efficiency, (ALPHA, SCALE), shape, lowest))
    raise ValueError(
        f"`efficiency` must exceed {least:.10g} for alpha = {shape:g}, but got {asked!r}{where}. "
        f"No scale down to {lowest:.1e} makes the estimate less efficient; move alpha away from 2 "
        "or raise the efficiency."
    )


def _efficiency(xp: Any, alpha: Array, scale: Array) -> Array:
    alpha, scale = xp.broadcast_arrays(*as_arrays(xp, alpha, scale))
    legal = (scale > 0) & (scale < math.inf) & ~xp.isnan(alpha)
    whole = (alpha == 2) | (scale >= FAR_SCALE)
    value, _ = _log_efficiency(xp, alpha, xp.where(legal & ~whole, scale, 1.0))
    value = xp.exp(xp.where(value < 0, value, 0.0))  # not 1 + ε by rounding
    return xp.where(legal, xp.where(whole, 1.0, value), math.nan)


def _log_efficiency(xp: Any, alpha: Array, c: Array) -> tuple[Array, Array]:
    """Logarithm of the efficiency and its derivative in log c."""
    (first, first_slope), (second, second_slope) = (
        _log_mean(xp, alpha, c, power) for power in (1.0, 2.0)
    )
    normal = math.log(2 / math.sqrt(2 * math.pi))
    return 2 * first - second + normal, 2 * first_slope - second_slope


def _log_mean(xp: Any, alpha: Array, c: Array, power: float) -> tuple[Array, Array]:
    """log A_k √(π/2) and its derivative in log c, also where A_k itself is not a number.

    By quadrature in y = log(x/c), where the integrand is x³ ω^k e^(−x²/2): x runs to the end of
    the Gaussian, from where x³ has vanished beside what follows; nothing overflows for any c.
    """
    above = alpha > 2
    b = xp.abs(alpha - 2)
    b = xp.where(b > 0, xp.where(b < WIDE, b, WIDE), 1.0)
    sigma = xp.where(above, 1.0, xp.where(alpha == 2, 0.0, -xp.ones_like(alpha)))
    log_c = xp.log(c)
    log_peak, peak, spread = _peak(xp, b, c, sigma * power)
    log_m = xp.log(width(xp, alpha))
    log_m = xp.where(log_m + log_c < math.log(2), log_m, math.log(2) - log_c)
    near = xp.where(peak > 2 * END * spread, 1 - END * spread / peak, NEGLIGIBLE)
    bottom = xp.where(above, log_peak + xp.log(near), log_m + math.log(NEGLIGIBLE))
    top = xp.log(xp.where(above, peak + END * spread, END)) - log_c

    def exponent(y: Array, b: Array, c: Array, sigma: Array) -> tuple[Array, Array]:
        """Of the integrand, and s/(1 + u)."""
        root = xp.exp(0.5 * y)
        x = c * root * root
        far = y > FAR
        s = xp.where(far, 1.0, root) ** 4
        log_u = xp.where(far, 2 * y - xp.log(b), xp.log1p(s / b))
        pull = xp.where(far, b, s / (1 + s / b))
        return 3 * y + power * sigma * (0.5 * b) * log_u - 0.5 * x * x, pull

    shift, _ = exponent(log_peak, b, c, sigma)
    total = slope = xp.zeros_like(c)
    last = tuple(one[..., None] for one in (b, c, sigma))
    for y, dh in _places(xp, bottom, top, above):
        size, pull = exponent(y, *last)
        term = dh * xp.exp(size - shift[..., None])
        total = total + xp.sum(term, axis=-1)
        slope = slope - power * xp.sum(term * last[2] * pull, axis=-1)
    return xp.log(total) + shift + 3 * log_c, slope / total


def _places(xp: Any, bottom: Array, top: Array, above: Array) -> Iterator[tuple[Array, Array]]:
    """Yield y and dy: a panel for the rise, what follows, and a panel for the Gaussian's end."""
    length = top - bottom
    first = xp.where(above | (length < 2 * RISE), 0.5 * length, RISE)
    last = xp.where(length - FALL > first, length - FALL, first)
    for start, places in (
        (bottom, panels(xp, first)),
        (bottom + first, both_ends(xp, last - first)),
        (bottom + last, panels(xp, length - last)),
    ):
        for h, dh in places:
            yield start[..., None] + h, dh


def _peak(xp: Any, b: Array, c: Array, pull: Array) -> tuple[Array, Array, Array]:
    """Where x³ ω^k e^(−x²/2) is largest, as log(x/c) and as x, and a bound of its width."""
    least = float(xp.finfo(c.dtype).smallest_normal)
    bcc = xp.where(b * c * c > least, b * c * c, least)
    half = 0.5 * (3 + b * (pull - c * c))
    root = xp.hypot(half, xp.sqrt(3 * bcc))
    rising = half > 0
    square = xp.where(rising, half + root, 3 * bcc / xp.where(rising, 1.0, root - half))
    log_square = xp.where(
        rising, xp.log(square) - 2 * xp.log(c), xp.log(3 * b / xp.where(rising, 1.0, root - half))
    )
    bend = 1 + 3 / square + b * pull / (bcc + square) * ((square - bcc) / (bcc + square))
    bend = xp.where(bend > 1e-2, xp.where(bend < 1, bend, 1.0), 1e-2)
    return 0.5 * log_square, xp.sqrt(square), 1 / xp.sqrt(bend)


def _lowest(xp: Any, array: Array) -> float:
    """The lower end of the bracket of log c: the smallest normal number, and room to round it.

    JAX takes a smaller one for 0.
    """
    return math.log(16 * float(xp.finfo(array.dtype).smallest_normal))


def _scale(xp: Any, alpha: Array, target: Array) -> Array:
    alpha, target = xp.broadcast_arrays(*as_arrays(xp, alpha, target))
    low = xp.zeros_like(target) + _lowest(xp, target)
    high = xp.zeros_like(target) + math.log(FAR_SCALE)
    legal = (target > 0) & (target < 1) & ~xp.isnan(alpha) & (alpha != 2)
    least, _ = _log_efficiency(xp, alpha, xp.exp(low))
    legal = legal & (xp.exp(least) < target)
    # The loss of efficiency 1 - e falls from 1 to like c^(-4): log(e/(1 - e)) is nearly linear.
    goal = xp.where(legal, target, 0.5)
    goal = xp.log(goal) - xp.log1p(-goal)
    position = xp.zeros_like(target)
    for _ in range(BRACKETED_STEPS):
        log_e, slope = _log_efficiency(xp, alpha, xp.exp(position))
        loss = -xp.expm1(log_e)
        loss = xp.where(loss > 0, loss, xp.finfo(target.dtype).eps)
        excess = log_e - xp.log(loss) - goal
        low, high = xp.where(excess < 0, position, low), xp.where(excess < 0, high, position)
        step = -excess * loss / slope
        new = position + step
        # Above alpha = 2 the efficiency breaks down so fast that steps up from there hardly move.
        slow = (alpha > 2) & (excess < -0.5) & (step < 0.25 * (high - low))
        # A step below the noise may leave a bracket whose end is as noisy.
        inside = ((new >= low) & (new <= high) & ~slow) | (xp.abs(step) < 1e-5)
        position = xp.where(inside, new, 0.5 * (low + high))
    return xp.where(legal, xp.exp(position), math.nan)
