"""Starts given by the user: parameters, or an earlier fit."""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from robloss._fit.data import Data
from robloss._fit.least_squares import Problem, least_squares
from robloss._fit.linear_data import LinearData
from robloss._fit.result import Fit
from robloss._fit.search import Found, Search
from robloss._fit.several import Fits
from robloss._fit.shared import SharedData
from robloss._fit.sums import HostArray, first_not_finite, to_host
from robloss._libraries import library_of

AnyLinear = TypeVar("AnyLinear", LinearData, SharedData)
AnyData = TypeVar("AnyData", bound=Data)


def _numbers(start: Any, shape: tuple[int, ...]) -> HostArray:
    """The parameters to start from, on the host; a number is one parameter."""
    given = start.params if isinstance(start, Fit | Fits) else start
    try:
        host = to_host(given) if library_of(given) else np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"`start` must be an array of parameters or an earlier fit, but got {start!r}. "
            "Pass one of these."
        ) from error
    numbers = np.atleast_1d(host)
    if numbers.shape != shape:
        raise ValueError(
            f"`start` must hold {' times '.join(map(str, shape))} parameters, but got shape "
            f"{host.shape}. Give it the shape of the fit's `params`, where an intercept comes "
            "first."
        )
    where = first_not_finite(numbers)
    if where:
        raise ValueError(
            f"`start` must be finite, but got {where}. Leave it out to start from least squares."
        )
    return numbers


def each_start(start: Any, shape: tuple[int, ...], columns: int) -> list[Any]:
    """The start for the fit of each column: parameters, an earlier fit, or None.

    Parameters
    ----------
    start : array, Fits or None
    shape : tuple of int
        Of the parameters of all columns.
    columns : int
        How many columns there are, along the last axes of that shape.
    """
    if start is None:
        return [None] * columns
    given = _numbers(start, shape)
    return list(start) if isinstance(start, Fits) else list(given.reshape(-1, columns).T)


def begun(problem: Problem[AnyLinear], start: Any) -> Problem[AnyLinear]:
    """The problem, starting from the parameters that the user gave."""
    given = _numbers(start, (len(problem.data.to_params),))
    return with_shape_of(start, replace(problem, theta=problem.data.inside(given), is_given=True))


def with_shape_of(start: Any, problem: Problem[AnyData]) -> Problem[AnyData]:
    """The problem, starting from the shape and scale of an earlier fit if that was given."""
    if not isinstance(start, Fit):
        return problem
    return replace(problem, alpha=start.alpha, scale=start.scale)


def found_from(start: Any, search: Search, data: LinearData) -> Found[LinearData]:
    """The result of a search, from the user's start if there is one."""
    if start is None:
        return search.linear(data)
    return search.best(begun(least_squares(data), start))
