"""Losses of NumPy arrays, and while at it the gradients of their sum, in one pass over the data.

To keep the gradients for a backward pass spares it a pass of its own, which takes as long.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from robloss._backends.totals import total
from robloss._kernels import sums
from robloss._threads import map_chunks
from robloss._typing import Array

# Rows and columns of a block that is turned: it stays in a second-level cache.
_ROWS, _COLUMNS = 4096, 16
# A call of the kernel for each column takes 3 µs; the other way takes a few hundred, and for each
# element some ns more.
_FEW_COLUMNS, _MANY_ROWS = 64, 1024


class Slopes(NamedTuple):
    """The gradients of Σ ρ."""

    in_x: Array | None
    in_alpha: Any  # a number, or one for each column
    in_scale: Any

    def times(self, factor: float, alpha: Any, scale: Any) -> list[Array | None]:
        """Those of a multiple of that sum. It is the one use: `in_x` becomes a part of them."""
        in_x = self.in_x
        with np.errstate(over="ignore", invalid="ignore"):
            if factor == 0.0 and in_x is not None:
                in_x.fill(0.0)
            elif factor != 1.0 and in_x is not None:
                in_x *= factor
            found: list[Array | None] = [in_x]
            for one, slope in ((alpha, self.in_alpha), (scale, self.in_scale)):
                value = slope * factor if factor else np.zeros(one.shape)
                found.append(np.array(value, one.dtype).reshape(one.shape))
        return found


def pays(n: int, columns: int) -> bool:
    """Whether to go column by column is the quicker way for so many elements."""
    return columns <= _FEW_COLUMNS or n >= _MANY_ROWS * columns


def loss_with_slopes(x: Any, alpha: Any, scale: Any, in_x: bool) -> tuple[Array, Slopes]:
    """ρ and the gradients of Σ ρ.

    Parameters
    ----------
    x : ndarray
        Contiguous.
    alpha, scale : ndarray
        Each one number, or a number for each column: each place along the last axis of x.
    in_x : bool
        Whether the gradient in x is wanted.
    """
    loss = np.empty(x.shape, x.dtype)
    slopes = np.empty(x.shape, x.dtype) if in_x else None
    if alpha.ndim == scale.ndim == 0:
        place = None if slopes is None else slopes.reshape(-1)
        found = total(
            x.reshape(-1), alpha.item(), scale.item(), losses=loss.reshape(-1), slopes=place
        )
        return loss, Slopes(slopes, found.grad_alpha, found.grad_scale)
    return loss, Slopes(slopes, *_by_columns(x, alpha, scale, loss, slopes))


def _by_columns(x: Any, alpha: Any, scale: Any, loss: Any, slopes: Any) -> tuple[Any, Any]:
    """Fill in losses and slopes, a column after the other; the sums of the other slopes."""
    columns = x.shape[-1]
    x, loss = x.reshape(-1, columns), loss.reshape(-1, columns)
    slopes = None if slopes is None else slopes.reshape(-1, columns)
    shapes, widths = (np.broadcast_to(one, columns).tolist() for one in (alpha, scale))
    found = np.zeros((-(-x.shape[0] // _ROWS), columns, 3, 2))

    def work(start: int, stop: int) -> None:
        for first in range(0, columns, _COLUMNS):
            some = slice(start, stop), slice(first, first + _COLUMNS)
            block = np.ascontiguousarray(x[some].T)
            losses, turned = np.empty_like(block), None if slopes is None else np.empty_like(block)
            for row, column in enumerate(range(first, first + block.shape[0])):
                place = found[start // _ROWS, column].reshape(6)
                slope = None if turned is None else turned[row]
                given = block[row], None, shapes[column], widths[column]
                sums.evaluate(*given, place, losses[row], slope)
            loss[some] = losses.T
            if slopes is not None and turned is not None:
                slopes[some] = turned.T

    map_chunks(work, x.shape[0], _ROWS)
    with np.errstate(invalid="ignore"):
        values = np.where(np.isfinite(found[..., 0]), found.sum(axis=-1), found[..., 0])
    loss_of, in_alpha, in_scale = values.sum(axis=0).T
    is_steep = (np.asarray(shapes) == 2.0) & (loss_of != 0.0)
    in_alpha[is_steep] = loss_of[is_steep] * math.inf
    return (
        in_alpha if alpha.ndim else in_alpha.sum(),
        in_scale if scale.ndim else in_scale.sum(),
    )
