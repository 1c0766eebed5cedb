"""The density that belongs to the loss, its logarithm, and its normaliser."""

import math
from typing import Any

from robloss._backends import added, compose, constant, evaluate, is_compiling
from robloss._backends.generic import as_arrays
from robloss._distribution.integrals import log_integral, log_whole
from robloss._domains import ALPHA, DENSITY_ALPHA, RESIDUAL, SCALE, TRUNCATION
from robloss._libraries import is_number
from robloss._typing import Array


def log_partition(alpha: Array, *, truncation: Array | None = None) -> Array:
    r"""Logarithm of the partition function, log Z(alpha).

    .. math::

        Z(\alpha) = \int_{-\tau}^{\tau} e^{-\rho(x, \alpha, 1)} \, dx, \quad \tau = \infty

    Z normalises the density ``exp(-loss(x, alpha, scale)) / (scale * Z(alpha))``. It is what keeps
    a learned `alpha` from running away to the most forgiving loss.

    Parameters
    ----------
    alpha : array or float
        Shape, in [0, inf]; with a truncation in [-inf, inf]. Below 0 the whole integral is
        infinite.
    truncation : array or float, optional
        τ, the largest size of x/scale that can occur, in (0, inf]; default: none. An `alpha`
        estimated with it depends on it.

    Returns
    -------
    array
        log Z, dimensionless, in the broadcast shape of the arguments and in their array library,
        device and floating dtype. For alpha < 0 it is inf with an infinite truncation: then `nll`
        is inf, `pdf` is 0, and `cdf` and `ppf` are NaN, since there is no such distribution.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, or if torch tensors lie on several devices.

    See Also
    --------
    nll

    Notes
    -----
    Without a truncation log Z is a Chebyshev series on each of 19 pieces, in variables in which it
    is smooth: its slope diverges logarithmically at alpha = 2. The table is made by
    ``python -m robloss._partition.generate``; tests/unit/test_partition.py measures its error
    against an independent quadrature. Known values: Z(0) = π√2, Z(1) = 2e K₁(1), Z(2) = √(2π).

    With a truncation the integral is computed by 128 Gauss–Legendre nodes in asinh x: about 5 µs
    for each shape. The error is at most 1e-14 for τ from 1e-20 to 1e15, and four units in the last
    place of log τ for every other τ of float64, the largest included
    (tests/unit/test_distribution.py). The derivatives are −E[∂ρ/∂α] under the truncated
    distribution and 2 e^(−ρ(τ))/Z. At exactly alpha = 2 the slope in `alpha` is −inf; automatic
    differentiation gives this, or with a truncation the slope at the next smaller number.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.
    N. Chebrolu, T. Läbe, O. Vysotska, J. Behley, C. Stachniss, "Adaptive Robust Kernels for
    Non-Linear Least Squares Problems", RA-L 2021 (the truncation).

    Examples
    --------
    >>> import math, robloss
    >>> math.isclose(robloss.log_partition(2.0), 0.5 * math.log(2 * math.pi))
    True
    """
    if truncation is None:
        return evaluate("log_partition", alpha)
    return compose(_truncated, (ALPHA, TRUNCATION), alpha, truncation)


def nll(x: Array, alpha: Array, scale: Array = 1.0, *, truncation: Array | None = None) -> Array:
    r"""Negative log-likelihood of each residual.

    .. math::

        -\log p(x \mid \alpha, c) = \rho(x, \alpha, c) + \log c + \log Z(\alpha)

    This is what to minimise when `alpha` and `scale` are learned. It is negative where the density
    exceeds 1, as it does for small scales: this is no error, and depends on the unit of `x`. Beyond
    the truncation it is inf.

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
        Negative log-density in nats (of a density in 1/(unit of `x`)), in the broadcast shape of
        the arguments and in their array library, device and floating dtype.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, or if torch tensors lie on several devices.

    See Also
    --------
    loss, log_partition

    Notes
    -----
    At exactly alpha = 2 the slope in `alpha` is infinite, with a sign that depends on the residual.
    There torch and JAX take the slope at the next smaller number, where it is finite, so that a
    learned `alpha` that rounds to 2 finds its way back. `AlphaMap` keeps `alpha` within bounds.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import math, robloss
    >>> math.isclose(robloss.nll(0.0, 2.0, 3.0), math.log(3.0 * math.sqrt(2 * math.pi)))
    True
    """
    if truncation is None:
        return compose(_nll, (RESIDUAL, DENSITY_ALPHA, SCALE), x, alpha, scale)
    return compose(_nll_truncated, TRUNCATED, x, alpha, scale, truncation)


