"""Where the loop starts, and which of its ends is kept."""

import math
from dataclasses import dataclass, replace

import numpy as np

from robloss._fit.likelihood import FLOOR, Free, Likelihood, Local, Point, solve
from robloss._fit.loop import Loop, Outcome
from robloss._fit.sums import HostArray, LinearData, Moments, to_host
from robloss._typing import Array

# Rows of the sample, in all and per coefficient: its optimum is 1/√20000 of a row's information, or
# a thirtieth per coefficient, from that of the data, where three Newton steps reach rounding.
_ROWS, _ROWS_EACH = 20_000, 1000
_WORTHWHILE = 4  # times that many rows of data, and the sample saves more than it costs
_SAMPLE_TOL = 0.01
# How many times farther from the optimum than it should be by chance a sample may lie.
_ASTRAY = 5.0


@dataclass(frozen=True)
class LeastSquares:
    """The data to go on with, the least-squares solution, the design's rank, and the size of y."""

    data: LinearData
    theta: HostArray
    rank: int
    size_of_y: float


def _refuse_non_finite(X: Array, y: Array) -> None:
    """Say where the first NaN or inf is, for data on the host; else that there is one."""
    for name, array in (("X", X), ("y", y)):
        if isinstance(array, np.ndarray) and not np.all(np.isfinite(array)):
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(
                f"`{name}` must be finite, but got {float(array[index])} at index {index}. "
                "Drop or impute such rows first."
            )
    raise ValueError(
        "`X` and `y` must be finite, with squares that neither overflow nor underflow, but their "
        "sums are not. Drop or impute such rows, or change the unit."
    )


def _underflows(data: LinearData, moments: Moments) -> bool:
    """Whether the squares of y or of a column are lost although it is not 0."""
    if moments.largest_y > 0 and moments.mean_square_y < data.tiny:
        return True
    squares = np.diag(moments.gram)[int(data.intercept) :] / data.observations
    small = np.flatnonzero(squares < data.tiny)
    return any(to_host(data.xp.any(data.occurs(data.X[:, int(j)] != 0))) for j in small)


def least_squares(data: LinearData) -> LeastSquares:
    """Solve the least-squares problem; columns far from 0 are centred for good."""
    moments = data.moments()
    if not _is_sound(data, moments):
        _refuse_non_finite(data.X, data.y)
    return _solved(*_centered(data, moments, data.eps))


def _is_sound(data: LinearData, moments: Moments) -> bool:
    finite = np.isfinite(moments.mean_square_y) and np.all(np.isfinite(moments.gram))
    return bool(finite) and not _underflows(data, moments)


def _centered(data: LinearData, moments: Moments, eps: float) -> tuple[LinearData, Moments]:
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


def _solved(data: LinearData, moments: Moments) -> LeastSquares:
    theta, kept = solve(moments.gram, moments.slope, data.eps)
    return LeastSquares(data, theta, len(kept), math.sqrt(moments.mean_square_y))


@dataclass(frozen=True)
class Found:
    """The end that is kept, of which data (they may have been centred), and the design's rank."""

    data: LinearData
    rank: int
    outcome: Outcome


