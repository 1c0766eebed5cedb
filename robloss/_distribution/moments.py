"""Entropy, variance and Fisher information of the untruncated law."""

import math
from typing import Any

from robloss._backends import compose, evaluate
from robloss._backends.generic import as_arrays
from robloss._distribution.integrals import expectation, log_whole, panels, unit_loss
from robloss._domains import DENSITY_ALPHA, SCALE
from robloss._libraries import common_library
from robloss._typing import Array


def entropy(alpha: Array, scale: Array = 1.0) -> Array:
    r"""Differential entropy.

    .. math::

        -\operatorname{E} \log p = \log Z(\alpha) + \operatorname{E} \rho + \log c

    Parameters
    ----------
    alpha : array or float
        Shape, in [0, inf].
    scale : array or float, default 1.0
        Scale, in the unit of the residuals; in (0, inf).

    Returns
    -------
    array
        Entropy in nats, in the broadcast shape of the arguments and in their array library,
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
    nll : has the entropy as its mean.

    Notes
    -----
    Known values at scale 1: log(4π√2) at alpha = 0, (1 + log 2π)/2 at 2. The absolute error is at
    most 1e-13 (tests/unit/test_distribution.py).

    Examples
    --------
    >>> import math
    >>> from robloss import entropy
    >>> math.isclose(entropy(2.0), 0.5 * (1 + math.log(2 * math.pi)))
    True
    """
    return compose(_entropy, (DENSITY_ALPHA, SCALE), alpha, scale)


def variance(alpha: Array, scale: Array = 1.0) -> Array:
    """Variance: inf at alpha = 0, finite above.

    Parameters
    ----------
    alpha : array or float
        Shape, in [0, inf].
    scale : array or float, default 1.0
        Scale, in the unit of the residuals; in (0, inf).

    Returns
    -------
    array
        Variance in the square of the unit of `scale`, in the broadcast shape of the arguments
        and in their array library, device and floating dtype.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, or if torch tensors lie on several devices.

    See Also
    --------
    fisher_information

    Notes
    -----
    Known values at scale 1: K₂(1)/K₁(1) at alpha = 1, 1 at 2. It grows like exp(0.216/alpha) as
    alpha → 0 and overflows below 3e-4. The relative error is at most 1e-12
    (tests/unit/test_distribution.py).

    Examples
    --------
    >>> import math
    >>> from robloss import variance
    >>> math.isclose(variance(2.0, 3.0), 9.0)
    True
    """
    return compose(_variance, (DENSITY_ALPHA, SCALE), alpha, scale)


def fisher_information(alpha: Array, scale: Array = 1.0) -> Array:
    r"""Fisher information of one residual about alpha and scale.

    .. math::

        I = \begin{pmatrix}
            \operatorname{Var} \rho_\alpha & -\operatorname{Cov}(\rho_\alpha, x\psi)/c \\
            \cdot & \operatorname{Var}(x\psi)/c^2
        \end{pmatrix}

    For n residuals the asymptotic covariance of the estimates of (alpha, scale) is the inverse of
    n I. A location parameter is orthogonal to both.

    Parameters
    ----------
    alpha : array or float
        Shape, in [0, inf].
    scale : array or float, default 1.0
        Scale, in the unit of the residuals; in (0, inf).

    Returns
    -------
    array
        A 2×2 matrix over (alpha, scale) on two new last axes after the broadcast shape of the
        arguments; in their array library, device and floating dtype.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, or if torch tensors lie on several devices.

    See Also
    --------
    entropy

    Notes
    -----
    At alpha = 2 the slope of the loss in alpha is infinite, and so are the entries that involve it:
    [[inf, -inf], [-inf, 2/c²]]. Above 4 the information on alpha falls like alpha⁻⁴. The relative
    error is at most 1e-11 (tests/unit/test_distribution.py).

    Examples
    --------
    >>> import math
    >>> from robloss import fisher_information
    >>> math.isclose(fisher_information(0.0, 2.0)[1, 1], 0.125)
    True
    """
    _, xp = common_library({"alpha": alpha, "scale": scale})
    given = ((DENSITY_ALPHA, SCALE), alpha, scale)
    entries = [compose(entry, *given) for entry in (_alpha_alpha, _alpha_scale, _scale_scale)]
    alpha_alpha, alpha_scale, scale_scale = entries
    rows = [
        xp.stack([alpha_alpha, alpha_scale], axis=-1),
        xp.stack([alpha_scale, scale_scale], axis=-1),
    ]
    return xp.stack(rows, axis=-2)


def _legal(xp: Any, scale: Array) -> Array:
    return xp.where((scale > 0) & (scale < math.inf), scale, math.nan)


