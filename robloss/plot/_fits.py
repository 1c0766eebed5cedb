"""Pictures of fits."""

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from robloss._distribution.cumulative import ppf
from robloss._fit.norm_law import excess
from robloss._fit.norm_partition import LEAST_ALPHA, quantiles_of_length
from robloss._fit.sums import lengths, to_host
from robloss._loss import weight
from robloss.plot._style import INK, new_axes, number, panels, tidy, weighted_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from robloss._fit.result import Fit, LinearFit


def fit(
    fit: "LinearFit",
    X: Any,
    y: Any,
    *,
    target_name: str = "y",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw a fitted regression with its data, coloured by robustness weight.

    With one feature: the data and the fitted line. With more: `residuals` over fitted values.
    The lower the weight of a point, the brighter and larger it is.

    Parameters
    ----------
    fit : LinearFit
        What :func:`robloss.fit_linear` returned.
    X : array, shape (n, p)
        Features that the fit was made from.
    y : array, shape (n,)
        Target that the fit was made from.
    target_name : str, optional
        Name of the target, for the labels.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        The Axes that were drawn on.

    See Also
    --------
    diagnostics, convergence

    Examples
    --------
    >>> import robloss
    >>> from robloss import datasets, plot
    >>> data = datasets.load_phones()
    >>> result = robloss.fit_linear(data.X, data.y)
    >>> ax = plot.fit(result, data.X, data.y, target_name=data.target_name)
    >>> ax.get_ylabel()
    'calls'
    """
    if ax is None:
        (ax,) = new_axes((6.4, 4.4))
    if len(fit.feature_names) == 1:
        x = to_host(X).reshape(-1)
        ends = np.array([x.min(), x.max()])
        line = fit.intercept + float(to_host(fit.coef)[0]) * ends
        weighted_points(ax, x, to_host(y), to_host(fit.weights))
        ax.plot(ends, line, color=INK, linewidth=1.5, zorder=1)
        ax.set_xlabel(fit.feature_names[0])
        ax.set_ylabel(target_name)
        tidy(ax)
    else:
        residuals(fit, X, target_name=target_name, ax=ax)
    ax.set_title(_estimates(fit))
    bar = ax.figure.colorbar(ax.collections[0], ax=ax, label="weight")
    bar.ax.set_ylim(0.0, 1.0)
    bar.outline.set_visible(False)
    return ax


def diagnostics(
    fit: "Fit",
    X: Any = None,
    *,
    sample_weight: Any = None,
    target_name: str = "y",
    axes: "Sequence[Axes] | None" = None,
) -> "tuple[Axes, Axes, Axes]":
    """Draw three panels for judging a fit: `residuals`, `weights` and `qq`.

    Points have the same colour and size in all three: the lower their weight, the brighter and
    larger.

    Parameters
    ----------
    fit : Fit
    X : array, shape (n, p), optional
        Features that a linear fit was made from; without them residuals are drawn by row.
    sample_weight : array, shape (n,), optional
        What the fit was given.
    target_name : str, optional
        Name of the target, for the labels.
    axes : sequence of three Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    tuple of three Axes

    See Also
    --------
    fit, convergence

    Examples
    --------
    >>> import robloss
    >>> from robloss import datasets, plot
    >>> data = datasets.load_stackloss()
    >>> result = robloss.fit_linear(data.X, data.y)
    >>> left, middle, right = plot.diagnostics(result, data.X)
    >>> middle.get_ylabel()
    'weight'
    """
    made = axes is None
    left, middle, right = panels(axes, (12.0, 4.0), columns=3)
    residuals(fit, X, target_name=target_name, ax=left)
    weights(fit, ax=middle)
    qq(fit, sample_weight=sample_weight, ax=right)
    if made:
        left.figure.suptitle(_estimates(fit))
    return left, middle, right


def residuals(
    fit: "Fit", X: Any = None, *, target_name: str = "y", ax: "Axes | None" = None
) -> "Axes":
    """Draw residuals in units of scale, over fitted values or by row, coloured by weight.

    Dotted lines mark `Fit.outlier_distance`, if residuals reach that far. For vectors of d
    components the lengths are drawn, with a line at √(d − 1), up to which they weigh 1.

    Parameters
    ----------
    fit : Fit
    X : array, shape (n, p), optional
        Features that a linear fit was made from; without them residuals are drawn by row.
    target_name : str, optional
        Name of the target, for the labels.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes

    See Also
    --------
    diagnostics

    Examples
    --------
    >>> import robloss
    >>> from robloss import plot
    >>> ax = plot.residuals(robloss.fit_location([9.8, 10.1, 9.9, 10.0, 55.0]))
    >>> ax.get_xlabel()
    'row'
    """
    if ax is None:
        (ax,) = new_axes((6.4, 4.4))
    sizes, d = _sizes(fit)
    if X is None:
        across, label = np.arange(len(sizes), dtype=np.float64), "row"
    else:
        linear = cast("LinearFit", fit)
        across = linear.intercept + to_host(X) @ to_host(linear.coef)
        label = f"fitted {target_name}"
    # The scale comes first: Matplotlib does not choose limits again for another.
    _stretch(ax, y=sizes)
    weighted_points(ax, across, sizes, to_host(fit.weights))
    ax.axhline(math.sqrt(d - 1), color=INK, linewidth=1.5, zorder=1)
    far = fit.outlier_distance / fit.scale
    low, high = ax.get_ylim()
    for line in (-far, far) if d == 1 else (far,):
        if low < line < high:
            ax.axhline(line, color=INK, linewidth=1.0, linestyle=":", zorder=1)
    ax.set_ylim(low, high)
    ax.set_xlabel(label)
    ax.set_ylabel(_name_of(d))
    tidy(ax)
    return ax


def weights(fit: "Fit", *, ax: "Axes | None" = None) -> "Axes":
    """Draw weights over residuals, or lengths of vectors, along the curve of the fitted shape.

    Residuals and lengths are in units of scale.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes

    See Also
    --------
    diagnostics, robloss.weight

    Examples
    --------
    >>> import robloss
    >>> from robloss import plot
    >>> ax = plot.weights(robloss.fit_location([9.8, 10.1, 9.9, 10.0, 55.0]))
    >>> ax.get_xlabel()
    'residual / scale'
    """
    if ax is None:
        (ax,) = new_axes((6.4, 4.4))
    sizes, d = _sizes(fit)
    reach = max(4.0, 1.1 * float(np.max(np.abs(sizes))))
    _stretch(ax, x=sizes)
    # Dense near 0, where the curve bends, however far it reaches.
    grid = np.sinh(np.linspace(-1.0 if d == 1 else 0.0, 1.0, 801) * np.arcsinh(reach))
    curve = weight(excess(np, np.abs(grid), d), fit.alpha)
    ax.plot(grid, curve, color=INK, linewidth=1.5, zorder=1)
    weighted_points(ax, sizes, to_host(fit.weights), to_host(fit.weights))
    ax.set_xlabel(_name_of(d))
    ax.set_ylabel("weight")
    tidy(ax)
    return ax


def qq(fit: "Fit", *, sample_weight: Any = None, ax: "Axes | None" = None) -> "Axes":
    """Draw quantiles of the residuals over those of the fitted distribution, in units of scale.

    Residuals that follow the distribution lie along the line. For alpha < 0 without a truncation,
    where there is no fitted distribution, the normal one is used, with the line through its
    quartiles, and the label says so. For vectors it is the distribution of lengths; for alpha <
    0.1, where there is none, that of normal vectors, with the line through 0 and the median.

    Parameters
    ----------
    fit : Fit
    sample_weight : array, shape (n,), optional
        What the fit was given.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes

    See Also
    --------
    diagnostics, robloss.ppf

    Notes
    -----
    The i-th of n residuals is drawn over the quantile of (i − ½)/n. Of more than 1000 rows the
    hundred smallest and largest are drawn, and 800 between them.

    Examples
    --------
    >>> import robloss
    >>> from robloss import plot
    >>> ax = plot.qq(robloss.fit_location([9.8, 10.1, 9.9, 10.0, 55.0]))
    >>> ax.get_xlabel()
    'quantile of the fitted distribution'
    """
    if ax is None:
        (ax,) = new_axes((6.4, 4.4))
    sizes, d = _sizes(fit)
    counts = np.ones(len(sizes)) if sample_weight is None else to_host(sample_weight)
    order = np.argsort(sizes)
    order = order[counts[order] > 0]
    total = np.cumsum(counts[order])
    shares = (total - 0.5 * counts[order]) / total[-1]
    shown = _of_many(len(order))
    shares, order = shares[shown], order[shown]
    of = _expected if d == 1 else _expected_lengths
    expected, through, slope, label = of(fit, shares, sizes[order])
    _stretch(ax, x=expected, y=sizes[order])
    # Dense near 0, so that the line is one on a logarithmic scale too.
    grid = np.sinh(np.linspace(np.arcsinh(expected[0]), np.arcsinh(expected[-1]), 401))
    ax.plot(grid, through + slope * grid, color=INK, linewidth=1.5, zorder=1)
    weighted_points(ax, expected, sizes[order], to_host(fit.weights)[order])
    ax.set_xlabel(label)
    ax.set_ylabel(_name_of(d))
    tidy(ax)
    return ax


def _sizes(fit: "Fit") -> "tuple[NDArray[np.float64], int]":
    """Residuals, or lengths of vectors, in units of scale; and how many components they have."""
    residuals = to_host(fit.residuals)
    if residuals.ndim == 1:
        return residuals / fit.scale, 1
    d = residuals.shape[1]
    if to_host(fit.weights).ndim > 1:
        raise ValueError(
            f"`fit` must be of one response, but got {d}. Fit one column of y, or leave out "
            "`shared`."
        )
    return lengths(np, residuals, d).reshape(-1) / fit.scale, d


def _name_of(components: int) -> str:
    return "residual / scale" if components == 1 else "length / scale"


def _expected(
    fit: "Fit", shares: NDArray[np.float64], sizes: NDArray[np.float64]
) -> "tuple[NDArray[np.float64], float, float, str]":
    """Quantiles, the line to compare with (height at 0, slope), and the label."""
    if fit.alpha >= 0 or fit.truncation is not None:
        expected = ppf(shares, fit.alpha, truncation=fit.truncation)
        return expected, 0.0, 1.0, "quantile of the fitted distribution"
    quartiles = np.interp([0.25, 0.75], shares, sizes)
    slope = float(quartiles[1] - quartiles[0]) / (2 * float(ppf(0.75, 2.0)))
    label = "normal quantile (no law for α < 0)"
    return ppf(shares, 2.0), float(np.mean(quartiles)), slope, label


def _expected_lengths(
    fit: "Fit", shares: NDArray[np.float64], sizes: NDArray[np.float64]
) -> "tuple[NDArray[np.float64], float, float, str]":
    """The same of vectors, whose law of lengths has a scale but no place."""
    d = fit.residuals.shape[1]
    if fit.alpha >= LEAST_ALPHA:
        expected = quantiles_of_length(shares, fit.alpha, d)
        return expected, 0.0, 1.0, "quantile of the fitted distribution"
    expected = quantiles_of_length(shares, 2.0, d)
    slope = np.interp(0.5, shares, sizes) / np.interp(0.5, shares, expected)
    return expected, 0.0, float(slope), f"normal quantile (no law for α < {LEAST_ALPHA})"


def _of_many(n: int) -> NDArray[np.intp]:
    """Places of some of n sorted values, all of those in the tails."""
    if n <= 1000:
        return np.arange(n)
    middle = np.linspace(100, n - 101, 800).astype(np.intp)
    return np.concatenate([np.arange(100), middle, np.arange(n - 100, n)])


def _stretch(ax: "Axes", **values: NDArray[np.float64]) -> None:
    """Make axes logarithmic far from 0, if values reach far: sinh⁻¹, which has no corner."""
    reach = {axis: float(np.max(np.abs(along))) for axis, along in values.items()}
    # Up to 30 scales the bulk of the points, 2 or 3 wide, can be told apart on a plain axis.
    if max(reach.values()) <= 30.0:
        return
    for axis, far in reach.items():
        ticks = _decades(far)
        ax.set(**{f"{axis}scale": "asinh"})
        ax.set(**{f"{axis}ticks": ticks, f"{axis}ticklabels": [number(tick) for tick in ticks]})


def _decades(reach: float) -> list[float]:
    """Powers of ten to both sides of 0, few enough for their labels."""
    highest = max(0, int(np.log10(max(reach, 1.0))))
    step = 1 + highest // 3
    powers = [10.0**power for power in range(0 if step == 1 else step, highest + 1, step)]
    return [*(-power for power in reversed(powers)), 0.0, *powers]


def _estimates(fit: "Fit") -> str:
    return f"α = {number(fit.alpha)},  scale = {number(fit.scale)}"


def convergence(fit: "Fit", *, axes: "Sequence[Axes] | None" = None) -> "tuple[Axes, Axes, Axes]":
    """Draw how a fit converged: objective, alpha and scale by iteration.

    Parameters
    ----------
    fit : Fit
        What :func:`robloss.fit_linear` returned.
    axes : sequence of three Axes, optional
        Where to draw objective, alpha and scale; by default in a new figure.

    Returns
    -------
    tuple of three Axes
        The objective above its last value, on a logarithmic axis; alpha; scale.

    See Also
    --------
    fit

    Examples
    --------
    >>> import robloss
    >>> from robloss import datasets, plot
    >>> data = datasets.load_stackloss()
    >>> top, *_ = plot.convergence(robloss.fit_linear(data.X, data.y))
    >>> top.get_ylabel()
    'nll − last nll'
    """
    top, middle, bottom = panels(axes, (6.4, 6.0), rows=3)
    history = fit.history
    step = np.arange(len(history.nll))
    style: dict[str, Any] = {"color": "#3b4cc0", "marker": "o", "markersize": 3.5, "linewidth": 1.4}
    excess = np.asarray(history.nll) - history.nll[-1]
    # The last value, and every one equal to it, is 0 and has no place on a logarithmic axis.
    above = excess > 0
    top.plot(step[above], excess[above], **style)
    if above.any():
        top.set_yscale("log")
    top.set_ylabel("nll − last nll")
    middle.plot(step, history.alpha, **style)
    middle.set_ylabel("α")
    bottom.plot(step, history.scale, **style)
    bottom.set_ylabel("scale")
    bottom.set_xlabel("iteration")
    for ax in (top, middle, bottom):
        ax.set_xlim(-0.5, len(step) - 0.5)
        ax.locator_params(axis="x", integer=True)
        tidy(ax)
    return top, middle, bottom
