"""What all pictures have in common: figures, colours, numbers in labels."""

from collections.abc import Iterable
from math import isinf
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

# Weight 1 is dark and weight 0 bright: the colour map ends before the yellow that white swallows.
WEIGHT_COLOURS = "plasma_r"
WEIGHT_RANGE = (-0.15, 1.0)
INK = "0.25"


def new_axes(size: tuple[float, float], *, rows: int = 1, columns: int = 1) -> "list[Axes]":
    """Return the Axes of a new figure that pyplot does not keep alive."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout="constrained")
    return list(figure.subplots(rows, columns, sharex=rows > 1, squeeze=False).flat)


def panels(
    axes: "Iterable[Axes] | Axes | None",
    size: tuple[float, float],
    *,
    rows: int = 1,
    columns: int = 1,
) -> "list[Axes]":
    """Return the Axes of the caller, one for each panel, or else those of a new figure."""
    if axes is None:
        return new_axes(size, rows=rows, columns=columns)
    given = list(axes) if isinstance(axes, Iterable) else [axes]
    if len(given) != rows * columns:
        raise ValueError(
            f"`axes` must be {rows * columns} Axes, one for each panel, but got {len(given)}. "
            f"Pass those of plt.subplots({rows}, {columns})."
        )
    return given


def spectrum(count: int) -> list[tuple[float, float, float, float]]:
    """Return `count` colours from dark to bright, none of them too pale for a white page."""
    from matplotlib import colormaps

    return [colormaps["viridis"](position) for position in np.linspace(0.0, 0.88, count)]


def point_sizes(weights: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return areas of points, the larger the less they weigh, and smaller where they are many."""
    return _room(len(weights)) * (30.0 + 60.0 * (1.0 - weights))


def _room(count: int) -> float:
    """Return what part of its area a point may have, so that thousands do not cover each other."""
    return min(1.0, max(0.1, 300.0 / max(count, 1)))


def weighted_points(
    ax: "Axes",
    x: npt.NDArray[np.floating],
    y: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
) -> "PathCollection":
    """Draw points, the brighter and the larger the less they weigh."""
    return ax.scatter(
        x,
        y,
        c=weights,
        s=point_sizes(weights),
        cmap=WEIGHT_COLOURS,
        vmin=WEIGHT_RANGE[0],
        vmax=WEIGHT_RANGE[1],
        edgecolors=INK,
        linewidths=0.6 * _room(len(weights)) ** 0.5,
        zorder=2,
    )


def tidy(ax: "Axes") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)


def number(value: float) -> str:
    """Return a number as a label writes it: four digits, a real minus sign, ∞."""
    text = "∞" if isinf(value) else f"{abs(value):.4g}"
    return f"−{text}" if value < 0 else text
