"""Graduated non-convexity: ways from an easy objective to the one that is wanted.

The loss grows with α, so that objectives of falling α form a nested family that begins with the
convex one of least squares; each stage starts where the one before ended.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Barron 2019, section 3.2: the list that its registration experiment anneals along.
_BARRON = (2.0, 1.0, 0.5, 0.25, 0.0, -0.25, -0.5, -1.0, -2.0, -4.0, -8.0, -16.0, -32.0)
# Yang et al. 2020 and Jung et al. 2023 divide and multiply their parameter by this at each stage.
_FACTOR = 1.4
# Where the way of Jung et al. begins and ends: α within 1 % of 2, then of the target.
_FIRST, _LAST = 0.01, 100.0
# α of -inf is aimed at from here, where the loss is within 2 % of its limit.
_LOWEST = -32.0


@dataclass(frozen=True)
class Stage:
    """An objective on the way.

    Attributes
    ----------
    alpha : float
    widening : float
        By which the scale is larger than at the end.
    """

    alpha: float
    widening: float = 1.0


def _barron(target: float) -> Iterator[Stage]:
    """The listed shapes above the target."""
    yield from (Stage(alpha) for alpha in _BARRON if alpha > target)


def _jung(target: float) -> Iterator[Stage]:
    """Shapes (α*μ + 2)/(μ + 1) with a growing μ."""
    end, mu = max(target, _LOWEST), _FIRST
    while mu < _LAST:
        yield Stage((end * mu + 2.0) / (mu + 1.0))
        mu *= _FACTOR


def _yang(target: float, largest: float) -> Iterator[Stage]:
    """The shape that is wanted, at a shrinking scale: √μ times it, from 2 r²/c̄² on.

    c̄ is 2c, as it is for Geman and McClure's loss; r is the largest residual at the start. So do
    Yang et al. (remark 5) and GTSAM's GncOptimizer; like it, this ends with μ = 1 itself.
    """
    mu = 0.5 * largest**2
    while mu > 1.0:
        yield Stage(target, math.sqrt(mu))
        mu /= _FACTOR


SHRINKING = "yang"  # the one schedule that moves the scale: alpha and scale must be fixed
SCHEDULES = ("barron", "jung", SHRINKING)


def stages(
    schedule: str | tuple[float, ...], target: float, largest: Callable[[], float]
) -> list[Stage]:
    """The objectives before the one that is wanted.

    Parameters
    ----------
    schedule : str or tuple of float
        A name, or the shapes themselves.
    target : float
        The shape that is wanted, or the lowest that it may take.
    largest : callable
        Gives the largest residual at the start, in units of the scale that is wanted.
    """
    if not isinstance(schedule, str):
        return [Stage(alpha) for alpha in schedule]
    if schedule == SHRINKING:
        return list(_yang(target, largest()))
    return list(_barron(target) if schedule == "barron" else _jung(target))
