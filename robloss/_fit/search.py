"""Where the loop starts, and which of its results is kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic

import numpy as np

from robloss._fit.anneal import stages
from robloss._fit.data import Data
from robloss._fit.gradient import GradientLoop
from robloss._fit.least_squares import AnyData, Problem, centered, is_sound, least_squares, solved
from robloss._fit.likelihood import FLOOR, Free, Likelihood, Point, as_held
from robloss._fit.linear_data import SAMPLE, LinearData
from robloss._fit.loop import Loop, Outcome, Watch
from robloss._fit.normaliser import Normaliser
from robloss._fit.options import Options
from robloss._fit.starts import largest, middle_spread, resampled

# The sample has at least this many rows per coefficient: its optimum is then so close to that of
# the data (1/√1000 in units of one row's information) that three Newton steps reach rounding.
_ROWS_EACH = 1000
_WORTHWHILE = 4  # with this many times the rows of the sample, it saves more than it costs
_SAMPLE_TOL = 0.01
# How many times farther from the optimum than chance explains a sample's optimum may lie.
_ASTRAY = 5.0
# Stages of an annealed fit end within this many standard errors of their optimum. Registrations of
# benchmarks/annealing.py with 80 and 90 % outliers then take 0.6 to 0.8 times the calls that they
# take with 0.1, and succeed as often, except by chance; with 3 the schedules of α succeed less
# often, with 10 all of them do.
_STAGE_TOL = 1.0


@dataclass(frozen=True)
class Found(Generic[AnyData]):
    """The result that is kept, its data (which may have been centred), and the design's rank."""

    data: AnyData
    rank: int
    outcome: Outcome


