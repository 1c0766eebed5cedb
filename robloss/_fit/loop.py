"""The loop: reweighted least squares while far, Newton's method when near, never uphill.

Far from the optimum θ moves to the reweighted least-squares solution, which for fixed α <= 2 and
scale cannot raise F (the loss lies below the parabola that touches it), and (α, scale) take a
safeguarded Newton step. Once the predicted gain is small and F is convex around the point, all
parameters take one Newton step together. Every step is taken only if F does not rise.

A point is looked at once, for F and its derivatives; what only reweighting needs is asked for
where the step before was a reweighted one, and otherwise fetched if it is needed after all.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robloss._fit.likelihood import Likelihood, Local, Point, solve
from robloss._fit.sums import HostArray

# Newton's method takes over this near the optimum, in standard errors times √n, which is a distance
# in units of what a single row tells, and not nearer than one standard error: F is close to its
# parabola there, so that it finds the optimum that reweighting was heading for.
_NEAR = 0.1
_LONGEST_ALPHA = 0.5
_AT_TWO = 1e-3  # the distance from which α may be set to 2 at a fixed scale
_HALVINGS = 40


@dataclass
class Trace:
    """The iterates so far."""

    nll: list[float] = field(default_factory=list)
    alpha: list[float] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)

    def add(self, local: Local) -> None:
        """Record an iterate."""
        self.nll.append(local.nll)
        self.alpha.append(local.point.alpha)
        self.scale.append(local.point.scale)

    def refine(self, local: Local) -> None:
        """Put an iterate in the place of the last one, which it differs from by rounding."""
        for values in (self.nll, self.alpha, self.scale):
            values.pop()
        self.add(local)


@dataclass(frozen=True)
class Outcome:
    """Where the loop ended, and why."""

    local: Local
    status: str
    trace: Trace


class Loop:
    """Minimise F from a starting point."""

    def __init__(self, likelihood: Likelihood, tol: float, max_iter: int) -> None:
        self.likelihood = likelihood
        self.free = likelihood.free
        self.size = likelihood.data.size
        self.near = max(1.0, _NEAR * math.sqrt(likelihood.data.observations))
        self.tol = tol
        self.max_iter = max_iter

    def run(self, start: Point | Local) -> Outcome:
        """Iterate until the Newton step is `tol` standard errors long.

        Parameters
        ----------
        start : Point or Local
            Where to start, or what is already known of it.
        """
        local = self.likelihood.at(start, gram=True) if isinstance(start, Point) else start
        trace = Trace()
        trace.add(local)
        if not math.isfinite(local.nll):
            return Outcome(local, "not_finite", trace)
        last, before = math.inf, None
        for _ in range(self.max_iter):
            newton, length = self.newton(local)
            ends = newton is not None and self._expected(length, before) <= self.tol
            before = length if newton is not None and length <= self.near else None
            at_rounding = 0.5 * length**2 <= local.noise
            if length <= self.tol or (at_rounding and length > 0.5 * last):
                return self._settled(local, trace)
            floor = local.floor
            accepted = self._advance(local, newton, length, trace, ends)
            if accepted is not None:
                local = accepted
                (trace.refine if at_rounding else trace.add)(local)
            elif at_rounding:
                return self._settled(local, trace)
            else:
                return Outcome(local, "stalled", trace)
            if self.free.scale and local.point.scale <= max(floor, local.floor):
                return Outcome(local, "scale_floor", trace)
            last = length if at_rounding else math.inf
        return Outcome(local, "max_iter", trace)

    def _settled(self, local: Local, trace: Trace) -> Outcome:
        """Where F is flat: an optimum, or a place where all rows have lost their weight."""
        lost = local.total_weight < 0.5 * min(self.size, self.likelihood.data.observations)
        return Outcome(local, "no_weight" if lost else "converged", trace)

    def _held(self, local: Local) -> bool:
        """Whether α is on a bound and F would fall beyond it."""
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
        if self._held(local):
            index = np.delete(index, self.size)
        hessian = local.hessian[np.ix_(index, index)]
        gradient = local.gradient[index]
        part, values = solve(hessian, -gradient, self.likelihood.eps)
        # What is left of the gradient lies in directions in which F looks flat but is not.
        left = np.abs(gradient + hessian @ part)[: self.size]
        if np.any(values < 0) or np.any(left > local.gradient_noise):
            return None, math.inf
        step = np.zeros_like(local.gradient)
        step[index] = part
        length = math.sqrt(max(0.0, float(-gradient @ part)))
        return self._within_bounds(local, step, index), length

    def _within_bounds(self, local: Local, step: HostArray, index: NDArray[np.intp]) -> HostArray:
        """Stop α at its bound or longest step, and give the others their best step beside it."""
        if not self.free.alpha:
            return step
        limited = self._limited_alpha(local, step[self.size])
        if limited == step[self.size]:
            return step
        others = index[index != self.size]
        right = -local.gradient[others] - local.hessian[others, self.size] * limited
        matrix = local.hessian[np.ix_(others, others)]
        step[others], _ = solve(matrix, right, self.likelihood.eps)
        step[self.size] = limited
        return step

    def _limited_alpha(self, local: Local, move: float) -> float:
        """A move of α that is not too long and stays within the bounds."""
        low, high = self.free.bounds
        longest = _LONGEST_ALPHA
        from_two = abs(local.point.alpha - 2.0)
        if not self.free.scale and from_two > _AT_TWO:
            # At a fixed scale α = 2 is a cusp, and often a local minimum: do not jump into it.
            longest = min(longest, 0.5 * from_two)
        move = max(-longest, min(longest, move))
        return max(low - local.point.alpha, min(high - local.point.alpha, move))

    def _shape_step(self, local: Local) -> HostArray:
        """A step of (α, scale) alone, downhill whatever the sign of the curvature."""
        step = np.zeros_like(local.gradient)
        index = np.arange(self.size, len(step))
        if self._held(local):
            index = index[1:]
        if not len(index):
            return step
        values, vectors = np.linalg.eigh(local.hessian[np.ix_(index, index)])
        # n/100 is below the least information about (α, log scale) that n rows can carry near 2.
        steep = np.maximum(np.abs(values), 0.01 * self.likelihood.data.observations)
        part = -vectors @ ((vectors.T @ local.gradient[index]) / steep)
        step[index] = part / max(1.0, float(np.max(np.abs(part))))
        if self.free.alpha and not self.free.scale:
            step[self.size] = self._limited_alpha(local, step[self.size])
        return step

    def _proposals(
        self, local: Local, newton: HostArray | None, length: float
    ) -> Iterator[HostArray]:
        """Steps to try, the most promising first."""
        if newton is not None and length <= self.near:
            yield newton
        reweighted = np.zeros_like(local.gradient)
        reweighted[: self.size] = self.likelihood.reweighted(local)
        shape = self._shape_step(local)
        majorised = local.point.alpha <= 2
        for halving in range(_HALVINGS):
            part = 0.5**halving
            yield part * shape + (reweighted if majorised else part * reweighted)

    def _expected(self, length: float, before: float | None) -> float:
        """The length of the Newton step that will follow one of this length.

        It is of the order of its square, in units of what one row tells, or has by the last two
        steps (the one before this had the length `before`) turned out to be less.
        """
        rate = 1.0 / math.sqrt(self.likelihood.data.observations)
        return length**2 * (rate if before is None else min(rate, length / before**2))

    def _advance(
        self, local: Local, newton: HostArray | None, length: float, trace: Trace, ends: bool
    ) -> Local | None:
        """The first proposal that does not raise F; `ends`: a Newton step is likely the last."""
        beside = local if ends else None
        if 0.5 * length**2 <= local.noise:
            return self._refined(local, newton, length, trace, beside)
        for step in self._proposals(local, newton, length):
            again = step is not newton  # one reweighted step is likely to be followed by another
            trial = self.likelihood.at(
                self._moved(local, step), gram=again, beside=None if again else beside
            )
            if trial.nll <= local.nll and np.any(step):
                return trial
        return None

    def _refined(
        self,
        local: Local,
        newton: HostArray | None,
        length: float,
        trace: Trace,
        beside: Local | None,
    ) -> Local | None:
        """A Newton step whose gain rounding hides: the gradient tells whether it is good."""
        if newton is None:
            return None
        trial = self.likelihood.at(self._moved(local, newton), beside=beside)
        before = trace.nll[-2] if len(trace.nll) > 1 else math.inf
        if not trial.nll <= min(local.nll + local.noise, before):
            return None
        return trial if self.newton(trial)[1] < length else None

    def _moved(self, local: Local, step: HostArray) -> Point:
        point = local.point
        alpha, scale = point.alpha, point.scale
        if self.free.alpha:
            alpha = self.likelihood.rounded(alpha + step[self.size])
            scale = self.likelihood.moved(point, alpha).scale
        if self.free.scale:
            scale = max(local.floor, scale * math.exp(step[-1]))
        return Point(point.theta + point.scale * step[: self.size], alpha, scale)
