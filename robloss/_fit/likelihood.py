"""The joint negative log-likelihood of coefficients, shape and scale, with its derivatives.

    F(θ, α, c) = Σ ρ(y − Xθ, α, c) + n log c + n log Z(α)

Its coordinates are θ, α and log c − g(α), with g(α) = −sign(α − 2) (b/4) log b, b = |α − 2|. Around
α = 2 both ρ and log Z have slopes that diverge like log b; at the best scale they cancel, and
measured from g(α) they cancel at every scale: F has a finite slope up to α = 2 and across it.
"""

import math
from dataclasses import dataclass

import numpy as np

from robloss._backends import evaluate
from robloss._fit.sums import HostArray, LinearData, Sums, Wanted
from robloss._partition.lookup import log_partition_second_derivative
from robloss._typing import Array

# A few roundings of a number and of its sum: what separates a value from nothing at all.
FLOOR = 16.0


@dataclass(frozen=True)
class Point:
    """A set of parameters."""

    theta: HostArray
    alpha: float
    scale: float


@dataclass(frozen=True)
class Free:
    """Which of shape and scale are to be estimated, and between which bounds."""

    alpha: bool
    scale: bool
    bounds: tuple[float, float]


@dataclass(frozen=True)
class Local:
    """The objective around a point, in the coordinates (θ, α if free, log scale − g(α) if free).

    θ is measured in units of the point's scale: nothing overflows then, whatever the unit of y.

    Attributes
    ----------
    nll : float
        inf where F or one of its derivatives overflows; the rest means nothing then.
    noise : float
        How far rounding of the sums alone may move `nll`.
    gradient, hessian : ndarray
    gradient_noise : ndarray
        How far rounding alone, of the data or of the sums, may move the gradient in θ.
    gram : ndarray
        Σ w x xᵀ, if it was asked for.
    floor : float
        The scale at which residuals are rounding errors, of the data if not of the sums.
    total_weight : float
        Σ w.
    rows : (array, array), or None
        Residuals and weights, if they were asked for.
    """

    point: Point
    nll: float
    noise: float
    gradient: HostArray
    hessian: HostArray
    gradient_noise: HostArray
    gram: HostArray
    floor: float
    total_weight: float
    rows: tuple[Array, Array] | None


def shift(alpha: float) -> float:
    """g(α), from which the logarithm of the scale is measured."""
    d = alpha - 2.0
    return 0.0 if d == 0.0 else -0.25 * d * math.log(abs(d))


def shift_slope(alpha: float) -> float:
    """The derivative of g, at α != 2."""
    return -0.25 * (math.log(abs(alpha - 2.0)) + 1.0)


def as_held(number: float, eps: float) -> float:
    """A number as float32 holds it where the sums are of float32, by their eps."""
    return float(np.float32(number)) if eps > 1e-10 else float(number)


def solve(matrix: HostArray, vector: HostArray, eps: float) -> tuple[HostArray, HostArray]:
    """Solve a symmetric system in the units of its diagonal, of least norm where it is singular.

    Parameters
    ----------
    matrix, vector : ndarray
    eps : float
        Relative rounding of the matrix: eigenvalues of that size count as 0.

    Returns
    -------
    solution : ndarray
    eigenvalues : ndarray
        Of the matrix in the units of its diagonal; those that count as 0 are left out.
    """
    size = np.sqrt(np.abs(np.diag(matrix)))
    size[size == 0] = 1.0
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    kept = np.abs(values) > 10 * len(size) * eps
    vectors = vectors[:, kept]
    solution = vectors @ ((vectors.T @ (vector / size)) / values[kept]) / size
    return solution, values[kept]


