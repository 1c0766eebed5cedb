"""The distribution function and its inverse, both by the lighter tail: never 1 minus a number."""

import math
from typing import Any

from robloss._backends import compose, constant
from robloss._backends.generic import as_arrays
from robloss._distribution.density import TRUNCATED, log_normaliser
from robloss._distribution.integrals import (
    FAR_UNIT,
    inverse_loss,
    log_integral,
    move,
    span,
    unit_loss,
    width,
)
from robloss._domains import ALPHA, DENSITY_ALPHA, PROBABILITY, RESIDUAL, SCALE, TRUNCATION
from robloss._typing import Array

# Newton steps of `ppf`: one more than needed for the worst round trip measured. Of truncated laws a
# step may leave its bracket; and for alpha < 0 a plateau of the density reaches to the truncation,
# the longer, the more steps are needed to find its beginning.
NEWTON_STEPS, TRUNCATED_NEWTON_STEPS, FAR_NEWTON_STEPS = 7, 14, 28
FAR = 1e7


def cdf(x: Array, alpha: Array, scale: Array = 1.0, *, truncation: Array | None = None) -> Array:
    r"""Cumulative distribution function: the probability of a residual not above `x`.

    .. math::

        F(x) = \int_{-\infty}^{x} p(t \mid \alpha, c) \, dt

    Parameters
    ----------
    x : array or float
        Residuals, in any unit.
    alpha : array or float
        Shape, in [0, inf]; with a truncation in [-inf, inf].
    scale : array or float, default 1.0
        Scale, in the unit of `x`; in (0, inf).
    truncation : array or float, optional
        τ, the largest size of x/scale that can occur, in (0, inf]; default: none.

    Returns
    -------
    array
        Probabilities, in the broadcast shape of the arguments and in their array library, device
        and floating dtype. Those below ½ are accurate relative to their size: compute the upper
        tail as ``cdf(-x, ...)``, not as ``1 - cdf(x, ...)``. NaN for alpha < 0 with an infinite
        truncation, where there is no such distribution.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, or if torch tensors lie on several devices.

    See Also
    --------
    ppf, pdf

    Notes
    -----
    The lighter tail is integrated by 64 Gauss–Legendre nodes in asinh x, relative to the density at
    `x`. This takes about 2.5 µs per element (10 with a truncation), with a relative error of at
    most 1e-12 down to 1e-290 (tests/unit/test_distribution.py). alpha = 0 is the Cauchy
    distribution of scale √2 c, alpha = 2 the normal one of standard deviation c.

    Examples
    --------
    >>> import math
    >>> from robloss import cdf
    >>> math.isclose(cdf(-30.0, 2.0), 0.5 * math.erfc(30 / math.sqrt(2)), rel_tol=1e-12)
    True
    """
    if truncation is None:
        return compose(_cdf, (RESIDUAL, DENSITY_ALPHA, SCALE), x, alpha, scale)
    return compose(_cdf, TRUNCATED, x, alpha, scale, truncation)


def ppf(q: Array, alpha: Array, scale: Array = 1.0, *, truncation: Array | None = None) -> Array:
    """Quantile function, the inverse of `cdf`.

    Parameters
    ----------
    q : array or float
        Probabilities, in [0, 1].
    alpha : array or float
        Shape, in [0, inf]; with a truncation in [-inf, inf].
    scale : array or float, default 1.0
        Scale, in the unit of `x`; in (0, inf).
    truncation : array or float, optional
        τ, the largest size of x/scale that can occur, in (0, inf]; default: none.

    Returns
    -------
    array
        Quantiles, in the unit of `scale`, in the broadcast shape of the arguments and in their
        array library, device and floating dtype: -inf at 0 and inf at 1 (∓truncation·scale with
        a truncation, which no quantile exceeds), 0 at ½. NaN for alpha < 0 with an infinite
        truncation, where there is no such distribution.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, or if torch tensors lie on several devices.

    See Also
    --------
    cdf

    Notes
    -----
    A fixed number of Newton steps is taken for the logarithm of the tail, in asinh x: about 22 µs
    per element (80 with a truncation, 160 with one above 1e7 or an array of them).
    ``cdf(ppf(q))`` equals q to a relative 1e-12 in float64, and 2e-5 in float32, down to the
    smallest normal q, unless alpha makes the quantile overflow (tests/unit/test_distribution.py).

    With a truncation the quantile is as accurate, but next to the edge the round trip is not: one
    rounding of the quantile, ε·truncation, can exceed 1e-12 of its distance from the edge. At alpha
    = 2, truncation 2.17, q = 4.4e-10 the relative error is 1.9e-8. There ``cdf(ppf(q))`` equals q
    within 1e-12 absolute; with alpha < 0 and a truncation above 1e40 within 1e-8.

    Examples
    --------
    >>> import math
    >>> from robloss import ppf
    >>> math.isclose(ppf(0.75, 0.0, 2.0), 2 * math.sqrt(2))
    True
    """
    if truncation is None:
        return compose(_ppf, (PROBABILITY, DENSITY_ALPHA, SCALE), q, alpha, scale)
    return compose(_ppf, (PROBABILITY, ALPHA, SCALE, TRUNCATION), q, alpha, scale, truncation)


