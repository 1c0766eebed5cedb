"""Losses of NumPy arrays together with the gradients of their sum, in one pass over the data.

Keeping the gradients saves the backward pass another pass over the data, which takes as long.
"""

import math
from typing import Any

import numpy as np

from robloss._backends.totals import total
from robloss._kernels import multiples, sums
from robloss._threads import map_chunks
from robloss._typing import Array

# Rows and columns of a block that is transposed: it stays in a second-level cache.
_ROWS, _COLUMNS = 4096, 16
# Each column costs 2 µs. The other way costs 300 µs, and more per element: a step with 64 columns
# took 300 µs against 300 with one row, and 700 against 1460 with 1024; a step with 1000 columns
# took 2210 µs against 320 with one row, and 5000 against 6900 with 256.
_FEW_COLUMNS, _MANY_ROWS = 64, 256
# Below this, NumPy converts to float32 without an overflow warning. Turning the warning off takes 5
# of the 90 µs of a step with 1000 elements.
_SMALL = 2.0**127


# The gradients of Σ ρ in x, or None, and in alpha and scale: each a number, or one for each column.
Slopes = tuple[Array | None, Any, Any]


def multiplied(slopes: Slopes, factor: float, shapes: Any, dtype: Any) -> list[Array | None]:
    """The gradients of a multiple of Σ ρ, for an alpha and a scale of two shapes.

    The slopes can be used only once: those in x become part of the result.
    """
    in_x, in_alpha, in_scale = slopes
    of_alpha, of_scale = shapes
    if in_x is not None and factor == 0.0:
        in_x.fill(0.0)
    elif in_x is not None and factor != 1.0:
        flat = in_x.reshape(-1)
        multiples.multiply(flat, factor)
        in_x = flat.reshape(in_x.shape)
    return [
        in_x,
        _multiple(in_alpha, factor, of_alpha, dtype),
        _multiple(in_scale, factor, of_scale, dtype),
    ]


def _multiple(slope: Any, factor: float, shape: tuple[int, ...], dtype: Any) -> Array:
    """A slope times a factor (0 if the factor is 0), in a new array."""
    if factor == 0.0:
        return np.zeros(shape, dtype)
    if not shape and abs(slope * factor) < _SMALL:
        return np.array(slope * factor, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(slope * factor, dtype).reshape(shape)


def pays(n: int, columns: int) -> bool:
    """Whether going column by column is faster for `n` elements."""
    return columns <= _FEW_COLUMNS or n >= _MANY_ROWS * columns


def loss_with_slopes(x: Any, alpha: Any, scale: Any, in_x: bool) -> tuple[Array, Slopes]:
    """ρ and the gradients of Σ ρ.

    Parameters
    ----------
    x : ndarray
        Contiguous.
    alpha, scale : float or ndarray
        One number, or a number for each column: each place along the last axis of x.
    in_x : bool
        Whether the gradient in x is wanted.
    """
    # Allocated by NumPy, which asks the system for large pages: with 6·10^6 numbers in float64 this
    # took 38 ms, and 90 when allocated by torch.
    loss = np.empty(x.shape, x.dtype)
    slopes = np.empty(x.shape, x.dtype) if in_x else None
    if isinstance(alpha, float) and isinstance(scale, float):
        places: Any = x, loss, slopes
        if x.ndim != 1:
            places = [None if one is None else one.reshape(-1) for one in places]
        found = total(places[0], alpha, scale, None, *places[1:])
        return loss, (slopes, found.grad_alpha, found.grad_scale)
    return loss, (slopes, *_by_columns(x, alpha, scale, loss, slopes))


def _by_columns(x: Any, alpha: Any, scale: Any, loss: Any, slopes: Any) -> tuple[Any, Any]:
    """Fill in losses and slopes column by column; return the sums of the other slopes."""
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
        float(in_alpha.sum()) if isinstance(alpha, float) else in_alpha,
        float(in_scale.sum()) if isinstance(scale, float) else in_scale,
    )
