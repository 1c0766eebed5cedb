"""Pictures of the loss and of its distribution."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from robloss._distribution.density import nll, pdf
from robloss._loss import influence, loss
from robloss.plot._style import number, panels, spectrum, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Shapes that the axis of `surface` names.
_LANDMARKS = (-np.inf, -8.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 10.0, np.inf)
_LEGEND: dict[str, Any] = {"frameon": True, "framealpha": 0.9, "edgecolor": "none"}


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
    left, right = _beside(loss, influence, alphas, scale, extent, axes)
    # α > 2 grows like x^α or faster: a frame a little larger than the parabola's interesting part
    # keeps the other curves readable.
    left.set_ylim(-0.15, 5.0)
    right.set_ylim(-1.6 / scale, 1.6 / scale)
    left.set_title("loss ρ(x, α, c)")
    right.set_title("influence ψ = ∂ρ/∂x")
    left.legend(**_LEGEND, loc="upper center")
    return left, right


def densities(
    alphas: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0),
    *,
    scale: float = 1.0,
    extent: float = 6.0,
    axes: "Sequence[Axes] | None" = None,
) -> "tuple[Axes, Axes]":
    """Draw the distribution that belongs to the loss, for several shapes.

    Parameters
    ----------
    alphas : sequence of float, optional
        Shapes to draw, each in [0, inf].
    scale : float, optional
        Width of the distribution, in the unit of x; in (0, inf).
    extent : float, optional
        The curves reach from ``-extent * scale`` to ``extent * scale``.
    axes : sequence of two Axes, optional
        Where to draw them; by default in a new figure.

    Returns
    -------
    tuple of two Axes
        The negative log-likelihood of one observation on the left, which is the loss moved up by
        log(c Z(α)); the density on the right.

    See Also
    --------
    robloss.nll, robloss.pdf

    Examples
    --------
    >>> from robloss import plot
    >>> left, right = plot.densities(alphas=(0.0, 2.0))
    >>> len(right.lines)
    2
    """
    left, right = _beside(nll, pdf, alphas, scale, extent, axes)
    # In units of the scale, where the densities are of order 1.
    left.set_ylim(np.log(scale) + 0.5, np.log(scale) + 6.0)
    right.set_ylim(bottom=0.0)
    left.set_title("negative log-likelihood")
    right.set_title("density p(x | α, c)")
    right.legend(**_LEGEND, loc="upper right")
    return left, right


def _beside(
    first: Callable[..., Any],
    second: Callable[..., Any],
    alphas: Sequence[float],
    scale: float,
    extent: float,
    axes: "Sequence[Axes] | None",
) -> "tuple[Axes, Axes]":
    """Draw two functions of (x, alpha, scale) over x, a curve for each alpha."""
    left, right = panels(axes, (9.0, 4.0), columns=2)
    x = np.linspace(-extent * scale, extent * scale, 801)
    colours = spectrum(len(alphas))
    for ax, function in ((left, first), (right, second)):
        for alpha, colour in zip(alphas, colours, strict=True):
            values = function(x, alpha, scale)
            ax.plot(x, values, color=colour, linewidth=2.0, label=f"α = {number(alpha)}")
        ax.set_xlim(x[0], x[-1])
        ax.set_xlabel(f"x   (c = {number(scale)})")
        tidy(ax)
    return left, right


def surface(
    *, scale: float = 1.0, extent: float = 6.0, axes: "Sequence[Axes] | None" = None
) -> "tuple[Axes, Axes]":
    """Draw the loss ρ and its influence ψ over x and alpha, as contour maps.

    The maps show all shapes from −∞ to ∞: α is drawn at ``α/(2 + |α|)``. ψ is multiplied by the
    scale.

    Parameters
    ----------
    scale : float, optional
        Width of the loss, in the unit of x; in (0, inf).
    extent : float, optional
        The maps reach from ``-extent * scale`` to ``extent * scale``.
    axes : sequence of two Axes, optional
        Where to draw ρ and ψ; by default in a new figure.

    Returns
    -------
    tuple of two Axes
        The loss on the left, the influence on the right. Colours end where `curves` ends.

    See Also
    --------
    curves, robloss.loss, robloss.influence

    Examples
    --------
    >>> from robloss import plot
    >>> left, right = plot.surface(scale=2.0)
    >>> float(left.get_xlim()[1])
    12.0
    """
    left, right = panels(axes, (9.6, 4.6), columns=2)
    x = np.linspace(-extent * scale, extent * scale, 301)
    height = np.linspace(-1.0, 1.0, 401)
    with np.errstate(divide="ignore"):  # ±∞ at the ends
        alpha = 2.0 * height / (1.0 - np.abs(height))
    maps = (
        (left, loss, 1.0, np.arange(11) / 2, "viridis", "max", "loss ρ(x, α, c)"),
        (right, influence, scale, np.arange(-8, 9) / 5, "PuOr", "both", "influence c ψ(x, α, c)"),
    )
    for ax, function, unit, levels, colours, beyond, title in maps:
        # Far above the last level lies one colour; Matplotlib cannot draw what overflows.
        values = unit * function(x, alpha[:, None], scale)
        values = np.clip(values, 2 * levels[0] - levels[-1], 2 * levels[-1] - levels[0])
        filled = ax.contourf(x, height, values, levels, cmap=colours, extend=beyond)
        filled.set_rasterized(True)  # no seams between colours, and a smaller file
        ax.contour(
            x, height, values, levels[1:], colors="black", linewidths=0.4, linestyles="solid"
        )
        bar = ax.figure.colorbar(filled, ax=ax, ticks=levels[::2], format="%.1f")
        bar.outline.set_visible(False)
        ax.set_title(title)
        ax.set_xlabel(f"x   (c = {number(scale)})")
        ax.set_yticks([a / (2 + abs(a)) if np.isfinite(a) else np.sign(a) for a in _LANDMARKS])
        ax.set_yticklabels([number(a) for a in _LANDMARKS])
        ax.set_ylabel("α")
    return left, right
