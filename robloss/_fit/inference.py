"""How sure the estimates of a fit are: covariances from the likelihood around its optimum.

Coordinates are θ in units of the scale, α and log c: no covariance overflows in them, whatever the
unit of y. Those of a likelihood measure log c from g(α) instead; at an optimum, where the gradient
vanishes, its Hessian is carried over by their Jacobian alone.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robloss._backends import evaluate
from robloss._distribution.cumulative import ppf
from robloss._fit.data import Data
from robloss._fit.likelihood import Free, Likelihood, Point, shift_slope
from robloss._fit.linear_data import LinearData
from robloss._fit.sums import HostArray, diagonal, lengths, to_host
from robloss._fit.symmetric import Inverse
from robloss._typing import Array

KINDS = ("sandwich", "information", "H1", "H2", "H3")
_LISTED = 10  # names of coefficients in a flag


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


class Estimated:
    """The likelihood around an optimum, in what is estimated there: α on a bound is as if given.

    Attributes
    ----------
    data : LinearData
        Around the optimum.
    hessian : Inverse
        Of the Hessian of F in θ in units of the scale, α and log c.
    ridge : float
        What the ridge adds to it for each coefficient.
    has_minimum : bool
    """

    def __init__(self, optimum: Optimum) -> None:
        data, point = optimum.data, optimum.point
        self.data = data.around(point.theta)
        self.unit = optimum.unit
        self.free = replace(optimum.free, alpha=optimum.free.alpha and not optimum.holds_alpha)
        likelihood = optimum.likelihood.with_free(self.free)
        self.normaliser = likelihood.normaliser
        self.ridge = self.unit * likelihood.l2 * point.scale**2
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

    def covariance(self, kind: str) -> tuple[HostArray, float]:
        """The covariance of (θ in units of the scale, α, log c), and the share of H⁻¹ in it.

        NaN where F has no minimum.
        """
        if not self.has_minimum:
            return np.full_like(self.hessian.matrix, math.nan), 0.0
        if kind == "information":
            return self.hessian.matrix, 1.0
        psi = self.data.influence(self._z, self.point.alpha)
        sandwich, share = self._sandwich(psi), 0.0
        if kind != "sandwich":
            q = self.data.size
            sandwich[:q, q:] = sandwich[q:, :q] = 0.0
            sandwich[:q, :q], share = self._corrected(kind, psi)
        return sandwich, share

    def _sandwich(self, psi: Array) -> HostArray:
        """H⁻¹ (Σ (s − s̄)(s − s̄)ᵀ) H⁻¹ with the Hessian H and the scores s of the rows."""
        alpha, shape = self.point.alpha, []
        if self.free.alpha:
            slope = self.normaliser.slope(alpha)
            shape.append(self.data.grad_alpha(self._z, alpha) + slope)
        if self.free.scale:
            shape.append(self.normaliser.components - self._z * psi)
        # The score in θ is −ψ x.
        meat = self.unit * self.data.outer(-psi, shape)
        if self.ridge:
            # The scores add up to what pulls against the ridge: their mean is no scatter.
            pull = self.ridge * self.data.penalised * self.point.theta / self.point.scale
            q, rows = self.data.size, self.unit * self.data.parts[0].observations
            meat[:q, :q] -= np.outer(pull, pull) / rows
        covariance: HostArray = self.hessian.matrix @ meat @ self.hessian.matrix
        return covariance

    def _corrected(self, kind: str, psi: Array) -> tuple[HostArray, float]:
        """The same for θ by Huber: for errors that do not depend on x, with his factors K."""
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
        share = k * variance / mean if kind == "H2" else 0.0
        covariance: HostArray = {
            "H1": k**2 * variance / mean**2 * gram.matrix,
            "H2": share * inner,
            "H3": variance / k * (inner @ products @ inner),
        }[kind]
        return covariance, share


def _root(covariance: HostArray) -> HostArray:
    """A matrix R with R Rᵀ the covariance, as exact in every unit."""
    size = np.sqrt(np.diag(covariance))
    size[size == 0] = 1.0
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    root: HostArray = size[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    return root


@lru_cache(maxsize=128)
def normal_quantile(probability: float) -> float:
    """A quantile of the standard normal distribution; many fits ask for the same few."""
    return float(ppf(probability, 2.0))


def outlier_reach(alpha: Any, truncation: float | None, n: float) -> Any:
    """The distance, in scales, beyond which one of n residuals is an outlier; for any shapes."""
    # Below 0 there is no distribution without a truncation: the quartiles are those of 0.
    shape = np.maximum(alpha, 0.0) if truncation is None else alpha
    quartile = ppf(0.75, shape, truncation=truncation) / normal_quantile(0.75)
    return -normal_quantile(0.025 / n) * quartile


def quantile(level: float) -> float:
    """How many standard errors an interval of this level reaches to each side."""
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie in (0, 1), but got {level!r}. Pass 0.95 for 95 %.")
    return -normal_quantile(0.5 * (1.0 - level))


class Inference:
    """Covariance, standard errors and confidence intervals of a fit's estimates.

    Everything is in the order of `parameter_names`: the parameters (for a linear model the
    intercept, if fitted, and the coefficients), then alpha and scale if they were adapted.

    Attributes
    ----------
    kind : str
        Which covariance: "sandwich", "information", "H1", "H2" or "H3"; see `Fit.inference`.
    parameter_names : tuple of str
    estimates : array (k,)
    covariance : array (k, k)
        NaN in the row and column of an estimate that has none: an alpha on a bound, or a
        coefficient that the data do not determine.
    standard_errors : array (k,)
        Square roots of its diagonal, correct even where the squares would overflow or underflow.
    flags : tuple of str
        What a reader must know: which estimates have no standard error, and why.
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
            self._inner, share = estimated.covariance(kind)
        self._hessian = estimated.hessian
        self._parts = estimated.data.parts
        # Of a coefficient, in directions of which no row tells: a ridge does, or nothing.
        self._beyond = share / estimated.ridge if estimated.ridge else 0.0
        self._is_ridge = estimated.ridge > 0
        self._fill()
        self.flags = self._flags(estimated)

    def _fill(self) -> None:
        """Go over to the parameters as they are reported, with gaps for those without an error."""
        data, point, free = self._optimum.data, self._optimum.point, self._optimum.free
        to_reported = self._to_reported()
        shape = [point.alpha] * free.alpha + [point.scale] * free.scale
        parameters = data.to_params @ point.theta
        self._size, k = len(parameters), len(parameters) + len(shape)
        self._known = np.arange(k)
        if self._optimum.holds_alpha:
            self._known = np.delete(self._known, self._size)
        variances = np.sum((to_reported @ self._inner) * to_reported, axis=1)
        determined = self._hessian.determines(to_reported, data.eps)
        space = self._parts[0].space
        if space is not None:
            variances[: self._size] += self._beyond * np.tile(space.outside, len(self._parts))
            if not self._is_ridge:
                determined[: self._size] &= np.tile(space.determines(data.eps), len(self._parts))
        self._gaps = ~determined
        variances[self._gaps] = math.nan
        self._units = np.full(k, point.scale)
        if free.alpha:
            self._units[self._size] = 1.0
        self._estimates = np.append(parameters, shape)
        self._errors = np.full(k, math.nan)
        # A sandwich of rows that are all alike is 0 but for rounding.
        self._errors[self._known] = self._units[self._known] * np.sqrt(np.maximum(variances, 0.0))

    def _to_reported(self) -> HostArray:
        """The matrix that turns what was estimated into what is reported, but for held alphas."""
        params = self._optimum.data.to_params
        return diagonal([params, np.eye(len(self._inner) - params.shape[1])])

    def _flags(self, estimated: Estimated) -> tuple[str, ...]:
        if not estimated.has_minimum:
            return ("The objective has no minimum where the fit ended: no standard errors.",)
        flags = []
        if self._optimum.holds_alpha:
            flags.append(
                "alpha is on a bound and has no standard error; those of the other estimates treat "
                "it as known."
            )
        missing = np.isnan(self._errors)
        if self._optimum.holds_alpha:
            missing[self._size] = False
        if np.any(missing) and np.all(np.isfinite(self._inner)):
            names = [name for name, gap in zip(self.parameter_names, missing, strict=True) if gap]
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            listed = ", ".join(names[:_LISTED])
            flags.append(f"Not determined, and without standard errors: {listed}{more}.")
        elif np.any(missing):
            flags.append("There are too few rows for these standard errors.")
        if self._is_ridge:
            flags.append(
                "Standard errors and intervals do not include the bias that the ridge causes."
            )
        if self._is_ridge and self._size >= self._optimum.data.observations:
            flags.append(
                "There are at least as many coefficients as rows: residuals say little about the "
                'errors, and their sandwich is far too small. Look at inference("information").'
            )
        return tuple(flags)

    @property
    def estimates(self) -> Array:
        """The estimates."""
        return self._optimum.data.beside(self._estimates)

    @property
    def covariance(self) -> Array:
        """Their covariance."""
        to_reported = self._to_reported()
        covariance = to_reported @ self._inner @ to_reported.T
        space = self._parts[0].space
        if space is not None and self._beyond:
            beyond = self._beyond * np.kron(np.eye(len(self._parts)), space.products())
            covariance[: self._size, : self._size] += beyond
        covariance[self._gaps] = covariance[:, self._gaps] = math.nan
        whole = np.full(2 * self._units.shape, math.nan)
        whole[np.ix_(self._known, self._known)] = covariance
        with np.errstate(all="ignore"):  # of squares beyond the ends of the dtype
            return self._optimum.data.beside(whole * np.outer(self._units, self._units))

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
            Lower and upper ends, from normal quantiles: for scale the estimate divided and
            multiplied by a factor, for alpha clipped to its bounds.
        """
        reach = quantile(level)
        free, point = self._optimum.free, self._optimum.point
        ends = self._estimates[:, None] + np.outer(self._errors, [-reach, reach])
        if free.alpha:
            ends[self._size] = np.clip(ends[self._size], *free.bounds)
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
        design, root = data.design_of(X), _root(inner)

        def squares(matrix: HostArray) -> Array:
            """The squared length of x·matrix for each row x of the design."""
            product = design @ data.beside(matrix[int(data.intercept) :])
            if data.intercept:
                product = product + data.beside(matrix[0])
            return xp.sum(product * product, axis=1)

        variance, space, scale = squares(root), data.space, self._optimum.point.scale
        missing, bound = xp.full_like(variance, math.nan), 100 * data.resolution
        if space is not None and (self._beyond or not self._is_ridge):
            rest, basis = X - data.beside(space.center), data.beside(space.basis)
            left = rest - (rest @ basis) @ xp.matrix_transpose(basis)
            squared, length = (xp.sum(rows * rows, axis=1) for rows in (left, rest))
            if self._is_ridge:
                variance = variance + self._beyond * squared
            else:
                variance = xp.where(squared <= bound * length, variance, missing)
        error = scale * xp.sqrt(variance)
        null = self._hessian.null
        if not null.shape[1]:
            return error
        size = self._hessian.size[block, None]
        left, length = squares(null[block] / size), squares(np.diag(1 / size[:, 0]))
        return xp.where(left <= bound * length, error, missing)
