"""The loss and its derivatives: one function per quantity, for arrays of any library."""

from collections.abc import Sequence
from typing import Any

from robloss._backends import evaluate as _one
from robloss._backends import evaluate_all
from robloss._ops import OPERATIONS
from robloss._typing import Array

# What `evaluate` offers: on NumPy arrays one kernel computes any of them together.
_NAMES = tuple([row.name for row in OPERATIONS.values() if row.kernel == "elementwise"])

# notation: s = (x/scale)², b = |alpha − 2|, u = s/b


def loss(x: Array, alpha: Array, scale: Array = 1.0, *, out: Any = None) -> Array:
    r"""The general robust loss ρ.

    .. math::

        \rho(x, \alpha, c) = \frac{|\alpha - 2|}{\alpha}
        \left[\left(1 + \frac{(x/c)^2}{|\alpha - 2|}\right)^{\alpha/2} - 1\right]

    It spans the robust losses from least squares to Welsch: the smaller `alpha`, the less a large
    residual counts.

    Parameters
    ----------
    x : array or float
        Residuals, in any unit. ±inf gives the limit.
    alpha : array or float
        Shape: any real number, or ±inf. Python numbers never change the dtype.
    scale : array or float, default 1.0
        Width of the quadratic part, in the unit of `x`; in (0, inf).
    out : numpy.ndarray, optional
        Where to put the result; for NumPy arrays only.

    Returns
    -------
    array
        ρ, dimensionless.
        In the broadcast shape of the arguments and in their array library, device and floating
        dtype. NaN arguments give NaN.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array for `scale` leaves (0, inf) (in other libraries' arrays
        such a value gives NaN), if the shapes do not broadcast, or if torch tensors lie on several
        devices.

    See Also
    --------
    influence, grad_alpha, grad_scale : its derivatives.
    nll : the negative log-likelihood of the corresponding distribution.

    Notes
    -----
    At the removable singularities the value is the limit of the formula:

    ======  ==========================  ===========================
    alpha   ρ with s = (x/scale)²       name
    ======  ==========================  ===========================
    -inf    1 - exp(-s/2)               Welsch, Leclerc
    -2      2 s/(s + 4)                 Geman–McClure
    0       log(1 + s/2)                Cauchy, Lorentzian
    1       sqrt(1 + s) - 1             Charbonnier, pseudo-Huber
    2       s/2                         L2
    inf     exp(s/2) - 1
    ======  ==========================  ===========================

    tests/accuracy.py measures the accuracy on every library against ball arithmetic.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> robloss.loss([0.0, 1.0, 100.0], 1.0).round(4).tolist()
    [0.0, 0.4142, 99.005]
    >>> robloss.loss([0.0, 1.0, 100.0], -2.0).round(4).tolist()
    [0.0, 0.4, 1.9992]
    """
    return _one("loss", x, alpha, scale, out=out)


def influence(x: Array, alpha: Array, scale: Array = 1.0, *, out: Any = None) -> Array:
    r"""The influence function ψ = ∂ρ/∂x.

    .. math::

        \psi(x, \alpha, c) = \frac{x}{c^2}
        \left(1 + \frac{(x/c)^2}{|\alpha - 2|}\right)^{\alpha/2 - 1}

    How strongly one observation pulls at the estimate. For `alpha` < 1 it falls back to 0 as the
    residual grows: such estimators are called redescending.

    Parameters
    ----------
    x : array or float
        Residuals, in any unit. ±inf gives the limit.
    alpha : array or float
        Shape: any real number, or ±inf. Python numbers never change the dtype.
    scale : array or float, default 1.0
        Width of the quadratic part, in the unit of `x`; in (0, inf).
    out : numpy.ndarray, optional
        Where to put the result; for NumPy arrays only.

    Returns
    -------
    array
        ψ, in 1/(unit of `x`).
        In the broadcast shape of the arguments and in their array library, device and floating
        dtype. NaN arguments give NaN.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array for `scale` leaves (0, inf) (in other libraries' arrays
        such a value gives NaN), if the shapes do not broadcast, or if torch tensors lie on several
        devices.

    See Also
    --------
    loss, weight, curvature

    Notes
    -----
    The limit for x → ±inf is 0 for alpha < 1, ±1/scale for alpha = 1 and ±inf for alpha > 1.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> robloss.influence([-1.0, 0.0, 1.0, 100.0], 0.0).round(4).tolist()
    [-0.6667, 0.0, 0.6667, 0.02]
    """
    return _one("influence", x, alpha, scale, out=out)


