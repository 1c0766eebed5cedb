"""The reference: every quantity in ball arithmetic, sharing no code with the library.

Each function is named as the operation it checks, takes Python floats (exact doubles) and returns
a `flint.arb` with at least `BITS` good bits, or the exact limit where an argument is infinite.
Balls are rigorous enclosures: a value is right because its radius is small, not because two runs
agree. A value whose magnitude lies below 2**-1200 or above 2**1200 is returned as soon as that is
known: no float of any library can hold it. The flint context is left as it was found.
"""

import functools
import math
from collections.abc import Callable
from fractions import Fraction

from flint import acb, arb, ctx

BITS = 80
INF = arb("inf")
NEG_INF = -INF
NAN = arb("nan")
TINY, HUGE = arb(2) ** -1200, arb(2) ** 1200
# An exponent past this is an overflow (or underflow) whatever representable factor goes with it.
EXPONENT_CAP = 100_000

# notation: s = (x/scale)^2, b = |alpha-2|, sigma = sign(alpha-2), t = s/b, L = log1p(t),
#           E = alpha L/2, W = scale^2 weight = exp(sigma b L/2)


# ---------------------------------------------------------------------------------- the machinery


def _good(value: arb, bits: int) -> bool:
    if not value.is_finite():
        return False
    return value.rel_accuracy_bits() >= bits or abs(value) < TINY or abs(value) > HUGE


def _refined(evaluate: Callable[[], arb], bits: int = BITS) -> arb:
    """Evaluate with doubled precision until the ball is small enough."""
    for doubling in range(12):
        with ctx.workprec(128 << doubling):
            value = evaluate()
            if value is INF or value is NAN or value is NEG_INF or _good(value, bits):
                return value
    raise ArithmeticError("no precision tried was enough")


def _any_nan(*numbers: float) -> bool:
    return any(math.isnan(number) for number in numbers)


def _size(x: float, scale: float) -> arb:
    return (arb(x) / arb(scale)) ** 2


def _weight_at(s: arb, alpha: float) -> arb:
    """scale^2 weight at finite s (INF where it overflows every float)."""
    if alpha == 2:
        return arb(1)
    if math.isinf(alpha):
        exponent = s / 2 if alpha > 0 else -s / 2
    else:
        b = abs(arb(alpha) - 2)
        exponent = (b / 2) * (s / b).log1p() * (1 if alpha > 2 else -1)
    if exponent > EXPONENT_CAP:
        return INF
    if exponent < -EXPONENT_CAP:
        return arb(-EXPONENT_CAP).exp() * arb(0, 1)
    return exponent.exp()


def _gaussian_limit(alpha: float, at_two: arb, below: arb, above: arb) -> arb:
    return at_two if alpha == 2 else below if alpha < 2 else above


# ------------------------------------------------------------------------- elementwise operations


def loss(x: float, alpha: float, scale: float = 1.0) -> arb:
    """rho."""
    if _any_nan(x, alpha, scale):
        return NAN
    if math.isinf(x):
        if alpha >= 0:
            return INF
        return arb(1) if math.isinf(alpha) else _refined(lambda: (arb(alpha) - 2) / arb(alpha))

    def evaluate() -> arb:
        s = _size(x, scale)
        if alpha == 2:
            return s / 2
        if math.isinf(alpha):
            if alpha < 0:
                return -(-s / 2).expm1()
            return INF if s > 2 * EXPONENT_CAP else (s / 2).expm1()
        b = abs(arb(alpha) - 2)
        log_term = (s / b).log1p()
        if alpha == 0:
            return b * log_term / 2
        exponent = arb(alpha) * log_term / 2
        if exponent > EXPONENT_CAP:
            return INF
        if exponent < -EXPONENT_CAP:
            return -b / arb(alpha) * (1 - arb(-EXPONENT_CAP).exp() * arb(0, 1))
        return b / arb(alpha) * exponent.expm1()

    return _refined(evaluate)


def influence(x: float, alpha: float, scale: float = 1.0) -> arb:
    """Derivative of rho in x."""
    if _any_nan(x, alpha, scale):
        return NAN
    if math.isinf(x):
        if alpha < 1:
            return arb(0)
        if alpha == 1:
            return _refined(lambda: math.copysign(1, x) / arb(scale))
        return INF if x > 0 else NEG_INF

    def evaluate() -> arb:
        w = _weight_at(_size(x, scale), alpha)
        if w is INF:
            return INF if x > 0 else NEG_INF
        return arb(x) / arb(scale) ** 2 * w

    return _refined(evaluate)


