"""Robust linear regression: coefficients, shape and scale by joint maximum likelihood."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import array_api_compat
import numpy as np

from robloss._args import check_values, common_library, is_number, real_dtype
from robloss._domains import ALPHA, DENSITY_ALPHA, SCALE, Domain
from robloss._fit.likelihood import Free, Likelihood, as_held
from robloss._fit.loop import Outcome
from robloss._fit.result import ConvergenceWarning, Fit, History
from robloss._fit.search import LeastSquares, Search, least_squares
from robloss._fit.sums import linear_data
from robloss._typing import Array

_MESSAGES = {
    "converged": "The Newton step is shorter than `tol` standard errors, or than rounding allows.",
    "max_iter": "`max_iter` steps were taken before the tolerance was met. Raise it.",
    "stalled": "No step lowers the objective, yet this is no minimum of it.",
    "no_weight": (
        "The weights of nearly all rows are 0: `scale` is too small for these residuals, and the "
        "objective is flat. Give `scale` a larger number."
    ),
    "scale_floor": (
        "The scale fell to the size of rounding errors: the model fits the data (or at least half "
        "of the rows) exactly, and the likelihood grows without bound. Give `scale` a number."
    ),
    "not_finite": "The objective is not finite at the start. Give `scale` a larger number.",
}


def _as_data(X: Any, y: Any) -> tuple[Any, Array, Array]:
    """Bring X and y to one library and floating dtype, and check their shapes."""
    library, xp = common_library({"X": X, "y": y})
    if library == "numpy":
        X, y = np.asarray(X), np.asarray(y)
    elif library == "torch":
        X, y = X.detach(), y.detach()  # nothing here is differentiated through
    if X.ndim != 2:
        raise ValueError(
            f"`X` must have two dimensions (rows, columns), but got shape {tuple(X.shape)}. "
            "Make one feature a column with X[:, None]."
        )
    if y.ndim != 1:
        raise ValueError(
            f"`y` must have one dimension, but got shape {tuple(y.shape)}. Pass y[:, 0]."
        )
    if any(isinstance(side, float) for side in (*X.shape, *y.shape)):
        raise ValueError("`X` and `y` must have known shapes. Call compute_chunk_sizes() first.")
    if X.shape[0] != y.shape[0] or X.shape[0] == 0:
        raise ValueError(
            f"`X` and `y` must have the same number of rows, at least 1, but got "
            f"{X.shape[0]} and {y.shape[0]}."
        )
    devices = [array_api_compat.device(X), array_api_compat.device(y)]
    if devices[0] != devices[1]:
        raise ValueError(f"`X` and `y` must be on one device, but got {devices[0]}, {devices[1]}.")
    own = [real_dtype("X", X, xp), real_dtype("y", y, xp)]
    if library == "numpy":  # whose kernels take X and y of different dtypes, in the byte order here
        dtypes = [np.result_type(dtype.newbyteorder("="), np.float32) for dtype in own]
    else:
        dtype = xp.result_type(*own)
        dtypes = 2 * [xp.float32 if xp.finfo(dtype).bits < 32 else dtype]
    return xp, *(xp.astype(a, d, copy=False) for a, d in zip((X, y), dtypes, strict=True))


def _given(domain: Domain, value: Any) -> float | None:
    """The number an option was given, or None for "adapt"."""
    if isinstance(value, str) and value == "adapt":
        return None
    number = _number(domain.name, value, '"adapt" or a number')
    if math.isnan(number):
        raise ValueError(f"`{domain.name}` must lie in {domain}, but got nan. Give a number.")
    check_values(domain, number)
    return number


def _number(name: str, value: Any, kind: str = "a number") -> float:
    """A Python number, NumPy scalar or 0-d array as float."""
    is_scalar = getattr(value, "ndim", None) == 0 and not isinstance(value, np.bool_)
    if not (is_number(value) or is_scalar):
        raise TypeError(f"`{name}` must be {kind}, but got {value!r}. Pass one number.")
    return float(value)


def _check_options(
    alpha: float | None, scale: float | None, bounds: Any, tol: Any, max_iter: Any
) -> tuple[float, float]:
    """Refuse options out of range; return the bounds of alpha."""
    if isinstance(bounds, str) or np.shape(bounds) != (2,):
        raise TypeError(
            f"`alpha_bounds` must be two numbers, but got {bounds!r}. Pass (low, high)."
        )
    low, high = (_number("alpha_bounds", bound, "two numbers") for bound in bounds)
    if not 0 <= low < high < math.inf:
        raise ValueError(
            f"`alpha_bounds` must be two numbers 0 <= low < high < inf, but got {bounds!r}. "
            "Give `alpha` a number to fix it."
        )
    if alpha is not None and alpha < 0 and scale is None:
        raise ValueError(
            f"`alpha` must lie in {DENSITY_ALPHA} where the scale is adapted, but got {alpha!r}. "
            "Below 0 there is no likelihood to choose a scale by; give `scale` a number."
        )
    if not _number("tol", tol) > 0:
        raise ValueError(f"`tol` must lie in (0, inf), but got {tol!r}. Leave it out for 1e-8.")
    if not (_number("max_iter", max_iter) >= 0 and float(max_iter).is_integer()):
        raise ValueError(
            f"`max_iter` must be a whole number from 0 on, but got {max_iter!r}. "
            "Leave it out for 200."
        )
    return low, high


def _truth(name: str, value: Any) -> bool:
    """A Python or NumPy truth value as bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False, but got {value!r}. Pass one of these.")
    return bool(value)


