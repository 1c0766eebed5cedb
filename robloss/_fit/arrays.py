"""The sums of a linear model by array expressions, for any library."""

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from robloss._backends import evaluate, evaluate_all
from robloss._backends.bends import bends
from robloss._fit.linear_data import LinearData
from robloss._fit.sums import (
    NO_SHAPE,
    HostArray,
    Moments,
    ShapeSums,
    Sums,
    Wanted,
    to_host,
    weighted_size,
)
from robloss._typing import Array


def loss_by_alpha(xp: Any, z: Array, alpha: float) -> tuple[Array, Array, Array]:
    """∂ρ/∂α, ∂²ρ/∂α² and ∂ψ/∂α at scale 1 and an α other than 2."""
    tilt, bow = bends(xp, z, alpha)
    # float32 needs the slope to its last digits.
    return evaluate("grad_alpha", z, alpha, 1.0), bow, tilt


class ArrayData(LinearData):
    """Data of any library: each question is put together lazily and answered in one transfer."""

    @property
    def features(self) -> Array:
        """The columns as they were given."""
        return self.X + self.beside(self.center) if self.space is None else self.space.X

    def centered(self, mean: HostArray) -> Self:
        """The same data with the columns shifted to mean 0, at the price of a copy."""
        return self.changed(X=self.X - self.beside(mean), center=mean)

    def without(self, columns: NDArray[np.bool_]) -> Self:
        """The same data with some columns set to 0."""
        return self.changed(X=self.X * self.beside(np.where(columns, 0.0, 1.0)))

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
        # Not X² times the weight: where that is 0, X² may overflow.
        inner = self.xp.sum((weight[:, None] * self.X) * self.X, axis=0)
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
        weight = one if self.row_weights is None else self.row_weights.values
        y = weight * self.y
        counts = xp.astype(weight > 0, self.dtype)
        (largest, square), gram, slope = self._collect(
            [
                [xp.max(counts * xp.abs(self.y)), xp.sum(y * self.y)],
                self._gram(weight),
                self._project(y),
            ]
        )
        mean_square = float(square[0]) / self.observations
        return Moments(float(largest[0]), mean_square, self._square(gram), np.concatenate(slope))

    def spread(self, theta: HostArray) -> float:
        """Root mean square of the residuals."""
        r = self._residuals(theta)
        return math.sqrt(float(to_host(self.xp.sum(self.counted(r * r)))) / self.observations)

    def outer(self, factor: Array, columns: list[Array]) -> HostArray:
        """Σ s sᵀ over the rows s = (factor x, columns), or (f x, …, columns) of factors (n, k)."""
        xp, factors, blocks = self.xp, self.xp.reshape(factor, (self.n, -1)), []
        for k in range(factors.shape[1]):
            each = factors[:, k, None]
            blocks += [each, each * self.X] if self.intercept else [each * self.X]
        rows = xp.concat([*blocks, *(column[:, None] for column in columns)], axis=1)
        if self.row_weights is not None:
            weight = xp.sqrt(self.row_weights.values)[:, None]
            rows = xp.where(weight > 0, weight * rows, 0.0)
        return to_host(xp.matrix_transpose(rows) @ rows)

    def law(self, z: Array, alpha: float) -> tuple[Array, Array, Array, Array]:
        """ρ, ψ, ψ′ and w of each row."""
        loss, psi, curvature, weight = evaluate_all(
            ("loss", "influence", "curvature", "weight"), z, alpha, 1.0
        )
        return loss, psi, curvature, weight

    def law_by_alpha(self, z: Array, alpha: float) -> tuple[Array, Array, Array]:
        """∂ρ/∂α, ∂²ρ/∂α² and ∂ψ/∂α of each row, at an α other than 2."""
        return loss_by_alpha(self.xp, z, alpha)

    def _shape_groups(self, z: Array, alpha: float) -> list[list[Array]]:
        xp = self.xp
        slope, bow, tilt = self.law_by_alpha(z, alpha)
        return [
            [xp.sum(self.counted(value)) for value in (slope, bow, z * tilt)],
            self._project(self.counted(tilt)),
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
        loss, psi, curvature, weight = self.law(z, alpha)
        bend = psi + z * curvature
        w = self.counted(weight)
        groups = [
            [
                xp.sum(self.counted(loss)),
                xp.sum(self.counted(z * psi)),
                xp.sum(self.counted(z * bend)),
                xp.sum(w),
                xp.sum(w * self.y * self.y),
            ],
            self._project(self.counted(psi)),
            self._project(self.counted(bend)),
            self._squares(w),
            self._gram(self.counted(curvature)) if wanted.hessian else [],
            self._gram(w) if wanted.gram else [],
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
