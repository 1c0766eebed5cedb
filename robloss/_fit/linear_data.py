"""The data of a linear model: its design and response, in any library."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Self

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from robloss._backends import evaluate
from robloss._fit.row_space import RowSpace
from robloss._fit.sums import HostArray, Moments, Sums, Wanted, to_host
from robloss._libraries import is_single, library_of
from robloss._typing import Array

# The same rows in every process: a fit is a function of its data.
_SEED = 20190115
# Rows of a sample that stands for all: its optimum is 1/√20000 of a row's information from theirs.
SAMPLE = 20_000


@dataclass(frozen=True)
class RowWeights:
    """How often each row counts.

    Attributes
    ----------
    values : array (n,)
        Not negative.
    total : float
        Their sum.
    """

    values: Array
    total: float


class LinearData(ABC):
    """A design matrix (with or without a column of ones before it) and a response.

    Inside, parameters are those of the columns minus `center`: only the constant differs. If the
    columns are coordinates in a row space, the parameters of the user are those of its features.

    Attributes
    ----------
    xp : namespace
    X, y : array
    intercept : bool
    row_weights : RowWeights or None
        Sums count every row as often as its weight says: once where there are none.
    center : ndarray
    dropped : ndarray of bool
        Columns to take for 0.
    space : RowSpace or None
        What the columns are coordinates in.
    n : int
        Rows.
    observations : float
        Σ of the weights.
    size : int
        Columns of the design.
    dtype : dtype
        Of the data and the results.
    resolution : float
        Relative rounding of the data, and so of residuals relative to what they are left of.
    eps, tiny : float
        Relative rounding, and the smallest normal number, of the dtype of the sums.
    """

    def __init__(
        self,
        xp: Any,
        X: Array,
        y: Array,
        intercept: bool,
        row_weights: RowWeights | None = None,
        center: HostArray | None = None,
        dropped: NDArray[np.bool_] | None = None,
        space: RowSpace | None = None,
    ) -> None:
        self.xp = xp
        self.X = X
        self.y = y
        self.intercept = intercept
        self.row_weights = row_weights
        self.n: int = X.shape[0]
        self.observations = float(self.n) if row_weights is None else row_weights.total
        columns: int = X.shape[1]
        self.size = columns + intercept
        self.center = np.zeros(columns) if center is None else center
        self.dropped = np.zeros(columns, dtype=bool) if dropped is None else dropped
        self.space = space
        self.dtype = xp.result_type(X.dtype, y.dtype)
        self.resolution = float(xp.finfo(self.dtype).eps)
        self.eps = float(xp.finfo(self.dtype_of_sums).eps)
        self.tiny = float(xp.finfo(self.dtype_of_sums).smallest_normal)

    @property
    def parts(self) -> Sequence["LinearData"]:
        """The model of each response: there is one."""
        return (self,)

    def joined(self, columns: Sequence[Array]) -> Array:
        """One number for each row, from those of the parts."""
        (column,) = columns
        return column

    @property
    def dtype_of_sums(self) -> Any:
        """What residuals, the loss and products are computed in."""
        return self.dtype

    @property
    def is_linear(self) -> bool:
        """Whether residuals are linear in the parameters."""
        return True

    @property
    def components(self) -> int:
        """How many numbers a residual is made of."""
        return 1

    def influence(self, z: Array, alpha: float) -> Array:
        """The slope of the loss at residuals in units of the scale."""
        return evaluate("influence", z, alpha, 1.0)

    def grad_alpha(self, z: Array, alpha: float) -> Array:
        """The slope of the loss in α at residuals in units of the scale."""
        return evaluate("grad_alpha", z, alpha, 1.0)

    @property
    def penalised(self) -> HostArray:
        """1 for each coefficient, 0 for the constant."""
        ones = np.ones(self.size)
        ones[: int(self.intercept)] = 0.0
        return ones

    @property
    def scatter(self) -> float:
        """Σs²/(Σs)², the variance of an optimum in units of what one observation tells."""
        if self.row_weights is None:
            return 1.0 / self.n
        squares = self.xp.sum(self.row_weights.values**2)
        return float(to_host(squares)) / self.observations**2

    def changed(self, **changes: Any) -> Self:
        """The same data with other arguments of this class."""
        names = ("xp", "X", "y", "intercept", "row_weights", "center", "dropped", "space")
        return type(self)(**{name: getattr(self, name) for name in names} | changes)

    @property
    def features(self) -> Array:
        """The columns as they were given."""
        return self.X if self.space is None else self.space.X

    def centered(self, mean: HostArray) -> Self:
        """The same data with the columns shifted by their means."""
        return self.changed(center=mean)

    def without(self, columns: NDArray[np.bool_]) -> Self:
        """The same data with some columns set to 0."""
        return self.changed(dropped=columns)

    @abstractmethod
    def moments(self) -> Moments:
        """What least squares needs."""

    @abstractmethod
    def spread(self, theta: HostArray) -> float:
        """Root mean square of the residuals, each counted as often as its row."""

    @abstractmethod
    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""

    @abstractmethod
    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns), or (f x, …, columns) of factors (n, k)."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be pickled: a module, and what some libraries keep one per name."""
        return {name: value for name, value in vars(self).items() if name not in ("xp", "dtype")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Find the namespace again from the arrays."""
        vars(self).update(state)
        self.xp = array_api_compat.array_namespace(self.X)
        self.dtype = self.xp.result_type(self.X.dtype, self.y.dtype)

    def beside(self, vector: HostArray) -> Array:
        """A host vector as an array beside the data."""
        device = array_api_compat.device(self.X)
        return self.xp.asarray(vector, dtype=self.dtype, device=device)

    def counted(self, of_rows: Array) -> Array:
        """One number for each row, times the row's weight; 0 where that is 0."""
        if self.row_weights is None:
            return of_rows
        weight = self.row_weights.values
        return self.xp.where(weight > 0, weight * of_rows, 0.0)

    def occurs(self, of_rows: Array) -> Array:
        """A truth about each row, where the row counts at all."""
        weights = self.row_weights
        return of_rows if weights is None else of_rows & (weights.values > 0)

    @property
    def _origin(self) -> HostArray:
        """Where the features have their 0, in the columns with their centers."""
        space = self.space
        return self.center if space is None else self.center + space.center @ space.basis

    @property
    def to_params(self) -> HostArray:
        """The matrix that turns the parameters inside into those of the user."""
        slopes = np.eye(len(self.center)) if self.space is None else self.space.basis
        constant = int(self.intercept)
        matrix = np.zeros((constant + len(slopes), self.size))
        matrix[constant:, constant:] = slopes
        if constant:
            matrix[0, 0] = 1.0
            matrix[0, 1:] = -self._origin
        return matrix

    def params(self, theta: HostArray) -> Array:
        """All parameters as the user counts them, intercept first."""
        slopes, constant = self._split(theta)
        return self.beside(np.append(constant, slopes) if self.intercept else slopes)

    def coefficients(self, theta: HostArray) -> tuple[Array, float]:
        """Split a parameter vector into coefficients and intercept of the columns as given."""
        slopes, constant = self._split(theta)
        return self.beside(slopes), constant

    def _split(self, theta: HostArray) -> tuple[HostArray, float]:
        slopes = theta[int(self.intercept) :]
        constant = float(theta[0] - self._origin @ slopes) if self.intercept else 0.0
        return (slopes if self.space is None else self.space.basis @ slopes), constant

    def inside(self, params: HostArray) -> HostArray:
        """Parameters as the user counts them, intercept first, in those of centred columns."""
        slopes, space = params[int(self.intercept) :], self.space
        theta = slopes if space is None else slopes @ space.basis
        if not self.intercept:
            return theta
        constant = params[0] + self.center @ theta
        return np.append(constant if space is None else constant + space.center @ slopes, theta)

    def design_of(self, X: Array) -> Array:
        """Other features (m, p) in the columns of the design, without its constant."""
        if self.space is not None:
            X = (X - self.beside(self.space.center)) @ self.beside(self.space.basis)
        return X - self.beside(self.center)

    def around(self, theta: HostArray) -> "LinearData":  # noqa: ARG002
        """The linear model around some parameters: itself, around any."""
        return self

    def sample(self, size: int) -> "LinearData":
        """Some of the rows, in memory: one from each of as many stretches of equal length.

        Rows that are sorted, or repeat themselves, are represented all the same: stretches cover
        the data evenly, and where in its stretch a row lies is random. Rows keep their weights.
        """
        edges = np.linspace(0, self.n, size + 1).astype(np.intp)
        places = np.random.default_rng(_SEED).random(size)
        index = edges[:-1] + (places * np.diff(edges)).astype(np.intp)
        return self.taken(index)

    def taken(self, index: NDArray[np.intp]) -> "LinearData":
        """Rows of the data, brought to the host in their dtype."""
        weights = self.row_weights
        chosen = self.xp.asarray(index, device=array_api_compat.device(self.X))
        dtype = np.float32 if is_single(self.resolution) else np.float64
        X, y, *given = (
            to_host(self.xp.take(array, chosen, axis=0))
            for array in (self.X, self.y, *([] if weights is None else [weights.values]))
        )
        of_rows = RowWeights(given[0], float(np.sum(given[0]))) if given else None
        return linear_data(
            array_api_compat.array_namespace(index),
            X.astype(dtype, copy=False),
            y.astype(dtype, copy=False),
            self.intercept,
            of_rows,
        )


@cache
def _kind(library: str | None) -> Any:
    """The implementation for a library; that for NumPy imports Numba."""
    if library == "numpy":
        return import_module("robloss._fit.host").HostData
    if library == "dask":
        return import_module("robloss._fit.chunks").ChunkedData
    return import_module("robloss._fit.arrays").ArrayData


def linear_data(
    xp: Any,
    X: Array,
    y: Array,
    intercept: bool,
    row_weights: RowWeights | None = None,
    space: RowSpace | None = None,
) -> LinearData:
    """The data of a linear model, looked at by what serves their library best."""
    data: LinearData = _kind(library_of(X))(xp, X, y, intercept, row_weights, space=space)
    return data
