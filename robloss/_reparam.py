"""Free real numbers ↔ (alpha, scale): what an optimiser without bounds can move."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from robloss._args import as_float
from robloss._backends import compose
from robloss._domains import Domain
from robloss._libraries import is_number
from robloss._typing import Array

# notation: l = the free number, w = high − low or initial − low, q = sigmoid(−|l|)
_FREE = Domain("free", -math.inf, math.inf, True, "")
_E = math.e
_E1 = math.expm1(1.0)


@dataclass(frozen=True, slots=True)
class AlphaMap:
    r"""Free numbers ↔ shapes between two bounds, by the logistic function.

    .. math::

        \alpha = \alpha_{lo} + (\alpha_{hi} - \alpha_{lo}) \, \sigma(\ell)

    0 gives the middle of the range, ±inf the bounds. Where ``low == high`` alpha is fixed: every
    free number maps to it, with derivative 0.

    Parameters
    ----------
    low, high : float, default 0.001 and 1.999
        The bounds of alpha, finite, ``low <= high``.

    Raises
    ------
    TypeError
        If a bound is not a real number.
    ValueError
        If a bound is NaN or infinite, or `low` is above `high`.

    See Also
    --------
    ScaleMap

    Notes
    -----
    The methods take numbers and arrays of any supported library, return results on the same device
    and in the same floating dtype, and are differentiable in torch and JAX. `forward` and
    `distances` have full relative accuracy at both ends: neither subtracts numbers that are nearly
    equal.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.
    The map and its defaults are those of the reference code, jonbarron/robust_loss_pytorch.

    Examples
    --------
    >>> from robloss import AlphaMap
    >>> shapes = AlphaMap(0.0, 2.0)
    >>> float(shapes.forward(0.0)), float(shapes.inverse(1.0))
    (1.0, 0.0)
    """

    low: float = 0.001
    high: float = 1.999

    def __post_init__(self) -> None:
        """Check the bounds."""
        low, high = _bound("low", self.low), _bound("high", self.high)
        if low > high:
            raise ValueError(
                f"`low` must not be above `high`, but got {low!r} and {high!r}. Swap them."
            )
        if not math.isfinite(high - low):
            raise ValueError(
                f"`high` must be a finite distance from `low`, but got {low!r} and {high!r}. "
                "Pass nearer bounds."
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def forward(self, free: Array) -> Array:
        """Shapes from free numbers: within the bounds, even after rounding."""
        return _mapped(partial(_alpha, self.low, self.high), free)

    def inverse(self, alpha: Array) -> Array:
        """Free numbers from shapes: ±inf at the bounds, 0 where alpha is fixed.

        Raises
        ------
        ValueError
            If a Python number or NumPy array leaves the bounds; in other libraries' arrays such a
            value gives NaN.
        """
        remedy = "Move it inside the bounds of this map, or widen them."
        domain = Domain("alpha", self.low, self.high, True, remedy)
        return _mapped(partial(_alpha_inverse, self.low, self.high), alpha, domain)

    def derivative(self, free: Array) -> Array:
        """d alpha/d free: (high − low) σ(l) σ(−l), which is positive and at most (high − low)/4."""
        return _mapped(partial(_alpha_derivative, self.low, self.high), free)

    def distances(self, free: Array) -> tuple[Array, Array]:
        """alpha − low and high − alpha, each accurate relative to its own size."""
        width = self.high - self.low
        return (
            _mapped(partial(_share, width, 1.0), free),
            _mapped(partial(_share, width, -1.0), free),
        )


@dataclass(frozen=True, slots=True)
class ScaleMap:
    r"""Free numbers ↔ scales above a bound, by the softplus function.

    .. math::

        c = c_{lo} + (c_0 - c_{lo}) \log(1 + (e - 1) e^{\ell})

    0 gives `initial`, −inf the bound; the scale grows as e^l below 0 and linearly above. Where
    ``low == initial`` the scale is fixed: every free number maps to it, with derivative 0.

    Parameters
    ----------
    low : float, default 1e-5
        The lower bound of the scale, finite, at least 0.
    initial : float, default 1.0
        The scale at the free number 0, finite, positive, ``low <= initial``.

    Raises
    ------
    TypeError
        If a bound is not a real number.
    ValueError
        If a bound is NaN, infinite or negative, `initial` is 0, or `low` is above `initial`.

    See Also
    --------
    AlphaMap

    Notes
    -----
    Like those of `AlphaMap`, the methods take numbers and arrays. `forward` and `distance` have
    full relative accuracy at both ends, and `forward` is exact at 0.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.
    The map and its defaults are those of the reference code, jonbarron/robust_loss_pytorch.

    Examples
    --------
    >>> from robloss import ScaleMap
    >>> scales = ScaleMap(initial=3.0)
    >>> float(scales.forward(0.0)), float(scales.inverse(3.0))
    (3.0, 0.0)
    """

    low: float = 1e-5
    initial: float = 1.0

    def __post_init__(self) -> None:
        """Check the bounds."""
        low, initial = _bound("low", self.low), _bound("initial", self.initial)
        for name, value, legal, least in (
            ("low", low, low >= 0, ">= 0"),
            ("initial", initial, initial > 0, "> 0"),
        ):
            if not legal:
                raise ValueError(
                    f"`{name}` must be {least}, but got {value!r}. A scale is a positive width."
                )
        if low > initial:
            raise ValueError(
                f"`initial` must not be below `low`, but got {initial!r} and {low!r}. "
                "Pass an `initial` scale above the bound."
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "initial", initial)

    def forward(self, free: Array) -> Array:
        """Scales from free numbers: never below the bound, even after rounding."""
        return _mapped(partial(_scale, self.low, self.initial), free)

    def inverse(self, scale: Array) -> Array:
        """Free numbers from scales: −inf at the bound, 0 where the scale is fixed.

        Raises
        ------
        ValueError
            If a Python number or NumPy array lies below the bound (or differs from a fixed scale);
            in other libraries' arrays such a value gives NaN.
        """
        high = self.low if self.low == self.initial else math.inf
        remedy = "Move it above the bound of this map, or lower the bound."
        domain = Domain("scale", self.low, high, True, remedy)
        return _mapped(partial(_scale_inverse, self.low, self.initial), scale, domain)

    def derivative(self, free: Array) -> Array:
        """d scale/d free, which is positive and below initial − low."""
        return _mapped(partial(_scale_derivative, self.low, self.initial), free)

    def distance(self, free: Array) -> Array:
        """Scale − low, accurate relative to its own size."""
        return _mapped(partial(_above, self.initial - self.low), free)


def _bound(name: str, value: Any) -> float:
    """A bound as float: in a narrow dtype of its own, distances would be rounded to that."""
    if not is_number(value) and not isinstance(value, np.floating | np.integer):
        raise TypeError(
            f"`{name}` must be a real number, but got {type(value).__name__}. "
            "One map has one pair of bounds."
        )
    bound = as_float(name, value)
    if not math.isfinite(bound):
        raise ValueError(f"`{name}` must be finite, but got {bound!r}. Pass a finite bound.")
    return bound


def _mapped(function: Callable[..., Array], value: Array, domain: Domain = _FREE) -> Array:
    """Apply a function of one array; NumPy scalars and numbers give NumPy scalars."""
    # Bounds are rounded to the dtype of an array they are compared with, not to a scalar's.
    is_narrow = isinstance(value, np.generic) and value.dtype.itemsize < 8
    result = compose(partial(_on_array, function), (domain,), value[None] if is_narrow else value)
    if is_narrow:
        return result[0]
    return result[()] if isinstance(result, np.ndarray) else result


def _on_array(function: Callable[..., Array], xp: Any, value: Array) -> Array:
    return function(xp, xp.asarray(value) if is_number(value) else value)


# -------------------------------------------------------------------------------------- formulas
# Of two branches both are computed: the one that is not taken gets a harmless number.


def _small_sigmoid(xp: Any, free: Array) -> Array:
    """q = σ(−|l|), at most ½. Its slope at 0, where |l| has none, is that of σ."""
    power = xp.exp(xp.where(free > 0, -free, free))
    return power / (1 + power)


def _share(width: float, sign: float, xp: Any, free: Array) -> Array:
    """Width σ(sign l): the distance to the bound that l → −sign inf leads to."""
    q = _small_sigmoid(xp, free)
    return width * xp.where(sign * free > 0, 1 - q, q)


def _alpha(low: float, high: float, xp: Any, free: Array) -> Array:
    distance = (high - low) * _small_sigmoid(xp, free)
    return xp.where(free > 0, high - distance, low + distance)


def _alpha_derivative(low: float, high: float, xp: Any, free: Array) -> Array:
    q = _small_sigmoid(xp, free)
    return (high - low) * (q * (1 - q))


def _alpha_inverse(low: float, high: float, xp: Any, alpha: Array) -> Array:
    if low == high:
        return xp.where(alpha == low, 0 * alpha, math.nan)
    width = high - low
    return xp.log((alpha - low) / width) - xp.log((high - alpha) / width)


def _above(width: float, xp: Any, free: Array) -> Array:
    """Width log(1 + (e − 1) e^l)."""
    is_positive = free > 0
    power = xp.exp(xp.where(is_positive, -free, free))
    linear = xp.where(is_positive, free, 0.0) + xp.log(_E1 + power)
    return width * xp.where(is_positive, linear, xp.log1p(_E1 * power))


def _scale(low: float, initial: float, xp: Any, free: Array) -> Array:
    """About `low` below l = 0, about `initial` above, where the softplus is near 1."""
    width = initial - low
    is_negative = free < 0
    below = low + _above(width, xp, xp.where(is_negative, free, 0.0))
    positive = xp.where(is_negative, 0.0, free)
    above = initial + width * (positive + xp.log1p(xp.expm1(-positive) / _E))
    return xp.where(is_negative, below, above)


def _scale_derivative(low: float, initial: float, xp: Any, free: Array) -> Array:
    is_positive = free > 0
    power = xp.exp(xp.where(is_positive, -free, free))
    rising = _E1 / (_E1 + power)
    return (initial - low) * xp.where(is_positive, rising, _E1 * power / (1 + _E1 * power))


def _scale_inverse(low: float, initial: float, xp: Any, scale: Array) -> Array:
    """With d = (c − low)/w and δ = d − 1: three forms, so that l keeps its digits at 0 and −inf."""
    if low == initial:
        return xp.where(scale == low, 0 * scale, math.nan)
    width = initial - low
    excess = (scale - initial) / width
    is_far = ~(excess > -0.5)  # NaN goes this way
    up = xp.where(excess > 0, excess, 0.0)
    near = xp.where(is_far | (excess > 0), 0.0, excess)
    far = xp.where(is_far, (scale - low) / width, 0.5)
    below = xp.where(is_far, xp.log(xp.expm1(far) / _E1), xp.log1p(xp.expm1(near) * (_E / _E1)))
    return xp.where(excess > 0, up + xp.log1p(-xp.expm1(-up) / _E1), below)
