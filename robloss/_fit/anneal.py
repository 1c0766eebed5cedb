"""Graduated non-convexity: schedules from an easy objective to the one that is asked for.

The loss grows with α, so that the objectives for falling α form a nested family, beginning with the
convex one of least squares. Each stage starts where the previous one ended.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Barron 2019, section 3.2: the shapes of the registration experiment.
_BARRON = (2.0, 1.0, 0.5, 0.25, 0.0, -0.25, -0.5, -1.0, -2.0, -4.0, -8.0, -16.0, -32.0)
# At each stage Yang et al. 2020 divide their parameter by this, and Jung et al. 2023 multiply
# theirs.
_FACTOR = 1.4
# Where the schedule of Jung et al. begins and ends: α within 1 % of 2, then of the target.
_FIRST, _LAST = 0.01, 100.0
# Stands for a target of -inf: here the loss is within 2 % of its limit.
_LOWEST = -32.0


@dataclass(frozen=True)
class Stage:
    """An intermediate objective.

    Attributes
    ----------
    alpha : float
    widening : float
        The factor by which the scale is larger than the final one.
    """

    alpha: float
    widening: float = 1.0


def _barron(target: float) -> Iterator[Stage]:
    """The listed shapes above the target."""
    yield from (Stage(alpha) for alpha in _BARRON if alpha > target)


def _jung(target: float) -> Iterator[Stage]:
    """Shapes (α*μ + 2)/(μ + 1) with a growing μ, for the target α*."""
    end, mu = max(target, _LOWEST), _FIRST
    while mu < _LAST:
        yield Stage((end * mu + 2.0) / (mu + 1.0))
        mu *= _FACTOR


def _yang(target: float, largest: float) -> Iterator[Stage]:
    """The target shape at a shrinking scale: √μ times the final one, from μ = 2 r²/c̄² downwards.

    c̄ is 2c, as for the Geman–McClure loss; r is the largest residual at the start. This follows
    Yang et al. (remark 5) and GTSAM's GncOptimizer, which also ends with μ = 1 itself.
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
    """The intermediate objectives of a schedule.

    Parameters
    ----------
    schedule : str or tuple of float
        A name, or the shapes themselves.
    target : float
        The final shape, or the lowest one allowed.
    largest : callable
        Returns the largest residual at the start, in units of the final scale.
    """
    if not isinstance(schedule, str):
        return [Stage(alpha) for alpha in schedule]
    if schedule == SHRINKING:
        return list(_yang(target, largest()))
    return list(_barron(target) if schedule == "barron" else _jung(target))
