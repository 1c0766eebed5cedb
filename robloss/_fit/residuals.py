"""Robust fits of any model: residuals as a function of parameters."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from robloss._fit.begun import with_shape_of
from robloss._fit.finish import finished
from robloss._fit.functions import (
    FirstOf,
    Noted,
    Remembered,
    Steady,
    as_floats,
    check_functions,
    check_jacobian,
    check_residuals,
    detached,
    moments_at_start,
)
from robloss._fit.jacobian import Function, as_like, jacobian_of
from robloss._fit.least_squares import Problem
from robloss._fit.options import ALPHA_BOUNDS, MAX_ITER, METHOD, N_STARTS, TOL, for_numbers, parsed
from robloss._fit.progress import Iterate, watch
from robloss._fit.residual_data import ResidualData
from robloss._fit.result import Fit
from robloss._fit.search import Search
from robloss._fit.sums import HostArray, Wanted, first_not_finite, to_host
from robloss._fit.symmetric import solve
from robloss._fit.vectors import VectorData, for_vectors
from robloss._fit.weights import Counted, counted
from robloss._libraries import common_library
from robloss._typing import Array


def _parameters(theta0: Any, weights: dict[str, Any]) -> tuple[Any, Array]:
    """The namespace of the parameters, and them as an array of its library."""
    library, xp = common_library({"theta0": theta0, **weights})
    if library == "numpy":
        theta0 = np.asarray(theta0)
    elif library == "torch":
        theta0 = theta0.detach()
    if theta0.ndim != 1 or theta0.shape[0] == 0:
        raise ValueError(
            f"`theta0` must have one dimension and a length of at least 1, but got shape "
            f"{tuple(theta0.shape)}. Pass a list of numbers."
        )
    theta = as_floats("theta0", theta0)
    where = first_not_finite(to_host(theta))
    if where:
        raise ValueError(
            f"`theta0` must be finite, but got {where}. Pass parameters to start from."
        )
    return xp, theta


def _as_data(
    residuals: Any, jac: Any, xp: Any, theta: Array, sample_weight: Any
) -> tuple[ResidualData, Counted, bool]:
    """The user's functions as data, checked at the start.

    Returns
    -------
    data : ResidualData
    rows : Counted
        How often each row counts.
    is_column : bool
        Whether the residuals are vectors of one component, which are fitted as numbers.
    """
    host = to_host(theta)
    function: Function = Noted("residuals", residuals)
    first = detached(function(as_like(host, theta)))
    check_residuals(first, theta)
    first = xp.astype(first, first.dtype, copy=True)  # the function may use its memory again
    function, first = Steady("residuals", function, first), as_floats("residuals", first)
    jacobian: Function = jacobian_of(function, theta) if jac is None else Noted("jac", jac)
    slopes = detached(jacobian(as_like(host, theta)))
    check_jacobian(slopes, (*first.shape, theta.shape[0]), theta)
    jacobian, slopes = Steady("jac", jacobian, slopes), as_floats("jac", slopes)
    rows = counted(sample_weight, xp, first)
    size = moments_at_start(first, slopes, rows.rows).largest_y
    components = first.shape[1] if first.ndim == 2 else 0
    if components == 1:
        function, jacobian = FirstOf(function), FirstOf(jacobian)
    kind = VectorData if components > 1 else ResidualData
    functions = Remembered(function, theta), Remembered(jacobian, theta)
    return kind(xp, *functions, theta, size, rows.rows), rows, components == 1


def _rank(data: ResidualData, theta: HostArray) -> int:
    """How many parameters the derivatives determine."""
    gram = data.sums(theta, 2.0, 1.0, Wanted(hessian=False, gram=True)).gram
    if not np.all(np.isfinite(gram)):
        return data.size
    return solve(gram, np.zeros(data.size), data.eps).rank


def fit_residuals(
    residuals: Callable[[Array], Array],
    theta0: Array | Fit,
    *,
    jac: Callable[[Array], Array] | None = None,
    alpha: float | str = "adapt",
    scale: float | str = "adapt",
    alpha_bounds: tuple[float, float] = ALPHA_BOUNDS,
    truncation: float | None = None,
    n_starts: int = N_STARTS,
    rng: Any = None,
    method: str = METHOD,
    anneal: str | Sequence[float] | None = None,
    tol: float = TOL,
    max_iter: int = MAX_ITER,
    sample_weight: Array | None = None,
    callback: Callable[[Iterate], object] | None = None,
    verbose: int = 0,
) -> Fit:
    r"""Fit any model whose residuals are a function of its parameters.

    .. math::

        \min_{\theta, \alpha, c} \; \sum_i s_i \rho(r_i(\theta), \alpha, c)
        + n \log c + n \log Z(\alpha), \quad n = \sum_i s_i

    This is joint maximum likelihood, as by :func:`fit_linear`, for nonlinear models. Far from the
    optimum it takes reweighted Gauss–Newton steps, with Levenberg–Marquardt damping where they
    would raise the objective; close to it, it steps in all parameters at once.

    Parameters
    ----------
    residuals : callable
        ``residuals(theta)`` returns the residuals (n,), all in one unit, as an array of the library
        of `theta0`; for NumPy also a column of a data frame. Or it returns (n, d), a vector for
        each of n observations: see the notes. Steps to where residuals are not finite are not
        taken.
    theta0 : array (q,) or Fit
        Parameters to start from; or an earlier result, whose shape and scale are then used too.
        Other fits call it `start`.
    jac : callable, optional
        ``jac(theta)`` returns the derivatives (n, q) or (n, d, q). By default: automatic
        differentiation for torch and JAX, central differences for other libraries, with steps
        proportional to each parameter (to 1 for one that starts at 0).
    alpha, scale, alpha_bounds, truncation, n_starts, rng, method, anneal, tol, max_iter
        As for :func:`fit_linear`.
    sample_weight : array (n,), optional
        How often each observation counts, the s of the formula; as for :func:`fit_linear`. In the
        library of the residuals.
    callback, verbose
        As for :func:`fit_linear`.

    Returns
    -------
    Fit
        With the parameters in `params`; `weights` and `residuals` are in the library of the
        residuals.

    Warns
    -----
    ConvergenceWarning
        If the fit did not converge; the result is still returned, with ``converged=False``.

    Raises
    ------
    TypeError
        If a function returns anything but an array of the library of `theta0`, or an option has a
        wrong type.
    ValueError
        If an array has a wrong shape or is on another device than `theta0`; if residuals or
        derivatives are not finite at `theta0`, or their squares overflow or underflow; or if an
        option is out of range.

    See Also
    --------
    fit_linear

    Notes
    -----
    As in the Gauss–Newton method, the Hessian leaves out second derivatives of the residuals. Where
    residuals are large and the model is strongly curved, the last steps converge only linearly.

    A vector counts by its length ε in units of `scale`, which is the standard deviation of one
    component, and gets one weight for all components. The length of a vector of d normal errors has
    its mode at √(d − 1), not at 0: up to there a vector weighs 1, and beyond as a scalar residual
    of size u = ε − √(d − 1) would. The loss ℓ with these weights is ε²/2 up to the mode and ρ(u) +
    (d − 1)/2 + √(d − 1) ∫₀ᵘ w beyond; with d = 1 everything is as for residuals (n,).

    The corresponding distribution of vectors has the density e^(−ℓ)/(c^d Z_d(alpha)), so that `nll`
    contains n d log scale and n log Z_d. At alpha = 2 it is the normal distribution. At alpha = 0
    it does not exist, and near 0 nearly all vectors are (d/2)^(1/alpha) scales long: alpha is
    therefore estimated only from 0.1 upwards, whatever the lower end of `alpha_bounds`. Above 2
    weights would exceed 1, so that alpha is at most 2. There is no `truncation` for vectors.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    T. Hitchcox, J. R. Forbes, "Mind the Gap: Norm-Aware Adaptive Robust Loss for Multivariate
    Least-Squares Problems", IEEE Robotics and Automation Letters 7 (2022).

    Examples
    --------
    An exponential decay with every tenth measurement spoilt:

    >>> import numpy as np, robloss
    >>> t = np.linspace(0, 4, 50)
    >>> y = 3 * np.exp(-0.7 * t) + 0.01 * np.cos(40 * t)
    >>> y[::10] += 5.0
    >>> fit = robloss.fit_residuals(lambda p: y - p[0] * np.exp(-p[1] * t), [1.0, 1.0])
    >>> print(np.round(fit.params, 2), fit.converged)
    [2.99 0.7 ] True
    """
    options = parsed(
        alpha=alpha,
        scale=scale,
        alpha_bounds=alpha_bounds,
        truncation=truncation,
        n_starts=n_starts,
        rng=rng,
        method=method,
        anneal=anneal,
        tol=tol,
        max_iter=max_iter,
        callback=callback,
        verbose=verbose,
    )
    check_functions(residuals, jac)
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    start = theta0.params if isinstance(theta0, Fit) else theta0
    xp, theta = _parameters(start, weights)
    with np.errstate(all="ignore"):
        data, rows, is_column = _as_data(residuals, jac, xp, theta, sample_weight)
        options = for_vectors(options) if isinstance(data, VectorData) else for_numbers(options)
        search = Search(options, 0.0, watch(options, data.params, rows.unit))
        problem = Problem(data, to_host(theta), data.size, data.size_of_y)
        found = search.best(with_shape_of(theta0, problem))
        end = found.outcome.local.point.theta
        params, found = data.params(end), replace(found, rank=_rank(data, end))
        names = tuple(f"theta{j}" for j in range(data.size))
        common = finished(search, found, rows.unit)
        if is_column:
            common["residuals"] = common["residuals"][:, None]
        return Fit(params=params, names=names, **common)
