"""A residual function as data of a fit."""

import copy
from dataclasses import replace
from typing import Any, Self

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from robloss._fit.functions import Remembered
from robloss._fit.jacobian import as_like
from robloss._fit.linear_data import LinearData, RowWeights, linear_data
from robloss._fit.sums import HostArray, Sums, Wanted, to_host
from robloss._typing import Array


class ResidualData:
    """A residual function, looked at through its linear model around each point.

    Attributes
    ----------
    xp : namespace
    function, jacobian : Remembered
        Of parameters: residuals (n,) and their derivatives (n, q), or (n, d) and (n, d, q).
    like : array
        Tells the dtype and device of parameters.
    size_of_y : float
        What residuals are left of, as far as it is known: their rounding is relative to that.
    row_weights : RowWeights or None
        How often each row counts.
    index : ndarray, or None
        The rows that are looked at, if not all.
    """

    is_linear = False

    def __init__(
        self,
        xp: Any,
        function: Remembered,
        jacobian: Remembered,
        theta: Array,
        size_of_y: float,
        row_weights: RowWeights | None = None,
        index: NDArray[np.intp] | None = None,
    ) -> None:
        self.xp = xp
        self.function = function
        self.jacobian = jacobian
        self.like = theta
        self.size_of_y = size_of_y
        self.row_weights = row_weights
        self.index = index
        self.size: int = theta.shape[0]
        here = self.around(to_host(theta))
        self.n, self.observations = here.n, here.observations
        # Rounding of the parameters is rounding of the residuals too.
        of_theta = float(array_api_compat.array_namespace(theta).finfo(theta.dtype).eps)
        self.resolution = self.eps = max(here.resolution, of_theta)
        self.components = here.components

    def __getstate__(self) -> dict[str, Any]:
        """Leave out a module, which cannot be copied."""
        return {name: value for name, value in vars(self).items() if name != "xp"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Find it again from the parameters."""
        vars(self).update(state)
        self.xp = array_api_compat.array_namespace(self.like)

    @property
    def penalised(self) -> HostArray:
        """No parameter is shrunk."""
        return np.zeros(self.size)

    @property
    def to_params(self) -> HostArray:
        """Parameters are those of the user."""
        return np.eye(self.size)

    def params(self, theta: HostArray) -> Array:
        """Parameters as the user's functions take them."""
        return as_like(theta, self.like)

    def _rows(self, array: Array) -> Array:
        if self.index is None:
            return array
        return self.xp.take(array, self._places(array, self.index), axis=0)

    def _places(self, array: Array, index: NDArray[np.intp]) -> Array:
        """Row numbers beside an array."""
        return self.xp.asarray(index, device=array_api_compat.device(array))

    def _at(self, theta: HostArray) -> tuple[Array, Array]:
        """Derivatives and residuals."""
        residuals = self._rows(self.function(theta))
        slopes = self._rows(self.jacobian(theta)) if self.size else residuals[..., None][..., :0]
        return slopes, residuals

    def around(self, theta: HostArray) -> LinearData:
        """The linear model r ≈ r(θ) + J δ, whose design is −J and whose response is r."""
        slopes, response = self._at(theta)
        return linear_data(self.xp, -slopes, response, False, self.row_weights)

    def beside(self, vector: HostArray) -> Array:
        """Host numbers as an array like the parameters."""
        return as_like(vector, self.like)

    def spread(self, theta: HostArray) -> float:
        """Root mean square of the residuals."""
        return self.around(theta).spread(np.zeros(self.size))

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""
        sums = self.around(theta).sums(np.zeros(self.size), alpha, scale, wanted)
        return replace(sums, size=max(sums.size, self.size_of_y))

    def loss(self, theta: HostArray, alpha: float, scale: float) -> float:
        """Σ ρ(z), which takes no derivatives."""
        at_rest = copy.copy(self)
        at_rest.size = 0
        return at_rest.sums(theta, alpha, scale, Wanted(hessian=False)).loss

    def taken(self, index: NDArray[np.intp]) -> Self:
        """The same function with some of its rows."""
        weights = self.row_weights
        if weights is not None:
            values = self.xp.take(weights.values, self._places(weights.values, index), axis=0)
            weights = RowWeights(values, float(to_host(self.xp.sum(values))))
        index = index if self.index is None else self.index[index]
        parts = self.xp, self.function, self.jacobian, self.like, self.size_of_y
        return type(self)(*parts, weights, index)
