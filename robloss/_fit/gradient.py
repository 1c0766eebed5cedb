"""Joint minimisation by first derivatives: limited-memory BFGS.

The time of a step is proportional to the number of columns, that of Newton's method and reweighting
to its square. It minimises the same F, in the same loop.

J. Nocedal, S. Wright, "Numerical Optimization", 2006, section 7.2.
"""

import math
from collections import deque

import numpy as np

from robloss._fit.likelihood import Likelihood, Local, Point, shift
from robloss._fit.loop import HALVINGS, Loop, Trace, Watch
from robloss._fit.sums import HostArray

# Number of steps remembered. With 10, fits of 50 to 400 columns took up to 5 % more steps than with
# 20; with 40 up to 10 % fewer, each of which costs more.
_MEMORY = 20
_ARMIJO = 1e-4  # the share of the predicted gain that a step must achieve
# A pair of differences carries information on the curvature if it is this far from rounding.
_CURVED = 1e-12


class GradientLoop(Loop):
    """Minimise F from a starting point by its gradient."""

    def __init__(
        self, likelihood: Likelihood, tol: float, max_iter: int, watch: Watch | None = None
    ) -> None:
        super().__init__(likelihood, tol, max_iter, watch)
        self._pairs: deque[tuple[HostArray, HostArray]] = deque(maxlen=_MEMORY)

    def first(self, start: Point) -> Local:
        """F and its gradient at the start."""
        return self.likelihood.at(start, hessian=False)

    def newton(self, local: Local) -> tuple[HostArray | None, float]:
        """The quasi-Newton step, and its length in (approximate) standard errors."""
        if not math.isfinite(local.nll):
            return None, math.inf
        unit = self._unit(local)
        moving = np.ones_like(unit)
        if self.held(local):
            moving[self.size] = 0.0
        slope = moving * local.gradient / unit
        step = moving * self._downhill(local, slope, moving) / unit
        length = math.sqrt(max(0.0, float(-local.gradient @ step)))
        if self.free.alpha:
            step[self.size] = self.limited_alpha(local, step[self.size])
        return step, length

    def _unit(self, local: Local) -> HostArray:
        """The unit of each coordinate of `Local` in those of the pairs: θ, α, log c − g(α)."""
        unit = np.ones_like(local.gradient)
        unit[: self.size] = local.point.scale
        return unit

    def _downhill(self, local: Local, slope: HostArray, moving: HostArray) -> HostArray:
        """Minus the approximate inverse Hessian times the slope: the two-loop recursion."""
        diagonal = local.diagonal / self._unit(local) ** 2
        diagonal[self.size :] = np.maximum(
            diagonal[self.size :], 0.01 * self.likelihood.data.observations
        )
        diagonal[diagonal == 0] = 1.0
        pairs = [(moving * s, moving * y) for s, y in self._pairs]
        pairs = [(s, y) for s, y in pairs if _is_curved(s, y)]
        rest, parts = slope, []
        for s, y in reversed(pairs):
            part = (s @ rest) / (s @ y)
            rest = rest - part * y
            parts.append(part)
        step = rest / diagonal
        for (s, y), part in zip(pairs, reversed(parts), strict=True):
            step = step + (part - (y @ step) / (s @ y)) * s
        return -step

    def advance(
        self,
        local: Local,
        newton: HostArray | None,
        length: float,
        trace: Trace,  # noqa: ARG002 - it and what follows are for steps of second order
        ends: bool,  # noqa: ARG002
    ) -> Local | None:
        """The first point along the step where F has fallen enough."""
        for _ in range(2):
            accepted = None if newton is None else self._along(local, newton, length)
            if accepted is not None:
                self._remember(local, accepted)
                return accepted
            if not self._pairs:
                break
            self._pairs.clear()  # they are misleading: try again with the diagonal alone
            newton, length = self.newton(local)
        return None

    def _along(self, local: Local, step: HostArray, length: float) -> Local | None:
        at_rounding = 0.5 * length**2 <= local.noise
        gain = float(-local.gradient @ step)
        if gain <= 0 and not at_rounding:
            return None
        for halving in range(1 if at_rounding else HALVINGS):
            part = 0.5**halving
            most = local.nll - (0.0 if at_rounding else _ARMIJO * part * gain)
            trial = self.tried(self.moved(local, part * step), most, hessian=False)
            if trial is not None and (not at_rounding or self.newton(trial)[1] < length):
                return trial
        return None

    def _remember(self, before: Local, after: Local) -> None:
        s = self._place(after) - self._place(before)
        y = after.gradient / self._unit(after) - before.gradient / self._unit(before)
        if _is_curved(s, y):
            self._pairs.append((s, y))

    def _place(self, local: Local) -> HostArray:
        point = local.point
        more = []
        if self.free.alpha:
            more.append(point.alpha)
        if self.free.scale:
            more.append(math.log(point.scale) - shift(point.alpha))
        return np.append(point.theta, more)


def _is_curved(s: HostArray, y: HostArray) -> bool:
    return bool(s @ y > _CURVED * math.sqrt((s @ s) * (y @ y)))
