"""What a linear model asks of its data: sums over rows, brought to the host at once.

Rows are never looked at one by one or sorted, so that the same questions can be put to arrays in
memory, on a device, and in Dask chunks; each is one pass over the data, and one transfer.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from robloss._args import library_of
from robloss._backends import evaluate
from robloss._typing import Array

HostArray = NDArray[np.float64]

# The same rows in every process: a fit is a function of its data.
_SEED = 20190115


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


class Data(Protocol):
    """What the likelihood asks of observations; see `LinearData` for what the attributes are."""

    xp: Any
    n: int
    observations: float
    size: int
    resolution: float
    eps: float
    row_weights: RowWeights | None

    @property
    def components(self) -> int:
        """How many numbers a residual is made of."""

    @property
    def is_linear(self) -> bool:
        """Whether residuals are linear in the parameters."""

    @property
    def penalised(self) -> HostArray:
        """1 for each parameter that a ridge shrinks, 0 for the others."""

    @property
    def to_params(self) -> HostArray:
        """The matrix that turns the parameters inside into those of the user."""

    def beside(self, vector: HostArray) -> Array:
        """Host numbers as an array beside the data."""

    def spread(self, theta: HostArray) -> float:
        """Root mean square of the residuals."""

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""

    def taken(self, index: NDArray[np.intp]) -> "Data":
        """Some of the rows."""

    def around(self, theta: HostArray) -> "Linear":
        """The linear model around some parameters, for the products of its rows."""


class Linear(Protocol):
    """What inference asks of a linear model, of one response or of several."""

    xp: Any
    size: int
    observations: float
    eps: float

    @property
    def parts(self) -> Sequence["LinearData"]:
        """The model of each response."""

    @property
    def dtype_of_sums(self) -> Any:
        """What residuals, the loss and products are computed in."""

    def moments(self) -> Moments:
        """What least squares needs."""

    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns)."""

    def influence(self, z: Array, alpha: float) -> Array:
        """The slope of the loss at residuals in units of the scale."""

    def grad_alpha(self, z: Array, alpha: float) -> Array:
        """The slope of the loss in α."""

    def counted(self, of_rows: Array) -> Array:
        """One number for each row, times the row's weight."""

    def joined(self, columns: Sequence[Array]) -> Array:
        """One number for each row, from those of the parts."""


class LinearData(ABC):
    """A design matrix (with or without a column of ones before it) and a response.

    Inside, parameters are those of the columns minus `center`: only the constant differs.

    Attributes
    ----------
    xp : namespace
    X, y : array
    intercept : bool
    row_weights : RowWeights or None
        Sums count every row as often as its weight says: once where there are none.
    n : int
        Rows.
    observations : float
        Σ of the weights.
    size : int
        Columns of the design.
    center : ndarray
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

    @property
    def features(self) -> Array:
        """The columns as they were given."""
        return self.X

    @abstractmethod
    def centered(self, mean: HostArray) -> "LinearData":
        """The same data with the columns shifted by their means."""

    @abstractmethod
    def without(self, columns: NDArray[np.bool_]) -> "LinearData":
        """The same data with some columns set to 0."""

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
        """Σ s sᵀ over the rows s = (factor x, columns)."""

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

    def coefficients(self, theta: HostArray) -> tuple[Array, float]:
        """Split a parameter vector into coefficients and intercept of the columns as given."""
        if not self.intercept:
            return self.beside(theta), 0.0
        return self.beside(theta[1:]), float(theta[0] - self.center @ theta[1:])

    @property
    def to_params(self) -> HostArray:
        """The matrix that turns the parameters inside into those of the user."""
        matrix = np.eye(self.size)
        if self.intercept:
            matrix[0, 1:] = -self.center
        return matrix

    def params(self, theta: HostArray) -> Array:
        """All parameters as the user counts them, intercept first."""
        return self.beside(self.to_params @ theta)

    def inside(self, params: HostArray) -> HostArray:
        """Parameters as the user counts them, intercept first, in those of centred columns."""
        return np.asarray(np.linalg.solve(self.to_params, params), dtype=np.float64)

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
        dtype = np.float32 if self.resolution > 1e-10 else np.float64
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
    xp: Any, X: Array, y: Array, intercept: bool, row_weights: RowWeights | None = None
) -> LinearData:
    """The data of a linear model, looked at by what serves their library best."""
    data: LinearData = _kind(library_of(X))(xp, X, y, intercept, row_weights)
    return data
