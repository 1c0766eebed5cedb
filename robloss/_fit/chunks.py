"""The sums of a linear model over Dask arrays: compiled passes over each chunk of rows.

All chunks answer a question in one computation, on the threads, processes or machines that Dask
runs on, and only their sums come back.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robloss._backends import evaluate
from robloss._fit.host import HostData
from robloss._fit.linear_data import LinearData, RowWeights
from robloss._fit.sums import HostArray, Moments, Sums, Wanted, combined
from robloss._typing import Array


class ChunkedData(LinearData):
    """Dask arrays in chunks of whole rows; centred while they are read."""

    def __init__(
        self, xp: Any, X: Array, y: Array, intercept: bool, *others: Any, **options: Any
    ) -> None:
        X = X.rechunk({1: -1})
        super().__init__(xp, X, y.rechunk((X.chunks[0],)), intercept, *others, **options)
        if self.row_weights is not None:
            values = self.row_weights.values.rechunk((X.chunks[0],))
            self.row_weights = RowWeights(values, self.row_weights.total)

    @property
    def dtype_of_sums(self) -> Any:
        """What residuals, the loss and products are computed in."""
        return self.xp.float64

    def taken(self, index: NDArray[np.intp]) -> LinearData:
        """Some of the rows, in memory."""
        part = super().taken(index).centered(self.center)
        return part.without(self.dropped) if np.any(self.dropped) else part

    def _ask(self, question: Callable[..., Any], *of_rows: Array) -> list[Any]:
        """The answers of all chunks to ``question(data, *rows)``, in one computation."""
        dask = import_module("dask")
        arrays = [self.X, self.y, *of_rows]
        if self.row_weights is not None:
            arrays.append(self.row_weights.values)
        blocks = [array.to_delayed().reshape(-1) for array in arrays]
        weighted = self.row_weights is not None
        fixed = (self.intercept, self.center, self.dropped, weighted, question)
        answers = [dask.delayed(_answer)(fixed, *parts) for parts in zip(*blocks, strict=True)]
        return list(dask.compute(*answers))

    def moments(self) -> Moments:
        """What least squares needs."""
        parts: list[tuple[Moments, float]] = [one for one in self._ask(_moments) if one is not None]
        squares = math.fsum(count * part.mean_square_y for part, count in parts)
        return Moments(
            largest_y=max(part.largest_y for part, _ in parts),
            mean_square_y=squares / self.observations,
            gram=_total([part.gram for part, _ in parts]),
            slope=_total([part.slope for part, _ in parts]),
        )

    def spread(self, theta: HostArray) -> float:
        """Root mean square of the residuals."""
        sums = self.sums(theta, 2.0, 1.0, Wanted(hessian=False))
        return math.sqrt(sums.pull / self.observations)

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters; residuals and weights stay lazy."""
        without_rows = replace(wanted, rows=False)
        answers = self._ask(_Sums(theta, alpha, scale, without_rows))
        sums = combined(answers, vectors=_total, matrices=_total)
        if not wanted.rows:
            return sums
        rest = self.y - float(theta[0]) if self.intercept else self.y
        slopes = np.where(self.dropped, 0.0, theta[int(self.intercept) :])
        residuals = rest - (self.X - self.beside(self.center)) @ self.beside(slopes)
        return replace(sums, rows=(residuals, evaluate("weight", residuals / scale, alpha, 1.0)))

    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns), or (f x, …, columns) of factors (n, k)."""
        chunks = (self.X.chunks[0], -1)
        rows = [array.rechunk(chunks[: array.ndim]) for array in (factor, *columns)]
        return _total(self._ask(_outer, *rows))


class _Sums:
    """Asks a chunk for its sums at one set of parameters."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __call__(self, data: HostData) -> Sums:
        return data.sums(*self.arguments)


def _moments(data: HostData) -> tuple[Moments, float] | None:
    return (data.moments(), data.observations) if data.observations > 0 else None


def _outer(data: HostData, factor: Array, *columns: Array) -> HostArray:
    return data.outer(factor, list(columns))


def _answer(fixed: tuple[Any, ...], X: Array, y: Array, *more: Array) -> Any:
    """What a chunk says to a question."""
    intercept, center, dropped, weighted, question = fixed
    weights, of_rows = None, more
    if weighted:
        of_rows, values = more[:-1], np.ascontiguousarray(more[-1], dtype=np.float64)
        weights = RowWeights(values, float(np.sum(values)))
    with np.errstate(all="ignore"):
        data = HostData(np, X, y, intercept, weights, center, dropped)
        return question(data, *of_rows)


def _total(parts: Sequence[HostArray]) -> HostArray:
    total: HostArray = np.sum(np.stack(parts), axis=0)
    return total