def weight(x: float, alpha: float, scale: float = 1.0) -> arb:
    """influence / x, continued to x = 0."""
    if _any_nan(x, alpha, scale):
        return NAN
    if math.isinf(x):
        return _gaussian_limit(alpha, _refined(lambda: 1 / arb(scale) ** 2), arb(0), INF)

    def evaluate() -> arb:
        w = _weight_at(_size(x, scale), alpha)
        return INF if w is INF else w / arb(scale) ** 2

    return _refined(evaluate)


def curvature(x: float, alpha: float, scale: float = 1.0) -> arb:
    """Second derivative of rho in x."""
    if _any_nan(x, alpha, scale):
        return NAN
    if math.isinf(x):
        return _gaussian_limit(alpha, _refined(lambda: 1 / arb(scale) ** 2), arb(0), INF)

    def evaluate() -> arb:
        s = _size(x, scale)
        w = _weight_at(s, alpha)
        if w is INF:
            return INF
        if alpha == 2:
            factor = arb(1)
        elif math.isinf(alpha):
            factor = 1 + s if alpha > 0 else 1 - s
        else:
            t = s / abs(arb(alpha) - 2)
            factor = (1 + (arb(alpha) - 1) * t) / (1 + t)
        # an exact zero of the curvature (alpha = -inf, s = 1) has no relative accuracy to wait for
        return arb(0) if factor.is_zero() else w * factor / arb(scale) ** 2

    return _refined(evaluate)


def grad_alpha(x: float, alpha: float, scale: float = 1.0) -> arb:
    """Derivative of rho in alpha: sigma/2 [e^E (L - t/(1+t)) - (E e^E - expm1(E)) 4/alpha^2]."""
    if _any_nan(x, alpha, scale):
        return NAN
    if x == 0 or math.isinf(alpha):
        return arb(0)
    if alpha == 2:
        return INF
    if math.isinf(x):
        return INF if alpha >= 0 else _refined(lambda: 2 / arb(alpha) ** 2)

    def evaluate() -> arb:
        t = _size(x, scale) / abs(arb(alpha) - 2)
        log_term = t.log1p()
        exponent = arb(alpha) * log_term / 2
        if exponent > EXPONENT_CAP:
            return INF
        return _rho_alpha(arb(alpha), t, log_term) if alpha else _rho_alpha_at_zero(t, log_term)

    return _refined(evaluate)