def weight(x: Array, alpha: Array, scale: Array = 1.0, *, out: Any = None) -> Array:
    r"""The weight w = ψ/x of iteratively reweighted least squares.

    .. math::

        w(x, \alpha, c) = \frac{1}{c^2}
        \left(1 + \frac{(x/c)^2}{|\alpha - 2|}\right)^{\alpha/2 - 1}

    ``weight(x, alpha, scale) * scale**2`` is 1 at residual 0 and, for alpha < 2, falls with \|x\|.

    Parameters
    ----------
    x : array or float
        Residuals, in any unit. ±inf gives the limit.
    alpha : array or float
        Shape: any real number, or ±inf. Python numbers never change the dtype.
    scale : array or float, default 1.0
        Width of the quadratic part, in the unit of `x`; in (0, inf).
    out : numpy.ndarray, optional
        Where to put the result; for NumPy arrays only.

    Returns
    -------
    array
        w, in 1/(unit of `x`)², 1/scale² at x = 0.
        In the broadcast shape of the arguments and in their array library, device and floating
        dtype. NaN arguments give NaN.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array for `scale` leaves (0, inf) (in other libraries' arrays
        such a value gives NaN), if the shapes do not broadcast, or if torch tensors lie on several
        devices.

    See Also
    --------
    influence, fit_linear

    Notes
    -----
    For alpha <= 2 the weight does not increase with \|x\|, which is what makes reweighted least
    squares a majorise–minimise method.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> robloss.weight([0.0, 1.0, 100.0], 1.0).round(4).tolist()
    [1.0, 0.7071, 0.01]
    """
    return _one("weight", x, alpha, scale, out=out)


def curvature(x: Array, alpha: Array, scale: Array = 1.0, *, out: Any = None) -> Array:
    r"""The curvature ψ' = ∂²ρ/∂x².

    .. math::

        \psi'(x, \alpha, c) = w(x, \alpha, c)
        \left[1 + (\alpha - 2)\frac{u}{1 + u}\right], \quad
        u = \frac{(x/c)^2}{|\alpha - 2|}

    It is negative where the loss is not convex in `x`, which happens only for alpha < 1.

    Parameters
    ----------
    x : array or float
        Residuals, in any unit. ±inf gives the limit.
    alpha : array or float
        Shape: any real number, or ±inf. Python numbers never change the dtype.
    scale : array or float, default 1.0
        Width of the quadratic part, in the unit of `x`; in (0, inf).
    out : numpy.ndarray, optional
        Where to put the result; for NumPy arrays only.

    Returns
    -------
    array
        ψ', in 1/(unit of `x`)².
        In the broadcast shape of the arguments and in their array library, device and floating
        dtype. NaN arguments give NaN.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array for `scale` leaves (0, inf) (in other libraries' arrays
        such a value gives NaN), if the shapes do not broadcast, or if torch tensors lie on several
        devices.

    See Also
    --------
    influence, weight

    Notes
    -----
    At x = 0 it is 1/scale² for every alpha. Near its zeros its error is a few ulp of `weight`.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> robloss.curvature([0.0, 1.0, 3.0], 0.0).round(4).tolist()
    [1.0, 0.2222, -0.1157]
    """
    return _one("curvature", x, alpha, scale, out=out)


def grad_alpha(x: Array, alpha: Array, scale: Array = 1.0, *, out: Any = None) -> Array:
    r"""The derivative ∂ρ/∂alpha.

    .. math::

        \frac{\partial\rho}{\partial\alpha} = \frac{b}{4}
        \int_0^L e^{\alpha y/2} (y - 1 + e^{-y}) \, dy, \quad
        b = |\alpha - 2|, \; L = \log(1 + (x/c)^2/b)

    It is never negative: the loss does not decrease in `alpha`.

    Parameters
    ----------
    x : array or float
        Residuals, in any unit. ±inf gives the limit.
    alpha : array or float
        Shape: any real number, or ±inf. Python numbers never change the dtype.
    scale : array or float, default 1.0
        Width of the quadratic part, in the unit of `x`; in (0, inf).
    out : numpy.ndarray, optional
        Where to put the result; for NumPy arrays only.

    Returns
    -------
    array
        ∂ρ/∂alpha, dimensionless.
        In the broadcast shape of the arguments and in their array library, device and floating
        dtype. NaN arguments give NaN.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array for `scale` leaves (0, inf) (in other libraries' arrays
        such a value gives NaN), if the shapes do not broadcast, or if torch tensors lie on several
        devices.

    See Also
    --------
    grad_scale, loss

    Notes
    -----
    It is of order (x/scale)⁶ for small residuals. At alpha = 2 both one-sided limits are +inf for
    x ≠ 0, and +inf is returned; at alpha = ±inf it is 0. The limit for x → ±inf is 2/alpha² for
    alpha < 0 and +inf for finite alpha >= 0.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> float(robloss.grad_alpha(1.0, 0.0).round(6))
    0.005035
    >>> float(robloss.grad_alpha(1.0, 2.0))
    inf
    """
    return _one("grad_alpha", x, alpha, scale, out=out)