@dataclass(frozen=True)
class Search:
    """How to look for the optimum.

    Attributes
    ----------
    options : Options
    l2 : float
    watch : callable, or None
        Is passed the iterates on the full data.
    """

    options: Options
    l2: float = 0.0
    watch: Watch | None = None

    @property
    def normaliser(self) -> Normaliser:
        """Of the law that is fitted."""
        return Normaliser(self.options.truncation)

    def free(self, data: Data) -> Free:
        """Which of shape and scale to estimate, with bounds rounded as in the sums."""
        options = self.options
        low, high = (as_held(bound, data.eps) for bound in options.bounds)
        return Free(options.alpha is None, options.scale is None, (low, high))

    def likelihood(self, data: Data, free: Free | None = None) -> Likelihood:
        """F of the data."""
        return Likelihood(data, free or self.free(data), self.normaliser, self.l2)

    def linear(self, data: LinearData) -> Found[LinearData]:
        """The likeliest result for a linear model, starting from least squares or a sample."""

        def look(search: Search) -> Found[LinearData]:
            return search.from_sample(data) or search.from_problem(least_squares(data))

        return self._in_two_parts(look)

    def best(self, problem: Problem[AnyData]) -> Found[AnyData]:
        """The likeliest result from the start of a problem."""
        return self._in_two_parts(lambda search: search.from_problem(problem))

    def from_problem(self, problem: Problem[AnyData]) -> Found[AnyData]:
        """The likeliest result, with one search for all shapes between the bounds."""
        return Found(problem.data, problem.rank, self.ends(problem)[0])

    def _in_two_parts(self, look: Callable[["Search"], Found[AnyData]]) -> Found[AnyData]:
        """Search first among shapes from 0 upwards, then below 0 if that is asked for.

        For negative shapes the likelihood has no maximum in the scale, since a bounded loss can
        forgive every row: the scale is then held at that of the best fit with shapes from 0
        upwards. The second part continues from the result of the first, and tries further starts
        in the same way.
        """
        options = self.options
        low, high = options.bounds
        if options.alpha is not None or options.scale is not None or low >= 0:
            return look(self)
        found = look(replace(self, options=replace(options, bounds=(0.0, high))))
        data, first = found.data, found.outcome
        point = first.local.point
        if first.status != "converged" or point.alpha > 0:
            return found
        below = replace(self, options=replace(options, scale=point.scale))
        ends = [below.loop(data).run(point, first.trace)]
        if options.anneal is not None and ends[0].status != "stopped":
            ends += _sound(data, below.run(data, point))
        problem = Problem(data, point.theta, found.rank, point.scale, True, point.alpha)
        return replace(found, outcome=below.among_others(problem, ends)[0])

    def loop(self, data: Data, free: Free | None = None) -> Loop:
        """The loop that minimises F for the data."""
        kind = GradientLoop if self.options.method == "gradient" else Loop
        options = self.options
        return kind(self.likelihood(data, free), options.tol, options.max_iter, self.watch)

    def run(self, data: Data, start: Point) -> Outcome:
        """The result from one start."""
        return self.loop(data).run(self._annealed(data, start))

    def _annealed(self, data: Data, start: Point) -> Point:
        """The point to which the stages of graduated non-convexity lead from a start."""
        options = self.options
        if options.anneal is None:
            return start
        target = options.bounds[0] if options.alpha is None else options.alpha
        free = Free(False, options.scale is None, options.bounds)
        loose = replace(self, options=replace(options, tol=max(options.tol, _STAGE_TOL)))
        way = stages(options.anneal, target, lambda: largest(data, start.theta) / start.scale)
        for stage in way:
            at = Point(start.theta, stage.alpha, start.scale * stage.widening)
            point = loose.loop(data, free).run(at).local.point
            start = Point(
                point.theta,
                start.alpha if options.alpha is not None else self._inside(stage.alpha),
                point.scale if free.scale else start.scale,
            )
        return start

    def _inside(self, alpha: float) -> float:
        """An alpha between the bounds, and not 2, where the loss has no derivative in alpha."""
        low, high = self.options.bounds
        alpha = max(low, min(high, alpha))
        return alpha if alpha != 2 else 0.5 * (low + alpha)

    def _first_alpha(self) -> float:
        """The alpha that was given, or 1, or the middle of the bounds."""
        if self.options.alpha is not None:
            return self.options.alpha
        low, high = self.options.bounds
        return self._inside(1.0 if low < 1 < high else 0.5 * (low + high))

    def start(self, problem: Problem[Data]) -> Point:
        """The point to start from: the problem's; else alpha = 1 and the spread of residuals."""
        data, theta = problem.data, problem.theta
        alpha, scale = self.options.alpha, self.options.scale
        if alpha is None:
            alpha = self._first_alpha() if problem.alpha is None else self._inside(problem.alpha)
        if scale is None:
            # Above alpha = 2 the loss explodes beyond the scale: start above the largest residual.
            wide = math.sqrt(data.observations) if alpha > 2 else 1.0
            spread = problem.scale or (
                middle_spread(data, theta) if problem.is_given else data.spread(theta)
            )
            scale = max(self._least_scale(problem), wide * spread)
            if problem.is_given and self.options.alpha is None and not spread > 0:
                # Most rows are fitted exactly: in units of this scale the others are very far.
                alpha = self.options.bounds[0]
        return Point(theta, alpha, scale)

    @staticmethod
    def _least_scale(problem: Problem[Data]) -> float:
        return FLOOR * problem.data.resolution * (problem.size_of_y or 1.0)

    def ends(self, problem: Problem[Data]) -> list[Outcome]:
        """Results of the loop from all its starts, in the order of `_likeliest_first`."""
        start = self.start(problem)
        ends = [self.run(problem.data, start)]
        if self._may_hide_another(ends[0]):
            ends += self._grown(problem.data, start)
        return self.among_others(problem, ends)

    def among_others(self, problem: Problem[Data], ends: list[Outcome]) -> list[Outcome]:
        """These results and those from resampled starts, in the order of `_likeliest_first`."""
        for other in resampled(problem, self.options.n_starts - 1, self.options.rng):
            if ends[-1].status == "stopped":
                break
            ends += _sound(problem.data, self.run(problem.data, self.start(other)))
        return _likeliest_first(ends)

    def _may_hide_another(self, end: Outcome) -> bool:
        """Whether a heavy-tailed optimum, which would be likelier, may have been missed.

        To a fit that starts from least squares, many outliers on one side look like a wide normal
        distribution: it then ends near alpha = 2, although a heavy tail is far likelier.
        """
        options = self.options
        adapts = options.alpha is None and options.anneal is None and options.max_iter > 0
        return adapts and end.local.point.alpha > 1 and end.status != "stopped"

    def _grown(self, data: Data, start: Point) -> list[Outcome]:
        """The result that starts from the fit with the lowest alpha, if that fit succeeds."""
        free = self.free(data)
        forgiving = Free(False, free.scale, free.bounds)
        below = self.loop(data, forgiving).run(Point(start.theta, free.bounds[0], start.scale))
        trace = None if below.status == "stopped" else below.trace
        return [self.loop(data).run(end.local.point, trace) for end in _sound(data, below)]

    def from_sample(self, data: LinearData) -> Found[LinearData] | None:
        """The result that starts from the optimum of a sample, unless the sample is misleading.

        The full data are not checked first: anything unsound in them shows at the sample's optimum.
        """
        rows = max(SAMPLE, _ROWS_EACH * data.size)
        if data.n < _WORTHWHILE * rows or self.options.max_iter == 0:
            return None
        part = data.sample(rows)
        if not part.observations > 0:
            return None
        moments = part.moments()
        if not is_sound(part, moments):
            return None
        sample, rank = solved(*centered(part, moments, data.eps)), data.size
        if sample.rank == rank:  # columns that are independent in the sample are so in all rows
            data = data.centered(sample.data.center) if np.any(sample.data.center) else data
        else:
            whole = least_squares(data)
            data, rank = whole.data, whole.rank
            part = data.sample(rows)
            sample = solved(part, part.moments())
            if sample.rank < rank:
                return None
        quick = replace(self.options, tol=_SAMPLE_TOL)
        ends = replace(self, options=quick, watch=None).ends(sample)
        if any(end.status != "converged" for end in ends):
            return None
        outcome = self._onward(data, _distinct(ends), sample.data)
        if outcome is None:
            return None
        if len(ends) == 1 and self._may_hide_another(outcome):
            outcome = _likeliest_first([outcome, *self._grown(data, ends[0].local.point)])[0]
        return Found(data, rank, outcome)

    def _onward(self, data: LinearData, points: list[Point], sample: LinearData) -> Outcome | None:
        """The result from the likeliest of the sample's optima, unless they are misleading."""
        loop = self.loop(data)
        starts = [loop.first(point) for point in points]
        local = min(starts, key=lambda start: start.nll)
        _, length = loop.newton(local)
        by_chance = math.sqrt((data.size + 2) * data.observations * sample.scatter)
        if length > _ASTRAY * by_chance:
            return None
        outcome = loop.run(local)
        return outcome if outcome.status in ("converged", "max_iter", "stopped") else None


def _sound(data: Data, end: Outcome) -> list[Outcome]:
    """The result, if it is usable: an optimum, or where the likelihood is unbounded."""
    # With so many rows, half of them are more than the parameters can fit regardless of the data.
    is_exact = end.status == "scale_floor" and data.observations > 2 * data.size
    return [end] if is_exact or end.status in ("converged", "stopped") else []


def _likeliest_first(ends: list[Outcome]) -> list[Outcome]:
    """Sorted by likelihood; the first is "stopped" if the callback ended the search."""
    stopped = ends[-1].status == "stopped"
    least = min(ends, key=lambda end: end.local.nll).local
    # Of results that differ only by rounding, prefer the first, which took the fewest steps.
    first, *others = sorted(ends, key=lambda end: max(end.local.nll, least.nll + least.noise))
    return [replace(first, status="stopped") if stopped else first, *others]


def _distinct(ends: list[Outcome]) -> list[Point]:
    """The points of the results, without those practically as likely as the first."""
    first = ends[0].local
    return [first.point] + [end.local.point for end in ends[1:] if end.local.nll > first.nll + 0.01]
