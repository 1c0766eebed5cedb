"""The maps between free numbers and (alpha, scale), on NumPy, against ball arithmetic."""

import math
import pickle

import numpy as np
import pytest
from flint import arb, ctx

from robloss._reparam import AlphaMap, ScaleMap

EPS = 2.0**-52
SMALLEST = 2.0**-1022
FREE = [
    0.0, -0.0, 1e-300, -1e-300, 1e-17, -1e-17, 1e-9, -1e-9, 1e-3, -1e-3, 0.4, -0.4, 0.9, -0.9,
    1.5, -1.5, 7.0, -7.0, 36.0, -36.0, 37.5, -37.5, 300.0, -300.0, 700.0, -700.0,
]  # fmt: skip
ALPHA_MAPS = [AlphaMap(), AlphaMap(0.0, 2.0), AlphaMap(0, 1e-200), AlphaMap(1.5, 1.5000001)]
SCALE_MAPS = [ScaleMap(), ScaleMap(0.0, 3.0), ScaleMap(0.1, 0.1000001), ScaleMap(1e-3, 1e6)]
alpha_maps = pytest.mark.parametrize("shapes", ALPHA_MAPS, ids=str)
scale_maps = pytest.mark.parametrize("scales", SCALE_MAPS, ids=str)
everywhere = pytest.mark.parametrize("free", FREE, ids=str)


@pytest.fixture(autouse=True)
def precision():
    with ctx.workprec(2500):  # e^(−700) beside 1 takes a thousand bits
        yield


def sigmoid(free):
    return 1 / (1 + (-arb(free)).exp())


def softplus(free):
    return (1 + (arb(1).exp() - 1) * arb(free).exp()).log()


def error(computed, exact):
    """In units of the last place, of a normal number."""
    size = max(abs(float(exact)), SMALLEST)
    return float(abs(arb(float(computed)) - exact)) / size / EPS


# Measured: 1.7, and 3.0 where a distance ends next to the smallest normal number.
ULP = 4


@alpha_maps
@everywhere
def test_alpha(shapes, free):
    width = arb(shapes.high) - arb(shapes.low)
    rounded = arb(shapes.high - shapes.low)  # the width in float arithmetic, half an ulp off
    assert error(shapes.forward(free), arb(shapes.low) + width * sigmoid(free)) <= ULP
    above, below = shapes.distances(free)
    assert error(above, rounded * sigmoid(free)) <= ULP
    assert error(below, rounded * sigmoid(-free)) <= ULP
    assert error(shapes.derivative(free), rounded * sigmoid(free) * sigmoid(-free)) <= ULP
    assert shapes.low <= shapes.forward(free) <= shapes.high


@scale_maps
@everywhere
def test_scale(scales, free):
    width = arb(scales.initial - scales.low)
    assert error(scales.forward(free), arb(scales.low) + width * softplus(free)) <= ULP
    assert error(scales.distance(free), width * softplus(free)) <= ULP
    slope = width * sigmoid(arb(free) + (arb(1).exp() - 1).log())
    assert error(scales.derivative(free), slope) <= ULP
    assert scales.forward(free) >= scales.low


def test_a_naive_form_would_be_seen():
    """The reference's way: alpha − low of the rounded alpha, and log(1 + …) without log1p."""
    shapes, scales = AlphaMap(), ScaleMap()
    naive = shapes.forward(-30.0) - shapes.low
    assert error(naive, arb(shapes.high - shapes.low) * sigmoid(-30.0)) > 1e3
    naive = (scales.initial - scales.low) * math.log(1 + (math.e - 1) * math.exp(-30.0))
    assert error(naive, arb(scales.initial - scales.low) * softplus(-30.0)) > 1e2


@alpha_maps
@everywhere
def test_alpha_inverse(shapes, free):
    """Of the alpha that a float holds: relative in its distances to the bounds."""
    alpha = shapes.forward(free)
    above, below = arb(float(alpha)) - arb(shapes.low), arb(shapes.high) - arb(float(alpha))
    if above == 0 or below == 0:
        assert shapes.inverse(alpha) == (-math.inf if above == 0 else math.inf)
        return
    exact = (above / below).log()
    assert abs(arb(float(shapes.inverse(alpha))) - exact) <= ULP * EPS * max(1, abs(float(exact)))


@scale_maps
@everywhere
def test_scale_inverse(scales, free):
    """Relative in the free number itself, but for the rounding of the two differences."""
    scale = scales.forward(free)
    distance = (arb(float(scale)) - arb(scales.low)) / (arb(scales.initial) - arb(scales.low))
    if distance == 0:
        assert scales.inverse(scale) == -math.inf
        return
    exact = ((distance.exp() - 1) / (arb(1).exp() - 1)).log()
    assert error(scales.inverse(scale), exact) <= ULP


@pytest.mark.parametrize("free", [-700.0, -30.0, -1e-5, 0.0, 3e-9, 20.0])
def test_there_and_back(free):
    assert ScaleMap(0.0, 1.0).inverse(ScaleMap(0.0, 1.0).forward(free)) == pytest.approx(
        free, rel=1e-11, abs=2 * EPS
    )
    if free <= 0:
        assert AlphaMap(0.0, 2.0).inverse(AlphaMap(0.0, 2.0).forward(free)) == pytest.approx(
            free, rel=1e-11, abs=4 * EPS
        )


