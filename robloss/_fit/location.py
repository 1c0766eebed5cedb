"""Robust means: location, shape and scale of each column."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from robloss._args import common_library, real_dtype
from robloss._fit.finish import finished
from robloss._fit.options import Options, checked
from robloss._fit.progress import Iterate, watch
from robloss._fit.result import LocationFit
from robloss._fit.search import Search
from robloss._fit.several import LocationFits
from robloss._fit.sums import linear_data
from robloss._typing import Array


def _columns(x: Any, axis: Any) -> tuple[Any, Array, tuple[int, ...]]:
    """The data as columns (n, k), and the shape that the columns had."""
    library, xp = common_library({"x": x})
    if library == "numpy":
        x = np.asarray(x)
    elif library == "torch":
        x = x.detach()
    dtype = real_dtype("x", x, xp)
    dtype = xp.float32 if xp.finfo(dtype).bits < 32 else dtype
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"`axis` must be a whole number, but got {axis!r}. Pass one axis.")
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"`axis` must be an axis of `x`, but got {axis} for shape {x.shape}.")
    x = xp.moveaxis(x, int(axis), 0)
    shape = tuple(x.shape[1:])
    if x.shape[0] == 0 or math.prod(shape) == 0:
        raise ValueError(f"`x` must not be empty, but got shape {tuple(x.shape)}.")
    return xp, xp.astype(xp.reshape(x, (x.shape[0], -1)), dtype, copy=False), shape


def fit_location(
    x: Array,
    *,
    axis: int = 0,
    alpha: float | str = "adapt",
    scale: float | str = "adapt",
    alpha_bounds: tuple[float, float] = (0.0, 2.0),
    truncation: float | None = None,
    n_starts: int = 1,
    rng: Any = None,
    method: str = "irls",
    anneal: str | Sequence[float] | None = None,
    tol: float = 1e-8,
    max_iter: int = 200,
    callback: Callable[[Iterate], object] | None = None,
    verbose: int = 0,
) -> LocationFit | LocationFits:
    r"""Fit a robust mean whose shape and scale adapt to the data, for each column.

    .. math::

        \min_{\mu, \alpha, c} \; \sum_i \rho(x_i - \mu, \alpha, c) + n \log c + n \log Z(\alpha)

    Joint maximum likelihood, as :func:`fit_linear` with nothing but an intercept. Between the mean
    (alpha = 2) and estimates that ignore far values altogether, by how heavy the tails are.

    Parameters
    ----------
    x : array (n,) or (n, …)
        Data, in any unit; every column beside `axis` is fitted for itself.
    axis : int, default 0
        What to take the mean over.
    alpha, scale, alpha_bounds, truncation, n_starts, rng, method, anneal, tol, max_iter
        As for :func:`fit_linear`.
    callback, verbose
        As for :func:`fit_linear`; columns are fitted one after the other.

    Returns
    -------
    LocationFit or LocationFits
        For one dimension a `Fit` with `location`; for more a sequence of these that has their
        attributes, `location`, `alpha` and `scale` in the shape of the columns.

    Warns
    -----
    ConvergenceWarning
        For each column whose fit did not converge.

    Raises
    ------
    TypeError
        If `x` is not real, or an option is of a wrong type.
    ValueError
        For an empty array, data that are not finite or whose squares overflow or underflow, or
        options out of range.

    See Also
    --------
    fit_linear

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import robloss
    >>> fit = robloss.fit_location([9.8, 10.1, 9.9, 10.0, 10.2, 55.0])
    >>> round(fit.location, 2)
    10.0
    """
    options = checked(
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
    xp, columns, shape = _columns(x, axis)
    with np.errstate(all="ignore"):
        fits = tuple(_fitted(xp, columns[:, k], options) for k in range(columns.shape[1]))
    return LocationFits(fits, shape) if shape else fits[0]


def _fitted(xp: Any, column: Array, options: Options) -> LocationFit:
    nothing = xp.zeros_like(column[:, None])[:, :0]
    data = linear_data(xp, nothing, column, intercept=True)
    search = Search(options, 0.0, watch(options, data.params))
    found = search.linear(data)
    params = found.data.params(found.outcome.local.point.theta)
    return LocationFit(
        params=params, names=("location",), location=float(params[0]), **finished(search, found)
    )
