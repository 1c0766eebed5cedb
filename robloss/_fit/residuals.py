"""Robust fits of any model: residuals as a function of parameters."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from robloss._args import common_library
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
from robloss._fit.sums import HostArray, Wanted, to_host
from robloss._fit.symmetric import solve
from robloss._fit.vectors import VectorData, for_vectors
from robloss._fit.weights import counted
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
    if not np.all(np.isfinite(to_host(theta))):
        raise ValueError("`theta0` must be finite. Pass parameters to start from.")
    return xp, theta


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

    Joint maximum likelihood, as :func:`fit_linear` for models that are not linear: reweighted
    Gauss–Newton steps, damped as by Levenberg and Marquardt where they would raise the objective,
    and all parameters together once near.

    Parameters
    ----------
    residuals : callable
        ``residuals(theta)`` gives the residuals (n,), in one unit, as an array of the library of
        `theta0`, or beside NumPy's a column of a data frame; or (n, d), a vector for each of n
        observations: see the notes. A step to where they are not finite is not taken.
    theta0 : array (q,) or Fit
        Parameters to start from; or an earlier result, whose shape and scale are then started from
        too. It is what other fits call `start`.
    jac : callable, optional
        ``jac(theta)`` gives the derivatives (n, q) or (n, d, q). By default: automatic
        differentiation for torch and JAX, central differences for other libraries, with
        steps in proportion to each parameter, and to 1 for one that starts at 0.
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
        With the parameters in `params`; `weights` and `residuals` are of the library of the
        residuals.

    Warns
    -----
    ConvergenceWarning
        If the fit did not converge; the result is returned all the same, with ``converged=False``.

    Raises
    ------
    TypeError
        If a function returns something else than an array of the library of `theta0`, or an option
        is of a wrong type.
    ValueError
        For arrays of a wrong shape, or on another device than `theta0`; residuals or derivatives
        that are not finite at `theta0`, or whose squares overflow; or options out of range.

    See Also
    --------
    fit_linear

    Notes
    -----
    The Hessian leaves out second derivatives of the residuals, as Gauss and Newton do. Where
    residuals are large *and* curved, the last steps converge linearly.

    A vector counts by its length ε in units of `scale`, the deviation of one component, and gets
    one weight for all components. The length of d normal errors is √(d − 1) at its mode, not 0:
    up to there a vector weighs 1, beyond by its excess u = ε − √(d − 1) as a scalar residual of
    that size would. The loss that has these weights is ρ(u) + (d − 1)/2 + √(d − 1) ∫₀ᵘ w beyond the
    mode and ε²/2 before it; with d = 1 everything is as for residuals (n,). The law of vectors
    that it belongs to has the density e^(−ℓ)/(c^d Z_d(alpha)): `nll` has n d log scale and n log
    Z_d. There is none at alpha = 0, and towards it nearly all vectors are (d/2)^(1/alpha) scales
    long: alpha is estimated from 0.1 on, whatever `alpha_bounds` begins with, and up to 2, beyond
    which weights would be above 1. At 2 the law is the normal one. `truncation` is not for vectors.

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
    host = to_host(theta)
    function: Function = Noted("residuals", residuals)
    with np.errstate(all="ignore"):
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
        kind, is_column = ResidualData, False
        if first.ndim == 2 and first.shape[1] == 1:
            is_column, function, jacobian = True, FirstOf(function), FirstOf(jacobian)
        elif first.ndim == 2:
            kind = VectorData
        options = for_numbers(options) if kind is ResidualData else for_vectors(options)
        functions = Remembered(function, theta), Remembered(jacobian, theta)
        data = kind(xp, *functions, theta, size, rows.rows)
        problem = Problem(data, host, data.size, size)
        search = Search(options, 0.0, watch(options, data.params, rows.unit))
        found = search.best(with_shape_of(theta0, problem))
        end = found.outcome.local.point.theta
        params, found = data.params(end), replace(found, rank=_rank(data, end))
        names = tuple(f"theta{j}" for j in range(data.size))
        common = finished(search, found, rows.unit)
        if is_column:
            common["residuals"] = common["residuals"][:, None]
        return Fit(params=params, names=names, **common)
