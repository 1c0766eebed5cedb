"""Every property of the loss, on the kernels and on the generic formula, in two precisions.

A property is a check of an implementation at drawn numbers. Its row also holds a broken
implementation and an example where the check must fail: the twin.

Tolerances: a comparison of two computed values allows each of them its error of the
right-hand column of docs/numerics.md (`cases.allowance`), nothing else unless it is named; where
values are smaller than the smallest normal number, that number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import oracle
import pytest
from cases import ELEMENTWISE, EPS, SMALLEST_NORMAL, allowance, error_ratio
from hypothesis import given
from hypothesis import strategies as st
from strategies import alphas, points, powers, ratios, scales

import robloss
from robloss import _formulas


class Implementation:
    """The six functions as float -> float, each rounded to one dtype."""

    def __init__(self, call: Callable[..., Any], dtype: str, **broken: Callable[..., float]):
        self.call, self.dtype, self.broken = call, dtype, broken

    def __getattr__(self, name: str) -> Callable[..., float]:
        if name not in ELEMENTWISE:
            raise AttributeError(name)
        if name in self.broken:
            return self.broken[name]
        kind = np.dtype(self.dtype).type
        return lambda *point: float(self.call(name, *map(kind, point)))

    def slack(self, name: str, value: float, *point: float) -> float:
        """The error that docs/numerics.md allows a computed value to have."""
        return self.ulps(value, allowance(name, *point))

    def ulps(self, value: float, number: float) -> float:
        return number * EPS[self.dtype] * abs(value) + SMALLEST_NORMAL[self.dtype]


def formula(name: str, *point: Any) -> Any:
    with np.errstate(all="ignore"):
        return getattr(_formulas, name)(xp, *map(np.asarray, point))


IMPLEMENTATIONS = [
    pytest.param(Implementation(call, dtype), id=f"{label}-{dtype}")
    for label, call in [
        ("kernel", lambda name, *point: getattr(robloss, name)(*point)),
        ("formula", formula),
    ]
    for dtype in ("float64", "float32")
]
SOUND = Implementation(formula, "float64")


def rho(x: float, alpha: float, scale: float) -> float:
    return SOUND.loss(x, alpha, scale)


def broken(**functions: Callable[..., float]) -> Implementation:
    return Implementation(formula, "float64", **functions)


@dataclass(frozen=True)
class Property:
    check: Callable[..., None]
    draw: Callable[[str], tuple[st.SearchStrategy[Any], ...]]
    mutant: Implementation
    example: tuple[float, ...]


PROPERTIES: dict[str, Property] = {}


def holds(*, on: Callable[[str], Any], mutant: Implementation, example: tuple[float, ...]) -> Any:
    """Register a check `(implementation, *numbers)` with its draws and its twin."""

    def register(check: Callable[..., None]) -> Callable[..., None]:
        PROPERTIES[check.__name__] = Property(check, on, mutant, example)
        return check

    return register


def at_points(**limits: float) -> Callable[[str], Any]:
    return lambda dtype: points(dtype, **limits)


def with_factor(**limits: float) -> Callable[[str], Any]:
    """A point and a second, larger |x|: from the next number to far off."""

    def draw(dtype: str) -> Any:
        growth = st.one_of(powers(-16.0, 0.0), powers(0.0, 6.0))
        return st.tuples(points(dtype, **limits), growth).map(lambda pair: (*pair[0], pair[1]))

    return draw


def farther(f: Implementation, x: float, growth: float) -> float:
    kind = np.dtype(f.dtype).type
    return float(np.maximum(kind(abs(x) * (1 + growth)), np.nextafter(kind(abs(x)), kind(np.inf))))


def finite(*values: float) -> bool:
    return all(map(math.isfinite, values))


def separated(f: Implementation, name: str, first: tuple, second: tuple) -> bool:
    """Whether the true values increase by more than both errors allowed."""
    low, high = (float(getattr(oracle, name)(*point)) for point in (first, second))
    if not finite(low, high) or max(abs(low), abs(high)) > float(np.finfo(f.dtype).max):
        return False
    return high - low > f.slack(name, low, *first) + f.slack(name, high, *second)


# ------------------------------------------------------------------------------------ symmetry


@holds(
    on=at_points(),
    mutant=broken(loss=lambda x, a, c: rho(x, a, c) * (1 + 1e-15 * (x > 0) * 4)),
    example=(1.0, 0.5, 1.0),
)
def even_in_x(f, x, alpha, scale):
    for name in ("loss", "weight", "curvature", "grad_alpha", "grad_scale"):
        function = getattr(f, name)
        assert function(-x, alpha, scale) == function(x, alpha, scale)
    assert f.influence(-x, alpha, scale) == -f.influence(x, alpha, scale)


@holds(
    on=lambda dtype: st.tuples(alphas(dtype), scales(dtype)),
    mutant=broken(loss=lambda x, a, c: rho(x, a, c) + 1e-300),
    example=(0.5, 1.0),
)
def zero_at_zero(f, alpha, scale):
    assert f.loss(0.0, alpha, scale) == 0
    assert f.influence(0.0, alpha, scale) == 0
    assert f.grad_alpha(0.0, alpha, scale) == 0
    assert f.grad_scale(0.0, alpha, scale) == 0
    top = scale**-2
    for name in ("weight", "curvature"):
        value = getattr(f, name)(0.0, alpha, scale)
        assert abs(value - top) <= f.slack(name, top, 0.0, alpha, scale)


# -------------------------------------------------------------------------------- monotonicity


@holds(
    on=with_factor(),
    mutant=broken(loss=lambda x, a, c: rho(min(abs(x), 3.0), a, c)),
    example=(4.0, 1.0, 1.0, 0.5),
)
def increasing_in_the_size_of_x(f, x, alpha, scale, growth):
    near, far = (abs(x), alpha, scale), (farther(f, x, growth), alpha, scale)
    low, high = f.loss(*near), f.loss(*far)
    if math.isfinite(high):
        assert high >= low - f.slack("loss", low, *near) - f.slack("loss", high, *far)
    if separated(f, "loss", near, far):
        assert high > low


@holds(
    on=lambda dtype: st.tuples(points(dtype), alphas(dtype)).map(lambda pair: (*pair[0], pair[1])),
    mutant=broken(loss=lambda x, a, c: rho(x, min(a, 4 - a), c)),
    example=(3.0, 1.0, 1.0, 4.0),
)
def non_decreasing_in_alpha(f, x, alpha, scale, other):
    first, second = ((x, shape, scale) for shape in sorted((alpha, other)))
    low, high = f.loss(*first), f.loss(*second)
    if finite(low, high):
        assert high >= low - f.slack("loss", low, *first) - f.slack("loss", high, *second)
    if separated(f, "loss", first, second):
        assert high > low
    assert f.grad_alpha(x, alpha, scale) >= 0


@holds(
    on=lambda dtype: st.tuples(points(dtype), scales(dtype)).map(lambda pair: (*pair[0], pair[1])),
    mutant=broken(loss=lambda x, a, c: rho(x, a, 1 / c)),
    example=(1.0, 0.0, 0.5, 2.0),
)
def non_increasing_in_scale(f, x, alpha, scale, other):
    narrow, wide = ((x, alpha, width) for width in sorted((scale, other)))
    high, low = f.loss(*narrow), f.loss(*wide)
    if finite(low, high):
        assert low <= high + f.slack("loss", low, *wide) + f.slack("loss", high, *narrow)
    if separated(f, "loss", wide, narrow):
        assert low < high
    assert f.grad_scale(x, alpha, scale) <= 0


# ------------------------------------------------------------------------------------- scaling


@holds(
    on=lambda dtype: st.tuples(points(dtype), st.integers(-20, 20)).map(
        lambda pair: (*pair[0], pair[1])
    ),
    mutant=broken(loss=lambda x, a, c: rho(x, a, c + 1e-9)),
    example=(1.0, 0.5, 1.0, 3),
)
def powers_of_two_rescale_exactly(f, x, alpha, scale, exponent):
    factor = 2.0**exponent
    kind = np.dtype(f.dtype).type
    if kind(x * factor) == x * factor and kind(x * factor) / kind(factor) == kind(x):
        rescaled = f.loss(x * factor, alpha, scale * factor)
        value = f.loss(x, alpha, scale)
        assert rescaled == value or (rescaled == math.inf and value == math.inf)


@holds(
    on=lambda dtype: st.tuples(points(dtype), powers(-2.0, 2.0)).map(
        lambda pair: (*pair[0], pair[1])
    ),
    mutant=broken(loss=lambda x, a, c: rho(x, a, math.sqrt(c))),
    example=(1.0, 0.5, 1.0, 3.0),
)
def any_factor_rescales(f, x, alpha, scale, factor):
    kind = np.dtype(f.dtype).type
    value = f.loss(x, alpha, scale)
    rescaled = f.loss(float(kind(factor * x)), alpha, float(kind(factor * scale)))
    if finite(value, rescaled):
        # Two evaluations, and two roundings of x/scale, half an ulp each, that the loss magnifies
        # by x rho'/rho <= 2 + 2M: together below thrice the allowance 8 + 2M.
        assert abs(rescaled - value) <= 3 * f.slack("loss", max(value, rescaled), x, alpha, scale)


# -------------------------------------------------------------------------------------- bounds


@holds(
    on=at_points(),
    mutant=broken(loss=lambda x, a, c: rho(x, a, c) * (1 + 1e-12)),
    example=(1.0, math.inf, 1.0),
)
def bounded_by_the_upper_limit(f, x, alpha, scale):
    z = abs(x) / scale
    # From z = 40 on expm1(z*z/2) is past 1e347.
    limit = math.expm1(z * z / 2) if z < 37 else math.inf
    if z < 1e-160:
        limit = SMALLEST_NORMAL[f.dtype]
    value = f.loss(x, alpha, scale)
    # s carries two ulp of this very test's arithmetic: s/2 ulp more in the exponential.
    allowed = f.slack("loss", limit, x, math.inf, scale) if finite(limit) else 0.0
    assert value <= limit + allowed


@holds(
    on=at_points(high=-1e-30),
    mutant=broken(loss=lambda x, a, c: rho(x, a, c) * (1 + 1e-12)),
    example=(1e9, -3.0, 1.0),
)
def negative_alpha_bounds_the_loss(f, x, alpha, scale):
    bound = 1.0 if math.isinf(alpha) else (alpha - 2) / alpha
    # "<=", since floats reach the bound; it and the loss take three roundings each.
    assert f.loss(x, alpha, scale) <= bound + f.ulps(bound, 3)
    assert f.loss(math.inf, alpha, scale) <= bound + f.ulps(bound, 3)


@holds(
    on=at_points(high=2.0),
    mutant=broken(influence=lambda x, a, c: x / c**2 * (1 + 1e-12)),
    example=(1.0, 2.0, 1.0),
)
def influence_is_at_most_that_of_least_squares(f, x, alpha, scale):
    value = abs(f.influence(x, alpha, scale))
    assert value <= abs(x) / scale**2 + f.slack("influence", value, x, alpha, scale)
    weight = f.weight(x, alpha, scale)
    assert weight <= scale**-2 + f.slack("weight", scale**-2, x, alpha, scale)


def largest_influence(alpha: float, scale: float) -> tuple[float, float]:
    """Where |influence| is largest for alpha < 1, and that value."""
    if math.isinf(alpha):
        return scale, math.exp(-0.5) / scale
    gap = 1 - alpha
    # ((alpha-2)/(alpha-1))**((alpha-1)/2), with log1p since the base nears 1 for large |alpha|
    return scale * math.sqrt(1 + 1 / gap), math.exp(-gap / 2 * math.log1p(1 / gap)) / scale


@holds(
    on=at_points(high=1.0),
    mutant=broken(influence=lambda x, a, c: x / (1 + abs(x)) / c * 1.5),
    example=(1e6, 1.0, 1.0),
)
def influence_is_bounded_for_alpha_up_to_one(f, x, alpha, scale):
    bound = 1 / scale if alpha == 1 else largest_influence(alpha, scale)[1]
    # The bound here is computed in float64 with a few roundings: within one ulp allowance of 8.
    tolerance = f.slack("influence", bound, x, alpha, scale) + f.ulps(bound, 8)
    assert abs(f.influence(x, alpha, scale)) <= bound + tolerance
    assert bound <= (1 + 8 * EPS["float64"]) / scale


@holds(
    on=lambda dtype: st.tuples(alphas(dtype, high=0.999), scales(dtype)),
    mutant=broken(influence=lambda x, a, c: SOUND.influence(x, a, c) * (1 - 1e-12)),
    example=(-1.0, 1.0),
)
def the_bound_of_influence_is_attained(f, alpha, scale):
    where, bound = largest_influence(alpha, scale)
    where = float(np.dtype(f.dtype).type(where))
    value = f.influence(where, alpha, scale)
    # At a maximum the rounding of `where` counts twice over: only the function's error is left,
    # and that of the bound, 8 ulp as above.
    allowed = f.slack("influence", bound, where, alpha, scale) + f.ulps(bound, 8)
    assert abs(value - bound) <= allowed


# --------------------------------------------------------------------------------------- shape


@holds(
    on=at_points(low=1.0),
    mutant=broken(curvature=lambda x, a, c: SOUND.curvature(x, a - 1e-9, c)),
    example=(1e6, 1.0, 1.0),
)
def convex_for_alpha_from_one(f, x, alpha, scale):
    weight = f.weight(x, alpha, scale)
    if math.isfinite(weight):
        # At alpha = 1 the curvature is the weight times 1/(1+u), which rounds to 0 for large u:
        # a few ulp of the weight, as docs/numerics.md says (its M costs the weight, not the sign).
        assert f.curvature(x, alpha, scale) >= -f.ulps(weight, 8)


@holds(
    on=lambda dtype: st.tuples(alphas(dtype, high=1 - 1e-5), scales(dtype)),
    mutant=broken(curvature=lambda x, a, c: abs(SOUND.curvature(x, a, c))),
    example=(0.5, 1.0),
)
def not_convex_and_redescending_below_one(f, alpha, scale):
    where, _ = largest_influence(alpha, scale)
    kind = np.dtype(f.dtype).type
    before, after, beyond = (float(kind(where * factor)) for factor in (0.5, 2.0, 4.0))
    assert f.curvature(before, alpha, scale) > 0
    assert f.curvature(after, alpha, scale) < 0
    assert f.influence(beyond, alpha, scale) < f.influence(after, alpha, scale)
    assert f.influence(math.inf, alpha, scale) == 0


@holds(
    on=with_factor(low=1.0),
    mutant=broken(influence=lambda x, a, c: SOUND.influence(x, a - 0.1, c)),
    example=(3.0, 1.0, 1.0, 2.0),
)
def not_redescending_from_one(f, x, alpha, scale, growth):
    near, far = (abs(x), alpha, scale), (farther(f, x, growth), alpha, scale)
    low, high = f.influence(*near), f.influence(*far)
    if finite(low, high):
        assert high >= low - f.slack("influence", low, *near) - f.slack("influence", high, *far)
    assert f.influence(math.inf, alpha, scale) > 0


@holds(
    on=with_factor(high=2.0),
    mutant=broken(weight=lambda x, a, c: SOUND.weight(x, a, c) * (1 + 1e-6 * abs(x))),
    example=(1.0, 2.0, 1.0, 1.0),
)
def weight_does_not_increase_up_to_alpha_two(f, x, alpha, scale, growth):
    near, far = (abs(x), alpha, scale), (farther(f, x, growth), alpha, scale)
    high, low = f.weight(*near), f.weight(*far)
    assert low <= high + f.slack("weight", high, *near) + f.slack("weight", low, *far)


@holds(
    on=lambda dtype: st.tuples(points(dtype, high=2.0), ratios(dtype)).map(
        lambda pair: (*pair[0], pair[1])
    ),
    mutant=broken(weight=lambda x, a, c: 0.5 * SOUND.weight(x, a, c)),
    example=(1.0, 1.0, 1.0, 3.0),
)
def least_squares_with_the_weight_majorises(f, x, alpha, scale, other):
    y = float(np.dtype(f.dtype).type(other * scale))
    here, there = f.loss(x, alpha, scale), f.loss(y, alpha, scale)
    with np.errstate(over="ignore"):
        gain = float(np.float64(0.5 * f.weight(x, alpha, scale)) * np.float64((y - x) * (y + x)))
    if finite(gain):
        tolerance = f.slack("loss", here, x, alpha, scale) + f.slack("loss", there, y, alpha, scale)
        assert there <= here + gain + tolerance + f.slack("weight", gain, x, alpha, scale)


@holds(
    on=lambda dtype: st.tuples(signed_small(dtype), alphas(dtype), scales(dtype)).map(
        lambda drawn: (drawn[0] * drawn[2], drawn[1], drawn[2])
    ),
    mutant=broken(loss=lambda x, a, c: rho(x, a, c) * (1 + 1e-9)),
    example=(1e-6, 1.0, 1.0),
)
def quadratic_near_zero(f, x, alpha, scale):
    x = float(np.dtype(f.dtype).type(x))
    s = (x / scale) ** 2
    # 1 - exp(-s/2) <= rho <= expm1(s/2), both within s*s/8 (1 + s) of s/2 for s <= 1.
    value = f.loss(x, alpha, scale)
    assert abs(value - s / 2) <= s * s / 8 * (1 + s) + f.slack("loss", s / 2, x, alpha, scale)


def signed_small(dtype: str) -> st.SearchStrategy[float]:
    return powers({"float64": -150.0, "float32": -15.0}[dtype], 0.0)


# ------------------------------------------------------------------------------- limits, truth

# By alpha: the loss as a function of s, in elementary functions.
MEMBERS = {
    -math.inf: lambda s: -math.expm1(-s / 2),
    -2.0: lambda s: 2 * s / (s + 4),
    0.0: lambda s: math.log1p(s / 2),
    1.0: lambda s: s / (1 + math.sqrt(1 + s)),
    2.0: lambda s: s / 2,
    4.0: lambda s: s / 2 + s * s / 8,
    math.inf: lambda s: math.expm1(s / 2),
}


@holds(
    on=lambda dtype: st.tuples(powers(-15.0, 1.4), st.sampled_from(sorted(MEMBERS)), scales(dtype)),
    mutant=broken(loss=lambda x, a, c: rho(x, a + 1e-12, c)),
    example=(3.0, 0.0, 1.0),
)
def named_members(f, ratio, alpha, scale):
    x = float(np.dtype(f.dtype).type(ratio * scale))
    s = (x / scale) ** 2
    expected = MEMBERS[alpha](s)
    value = f.loss(x, alpha, scale)
    if expected < float(np.finfo(f.dtype).max) / 2:
        # The member's own arithmetic, 4 roundings and s/2 ulp in an exponential: within 8 + 2M.
        assert abs(value - expected) <= 2 * f.slack("loss", expected, x, alpha, scale)


@holds(
    on=lambda dtype: st.tuples(
        powers(-6.0, 0.7), st.sampled_from([-1.0, 1.0]), powers(-17.0, -8.0), scales(dtype)
    ),
    mutant=broken(loss=lambda x, a, c: rho(x, a, c) if a in (0, 2) else rho(x, a, c) * 1.0001),
    example=(1.0, 1.0, 1e-12, 1.0),
)
def continuous_at_the_removable_points(f, ratio, side, distance, scale):
    x = float(np.dtype(f.dtype).type(ratio * scale))
    s = (x / scale) ** 2
    for point, other in [(0.0, side * distance), (2.0, 2 + side * distance)]:
        middle = f.loss(x, point, scale)
        value = f.loss(x, float(np.dtype(f.dtype).type(other)), scale)
        # |d rho/d alpha| <= s/4 (1 + log1p(s/b)) e^.. near either point; 40 s covers s <= 25 and
        # the logarithm down to b = 1e-17. float32 puts `other` within 1.2e-7.
        reach = max(distance, 2 * EPS[f.dtype])
        tolerance = 40 * s * (1 + s) * reach + 2 * f.slack("loss", middle, x, point, scale)
        assert abs(value - middle) <= tolerance


@holds(
    on=at_points(),
    mutant=broken(grad_alpha=lambda x, a, c: SOUND.grad_alpha(x, a, c) * (1 + 1e-12)),
    example=(1.0, 0.5, 1.0),
)
def derivatives_are_true(f, x, alpha, scale):
    """Smoothness: every derivative agrees with the oracle, on both sides of every branch."""
    for name in ELEMENTWISE:
        value = getattr(f, name)(x, alpha, scale)
        assert error_ratio(name, value, (x, alpha, scale), f.dtype) <= 1, name


# --------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", PROPERTIES)
def test_property(name, implementation):
    row = PROPERTIES[name]

    @given(row.draw(implementation.dtype))
    def run(numbers):
        row.check(implementation, *numbers)

    run()


@pytest.mark.parametrize("name", PROPERTIES)
def test_property_can_fail(name):
    row = PROPERTIES[name]
    row.check(SOUND, *row.example)
    with pytest.raises(AssertionError):
        row.check(row.mutant, *row.example)