def _rho_alpha(alpha: arb, t: arb, log_term: arb) -> arb:
    exponent = alpha * log_term / 2
    if exponent < -EXPONENT_CAP:
        # e^E is nothing: 2/alpha^2 is what is left of the bracket
        return (2 / alpha**2) * (1 + arb(-EXPONENT_CAP // 2).exp() * arb(0, 1))
    power = exponent.exp()
    squared = (exponent * power - exponent.expm1()) * 4 / alpha**2  # L^2 phi(E)
    bracket = power * (log_term - t / (1 + t)) - squared
    return bracket / 2 if alpha > 2 else -bracket / 2


def _rho_alpha_at_zero(t: arb, log_term: arb) -> arb:
    return -(log_term - t / (1 + t) - log_term**2 / 2) / 2


def grad_scale(x: float, alpha: float, scale: float = 1.0) -> arb:
    """Derivative of rho in scale: -x^2 weight / scale."""
    if _any_nan(x, alpha, scale):
        return NAN
    if math.isinf(x):
        if alpha < 0:
            return arb(0)
        return NEG_INF if alpha > 0 else _refined(lambda: -2 / arb(scale))

    def evaluate() -> arb:
        s = _size(x, scale)
        w = _weight_at(s, alpha)
        if w is INF:
            return NEG_INF if x else arb(0)
        return -s * w / arb(scale)

    return _refined(evaluate)


# ---------------------------------------------------------------------------------- the partition


def log_partition(alpha: float) -> arb:
    """log Z; NaN below 0."""
    if math.isnan(alpha) or alpha < 0:
        return NAN
    if alpha == 2:
        return _refined(lambda: (2 * arb.pi()).log() / 2)
    return _log_partition(alpha, False, 160)


def log_partition_derivative(alpha: float) -> arb:
    """d log Z / d alpha; NaN below 0, -inf at 2."""
    if math.isnan(alpha) or alpha < 0:
        return NAN
    if alpha == 2:
        return NEG_INF
    return arb(0) if math.isinf(alpha) else _log_partition(alpha, True, 160)


def log_partition_second_derivative(alpha: float) -> arb:
    """d^2 log Z / d alpha^2 for 1e-12 < alpha, a central difference with ~25 good digits."""
    if math.isnan(alpha) or alpha < 0 or alpha == 2:
        return NAN  # at 2 the one-sided limits are -inf and +inf
    if math.isinf(alpha):
        return arb(0)
    with ctx.workprec(400):
        # error ~ step^2 relative to the distance of the nearest singularity (0 or 2)
        step = min(arb(alpha), abs(arb(alpha) - 2)) * arb(2) ** -45
        above = _log_partition(arb(alpha) + step, True, 300)
        below = _log_partition(arb(alpha) - step, True, 300)
        return (above - below) / (2 * step)


def nll(x: float, alpha: float, scale: float = 1.0) -> arb:
    """Negative log-likelihood: loss + log scale + log Z; NaN below alpha = 0."""
    if _any_nan(x, alpha, scale) or alpha < 0:
        return NAN
    rho, normaliser = loss(x, alpha, scale), log_partition(alpha)
    with ctx.workprec(2 * BITS):
        return rho + arb(scale).log() + normaliser


@functools.cache
def _cached_log_partition(alpha: float, derivative: bool, prec: int) -> arb:
    return _integrate_partition(alpha, derivative, prec)


def _log_partition(alpha: float | arb, derivative: bool, prec: int) -> arb:
    if isinstance(alpha, float | int):
        return _cached_log_partition(float(alpha), derivative, prec)
    return _integrate_partition(alpha, derivative, prec)


def _integrate_partition(alpha: float | arb, derivative: bool, prec: int) -> arb:
    """Adaptive Gauss-Legendre (acb.integral) over x in [0, 1] and over log x beyond.

    The library's table comes from a trapezoidal rule in asinh(x): another variable, another rule.
    Anchors in tests/unit/test_partition.py hold this one to closed forms.
    """
    if derivative:
        # the bracket of grad_alpha loses |alpha|^2 for large alpha and 1/b next to 2
        magnitude = abs(math.log2(abs(float(alpha) - 2) or 2**-60))
        prec += math.ceil(min(3 * magnitude, 1200))
    with ctx.workprec(prec + 40):
        goal = {"rel_tol": arb(2) ** -(prec - 30), "abs_tol": arb(2) ** -(prec - 30)}
        cut = _cut(alpha)

        def near(slope: bool) -> Callable[[acb, bool], acb]:
            return lambda x, analytic: _integrand(x, alpha, slope, analytic)

        def far(slope: bool) -> Callable[[acb, bool], acb]:
            return lambda v, analytic: v.exp() * _integrand(v.exp(), alpha, slope, analytic)

        def both(slope: bool) -> arb:
            head = acb.integral(near(slope), 0, 1, **goal)
            return (head + acb.integral(far(slope), 0, cut, **goal)).real

        total = both(False)
        # beyond the cut the integrand falls at least as fast as e^-v from e^-MARGIN
        total += arb(0, 1) * arb(-MARGIN).exp()
        return -both(True) / total if derivative else (2 * total).log()


MARGIN = 130  # e^-130 = 2^-187


def _cut(alpha: float | arb) -> arb:
    """Where rho(e^v) - v first exceeds MARGIN: a few halvings are close enough."""
    low, high = 0.0, 2.0 * MARGIN
    for _ in range(30):
        v = (low + high) / 2
        rho = loss(math.exp(v), float(alpha), 1.0)
        low, high = (v, high) if rho < MARGIN + v else (low, v)
    return arb(high)


def _integrand(x: acb, alpha: float | arb, slope: bool, analytic: bool) -> acb:
    """exp(-rho(x)), times d rho / d alpha if `slope`."""
    s = x * x
    if isinstance(alpha, float) and math.isinf(alpha):
        return (-(s / 2).expm1()).exp()
    shape = arb(alpha)
    sigma = 1 if float(alpha) > 2 else -1
    b = (shape - 2) * sigma
    t = s / b
    # log1p keeps the digits of a small t (huge alpha); log knows where its branch cut is
    log_term = t.log1p() if abs(t) < 0.5 else (1 + t).log(analytic=analytic)
    exponent = shape * log_term / 2
    rho = b / shape * exponent.expm1() if alpha else b * log_term / 2
    density = (-rho).exp()
    if not slope:
        return density
    power = exponent.exp()
    if float(alpha) < SERIES_BELOW:
        squared = log_term * log_term * _phi_series(exponent, float(alpha))
    else:
        squared = (exponent * power - exponent.expm1()) * 4 / (shape * shape)
    return sigma * (power * (log_term - t / (1 + t)) - squared) / 2 * density


SERIES_BELOW = 2.0**-20


def _phi_series(exponent: acb, alpha: float) -> acb:
    """(E e^E - expm1(E))/E^2 for E = alpha L/2 with alpha < SERIES_BELOW."""
    if not abs(exponent) <= arb(alpha) * 256:
        return acb("nan")
    bits = 1100 if alpha == 0 else -math.log2(alpha) - 8  # |E| < 2^-bits
    terms = math.ceil(250 / bits) + 1
    total, power, factorial = acb(0), acb(1), 1
    for k in range(terms):
        factorial *= k + 1
        total += power * (k + 1) / (factorial * (k + 2))
        power *= exponent
    return total + acb(arb(0, 1), arb(0, 1)) * arb(2) ** -250


# ------------------------------------------------------------------------------------- yardsticks

# significand bits, smallest normal exponent, largest exponent
FORMATS = {
    "float64": (53, -1022, 1023),
    "float32": (24, -126, 127),
    "float16": (11, -14, 15),
    "bfloat16": (8, -126, 127),
}


def ulp_error(computed: float, exact: arb, dtype: object = "float64") -> float:
    """Distance of `computed` from `exact` in units of the last place of the true value in `dtype`.

    A NaN, an infinity where the true value is finite in `dtype`, and a zero where it is a normal
    number are infinitely wrong; a true overflow must be the infinity of the right sign (or the
    distance from it is counted); below the normal numbers the spacing is the subnormal one.
    `dtype` is anything whose name ends in float64, float32, float16 or bfloat16.
    """
    digits, low, high = _format(dtype)
    value = float(computed)
    if exact.is_nan() or math.isnan(value):
        return 0.0 if exact.is_nan() and math.isnan(value) else math.inf
    if not exact.is_finite():
        return 0.0 if math.isinf(value) and (value > 0) == (exact > 0) else math.inf
    with ctx.workprec(4 * BITS):
        middle = arb(exact.mid())
        overflow = (2 - arb(2) ** -digits) * arb(2) ** high  # half a spacing past the largest
        if math.isinf(value):
            return 0.0 if abs(middle) >= overflow and (value > 0) == (middle > 0) else math.inf
        if middle.is_zero():
            return 0.0 if value == 0 else math.inf
        if value == 0 and abs(middle) >= arb(2) ** low:
            return math.inf
        mantissa, exponent = (int(part) for part in middle.man_exp())
        top = exponent + abs(mantissa).bit_length() - 1
        # a value within half a unit of the next power of two rounds into the next binade
        if abs(middle) >= arb(2) ** (top + 1) * (1 - arb(2) ** -(digits + 1)):
            top += 1
        unit = arb(2) ** (min(max(top, low), high) - digits + 1)
        return float(abs(arb(value) - middle) / unit)


def _format(dtype: object) -> tuple[int, int, int]:
    name = str(dtype).removesuffix("'>").rsplit(".", 1)[-1]
    return FORMATS[name]


def rounded(exact: arb, dtype: object = "float64") -> float:
    """The true value correctly rounded to `dtype` (as a Python float)."""
    digits, low, high = _format(dtype)
    if not exact.is_finite():
        return float(exact)
    mantissa, exponent = (int(part) for part in arb(exact.mid()).man_exp())
    if mantissa == 0:
        return 0.0
    top = exponent + abs(mantissa).bit_length() - 1
    unit = Fraction(2) ** (max(top, low) - digits + 1)
    value = round(Fraction(mantissa) * Fraction(2) ** exponent / unit) * unit  # half to even
    if abs(value) >= Fraction(2) ** (high + 1):
        return math.copysign(math.inf, mantissa)
    return float(value)


def exponent_size(x: float, alpha: float, scale: float = 1.0) -> float:
    """M = (|alpha| + |alpha-2|)/2 log1p(s/|alpha-2|) of the accuracy contract; 0 at alpha = 2.

    At alpha = 2 the loss is s/2 and holds no exponential, whatever the formula's limit.
    """
    if alpha == 2:
        return 0.0
    if math.isinf(x):
        return math.inf
    ratio = abs(x) / scale
    if math.isinf(alpha):
        return ratio * ratio
    b = abs(alpha - 2)
    if 1e-150 < ratio < 1e150 and b < 1e300:
        log_term = math.log1p(ratio * ratio / b)
        if log_term == 0.0 or b * 1e-290 > ratio * ratio:
            return ratio * ratio
    elif x == 0:
        return 0.0
    else:
        # s may overflow or underflow: compare its logarithm with that of b
        log_t = 2 * (math.log(abs(x)) - math.log(scale)) - math.log(b)
        log_term = log_t if log_t > 700 else math.log1p(math.exp(log_t))
        if log_t < -36:  # log1p(t) = t: M = (|alpha|/b + 1) s/2
            return (abs(alpha) / b + 1) / 2 * ratio * ratio
    return (abs(alpha) / 2 + b / 2) * log_term
