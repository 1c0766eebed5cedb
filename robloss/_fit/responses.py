"""Linear models of one response, of several for themselves, and of several together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import array_api_compat

from robloss._fit.begun import begun, each_start, found_from
from robloss._fit.finish import finished
from robloss._fit.least_squares import least_squares, refuse_non_finite
from robloss._fit.linear_data import LinearData, linear_data
from robloss._fit.options import Options
from robloss._fit.progress import watch
from robloss._fit.result import LinearFit
from robloss._fit.row_space import RowSpace, row_space
from robloss._fit.search import Found, Search
from robloss._fit.several import LinearFits
from robloss._fit.shared import SharedData, shared_problem
from robloss._fit.sums import to_host
from robloss._fit.weights import Counted
from robloss._typing import Array


@contextmanager
def of_column(name: str, columns: Array, k: int) -> Iterator[None]:
    """Say of an error in which column of the data it is."""
    try:
        yield
    except ValueError as error:
        refuse_non_finite(name, columns)
        error.add_note(f"It was met in the fit of column {k} of `{name}`.")
        raise


@dataclass(frozen=True)
class LinearModel:
    """All that a fit needs but the response.

    Attributes
    ----------
    xp : namespace
    X : array (n, p)
    counted : Counted
    intercept : bool
    l2 : float
    feature_names : tuple of str
    target_names : tuple of str
        Of the responses.
    columns : tuple of str, or None
        What the columns of a data frame to predict for must be called, if that is known.
    options : Options
    """

    xp: Any
    X: Array
    counted: Counted
    intercept: bool
    l2: float
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    columns: tuple[str, ...] | None
    options: Options

    @property
    def _names(self) -> tuple[str, ...]:
        return ("intercept",) * self.intercept + self.feature_names

    @cached_property
    def _design(self) -> tuple[Array, RowSpace | None]:
        """The features; or, of more than rows can tell of, coordinates in the space of rows.

        The features come to the host for these: they are fewer numbers than their products.
        """
        X, rows = self.X, self.counted.rows
        if self.counted.number >= X.shape[1] + self.intercept:
            return X, None
        counts = slice(None) if rows is None else to_host(rows.values) > 0
        space = row_space(X, self.intercept, counts)
        if space is None:
            return X, None
        device = array_api_compat.device(X)
        return self.xp.asarray(space.coordinates(), dtype=X.dtype, device=device), space

    def _data(self, y: Array) -> LinearData:
        X, space = self._design
        return linear_data(self.xp, X, y, self.intercept, self.counted.rows, space)

    def _search(self, data: LinearData | SharedData) -> Search:
        options = self.options
        return Search(
            options, self.l2 / self.counted.unit, watch(options, data.params, self.counted.unit)
        )

    def alone(self, y: Array, start: Any, place: int = 0) -> LinearFit:
        """Fit one response (n,)."""
        data = self._data(y)
        search = self._search(data)
        found, targets = found_from(start, search, data), self.target_names[place : place + 1]
        return self._result(search, found, self._names, targets)

    def each(self, y: Array, start: Any) -> LinearFits:
        """Fit the responses (n, k) one after the other, each with its own shape and scale."""
        k = y.shape[1]
        starts = each_start(start, (len(self._names), k), k)
        fits = []
        for j in range(k):
            with of_column("y", y, j):
                fits.append(self.alone(y[:, j], starts[j], j))
        return LinearFits(tuple(fits), (k,))

    def together(self, y: Array, start: Any) -> LinearFit:
        """Fit the responses (n, k) with one shape and scale."""
        problems = []
        for j in range(y.shape[1]):
            with of_column("y", y, j):
                problems.append(least_squares(self._data(y[:, j])))
        problem = shared_problem(problems)
        if start is not None:
            problem = begun(problem, start)
        search = self._search(problem.data)
        names = tuple(f"{one}: {name}" for one in self.target_names for name in self._names)
        return self._result(search, search.best(problem), names, self.target_names)

    def _result(
        self, search: Search, found: Found[Any], names: tuple[str, ...], targets: tuple[str, ...]
    ) -> LinearFit:
        data, theta = found.data, found.outcome.local.point.theta
        coef, constant = data.coefficients(theta)
        return LinearFit(
            params=data.params(theta),
            names=names,
            coef=coef,
            intercept=constant,
            feature_names=self.feature_names,
            target_names=targets,
            fitted_intercept=self.intercept,
            _columns=self.columns,
            **finished(search, found, self.counted.unit),
        )
