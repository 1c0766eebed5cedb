"""The probability distribution that belongs to the loss."""

import math
from typing import Any

from robloss._args import is_number
from robloss._backends import compose, evaluate
from robloss._domains import DENSITY_ALPHA, RESIDUAL, SCALE
from robloss._typing import Array


def log_partition(alpha: Array) -> Array:
    r"""Logarithm of the partition function, log Z(alpha).

    .. math::

        Z(\alpha) = \int_{-\infty}^{\infty} e^{-\rho(x, \alpha, 1)} \, dx

    It normalises the density ``exp(-loss(x, alpha, scale)) / (scale * Z(alpha))``, and is what
    keeps a learned `alpha` from running away to the most forgiving loss.

    Parameters
    ----------
    alpha : array or float
        Shape, in [0, inf]. Below 0 the integral is infinite.

    Returns
    -------
    array
        log Z, dimensionless, in the shape, array library, device and floating dtype of `alpha`.

    Raises
    ------
    TypeError
        If `alpha` is not real.
    ValueError
        If a Python number or NumPy array leaves [0, inf]; in other libraries' arrays such a value
        gives NaN.

    See Also
    --------
    nll

    Notes
    -----
    Chebyshev series on 19 pieces, in variables in which log Z is smooth: its slope diverges
    logarithmically at alpha = 2. The command ``python -m robloss._partition.generate`` makes the
    table; tests/unit/test_partition.py measures its error against an independent quadrature.
    Anchors: Z(0) = π√2, Z(1) = 2e K₁(1), Z(2) = √(2π).

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import math, robloss
    >>> math.isclose(robloss.log_partition(2.0), 0.5 * math.log(2 * math.pi))
    True
    """
    return evaluate("log_partition", alpha)


def nll(x: Array, alpha: Array, scale: Array = 1.0) -> Array:
    r"""Negative log-likelihood of each residual.

    .. math::

        -\log p(x \mid \alpha, c) = \rho(x, \alpha, c) + \log c + \log Z(\alpha)

    What to minimise when `alpha` and `scale` are learned. It is negative where the density is
    larger than 1, that is, for small scales: a change of unit, no error.

    Parameters
    ----------
    x : array or float
        Residuals, in any unit.
    alpha : array or float
        Shape, in [0, inf].
    scale : array or float, default 1.0
        Scale, in the unit of `x`; in (0, inf).

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
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a
        value gives NaN), or if the shapes do not broadcast.

    See Also
    --------
    loss, log_partition

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import math, robloss
    >>> math.isclose(robloss.nll(0.0, 2.0, 3.0), math.log(3.0 * math.sqrt(2 * math.pi)))
    True
    """
    return compose(_nll, (RESIDUAL, DENSITY_ALPHA, SCALE), x, alpha, scale)


def _nll(xp: Any, x: Array, alpha: Array, scale: Array) -> Array:
    value = evaluate("loss", x, alpha, scale, check=False)
    log_z = evaluate("log_partition", alpha, check=False)
    value = value + (float(log_z) if is_number(alpha) else log_z)
    return value + (math.log(scale) if is_number(scale) else xp.log(scale))
