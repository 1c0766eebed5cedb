"""Fits side by side, one per column, as one result."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from robloss._fit.inference import outlier_reach
from robloss._fit.result import Fit, LinearFit
from robloss._typing import Array

_LISTED = 10  # columns in a flag


def _named(places: list[str]) -> str:
    """The columns that a flag is about, the first of them by their places."""
    more = f" and {len(places) - _LISTED} more" if len(places) > _LISTED else ""
    return f"Column{'s'[: len(places) > 1]} {', '.join(places[:_LISTED])}{more}"


@dataclass(frozen=True, eq=False, repr=False)
class Fits(Sequence[Fit]):
    """One fit per column, each with a shape and a scale of its own.

    It is a sequence of the fits, and has their attributes for all columns at once. `covariance`,
    `inference`, `profile_alpha` and `history` belong to each fit: ``fits[k].covariance``.

    Attributes
    ----------
    fits : tuple of Fit
    shape : tuple of int
        The shape of `alpha`: that of the columns.
    """

    fits: tuple[Fit, ...]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.fits)

    def __getitem__(self, index: Any) -> Any:
        """One of the fits, by its place in row-major order or along each axis; or some of them."""
        if not isinstance(index, tuple):
            return self.fits[index]
        places = np.arange(len(self)).reshape(self.shape)[index]
        return self.fits[places] if places.ndim == 0 else tuple(self.fits[k] for k in places.flat)

    def __iter__(self) -> Iterator[Fit]:
        return iter(self.fits)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Say where to find what only each of the fits has."""
            is_of_each = name in dir(LinearFit) or name in LinearFit.__dataclass_fields__
            where = f" Each fit has its own: fits[k].{name}." if is_of_each else ""
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}.{where}")

    def _placed(self) -> Iterator[tuple[str, Fit]]:
        """The fits with the places of their columns, (i, j) where these have several axes."""
        for place, fit in zip(np.ndindex(self.shape), self.fits, strict=True):
            yield str(place if len(place) > 1 else place[0]), fit

    def _numbers(self, name: str) -> NDArray[np.float64]:
        return np.asarray([getattr(fit, name) for fit in self.fits]).reshape(self.shape)

    def _stacked(self, take: Callable[[Any], Array]) -> Array:
        """Arrays of the fits, with the columns as the last axes."""
        arrays = [take(fit) for fit in self.fits]
        xp = array_api_compat.array_namespace(arrays[0])
        return xp.reshape(xp.stack(arrays, axis=-1), (*arrays[0].shape, *self.shape))

    @property
    def params(self) -> Array:
        """Parameters (q, …), in the library of the data."""
        return self._stacked(lambda fit: fit.params)

    @property
    def alpha(self) -> NDArray[np.float64]:
        """Shapes."""
        return self._numbers("alpha")

    @property
    def scale(self) -> NDArray[np.float64]:
        """Scales, in the unit of the residuals."""
        return self._numbers("scale")

    @property
    def nll(self) -> float:
        """The sum of the columns' negative log-likelihoods, in nats."""
        return math.fsum(fit.nll for fit in self.fits)

    @property
    def weights(self) -> Array:
        """Robustness weights (n, …)."""
        return self._stacked(lambda fit: fit.weights)

    @property
    def residuals(self) -> Array:
        """Residuals (n, …)."""
        return self._stacked(lambda fit: fit.residuals)

    @property
    def outliers(self) -> Array:
        """Rows whose residual is larger than `outlier_distance`, (n, …) of bool."""
        residuals = self.residuals
        xp, device = array_api_compat.array_namespace(residuals), array_api_compat.device(residuals)
        distance = xp.asarray(self.outlier_distance, dtype=residuals.dtype, device=device)
        return xp.abs(residuals) > distance

    @property
    def outlier_distance(self) -> NDArray[np.float64]:
        """The size of a residual beyond which it is called an outlier."""
        first = self.fits[0]
        n = first._optimum.data.observations  # noqa: SLF001 - a fit of ours, and the same for all
        return np.asarray(outlier_reach(self.alpha, first.truncation, n) * self.scale)

    @property
    def observations(self) -> float:
        """The number of rows, each counted as often as its `sample_weight` says."""
        return self.fits[0].observations

    @property
    def adapted(self) -> tuple[str, ...]:
        """Which of "alpha" and "scale" were estimated for at least one column."""
        return max((fit.adapted for fit in self.fits), key=len)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of each column's estimates: its parameters, then "alpha" and "scale"."""
        return (*self.fits[0].names, *self.adapted)

    def _estimates(self, take: Callable[[Any], Array]) -> Array:
        """Arrays in the order of `parameter_names`; NaN for a scale that was not estimated."""
        size = len(self.parameter_names)

        def whole(fit: Fit) -> Array:
            array = take(fit)
            xp = array_api_compat.array_namespace(array)
            gap = xp.full_like(array[:1, ...], math.nan)
            return xp.concat([array, *[gap] * (size - array.shape[0])])

        return self._stacked(whole)

    @property
    def standard_errors(self) -> Array:
        """Standard errors (m, …) of each column's estimates; see `Fit.standard_errors`."""
        return self._estimates(lambda fit: fit.standard_errors)

    def conf_int(self, level: float = 0.95) -> Array:
        """Confidence intervals (m, 2, …) of each column's estimates; see `Fit.conf_int`."""
        return self._estimates(lambda fit: fit.conf_int(level))

    @property
    def n_iter(self) -> int:
        """The number of steps of the column that took most."""
        return max(fit.n_iter for fit in self.fits)

    @property
    def converged(self) -> bool:
        """Whether all columns did."""
        return all(fit.converged for fit in self.fits)

    @property
    def status(self) -> str:
        """``converged``, or the status of the first column that did not converge."""
        return next((fit.status for fit in self.fits if not fit.converged), "converged")

    @property
    def message(self) -> str:
        """The status as a sentence."""
        failed = [(place, fit) for place, fit in self._placed() if not fit.converged]
        if not failed:
            return self.fits[0].message
        column, first = failed[0]
        return f"{len(failed)} of {len(self)} columns, the first of them {column}: {first.message}"

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader of the result must know, each with the columns that it is about."""
        columns: dict[str, list[str]] = {}
        for place, fit in self._placed():
            for flag in fit.flags:
                columns.setdefault(flag, []).append(place)
        return tuple(f"{_named(places)}: {flag}" for flag, places in columns.items())

    def summary(self) -> str:
        """Format the fits as tables, one after the other."""
        tables = (f"{_named([place])}\n{fit.summary()}" for place, fit in self._placed())
        return "\n\n".join(tables)

    def plot(self, **_: Any) -> NoReturn:
        """Refuse: a picture shows one fit.

        Raises
        ------
        TypeError
            Always; ``fits[k].plot()`` draws column k.
        """
        raise TypeError(
            f"`plot` must be asked of one fit, but got {len(self)} columns. Call fits[k].plot()."
        )

    def __repr__(self) -> str:
        """Show how many there are and how many converged."""
        good = sum(fit.converged for fit in self.fits)
        return f"<{type(self).__name__} of {len(self)} columns, {good} converged>"


class LinearFits(Fits):
    """One linear fit per response: a `Fits` with additional attributes."""

    @property
    def coef(self) -> Array:
        """Coefficients (p, k)."""
        return self._stacked(lambda fit: fit.coef)

    @property
    def intercept(self) -> NDArray[np.float64]:
        """Intercepts (k,)."""
        return self._numbers("intercept")

    def predict(self, X: Array) -> Array:
        """Fitted values (m, k); see `LinearFit.predict`."""
        return self._stacked(lambda fit: fit.predict(X))

    def predict_interval(
        self, X: Array, *, of: str = "mean", level: float = 0.95
    ) -> tuple[Array, Array]:
        """Lower and upper ends (m, k); see `LinearFit.predict_interval`."""
        fits: tuple[Any, ...] = self.fits
        ends = [fit.predict_interval(X, of=of, level=level) for fit in fits]
        xp = array_api_compat.array_namespace(ends[0][0])
        lower, upper = (xp.stack(list(side), axis=-1) for side in zip(*ends, strict=True))
        return lower, upper


class LocationFits(Fits):
    """One location per column: a `Fits` with an additional attribute."""

    @property
    def params(self) -> Array:
        """The locations, in the shape of the columns."""
        return self._stacked(lambda fit: fit.params)[0, ...]

    @property
    def location(self) -> Array:
        """The locations, in the shape of the columns."""
        return self.params