@dataclass(frozen=True)
class Search:
    """What is to be estimated, and how long to try.

    Attributes
    ----------
    alpha, scale : float, or None
        Fixed, or to be estimated.
    bounds : (float, float)
        Of α.
    tol : float
    max_iter : int
    """

    alpha: float | None
    scale: float | None
    bounds: tuple[float, float]
    tol: float
    max_iter: int

    @property
    def free(self) -> Free:
        """Which of shape and scale are to be estimated."""
        return Free(self.alpha is None, self.scale is None, self.bounds)

    def best(self, data: LinearData) -> Found:
        """The likeliest end that is found."""
        found = self._from_sample(data)
        if found is not None:
            return found
        squares = least_squares(data)
        return Found(squares.data, squares.rank, self.ends(squares)[0])

    def _run(self, data: LinearData, start: Point | Local, free: Free) -> Outcome:
        return Loop(Likelihood(data, free), self.tol, self.max_iter).run(start)

    def _start(self, squares: LeastSquares) -> Point:
        """Least squares, alpha = 1 (or the middle of its bounds), and the spread of residuals."""
        data, alpha, scale = squares.data, self.alpha, self.scale
        if alpha is None:
            low, high = self.bounds
            alpha = 1.0 if low < 1 < high else 0.5 * (low + high)
            # At exactly 2 the loss has no derivative in alpha.
            alpha = alpha if alpha != 2 else 0.5 * (low + alpha)
        if scale is None:
            least = FLOOR * data.resolution * (squares.size_of_y or 1.0)
            # Above alpha = 2 the loss explodes beyond the scale: begin beyond the largest residual.
            wide = math.sqrt(data.observations) if alpha > 2 else 1.0
            scale = max(least, wide * data.spread(squares.theta))
        return Point(squares.theta, alpha, scale)

    def ends(self, squares: LeastSquares) -> list[Outcome]:
        """Ends of the loop from where it may start, the likeliest first."""
        start = self._start(squares)
        end = self._run(squares.data, start, self.free)
        other = self._grown(squares.data, start) if self._may_hide_another(end) else None
        ends = [end] if other is None else [end, other]
        return sorted(ends, key=lambda outcome: outcome.local.nll)

    def _may_hide_another(self, end: Outcome) -> bool:
        """Whether a heavy tail may be likelier still.

        Many outliers on one side look like a wide normal distribution to a fit that starts from
        least squares: it then ends near alpha = 2, although a heavy tail is far likelier.
        """
        return self.free.alpha and end.local.point.alpha > 1 and self.max_iter > 0

    def _grown(self, data: LinearData, start: Point) -> Outcome | None:
        """The end that grows from the fit with the most forgiving loss."""
        forgiving = Free(False, self.free.scale, self.bounds)
        low = Point(start.theta, self.bounds[0], start.scale)
        below = self._run(data, low, forgiving)
        if below.status != "converged":
            return None
        return self._run(data, below.local.point, self.free)

    def _from_sample(self, data: LinearData) -> Found | None:
        """The end from the optimum of a sample of many rows, unless that leads astray.

        The data are not looked at before: what is unsound of them shows at the sample's optimum.
        """
        rows = max(_ROWS, _ROWS_EACH * data.size)
        if data.n < _WORTHWHILE * rows or self.max_iter == 0:
            return None
        part = data.sample(rows)
        if not part.observations > 0:
            return None
        moments = part.moments()
        if not _is_sound(part, moments):
            return None
        sample, rank = _solved(*_centered(part, moments, data.eps)), data.size
        if sample.rank == rank:  # columns that are independent in some rows are so in all
            data = data.centered(sample.data.center) if np.any(sample.data.center) else data
        else:
            squares = least_squares(data)
            data, rank = squares.data, squares.rank
            part = data.sample(rows)
            sample = _solved(part, part.moments())
            if sample.rank < rank:
                return None
        ends = replace(self, tol=_SAMPLE_TOL).ends(sample)
        if any(end.status != "converged" for end in ends):
            return None
        outcome = self._onward(data, _distinct(ends), sample.data)
        if outcome is None:
            return None
        if len(ends) == 1 and self._may_hide_another(outcome):
            other = self._grown(data, ends[0].local.point)
            if other is not None and other.local.nll <= outcome.local.nll:
                outcome = other
        return Found(data, rank, outcome)

    def _onward(self, data: LinearData, points: list[Point], sample: LinearData) -> Outcome | None:
        """The end from the likeliest of the sample's optima, unless they lead astray."""
        loop = Loop(Likelihood(data, self.free), self.tol, self.max_iter)
        starts = [loop.likelihood.at(point) for point in points]
        local = min(starts, key=lambda start: start.nll)
        _, length = loop.newton(local)
        by_chance = math.sqrt((data.size + 2) * data.observations * sample.scatter)
        if length > _ASTRAY * by_chance:
            return None
        outcome = loop.run(local)
        return outcome if outcome.status in ("converged", "max_iter") else None


def _distinct(ends: list[Outcome]) -> list[Point]:
    """Where ends are, without those that differ by less than chance from the first."""
    first = ends[0].local
    return [first.point] + [end.local.point for end in ends[1:] if end.local.nll > first.nll + 0.01]
