"""Residuals that are vectors: one weight for each, by what its length exceeds the usual one by.

# notation: ε = ‖r‖/c, d = number of components, m = √(d − 1), u = max(ε − m, 0),
#           b = 2 − α, t = 1 + u²/b

The length of d unit normal deviates has its mode at m, not at 0: a vector of that length is as
ordinary as can be, and weighs 1, as all shorter ones do; a longer one weighs w(u). The loss that
has these weights, ℓ'(ε) = ε w(u), is

    ℓ(ε) = min(ε, m)²/2 + ρ(u) + m ∫₀^u w,

which is ρ itself for d = 1. It is concave in ε² for α ≤ 2, so that reweighting cannot raise it.

T. Hitchcox, J. R. Forbes, "Mind the Gap: Norm-Aware Adaptive Robust Loss for Multivariate
Least-Squares Problems", IEEE Robotics and Automation Letters 7 (2022).
"""

import math
from typing import Any

import numpy as np

from robloss._backends import evaluate
from robloss._distribution.integrals import nodes, panels
from robloss._fit.arrays import ArrayData
from robloss._fit.linear_data import LinearData
from robloss._fit.options import Options
from robloss._fit.residual_data import ResidualData
from robloss._fit.sums import (
    NO_SHAPE,
    HostArray,
    Sums,
    Wanted,
    lengths,
    to_host,
    weighted_size,
)
from robloss._typing import Array

# Where the weight has fallen to e^(−this), what is left of its integral is below e^(−40) of it for
# α <= 0; above it that is farther away than 10^17 scales.
_FALL = 80.0
# From here on the weight is its limit at −∞ to rounding, for all u at which it is not negligible.
_LOWEST = -1e17


def checked_for_vectors(options: Options) -> None:
    """Refuse options that vectors do not have."""
    for name, value in (("alpha", options.alpha), ("scale", options.scale)):
        if value is None:
            raise ValueError(
                f'`{name}` must be a number where `residuals` returns vectors, but got "adapt". '
                "Give `alpha` and `scale` numbers."
            )
    if options.alpha is not None and options.alpha > 2:
        raise ValueError(
            f"`alpha` must be at most 2 where `residuals` returns vectors, but got "
            f"{options.alpha!r}. A loss that grows faster has weights above 1."
        )
    if options.truncation is not None:
        raise ValueError(
            f"`truncation` must be None where `residuals` returns vectors, but got "
            f"{options.truncation!r}. Leave it out: nothing is normalised there."
        )


def integral_of_weight(xp: Any, u: Array, alpha: float) -> Array:
    """∫₀^u w at scale 1, for α <= 2 and u >= 0, to 1e-14 of it (tests/fit/test_vectors.py)."""
    if alpha == 2:
        return u
    b = 2.0 - max(alpha, _LOWEST)
    fall = 2.0 * _FALL / b
    end = math.sqrt(b * math.expm1(fall)) if fall < 600.0 else math.inf
    m = xp.full_like(u, min(math.sqrt(b), 2.0))
    length = xp.asinh(xp.where(u < end, u, end) / m)
    zero = xp.zeros_like(u)
    total = zero
    for x, dx in nodes(xp, zero, panels(xp, length), m):
        total = total + xp.sum(dx * evaluate("weight", x, alpha, 1.0), axis=-1)
    return total * m


def excess(xp: Any, epsilon: Array, components: int) -> Array:
    """What a length in units of the scale exceeds the mode by."""
    beyond = epsilon - math.sqrt(components - 1.0)
    return xp.where(beyond > 0, beyond, xp.zeros_like(beyond))


class NormData(ArrayData):
    """The lengths of residuals (n,) and minus their slopes (n, q), around some parameters.

    Attributes
    ----------
    components : int
    """

    components = 2

    def influence(self, z: Array, alpha: float) -> Array:
        """The slope of the loss of a length."""
        return z * evaluate("weight", excess(self.xp, z, self.components), alpha, 1.0)


class VectorData(ResidualData):
    """A residual function with values (n, d), and their derivatives (n, d, q)."""

    def around(self, theta: HostArray) -> LinearData:
        """The lengths, and how they change with the parameters: ‖r + J δ‖ ≈ ‖r‖ + (r/‖r‖)·J δ."""
        xp = self.xp
        slopes, residuals = self._at(theta)
        norms = lengths(xp, residuals, residuals.shape[1])
        toward = residuals / xp.where(norms > 0, norms, xp.ones_like(norms))[:, None]
        data = NormData(xp, -xp.sum(toward[:, :, None] * slopes, axis=1), norms, intercept=False)
        data.components = residuals.shape[1]
        return data

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""
        xp = self.xp
        slopes, residuals = self._at(theta)
        (n, d), q = residuals.shape, self.size
        x, z = -slopes, residuals / scale
        epsilon = lengths(xp, z, d)
        u = excess(xp, epsilon, d)
        weight = evaluate("weight", u, alpha, 1.0)
        flat, each = xp.reshape(x, (n * d, q)), xp.repeat(weight, d)[:, None]
        along = xp.sum(x * z[:, :, None], axis=1)
        gram = xp.matrix_transpose(flat) @ (each * flat)
        bend = _weight_slope(xp, u, weight, alpha) / xp.where(u > 0, epsilon, xp.ones_like(u))
        hessian = gram + xp.matrix_transpose(along) @ (bend[:, None] * along)
        square = weight * epsilon * epsilon
        scalars = xp.stack(
            [xp.sum(_loss(xp, epsilon, u, d, alpha)), xp.sum(square), xp.sum(weight)]
        )
        loss, pull, total = (float(value) for value in to_host(scalars))
        # A scale that is given has no derivatives.
        return Sums(
            loss=loss,
            slope=to_host(xp.sum(weight[:, None] * along, axis=0)),
            pull=pull,
            stretch=math.nan,
            cross=np.full(q, math.nan),
            weight=total,
            squares=to_host(xp.sum(each * flat * flat, axis=0)),
            size=max(self.size_of_y, scale * weighted_size(pull, total)),
            hessian=to_host(hessian) if wanted.hessian else np.empty((0, 0)),
            gram=to_host(gram) if wanted.gram else np.empty((0, 0)),
            shape=NO_SHAPE,
            rows=(residuals, weight),
        )


def _loss(xp: Any, epsilon: Array, u: Array, components: int, alpha: float) -> Array:
    """ℓ(ε)."""
    m = math.sqrt(components - 1.0)
    inside = xp.where(u > 0, xp.full_like(epsilon, m), epsilon)
    beyond = evaluate("loss", u, alpha, 1.0) + m * integral_of_weight(xp, u, alpha)
    return 0.5 * inside * inside + beyond


def _weight_slope(xp: Any, u: Array, weight: Array, alpha: float) -> Array:
    """The derivative of the weight, −u w/t."""
    if alpha == 2:
        return xp.zeros_like(u)
    return -u * weight / (1.0 + u * u / (2.0 - alpha))
