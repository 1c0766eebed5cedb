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
from robloss._fit.sums import HostArray, LinearData, Sums

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
        How far rounding alone may move `nll`.
    gradient, hessian : ndarray
    gradient_noise : ndarray
        How far rounding alone may move the gradient in θ.
    reweighted : ndarray
        The step in θ to the solution of the reweighted least-squares problem, in units of scale.
    floor : float
        The scale at which residuals are rounding errors.
    total_weight : float
        Σ w.
    """

    point: Point
    nll: float
    noise: float
    gradient: HostArray
    hessian: HostArray
    gradient_noise: HostArray
    reweighted: HostArray
    floor: float
    total_weight: float


def shift(alpha: float) -> float:
    """g(α), from which the logarithm of the scale is measured."""
    d = alpha - 2.0
    return 0.0 if d == 0.0 else -0.25 * d * math.log(abs(d))


def as_held(number: float, eps: float) -> float:
    """A number as float32 holds it where the data are float32, by their eps."""
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

    def _log_partition(self, alpha: float) -> float:
        """log Z, and 0 below α = 0, where there is no density and α is not estimated."""
        return float(evaluate("log_partition", alpha)) if alpha >= 0 else 0.0

    def nll(self, sums: Sums, point: Point) -> float:
        """F at a point."""
        per_row = math.log(point.scale) + self._log_partition(point.alpha)
        return sums.loss + self.data.n * per_row

    def _gradient(
        self, slope: HostArray, pull: float, grad_alpha: float, point: Point, unit: float
    ) -> HostArray:
        """First derivatives of F at a point in its coordinates, θ in the given unit."""
        n = self.data.n
        parts = [-slope * (unit / point.scale)]
        by_scale = n - pull
        if self.free.alpha:
            by_alpha = grad_alpha + n * float(evaluate("log_partition_derivative", point.alpha))
            if self.free.scale:
                by_alpha -= 0.25 * (math.log(abs(point.alpha - 2.0)) + 1.0) * by_scale
            parts.append(np.array([by_alpha]))
        if self.free.scale:
            parts.append(np.array([by_scale]))
        return np.concatenate(parts)

    def _gradient_from(self, sums: Sums, point: Point) -> HostArray:
        return self._gradient(sums.slope, sums.pull, sums.grad_alpha, point, point.scale)

    def moved(self, point: Point, alpha: float) -> Point:
        """The point at another α and the same coordinate of scale."""
        if not self.free.scale:
            return Point(point.theta, alpha, point.scale)
        scale = point.scale * math.exp(shift(alpha) - shift(point.alpha))
        return Point(point.theta, alpha, scale)

    def _gradient_at(self, point: Point, unit: float) -> HostArray:
        slopes = self.data.slopes(point.theta, point.alpha, point.scale)
        return self._gradient(*slopes, point, unit)

    def _alpha_derivatives(self, sums: Sums, point: Point) -> tuple[HostArray, HostArray]:
        """The gradient, and the column of the Hessian for α, which is a difference of gradients."""
        low, high = self.free.bounds
        nudge = self.eps ** (2 / 3)
        inward = -1.0 if point.alpha > 0.5 * (low + high) else 1.0
        near = point
        if abs(point.alpha - 2.0) < nudge:
            near = self.moved(point, 2.0 + inward * nudge)
            gradient = self._gradient_at(near, point.scale)
        else:
            gradient = self._gradient_from(sums, point)
        width = self.eps ** (1 / 3) * min(1.0, max(abs(near.alpha - 2.0), self.eps ** (1 / 3)))
        width = min(width, 0.25 * (high - low))
        other = self.moved(point, near.alpha + inward * width)
        column = (self._gradient_at(other, point.scale) - gradient) / (other.alpha - near.alpha)
        return gradient, column

    def at(self, point: Point) -> Local:
        """The objective and its derivatives at a point."""
        free = self.free
        sums = self.data.sums(point.theta, point.alpha, point.scale)
        size = self.data.size
        total = size + free.alpha + free.scale
        hessian = np.zeros((total, total))
        hessian[:size, :size] = sums.hessian
        if free.scale:
            hessian[:size, -1] = hessian[-1, :size] = sums.cross
            hessian[-1, -1] = sums.stretch
        if free.alpha:
            gradient, column = self._alpha_derivatives(sums, point)
            hessian[size, :] = hessian[:, size] = column
        else:
            gradient = self._gradient_from(sums, point)
        nll = self.nll(sums, point)
        floor = FLOOR * self.eps * (sums.size or 1.0)
        if not (np.all(np.isfinite(gradient)) and np.all(np.isfinite(hessian))):
            nll = math.inf
        if not math.isfinite(nll):
            nothing = np.zeros(size)
            return Local(point, math.inf, 0.0, gradient, hessian, nothing, nothing, floor, 0.0)
        n = self.data.n
        spread = sums.loss + n * (1.0 + abs(math.log(point.scale)))
        noise = self.eps * (4.0 * spread + math.sqrt(n) * sums.size / point.scale)
        # Σ|ψ x| is at most this, by Cauchy and Schwarz with ψ = w z.
        gradient_noise = FLOOR * self.eps * np.sqrt(np.diag(sums.gram) * sums.pull)
        reweighted, _ = solve(sums.gram, sums.slope, self.eps)
        return Local(
            point,
            nll,
            noise,
            gradient,
            hessian,
            gradient_noise,
            reweighted,
            floor,
            sums.weight,
        )

    def rounded(self, alpha: float) -> float:
        """α as an array of the data's dtype holds it, and inside its bounds."""
        low, high = self.free.bounds
        return max(low, min(high, as_held(alpha, self.eps)))
