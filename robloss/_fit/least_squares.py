"""Least squares of a linear model: it shows whether the data are usable, and is the first start."""

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
    """The data to fit, and where to start.

    Attributes
    ----------
    data : Data
    theta : ndarray
        Parameters to start from.
    rank : int
        How many of them the data determine.
    size_of_y : float
        The size of the response, which the rounding of residuals is relative to.
    is_given : bool
        Whether `theta` comes from elsewhere than least squares of all rows.
    alpha, scale : float, or None
        Where to start, if known.
    """

    data: AnyData
    theta: HostArray
    rank: int
    size_of_y: float
    is_given: bool = False
    alpha: float | None = None
    scale: float | None = None


def refuse_non_finite(name: str, array: Array) -> None:
    """Raise an error that names the first NaN or inf, if data on the host contain one."""
    where = first_not_finite(array)
    if where:
        raise ValueError(
            f"`{name}` must be finite, but got {where}. Drop or impute such rows first."
        ) from None


def _refuse(X: Array, y: Array) -> None:
    """Raise an error that says what is wrong with data whose sums are unusable."""
    refuse_non_finite("X", X)
    refuse_non_finite("y", y)
    raise ValueError(
        "The data must be finite, with squares that neither overflow nor underflow, but got sums "
        "that are not. Drop or impute such rows, or change the unit."
    )


def _underflows(data: LinearData, moments: Moments) -> bool:
    """Whether the squares of y, or of a column, underflow although it is not 0."""
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
    """Solve the least-squares problem; columns far from 0 are centred from here on."""
    moments = data.moments()
    if not is_sound(data, moments):
        _refuse(data.X, data.y)
    return solved(*centered(data, moments, data.eps))


def centered(data: LinearData, moments: Moments, eps: float) -> tuple[LinearData, Moments]:
    """The data, centred if sums of this relative rounding require it, and their moments."""
    if not data.intercept:
        return data, moments
    mean = moments.gram[0, 1:] / data.observations
    square = np.diag(moments.gram)[1:] / data.observations
    # Columns far from 0 cost the normal equations digits: at most a quarter of them is tolerated.
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
