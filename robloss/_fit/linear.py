"""Robust linear regression: coefficients, shape and scale by joint maximum likelihood."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat
import numpy as np

from robloss._args import as_number
from robloss._fit.options import ALPHA_BOUNDS, MAX_ITER, METHOD, N_STARTS, TOL, checked, truth
from robloss._fit.progress import Iterate
from robloss._fit.responses import LinearModel
from robloss._fit.result import LinearFit
from robloss._fit.several import LinearFits
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


def _check_pair(X: Array, y: Array) -> None:
    """Refuse features and responses whose shapes or devices do not go together."""
    if X.ndim != 2:
        raise ValueError(
            f"`X` must have two dimensions (rows, columns), but got shape {tuple(X.shape)}. "
            "Make one feature a column with X[:, None]."
        )
    if y.ndim not in (1, 2):
        raise ValueError(
            f"`y` must have one dimension, or two (rows, responses), but got shape "
            f"{tuple(y.shape)}. Make each response a column."
        )
    if any(isinstance(side, float) for side in (*X.shape, *y.shape)):
        raise ValueError(
            f"`X` and `y` must have known shapes, but got {X.shape} and {y.shape}. "
            "Call compute_chunk_sizes() first."
        )
    if X.shape[0] != y.shape[0] or X.shape[0] == 0:
        raise ValueError(
            f"`X` and `y` must have the same number of rows, at least 1, but got "
            f"{X.shape[0]} and {y.shape[0]}. Each row of `X` belongs to one of `y`."
        )
    if y.ndim == 2 and y.shape[1] == 0:
        raise ValueError(
            f"`y` must have a column for each response, but got shape {tuple(y.shape)}. "
            "Pass at least one."
        )
    devices = [array_api_compat.device(X), array_api_compat.device(y)]
    if devices[0] != devices[1]:
        raise ValueError(
            f"`X` and `y` must be on one device, but got {devices[0]} and {devices[1]}. "
            "Move one of them first."
        )


def _as_data(X: Any, y: Any, named: dict[str, Any]) -> tuple[Any, Array, Array]:
    """Bring X and y to one library and floating dtype, and check their shapes."""
    library, xp = common_library(named)
    if library == "numpy":
        X, y = as_numpy("X", X), np.asarray(y)
    elif library == "torch":
        X, y = X.detach(), y.detach()  # nothing here is differentiated through
    _check_pair(X, y)
    own = [real_dtype("X", X, xp), real_dtype("y", y, xp)]
    if library == "numpy":  # whose kernels take X and y of different dtypes
        y = np.asfortranarray(y)  # a column that lies together needs no other kernel
        dtypes = [compute_dtype(xp, dtype) for dtype in own]
    else:
        dtypes = 2 * [compute_dtype(xp, xp.result_type(*own))]
    return xp, *(xp.astype(a, d, copy=False) for a, d in zip((X, y), dtypes, strict=True))


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


def _target_names(given: Any, y: Array) -> tuple[str, ...]:
    """Those of a data frame or a series; else y, or y0, y1 and so on."""
    columns = column_names(given)
    if columns is not None:
        return tuple(columns)
    if y.ndim == 2:
        return tuple(f"y{j}" for j in range(y.shape[1]))
    name = series_name(given)
    return ("y",) if name is None else (name,)


def _ridge(value: Any) -> float:
    given = as_number("l2", value)
    if not 0 <= given < math.inf:
        raise ValueError(
            f"`l2` must lie in [0, inf), but got {value!r}. It is the weight of half the sum of "
            "squared coefficients."
        )
    return given


def fit_linear(
    X: Array,
    y: Array,
    *,
    intercept: bool = True,
    shared: bool = False,
    l2: float = 0.0,
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
    feature_names: Sequence[str] | None = None,
) -> LinearFit | LinearFits:
    r"""Fit a robust linear regression whose shape and scale adapt to the data.

    .. math::

        \min_{\theta, \alpha, c} \; \sum_i s_i \rho(y_i - x_i^T\theta, \alpha, c)
        + n \log c + n \log Z(\alpha) + \tfrac{1}{2} l_2 \|\theta\|^2, \quad n = \sum_i s_i

    The coefficients, `alpha` and `scale` are estimated jointly by maximum likelihood: by
    iteratively reweighted least squares, and close to the optimum by Newton's method. The objective
    never rises from one iterate to the next.

    Parameters
    ----------
    X : array (n, p) or data frame
        Features, one per column: a dense array of any supported library, or a data frame, which
        is converted to a NumPy array.
    y : array (n,) or (n, k)
        Response, in the same library and on the same device, with rows paired by position; or
        several responses, one per column.
    intercept : bool, default True
        Whether to fit a constant; if so, do not put a column of ones into `X`.
    shared : bool, default False
        Whether several responses share one `alpha` and one `scale`, which minimise the sum of their
        objectives, instead of each having its own. They should then have the same unit.
    l2 : float, default 0.0
        Ridge penalty: the weight of ½Σθ², over all coefficients but the intercept, added to the
        sum of losses. At alpha = 2 and scale = 1 it is the `alpha` of scikit-learn's Ridge.
    alpha : "adapt" or float, default "adapt"
        Shape: estimated within `alpha_bounds`, or fixed at any number (±inf included; below 0
        only with a fixed `scale`).
    scale : "adapt" or float, default "adapt"
        Scale, in the unit of `y`: estimated, or fixed at a number in (0, inf).
    alpha_bounds : (float, float), default (0.0, 2.0)
        Range of an adaptive `alpha`: finite, and nonnegative without a `truncation`.
    truncation : float, optional
        τ, in units of the scale: log Z becomes that of the distribution cut off at ±τ, which exists
        for every shape, so that `alpha` can be estimated below 0. Its estimate depends on τ. Below
        0 the likelihood has no maximum in the scale: an adaptive scale is therefore held at its
        value for alpha = 0 if `alpha` ends below 0.
    start : array, LinearFit or LinearFits, optional
        Parameters to start from, in the shape of the result's `params`, with the intercept first if
        there is one; or an earlier result, whose shape and scale are then used too. By default the
        least-squares solution.
    n_starts : int, default 1
        How many starts to try; each one after the first fits as many random rows as there are
        parameters.
    rng : int or numpy.random.Generator, optional
        Seed or generator that these rows are drawn with; by default they differ in every run.
    method : {"irls", "gradient"}, default "irls"
        "gradient" minimises the same objective by its first derivatives (L-BFGS); the time of its
        steps is proportional to p instead of p². It is for hundreds of columns or more.
    anneal : {"barron", "jung", "yang"} or sequence of float, optional
        Graduated non-convexity: first fit a sequence of easier objectives, each from the end of the
        one before: with the shapes of Barron's list, or with α(μ) of Jung et al.; with a shrinking
        scale ("yang", for a fixed `alpha` and `scale`); or with your own list of shapes.
    tol : float, default 1e-8
        Stop once the Newton step is at most this many standard errors long. Where sums are computed
        in float32 (float32 arrays of any library but NumPy), rounding ends the fit earlier.
    max_iter : int, default 200
        Maximum number of steps. Steps of annealing, and steps on the sample that a fit of many rows
        starts from, are counted separately.
    sample_weight : array (n,), optional
        How often each row counts, the s of the formula; default: 1. A weight of 2 is the row twice,
        a weight of 0 leaves it out (its `X` and `y` must be finite all the same). Weights must be
        nonnegative, finite and not all 0, in the library and on the device of `X`.
    callback : callable, optional
        Called with an `Iterate` (n_iter, params, alpha, scale, nll) at every iterate on the full
        data; it may raise StopIteration to end the fit.
    verbose : {0, 1, 2} or bool, default 0
        1 prints how the fit ended, 2 also every iterate.
    feature_names : sequence of str, optional
        Names of the columns, for the summary; by default those of a data frame. `predict` requires
        data frames to have the column names of the one fitted to, or else these.

    Returns
    -------
    LinearFit, or LinearFits for several responses that are not `shared`
        With `coef`, `weights` and `residuals` in the library, device and dtype of the data.

    Warns
    -----
    ConvergenceWarning
        If the fit did not converge; the result is still returned, with ``converged=False``.

    Raises
    ------
    TypeError
        If `X` and `y` come from different libraries or are not real, or an option has a wrong type.
    ValueError
        If shapes do not match, data are not finite or have squares that overflow or underflow, or
        an option is out of range.

    See Also
    --------
    loss, nll

    Notes
    -----
    The objective is not convex and may have several minima. The fit starts from ordinary least
    squares with alpha = 1. If that ends at alpha > 1, it also starts from the fit with alpha at its
    lower bound, and the likelier of the two results is returned. The fit is robust against outlying
    responses, not against outlying rows of `X` (leverage): see the page "Estimation".

    Rows are only ever summed over, so the same code runs on Dask chunks. From 80 000 rows on the
    fit starts from that of a sample of them. With fewer rows than parameters the model is fitted in
    the space that the rows span; without a ridge the coefficients are those of least norm, and a
    flag says that they are not determined. 16-bit data are fitted, and the results returned, in
    float32.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.
    N. Chebrolu, T. Läbe, O. Vysotska, J. Behley, C. Stachniss, "Adaptive Robust Kernels for
    Non-Linear Least Squares Problems", RA-L 2021 (truncation).
    H. Yang, P. Antonante, V. Tzoumas, L. Carlone, "Graduated Non-Convexity for Robust Spatial
    Perception", RA-L 2020; K. Jung, T. Hitchcox, J. R. Forbes, arXiv:2305.06869 (annealing).

    Examples
    --------
    >>> import robloss
    >>> data = robloss.datasets.load_stackloss()
    >>> fit = robloss.fit_linear(data.X, data.y)
    >>> round(fit.alpha, 4), round(fit.scale, 4), fit.converged
    (0.0729, 0.6978, True)
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
    constant, together = truth("intercept", intercept), truth("shared", shared)
    ridge = _ridge(l2)
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    of_X, of_y = X, y
    xp, X, y = _as_data(X, y, {"X": X, "y": y, **weights})
    rows = counted(sample_weight, xp, X)
    of_frame = column_names(of_X)
    given = of_frame if feature_names is None else feature_names
    names = _names(given, X.shape[1])
    targets = _target_names(of_y, y)
    columns = None if given is None else names if of_frame is None else tuple(of_frame)
    model = LinearModel(xp, X, rows, constant, ridge, names, targets, columns, options)
    with np.errstate(all="ignore"):  # a step that overflows is refused, not warned of
        if y.ndim == 1:
            return model.alone(y, start)
        return model.together(y, start) if together else model.each(y, start)
