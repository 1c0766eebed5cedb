"""How sure the estimates of a fit are: covariances from the likelihood around its optimum.

Coordinates are θ in units of the scale, α and log c: no covariance overflows in them, whatever the
unit of y. Those of a likelihood measure log c from g(α) instead; at an optimum, where the gradient
vanishes, its Hessian is carried over by their Jacobian alone.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from robloss._backends import evaluate
from robloss._distribution.cumulative import ppf
from robloss._fit.likelihood import Free, Likelihood, Point, shift_slope
from robloss._fit.sums import Data, HostArray, LinearData, lengths, to_host
from robloss._typing import Array

KINDS = ("sandwich", "information", "H1", "H2", "H3")


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where a fit ended: all that its uncertainty is computed from.

    Attributes
    ----------
    likelihood : Likelihood
    point : Point
    residuals : array (n,)
    unit : float
        What the likelihood counts as one observation.
    """

    likelihood: Likelihood
    point: Point
    residuals: Array
    unit: float

    @property
    def data(self) -> Data:
        """What was fitted."""
        return self.likelihood.data

    @property
    def free(self) -> Free:
        """Which of shape and scale were to be estimated."""
        return self.likelihood.free

    @property
    def holds_alpha(self) -> bool:
        """Whether α was to be estimated and ended on a bound."""
        return self.free.alpha and self.point.alpha in self.free.bounds


@dataclass(frozen=True)
class Inverse:
    """The inverse of a symmetric matrix, by its eigenvalues in the units of its diagonal.

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
        size = np.sqrt(np.abs(np.diag(matrix)))
        size[size == 0] = 1.0
        values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
        kept = np.abs(values) > 10 * len(size) * eps
        right = vectors[:, kept] / size[:, None]
        definite = not np.any(values[kept] < 0)
        return cls((right / values[kept]) @ right.T, vectors[:, ~kept], size, definite)

    def determines(self, functionals: HostArray, eps: float) -> NDArray[np.bool_]:
        """Which linear functionals (rows) of the parameters do not change along `null`."""
        rows = functionals / self.size
        left = np.sum((rows @ self.null) ** 2, axis=1)
        # An eigenvector is known to eps over the gap to the next eigenvalue, eps itself at worst.
        determined: NDArray[np.bool_] = left <= 100 * eps * np.sum(rows**2, axis=1)
        return determined


class Estimated:
    """The likelihood around an optimum, in what is estimated there: α on a bound is as if given.

    Attributes
    ----------
    data : LinearData
        Around the optimum.
    hessian : Inverse
        Of the Hessian of F in θ in units of the scale, α and log c.
    has_minimum : bool
    """

    def __init__(self, optimum: Optimum) -> None:
        data, point = optimum.data, optimum.point
        self.data = data.around(point.theta)
        self.unit = optimum.unit
        self.free = replace(optimum.free, alpha=optimum.free.alpha and not optimum.holds_alpha)
        likelihood = optimum.likelihood.with_free(self.free)
        self.normaliser = likelihood.normaliser
        # Twice as far from α = 2 as there are no derivatives of the rows in α.
        nearest = 2 * data.eps ** (2 / 3)
        if self.free.alpha and abs(point.alpha - 2) < nearest:
            point = likelihood.moved(point, 2 - nearest)
        self.point = point
        local = likelihood.at(point)
        is_finite = math.isfinite(local.nll)
        hessian = self.unit * local.hessian if is_finite else np.zeros_like(local.hessian)
        if self.free.alpha and self.free.scale:
            back = np.eye(len(hessian))
            back[-1, -2] = -shift_slope(point.alpha)
            hessian = back.T @ hessian @ back
        self._of_theta = hessian[: data.size, : data.size]
        self.hessian = Inverse.of(hessian, data.eps)
        self.has_minimum = is_finite and self.hessian.is_definite
        xp, dtype = self.data.xp, self.data.dtype_of_sums
        residuals = xp.astype(lengths(xp, optimum.residuals, data.components), dtype, copy=False)
        self._z = residuals / point.scale

    def covariance(self, kind: str) -> HostArray:
        """The covariance of (θ in units of the scale, α, log c); NaN where F has no minimum."""
        if not self.has_minimum:
            return np.full_like(self.hessian.matrix, math.nan)
        if kind == "information":
            return self.hessian.matrix
        psi = self.data.influence(self._z, self.point.alpha)
        sandwich = self._sandwich(psi)
        if kind != "sandwich":
            q = self.data.size
            sandwich[:q, q:] = sandwich[q:, :q] = 0.0
            sandwich[:q, :q] = self._corrected(kind, psi)
        return sandwich

    def _sandwich(self, psi: Array) -> HostArray:
        """H⁻¹ (Σ s sᵀ) H⁻¹ with the Hessian H and the scores s of the rows."""
        alpha, shape = self.point.alpha, []
        if self.free.alpha:
            slope = self.normaliser.slope(alpha)
            shape.append(self.data.grad_alpha(self._z, alpha) + slope)
        if self.free.scale:
            shape.append(self.normaliser.components - self._z * psi)
        # The score in θ is −ψ x.
        meat = self.unit * self.data.outer(-psi, shape)
        covariance: HostArray = self.hessian.matrix @ meat @ self.hessian.matrix
        return covariance

    def _corrected(self, kind: str, psi: Array) -> HostArray:
        """Huber's covariances of θ for errors that do not depend on x, with his factors K."""
        data, xp = self.data, self.data.xp
        bend = evaluate("curvature", self._z, self.point.alpha, 1.0)
        sums = [xp.sum(data.counted(one)) for one in (psi * psi, bend, bend * bend)]
        psi_squares, bends, bend_squares = (self.unit * float(to_host(one)) for one in sums)
        products, n = self.unit * data.moments().gram, self.unit * data.observations
        gram = Inverse.of(products, data.eps)
        rank = data.size - gram.null.shape[1]
        mean = bends / n
        k = 1 + rank / n * (bend_squares / n / mean**2 - 1)
        variance = psi_squares / (n - rank) if n > rank else math.nan
        inner = Inverse.of(self._of_theta, data.eps).matrix
        covariance: HostArray = {
            "H1": k**2 * variance / mean**2 * gram.matrix,
            "H2": k * variance / mean * inner,
            "H3": variance / k * (inner @ products @ inner),
        }[kind]
        return covariance