def _pull(x: Array, alpha: Array) -> Array:
    """xψ at scale 1."""
    return -evaluate("grad_scale", x, alpha, 1.0, check=False)


def _slope(x: Array, alpha: Array) -> Array:
    return evaluate("grad_alpha", x, alpha, 1.0, check=False)


def _mean_slope(alpha: Array) -> Array:
    """E ∂ρ/∂α."""
    return -evaluate("log_partition_derivative", alpha, check=False)


def _entropy(xp: Any, alpha: Array, scale: Array) -> Array:
    alpha, scale = as_arrays(xp, alpha, scale)
    (mean,) = expectation(xp, alpha, unit_loss)
    log_z = log_whole(alpha)
    return log_z + mean + xp.log(_legal(xp, scale))


def _alpha_alpha(xp: Any, alpha: Array, scale: Array) -> Array:
    alpha, scale = as_arrays(xp, alpha, scale)
    is_two = alpha == 2
    safe = xp.where(is_two, 1.0, alpha)
    mean = _mean_slope(safe)[..., None]
    (value,) = expectation(xp, safe, lambda x, shape: (_slope(x, shape) - mean) ** 2)
    return xp.where(is_two, math.inf, value) + 0 * _legal(xp, scale)


def _alpha_scale(xp: Any, alpha: Array, scale: Array) -> Array:
    alpha, scale = as_arrays(xp, alpha, scale)
    is_two = alpha == 2
    safe = xp.where(is_two, 1.0, alpha)
    mean = _mean_slope(safe)[..., None]

    def term(x: Array, shape: Array) -> Array:
        return (mean - _slope(x, shape)) * (_pull(x, shape) - 1)

    (value,) = expectation(xp, safe, term)
    return xp.where(is_two, -math.inf, value) / _legal(xp, scale)


def _scale_scale(xp: Any, alpha: Array, scale: Array) -> Array:
    alpha, scale = as_arrays(xp, alpha, scale)
    scale = _legal(xp, scale)
    (value,) = expectation(xp, alpha, lambda x, shape: (_pull(x, shape) - 1) ** 2)
    return value / scale / scale


# Below this alpha the variance is taken in logarithms of x, which overflows before it does.
HEAVY = 0.5
# The integrand of the variance is cut where it has fallen by e^(−45) from its maximum.
FALL = 45.0


def _variance(xp: Any, alpha: Array, scale: Array) -> Array:
    alpha, scale = as_arrays(xp, alpha, scale)
    scale = _legal(xp, scale)
    heavy = alpha < HEAVY
    (light,) = expectation(xp, xp.where(heavy, 1.0, alpha), lambda x, _: x * x)
    # Below 1e-4 it overflows by far in any dtype.
    safe = xp.where(heavy, alpha, 0.25)
    safe = xp.where(safe > 1e-4, safe, 1e-4)
    value = xp.where(heavy, _heavy_variance(xp, safe), light)
    value = xp.where(alpha == 0, math.inf, value)
    return xp.where(alpha >= 0, value, math.nan) * scale * scale


def _heavy_variance(xp: Any, alpha: Array) -> Array:
    """E x² with x = √b sinh y: the integrand is e^(3y − (b/α) e^(αy)) for large y.

    It is largest where E = e^(αy) is 3/b, and is integrated from 12 of its widths 1/√(3α) below.
    """
    b = 2 - alpha
    peak, fall = 3 / b, FALL * alpha / b
    highest = (xp.log(peak + fall + 1.1 * xp.sqrt(2 * fall * peak))) / alpha + math.log(2)
    lowest = xp.log(peak) / alpha - 12 / xp.sqrt(3 * alpha)
    lowest = xp.where(lowest > 0, lowest, 0.0)
    ratio = (b / alpha)[..., None]
    log_z = log_whole(alpha)
    shift = (3 * xp.log(peak) - peak * b + b) / alpha - log_z  # size of the maximum
    total = xp.zeros_like(alpha)
    for h, dh in panels(xp, 0.5 * (highest - lowest), highest - lowest):
        y = lowest[..., None] + h
        fall_of_e = xp.exp(-2 * y)
        log_cosh = y + xp.log1p(fall_of_e) - math.log(2)
        log_sinh = y + xp.log1p(-fall_of_e) - math.log(2)
        rho = ratio * xp.expm1(alpha[..., None] * log_cosh)
        exponent = 2 * log_sinh + log_cosh - rho - (shift + log_z)[..., None]
        total = total + xp.sum(dh * xp.exp(exponent), axis=-1)
    return 2 * total * b * xp.exp(0.5 * xp.log(b) + shift)
