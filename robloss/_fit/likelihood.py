"""The joint negative log-likelihood of parameters, shape and scale, with its derivatives.

    F(θ, α, c) = Σ s ρ(r(θ), α, c) + n d log c + n log Z(α) [+ ½ l2 Σ θ²],    n = Σ s

with the sample weights s of rows, and r = y − Xθ, or any other residuals, whose second derivatives
are left out (Gauss–Newton). Residuals are numbers, d = 1, or vectors of d components with a loss
and a Z of their own.

The coordinates are θ, α and log c − g(α), with g(α) = −sign(α − 2) (b/4) log b, b = |α − 2|. Around
α = 2 both ρ and log Z have slopes that diverge like log b. At the best scale these cancel, and with
the scale measured from g(α) they cancel at every scale: F has a finite slope up to α = 2 and across
it. At a fixed scale, and for vectors, they do not cancel, and F has a cusp there.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from robloss._fit.data import Data
from robloss._fit.normaliser import Normaliser
from robloss._fit.residual_data import ResidualData
from robloss._fit.sums import HostArray, Sums, Wanted
from robloss._libraries import is_single
from robloss._typing import Array

# A few roundings of a number and of its sum, in eps: smaller values cannot be told from 0.
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

    θ is measured in units of the point's scale, so that nothing overflows, whatever the unit of y.

    Attributes
    ----------
    nll : float
        inf where F or one of its derivatives overflows; the other attributes are then meaningless.
    noise : float
        How much the rounding of the sums alone may change `nll`.
    gradient, hessian : ndarray
        The Hessian is empty where only its `diagonal` was asked for.
    diagonal : ndarray
        That of the reweighted problem's Hessian: positive, whatever the sign of the curvature.
    gradient_noise : ndarray
        How much rounding alone, of the data or of the sums, may change the gradient in θ.
    gram : ndarray
        Σ w x xᵀ, if requested.
    floor : float
        The scale at which residuals are rounding errors of the data or of the sums.
    total_weight : float
        Σ w.
    rows : (array, array), or None
        Residuals and weights, if requested.
    """

    point: Point
    nll: float
    noise: float
    gradient: HostArray
    hessian: HostArray
    diagonal: HostArray
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
    """The number, rounded to float32 if sums are computed in that (which `eps` tells)."""
    return float(np.float32(number)) if is_single(eps) else float(number)