def _names(names: Sequence[str] | None, columns: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"x{j}" for j in range(columns))
    if isinstance(names, str) or not hasattr(names, "__len__"):
        raise TypeError(f"`feature_names` must be a list of names, but got {names!r}. Pass a list.")
    if len(names) != columns:
        raise ValueError(
            f"`feature_names` must have one name per column of `X`, that is {columns}, "
            f"but got {len(names)}. Leave it out for x0, x1, …"
        )
    return tuple(str(name) for name in names)


def _flags(outcome: Outcome, free: Free, rank: int, size: int) -> tuple[str, ...]:
    """What a reader of the result must know."""
    flags = []
    alpha = outcome.local.point.alpha
    low, high = free.bounds
    if free.alpha and alpha in (low, high):
        end = "lower" if alpha == low else "upper"
        also = ": this is ordinary least squares" if alpha == 2 else ""
        flags.append(f"alpha is on its {end} bound {alpha:g}{also}.")
    if alpha < 0:
        flags.append(
            "Below alpha = 0 there is no density: nll lacks log Z and does not compare with that "
            "of fits at other shapes."
        )
    if rank < size:
        flags.append(
            f"The design has rank {rank} but {size} coefficients: they are not determined by the "
            "data (collinear or constant columns, or too few rows); one solution is given."
        )
    return tuple(flags)