def pdf(x: Array, alpha: Array, scale: Array = 1.0, *, truncation: Array | None = None) -> Array:
    r"""Probability density.

    .. math::

        p(x \mid \alpha, c) = \frac{e^{-\rho(x, \alpha, c)}}{c \, Z(\alpha)}

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
        Density in 1/(unit of `x`), 0 beyond the truncation, in the broadcast shape of the
        arguments and in their array library, device and floating dtype.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, or if torch tensors lie on several devices.

    See Also
    --------
    nll, cdf

    Notes
    -----
    alpha = 0 is the Cauchy density of scale √2 c, alpha = 2 the normal one of standard deviation c.
    At scale 1 the absolute error is below 1e-13 (tests/unit/test_distribution.py).

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import math
    >>> from robloss import pdf
    >>> math.isclose(pdf(1.0, 0.0, 2.0), math.sqrt(8) / (math.pi * (1 + 8)))
    True
    """
    if truncation is None:
        return compose(_pdf, (RESIDUAL, DENSITY_ALPHA, SCALE), x, alpha, scale)
    return compose(_pdf_truncated, TRUNCATED, x, alpha, scale, truncation)


TRUNCATED = (RESIDUAL, ALPHA, SCALE, TRUNCATION)


def _nll(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    if is_compiling(xp):
        # torch's compilers do not follow NumPy's way to log Z of a number.
        x, alpha, scale = as_arrays(xp, x, alpha, scale)
    value = evaluate("smooth_loss", x, alpha, scale, check=False)
    log_z = log_whole(alpha)
    log_z = float(log_z) if is_number(alpha) else log_z
    # Numbers, or few, as a rule: the many are gone through once.
    return added(value, log_z + (math.log(scale) if is_number(scale) else xp.log(scale)))


def _nll_truncated(xp: Any, x: Array, alpha: Array, scale: Array, truncation: Array) -> Array:
    x, alpha, scale, truncation = as_arrays(xp, x, alpha, scale, truncation)
    log_z = _truncated(xp, alpha, truncation)
    beyond = xp.abs(constant(x) / constant(scale)) > constant(truncation)
    inside = xp.where(beyond, 0.0, x)
    loss = evaluate("smooth_loss", inside, alpha, scale, check=False)
    value = loss + log_z + xp.log(scale)
    return xp.where(beyond & ~xp.isnan(value), math.inf, value)


def _pdf(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    return xp.exp(-_nll(xp, *as_arrays(xp, x, alpha, scale)))


def _pdf_truncated(xp: Any, x: Array, alpha: Array, scale: Array, truncation: Array) -> Array:
    return xp.exp(-_nll_truncated(xp, x, alpha, scale, truncation))


def log_normaliser(xp: Any, alpha: Array, truncation: Array | None) -> Array:
    """log Z of the law, whole or truncated."""
    if truncation is None:
        return log_whole(alpha)
    return _truncated(xp, alpha, truncation)


def _truncated(xp: Any, alpha: Array, truncation: Array) -> Array:
    """log Z of the truncated law, as the table has it where nothing is truncated."""
    alpha, truncation = as_arrays(xp, alpha, truncation)
    legal = ~(truncation <= 0)
    infinite = xp.isinf(truncation)
    limit = xp.where(infinite | ~legal, 1.0, truncation)
    value = log_integral(xp, alpha, xp.zeros_like(limit), limit, truncated=True) + math.log(2)
    whole = log_whole(xp.where(infinite, alpha, 1.0))
    value = xp.where(infinite, xp.where(alpha < 0, math.inf, whole), value)
    return xp.where(legal, value, math.nan)