def _root(covariance: HostArray) -> HostArray:
    """A matrix R with R Rᵀ the covariance, as exact in every unit."""
    size = np.sqrt(np.diag(covariance))
    size[size == 0] = 1.0
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    root: HostArray = size[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def quantile(level: float) -> float:
    """How many standard errors an interval of this level reaches to each side."""
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie in (0, 1), but got {level!r}. Pass 0.95 for 95 %.")
    return -float(ppf(0.5 * (1.0 - level), 2.0))


class Inference:
    """Covariance, standard errors and confidence intervals of a fit's estimates.

    Everything is in the order of `parameter_names`: the intercept if one was fitted, the
    coefficients, and alpha and scale where they were adapted.

    Attributes
    ----------
    kind : str
        Which covariance: "sandwich", "information", "H1", "H2" or "H3"; see `Fit.inference`.
    parameter_names : tuple of str
    estimates : array (k,)
    covariance : array (k, k)
        NaN in the row and column of an estimate that has none: alpha on a bound, and coefficients
        that the data do not determine.
    standard_errors : array (k,)
        Roots of its diagonal, without loss where the squares would over- or underflow.
    flags : tuple of str
        What a reader must know: estimates without a standard error, and why.
    """

    def __init__(self, optimum: Optimum, kind: str, parameter_names: tuple[str, ...]) -> None:
        if kind not in KINDS:
            raise ValueError(
                f"`kind` must be one of {', '.join(KINDS)}, but got {kind!r}. "
                "Leave it out for the sandwich."
            )
        if kind.startswith("H") and optimum.data.components > 1:
            raise ValueError(
                f'`kind` must be "sandwich" or "information" for residuals that are vectors, but '
                f"got {kind!r}. Leave it out for the sandwich."
            )
        self.kind = kind
        self.parameter_names = parameter_names
        self._optimum = optimum
        with np.errstate(all="ignore"):
            estimated = Estimated(optimum)
            self._inner = estimated.covariance(kind)
        self._hessian = estimated.hessian
        self._fill()
        self.flags = self._flags(estimated)

    def _fill(self) -> None:
        """Go over to the parameters as they are reported, with gaps for those without an error."""
        optimum = self._optimum
        data, point, free = optimum.data, optimum.point, optimum.free
        q, k = data.size, data.size + free.alpha + free.scale
        known = np.ones(k, dtype=bool)
        if optimum.holds_alpha:
            known[q] = False
        to_reported = np.eye(len(self._inner))
        to_reported[:q, :q] = data.to_params
        covariance = to_reported @ self._inner @ to_reported.T
        undetermined = ~self._hessian.determines(to_reported, data.eps)
        covariance[undetermined] = covariance[:, undetermined] = math.nan
        self._covariance = np.full((k, k), math.nan)
        self._covariance[np.ix_(known, known)] = covariance
        self._units = np.full(k, point.scale)
        if free.alpha:
            self._units[q] = 1.0
        shape = [point.alpha] * free.alpha + [point.scale] * free.scale
        self._estimates = np.concatenate([data.to_params @ point.theta, shape])
        self._errors = self._units * np.sqrt(np.diag(self._covariance))

    def _flags(self, estimated: Estimated) -> tuple[str, ...]:
        if not estimated.has_minimum:
            return ("The likelihood has no minimum where the fit ended: no standard errors.",)
        flags = []
        if self._optimum.holds_alpha:
            flags.append(
                "alpha is on a bound and has no standard error; those of the other estimates are "
                "for this alpha, as if it were known."
            )
        missing = np.isnan(self._errors)
        if self._optimum.holds_alpha:
            missing[estimated.data.size] = False
        if np.any(missing) and np.all(np.isfinite(self._inner)):
            names = [name for name, gap in zip(self.parameter_names, missing, strict=True) if gap]
            flags.append(f"Not determined, and without standard errors: {', '.join(names)}.")
        elif np.any(missing):
            flags.append("There are too few rows for these standard errors.")
        return tuple(flags)

    @property
    def estimates(self) -> Array:
        """The estimates."""
        return self._optimum.data.beside(self._estimates)

    @property
    def covariance(self) -> Array:
        """Their covariance."""
        with np.errstate(all="ignore"):  # of squares beyond the ends of the dtype
            covariance = self._covariance * np.outer(self._units, self._units)
            return self._optimum.data.beside(covariance)

    @property
    def standard_errors(self) -> Array:
        """Their standard errors."""
        return self._optimum.data.beside(self._errors)

    def conf_int(self, level: float = 0.95) -> Array:
        """Confidence intervals.

        Parameters
        ----------
        level : float, default 0.95
            In (0, 1).

        Returns
        -------
        array (k, 2)
            Lower and upper ends, by normal quantiles; those of scale are its estimate times and by
            a factor, those of alpha end at its bounds.
        """
        reach = quantile(level)
        free, point = self._optimum.free, self._optimum.point
        ends = self._estimates[:, None] + np.outer(self._errors, [-reach, reach])
        q = self._optimum.data.size
        if free.alpha:
            ends[q] = np.clip(ends[q], *free.bounds)
        if free.scale:
            part = self._errors[-1] / point.scale
            with np.errstate(over="ignore"):  # of a scale that is not determined
                ends[-1] = point.scale * np.exp(np.array([-reach, reach]) * part)
        return self._optimum.data.beside(ends)

    def error_of_mean(self, X: Array) -> Array:
        """The standard error of x·coef + intercept for each row x; NaN where not determined."""
        data = self._optimum.data.around(self._optimum.point.theta)
        blocks = np.split(np.arange(data.size), len(data.parts))
        each = zip(data.parts, blocks, strict=True)
        return data.joined([self._error_of_part(X, part, block) for part, block in each])

    def _error_of_part(self, X: Array, data: LinearData, block: NDArray[np.intp]) -> Array:
        """The same of one response, by the places of its parameters."""
        xp, inner = data.xp, self._inner[np.ix_(block, block)]
        if not np.all(np.isfinite(inner)):
            return xp.sum(X, axis=1) * math.nan
        X = X - data.beside(data.center)
        root = _root(inner)

        def squares(matrix: HostArray) -> Array:
            """The squared length of x·matrix for each row x of the design."""
            product = X @ data.beside(matrix[int(data.intercept) :])
            if data.intercept:
                product = product + data.beside(matrix[0])
            return xp.sum(product * product, axis=1)

        error = self._optimum.point.scale * xp.sqrt(squares(root))
        null = self._hessian.null
        if not null.shape[1]:
            return error
        size = self._hessian.size[block, None]
        left, length = squares(null[block] / size), squares(np.diag(1 / size[:, 0]))
        missing = xp.full_like(error, math.nan)
        return xp.where(left <= 100 * data.resolution * length, error, missing)
