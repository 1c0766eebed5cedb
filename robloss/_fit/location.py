"""Robust means: location, shape and scale of each column."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from robloss._fit.begun import each_start, found_from
from robloss._fit.finish import finished
from robloss._fit.linear_data import LinearData, linear_data
from robloss._fit.options import ALPHA_BOUNDS, MAX_ITER, METHOD, N_STARTS, TOL, Options, checked
from robloss._fit.progress import Iterate, watch
from robloss._fit.responses import of_column
from robloss._fit.result import LocationFit
from robloss._fit.search import Search
from robloss._fit.several import LocationFits
from robloss._fit.sums import first_not_finite
from robloss._fit.weights import counted
from robloss._libraries import (
    as_numpy,
    column_names,
    common_library,
    compute_dtype,
    real_dtype,
    series_name,
)
from robloss._typing import Array


def _columns(x: Any, axis: Any, named: dict[str, Any]) -> tuple[Any, Array, tuple[int, ...]]:
    """The data as columns (n, k), and the shape that the columns had."""
    library, xp = common_library(named)
    if library == "numpy":
        x = as_numpy("x", x)
    elif library == "torch":
        x = x.detach()
    if any(isinstance(side, float) for side in x.shape):
        raise ValueError(
            f"`x` must have a known shape, but got {x.shape}. Call compute_chunk_sizes() first."
        )
    dtype = compute_dtype(xp, real_dtype("x", x, xp))
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"`axis` must be a whole number, but got {axis!r}. Pass one axis.")
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"`axis` must be an axis of `x`, but got {axis} for shape {tuple(x.shape)}. "
            "Axes are counted from 0, or from -1 backwards."
        )
    if x.shape and 0 not in x.shape:
        _refuse_non_finite(xp, x)
    x = xp.moveaxis(x, int(axis), 0)
    shape = tuple(x.shape[1:])
    if x.shape[0] == 0 or math.prod(shape) == 0:
        raise ValueError(
            f"`x` must not be empty, but got shape {tuple(x.shape)}. Pass at least one value."
        )
    columns = xp.reshape(x, (x.shape[0], -1))
    if library == "numpy":
        columns = np.asfortranarray(columns)  # a column that lies together needs no other kernel
    return xp, xp.astype(columns, dtype, copy=False), shape


def _names(x: Any, axis: int, shape: tuple[int, ...]) -> Sequence[str | None]:
    """Names of the columns of a data frame, or of a series; None for each of an array's."""
    if not shape:
        return [series_name(x)]
    names = column_names(x) if axis in (0, -2) else None  # else its rows are what is fitted
    return names or [None] * math.prod(shape)


def _refuse_non_finite(xp: Any, x: Array) -> None:
    """Say where the first NaN or inf is, for data on the host; else that there is one."""
    if not xp.isdtype(x.dtype, "real floating") or bool(xp.all(xp.isfinite(x))):
        return
    raise ValueError(
        f"`x` must be finite, but got {first_not_finite(x) or 'NaN or inf'}. "
        "Drop or impute such values first."
    )


def fit_location(
    x: Array,
    *,
    axis: int = 0,
    alpha: float | str = "adapt",
    scale: float | str = "adapt",
    alpha_bounds: tuple[float, float] = ALPHA_BOUNDS,
    truncation: float | None = None,
    start: Any = None,
    n_starts: int = N_STARTS,
    rng: Any = None,
    method: str = METHOD,
    anneal: str | Sequence[float] | None = None,
    tol: float = TOL,
    max_iter: int = MAX_ITER,
    sample_weight: Array | None = None,
    callback: Callable[[Iterate], object] | None = None,
    verbose: int = 0,
) -> LocationFit | LocationFits:
    r"""Fit a robust mean whose shape and scale adapt to the data, for each column.

    .. math::

        \min_{\mu, \alpha, c} \; \sum_i s_i \rho(x_i - \mu, \alpha, c)
        + n \log c + n \log Z(\alpha), \quad n = \sum_i s_i

    This is joint maximum likelihood, as by :func:`fit_linear` with only an intercept. Depending on
    how heavy the tails are, the estimate lies between the mean (alpha = 2) and one that practically
    ignores far values.

    Parameters
    ----------
    x : array (n,) or (n, …), or data frame
        Data, in any unit; each column along `axis` is fitted separately.
    axis : int, default 0
        The axis to take the mean over.
    alpha, scale, alpha_bounds, truncation, n_starts, rng, method, anneal, tol, max_iter
        As for :func:`fit_linear`.
    start : float, array, LocationFit or LocationFits, optional
        Locations to start from, in the shape of the result's `location`; or an earlier result,
        whose shapes and scales are then used too. By default the means.
    sample_weight : array (n,), optional
        How often each value along `axis` counts, in every column, the s of the formula; as for
        :func:`fit_linear`.
    callback, verbose
        As for :func:`fit_linear`; columns are fitted one after the other.

    Returns
    -------
    LocationFit or LocationFits
        For a one-dimensional `x` a `Fit` with a `location`; otherwise a sequence of these, one per
        column, with the same attributes: `location`, `alpha` and `scale` have the shape of `x`
        without `axis`.

    Warns
    -----
    ConvergenceWarning
        For each column whose fit did not converge.

    Raises
    ------
    TypeError
        If `x` is not real, or an option has a wrong type.
    ValueError
        If `x` is empty, not finite or has squares that overflow or underflow, or an option is out
        of range.

    See Also
    --------
    fit_linear

    Notes
    -----
    Columns are fitted one after the other; each takes `n_iter` passes over its data and a few more.
    On a device, or with lazy arrays, each pass has a fixed cost, so that many short columns take
    long: convert them to NumPy first.

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
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    xp, columns, shape = _columns(x, axis, {"x": x, **weights})
    names = _names(x, axis, shape)
    rows = counted(sample_weight, xp, columns)
    nothing = xp.zeros_like(columns[:, :1])[:, :0]
    starts = each_start(start, shape, columns.shape[1]) if shape else [start]
    fits = []
    with np.errstate(all="ignore"):
        for k in range(columns.shape[1]):
            with of_column("x", columns, k) if shape else nullcontext():
                data = linear_data(xp, nothing, columns[:, k], True, rows.rows)
                fits.append(_fitted(data, options, rows.unit, starts[k], names[k]))
    return LocationFits(tuple(fits), shape) if shape else fits[0]


def _fitted(
    data: LinearData, options: Options, unit: float, start: Any, name: str | None
) -> LocationFit:
    search = Search(options, 0.0, watch(options, data.params, unit))
    found = found_from(start, search, data)
    theta = found.outcome.local.point.theta
    return LocationFit(
        params=found.data.params(theta),
        names=("location",),
        location=float(theta[0]),
        column_name=name,
        **finished(search, found, unit),
    )
