"""Least squares of a linear model: what shows whether its data can be used, and the first start."""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from robloss._fit.data import Data
from robloss._fit.likelihood import FLOOR
from robloss._fit.linear_data import LinearData
from robloss._fit.sums import HostArray, Moments, first_not_finite, to_host
from robloss._fit.symmetric import solve
from robloss._typing import Array

AnyData = TypeVar("AnyData", bound=Data, covariant=True)


@dataclass(frozen=True)
class Problem(Generic[AnyData]):
    """What is to be fitted, and where to begin.

    Attributes
    ----------
    data : Data
    theta : ndarray
        Parameters to start from.
    rank : int
        How many of them the data determine.
    size_of_y : float
        What residuals are small or large by.
    is_given : bool
        Whether `theta` is a start of its own, rather than least squares of all rows.
    alpha, scale : float, or None
        To start from, if they are known.
    """

    data: AnyData
    theta: HostArray
    rank: int
    size_of_y: float
    is_given: bool = False
    alpha: float | None = None
    scale: float | None = None


def refuse_non_finite(name: str, array: Array) -> None:
    """Say where the first NaN or inf is, for data on the host that have one."""
    where = first_not_finite(array)
    if where:
        raise ValueError(
            f"`{name}` must be finite, but got {where}. Drop or impute such rows first."
        ) from None


def _refuse(X: Array, y: Array) -> None:
    """Say what is wrong with data whose sums cannot be used."""
    refuse_non_finite("X", X)
    refuse_non_finite("y", y)
    raise ValueError(
        "The data must be finite, with squares that neither overflow nor underflow, but got sums "
        "that are not. Drop or impute such rows, or change the unit."
    )


def _underflows(data: LinearData, moments: Moments) -> bool:
    """Whether the squares of y or of a column are lost although it is not 0."""
    if moments.largest_y > 0 and moments.mean_square_y < data.tiny:
        return True
    squares = np.diag(moments.gram)[int(data.intercept) :] / data.observations
    small = np.flatnonzero(squares < data.tiny)
    return any(to_host(data.xp.any(data.occurs(data.X[:, int(j)] != 0))) for j in small)


def is_sound(data: LinearData, moments: Moments) -> bool:
    """Whether the data are finite, with squares that are neither too large nor too small."""
    finite = np.isfinite(moments.mean_square_y) and np.all(np.isfinite(moments.gram))
    return bool(finite) and not _underflows(data, moments)


def least_squares(data: LinearData) -> Problem[LinearData]:
    """Solve the least-squares problem; columns far from 0 are centred for good."""
    moments = data.moments()
    if not is_sound(data, moments):
        _refuse(data.X, data.y)
    return solved(*centered(data, moments, data.eps))


def centered(data: LinearData, moments: Moments, eps: float) -> tuple[LinearData, Moments]:
    """The data to go on with where sums are of this relative rounding, and their moments."""
    if not data.intercept:
        return data, moments
    mean = moments.gram[0, 1:] / data.observations
    square = np.diag(moments.gram)[1:] / data.observations
    # Columns far from 0 cost the normal equations digits: a quarter of them is the limit.
    if not np.any(mean**2 > eps**-0.25 * np.abs(square - mean**2)):
        return data, moments
    data = data.centered(mean)
    moments = data.moments()
    rest = np.sqrt(np.diag(moments.gram)[1:] / data.observations)
    constant = rest <= FLOOR * data.eps * abs(mean)
    if not np.any(constant):
        return data, moments
    data = data.without(constant)
    return data, data.moments()


def solved(data: LinearData, moments: Moments) -> Problem[LinearData]:
    """The least-squares problem of data with these moments."""
    found = solve(moments.gram, moments.slope, data.eps)
    return Problem(data, found.solution, found.rank, math.sqrt(moments.mean_square_y))