def test_ends_and_starts():
    shapes, scales = AlphaMap(), ScaleMap(1e-5, 0.7)
    assert [shapes.forward(end) for end in (-math.inf, 0.0, math.inf)] == [0.001, 1.0, 1.999]
    assert [shapes.inverse(end) for end in (0.001, 1.999)] == [-math.inf, math.inf]
    assert [shapes.derivative(end) for end in (-math.inf, math.inf)] == [0, 0]
    assert [scales.forward(end) for end in (-math.inf, 0.0, math.inf)] == [1e-5, 0.7, math.inf]
    assert [scales.inverse(end) for end in (1e-5, 0.7, math.inf)] == [-math.inf, 0.0, math.inf]
    assert [scales.derivative(end) for end in (-math.inf, math.inf)] == [0, 0.7 - 1e-5]


def test_the_defaults_are_the_references():
    assert AlphaMap() == AlphaMap(0.001, 1.999)
    assert ScaleMap() == ScaleMap(1e-5, 1.0)
    assert ScaleMap().forward(0) == 1.0


def test_equal_bounds_fix_the_value():
    shapes, scales = AlphaMap(1.3, 1.3), ScaleMap(0.3, 0.3)
    free = np.array([-math.inf, -800.0, 0.0, 3.0, 800.0])
    np.testing.assert_array_equal(shapes.forward(free), 1.3)
    np.testing.assert_array_equal(shapes.derivative(free), 0)
    assert shapes.inverse(1.3) == 0
    np.testing.assert_array_equal(scales.forward(free), 0.3)
    np.testing.assert_array_equal(scales.derivative(free), 0)
    assert scales.inverse(0.3) == 0
    for fixed, value in ((shapes, 1.2), (scales, 0.4)):
        with pytest.raises(ValueError, match=r"must lie in \[\d.3, \d.3\], but got"):
            fixed.inverse(value)


def test_nan_passes():
    for each in (AlphaMap(), ScaleMap(), AlphaMap(1, 1), ScaleMap(1, 1)):
        assert math.isnan(each.inverse(math.nan))
    for function in (AlphaMap().forward, AlphaMap().derivative, ScaleMap().forward):
        assert math.isnan(function(math.nan))


@pytest.mark.parametrize("free", [0.3, np.float64(0.3), 3, np.array([[0.3], [2.0]]), [1.0, 2.0]])
def test_kinds(free):
    for each in (AlphaMap(), ScaleMap()):
        value = each.forward(free)
        assert value.shape == np.shape(free)
        assert isinstance(value, np.float64 if np.ndim(free) == 0 else np.ndarray)
        np.testing.assert_allclose(each.inverse(value), free, rtol=1e-12)


@pytest.mark.parametrize("low", [0.3, 0.7])  # one is rounded up, one down
def test_a_bound_rounded_to_float32_is_a_bound(low):
    for each in (AlphaMap(low, 1.9), ScaleMap(low, 1.9)):
        for free in (np.float32(-200), np.float32([-200])):
            value = each.forward(free)
            assert value.dtype == np.float32
            assert type(value) is type(free)
            assert value == np.float32(low)
            assert each.inverse(value) == -math.inf


def test_maps_are_frozen_values():
    assert pickle.loads(pickle.dumps(AlphaMap(0, 1))) == AlphaMap(0, 1) != AlphaMap()
    assert len({AlphaMap(), AlphaMap(), ScaleMap()}) == 2
    with pytest.raises(AttributeError):
        AlphaMap().low = 1.0  # type: ignore[misc]


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: AlphaMap(2.0, 0.0), "`low` must not be above `high`, but got 2.0 and 0.0"),
        (lambda: AlphaMap(math.nan, 1.0), "`low` must be finite, but got nan"),
        (lambda: AlphaMap(0.0, math.inf), "`high` must be finite, but got inf"),
        (lambda: AlphaMap(-1.7e308, 1.7e308), "`high` must be a finite distance from `low`"),
        (lambda: ScaleMap(2.0, 1.0), "`initial` must not be below `low`, but got 1.0 and 2.0"),
        (lambda: ScaleMap(0.1, math.nan), "`initial` must be finite, but got nan"),
        (lambda: ScaleMap(-1.0, 1.0), "`low` must be >= 0, but got -1.0"),
        (lambda: ScaleMap(0.0, 0.0), "`initial` must be > 0, but got 0.0"),
        (lambda: AlphaMap().inverse(2.0), r"`alpha` must lie in \[0.001, 1.999\], but got 2.0\."),
        (lambda: AlphaMap().inverse(np.array([1.0, 0.0])), r"but got 0.0 at index \(1,\)"),
        (lambda: ScaleMap().inverse(0.0), r"`scale` must lie in \[1e-05, inf\], but got 0.0\."),
    ],
)
def test_illegal_values(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("bound", ["1", None, np.ones(2), True, 1j], ids=repr)
def test_bounds_of_another_kind(bound):
    with pytest.raises(TypeError, match="`high` must be a real number, but got"):
        AlphaMap(0.0, bound)
    with pytest.raises(TypeError, match="`low` must be a real number, but got"):
        ScaleMap(bound, 1.0)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int8])
def test_bounds_of_a_narrow_dtype_do_not_narrow_the_map(kind):
    low, high = kind(-100), kind(100)
    shapes = AlphaMap(low, high)
    assert type(shapes.low) is type(shapes.high) is float
    free = np.linspace(-1, 1, 2001)
    assert (np.diff(shapes.forward(free)) > 0).all()
    assert ScaleMap(kind(0), kind(3)).forward(0.0) == 3.0


def test_a_bound_beyond_floats():
    with pytest.raises(ValueError, match="`high` must lie in the range of float64"):
        AlphaMap(0, 10**400)
