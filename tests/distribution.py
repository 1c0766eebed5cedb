"""What tests of random numbers need: distribution functions by quadrature, and tests of fit.

Shares no code with the library: the textbook's formula for the loss, Gauss–Legendre panels.
"""

import functools
import math

import numpy as np

# A sample fails below this p-value. Seeds are fixed, so that a test passes always or never; were
# they not, one of the hundred samples that are tested would fail in a thousand runs of the suite.
SMALLEST_P = 1e-5


def textbook_loss(x, alpha):
    """At scale 1, for alpha some way off 0 and 2 or equal to one of them or inf."""
    half = 0.5 * x * x
    if alpha == 0:
        return np.log1p(half)
    if alpha == 2:
        return half
    if math.isinf(alpha):
        return np.expm1(np.minimum(half, 700.0))
    b = abs(alpha - 2)
    return b / alpha * ((1 + x * x / b) ** (alpha / 2) - 1)


@functools.cache
def _panels(alpha: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of panels x >= 0; nodes inside them, and the mass of each."""
    y = np.linspace(0.0, 40.0 if alpha < 0.3 else 12.0, 20_001)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    half = np.diff(y)[:, None] / 2
    inner = y[:-1, None] + half * (1 + nodes)
    x = np.sinh(inner)
    return np.sinh(y), x, np.exp(-textbook_loss(x, alpha)) * np.cosh(inner) * half * weights


def variance(alpha):
    """The variance at scale 1, for alpha > 0.3."""
    _, x, mass = _panels(alpha)
    return float(np.sum(mass * x * x) / np.sum(mass))


@functools.cache
def _table(alpha: float) -> tuple[np.ndarray, np.ndarray]:
    ends, _, mass = _panels(alpha)
    tail = np.concatenate([[0.0], np.cumsum(mass.sum(axis=1))])
    return ends, 0.5 + 0.5 * tail / tail[-1]


def cdf(x, alpha):
    """Distribution function at scale 1; linear between the nodes, right to about 1e-7."""
    if alpha == 0:
        return 0.5 + np.arctan(x / math.sqrt(2)) / math.pi
    nodes, values = _table(alpha)
    upper = np.interp(np.abs(x), nodes, values)
    return np.where(x < 0, 1 - upper, upper)


def kolmogorov_smirnov(values, alpha, scale=1.0):
    """The p-value of the hypothesis that values come from the distribution."""
    ordered = np.sort(np.asarray(values, dtype=float).ravel()) / scale
    n = ordered.size
    expected = cdf(ordered, alpha)
    steps = np.arange(n + 1) / n
    distance = max(np.max(steps[1:] - expected), np.max(expected - steps[:-1]))
    # Stephens, J. R. Statist. Soc. B 32 (1970) 115: the limit law serves from small n on.
    reach = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    if reach < 0.2:
        return 1.0
    return 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * reach) ** 2) for k in range(1, 101))