def grad_scale(x: Array, alpha: Array, scale: Array = 1.0, *, out: Any = None) -> Array:
    r"""The derivative ∂ρ/∂scale = −x ψ/scale.

    .. math::

        \frac{\partial\rho}{\partial c} = -\frac{x^2}{c^3}
        \left(1 + \frac{(x/c)^2}{|\alpha - 2|}\right)^{\alpha/2 - 1}

    It is never positive: the loss does not increase in `scale`.

    Parameters
    ----------
    x : array or float
        Residuals, in any unit. ±inf gives the limit.
    alpha : array or float
        Shape: any real number, or ±inf. Python numbers never change the dtype.
    scale : array or float, default 1.0
        Width of the quadratic part, in the unit of `x`; in (0, inf).
    out : numpy.ndarray, optional
        Where to put the result; for NumPy arrays only.

    Returns
    -------
    array
        ∂ρ/∂scale, in 1/(unit of `x`).
        In the broadcast shape of the arguments and in their array library, device and floating
        dtype. NaN arguments give NaN.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If a Python number or NumPy array for `scale` leaves (0, inf) (in other libraries' arrays
        such a value gives NaN), if the shapes do not broadcast, or if torch tensors lie on several
        devices.

    See Also
    --------
    grad_alpha, loss

    Notes
    -----
    The limit for x → ±inf is 0 for alpha < 0, −2/scale at alpha = 0 and −inf above.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> float(robloss.grad_scale(1.0, 2.0))
    -1.0
    """
    return _one("grad_scale", x, alpha, scale, out=out)


def evaluate(
    x: Array,
    alpha: Array,
    scale: Array = 1.0,
    *,
    outputs: Sequence[str] = ("loss", "influence", "weight"),
    out: Sequence[Any] | None = None,
) -> tuple[Array, ...]:
    r"""Several of the six functions at once, in one pass over the data.

    .. math::

        (\rho, \psi, w, \ldots)(x, \alpha, c)

    The functions share much of their work: on NumPy arrays `loss`, `influence` and `weight`
    together take little longer than `loss` alone if `out` is given; allocating new arrays costs as
    much again (docs/performance.md). For CuPy arrays one kernel computes them all, and for torch
    tensors on a CUDA device if no gradient is recorded. Otherwise they are computed one after the
    other, and a compiler (`jax.jit`, `torch.compile`) may fuse them.

    Parameters
    ----------
    x : array or float
        Residuals, in any unit. ±inf gives the limit.
    alpha : array or float
        Shape: any real number, or ±inf. Python numbers never change the dtype.
    scale : array or float, default 1.0
        Width of the quadratic part, in the unit of `x`; in (0, inf).
    outputs : sequence of str, default ("loss", "influence", "weight")
        Names of the functions: each of "loss", "influence", "weight", "curvature", "grad_alpha" and
        "grad_scale" at most once.
    out : tuple or list, optional
        Where to put each result: a `numpy.ndarray`, or None for a new one; for NumPy arrays only.
        They may overlap the arguments, but not each other.

    Returns
    -------
    tuple of array
        One per name in `outputs`, in that order, as accurate as the function of that name.
        Each in the broadcast shape of the arguments and in their array library, device and
        floating dtype. NaN arguments give NaN.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries, or are not real.
    ValueError
        If `outputs` is empty, holds an unknown name or one twice, or differs in length from `out`;
        if arrays in `out` overlap; if a Python number or NumPy array for `scale` leaves (0, inf)
        (in other libraries' arrays such a value gives NaN); if the shapes do not broadcast; or if
        torch tensors lie on several devices.

    See Also
    --------
    loss, influence, weight, curvature, grad_alpha, grad_scale

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> rho, w = robloss.evaluate([0.0, 1.0, 100.0], 1.0, outputs=("loss", "weight"))
    >>> rho.round(4).tolist()
    [0.0, 0.4142, 99.005]
    >>> w.round(4).tolist()
    [1.0, 0.7071, 0.01]
    """
    names = tuple(outputs)
    if not names or len({*names}) < len(names) or not {*names} <= {*_NAMES}:
        raise ValueError(
            f"`outputs` must be distinct names out of {', '.join(_NAMES)}, but got {outputs!r}. "
            "Pass a tuple such as ('loss', 'weight')."
        )
    if out is not None and (not isinstance(out, (tuple, list)) or len(out) != len(names)):
        got = len(out) if isinstance(out, (tuple, list)) else type(out).__name__
        raise ValueError(
            f"`out` must be a tuple or list with an array or None for each of {len(names)} outputs,"
            f" but got {got}. Pass (None, ...) for new arrays."
        )
    return evaluate_all(names, x, alpha, scale, out=out)
