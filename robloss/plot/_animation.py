"""A fit as it runs, as an animation."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robloss._fit.sums import to_host
from robloss._loss import loss, weight
from robloss.plot._style import INK, new_axes, number, point_sizes, tidy, weighted_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.animation import FuncAnimation

    from robloss._fit.progress import Iterate

_SECONDS_AT_THE_END = 2


def animate(
    iterates: "Sequence[Iterate]",
    X: Any,
    y: Any,
    *,
    path: str | PathLike[str] | None = None,
    fps: int = 3,
    feature_name: str = "x",
    target_name: str = "y",
) -> "FuncAnimation":
    """Animate a linear fit with one feature: the line, the weights, and the loss beside them.

    Parameters
    ----------
    iterates : sequence of Iterate
        The iterates that the fit passed to its callback: use ``callback=iterates.append`` with a
        list.
    X : array, shape (n, 1) or (n,)
        The feature that the fit was made from.
    y : array, shape (n,)
        Target that the fit was made from.
    path : path, optional
        File to write: a GIF, or with another suffix what ffmpeg can write, such as MP4.
    fps : int, optional
        Iterates per second. The last one stays for two seconds.
    feature_name, target_name : str, optional
        For the labels.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Keep a reference to it while it plays; in notebooks, show its ``to_jshtml()``.

    Raises
    ------
    ValueError
        If there are no iterates or more than one feature, or if `path` asks for ffmpeg and there is
        none.

    See Also
    --------
    convergence

    Examples
    --------
    >>> import robloss
    >>> from robloss import datasets, plot
    >>> data = datasets.load_phones()
    >>> iterates = []
    >>> fit = robloss.fit_linear(data.X, data.y, callback=iterates.append)
    >>> film = plot.animate(iterates, data.X, data.y, path="phones.gif")  # doctest: +SKIP
    """
    from matplotlib.animation import FuncAnimation

    if len(iterates) == 0:
        raise ValueError(
            "`iterates` must hold at least one iterate, but got none. Pass the list whose append "
            "was the fit's callback."
        )
    x, target = _feature(X), to_host(y)
    writer = None if path is None else _writer(Path(path), fps)
    film = _Film(iterates, x, target, feature_name, target_name)
    last = len(iterates) - 1
    frames = [*range(len(iterates)), *[last] * (_SECONDS_AT_THE_END * fps)]
    made = FuncAnimation(film.figure, film.draw, frames=frames, interval=1e3 / fps, blit=False)
    if path is not None:
        made.save(Path(path), writer=writer, dpi=100)
    return made


def _feature(X: Any) -> npt.NDArray[np.float64]:
    x = to_host(X)
    if x.ndim > 2 or x.size != len(x):
        raise ValueError(
            f"`X` must have one column, but got shape {x.shape}. For more features draw "
            "`convergence` and `diagnostics`."
        )
    return x.reshape(-1)


def _writer(path: Path, fps: int) -> Any:
    """Who writes a file of this suffix."""
    from matplotlib.animation import FFMpegWriter, PillowWriter

    if path.suffix.lower() == ".gif":
        return PillowWriter(fps=fps)
    if not FFMpegWriter.isAvailable():
        raise ValueError(
            f"`path` must end with .gif where ffmpeg is not installed, but got {str(path)!r}. "
            "Install ffmpeg, or write a GIF."
        )
    return FFMpegWriter(fps=fps)


class _Film:
    """A figure that shows one iterate at a time."""

    def __init__(
        self,
        iterates: "Sequence[Iterate]",
        x: npt.NDArray[np.float64],
        y: npt.NDArray[np.float64],
        feature_name: str,
        target_name: str,
    ) -> None:
        self.iterates, self.x, self.y = iterates, x, y
        self.ends = np.array([x.min(), x.max()])
        left, right = new_axes((9.6, 4.4), columns=2)
        self.figure: Any = left.figure
        self.points = weighted_points(left, x, y, np.ones(len(x)))
        (self.line,) = left.plot(self.ends, self.ends, color=INK, linewidth=1.5, zorder=1)
        left.set_xlabel(feature_name)
        left.set_ylabel(target_name)
        bar = self.figure.colorbar(self.points, ax=left, label="weight")
        bar.ax.set_ylim(0.0, 1.0)
        bar.outline.set_visible(False)
        reach = 1.1 * float(np.max(np.abs(self.residuals(iterates[-1]))))
        self.grid = np.linspace(-reach, reach, 401)
        (self.curve,) = right.plot(self.grid, self.grid, color=INK, linewidth=1.5, zorder=1)
        self.losses = weighted_points(right, x, y, np.ones(len(x)))
        right.set_xlim(-reach, reach)
        # By the last iterate: it is what the others go to.
        highest = float(loss(reach, iterates[-1].alpha, iterates[-1].scale))
        right.set_ylim(-0.05 * highest, 1.15 * highest)
        right.set_xlabel(f"residual of {target_name}")
        right.set_ylabel("loss ρ")
        # By the data alone, also where the line of an iterate leaves their frame.
        left.set_xlim(*_framed(x))
        left.set_ylim(*_framed(y))
        for ax in (left, right):
            tidy(ax)
        self.title = left.set_title("")
        self.shape = right.set_title("")

    def _fitted(self, iterate: "Iterate", x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        *intercept, slope = to_host(iterate.params)
        line: npt.NDArray[np.float64] = slope * x + sum(intercept)
        return line

    def residuals(self, iterate: "Iterate") -> npt.NDArray[np.float64]:
        return self.y - self._fitted(iterate, self.x)

    def draw(self, frame: int) -> list[Any]:
        """Show one iterate; returns what has changed."""
        iterate = self.iterates[frame]
        alpha, scale = iterate.alpha, iterate.scale
        residuals = self.residuals(iterate)
        weights = weight(residuals, alpha, scale) * scale**2
        self.line.set_ydata(self._fitted(iterate, self.ends))
        self.curve.set_ydata(loss(self.grid, alpha, scale))
        self.losses.set_offsets(np.column_stack([residuals, loss(residuals, alpha, scale)]))
        for points in (self.points, self.losses):
            points.set_array(weights)
            points.set_sizes(point_sizes(weights))
        self.title.set_text(f"iteration {iterate.n_iter},  nll = {number(iterate.nll)}")
        self.shape.set_text(f"α = {number(alpha)},  scale = {number(scale)}")
        return [self.line, self.curve, self.points, self.losses, self.title, self.shape]


def _framed(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Limits with a margin around some values."""
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