class Likelihood:
    """F for a model, with a ridge of weight `l2` on some of its parameters."""

    def __init__(
        self, data: Data, free: Free, normaliser: Normaliser | None = None, l2: float = 0.0
    ) -> None:
        self.data = data
        self.free = free
        self.normaliser = replace(normaliser or Normaliser(), components=data.components)
        self.l2 = l2
        self._root_ridge = math.sqrt(l2) * data.penalised
        self.numbers = data.observations * data.components
        self.eps = data.eps
        self._beside_two: float = data.eps ** (2 / 3)

    @property
    def has_cusp(self) -> bool:
        """Whether F has an infinite slope in α at 2."""
        return not self.free.scale or self.data.components > 1

    def with_free(self, free: Free) -> "Likelihood":
        """The same with other parameters free."""
        return Likelihood(self.data, free, self.normaliser, self.l2)

    def penalty(self, point: Point) -> float:
        """½ l2 Σ θ²."""
        return 0.5 * float(np.sum((self._root_ridge * point.theta) ** 2)) if self.l2 else 0.0

    def _ridge(self, point: Point) -> HostArray:
        """The diagonal that the ridge adds to the Hessian, for θ in units of the scale."""
        ridge: HostArray = (self._root_ridge * point.scale) ** 2
        return ridge

    def refuses(self, point: Point, most: float) -> bool:
        """Whether the residuals alone show that F exceeds `most` at a point, or is not finite.

        That needs no derivatives. A linear model computes both in one pass over its rows.
        """
        data = self.data
        if not isinstance(data, ResidualData):
            return False
        return not self._nll(data.loss(point.theta, point.alpha, point.scale), point) <= most

    def _nll(self, loss: float, point: Point) -> float:
        """F at a point."""
        logs = self.normaliser.components * math.log(point.scale)
        per_row = logs + self.normaliser.value(point.alpha)
        return loss + self.data.observations * per_row + self.penalty(point)

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
            # At α = 2 itself the derivatives of ρ do not exist; next to it those of F do.
            low, high = self.free.bounds
            inward = -1.0 if point.alpha > 0.5 * (low + high) else 1.0
            point = self.moved(point, 2.0 + inward * self._beside_two)
            sums = self._sums(point, Wanted(hessian=False, shape=True))
        shape = sums.shape
        n = self.data.observations
        slope = shape.slope + n * self.normaliser.slope(point.alpha)
        bow = shape.bow + n * self.normaliser.bow(point.alpha)
        if not self.free.scale:
            return slope, np.append(-shape.tilt, bow)
        # In the coordinate log scale − g(α): the chain rule, with ∂F/∂ log scale = n d − Σ z ψ.
        d = point.alpha - 2.0
        drift = shift_slope(point.alpha)
        by_scale = self.numbers - sums.pull
        slope += drift * by_scale
        bow += drift * (drift * sums.stretch - 2.0 * shape.pull) - 0.25 / d * by_scale
        mixed = drift * sums.stretch - shape.pull
        return slope, np.concatenate([drift * sums.cross - shape.tilt, [bow, mixed]])

    def _gradient(self, sums: Sums, point: Point) -> tuple[HostArray, HostArray]:
        """The gradient, and the columns of the Hessian that belong to α and scale."""
        free, size = self.free, self.data.size
        total = size + free.alpha + free.scale
        gradient, border = np.empty(total), np.empty((total, total - size))
        by_ridge = (self._root_ridge * point.theta) * (self._root_ridge * point.scale)
        gradient[:size] = by_ridge - sums.slope
        if free.scale:
            gradient[-1] = self.numbers - sums.pull
            border[:size, -1] = sums.cross
            border[-1, -1] = sums.stretch
        if free.alpha:
            gradient[size], column = self._by_alpha(sums, point)
            border[:, 0] = column
            border[size, :] = column[size:]
        return gradient, border

    def at(
        self,
        point: Point,
        gram: bool = False,
        beside: Local | None = None,
        hessian: bool = True,
    ) -> Local:
        """The objective and its derivatives at a point.

        Parameters
        ----------
        point : Point
        gram : bool, default False
            Whether to compute also what reweighting needs.
        beside : Local, optional
            A point so close that its Hessian in θ can be used here too: this is probably the last
            point, whose residuals and weights are then computed as well.
        hessian : bool, default True
            Whether to compute second derivatives, whose cost grows as the square of θ's length.
        """
        shape = self.free.alpha and not self._is_at_two(point)
        last, size, n = beside is not None, self.data.size, self.data.observations
        wanted = Wanted(hessian=hessian and not last, gram=gram, shape=shape, rows=last)
        sums = self._sums(point, wanted)
        gradient, border = self._gradient(sums, point)
        ridge = self._ridge(point)
        nll = self._nll(sums.loss, point)
        # Σ|ψ x| is at most the root, by the Cauchy–Schwarz inequality with ψ = w z.
        noise = FLOOR * self.data.resolution * np.sqrt(sums.squares * sums.pull)
        if not all(np.isfinite(part).all() for part in (gradient, border, noise)):
            nll = math.inf
        if beside is not None:
            inner = beside.hessian[:size, :size]
        else:
            inner = sums.hessian + np.diag(ridge) if hessian else np.empty((0, 0))
        spread = sums.loss + n * (1.0 + abs(math.log(point.scale)))
        return Local(
            point,
            nll if math.isfinite(nll) and np.isfinite(inner).all() else math.inf,
            noise=self.eps * (4.0 * spread + math.sqrt(n) * sums.size / point.scale),
            gradient=gradient,
            hessian=_bordered(inner, border) if hessian else inner,
            diagonal=np.concatenate([sums.squares + ridge, np.abs(np.diag(border[size:]))]),
            gradient_noise=noise,
            gram=sums.gram + np.diag(ridge) if gram else sums.gram,
            floor=FLOOR * self.data.resolution * (sums.size or 1.0),
            total_weight=sums.weight,
            rows=sums.rows if last else None,
        )

    def rows(self, local: Local) -> tuple[Array, Array]:
        """The residuals, and their weights relative to that of a residual of 0."""
        if local.rows is not None:
            return local.rows
        return self._sums(local.point, Wanted(hessian=False, rows=True)).rows

    def gram(self, local: Local) -> HostArray:
        """Σ w x xᵀ, with the ridge: the Hessian in θ of the reweighted least-squares problem."""
        if local.gram.size:
            return local.gram
        gram = self._sums(local.point, Wanted(hessian=False, gram=True)).gram
        if not np.all(np.isfinite(gram)):  # the residuals were finite at this point before
            raise ValueError(
                "`residuals` must return the same numbers whenever it is called with the same "
                "parameters, but got NaN or inf where they were finite. Let it depend on theta "
                "alone."
            )
        return gram + np.diag(self._ridge(local.point))

    def rounded(self, alpha: float) -> float:
        """α, rounded as in the sums and clipped to its bounds."""
        low, high = self.free.bounds
        return max(low, min(high, as_held(alpha, self.eps)))


def _bordered(inner: HostArray, border: HostArray) -> HostArray:
    """A symmetric matrix from its first block and its last columns."""
    size, total = len(inner), len(border)
    matrix = np.empty((total, total))
    matrix[:size, :size] = inner
    matrix[:, size:] = border
    matrix[size:, :size] = border[:size].T
    return matrix
