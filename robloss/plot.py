"""Pictures of the loss and of fits, drawn with Matplotlib (``pip install 'robloss[plot]'``).

Every function returns the Axes that it drew on and shows nothing by itself. Without Axes of yours
it makes a figure that no window or notebook manages: save it with ``axes.figure.savefig(...)``, or
pass Axes from ``plt.subplots()`` to see it in a window.
"""

from collections.abc import Sequence
from math import isinf
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robloss._fit.sums import to_host
from robloss._loss import influence, loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

    from robloss._fit.result import Fit, LinearFit

__all__ = ["convergence", "curves", "fit"]

# Weight 1 is dark and weight 0 bright: the colour map ends before the yellow that white swallows.
_WEIGHT_COLOURS = "plasma_r"
_WEIGHT_RANGE = (-0.15, 1.0)
_INK = "0.25"


def curves(
    alphas: Sequence[float] = (-np.inf, -2.0, 0.0, 1.0, 2.0),
    *,
    scale: float = 1.0,
    extent: float = 6.0,
    axes: "Sequence[Axes] | None" = None,
) -> "tuple[Axes, Axes]":
    """Draw the loss ρ and its influence ψ for several shapes.

    Parameters
    ----------
    alphas : sequence of float, optional
        Shapes to draw, each any real or ±inf.
    scale : float, optional
        Width of the loss, in the unit of x; in (0, inf).
    extent : float, optional
        The curves reach from ``-extent * scale`` to ``extent * scale``.
    axes : sequence of two Axes, optional
        Where to draw ρ and ψ; by default in a new figure.

    Returns
    -------
    tuple of two Axes
        The loss on the left, the influence on the right.

    See Also
    --------
    robloss.loss, robloss.influence

    Examples
    --------
    >>> from robloss import plot
    >>> left, right = plot.curves(alphas=(0.0, 2.0))
    >>> len(left.lines)
    2
    """
    left, right = _new_axes((9.0, 4.0), columns=2) if axes is None else axes
    x = np.linspace(-extent * scale, extent * scale, 801)
    for alpha, colour in zip(alphas, _spectrum(len(alphas)), strict=True):
        label = f"α = {_number(alpha)}"
        left.plot(x, loss(x, alpha, scale), color=colour, linewidth=2.0, label=label)
        right.plot(x, influence(x, alpha, scale), color=colour, linewidth=2.0, label=label)
    # α > 2 grows like x^α or faster: a frame a little larger than the parabola's interesting part
    # keeps the other curves readable.
    left.set_ylim(-0.15, 5.0)
    right.set_ylim(-1.6 / scale, 1.6 / scale)
    left.set_title("loss ρ(x, α, c)")
    right.set_title("influence ψ = ∂ρ/∂x")
    for ax in (left, right):
        ax.set_xlim(x[0], x[-1])
        ax.set_xlabel(f"x   (c = {_number(scale)})")
        _tidy(ax)
    left.legend(frameon=True, framealpha=0.9, edgecolor="none", loc="upper center")
    return left, right


def fit(
    fit: "LinearFit",
    X: Any,
    y: Any,
    *,
    target_name: str = "y",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw a fitted regression with its data, coloured by robustness weight.

    With one feature: the data and the fitted line. With more: residuals in units of scale against
    fitted values. Points are the brighter and the larger the less they weigh.

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
    convergence

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
        (ax,) = _new_axes((6.4, 4.4))
    weights = to_host(fit.weights)
    features = to_host(X)
    if len(fit.feature_names) == 1:
        x = features.reshape(len(features))
        ends = np.array([x.min(), x.max()])
        line = fit.intercept + float(to_host(fit.coef)[0]) * ends
        points = _weighted_points(ax, x, to_host(y), weights)
        ax.plot(ends, line, color=_INK, linewidth=1.5, zorder=1)
        ax.set_xlabel(fit.feature_names[0])
        ax.set_ylabel(target_name)
    else:
        fitted = fit.intercept + features @ to_host(fit.coef)
        points = _weighted_points(ax, fitted, to_host(fit.residuals) / fit.scale, weights)
        ax.axhline(0.0, color=_INK, linewidth=1.5, zorder=1)
        ax.set_xlabel(f"fitted {target_name}")
        ax.set_ylabel("residual / scale")
    ax.set_title(f"α = {_number(fit.alpha)},  scale = {_number(fit.scale)}")
    _tidy(ax)
    bar = ax.figure.colorbar(points, ax=ax, label="weight")
    bar.ax.set_ylim(0.0, 1.0)
    bar.outline.set_visible(False)
    return ax


def convergence(fit: "Fit", *, axes: "Sequence[Axes] | None" = None) -> "tuple[Axes, Axes, Axes]":
    """Draw how a fit came to its end: objective, alpha and scale by iteration.

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
    top, middle, bottom = _new_axes((6.4, 6.0), rows=3) if axes is None else axes
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
        _tidy(ax)
    return top, middle, bottom


def _new_axes(size: tuple[float, float], *, rows: int = 1, columns: int = 1) -> "list[Axes]":
    """Return the Axes of a new figure that pyplot does not keep alive."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout="constrained")
    return list(figure.subplots(rows, columns, sharex=rows > 1, squeeze=False).flat)


def _spectrum(count: int) -> list[tuple[float, float, float, float]]:
    """Return `count` colours from dark to bright, none of them too pale for a white page."""
    from matplotlib import colormaps

    return [colormaps["viridis"](position) for position in np.linspace(0.0, 0.88, count)]


def _weighted_points(
    ax: "Axes",
    x: npt.NDArray[np.floating],
    y: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
) -> "PathCollection":
    return ax.scatter(
        x,
        y,
        c=weights,
        s=30.0 + 60.0 * (1.0 - weights),
        cmap=_WEIGHT_COLOURS,
        vmin=_WEIGHT_RANGE[0],
        vmax=_WEIGHT_RANGE[1],
        edgecolors=_INK,
        linewidths=0.6,
        zorder=2,
    )


def _tidy(ax: "Axes") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)


def _number(value: float) -> str:
    """Return a number as a label writes it: four digits, a real minus sign, ∞."""
    text = "∞" if isinf(value) else f"{abs(value):.4g}"
    return f"−{text}" if value < 0 else text
