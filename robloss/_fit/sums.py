"""The sums over rows that a step of a fit needs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from robloss._libraries import library_of
from robloss._typing import Array

HostArray = NDArray[np.float64]


@dataclass(frozen=True)
class Wanted:
    """Which of the larger sums are needed besides loss and gradient.

    Attributes
    ----------
    hessian : bool
    gram : bool
        What reweighted least squares needs.
    shape : bool
        Derivatives with respect to α.
    rows : bool
        Residuals and weights, row by row.
    """

    hessian: bool = True
    gram: bool = False
    shape: bool = False
    rows: bool = False


@dataclass(frozen=True)
class ShapeSums:
    """Sums of the derivatives with respect to α, at a finite α != 2.

    Attributes
    ----------
    slope : float
        Σ ∂ρ/∂α.
    bow : float
        Σ ∂²ρ/∂α², to the digits that a Newton step needs.
    pull : float
        Σ z ∂ψ/∂α.
    tilt : ndarray (q,)
        Σ ∂ψ/∂α x.
    """

    slope: float
    bow: float
    pull: float
    tilt: HostArray


NO_SHAPE = ShapeSums(math.nan, math.nan, math.nan, np.empty(0))


@dataclass(frozen=True)
class Sums:
    """Sums over the rows x of the design, with z = (y − x·theta)/scale, each times its weight.

    Attributes
    ----------
    loss : float
        Σ ρ(z).
    slope : ndarray (q,)
        Σ ψ(z) x.
    pull : float
        Σ z ψ(z), which is the number of observations where the scale is at its optimum.
    stretch : float
        Σ z (ψ + z ψ').
    cross : ndarray (q,)
        Σ (ψ + z ψ') x.
    weight : float
        Σ w(z).
    squares : ndarray (q,)
        Σ w(z) x².
    size : float
        √(Σ w y²/Σ w), the size of the responses that are no outliers.
    hessian : ndarray (q, q)
        Σ ψ'(z) x xᵀ; this and what follows may be empty or meaningless where it is not wanted.
    gram : ndarray (q, q)
        Σ w(z) x xᵀ.
    shape : ShapeSums
    rows : (array (n,), array (n,))
        y − x·theta, and w(z), in the library and dtype of the data, of rows that weigh 0 too.
    """

    loss: float
    slope: HostArray
    pull: float
    stretch: float
    cross: HostArray
    weight: float
    squares: HostArray
    size: float
    hessian: HostArray
    gram: HostArray
    shape: ShapeSums
    rows: tuple[Array, Array]


@dataclass(frozen=True)
class Moments:
    """Sums that least squares needs, and what they say about the data.

    Attributes
    ----------
    largest_y, mean_square_y : float
        Of rows that do not weigh 0.
    gram : ndarray (q, q)
        Σ x xᵀ, each row times its weight.
    slope : ndarray (q,)
        Σ y x, likewise.
    """

    largest_y: float
    mean_square_y: float
    gram: HostArray
    slope: HostArray


def to_host(array: Array) -> HostArray:
    """Bring an array of any library to the host as float64."""
    if array_api_compat.is_torch_array(array):
        array = array.detach().cpu()
    elif array_api_compat.is_cupy_array(array):
        array = array.get()
    elif library_of(array) == "array_api_strict":
        array = np.from_dlpack(array)  # asarray refuses its devices but the first
    return np.asarray(array, dtype=np.float64)


def first_not_finite(array: Array) -> str:
    """The first NaN or inf and where it is, for arrays on the host; empty if there is none."""
    if not isinstance(array, np.ndarray) or np.all(np.isfinite(array)):
        return ""
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    return f"{float(array[index])} at index {index}"


def count(xp: Any, mask: Array) -> int:
    """How many are true: exact, which sums in the dtype of data are not beyond 2^24 in float32."""
    return int(to_host(xp.sum(xp.astype(mask, xp.int32))))


def lengths(xp: Any, residuals: Array, components: int) -> Array:
    """Residuals as they are; of vectors (n, d) the lengths."""
    if components == 1:
        return residuals
    largest = xp.max(xp.abs(residuals), axis=1, keepdims=True)
    unit = xp.where(largest > 0, largest, xp.ones_like(largest))
    # Squares neither overflow nor underflow in units of the largest component.
    return unit[:, 0] * xp.sqrt(xp.sum((residuals / unit) ** 2, axis=1))


def weighted_size(squares: float, weight: float) -> float:
    """√(Σ w y²/Σ w), 0 where no row has a weight."""
    return math.sqrt(squares / weight) if weight > 0 else 0.0


def combined(
    parts: Sequence[Sums],
    vectors: Callable[[list[HostArray]], HostArray],
    matrices: Callable[[list[HostArray]], HostArray],
) -> Sums:
    """The sums over all rows from those over some each, but for what is told row by row.

    Parameters
    ----------
    parts : sequence of Sums
    vectors, matrices : callable
        What makes one vector, and one matrix, of those of the parts: a sum where the parts have
        the parameters in common, a chain where each has its own.
    """

    def number(name: str) -> float:
        return float(sum(getattr(one, name) for one in parts))

    def vector(name: str) -> HostArray:
        return vectors([getattr(one, name) for one in parts])

    weight, shapes = number("weight"), [one.shape for one in parts]
    return Sums(
        loss=number("loss"),
        slope=vector("slope"),
        pull=number("pull"),
        stretch=number("stretch"),
        cross=vector("cross"),
        weight=weight,
        squares=vector("squares"),
        size=weighted_size(sum(one.weight * one.size**2 for one in parts), weight),
        hessian=matrices([one.hessian for one in parts]),
        gram=matrices([one.gram for one in parts]),
        shape=ShapeSums(
            slope=sum(one.slope for one in shapes),
            bow=sum(one.bow for one in shapes),
            pull=sum(one.pull for one in shapes),
            tilt=vectors([one.tilt for one in shapes]),
        ),
        rows=parts[0].rows,
    )


def diagonal(blocks: Sequence[HostArray]) -> HostArray:
    """Blocks along the diagonal of a matrix that is 0 elsewhere."""
    shapes = np.asarray([block.shape for block in blocks])
    matrix = np.zeros(shapes.sum(axis=0))
    ends = shapes.cumsum(axis=0)
    for block, (row, column), (rows, columns) in zip(blocks, ends, shapes, strict=True):
        matrix[row - rows : row, column - columns : column] = block
    return matrix
