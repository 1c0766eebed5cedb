"""The sums of a linear model by compiled passes over NumPy arrays.

Everything is computed in float64, whatever the dtype of the data, and nothing of their length is
made but the residuals and weights of the result.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robloss._fit.linear_data import LinearData, RowWeights
from robloss._fit.sums import HostArray, Moments, ShapeSums, Sums, Wanted, weighted_size
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


@lru_cache(maxsize=8)
def _below(size: int) -> NDArray[np.bool_]:
    """Which entries of a matrix lie below its diagonal."""
    return np.tri(size, k=-1, dtype=bool)


class HostData(LinearData):
    """NumPy arrays of float32 or float64 in any layout; centred while they are read."""

    @property
    def dtype_of_sums(self) -> Any:
        """What residuals, the loss and products are computed in."""
        return self.xp.float64

    def taken(self, index: NDArray[np.intp]) -> "HostData":
        """Some of the rows, in their order."""
        X, y, weights = self.X[index], self.y[index], self.row_weights
        if weights is not None:
            values = weights.values[index]
            weights = RowWeights(values, float(np.sum(values)))
        return self.changed(X=X, y=y, row_weights=weights)

    @property
    def _weights(self) -> HostArray:
        return np.empty(0) if self.row_weights is None else self.row_weights.values

    @property
    def _design(self) -> rows.Design:
        return rows.Design(self._weights, self.center, self.dropped)

    def moments(self) -> Moments:
        """What least squares needs."""
        # At α = 2 and scale 1 the residuals of θ = 0 are y, the weights 1.
        sums = self.sums(np.zeros(self.size), 2.0, 1.0, Wanted())
        counts = self._weights > 0 if self.row_weights else True
        highest, lowest = (float(of(self.y, initial=0, where=counts)) for of in (np.max, np.min))
        mean_square = sums.pull / self.observations
        return Moments(max(highest, -lowest), mean_square, sums.hessian, sums.slope)

    def spread(self, theta: HostArray) -> float:
        """Root mean square of the residuals."""
        sums = self.sums(theta, 2.0, 1.0, Wanted(hessian=False))
        return math.sqrt(sums.pull / self.observations)

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""
        even = self.size + self.size % 2
        numbers = 8 + 4 * even + even * even * (wanted.hessian + wanted.gram)
        chunk = _CHUNK * -(-_SPARSE * numbers // _CHUNK)
        chunks = -(-self.n // chunk)
        length = self.n if wanted.rows else 0
        out = rows.Sums(
            scalars=np.zeros((chunks, 8)),
            vectors=np.zeros((chunks, 4, even)),
            hessian=np.zeros((chunks if wanted.hessian else 0, even, even)),
            gram=np.zeros((chunks if wanted.gram else 0, even, even)),
        )
        of_rows = np.empty(length, self.dtype), np.empty(length, self.dtype)
        design, at = self._design, rows.At(np.ascontiguousarray(theta), alpha, scale, wanted.shape)

        def work(start: int, stop: int) -> None:
            rows.accumulate(self.X, self.y, design, at, chunk, start, stop, out, *of_rows)

        map_chunks(work, self.n, chunk * -(-_CALL // chunk))
        scalar = _pairwise(out.scalars)
        vector = _pairwise(out.vectors)[:, : self.size]
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
            hessian=self._symmetric(out.hessian),
            gram=self._symmetric(out.gram),
            shape=shape,
            rows=of_rows,
        )

    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns), or (f x, …, columns) of factors (n, k)."""
        factors, constant = factor.reshape(self.n, -1), int(self.intercept)
        size = self.size * factors.shape[1]
        total = np.zeros((size + len(columns), size + len(columns)))
        for start in range(0, self.n, _CHUNK):
            part = slice(start, start + _CHUNK)
            design = np.ones((len(factors[part]), self.size))
            np.subtract(self.X[part], self.center, out=design[:, constant:])
            design[:, constant:][:, self.dropped] = 0.0
            rows = np.empty((len(design), len(total)))
            blocks = rows[:, :size].reshape(len(design), -1, self.size)
            np.multiply(factors[part, :, None], design[:, None, :], out=blocks)
            for j, column in enumerate(columns, size):
                rows[:, j] = column[part]
            if self.row_weights is not None:
                weight = self.row_weights.values[part, None]
                rows = np.where(weight > 0, np.sqrt(weight) * rows, 0.0)
            total += rows.T @ rows
        return total

    def _symmetric(self, parts: HostArray) -> HostArray:
        if not len(parts):
            return np.empty((0, 0))
        upper = _pairwise(parts)[: self.size, : self.size]
        return np.where(_below(self.size), upper.T, upper)
