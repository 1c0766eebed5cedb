"""Symmetric systems and inverses in the units of the diagonal, singular ones too.

Eigenvalues tell all there is to know of a matrix, and take tens of times longer than its factor:
where there are many columns the factor is tried first, and says whether it is enough.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robloss._fit.sums import HostArray

# From so many columns on a factor is tried: below, eigenvalues are as quick (2 cores, OpenBLAS).
_MANY = 64
# How many times the eigenvalues that count as 0 the least one must be for the factor to be trusted
# with it; it is found to within a factor of 2 or 3.
_SURE = 1e3
_ROUNDS = 4  # of inverse iteration
_BLOCK = 64  # columns that are substituted at once


@dataclass(frozen=True)
class Solved:
    """The solution of a symmetric system.

    Attributes
    ----------
    solution : ndarray
        Of least norm in the units of the diagonal, if the matrix is singular. NaN for a large
        matrix that is not definite: eigenvalues would be needed for what nobody wants.
    rank : int
        The number of eigenvalues that do not count as 0.
    is_definite : bool
        Whether none of them is below 0.
    """

    solution: HostArray
    rank: int
    is_definite: bool


def _in_units(matrix: HostArray) -> tuple[HostArray, HostArray]:
    """A matrix in the units of its diagonal, and these."""
    size = np.sqrt(np.abs(matrix.diagonal()))
    size[size == 0] = 1.0
    return matrix / (size[:, None] * size), size


def _negligible(columns: int, eps: float) -> float:
    """The size of eigenvalues, in the units of the diagonal, that count as 0."""
    return 10 * columns * eps


def _factor(matrix: HostArray) -> HostArray | None:
    """The factor of Cholesky; None for a matrix that is not definite."""
    try:
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None


def _substituted(factor: HostArray, vector: HostArray) -> HostArray:
    """The solution of L Lᵀ x = v: NumPy has none for triangles."""
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
    """An estimate from above of the least eigenvalue of L Lᵀ, by inverse iteration."""
    x = np.random.default_rng(0).normal(size=len(factor))
    for _ in range(_ROUNDS):
        x = _substituted(factor, x / np.linalg.norm(x))
    return 1.0 / float(np.linalg.norm(x))


def _sure_factor(scaled: HostArray, eps: float) -> HostArray | None:
    """The factor of a large matrix that is far from singular; None for any other."""
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
    """The eigenvalues that do not count as 0, their vectors, and those of the others."""
    values, vectors = np.linalg.eigh(scaled)
    kept = np.abs(values) > _negligible(len(scaled), eps)
    return values[kept], vectors[:, kept], vectors[:, ~kept]


def solve(matrix: HostArray, vector: HostArray, eps: float) -> Solved:
    """Solve a symmetric system.

    Parameters
    ----------
    matrix, vector : ndarray
    eps : float
        Relative rounding of the matrix: eigenvalues of that size count as 0.
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
        The inverse, as if directions of eigenvalue 0 were not there.
    null : ndarray
        These directions, in the units of the diagonal.
    size : ndarray
        Roots of the diagonal.
    is_definite : bool
        Whether no eigenvalue is below 0.
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
