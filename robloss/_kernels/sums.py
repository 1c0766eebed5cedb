"""Sums of ρ and of its derivatives in alpha and scale over an array, without temporary arrays.

If wanted, the same pass also stores ρ itself and the slope of its sum in every element: all that a
gradient needs. Everything is summed in float64, with compensation for the rounding of additions, in
an order that depends on the position of an element alone.

The derivative in alpha can share intermediate results with ρ = (b/α)(e^E − 1)::

    2 |∂ρ/∂α| = L² χ(E) − P L + z W        χ(y) = (y e^y − e^y + 1)/y²
              = P L (2 − α)/α − (e^E − 1) 4/α² + z W

and −(c/b) ∂ρ/∂c = z W. For small z these terms, of order z, cancel to one of order z³, in which an
error of a few roundings of z matters. So this form is used for blocks whose sum of ∂ρ/∂α is not
much smaller than the sums of its terms; other blocks, and alpha far from 2, are summed with the
accurate derivative of `shape`.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from robloss._kernels import exact, family, pairs, shape
from robloss._kernels.compiling import kernel, part
from robloss._kernels.memory import lanes_of, load, store
from robloss._kernels.parameters import Derived, derived
from robloss._kernels.vector import (
    SUMMED,
    absolute,
    any_of,
    constant,
    fma,
    folded,
    lane,
    rounded,
    where,
    widened,
)

# notation: as in `family`; E = p L

# |alpha| below which the form without L² χ(E) would lose more than 2/alpha roundings.
NEAR_ZERO = 0.25
# Elements of a block, whose sums are checked together.
BLOCK = 8192


class Totals(NamedTuple):
    """Sums, and the rounding errors of their additions."""

    loss: float
    loss_lo: float
    grad_alpha: float
    grad_alpha_lo: float
    grad_scale: float
    grad_scale_lo: float


@part
def _plus(total: Any, lost: Any, term: Any) -> tuple[Any, Any]:
    """Add to a sum, and add the rounding error of that to `lost`."""
    after = total + term
    back = after - total
    return after, lost + ((total - (after - back)) + (term - back))


@part
def _with(totals: Totals, loss: float, grad_alpha: float, grad_scale: float) -> Totals:
    """The totals with one more term in each."""
    return Totals(
        *_plus(totals.loss, totals.loss_lo, loss),
        *_plus(totals.grad_alpha, totals.grad_alpha_lo, grad_alpha),
        *_plus(totals.grad_scale, totals.grad_scale_lo, grad_scale),
    )


@part
def _joined(one: Totals, two: Totals) -> Totals:
    both = _with(one, two.loss, two.grad_alpha, two.grad_scale)
    return _with(both, _known(two.loss_lo), _known(two.grad_alpha_lo), _known(two.grad_scale_lo))


@part
def _known(lost: float) -> float:
    """The rounding error of an addition; 0 for an infinite sum."""
    return lost if lost == lost else 0.0


@part
def _across(vector: Any, lost: Any) -> tuple[float, float]:
    """The sum over the lanes of a sum and of its rounding errors."""
    total, rest = 0.0, 0.0
    for i in range(SUMMED):
        total, rest = _plus(total, rest, lane(vector, i))
        rest += lane(lost, i)
    return total, rest


@part
def _times(total: float, lost: float, by: float, by_lo: float) -> tuple[float, float]:
    product = total * by
    return product, fma(total, by, -product) + (lost * by + total * by_lo)


@part
def _over(a: float, a_lo: float, b: float) -> tuple[float, float]:
    quotient = a / b
    return quotient, (fma(-quotient, b, a) + a_lo) / b


@part
def _weighted(term: Any, weight: Any) -> Any:
    return term if weight is None else term * weight


@part
def _weight_of(weight: Any, index: int) -> float:
    return 1.0 if weight is None else np.float64(lane(weight, index))


@part
def _put(
    losses: Any,
    slopes: Any,
    start: int,
    count: int,
    x: Any,
    loss: Any,
    power: Any,
    width: Any,
    weight: Any,
) -> None:
    """Store losses and slopes, if there is an array for them; ψ is x W/c²."""
    store(losses, start, count, loss)
    if slopes is not None:
        slope = x * fma(power, width.weight, power * width.weight_lo)
        store(slopes, start, count, _weighted(slope, weight))


@kernel
def _mend(
    totals: Totals, start: int, count: int, served: Any, x: Any, weight: Any, alpha: float,
    scale: float, losses: Any, slopes: Any,
) -> Totals:  # fmt: skip
    """Add the lanes that are not served, one by one; elements of weight 0 are left out."""
    for i in range(count):
        if not lane(served, i):
            w, at = _weight_of(weight, i), np.float64(lane(x, i))
            if losses is not None:
                losses[start + i] = exact.loss(at, alpha, scale)
            if slopes is not None:
                slopes[start + i] = w * exact.influence(at, alpha, scale) if w != 0.0 else 0.0
            if w != 0.0:
                totals = _with(
                    totals,
                    w * exact.loss(at, alpha, scale),
                    w * exact.grad_alpha(at, alpha, scale),
                    w * exact.grad_scale(at, alpha, scale),
                )
    return totals


class _Combination(NamedTuple):
    """How the sums of three terms per element combine to the totals; numbers with remainders.

    2 |Σ ∂ρ/∂α| = slope Σ₂ + change Σ₁ + Σ₃, Σ ρ = (b/α) Σ₁, and −(c/b) Σ ∂ρ/∂c = Σ₃ = Σ z W.
    """

    slope: float
    slope_lo: float
    change: float
    change_lo: float
    b: float
    b_lo: float
    alpha: float


class _Exponent(NamedTuple):
    """p and 1/p², as pairs in the dtype of x."""

    p: float
    p_lo: float
    square: float
    square_lo: float


@part
def _bounded(like: Any, alpha: float) -> float:
    """Alpha, bounded away from 0 as in `parameters.shape`."""
    least = constant(like, "CAUCHY")
    return alpha if abs(alpha) >= least else least


@part
def _exponent(like: Any, alpha: float) -> _Exponent:
    p, inverse = rounded(like, 0.5 * alpha), _over(2.0, 0.0, alpha)
    square, square_lo = _times(*inverse, *inverse)
    near = rounded(like, square)
    return _Exponent(p, 0.5 * alpha - p, near, (square - near) + square_lo)


@part
def _combination(alpha: float, of: _Exponent, is_near_zero: bool) -> _Combination:
    d = alpha - 2.0
    back = d - alpha
    d_lo = (alpha - (d - back)) + (-2.0 - back)
    sign = math.copysign(1.0, d)
    slope, slope_lo, change, change_lo = 1.0, 0.0, 0.0, 0.0
    if not is_near_zero:
        slope, slope_lo = _over(-d, -d_lo, alpha)
        change, change_lo = -of.square, -of.square_lo
    return _Combination(slope, slope_lo, change, change_lo, sign * d, sign * d_lo, alpha)


@part
def _raised(z: Any, of: _Exponent) -> tuple[Any, ...]:
    """L, E, t and P = up e^r as (up, r, (e^r − 1 − r)/r², e^r − 1)."""
    log_hi, log_lo, t = pairs.log1p(z)
    y = log_hi * of.p
    y_lo = fma(log_lo, of.p, fma(log_hi, of.p_lo, fma(log_hi, of.p, -y)))
    up, r, curve = pairs.expanded(y, y_lo, y)
    return log_hi + log_lo, y + y_lo, t, up, r, curve, fma(r * r, curve, r)


@part
def _loss(growth: Any, outer: Any, outer_lo: Any) -> Any:
    """(b/α) (e^E − 1), as `family` has it."""
    return absolute(pairs.product_as_one(growth, outer, outer_lo))


@part
def _of_power(z: Any, of: _Exponent, outer: Any, outer_lo: Any) -> tuple[Any, Any, Any, Any]:
    """e^E − 1, P L, W and ρ."""
    log, _, t, up, _, _, change = _raised(z, of)
    power = fma(up, change, up)
    growth = fma(up, change, up - 1.0)
    return growth, power * log, power / t, _loss(growth, outer, outer_lo)


@part
def _near_zero(z: Any, of: _Exponent, outer: Any, outer_lo: Any) -> tuple[Any, Any, Any, Any]:
    """e^E − 1, L² χ(E) − P L, W and ρ; L² is E²/p², and E² χ(E) is 1 + (E − 1) e^E."""
    log, e, t, up, r, curve, change = _raised(z, of)
    power = fma(up, change, up)
    far = fma(e - 1.0, power, 1.0)
    far = fma(far, of.square, far * of.square_lo)
    # That cancels where E is small: there E is r.
    square = where(up == 1.0, (log * log) * fma(curve, r - 1.0, 1.0), far)
    growth = fma(up, change, up - 1.0)
    return growth, fma(-power, log, square), power / t, _loss(growth, outer, outer_lo)


@part
def _at_zero(z: Any, of: Any, outer: Any, outer_lo: Any) -> tuple[Any, Any, Any, Any]:
    """2 L/b, ½ L² − L, W and ρ."""
    log, log_lo, t = pairs.log1p(z)
    log = log + log_lo
    return log, log * fma(0.5, log, -1.0), 1.0 / t, log


@part
def _gathered(term: Any, weight: Any) -> Any:
    """The sums of every eighth lane; in float32 these additions are rounded to float32."""
    return widened(folded(_weighted(term, weight)))


@part
def _gathered_wide(term: Any, weight: Any) -> Any:
    """The same, widened first: only the terms themselves are rounded to the dtype of x."""
    if weight is None:
        return folded(widened(term))
    return folded(widened(term) * widened(weight))


@part
def _quickly(
    terms: Any, exponent: Any, by: _Combination, of: Derived, x: Any, weights: Any, alpha: float,
    scale: float, losses: Any, slopes: Any, start: int, stop: int,
) -> tuple[Totals, bool]:  # fmt: skip
    """The sums of a block for alpha of moderate size, and whether they are accurate."""
    none = widened(folded(load(x, start, 0)))
    change, change_lo, slope, slope_lo, pull, pull_lo = none, none, none, none, none, none
    rest = Totals(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    width = lanes_of(x)
    for first in range(start, stop, width):
        count = min(width, stop - first)
        at, weight = load(x, first, count), load(weights, first, count)
        kx = at * of.k
        kx_lo = fma(at, of.k_lo, fma(at, of.k, -kx))
        z = fma(kx, kx, (kx + kx) * kx_lo)
        # If z underflows for so many elements that it matters, the sums count as inaccurate.
        served = absolute(kx) <= of.far
        if losses is not None:
            served = family.is_between(kx, constant(x, "NEAR"), of.far)
        is_whole = not any_of(~served)
        if not is_whole:
            z = where(served, z, 0.0)
        outer = of.shape.outer, of.shape.outer_lo
        first_term, second_term, power, loss = terms(z, exponent, *outer)
        _put(losses, slopes, first, count, at, loss, power, of.width, weight)
        if not is_whole:
            rest = _mend(rest, first, count, served, at, weight, alpha, scale, losses, slopes)
        change, change_lo = _plus(change, change_lo, _gathered(first_term, weight))
        slope, slope_lo = _plus(slope, slope_lo, _gathered(second_term, weight))
        pull, pull_lo = _plus(pull, pull_lo, _gathered(power * z, weight))
    of_change, of_change_lo = _across(change, change_lo)
    of_slope, of_slope_lo = _times(*_across(slope, slope_lo), by.slope, by.slope_lo)
    of_pull, of_pull_lo = _across(pull, pull_lo)
    part_of, part_of_lo = _times(of_change, of_change_lo, by.change, by.change_lo)
    twice, twice_lo = _plus(*_plus(of_slope, of_slope_lo, of_pull), part_of)
    half = math.copysign(0.5, 2.0 - alpha)
    sums = Totals(
        *_times(of_change, of_change_lo, *_over(by.b, by.b_lo, by.alpha)),
        half * twice,
        half * (twice_lo + part_of_lo + of_pull_lo),
        *_times(of_pull, of_pull_lo, *_over(-by.b, -by.b_lo, scale)),
    )
    return _joined(sums, rest), _is_good(x, sums, by, scale)


@part
def _is_good(x: Any, sums: Totals, by: _Combination, scale: float) -> bool:
    """Whether the sum of ∂ρ/∂α is not much smaller than the terms that it combines.

    That excludes blocks whose numbers, or their squares, are close to subnormal. Weights have one
    sign, and so do the sums.
    """
    twice, pull = 2.0 * abs(sums.grad_alpha), abs(sums.grad_scale) * (scale / by.b)
    change = abs(sums.loss) * (by.alpha / by.b) * by.change
    size = abs(twice - pull - change) + abs(change) + pull
    return bool(twice >= constant(x, "SHARE") * size) and size < math.inf


@part
def _carefully(
    member: Any, of: Any, x: Any, weights: Any, alpha: float, scale: float, losses: Any,
    slopes: Any, start: int, stop: int,
) -> Totals:  # fmt: skip
    """The sums of a block, from the accurate kernels."""
    none = widened(folded(load(x, start, 0)))
    loss, loss_lo, slope, slope_lo, pull, pull_lo = none, none, none, none, none, none
    rest = Totals(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    width = lanes_of(x)
    for first in range(start, stop, width):
        count = min(width, stop - first)
        at, weight = load(x, first, count), load(weights, first, count)
        parts = member(at, alpha, scale, of)
        grad_alpha, served = _slope(parts.growth, at, parts.loss_served & parts.served)
        values = parts.loss, fma(parts.power, parts.pull, parts.power * parts.pull_lo)
        _put(losses, slopes, first, count, at, parts.loss, parts.power, parts.width, weight)
        if any_of(~served):
            values = where(served, values[0], 0.0), where(served, values[1], 0.0)
            grad_alpha = where(served, grad_alpha, 0.0)
            rest = _mend(rest, first, count, served, at, weight, alpha, scale, losses, slopes)
        loss, loss_lo = _plus(loss, loss_lo, _gathered_wide(values[0], weight))
        slope, slope_lo = _plus(slope, slope_lo, _gathered_wide(grad_alpha, weight))
        pull, pull_lo = _plus(pull, pull_lo, _gathered_wide(values[1], weight))
    of_pull, of_pull_lo = _across(pull, pull_lo)
    sums = Totals(*_across(loss, loss_lo), *_across(slope, slope_lo), -of_pull, -of_pull_lo)
    return _joined(sums, rest)


@part
def _slope(growth: Any, x: Any, served: Any) -> tuple[Any, Any]:
    """∂ρ/∂α and the lanes in which it is accurate; 0 at α = 2, where it is infinite, and at −∞."""
    if growth is None:
        return x * 0.0, served
    value, is_good = shape.grad_alpha(growth)
    return value, served & is_good


@part
def _store(totals: Totals, out: Any) -> None:
    for i in range(len(totals)):
        out[i] = totals[i]


@part
def _sum(
    member: Any, of: Any, x: Any, weights: Any, alpha: float, scale: float, out: Any,
    losses: Any, slopes: Any,
) -> None:  # fmt: skip
    totals = Totals(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for start in range(0, x.size, BLOCK):
        stop = min(start + BLOCK, x.size)
        sums = _carefully(member, of, x, weights, alpha, scale, losses, slopes, start, stop)
        totals = _joined(totals, sums)
    _store(totals, out)


@part
def _sum_quickly(
    terms: Any, exponent: Any, by: _Combination, x: Any, weights: Any, alpha: float, scale: float,
    out: Any, losses: Any, slopes: Any,
) -> None:  # fmt: skip
    of = derived(x, alpha, scale)
    totals, is_good = Totals(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), True
    for start in range(0, x.size, BLOCK):
        stop = min(start + BLOCK, x.size)
        if is_good:  # as the previous block was, or would have been
            sums, is_good = _quickly(
                terms, exponent, by, of, x, weights, alpha, scale, losses, slopes, start, stop
            )
        if not is_good:
            sums = _carefully(
                family.power, of, x, weights, alpha, scale, losses, slopes, start, stop
            )
            is_good = _is_good(x, sums, by, scale)
        totals = _joined(totals, sums)
    _store(totals, out)


@kernel
def _power(
    x: Any, weights: Any, alpha: float, scale: float, out: Any, losses: Any, slopes: Any
) -> None:
    exponent = _exponent(x, alpha)
    by = _combination(alpha, _exponent(out, alpha), False)
    _sum_quickly(_of_power, exponent, by, x, weights, alpha, scale, out, losses, slopes)


@kernel
def _power_near_zero(
    x: Any, weights: Any, alpha: float, scale: float, out: Any, losses: Any, slopes: Any
) -> None:
    bounded = _bounded(x, alpha)
    exponent = _exponent(x, bounded)
    by = _combination(bounded, exponent, True)
    _sum_quickly(_near_zero, exponent, by, x, weights, alpha, scale, out, losses, slopes)


@kernel
def _cauchy(
    x: Any, weights: Any, alpha: float, scale: float, out: Any, losses: Any, slopes: Any
) -> None:
    by = _Combination(1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0)
    _sum_quickly(_at_zero, None, by, x, weights, alpha, scale, out, losses, slopes)


@kernel
def _steep_power(
    x: Any, weights: Any, alpha: float, scale: float, out: Any, losses: Any, slopes: Any
) -> None:
    _sum(
        family.steep_power, derived(x, alpha, scale), x, weights, alpha, scale, out, losses, slopes
    )


@kernel
def _normal(
    x: Any, weights: Any, alpha: float, scale: float, out: Any, losses: Any, slopes: Any
) -> None:
    _sum(family.normal, derived(x, alpha, scale), x, weights, alpha, scale, out, losses, slopes)


@kernel
def _welsch(
    x: Any, weights: Any, alpha: float, scale: float, out: Any, losses: Any, slopes: Any
) -> None:
    _sum(family.welsch, derived(x, alpha, scale), x, weights, alpha, scale, out, losses, slopes)


def evaluate(
    x: Any,
    weights: Any,
    alpha: float,
    scale: float,
    out: Any,
    losses: Any = None,
    slopes: Any = None,
) -> None:
    """Put the sums of ρ, ∂ρ/∂α and ∂ρ/∂c into `out`, each followed by its rounding error.

    Parameters
    ----------
    x : ndarray (n,)
        Contiguous, of float32 or float64.
    weights : ndarray (n,), or None
        Of one sign, contiguous, in the dtype of x. Elements of weight 0 are left out, whatever x
        is.
    alpha, scale : float
    out : ndarray (6,)
        Of float64. At α = 2 elements whose ∂ρ/∂α is infinite may count as 0.
    losses, slopes : ndarray (n,), or None
        Where to put ρ and the weighted ψ: contiguous, in the dtype of x, sharing no memory with x
        or the weights.
    """
    if alpha == 2.0:
        kernel = _normal
    elif alpha == 0.0:
        kernel = _cauchy
    elif alpha == -math.inf:
        kernel = _welsch
    elif family.MODERATE[0] <= alpha <= family.MODERATE[1]:
        kernel = _power_near_zero if abs(alpha) < NEAR_ZERO else _power
    else:
        kernel = _steep_power
    kernel(x, weights, alpha, scale, out, losses, slopes)
