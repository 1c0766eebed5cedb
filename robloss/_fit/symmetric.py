"""Symmetric systems and inverses, scaled by the diagonal; the matrix may be singular.

Eigenvalues reveal everything about a matrix, but take tens of times longer than a Cholesky factor.
With many columns the factor is therefore tried first; it tells whether it is reliable enough.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robloss._fit.sums import HostArray

# Above this many columns a factor is tried: below, eigenvalues are as fast (2 cores, OpenBLAS).
_MANY = 64
# The factor is trusted if the smallest eigenvalue, which is found to within a factor of 2 or 3, is
# this many times the size of eigenvalues that count as 0.
_SURE = 1e3
_ROUNDS = 4  # of inverse iteration
_BLOCK = 64  # columns of a block of the substitution


@dataclass(frozen=True)
class Solved:
    """The solution of a symmetric system.

    Attributes
    ----------
    solution : ndarray
        If the matrix is singular, the one of least norm in the units of the diagonal. NaN for a
        large matrix that is not definite: no caller needs it, and it would take eigenvalues.
    rank : int
        The number of eigenvalues that do not count as 0.
    is_definite : bool
        Whether none of them is below 0.
    """

    solution: HostArray
    rank: int
    is_definite: bool


def _in_units(matrix: HostArray) -> tuple[HostArray, HostArray]:
    """A matrix scaled to the units of its diagonal, and these units."""
    size = np.sqrt(np.abs(matrix.diagonal()))
    size[size == 0] = 1.0
    return matrix / (size[:, None] * size), size


def _negligible(columns: int, eps: float) -> float:
    """The size up to which eigenvalues, in the units of the diagonal, count as 0."""
    return 10 * columns * eps


def _factor(matrix: HostArray) -> HostArray | None:
    """The Cholesky factor; None for a matrix that is not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None


def _substituted(factor: HostArray, vector: HostArray) -> HostArray:
    """The solution of L Lᵀ x = v: NumPy has no triangular solver."""
    x = vector.copy()
    starts = range(0, len(x), _BLOCK)
    for start in starts:
        part = slice(start, start + _BLOCK)
        rest = x[part] - factor[part, :start] @ x[:start]
        x[part] = np.linalg.solve(factor[part, part], rest)
    for start in reversed(starts):
        part, after = slice(start, start + _BLOCK), start + _BLOCK
        rest = x[part] - factor[after:, part].T @ x[after:]
        x[part] = np.linalg.solve(factor[part, part].T, rest)
    return x


def _least_eigenvalue(factor: HostArray) -> float:
    """An upper estimate of the smallest eigenvalue of L Lᵀ, by inverse iteration."""
    x = np.random.default_rng(0).normal(size=len(factor))
    for _ in range(_ROUNDS):
        x = _substituted(factor, x / np.linalg.norm(x))
    return 1.0 / float(np.linalg.norm(x))


def _sure_factor(scaled: HostArray, eps: float) -> HostArray | None:
    """The Cholesky factor of a large matrix that is far from singular; None for any other."""
    if len(scaled) <= _MANY:
        return None
    factor = _factor(scaled)
    if factor is None or _least_eigenvalue(factor) < _SURE * _negligible(len(scaled), eps):
        return None
    return factor


def _is_indefinite(scaled: HostArray, eps: float) -> bool:
    """Whether a large matrix has an eigenvalue that is negative and does not count as 0."""
    shift = _negligible(len(scaled), eps)
    return len(scaled) > _MANY and _factor(scaled + shift * np.eye(len(scaled))) is None


def _eigen(scaled: HostArray, eps: float) -> tuple[HostArray, HostArray, HostArray]:
    """The eigenvalues that do not count as 0, their eigenvectors, and the other eigenvectors."""
    values, vectors = np.linalg.eigh(scaled)
    kept = np.abs(values) > _negligible(len(scaled), eps)
    return values[kept], vectors[:, kept], vectors[:, ~kept]


def solve(matrix: HostArray, vector: HostArray, eps: float) -> Solved:
    """Solve a symmetric system.

    Parameters
    ----------
    matrix, vector : ndarray
    eps : float
        Relative rounding of the matrix: eigenvalues of about that size count as 0.
    """
    scaled, size = _in_units(matrix)
    factor = _sure_factor(scaled, eps)
    if factor is not None:
        return Solved(_substituted(factor, vector / size) / size, len(size), is_definite=True)
    if _is_indefinite(scaled, eps):
        return Solved(np.full_like(vector, np.nan), len(size), is_definite=False)
    values, vectors, _ = _eigen(scaled, eps)
    solution = vectors @ ((vectors.T @ (vector / size)) / values) / size
    return Solved(solution, len(values), not (values < 0).any())


@dataclass(frozen=True)
class Inverse:
    """The inverse of a symmetric matrix.

    Attributes
    ----------
    matrix : ndarray
        The inverse on the space of the nonzero eigenvalues.
    null : ndarray
        The eigenvectors of eigenvalue 0, in the units of the diagonal.
    size : ndarray
        Square roots of the diagonal.
    is_definite : bool
        Whether no eigenvalue is negative.
    """

    matrix: HostArray
    null: HostArray
    size: HostArray
    is_definite: bool

    @classmethod
    def of(cls, matrix: HostArray, eps: float) -> "Inverse":
        """Invert; eigenvalues of the size of the relative rounding `eps` count as 0."""
        scaled, size = _in_units(matrix)
        factor = _sure_factor(scaled, eps)
        if factor is not None:
            left = np.linalg.inv(factor) / size
            return cls(left.T @ left, np.empty((len(size), 0)), size, is_definite=True)
        values, vectors, null = _eigen(scaled, eps)
        right = vectors / size[:, None]
        return cls((right / values) @ right.T, null, size, not (values < 0).any())

    def determines(self, functionals: HostArray, eps: float) -> NDArray[np.bool_]:
        """Which linear functionals (rows) of the parameters do not change along `null`."""
        rows = functionals / self.size
        left = np.sum((rows @ self.null) ** 2, axis=1)
        # An eigenvector is known to eps over the gap to the next eigenvalue, eps itself at worst.
        determined: NDArray[np.bool_] = left <= 100 * eps * np.sum(rows**2, axis=1)
        return determined
