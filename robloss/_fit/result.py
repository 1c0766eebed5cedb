"""What a fit returns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robloss._distribution.cumulative import ppf
from robloss._fit.inference import Inference, Optimum, normal_quantile, outlier_reach, quantile
from robloss._fit.norm_partition import LEAST_ALPHA, log_partition
from robloss._fit.profile import AlphaProfile, profile_alpha
from robloss._fit.summary import summary
from robloss._fit.sums import lengths
from robloss._libraries import as_numpy, column_names, common_library, real_dtype
from robloss._typing import Array


def _pictures() -> Any:
    """By name: pictures stand above fits, and need Matplotlib."""
    return import_module("robloss.plot")


class ConvergenceWarning(UserWarning):
    """A fit ended before it met its tolerance, or at a point that is not an optimum."""


@dataclass(frozen=True, eq=False)
class History:
    """The iterates of a fit, the start first.

    Attributes
    ----------
    nll, alpha, scale : numpy.ndarray
        One value per iterate. `nll` is the objective, with the ridge if there is one, and never
        increases.
    """

    nll: NDArray[np.float64]
    alpha: NDArray[np.float64]
    scale: NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Fit:
    """A fitted model.

    It keeps a reference to the data. `covariance`, and everything that depends on it, is computed
    from them when it is first asked for.

    Attributes
    ----------
    params : array (q,)
        The parameters of the model; for a linear model the intercept, if fitted, then the
        coefficients.
    alpha, scale : float
        Shape, and scale in the unit of the residuals: estimated, or as given.
    nll : float
        Σ s ρ + n log scale + n log Z(alpha), in nats, with the sample weights s and n = Σ s. The
        last term is left out for alpha < 0 without a truncation, where the density cannot be
        normalised. For vectors of d components it is Σ s ℓ + n d log scale + n log Z_d(alpha),
        without the last term for alpha < 0.1: see `fit_residuals`.
    weights : array (n,)
        Robustness weights, ψ(r)/r relative to its value at 0: 1 for an ordinary observation, near 0
        for an outlier. `sample_weight` does not enter them.
    residuals : array (n,), or (n, d) for vectors
        The residuals; for a linear model y minus the fitted values.
    observations : float
        The number of rows, each counted as often as its `sample_weight` says.
    n_iter : int
        Steps taken on the full data.
    converged : bool
    status : str
        ``converged``, ``max_iter``, ``stalled``, ``stopped``, ``scale_floor``, ``no_weight`` or
        ``not_finite``.
    message : str
        The status as a sentence.
    flags : tuple of str
        What a reader of the result must know, such as estimates on a bound and coefficients that
        the data do not determine.
    history : History
    adapted : tuple of str
        Which of "alpha" and "scale" were estimated.
    alpha_bounds : tuple of float
    truncation : float, or None
        τ, in units of the scale.
    alpha_by_truncation : float
        dα/d log τ, how the estimate of alpha changes with τ; NaN where it does not.
    beyond_truncation : int
        How many residuals, of rows with a positive weight, are larger than τ scales: the truncated
        distribution gives them no probability.
    names : tuple of str
        Names of the parameters.
    """

    params: Array
    alpha: float
    scale: float
    nll: float
    weights: Array
    residuals: Array
    observations: float
    n_iter: int
    converged: bool
    status: str
    message: str
    flags: tuple[str, ...]
    history: History
    adapted: tuple[str, ...]
    alpha_bounds: tuple[float, float]
    truncation: float | None
    alpha_by_truncation: float
    beyond_truncation: int
    names: tuple[str, ...]
    _optimum: Optimum

    title: ClassVar[str] = "Robust fit with the general adaptive loss"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the estimates: the parameters, then "alpha" and "scale" if adapted."""
        return (*self.names, *self.adapted)

    @cached_property
    def _sandwich(self) -> Inference:
        return Inference(self._optimum, "sandwich", self.parameter_names)

    @property
    def covariance(self) -> Array:
        """The sandwich covariance of the estimates, in the order of `parameter_names`.

        H⁻¹ (Σ s sᵀ) H⁻¹, with the observed Hessian H of the objective and the gradient s of each
        row's contribution. It is valid for many rows, whether or not the errors follow the fitted
        distribution. Responses that share alpha and scale have one s for each row, so that their
        errors may be correlated; with a ridge, the mean of all s is subtracted from each. It is NaN
        for coefficients that the data do not determine, and for an alpha on a bound, which the
        covariance of the other estimates treats as known.
        """
        return self._sandwich.covariance

    @property
    def standard_errors(self) -> Array:
        """Square roots of the diagonal of `covariance`; `inference().flags` says why one is NaN."""
        return self._sandwich.standard_errors

    def conf_int(self, level: float = 0.95) -> Array:
        """Confidence intervals of the estimates, in the order of `parameter_names`.

        Parameters
        ----------
        level : float, default 0.95
            In (0, 1).

        Returns
        -------
        array (k, 2)
            Lower and upper ends: the estimate plus and minus a normal quantile times its standard
            error, for scale on a logarithmic axis, for alpha clipped to its bounds. For an alpha
            near a bound, `profile_alpha` gives a better interval.

        Raises
        ------
        ValueError
            If `level` is outside (0, 1).
        """
        return self._sandwich.conf_int(level)

    def inference(self, kind: str = "sandwich") -> Inference:
        """Standard errors and intervals from another covariance estimate.

        Parameters
        ----------
        kind : str, default "sandwich"
            "sandwich": see `covariance`. "information": the inverse of the observed Hessian, valid
            if the errors follow the fitted distribution. "H1", "H2", "H3": Huber's covariances of
            the coefficients with his correction factors K for small n, named as in statsmodels and
            valid if the errors depend neither on X nor on those of other responses; alpha and scale
            as in the sandwich.

        Returns
        -------
        Inference

        Raises
        ------
        ValueError
            For an unknown kind.

        References
        ----------
        P. J. Huber, "Robust regression: asymptotics, conjectures and Monte Carlo", Ann. Statist. 1
        (1973) 799–821. P. J. Huber, E. M. Ronchetti, "Robust Statistics", 2nd ed., 2009, § 7.6.
        """
        return (
            self._sandwich
            if kind == "sandwich"
            else Inference(self._optimum, kind, self.parameter_names)
        )

    def profile_alpha(
        self, grid: Sequence[float] | None = None, *, level: float = 0.95
    ) -> AlphaProfile:
        """Profile the likelihood over alpha, with everything else optimised for each alpha.

        Parameters
        ----------
        grid : sequence of float, optional
            Values of alpha; by default 41 points between its bounds.
        level : float, default 0.95
            Confidence level of the likelihood-ratio interval, in (0, 1).

        Returns
        -------
        AlphaProfile

        Raises
        ------
        ValueError
            If `alpha` was fixed, or an argument is out of range.

        Notes
        -----
        Each fit starts from its neighbour's, so that one branch of optima is followed. The interval
        uses χ² with one degree of freedom, which is valid if the errors follow the distribution of
        the loss. Where the true alpha lies on one of its bounds, the ratio is 0 in half of the
        samples, and the interval contains alpha more often than `level` says.

        Examples
        --------
        >>> import robloss
        >>> data = robloss.datasets.load_stackloss()
        >>> profile = robloss.fit_linear(data.X, data.y).profile_alpha()
        >>> [round(end, 2) for end in profile.interval]
        [0.0, 0.89]
        """
        return profile_alpha(self._optimum, grid, level)

    @property
    def _has_law(self) -> bool:
        """Whether the loss of the fitted alpha belongs to a distribution."""
        return self.alpha >= 0 or self.truncation is not None

    @property
    def outliers(self) -> Array:
        """Rows whose residual is larger than `outlier_distance`, as an array (n,) of bool."""
        xp = self._optimum.data.xp
        return (
            xp.abs(lengths(xp, self._optimum.residuals, self._optimum.data.components))
            > self.outlier_distance
        )

    @property
    def outlier_distance(self) -> float:
        """The size of a residual beyond which its row is called an outlier.

        In 19 of 20 samples, all n errors of a normal distribution with the quartiles of the fitted
        one stay within this distance (by Bonferroni's inequality: 3.7 standard deviations for
        n = 200). A fitted distribution with heavy tails expects larger residuals, but gives them
        little weight. For alpha < 0 without a truncation, where there is no distribution, the
        quartiles are those of alpha = 0. Rows count as often as their `sample_weight` says, but at
        least once on average.

        For vectors it is the length that n normal vectors stay within, whose median length is that
        of the fitted distribution; or, for alpha < 0.1, where there is none, whose components have
        the standard deviation `scale`. It uses Wilson and Hilferty's cube root, which is 3 % too
        large for 1000 rows of two components, and less for more components.
        """
        d, n = self._optimum.data.components, self._optimum.data.observations
        if d > 1:
            deviations = -normal_quantile(0.05 / n)
            cube = (1 - 2 / (9 * d) + deviations * math.sqrt(2 / (9 * d))) ** 3
            wide = 1.0
            if self.alpha >= LEAST_ALPHA:
                medians = [log_partition(alpha, d).median for alpha in (self.alpha, 2.0)]
                wide = medians[0] / medians[1]
            return math.sqrt(d * cube) * wide * self.scale
        return float(outlier_reach(self.alpha, self.truncation, n)) * self.scale

    def summary(self) -> str:
        """Format the fit as a table in the style of statsmodels, with a section on the weights."""
        return summary(self)

    def plot(self, *, ax: Any = None) -> Any:
        """Plot residuals by row, weights and quantiles: see `robloss.plot.diagnostics`.

        Parameters
        ----------
        ax : sequence of three matplotlib.axes.Axes, optional
            Where to draw; by default in a new figure.

        Returns
        -------
        tuple of three matplotlib.axes.Axes
        """
        return _pictures().diagnostics(self, axes=ax)

    def __repr__(self) -> str:
        """Name the estimates and how the fit ended."""
        return (
            f"<{type(self).__name__} alpha={self.alpha:.6g} scale={self.scale:.6g} "
            f"nll={self.nll:.6g} status={self.status!r}>"
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LinearFit(Fit):
    """A fitted linear model: a `Fit` with these additional attributes.

    Attributes
    ----------
    coef : array (p,) or (p, k)
        Coefficients, in units of y per unit of x, in the library of the data; (p, k) for k
        responses that share alpha and scale. `params` then holds those of one response after the
        other, and `residuals`, `weights` and everything derived from them have the shape (n, k).
    intercept : float or array (k,)
        0.0 if none was fitted.
    feature_names : tuple of str
    target_names : tuple of str
        Names of the responses: those of a data frame or a series, else y, or y0, y1, … for several.
    fitted_intercept : bool
    """

    coef: Array
    intercept: Any
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    fitted_intercept: bool
    _columns: tuple[str, ...] | None

    title: ClassVar[str] = "Robust linear regression with the general adaptive loss"

    def predict(self, X: Array) -> Array:
        """Fitted values, ``X @ coef + intercept``.

        Parameters
        ----------
        X : array (m, p) or data frame
            In the library of the data the model was fitted to; a data frame counts as NumPy.

        Returns
        -------
        array (m,) or (m, k)
            In the unit of y.

        Raises
        ------
        TypeError
            If `X` comes from another library, or is not real.
        ValueError
            If `X` does not have p columns, or is a data frame whose columns are not, in their
            order, those of the one the model was fitted to.
        """
        return self._features(X) @ self.coef + self.intercept

    def predict_interval(
        self, X: Array, *, of: str = "mean", level: float = 0.95
    ) -> tuple[Array, Array]:
        """Intervals for the fitted values, or for new observations.

        Parameters
        ----------
        X : array (m, p) or data frame
            As for `predict`.
        of : str, default "mean"
            "mean": for ``X @ coef + intercept``. "observation": for a new y, whose error follows
            the distribution with the fitted alpha and scale.
        level : float, default 0.95
            In (0, 1).

        Returns
        -------
        lower, upper : array (m,) or (m, k)
            In the unit of y. NaN where the data do not determine the mean.

        Raises
        ------
        TypeError
            If `X` comes from another library, or is not real.
        ValueError
            If `X` does not have the columns of the fit, `level` or `of` is out of range, or an
            interval for an observation is asked for where alpha < 0 without a `truncation`, so that
            the errors have no distribution.

        Notes
        -----
        For the mean, the interval reaches a normal quantile times the standard error √(xᵀ V x) to
        both sides, with `covariance` V. For an observation, that distance and the quantile of the
        errors are combined as the root of the sum of their squares. This is exact for normal
        errors, and where the mean is known. For levels of at least 0.9, and a mean whose standard
        error is at most `scale`, the probability of the interval is within 0.004 of `level` at
        every alpha (tests/fit/test_intervals.py). Alpha and scale are treated as known.
        """
        if of not in ("mean", "observation"):
            raise ValueError(
                f'`of` must be "mean" or "observation", but got {of!r}. Pass one of these.'
            )
        reach = quantile(level)
        X = self._features(X)
        xp = self._optimum.data.xp
        distance = reach * self._sandwich.error_of_mean(X)
        if of == "observation":
            if not self._has_law:
                raise ValueError(
                    f'`of` must be "mean" for alpha < 0, but got {of!r} at alpha {self.alpha}. '
                    "There is no law of the errors."
                )
            far = -float(ppf(0.5 * (1 - level), self.alpha, self.scale, truncation=self.truncation))
            distance = xp.sqrt(distance * distance + far * far)
        middle = X @ self.coef + self.intercept
        return middle - distance, middle + distance

    def _features(self, X: Array) -> Array:
        """X as an array of the model's library and dtype, with its columns."""
        library, xp = common_library({"X": X, "coef": self.coef})
        names = column_names(X)
        X = as_numpy("X", X) if library == "numpy" else X
        p = len(self.feature_names)
        if X.ndim != 2 or X.shape[1] != p:
            raise ValueError(
                f"`X` must have shape (m, {p}), but got {tuple(X.shape)}. "
                "Pass the columns that the model was fitted to."
            )
        for ours, other in zip(self._columns or (), names or (), strict=False):
            if ours != other:
                raise ValueError(
                    f"`X` must have the columns of the fit, in their order, but got {other!r} in "
                    f"the place of {ours!r}. Select them, e.g. X[list(fit.feature_names)]."
                )
        real_dtype("X", X, xp)
        return xp.astype(X, self.coef.dtype, copy=False)

    def plot(self, *, target_name: str | None = None, ax: Any = None) -> Any:
        """Plot the fit with the data it was made from.

        With one feature, the data and the line: see `robloss.plot.fit`. With more, the three panels
        of `robloss.plot.diagnostics`.

        Parameters
        ----------
        target_name : str, optional
            Name of y for the labels, instead of the one in `target_names`.
        ax : matplotlib.axes.Axes, or a sequence of three for panels, optional
            Where to draw; by default in a new figure.

        Returns
        -------
        matplotlib.axes.Axes, or a tuple of three
        """
        if self.coef.ndim > 1:
            raise ValueError(
                f"`plot` must be called on the fit of one response, but got {self.coef.shape[1]}. "
                "Fit one column of y, or leave out `shared`."
            )
        (data,) = self._optimum.data.around(self._optimum.point.theta).parts
        draw, name = _pictures(), target_name or self.target_names[0]
        if len(self.feature_names) == 1:
            return draw.fit(self, data.features, data.y, target_name=name, ax=ax)
        weights = None if data.row_weights is None else data.row_weights.values
        return draw.diagnostics(
            self, data.features, sample_weight=weights, target_name=name, axes=ax
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LocationFit(Fit):
    """A fitted location: a `Fit` with these additional attributes.

    Attributes
    ----------
    location : float
        The robust mean, in the unit of the data.
    column_name : str, or None
        Name of the column of a data frame, or of the series; None for an array.
    """

    location: float
    column_name: str | None

    title: ClassVar[str] = "Robust location with the general adaptive loss"
