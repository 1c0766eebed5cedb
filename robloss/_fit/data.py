"""What a fit asks of its data: sums over rows, brought to the host at once.

Rows are never looked at one by one or sorted, so that the same questions can be put to arrays in
memory, on a device, and in Dask chunks; each is one pass over the data, and one transfer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robloss._fit.sums import HostArray, Moments, Sums, Wanted
from robloss._typing import Array

if TYPE_CHECKING:
    from robloss._fit.linear_data import LinearData, RowWeights


class Data(Protocol):
    """What the likelihood asks of observations; see `LinearData` for what the attributes are."""

    xp: Any
    n: int
    observations: float
    size: int
    resolution: float
    eps: float
    row_weights: "RowWeights | None"

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

    @property
    def penalised(self) -> HostArray:
        """1 for each parameter that a ridge shrinks, 0 for the others."""

    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns), of all responses (n, k) together."""

    def influence(self, z: Array, alpha: float) -> Array:
        """The slope of the loss at residuals in units of the scale."""

    def grad_alpha(self, z: Array, alpha: float) -> Array:
        """The slope of the loss in α."""

    def counted(self, of_rows: Array) -> Array:
        """One number for each row, times the row's weight."""

    def joined(self, columns: Sequence[Array]) -> Array:
        """One number for each row, from those of the parts."""
