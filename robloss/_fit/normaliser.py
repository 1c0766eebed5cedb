"""The normaliser of a fit's distribution: log Z with two derivatives in α, for a single α."""

import math
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import array_api_compat
import numpy as np

from robloss._backends import evaluate
from robloss._distribution.density import log_partition
from robloss._distribution.integrals import both_ends, nodes, span, width
from robloss._fit.norm_partition import LEAST_ALPHA
from robloss._fit.norm_partition import log_partition as of_vectors

# The step of a difference quotient, relative to |α − 2| (or 1, far from 2). With slopes accurate to
# 1e-12 the second derivative is accurate to 1e-8; a Newton step needs three digits.
_STEP = 1e-4


@cache
def _untruncated() -> Any:
    """Log Z and two derivatives at one α; imports Numba."""
    return import_module("robloss._kernels.partition").at


@dataclass(frozen=True)
class Normaliser:
    """log Z(α), or that of the distribution truncated at ±τ scales.

    Without a truncation, log Z and its derivatives are 0 below α = 0 (for vectors: below
    `LEAST_ALPHA`), where Z does not exist or is not usable: the shape is not estimated there.

    Attributes
    ----------
    truncation : float, or None
    components : int
        How many numbers a residual is made of.
    """

    truncation: float | None = None
    components: int = 1

    @property
    def least_alpha(self) -> float:
        """The smallest α for which log Z is used."""
        if self.truncation is not None:
            return -math.inf
        return 0.0 if self.components == 1 else LEAST_ALPHA

    def _whole(self, alpha: float) -> tuple[float, float, float]:
        """Log Z of the distribution without truncation, and two derivatives."""
        if alpha < self.least_alpha:
            return 0.0, 0.0, 0.0
        if self.components > 1:
            return of_vectors(float(alpha), self.components)[:3]
        value, slope, bow = _untruncated()(float(alpha))
        return float(value), float(slope), float(bow)

    def value(self, alpha: float) -> float:
        """Log Z."""
        if self.truncation is None:
            return self._whole(alpha)[0]
        return float(log_partition(alpha, truncation=self.truncation))

    def slope(self, alpha: float) -> float:
        """d log Z/dα = −E[∂ρ/∂α]; infinite at α = 2."""
        if self.truncation is None:
            return self._whole(alpha)[1]
        return -_mean_grad_alpha(alpha, self.truncation)

    def bow(self, alpha: float) -> float:
        """d² log Z/dα², as accurate as a step needs it, at an α other than 2."""
        if self.truncation is None:
            return self._whole(alpha)[2]
        step = _STEP * min(1.0, abs(alpha - 2.0))
        return (self.slope(alpha + step) - self.slope(alpha - step)) / (2 * step)

    def slope_by_truncation(self, alpha: float) -> float:
        """d² log Z/(dα d log τ): how the slope changes with the logarithm of the truncation."""
        tau = self.truncation
        if tau is None:
            return 0.0
        end = math.exp(-float(evaluate("loss", tau, alpha, 1.0)) - self.value(alpha))
        at_end = float(evaluate("grad_alpha", tau, alpha, 1.0))
        return 2 * tau * end * (-at_end - self.slope(alpha))


def _mean_grad_alpha(alpha: float, truncation: float) -> float:
    """E[∂ρ/∂α] under the truncated distribution of scale 1."""
    xp = array_api_compat.array_namespace(np.empty(0))
    bottom, top, shape = np.asarray(0.0), np.asarray(truncation), np.asarray(alpha)
    m = width(xp, shape)
    places = both_ends(xp, span(xp, bottom, top, m))
    mass = moment = 0.0
    for x, dx in nodes(xp, bottom, places, m):
        density = dx * np.exp(-evaluate("loss", x, alpha, 1.0))
        mass += float(np.sum(density))
        moment += float(np.sum(density * evaluate("grad_alpha", x, alpha, 1.0)))
    return moment / mass
