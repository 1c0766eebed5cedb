"""Starts from fits of a few random rows: some of these are likely to be free of outliers."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from robloss._fit.data import Data
from robloss._fit.least_squares import Problem, solved
from robloss._fit.likelihood import Free, Likelihood, Point
from robloss._fit.linear_data import SAMPLE, LinearData
from robloss._fit.loop import Loop
from robloss._fit.norm_partition import log_partition
from robloss._fit.shared import SharedData
from robloss._fit.sums import HostArray, Wanted, lengths, to_host

# The median of |x| for the standard normal distribution: dividing by it gives the usual scale.
_OF_NORMAL = 1 / 1.4826
_STEPS, _TOL = 20, 0.01  # of the fit to a few rows, for nonlinear models
_DRAWS = 20  # give up after this many draws in a row that leave parameters undetermined


def _counting(data: Data) -> NDArray[np.intp]:
    """The indices of the rows with a positive weight."""
    weights = data.row_weights
    if weights is None:
        return np.arange(data.n)
    return np.flatnonzero(to_host(weights.values) > 0)


def _least_rows(data: Data) -> int:
    """The smallest number of rows that can determine the parameters."""
    if isinstance(data, SharedData):
        return data.parts[0].size
    # The components of a vector may depend on each other (lengths do not turn): one row more.
    return math.ceil(data.size / data.components) + (data.components > 1)


def _sizes(data: Data, theta: HostArray) -> HostArray:
    """The sizes of the residuals of the rows with a positive weight."""
    residuals = data.sums(theta, 2.0, 1.0, Wanted(hessian=False, rows=True)).rows[0]
    return np.abs(to_host(lengths(data.xp, residuals, data.components)))[_counting(data)]


def largest(data: Data, theta: HostArray) -> float:
    """The largest size of a residual."""
    return float(np.max(_sizes(data, theta)))


def middle_spread(data: Data, theta: HostArray) -> float:
    """The median size of the residuals, in units of that for the standard normal distribution."""
    d = data.components
    usual = _OF_NORMAL if d == 1 else log_partition(2.0, d).median
    return float(np.median(_sizes(data, theta))) / usual


def resampled(
    problem: Problem[Data], count: int, rng: "np.random.Generator"
) -> Iterator[Problem[Data]]:
    """Yield the problem with starts that each fit as many random rows as there are parameters."""
    data = problem.data
    if count <= 0 or data.size == 0:
        return
    part = data
    if isinstance(data, LinearData | SharedData) and data.n > SAMPLE:
        part = data.sample(SAMPLE)
    rows, count_of_rows = _counting(part), _least_rows(part)
    if len(rows) < count_of_rows:
        return
    found = failed = 0
    while found < count and failed < _DRAWS:
        few = part.taken(rng.choice(rows, count_of_rows, replace=False))
        theta = _fitted(few, problem.theta)
        if theta is None:
            failed += 1
            continue
        found, failed = found + 1, 0
        scale = middle_spread(part, theta)
        yield replace(problem, theta=theta, is_given=True, scale=scale or None)


def _fitted(few: Data, theta: HostArray) -> HostArray | None:
    """The parameters that fit a few rows best, if those determine them."""
    if isinstance(few, LinearData | SharedData):
        parts = [solved(part, part.moments()) for part in few.parts]
        theta = np.concatenate([part.theta for part in parts])
        return theta if sum(part.rank for part in parts) == few.size else None
    loop = Loop(Likelihood(few, Free(False, False, (0.0, 2.0))), _TOL, _STEPS)
    end = loop.run(Point(theta, 2.0, max(few.spread(theta), np.finfo(float).tiny)))
    return end.local.point.theta if np.isfinite(end.local.nll) else None
