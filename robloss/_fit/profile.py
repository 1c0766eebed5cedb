"""The profile of the likelihood over α: all else at its best for each α."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robloss._fit.inference import Optimum, quantile
from robloss._fit.likelihood import Point
from robloss._fit.loop import Loop
from robloss._fit.sums import HostArray

# Newton steps of this many standard errors leave half its square of the likelihood to gain.
_TOL, _MAX_ITER = 1e-3, 200
_POINTS = 41
# An end of the interval is sought to this precision, in α or in deviations of a normal law.
_PRECISION, _LONGEST_SEARCH = 1e-4, 30


@dataclass(frozen=True, eq=False)
class AlphaProfile:
    """The negative log-likelihood as a function of alpha, with everything else optimised.

    Attributes
    ----------
    alpha : numpy.ndarray (m,)
    nll : numpy.ndarray (m,)
        Includes the ridge, if there is one. NaN where the fit at that alpha did not converge.
    scale : numpy.ndarray (m,)
        The best scale at that alpha, or the fixed one.
    level : float
        The confidence level of `interval`.
    interval : (float, float)
        The range of alpha that a likelihood-ratio test does not reject; it ends at `alpha_bounds`
        where these are not rejected. NaN where an end was not found.
    """

    alpha: HostArray
    nll: HostArray
    scale: HostArray
    level: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class _Best:
    """The best fit at an α."""

    point: Point
    nll: float


class _Walk:
    """Fits at given α, each from a neighbour's."""

    def __init__(self, optimum: Optimum) -> None:
        free = replace(optimum.free, alpha=False)
        self.loop = Loop(optimum.likelihood.with_free(free), _TOL, _MAX_ITER)
        self.first = self.to(_Best(optimum.point, math.nan), optimum.point.alpha)
        self.lowest = self.first.nll

    def to(self, neighbour: _Best, alpha: float) -> _Best:
        """The best fit at α, from one nearby."""
        start = self.loop.likelihood.moved(neighbour.point, alpha)
        outcome = self.loop.run(start)
        nll = outcome.local.nll if outcome.status == "converged" else math.nan
        return _Best(outcome.local.point, nll)

    def along(self, alphas: HostArray) -> list[_Best]:
        """The best fits at α that lead away from the optimum."""
        found, last = [], self.first
        for alpha in alphas:
            last = self.to(last, float(alpha))
            found.append(last)
            if last.nll < self.lowest:
                self.lowest = last.nll
        return found

    def end(self, found: list[_Best], reach: float, bound: float) -> float:
        """The end of the interval on the side of the optimum that the fits found lead along.

        That is where the likelihood last is within ½ reach² of the best.
        """
        if math.isnan(self.first.nll):
            return math.nan
        path = [self.first, *found]
        if path[-1].point.alpha != bound:
            path.append(self.to(path[-1], bound))
        inside = [k for k, best in enumerate(path) if best.nll <= self.lowest + 0.5 * reach**2]
        if not inside:  # the other side leads to a far better fit
            return self.first.point.alpha
        last = inside[-1]
        if last + 1 == len(path):
            return bound
        return self._crossing(path[last], path[last + 1], reach)

    def _crossing(self, inside: _Best, outside: _Best, reach: float) -> float:
        """The α between two fits at which the likelihood is ½ reach² above the best.

        The root of the excess is nearly a straight line: regula falsi is quick.
        """

        def beyond(best: _Best) -> float:
            # Rounding may make it negative; `max` keeps a NaN that comes first.
            return math.sqrt(max(2 * (best.nll - self.lowest), 0.0)) - reach

        low, high = beyond(inside), beyond(outside)
        between = inside
        for _ in range(_LONGEST_SEARCH):
            left, right = inside.point.alpha, outside.point.alpha
            share = low / (low - high) if low < high else 0.5
            between = self.to(inside, left + share * (right - left))
            value = beyond(between)
            if abs(value) < _PRECISION or abs(right - left) < _PRECISION:
                break
            # The Illinois rule: an end that stays counts half, or it would stay for good.
            if value <= 0:
                inside, low, high = between, value, 0.5 * high
            else:
                outside, high, low = between, value, 0.5 * low
        return between.point.alpha if not math.isnan(beyond(between)) else math.nan


def _as_grid(grid: Any, bounds: tuple[float, float]) -> NDArray[np.float64]:
    """The α to look at, in order."""
    if grid is None:
        return np.linspace(*bounds, _POINTS)
    alphas = np.asarray(grid, dtype=np.float64)
    if alphas.ndim != 1 or not alphas.size:
        raise ValueError(
            f"`grid` must be a list of numbers, but got shape {alphas.shape}. "
            f"Leave it out for {_POINTS} between the bounds of alpha."
        )
    outside = alphas[~((alphas >= bounds[0]) & (alphas <= bounds[1]))]
    if outside.size:
        raise ValueError(
            f"`grid` must lie in the bounds of alpha, {list(bounds)}, but got {outside[0]}. "
            "Fit with wider `alpha_bounds`."
        )
    return np.unique(alphas)


def profile_alpha(optimum: Optimum, grid: Any, level: float) -> AlphaProfile:
    """Fit at every α of a grid, and find where the likelihood ratio rejects α."""
    reach = quantile(level)
    if not optimum.free.alpha:
        raise ValueError(
            f"`alpha` must have been adapted, but got {optimum.point.alpha} as given. "
            'Fit with alpha="adapt".'
        )
    bounds = optimum.free.bounds
    alphas = _as_grid(grid, bounds)
    with np.errstate(all="ignore"):
        walk = _Walk(optimum)
        below, above = alphas[alphas < optimum.point.alpha], alphas[alphas >= optimum.point.alpha]
        left, right = walk.along(below[::-1]), walk.along(above)
        found = left[::-1] + right
        nll = np.array([best.nll for best in found])
        ends = walk.end(left, reach, bounds[0]), walk.end(right, reach, bounds[1])
    scale = np.array([best.point.scale for best in found])
    return AlphaProfile(alphas, nll, scale, level, ends)
