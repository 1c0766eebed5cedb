"""The sums of a linear model by compiled passes over NumPy arrays.

Everything is computed in float64, whatever the dtype of the data, and nothing of their length is
made but the residuals and weights of the result.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robloss._fit.sums import (
    HostArray,
    LinearData,
    Moments,
    ShapeSums,
    Sums,
    Wanted,
    weighted_size,
)
from robloss._kernels import rows
from robloss._threads import map_chunks
from robloss._typing import Array

# Rows to a chunk, and how many times more numbers a chunk has than its sums take.
_CHUNK, _SPARSE = 8192, 16
_CALL = 65_536  # rows that one call is for, at least


def _pairwise(parts: HostArray) -> HostArray:
    """Sum over the first axis, in an order that only its length decides."""
    while len(parts) > 1:
        half = len(parts) // 2
        rest = parts[2 * half :]
        parts = np.concatenate([parts[:half] + parts[half : 2 * half], rest])
    total: HostArray = parts[0]
    return total


class HostData(LinearData):
    """NumPy arrays of float32 or float64 in any layout; centred while they are read."""

    def __init__(
        self,
        xp: Any,
        X: Array,
        y: Array,
        intercept: bool,
        center: HostArray | None = None,
        dropped: NDArray[np.bool_] | None = None,
    ) -> None:
        super().__init__(xp, X, y, intercept, center)
        self.dropped = np.zeros(X.shape[1], dtype=bool) if dropped is None else dropped

    @property
    def dtype_of_sums(self) -> Any:
        """What residuals, the loss and products are computed in."""
        return self.xp.float64

    def centered(self, mean: HostArray) -> "HostData":
        """The same data with the columns shifted to mean 0."""
        return HostData(self.xp, self.X, self.y, self.intercept, mean, self.dropped)

    def without(self, columns: NDArray[np.bool_]) -> "HostData":
        """The same data with some columns set to 0."""
        return HostData(self.xp, self.X, self.y, self.intercept, self.center, columns)

    def _taken(self, index: NDArray[np.intp]) -> "HostData":
        X, y = self.X[index], self.y[index]
        return HostData(self.xp, X, y, self.intercept, self.center, self.dropped)

    @property
    def _design(self) -> tuple[Array, Array, bool, HostArray, NDArray[np.bool_], int]:
        between_rows, between_columns = map(abs, self.X.strides)
        by_rows = between_columns <= between_rows
        return self.X, self.y, by_rows, self.center, self.dropped, int(self.intercept)

    def moments(self) -> Moments:
        """What least squares needs."""
        # At α = 2 and scale 1 the residuals of θ = 0 are y, the weights 1.
        sums = self.sums(np.zeros(self.size), 2.0, 1.0, Wanted())
        largest = max(float(np.max(self.y)), -float(np.min(self.y)))
        return Moments(largest, sums.pull / self.n, sums.hessian, sums.slope)

    def spread(self, theta: HostArray) -> float:
        """Root mean square of the residuals."""
        sums = self.sums(theta, 2.0, 1.0, Wanted(hessian=False))
        return math.sqrt(sums.pull / self.n)

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""
        even = self.size + self.size % 2
        numbers = 8 + 4 * even + even * even * (wanted.hessian + wanted.gram)
        chunk = _CHUNK * -(-_SPARSE * numbers // _CHUNK)
        chunks = -(-self.n // chunk)
        scalars, vectors = np.zeros((chunks, 8)), np.zeros((chunks, 4, even))
        hessian = np.zeros((chunks if wanted.hessian else 0, even, even))
        gram = np.zeros((chunks if wanted.gram else 0, even, even))
        length = self.n if wanted.rows else 0
        of_rows = np.empty(length, self.dtype), np.empty(length, self.dtype)

        def work(start: int, stop: int) -> None:
            rows.accumulate(
                *self._design,
                theta,
                alpha,
                scale,
                wanted.shape,
                chunk,
                start,
                stop,
                scalars,
                vectors,
                hessian,
                gram,
                *of_rows,
            )

        map_chunks(work, self.n, chunk * -(-_CALL // chunk))
        scalar = _pairwise(scalars)
        vector = _pairwise(vectors)[:, : self.size]
        weight = float(scalar[rows.WEIGHT])
        shape = ShapeSums(
            slope=float(scalar[rows.SHAPE_SLOPE]),
            bow=float(scalar[rows.SHAPE_BOW]),
            pull=float(scalar[rows.SHAPE_PULL]),
            tilt=vector[rows.TILT],
        )
        return Sums(
            loss=float(scalar[rows.LOSS]),
            slope=vector[rows.SLOPE],
            pull=float(scalar[rows.PULL]),
            stretch=float(scalar[rows.STRETCH]),
            cross=vector[rows.CROSS],
            weight=weight,
            squares=vector[rows.SQUARES],
            size=weighted_size(float(scalar[rows.OF_Y]), weight),
            hessian=self._symmetric(hessian),
            gram=self._symmetric(gram),
            shape=shape,
            rows=of_rows,
        )

    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns)."""
        size, constant = self.size + len(columns), int(self.intercept)
        total = np.zeros((size, size))
        for start in range(0, self.n, _CHUNK):
            part = slice(start, start + _CHUNK)
            rows = np.empty((len(factor[part]), size))
            rows[:, :constant] = 1.0
            features = rows[:, constant : self.size]
            np.subtract(self.X[part], self.center, out=features)
            features[:, self.dropped] = 0.0
            rows[:, : self.size] *= factor[part, None]
            for j, column in enumerate(columns, self.size):
                rows[:, j] = column[part]
            total += rows.T @ rows
        return total

    def _symmetric(self, parts: HostArray) -> HostArray:
        if not len(parts):
            return np.empty((0, 0))
        upper = np.triu(_pairwise(parts)[: self.size, : self.size])
        return upper + np.triu(upper, 1).T
