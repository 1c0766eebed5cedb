"""The sums of a linear model by array expressions, for any library."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robloss._backends import evaluate
from robloss._fit.sums import (
    NO_SHAPE,
    HostArray,
    LinearData,
    Moments,
    ShapeSums,
    Sums,
    Wanted,
    to_host,
    weighted_size,
)
from robloss._typing import Array

# ∫₀¹ t² e^(Et) dt = Σ E^k/(k! (k + 3)); for E < 1 what follows the 15th term is below 1e-12.
_MOMENT_SERIES = tuple(1 / (math.factorial(k) * (k + 3)) for k in range(15))


def _second_derivatives(xp: Any, z: Array, alpha: float) -> tuple[Array, Array]:
    """∂ψ/∂α and ∂²ρ/∂α² at a finite α >= 0 other than 2, to the digits a Newton step needs.

    With ρ = Λ φ(E), φ(E) = (e^E − 1)/E, Λ = |α − 2| L/2, E = α L/2, L = log(1 + u),
    u = z²/|α − 2|; a name ending in _1 or _2 is a derivative with respect to α, v = u/(1 + u).
    """
    d = alpha - 2.0
    u = z * z / abs(d)
    log_u = xp.log1p(u)
    v = 1 - 1 / (1 + u)
    lam = 0.5 * abs(d) * log_u
    lam_1 = math.copysign(0.5, d) * (log_u - v)
    lam_2 = (-0.5 / abs(d)) * (v * v)
    e = 0.5 * alpha * log_u
    e_1 = 0.5 * (log_u - (alpha / d) * v)
    e_2 = (v / d) * (0.5 * (alpha / d) * (2 - v) - 1)
    # φ and its derivatives are ∫₀¹ t^k e^(Et) dt: each gives the next, one way or the other.
    small = e < 1
    inside = xp.where(small, e, 0.0)
    power = xp.exp(e)
    third = xp.zeros_like(e)
    for coefficient in reversed(_MOMENT_SERIES):
        third = third * inside + coefficient
    second = 0.5 * (power - e * third)
    first = power - e * second
    outside = xp.where(small, 1.0, e)
    first = xp.where(small, first, (power - 1) / outside)
    second = xp.where(small, second, (power - first) / outside)
    third = xp.where(small, third, (power - 2 * second) / outside)
    bow = lam_2 * first + second * (2 * lam_1 * e_1 + lam * e_2) + lam * third * e_1 * e_1
    return 0.5 * z * (power / (1 + u)) * (log_u - v), bow


class ArrayData(LinearData):
    """Data of any library: each question is put together lazily and answered in one transfer."""

    @property
    def features(self) -> Array:
        """The columns as they were given."""
        return self.X + self.beside(self.center)

    def centered(self, mean: HostArray) -> "ArrayData":
        """The same data with the columns shifted to mean 0, at the price of a copy."""
        return ArrayData(self.xp, self.X - self.beside(mean), self.y, self.intercept, mean)

    def without(self, columns: NDArray[np.bool_]) -> "ArrayData":
        """The same data with some columns set to 0."""
        X = self.X * self.beside(np.where(columns, 0.0, 1.0))
        return ArrayData(self.xp, X, self.y, self.intercept, self.center)

    def _residuals(self, theta: HostArray) -> Array:
        """y − x·theta."""
        if not self.intercept:
            return self.y - self.X @ self.beside(theta)
        return (self.y - float(theta[0])) - self.X @ self.beside(theta[1:])

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

    def _squares(self, weight: Array) -> list[Array]:
        """The pieces of Σ weight x²."""
        inner = self.xp.matrix_transpose(self.X * self.X) @ weight
        return [self.xp.sum(weight), inner] if self.intercept else [inner]

    def _square(self, pieces: list[HostArray]) -> HostArray:
        if not pieces:
            return np.empty((0, 0))
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
        r = self._residuals(theta)
        return math.sqrt(float(to_host(self.xp.mean(r * r))))

    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns)."""
        xp = self.xp
        before = [factor] if self.intercept else []
        blocks = [
            *(column[:, None] for column in before),
            factor[:, None] * self.X,
            *(column[:, None] for column in columns),
        ]
        rows = xp.concat(blocks, axis=1)
        return to_host(xp.matrix_transpose(rows) @ rows)

    def _shape_groups(self, z: Array, alpha: float) -> list[list[Array]]:
        xp = self.xp
        psi_alpha, bow = _second_derivatives(xp, z, alpha)
        return [
            [
                xp.sum(evaluate("grad_alpha", z, alpha, 1.0)),
                xp.sum(bow),
                xp.sum(z * psi_alpha),
            ],
            self._project(psi_alpha),
        ]

    @staticmethod
    def _as_shape(scalars: list[HostArray], tilt: list[HostArray]) -> ShapeSums:
        slope, bow, pull = (float(value[0]) for value in scalars)
        return ShapeSums(slope, bow, pull, np.concatenate(tilt))

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""
        xp = self.xp
        residuals = self._residuals(theta)
        z = residuals / scale
        psi = evaluate("influence", z, alpha, 1.0)
        curvature = evaluate("curvature", z, alpha, 1.0)
        weight = evaluate("weight", z, alpha, 1.0)
        bend = psi + z * curvature
        groups = [
            [
                xp.sum(evaluate("loss", z, alpha, 1.0)),
                xp.sum(z * psi),
                xp.sum(z * bend),
                xp.sum(weight),
                xp.sum(weight * self.y * self.y),
            ],
            self._project(psi),
            self._project(bend),
            self._squares(weight),
            self._gram(curvature) if wanted.hessian else [],
            self._gram(weight) if wanted.gram else [],
            *(self._shape_groups(z, alpha) if wanted.shape else []),
        ]
        scalars, slope, cross, squares, hessian, gram, *shape = self._collect(groups)
        total_loss, pull, stretch, total_weight, of_y = (float(value[0]) for value in scalars)
        return Sums(
            loss=total_loss,
            slope=np.concatenate(slope),
            pull=pull,
            stretch=stretch,
            cross=np.concatenate(cross),
            weight=total_weight,
            squares=np.concatenate(squares),
            size=weighted_size(of_y, total_weight),
            hessian=self._square(hessian),
            gram=self._square(gram),
            shape=self._as_shape(*shape) if shape else NO_SHAPE,
            rows=(residuals, weight),
        )
