"""What a linear model asks of its data: sums and matrix products, brought to the host at once.

Rows are never looked at one by one, sorted or selected, so that the same code serves arrays in
memory, on a device, and in Dask chunks; each evaluation is one transfer (on Dask, one compute).
"""

import math
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from robloss._backends import evaluate
from robloss._typing import Array

HostArray = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums over the rows x of the design, with z = (y − x·theta)/scale.

    Attributes
    ----------
    loss : float
        Σ ρ(z).
    slope : ndarray (q,)
        Σ ψ(z) x.
    pull : float
        Σ z ψ(z), which is n where the scale is at its optimum.
    grad_alpha : float
        Σ ∂ρ/∂α.
    gram : ndarray (q, q)
        Σ w(z) x xᵀ.
    hessian : ndarray (q, q)
        Σ ψ'(z) x xᵀ.
    cross : ndarray (q,)
        Σ (ψ + z ψ') x.
    stretch : float
        Σ z (ψ + z ψ').
    weight : float
        Σ w(z).
    size : float
        √(Σ w y²/Σ w), the size of the responses that are no outliers.
    """

    loss: float
    slope: HostArray
    pull: float
    grad_alpha: float
    gram: HostArray
    hessian: HostArray
    cross: HostArray
    stretch: float
    weight: float
    size: float


def to_host(array: Array) -> HostArray:
    """Bring an array of any library to the host as float64."""
    if array_api_compat.is_torch_array(array):
        array = array.detach().cpu()
    elif array_api_compat.is_cupy_array(array):
        array = array.get()
    return np.asarray(array, dtype=np.float64)


@dataclass(frozen=True)
class Moments:
    """Sums that least squares needs, and what they say about the data.

    Attributes
    ----------
    largest_y, mean_square_y : float
    gram : ndarray (q, q)
        Σ x xᵀ.
    slope : ndarray (q,)
        Σ y x.
    """

    largest_y: float
    mean_square_y: float
    gram: HostArray
    slope: HostArray


class LinearData:
    """A design matrix (with or without a column of ones before it) and a response.

    Inside, parameters are those of the columns minus `center`: only the constant differs.
    """

    def __init__(
        self, xp: Any, X: Array, y: Array, intercept: bool, center: HostArray | None = None
    ) -> None:
        self.xp = xp
        self.X = X
        self.y = y
        self.intercept = intercept
        self.n: int = X.shape[0]
        columns: int = X.shape[1]
        self.size = columns + intercept
        self.center = np.zeros(columns) if center is None else center
        self.eps = float(xp.finfo(X.dtype).eps)

    def centered(self, mean: HostArray) -> "LinearData":
        """The same data with the columns shifted to mean 0, at the price of a copy."""
        X = self.X - self._beside(mean)
        return LinearData(self.xp, X, self.y, self.intercept, mean)

    def without(self, columns: NDArray[np.bool_]) -> "LinearData":
        """The same data with some columns set to 0."""
        X = self.X * self._beside(np.where(columns, 0.0, 1.0))
        return LinearData(self.xp, X, self.y, self.intercept, self.center)

    def _beside(self, vector: HostArray) -> Array:
        """A host vector as an array beside the data."""
        device = array_api_compat.device(self.X)
        return self.xp.asarray(vector, dtype=self.X.dtype, device=device)

    def coefficients(self, theta: HostArray) -> tuple[Array, float]:
        """Split a parameter vector into coefficients and intercept of the columns as given."""
        if not self.intercept:
            return self._beside(theta), 0.0
        return self._beside(theta[1:]), float(theta[0] - self.center @ theta[1:])

    def residuals(self, theta: HostArray) -> Array:
        """y − x·theta."""
        if not self.intercept:
            return self.y - self.X @ self._beside(theta)
        return (self.y - float(theta[0])) - self.X @ self._beside(theta[1:])

    def _gram(self, weight: Array) -> list[Array]:
        """The pieces of Σ weight x xᵀ."""
        xp = self.xp
        weighted = weight[:, None] * self.X
        inner = xp.matrix_transpose(self.X) @ weighted
        return [xp.sum(weight), xp.sum(weighted, axis=0), inner] if self.intercept else [inner]

    def _project(self, vector: Array) -> list[Array]:
        """The pieces of Σ vector x."""
        inner = self.xp.matrix_transpose(self.X) @ vector
        return [self.xp.sum(vector), inner] if self.intercept else [inner]

    def _square(self, pieces: list[HostArray]) -> HostArray:
        if not self.intercept:
            return pieces[0].reshape(self.size, self.size)
        total, border, inner = pieces
        full = np.empty((self.size, self.size))
        full[0, 0] = total[0]
        full[0, 1:] = full[1:, 0] = border
        full[1:, 1:] = inner.reshape(self.size - 1, self.size - 1)
        return full

    def _collect(self, groups: list[list[Array]]) -> list[list[HostArray]]:
        """Bring groups of small arrays to the host in one transfer."""
        xp = self.xp
        flat = [xp.reshape(piece, (-1,)) for group in groups for piece in group]
        ends = np.cumsum([piece.shape[0] for piece in flat])[:-1]
        pieces = iter(np.split(to_host(xp.concat(flat)), ends))
        return [[next(pieces) for _ in group] for group in groups]

    def moments(self) -> Moments:
        """What least squares needs."""
        xp = self.xp
        one = xp.ones_like(self.y)
        (largest, mean_square), gram, slope = self._collect(
            [
                [xp.max(xp.abs(self.y)), xp.mean(self.y * self.y)],
                self._gram(one),
                self._project(self.y),
            ]
        )
        return Moments(
            float(largest[0]), float(mean_square[0]), self._square(gram), np.concatenate(slope)
        )

    def spread(self, theta: HostArray) -> float:
        """Root mean square of the residuals."""
        r = self.residuals(theta)
        return math.sqrt(float(to_host(self.xp.mean(r * r))))

    def sums(self, theta: HostArray, alpha: float, scale: float) -> Sums:
        """Everything that a step needs at one set of parameters."""
        xp = self.xp
        z = self.residuals(theta) / scale
        psi = evaluate("influence", z, alpha, 1.0)
        curvature = evaluate("curvature", z, alpha, 1.0)
        weight = evaluate("weight", z, alpha, 1.0)
        bend = psi + z * curvature
        scalars, slope, gram, hessian, cross = self._collect(
            [
                [
                    xp.sum(evaluate("loss", z, alpha, 1.0)),
                    xp.sum(z * psi),
                    xp.sum(evaluate("grad_alpha", z, alpha, 1.0)),
                    xp.sum(z * bend),
                    xp.sum(weight),
                    xp.sum(weight * self.y * self.y),
                ],
                self._project(psi),
                self._gram(weight),
                self._gram(curvature),
                self._project(bend),
            ]
        )
        total_loss, pull, total_grad_alpha, stretch, total_weight, squares = (
            float(value[0]) for value in scalars
        )
        return Sums(
            loss=total_loss,
            slope=np.concatenate(slope),
            pull=pull,
            grad_alpha=total_grad_alpha,
            gram=self._square(gram),
            hessian=self._square(hessian),
            cross=np.concatenate(cross),
            stretch=stretch,
            weight=total_weight,
            size=math.sqrt(squares / total_weight) if total_weight > 0 else 0.0,
        )

    def slopes(
        self, theta: HostArray, alpha: float, scale: float
    ) -> tuple[HostArray, float, float]:
        """Only the sums that are first derivatives: slope, pull and grad_alpha."""
        xp = self.xp
        z = self.residuals(theta) / scale
        psi = evaluate("influence", z, alpha, 1.0)
        slope, scalars = self._collect(
            [
                self._project(psi),
                [xp.sum(z * psi), xp.sum(evaluate("grad_alpha", z, alpha, 1.0))],
            ]
        )
        return np.concatenate(slope), float(scalars[0][0]), float(scalars[1][0])
