"""The row space of a design: all that a few rows can tell about many coefficients.

Residuals depend on the coefficients only through their component in this space, and a ridge shrinks
the rest to 0. So the optimum lies in the row space, whose dimension is at most the number of rows.
Of all optima without a ridge this is the one of least norm, the limit for a vanishing ridge.
"""

from dataclasses import dataclass
from functools import cached_property

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from robloss._fit.sums import HostArray, to_host
from robloss._typing import Array


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Coordinates of rows and of coefficients in the row space.

    Attributes
    ----------
    X : array (n, p)
        Features as they were given.
    intercept : bool
    center : ndarray (p,)
        The origin of the coordinates; 0 without an intercept, which alone can absorb a shift.
    basis : ndarray (p, r)
        Orthonormal columns.
    size : float
        Root mean square of the rows' distances from `center`.
    """

    X: Array
    intercept: bool
    center: HostArray
    basis: HostArray
    size: float

    def coordinates(self) -> HostArray:
        """The coordinates of the rows of X, (n, r)."""
        return (to_host(self.X) - self.center) @ self.basis

    @cached_property
    def outside(self) -> HostArray:
        """The squared length of each parameter outside the space, the constant first."""
        constant = float(self.center @ self.center - np.sum((self.center @ self.basis) ** 2))
        slopes = 1.0 - np.sum(self.basis**2, axis=1)
        return np.maximum(self._both(constant, slopes), 0.0)

    def _both(self, constant: float, slopes: HostArray) -> HostArray:
        return np.append(constant, slopes) if self.intercept else slopes

    def products(self) -> HostArray:
        """The inner products of the parameters' components outside the space."""
        whole = np.vstack([-self.center[None, :][: int(self.intercept)], np.eye(len(self.center))])
        inside = whole @ self.basis
        return np.asarray(whole @ whole.T - inside @ inside.T)

    def determines(self, eps: float) -> NDArray[np.bool_]:
        """Whether the rows determine each parameter, the constant first."""
        constant = float(self.center @ self.center) + self.size**2
        whole = self._both(constant, np.ones_like(self.center))
        determined: NDArray[np.bool_] = self.outside <= 100 * eps * whole
        return determined


def row_space(
    X: Array, intercept: bool, counts: NDArray[np.bool_] | slice = slice(None)
) -> RowSpace | None:
    """The space of the rows with a positive weight, of which there are fewer than parameters.

    None if their squares overflow or underflow; another check then raises the error.
    """
    features = to_host(X)[counts]
    with np.errstate(all="ignore"):
        squares = np.mean(features**2, axis=0)
    lost = (squares < np.finfo(np.float64).tiny) & np.any(features != 0, axis=0)
    if lost.any() or not np.isfinite(squares).all():
        return None
    center = np.mean(features, axis=0) if intercept else np.zeros(X.shape[1])
    _, lengths, directions = np.linalg.svd(features - center, full_matrices=False)
    eps = float(array_api_compat.array_namespace(X).finfo(X.dtype).eps)
    rank = np.count_nonzero(lengths > lengths[0] * X.shape[1] * eps)
    size = float(np.sqrt(np.mean(lengths**2)))
    return RowSpace(X, intercept, center, directions[: max(rank, 1)].T, size)