class Likelihood:
    """F for a linear model."""

    def __init__(self, data: LinearData, free: Free) -> None:
        self.data = data
        self.free = free
        self.eps = data.eps
        self._beside_two: float = data.eps ** (2 / 3)

    def _log_partition(self, alpha: float) -> float:
        """log Z, and 0 below α = 0, where there is no density and α is not estimated."""
        return float(evaluate("log_partition", alpha)) if alpha >= 0 else 0.0

    def nll(self, sums: Sums, point: Point) -> float:
        """F at a point."""
        per_row = math.log(point.scale) + self._log_partition(point.alpha)
        return sums.loss + self.data.n * per_row

    def _sums(self, point: Point, wanted: Wanted) -> Sums:
        return self.data.sums(point.theta, point.alpha, point.scale, wanted)

    def moved(self, point: Point, alpha: float) -> Point:
        """The point at another α and the same coordinate of scale."""
        if not self.free.scale:
            return Point(point.theta, alpha, point.scale)
        scale = point.scale * math.exp(shift(alpha) - shift(point.alpha))
        return Point(point.theta, alpha, scale)

    def _is_at_two(self, point: Point) -> bool:
        return abs(point.alpha - 2.0) < self._beside_two

    def _by_alpha(self, sums: Sums, point: Point) -> tuple[float, HostArray]:
        """The derivative with respect to α, and the column of the Hessian."""
        if self._is_at_two(point):
            # At α = 2 itself the derivatives of ρ do not exist; beside it those of F do.
            low, high = self.free.bounds
            inward = -1.0 if point.alpha > 0.5 * (low + high) else 1.0
            point = self.moved(point, 2.0 + inward * self._beside_two)
            sums = self._sums(point, Wanted(hessian=False, shape=True))
        shape = sums.shape
        n = self.data.n
        slope = shape.slope + n * float(evaluate("log_partition_derivative", point.alpha))
        bow = shape.bow + n * float(log_partition_second_derivative(np, np.asarray(point.alpha)))
        if not self.free.scale:
            return slope, np.append(-shape.tilt, bow)
        # In the coordinate log scale − g(α): the chain rule, with ∂F/∂ log scale = n − Σ z ψ.
        d = point.alpha - 2.0
        drift = shift_slope(point.alpha)
        by_scale = n - sums.pull
        slope += drift * by_scale
        bow += drift * (drift * sums.stretch - 2.0 * shape.pull) - 0.25 / d * by_scale
        mixed = drift * sums.stretch - shape.pull
        return slope, np.concatenate([drift * sums.cross - shape.tilt, [bow, mixed]])

    def _derivatives(
        self, sums: Sums, point: Point, inner: HostArray
    ) -> tuple[HostArray, HostArray]:
        """The gradient, and the Hessian around its part in θ."""
        free, size = self.free, self.data.size
        total = size + free.alpha + free.scale
        gradient, hessian = np.empty(total), np.zeros((total, total))
        gradient[:size] = -sums.slope
        hessian[:size, :size] = inner
        if free.scale:
            gradient[-1] = self.data.n - sums.pull
            hessian[:size, -1] = hessian[-1, :size] = sums.cross
            hessian[-1, -1] = sums.stretch
        if free.alpha:
            gradient[size], column = self._by_alpha(sums, point)
            hessian[size, :] = hessian[:, size] = column
        return gradient, hessian

    def at(self, point: Point, gram: bool = False, beside: Local | None = None) -> Local:
        """The objective and its derivatives at a point.

        Parameters
        ----------
        point : Point
        gram : bool, default False
            Whether to add what reweighting needs.
        beside : Local, optional
            A point so near that the Hessian in θ can be taken from it: this is likely to be the
            last point, and its residuals and weights are wanted.
        """
        shape = self.free.alpha and not self._is_at_two(point)
        last = beside is not None
        sums = self._sums(point, Wanted(hessian=not last, gram=gram, shape=shape, rows=last))
        inner = (
            sums.hessian if beside is None else beside.hessian[: self.data.size, : self.data.size]
        )
        gradient, hessian = self._derivatives(sums, point, inner)
        nll = self.nll(sums, point)
        if not (np.all(np.isfinite(gradient)) and np.all(np.isfinite(hessian))):
            nll = math.inf
        n = self.data.n
        spread = sums.loss + n * (1.0 + abs(math.log(point.scale)))
        return Local(
            point,
            nll if math.isfinite(nll) else math.inf,
            noise=self.eps * (4.0 * spread + math.sqrt(n) * sums.size / point.scale),
            gradient=gradient,
            hessian=hessian,
            # Σ|ψ x| is at most the root, by Cauchy and Schwarz with ψ = w z.
            gradient_noise=FLOOR * self.data.resolution * np.sqrt(sums.squares * sums.pull),
            gram=sums.gram,
            floor=FLOOR * self.data.resolution * (sums.size or 1.0),
            total_weight=sums.weight,
            rows=sums.rows if last else None,
        )

    def rows(self, local: Local) -> tuple[Array, Array]:
        """The residuals, and their weights in units of that of a residual 0."""
        if local.rows is not None:
            return local.rows
        return self._sums(local.point, Wanted(hessian=False, rows=True)).rows

    def reweighted(self, local: Local) -> HostArray:
        """The step in θ to the solution of the reweighted least-squares problem."""
        gram = local.gram
        if not gram.size:
            gram = self._sums(local.point, Wanted(hessian=False, gram=True)).gram
        step, _ = solve(gram, -local.gradient[: self.data.size], self.eps)
        return step

    def rounded(self, alpha: float) -> float:
        """α as the sums hold it, and inside its bounds."""
        low, high = self.free.bounds
        return max(low, min(high, as_held(alpha, self.eps)))
