"""The loss for SciPy's least squares: ``scipy.optimize.least_squares`` and ``curve_fit``.

This module does not import SciPy; SciPy calls the loss.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robloss._args import number_in
from robloss._domains import ALPHA, SCALE
from robloss._loss import evaluate

__all__ = ["f_scale", "least_squares_loss"]

# notation: z = (f/f_scale)², b = |α − 2|, σ = sign(α − 2), h = b/2; at α = ±∞ b = 2 and h = 1

_Floats = npt.NDArray[np.float64]

_HALVES = 2.0**27 + 1  # Veltkamp's constant: it parts a float64 into two of 26 bits
# Elements done at once: 10⁵ took 3.3 ms so, and 7.4 with temporary arrays of their whole length.
_PIECE = 2**14
_SMALL = 2.0**-480  # |x| below which ρ = x²/2 to working precision, and x² may be subnormal


def f_scale(alpha: float, scale: float = 1.0) -> float:
    r"""The `f_scale` of SciPy that belongs to a shape and scale.

    .. math::

        f_\text{scale} = c \sqrt{|\alpha - 2|}

    SciPy does not measure residuals in units of `scale`, but in the unit in which its named losses
    are simplest.

    Parameters
    ----------
    alpha : float
        Shape: any real number, or ±inf.
    scale : float, default 1.0
        Width of the quadratic part, in the unit of the residuals; in (0, inf).

    Returns
    -------
    float
        In the unit of the residuals. It is √2·scale at ±inf. At alpha = 2 it is `scale`: there
        `least_squares_loss` does not depend on `f_scale`, but SciPy does not accept 0.

    Raises
    ------
    TypeError
        If `alpha` or `scale` is not a number.
    ValueError
        If `alpha` is NaN or `scale` leaves (0, inf).

    See Also
    --------
    least_squares_loss : the loss to use it with.
    robloss.conventions : conversions for the named losses of other packages.

    Examples
    --------
    >>> from robloss.scipy import f_scale
    >>> f_scale(1.0, 3.0), f_scale(-2.0, 3.0), f_scale(2.0, 3.0)
    (3.0, 6.0, 3.0)
    """
    shape, width = number_in(ALPHA, alpha), number_in(SCALE, scale)
    if shape == 2:
        return width
    return width * math.sqrt(_distance(shape)[0])


def least_squares_loss(alpha: float) -> "_LeastSquaresLoss":
    r"""The general robust loss as `loss` of ``scipy.optimize.least_squares``.

    .. math::

        \rho(z) = \frac{2}{\alpha} \left[(1 + z)^{\alpha/2} - 1\right], \quad
        z = (f / f_\text{scale})^2

    With ``f_scale=f_scale(alpha, scale)`` SciPy minimises Σρ(f, alpha, scale) of this package; the
    `cost` that it reports is scale² times that sum.

    Parameters
    ----------
    alpha : float
        Shape: any real number, or ±inf.

    Returns
    -------
    callable
        Takes z, an array of shape (m,), and returns ρ, dρ/dz and d²ρ/dz² in an array of shape
        (3, m). It can be pickled and compared for equality.

    Raises
    ------
    TypeError
        If `alpha` is not a number.
    ValueError
        If `alpha` is NaN.

    See Also
    --------
    f_scale : the width to use with it.
    robloss.fit_linear : adapts shape and scale as well.

    Notes
    -----
    At the removable singularities the value is the limit. Three members are losses of SciPy's own:

    ======  =====================  =================
    alpha   ρ(z)                   loss of SciPy
    ======  =====================  =================
    -inf    1 - exp(-z)
    -2      z/(1 + z)
    0       log(1 + z)             cauchy
    1       2 (sqrt(1 + z) - 1)    soft_l1
    2       z                      linear
    inf     exp(z) - 1
    ======  =====================  =================

    At alpha = 2 this is least squares, whatever `f_scale` is. SciPy's method "lm" supports no loss.

    Each row is within 6 ulp of its true value wherever that is a normal number; for alpha > 2 also
    ρ(f, alpha, scale) and dρ/dz must be finite there (tests/unit/test_scipy_front.py).

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import least_squares
    >>> from robloss.scipy import f_scale, least_squares_loss
    >>> y = np.array([1.0, 1.2, 0.9, 1.1, 9.0])
    >>> fit = least_squares(
    ...     lambda theta: theta - y, 1.0, loss=least_squares_loss(-2.0), f_scale=f_scale(-2.0, 0.2)
    ... )
    >>> print(f"{fit.x[0]:.4f}, mean {y.mean():.4f}")
    1.0500, mean 2.6400
    """
    return _LeastSquaresLoss(number_in(ALPHA, alpha))


@dataclass(frozen=True)
class _LeastSquaresLoss:
    alpha: float

    def __call__(self, z: Any) -> _Floats:
        """Compute ρ, dρ/dz and d²ρ/dz²."""
        z = np.asarray(z, np.float64)
        rows = np.empty((3, z.size))
        with np.errstate(all="ignore"):
            for start in range(0, z.size, _PIECE):
                piece = slice(start, start + _PIECE)
                self._fill(z.reshape(-1)[piece], *rows[:, piece])
        return rows.reshape((3, *z.shape))

    def _fill(self, z: _Floats, loss: _Floats, slope: _Floats, bend: _Floats) -> None:
        """Scale the package's ρ and w at x = √(b z), which are ρ h and dρ/dz of the same z.

        `curvature` has d²ρ/dz² in it, but as a small difference where z is small.
        """
        if self.alpha == 2:
            loss[:], slope[:], bend[:] = z, 1.0, 0.0
            return
        sign = math.copysign(1.0, self.alpha - 2)
        half = _distance(self.alpha)[0] / 2
        x, excess = self._residual(z)
        evaluate(x, self.alpha, outputs=("loss", "weight"), out=(loss, slope))
        # Large exponents magnify the rounding of x: what it took from z is put back, to first
        # order. d log w/d log z is large only where w is 0 or inf, and clipped there.
        power = sign * z if math.isinf(self.alpha) else sign * half * (z / (1 + z))
        slope *= 1 + np.clip(np.where(excess == 0, 0.0, power * excess), -0.5, 0.5)
        change = z * excess * slope
        loss /= half
        loss += np.where(np.isfinite(change), change, 0.0)
        np.copyto(loss, z, where=x < _SMALL)
        if math.isinf(self.alpha):
            np.multiply(sign, slope, out=bend)
        else:
            np.multiply(sign * half / (1 + z), slope, out=bend)
            np.copyto(bend, _bend_at_infinity(self.alpha), where=np.isinf(z))

    def _residual(self, z: _Floats) -> tuple[_Floats, _Floats]:
        """Return x = √(b z), rounded, and by which part of x² exact b z exceeds it."""
        distance, rest = _distance(self.alpha)
        ordinary = (z > 0) & (z < math.inf)
        of_b, exponent_b = _even_frexp(np.asarray(distance))
        of_z, exponent_z = _even_frexp(np.where(ordinary, z, 1.0))
        product, product_rest = _exact_product(of_b, of_z)
        root = np.sqrt(product)
        square, square_rest = _exact_product(root, root)
        excess = ((product - square) + (product_rest - square_rest)) / product + rest / distance
        x = np.ldexp(root, (exponent_b + exponent_z) // 2)
        return np.where(ordinary, x, np.sqrt(z)), np.where(ordinary, excess, 0.0)


def _distance(alpha: float) -> tuple[float, float]:
    """b, and what rounding took from it."""
    if math.isinf(alpha):
        return 2.0, 0.0
    difference = alpha - 2
    rest = math.fsum((alpha, -2.0, -difference))
    return abs(difference), math.copysign(1.0, difference) * rest


def _bend_at_infinity(alpha: float) -> float:
    """Return the limit of d²ρ/dz² as z → ∞, for finite alpha."""
    if alpha == 4:
        return 1.0
    return 0.0 if alpha < 4 else math.inf


def _even_frexp(values: _Floats) -> tuple[_Floats, Any]:
    """Part values into mantissas in [½, 2) and even exponents of two."""
    mantissa, exponent = np.frexp(values)
    odd = exponent % 2
    return np.ldexp(mantissa, odd), exponent - odd


def _exact_product(a: _Floats, b: _Floats) -> tuple[_Floats, _Floats]:
    """Return the rounded product and what rounding took from it, after Dekker."""
    product = a * b
    a_high, b_high = ((one * _HALVES) - (one * _HALVES - one) for one in (a, b))
    a_low, b_low = a - a_high, b - b_high
    rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, rest
