"""The loop: reweighted least squares far from the optimum, Newton's method close to it.

Far from the optimum θ moves to the reweighted least-squares solution, which for fixed α <= 2 and
scale cannot raise F (the loss lies below the parabola that touches it), and (α, scale) take a
safeguarded Newton step. Once the predicted gain is small and F is convex around the point, all
parameters take one Newton step together. A step is accepted only if F does not rise.

F and its derivatives are computed once per point. What only reweighting needs is computed along
with them after a reweighted step, and otherwise only if it turns out to be needed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robloss._fit.likelihood import Likelihood, Local, Point
from robloss._fit.sums import HostArray
from robloss._fit.symmetric import solve

# Newton's method takes over within this distance of the optimum, in standard errors times √n (that
# is, in units of the information in a single row), but at least within one standard error. There F
# is close to a parabola, so that it finds the optimum that reweighting was heading for.
_NEAR = 0.1
_LONGEST_ALPHA = 0.5
# The curvature of F in log scale, per row, up to which the scale counts as undetermined. It is 0.5
# at alpha = 0, and more above; where half of the rows are fitted exactly it is almost 0.
_FLAT = 1e-6
_AT_TWO = 1e-3  # the distance from which α may be set to 2 at a fixed scale
HALVINGS = 40
# Levenberg–Marquardt damping: its initial value, in units of the diagonal, and how it changes.
_DAMPING, _HARDER, _EASIER = 1e-3, 10.0, 0.1
_HARDEST = 1e20  # a step damped more than this moves θ by less than a rounding


@dataclass
class Trace:
    """The iterates so far."""

    nll: list[float] = field(default_factory=list)
    alpha: list[float] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.nll) - 1

    def add(self, local: Local) -> None:
        """Record an iterate."""
        self.nll.append(local.nll)
        self.alpha.append(local.point.alpha)
        self.scale.append(local.point.scale)

    def refine(self, local: Local) -> None:
        """Replace the last iterate by one that differs from it only by rounding."""
        for values in (self.nll, self.alpha, self.scale):
            values.pop()
        self.add(local)


@dataclass(frozen=True)
class Outcome:
    """Where the loop ended, why, and what it minimised."""

    local: Local
    status: str
    trace: Trace
    likelihood: Likelihood


# Is passed the number of steps so far and where they led; returning True ends the loop.
Watch = Callable[[int, Local], bool]


class Loop:
    """Minimise F from a starting point."""

    def __init__(
        self, likelihood: Likelihood, tol: float, max_iter: int, watch: Watch | None = None
    ) -> None:
        self.likelihood = likelihood
        self.free = likelihood.free
        self.size = likelihood.data.size
        self.near = max(1.0, _NEAR * math.sqrt(likelihood.data.observations))
        self.tol = tol
        self.max_iter = max_iter
        self.watch = watch
        self.damping = _DAMPING

    def run(self, start: Point | Local, trace: Trace | None = None) -> Outcome:
        """Iterate until the Newton step is `tol` standard errors long.

        Parameters
        ----------
        start : Point or Local
            Where to start, or F and its derivatives there.
        trace : Trace, optional
            The iterates that led there, if this continues an earlier run: their steps count.
        """
        local = self.first(start) if isinstance(start, Point) else start
        is_new, trace = trace is None, trace or Trace()
        if is_new:
            trace.add(local)
        if not math.isfinite(local.nll):
            return self._ended(local, "not_finite", trace)
        if is_new and self._stops(local, trace):
            return self._ended(local, "stopped", trace)
        # If the rows that are fitted exactly are 0 themselves, the floor falls with the scale.
        lowest = self.likelihood.data.resolution * local.floor
        last, before = math.inf, None
        for _ in range(self.max_iter - trace.steps):
            newton, length = self.newton(local)
            ends = newton is not None and self._expected(length, before) <= self.tol
            before = length if newton is not None and length <= self.near else None
            at_rounding = 0.5 * length**2 <= local.noise
            if length <= self.tol or (at_rounding and length > 0.5 * last):
                return self._settled(local, trace)
            floor = local.floor
            accepted = self.advance(local, newton, length, trace, ends)
            if accepted is not None:
                local = accepted
                (trace.refine if at_rounding else trace.add)(local)
            elif at_rounding:
                return self._settled(local, trace)
            else:
                is_lowest = self.free.scale and local.point.scale <= max(floor, lowest)
                return self._ended(local, "scale_floor" if is_lowest else "stalled", trace)
            if self._stops(local, trace):
                return self._ended(local, "stopped", trace)
            if self.free.scale and local.point.scale <= max(floor, local.floor, lowest):
                return self._ended(local, "scale_floor", trace)
            last = length if at_rounding else math.inf
        return self._ended(local, "max_iter", trace)

    def _ended(self, local: Local, status: str, trace: Trace) -> Outcome:
        return Outcome(local, status, trace, self.likelihood)

    def _stops(self, local: Local, trace: Trace) -> bool:
        return self.watch is not None and self.watch(trace.steps, local)

    def first(self, start: Point) -> Local:
        """F and its derivatives at the start."""
        return self.likelihood.at(start, gram=True)

    def _settled(self, local: Local, trace: Trace) -> Outcome:
        """The outcome where F is flat: an optimum, or where rows or the scale have no influence."""
        n = self.likelihood.data.observations
        status = "converged"
        if local.total_weight < 0.5 * min(self.size, n):
            status = "no_weight"
        elif self.free.scale and local.diagonal[-1] < _FLAT * n:
            status = "scale_floor"
        return self._ended(local, status, trace)

    def held(self, local: Local) -> bool:
        """Whether α is on a bound and F falls towards the outside."""
        if not self.free.alpha:
            return False
        low, high = self.free.bounds
        slope = local.gradient[self.size]
        alpha = local.point.alpha
        return bool((alpha <= low and slope >= 0) or (alpha >= high and slope <= 0))

    def newton(self, local: Local) -> tuple[HostArray | None, float]:
        """The Newton step (None where F is not convex or not finite), and its length.

        The length is in standard errors, and inf where there is no step.
        """
        if not math.isfinite(local.nll):
            return None, math.inf
        index = np.arange(len(local.gradient))
        hessian, gradient = local.hessian, local.gradient
        if self.held(local):
            index = np.delete(index, self.size)
            hessian, gradient = hessian[np.ix_(index, index)], gradient[index]
        found = solve(hessian, -gradient, self.likelihood.eps)
        if not self.likelihood.data.is_linear and not found.is_definite:
            # The Gauss–Newton Hessian need not be positive at a minimum; that of reweighting is.
            hessian = hessian.copy()
            hessian[: self.size, : self.size] = self.likelihood.gram(local)
            found = solve(hessian, -gradient, self.likelihood.eps)
        part = found.solution
        # What is left of the gradient lies in directions in which F looks flat but is not.
        left = np.abs(gradient + hessian @ part)[: self.size]
        if not found.is_definite or (left > local.gradient_noise).any():
            return None, math.inf
        step = np.zeros_like(local.gradient)
        step[index] = part
        length = math.sqrt(max(0.0, float(-gradient @ part)))
        return self._within_bounds(local, step, index), length

    def _within_bounds(self, local: Local, step: HostArray, index: NDArray[np.intp]) -> HostArray:
        """Stop α at its bound or longest step, and give the others their best step beside it."""
        if not self.free.alpha:
            return step
        limited = self.limited_alpha(local, step[self.size])
        if limited == step[self.size]:
            return step
        others = index[index != self.size]
        right = -local.gradient[others] - local.hessian[others, self.size] * limited
        matrix = local.hessian[np.ix_(others, others)]
        step[others] = solve(matrix, right, self.likelihood.eps).solution
        step[self.size] = limited
        return step

    def limited_alpha(self, local: Local, move: float) -> float:
        """A move of α that is not too long and stays within the bounds."""
        low, high = self.free.bounds
        longest = self._longest(local)
        move = max(-longest, min(longest, move))
        return max(low - local.point.alpha, min(high - local.point.alpha, move))

    def _longest(self, local: Local) -> float:
        """How far α may move."""
        from_two = abs(local.point.alpha - 2.0)
        if self.likelihood.has_cusp and from_two > _AT_TWO:
            # A cusp is often a local minimum: do not jump into it.
            return min(_LONGEST_ALPHA, 0.5 * from_two)
        return _LONGEST_ALPHA

    def _shape_step(self, local: Local) -> HostArray:
        """A step of (α, scale) alone, downhill whatever the sign of the curvature."""
        step = np.zeros_like(local.gradient)
        index = np.arange(self.size, len(step))
        if self.held(local):
            index = index[1:]
        if not len(index):
            return step
        values, vectors = np.linalg.eigh(local.hessian[np.ix_(index, index)])
        # n/100 is below the least information about (α, log scale) that n rows can carry near 2.
        steep = np.maximum(np.abs(values), 0.01 * self.likelihood.data.observations)
        part = -vectors @ ((vectors.T @ local.gradient[index]) / steep)
        step[index] = part / max(1.0, float(np.max(np.abs(part))))
        if self.free.alpha and self.likelihood.has_cusp:
            # Shorten shape and scale together, or the step might lead uphill.
            longest, move = self._longest(local), abs(step[self.size])
            step *= longest / max(longest, move)
        return step

    def _proposals(
        self, local: Local, newton: HostArray | None, length: float
    ) -> Iterator[HostArray]:
        """Steps to try, the most promising first."""
        if newton is not None and length <= self.near:
            yield newton
        step = self._shape_step(local)
        if self.likelihood.data.is_linear:
            majorised = local.point.alpha <= 2
            step[: self.size] = self._reweighted(local)
            for _ in range(HALVINGS):
                yield step
                step = 0.5 * step
                if majorised:
                    step[: self.size] *= 2.0
            return
        for _ in range(HALVINGS):
            damped = step.copy()
            damped[: self.size] = self._reweighted(local, self.damping)
            yield damped
            step *= 0.5
            self.damping *= _HARDER
            if self.damping > _HARDEST:
                return

    def _reweighted(self, local: Local, damping: float = 0.0) -> HostArray:
        """The step in θ to the solution of the reweighted least-squares problem, or towards it."""
        gram = self.likelihood.gram(local)
        if damping:
            gram = gram + damping * np.diag(np.diag(gram))
        return solve(gram, -local.gradient[: self.size], self.likelihood.eps).solution

    def _expected(self, length: float, before: float | None) -> float:
        """The expected length of the Newton step that follows one of this length.

        It is of the order of the square of this length, in units of the information in one row; or
        less, if the last two steps (the previous one had the length `before`) show a faster rate.
        """
        rate = 1.0 / math.sqrt(self.likelihood.data.observations)
        return length**2 * (rate if before is None else min(rate, length / before**2))

    def advance(
        self, local: Local, newton: HostArray | None, length: float, trace: Trace, ends: bool
    ) -> Local | None:
        """The first proposal that does not raise F; `ends`: a Newton step would be the last one."""
        beside = local if ends and self.likelihood.data.is_linear else None
        if 0.5 * length**2 <= local.noise:
            return self._refined(local, newton, length, trace, beside)
        for step in self._proposals(local, newton, length):
            again = step is not newton  # a reweighted step is usually followed by another
            there = self.moved(local, step)
            trial = self.tried(there, local.nll, gram=again, beside=None if again else beside)
            if trial is not None and np.any(step):
                self.damping *= _EASIER
                return trial
        return None

    def tried(self, point: Point, most: float, **wanted: Any) -> Local | None:
        """F and its derivatives at a point, if F is at most `most` there."""
        if self.likelihood.refuses(point, most):
            return None
        local = self.likelihood.at(point, **wanted)
        return local if local.nll <= most else None

    def _refined(
        self,
        local: Local,
        newton: HostArray | None,
        length: float,
        trace: Trace,
        beside: Local | None,
    ) -> Local | None:
        """A Newton step whose gain is hidden by rounding: the gradient decides on it."""
        if newton is None:
            return None
        before = trace.nll[-2] if len(trace.nll) > 1 else math.inf
        most = min(local.nll + local.noise, before)
        trial = self.tried(self.moved(local, newton), most, beside=beside)
        return trial if trial is not None and self.newton(trial)[1] < length else None

    def moved(self, local: Local, step: HostArray) -> Point:
        """Where a step leads."""
        point = local.point
        alpha, scale = point.alpha, point.scale
        if self.free.alpha:
            alpha = self.likelihood.rounded(alpha + step[self.size])
            scale = self.likelihood.moved(point, alpha).scale
        if self.free.scale:
            scale = max(local.floor, scale * math.exp(step[-1]))
        return Point(point.theta + point.scale * step[: self.size], alpha, scale)
