"""log Z for vectors with the loss of `norm_law`, with two derivatives in α.

The density of a vector r of d components is e^(−ℓ(‖r‖/c)) / (c^d Z), so that

    Z(α) = S ∫₀^∞ ε^(d−1) e^(−ℓ(ε)) dε,    S = 2 π^(d/2)/Γ(d/2),

For d = 1 this is Z of the loss itself; at α = 2 it is (2π)^(d/2). At α = 0 the integrand falls like
ε^(d−3), so that for d >= 2 there is no Z, and no density.

# notation: as in norm_law; u = k sinh y, k as for the integrals of the loss
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from robloss._backends import evaluate
from robloss._distribution.integrals import width
from robloss._distribution.legendre import PLACES, SHARES
from robloss._fit.norm_law import law, law_by_alpha
from robloss._fit.sums import HostArray

# The distribution is used from this α upwards. Towards 0 nearly all of its mass moves out to
# lengths of (d/2)^(1/α) scales: at 0.1 these are about 60 scales for d = 3, and 10^10 for d = 20.
LEAST_ALPHA = 0.1
# Below the mode the integrand falls at least like e^(−h²) with the distance h from it.
_BELOW = 7.0
# The integral is cut where the integrand has fallen by e^(−this): the rest is less than a rounding.
_FALL = 45.0
# The finest detail of the integrand in y is 1/√(αd) wide, a tenth for d = 1000.
_PANEL = 4.0
_DRAWN = 10_000  # grid points of a density whose quantiles are plotted
_FARTHEST = 690.0  # its exponential is still finite


class Partition(NamedTuple):
    """Integrals over the distribution.

    Attributes
    ----------
    value, slope, bow : float
        log Z and its first and second derivative; at α = 2 the first is −inf, and the second NaN.
    median : float
        The median length, in scales, to within the distance of two nodes: 1 % or better.
    """

    value: float
    slope: float
    bow: float
    median: float


def _nodes(start: float, stop: float, panel: float) -> tuple[HostArray, HostArray]:
    """The nodes of a quadrature, and the logarithms of their weights."""
    edges = np.linspace(start, stop, 1 + math.ceil((stop - start) / panel))
    lengths = np.diff(edges)[:, None]
    places = edges[:-1, None] + lengths * np.asarray(PLACES)
    return places.ravel(), np.log(lengths * np.asarray(SHARES)).ravel()


def _end(components: int, alpha: float, k: float) -> float:
    """The y beyond which the integrand is negligible compared with its value at the mode."""
    m = math.sqrt(components - 1.0)
    y = np.arange(0.0, _FARTHEST, 0.25)
    u = k * np.sinh(y)
    # ℓ is at least m²/2 + ρ(u): a bound without an integral.
    rho = evaluate("loss", u, alpha, 1.0)
    bound = (components - 1) * np.log((m + u) / (m or 1.0)) if components > 1 else 0.0
    left = bound - rho + y
    return float(y[min(len(y) - 1, 1 + np.flatnonzero(left > -_FALL)[-1])])


@lru_cache(maxsize=1)
def _namespace() -> Any:
    return array_api_compat.array_namespace(np.empty(0))


def quantiles_of_length(shares: HostArray, alpha: float, components: int) -> HostArray:
    """Quantiles of the length, in scales, by interpolation on a grid: for plots."""
    xp, d, m = _namespace(), components, math.sqrt(components - 1.0)
    k = float(width(xp, np.asarray(alpha)))
    with np.errstate(all="ignore"):
        y = np.linspace(0.0, _end(d, alpha, k), _DRAWN)
        inside = np.linspace(max(0.0, m - _BELOW), m, _DRAWN)[:-1]
        epsilon = np.concatenate([inside, m + k * np.sinh(y)])
        logs = (d - 1) * np.log(epsilon) - law(xp, epsilon, d, alpha)[0]
    density = np.exp(logs - np.max(logs))
    parts = 0.5 * (density[1:] + density[:-1]) * np.diff(epsilon)
    below = np.concatenate([[0.0], np.cumsum(parts)])
    found: HostArray = np.interp(shares, below / below[-1], epsilon)
    return found


@lru_cache(maxsize=256)
def log_partition(alpha: float, components: int) -> Partition:
    """Log Z at an α between `LEAST_ALPHA` and 2, for vectors of so many components."""
    xp, d, m = _namespace(), components, math.sqrt(components - 1.0)
    k = float(width(xp, np.asarray(alpha)))
    with np.errstate(all="ignore"):
        inside, log_inside = _nodes(max(0.0, m - _BELOW), m, _BELOW)
        y, log_beyond = _nodes(0.0, _end(d, alpha, k), _PANEL)
        epsilon = np.concatenate([inside, m + k * np.sinh(y)])
        logs = np.concatenate([log_inside, log_beyond + np.log(k * np.cosh(y))])
        logs += (d - 1) * np.log(epsilon) - law(xp, epsilon, d, alpha)[0]
        largest = float(np.max(logs))
        mass = np.exp(logs - largest)
        total = float(np.sum(mass))
        surface = math.log(2.0) + 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d)
        value = surface + largest + math.log(total)
        # Nodes are in order; half the mass of each lies on either side of it.
        median = float(np.interp(0.5 * total, np.cumsum(mass) - 0.5 * mass, epsilon))
        if alpha == 2:
            return Partition(value, -math.inf, math.nan, median)
        slope, bow, _ = law_by_alpha(xp, epsilon, d, alpha)
        mean = float(np.sum(mass * slope)) / total
        spread = float(np.sum(mass * ((slope - mean) ** 2 - bow))) / total
    return Partition(value, -mean, spread, median)
