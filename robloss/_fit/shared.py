"""Several responses of one design that share shape and scale, as one set of data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robloss._fit.least_squares import Problem
from robloss._fit.linear_data import LinearData
from robloss._fit.sums import HostArray, Moments, Sums, Wanted, combined, diagonal
from robloss._typing import Array


class SharedData:
    """Linear data side by side: parameters one after the other, and every row of each counts.

    What `LinearData` has for each row is (n, k) here, one column per response.

    Attributes
    ----------
    parts : tuple of LinearData
        One per response, with the same rows.
    """

    components = 1

    def __init__(self, parts: Sequence[LinearData]) -> None:
        self.parts = tuple(parts)
        first = self.parts[0]
        self.xp = first.xp
        self.n = first.n
        self.observations = sum(part.observations for part in self.parts)
        self.size = sum(part.size for part in self.parts)
        self.resolution = first.resolution
        self.eps = first.eps
        self.row_weights = first.row_weights

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as the parts."""
        return SharedData, (self.parts,)

    def _split(self, theta: HostArray) -> list[HostArray]:
        return np.split(theta, len(self.parts))

    def _chain(self, of: Callable[[LinearData, HostArray], HostArray], theta: HostArray) -> Any:
        each = zip(self.parts, self._split(theta), strict=True)
        return np.concatenate([of(part, one) for part, one in each])

    @property
    def is_linear(self) -> bool:
        """Whether residuals are linear in the parameters."""
        return True

    @property
    def dtype_of_sums(self) -> Any:
        """What residuals, the loss and products are computed in."""
        return self.parts[0].dtype_of_sums

    @property
    def penalised(self) -> HostArray:
        """1 for each coefficient, 0 for the constants."""
        return np.concatenate([part.penalised for part in self.parts])

    @property
    def to_params(self) -> HostArray:
        """The matrix that turns the parameters inside into those of the user."""
        return diagonal([part.to_params for part in self.parts])

    def params(self, theta: HostArray) -> Array:
        """All parameters as the user counts them, those of one response after another's."""
        return self.beside(self.to_params @ theta)

    def inside(self, params: HostArray) -> HostArray:
        """Parameters as the user counts them in those of centred columns."""
        theta: HostArray = self._chain(lambda part, one: part.inside(one), params)
        return theta

    def beside(self, vector: HostArray) -> Array:
        """Host numbers as an array beside the data."""
        return self.parts[0].beside(vector)

    def joined(self, columns: Sequence[Array]) -> Array:
        """One number for each row and response, from those of the responses."""
        return self.xp.stack(list(columns), axis=-1)

    def coefficients(self, theta: HostArray) -> tuple[Array, Array]:
        """Coefficients (p, k) and intercepts (k,)."""
        each = zip(self.parts, self._split(theta), strict=True)
        coef, constants = zip(*(part.coefficients(one) for part, one in each), strict=True)
        return self.joined(coef), self.beside(np.asarray(constants))

    def spread(self, theta: HostArray) -> float:
        """Root mean square of all residuals."""
        each = zip(self.parts, self._split(theta), strict=True)
        squares = [part.observations * part.spread(one) ** 2 for part, one in each]
        return math.sqrt(sum(squares) / self.observations)

    def sample(self, size: int) -> "SharedData":
        """Some of the rows, in memory; see `LinearData.sample`."""
        return SharedData([part.sample(size) for part in self.parts])

    def taken(self, index: NDArray[np.intp]) -> "SharedData":
        """Some of the rows, with all their responses."""
        return SharedData([part.taken(index) for part in self.parts])

    def around(self, theta: HostArray) -> "SharedData":  # noqa: ARG002
        """The linear model around some parameters: itself, around any."""
        return self

    def counted(self, of_rows: Array) -> Array:
        """One number for each row and response, times the row's weight; 0 where that is 0."""
        weights = self.row_weights
        if weights is None:
            return of_rows
        weight = weights.values[:, None]
        return self.xp.where(weight > 0, weight * of_rows, 0.0)

    def influence(self, z: Array, alpha: float) -> Array:
        """The slope of the loss at residuals in units of the scale."""
        return self.parts[0].influence(z, alpha)

    def grad_alpha(self, z: Array, alpha: float) -> Array:
        """The slope of the loss in α at residuals in units of the scale."""
        return self.parts[0].grad_alpha(z, alpha)

    def moments(self) -> Moments:
        """What least squares needs."""
        each = [part.moments() for part in self.parts]
        squares = sum(one.mean_square_y for one in each)
        return Moments(
            max(one.largest_y for one in each),
            squares / len(each),
            diagonal([one.gram for one in each]),
            np.concatenate([one.slope for one in each]),
        )

    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns), of all responses (n, k) together.

        Errors of one row may depend on one another: its responses have one s, not one each.
        """
        return self.parts[0].outer(factor, [self.xp.sum(column, axis=1) for column in columns])

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""
        each = zip(self.parts, self._split(theta), strict=True)
        sums = [part.sums(one, alpha, scale, wanted) for part, one in each]
        both = zip(*(one.rows for one in sums), strict=True)
        residuals, weights = map(self.joined, both) if wanted.rows else sums[0].rows
        return replace(combined(sums, np.concatenate, diagonal), rows=(residuals, weights))


def shared_problem(problems: Sequence[Problem[LinearData]]) -> Problem[SharedData]:
    """Problems of one response each as one of all."""
    squares = sum(problem.size_of_y**2 for problem in problems)
    return Problem(
        SharedData([problem.data for problem in problems]),
        np.concatenate([problem.theta for problem in problems]),
        sum(problem.rank for problem in problems),
        math.sqrt(squares / len(problems)),
    )