def _cdf(xp: Any, x: Array, alpha: Array, scale: Array, truncation: Array | None = None) -> Array:
    if truncation is None:
        x, alpha, scale = as_arrays(xp, x, alpha, scale)
    else:
        x, alpha, scale, truncation = as_arrays(xp, x, alpha, scale, truncation)
    log_z = log_normaliser(xp, alpha, truncation)
    z = x / xp.where((scale > 0) & (scale < math.inf), scale, math.nan)
    size = xp.where(z < 0, -z, z)
    end = xp.zeros_like(alpha) + math.inf if truncation is None else truncation
    inside = constant(size) < constant(end)
    # A harmless range for the points that have no tail.
    lower = xp.where(inside, size, 0.0)
    upper = xp.where(constant(end) > 0, end, 1.0)
    log_tail = log_integral(xp, alpha, lower, upper, truncation is not None) - log_z
    tail = xp.where(inside, xp.exp(log_tail), 0.0)
    value = xp.where(z < 0, tail, 1 - tail)
    return xp.where(xp.isnan(z) | ~xp.isfinite(log_z), math.nan, value)


def _ppf(xp: Any, q: Array, alpha: Array, scale: Array, truncation: Array | None = None) -> Array:
    if truncation is None:
        steps = NEWTON_STEPS
        q, alpha, scale = as_arrays(xp, q, alpha, scale)
    else:
        is_near = isinstance(truncation, float) and truncation <= FAR
        steps = TRUNCATED_NEWTON_STEPS if is_near else FAR_NEWTON_STEPS
        q, alpha, scale, truncation = as_arrays(xp, q, alpha, scale, truncation)
    log_z = log_normaliser(xp, alpha, truncation)
    end = xp.zeros_like(alpha) + math.inf if truncation is None else truncation
    legal = (q >= 0) & (q <= 1) & (scale > 0) & (scale < math.inf) & xp.isfinite(log_z)
    tail = xp.where(q < 0.5, q, 1 - q)
    ordinary = legal & (tail > 0) & (tail < 0.5)
    target = xp.log(xp.where(ordinary, tail, 0.25)) + log_z
    end_of_law = xp.where(end > 0, end, 1.0)
    size = _quantile(xp, alpha, target, end_of_law, truncation is not None, steps)
    size = xp.where(ordinary, size, xp.where(tail > 0, 0.0, end))
    return xp.where(legal, xp.where(q < 0.5, -size, size) * scale, math.nan)


def _quantile(
    xp: Any, alpha: Array, target: Array, end: Array, truncated: bool, steps: int
) -> Array:
    """The x ≥ 0 with log ∫ₓ^end e^(−ρ) = `target`.

    The search sees constants only; the last step, whose result is the value, also carries the
    derivatives in the arguments.
    """
    alpha, target, end = xp.broadcast_arrays(alpha, target, end)
    fixed = (constant(alpha), constant(target), constant(end))
    x = _search(xp, *fixed, truncated, steps)
    rho = unit_loss(x, fixed[0])
    log_tail = log_integral(xp, alpha, x, end, truncated)
    mills = xp.exp(constant(log_tail) + rho)
    # Where x has run into a truncation nothing is left to correct.
    x = x + xp.where(xp.isfinite(constant(log_tail)), (log_tail - target) * mills, 0.0)
    return xp.where(constant(x) < fixed[2], x, end)


def _search(xp: Any, alpha: Array, target: Array, end: Array, truncated: bool, steps: int) -> Array:
    whole = log_integral(xp, alpha, xp.zeros_like(target), end, truncated)
    share = whole - target  # −log 2q, which is ε/2 or more; rounding may leave less than nothing
    least = 0.5 * float(xp.finfo(target.dtype).eps)
    share = xp.where(share > least, share, least)
    # As if the tail fell like the density; or, if lighter, as if the density were flat.
    x = inverse_loss(xp, share, alpha)
    # For alpha ≥ 0 the tail, as a share of the whole, is at most the root of the density, as a
    # share of its maximum (measured at 18 alpha). For others only the end is a bound.
    high = inverse_loss(xp, 2 * share, alpha, FAR_UNIT) / FAR_UNIT
    largest = float(xp.finfo(x.dtype).max)
    high = xp.where(alpha < 0, end, xp.where(high < largest, high, largest))
    low, high = xp.zeros_like(x), xp.where(end < high, end, high)
    flat = -xp.expm1(-share) * high
    x = xp.where(flat < x, flat, x)
    m = width(xp, alpha)
    for _ in range(steps):
        log_tail = log_integral(xp, alpha, x, end, truncated)
        excess = log_tail - target
        low, high = xp.where(excess > 0, x, low), xp.where(excess > 0, high, x)
        mills = xp.exp(log_tail + unit_loss(x, alpha))
        step = excess * mills / xp.hypot(x, m)
        new = move(xp, x, step, m)
        # The density falls with x, so that Newton's step for the tail itself stops short of it.
        short = x - mills * xp.expm1(-xp.where(excess > 0, excess, 0.0))
        middle = move(xp, low, 0.5 * span(xp, low, high, m), m)
        # A step below the noise may leave a bracket whose end is as noisy.
        inside = ((new >= low) & (new <= high)) | (xp.abs(step) < 1e-9)
        other = xp.where((short > middle) & (short < high), short, middle)
        x = xp.where(inside, xp.where(new < end, new, end), other)
    return x