def fit_linear(
    X: Array,
    y: Array,
    *,
    intercept: bool = True,
    alpha: float | str = "adapt",
    scale: float | str = "adapt",
    alpha_bounds: tuple[float, float] = (0.0, 2.0),
    tol: float = 1e-8,
    max_iter: int = 200,
    feature_names: Sequence[str] | None = None,
) -> Fit:
    r"""Fit a robust linear regression whose shape and scale adapt to the data.

    .. math::

        \min_{\theta, \alpha, c} \; \sum_i \rho(y_i - x_i^T\theta, \alpha, c)
        + n \log c + n \log Z(\alpha)

    Joint maximum likelihood over the coefficients, `alpha` and `scale`, by iteratively reweighted
    least squares that ends in Newton's method. The objective never rises from one iterate to the
    next.

    Parameters
    ----------
    X : array (n, p)
        Features, one column each. A dense array of any supported library.
    y : array (n,)
        Response, in the same library and on the same device.
    intercept : bool, default True
        Whether to fit a constant; do not put a column of ones into `X` then.
    alpha : "adapt" or float, default "adapt"
        Shape: estimated within `alpha_bounds`, or fixed at any number (±inf included; below 0
        only with a fixed `scale`).
    scale : "adapt" or float, default "adapt"
        Scale, in the unit of `y`: estimated, or fixed at a number in (0, inf).
    alpha_bounds : (float, float), default (0.0, 2.0)
        Where to look for `alpha`; 0 <= low < high < inf.
    tol : float, default 1e-8
        Stop once the Newton step is this many standard errors long. Where sums are of float32
        (float32 arrays of any library but NumPy) rounding ends the fit earlier.
    max_iter : int, default 200
        Most steps to take. Those on the sample that a fit of many rows starts from count apart.
    feature_names : sequence of str, optional
        Names of the columns, for the summary.

    Returns
    -------
    Fit
        With `coef`, `weights` and `residuals` in the library, device and dtype of the data.

    Warns
    -----
    ConvergenceWarning
        If the fit did not converge; the result is returned all the same, with ``converged=False``.

    Raises
    ------
    TypeError
        If `X` and `y` come from different libraries or are not real, or an option is of a wrong
        type.
    ValueError
        For shapes that do not fit, data that are not finite or whose squares overflow or underflow,
        or options out of range.

    See Also
    --------
    loss, nll

    Notes
    -----
    The objective is not convex and may have several minima. Two starts are tried where they can
    differ: from ordinary least squares with alpha = 1, and, if that ends at alpha > 1, from the
    fit with alpha at its lower bound; the likelier end is returned. Robustness is against outlying
    responses, not against outlying rows of `X` (leverage): see the page "Estimation".

    Rows are only ever summed over, so the same code runs on Dask chunks. From 80 000 rows on the
    fit starts from that of a sample of them. 16-bit data are fitted, and the results returned, in
    float32.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> data = robloss.datasets.load_stackloss()
    >>> fit = robloss.fit_linear(data.X, data.y)
    >>> round(fit.alpha, 4), round(fit.scale, 4), fit.converged
    (0.0729, 0.6978, True)
    """
    fixed_alpha, fixed_scale = _given(ALPHA, alpha), _given(SCALE, scale)
    bounds = _check_options(fixed_alpha, fixed_scale, alpha_bounds, tol, max_iter)
    constant = _truth("intercept", intercept)
    xp, X, y = _as_data(X, y)
    names = _names(feature_names, X.shape[1])
    with np.errstate(all="ignore"):  # a step that overflows is refused, not warned of
        squares = least_squares(linear_data(xp, X, y, constant))
        eps = squares.data.eps
        bounds = (as_held(bounds[0], eps), as_held(bounds[1], eps))
        search = Search(fixed_alpha, fixed_scale, bounds, tol, int(max_iter))
        return _result(squares, search.best(squares), search.free, names)


def _result(squares: LeastSquares, outcome: Outcome, free: Free, names: tuple[str, ...]) -> Fit:
    data, point = squares.data, outcome.local.point
    converged = outcome.status == "converged"
    message = _MESSAGES[outcome.status]
    flags = _flags(outcome, free, squares.rank, data.size)
    if not converged:
        warnings.warn(f"The fit did not converge: {message}", ConvergenceWarning, stacklevel=3)
    coef, constant = data.coefficients(point.theta)
    residuals, weights = Likelihood(data, free).rows(outcome.local)
    trace = outcome.trace
    return Fit(
        coef=coef,
        intercept=constant,
        alpha=point.alpha,
        scale=point.scale,
        nll=trace.nll[-1],
        weights=weights,
        residuals=residuals,
        n_iter=len(trace.nll) - 1,
        converged=converged,
        status=outcome.status,
        message=message,
        flags=flags,
        history=History(*(np.asarray(part) for part in (trace.nll, trace.alpha, trace.scale))),
        adapted=tuple(name for name in ("alpha", "scale") if getattr(free, name)),
        alpha_bounds=free.bounds,
        feature_names=names,
        fitted_intercept=data.intercept,
    )
