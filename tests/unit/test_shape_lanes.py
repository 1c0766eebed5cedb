"""The vector formula of grad_alpha: its regions, their seams, and how much of it is vectors."""

import math

import numpy as np
import pytest
from accuracy import sampled, truth
from cases import kernel_allowance
from numba import njit

from robloss._kernels import constants, elementwise, family, shape
from robloss._kernels.memory import lanes_of, load, store
from robloss._kernels.parameters import derived
from robloss._kernels.vector import lane, secant

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
REACH, CENTER = constants.FLOAT64["REACH"], constants.FLOAT64["CENTER"]
BOUND = kernel_allowance("grad_alpha")


def _grad_alpha(x, alpha, scale):
    out = np.full_like(x, 7)
    elementwise.evaluate(x, alpha, scale, None, None, None, None, out, None)
    return out


def _columns(exact, dtype):
    return [np.ascontiguousarray(column, dtype) for column in exact.points.T]


@each_dtype
@pytest.mark.parametrize("sample", ["everyday", "adversarial"])
def test_accuracy_where_alpha_and_scale_are_arrays_or_numbers(sample, dtype):
    exact = sampled("grad_alpha", sample, 800, 11, dtype)
    x, alpha, scale = _columns(exact, dtype)
    ways = {
        "arrays": _grad_alpha(x, alpha, scale),
        "numbers": [
            _grad_alpha(x[i : i + 1], float(alpha[i]), float(scale[i]))[0] for i in range(x.size)
        ],
        "scales": [
            _grad_alpha(x[i : i + 1], float(alpha[i]), scale[i : i + 1])[0] for i in range(x.size)
        ],
        "alphas": [
            _grad_alpha(x[i : i + 1], alpha[i : i + 1], float(scale[i]))[0] for i in range(x.size)
        ],
    }
    for way, values in ways.items():
        assert exact.errors(np.asarray(values, float)).max() <= BOUND, way


def _beside_seams(count, dtype):
    """Points where |E|, L or Λ is next to REACH, or L next to where the arrangement changes."""
    rng = np.random.default_rng(5)
    alpha = rng.choice([-1.0, 1.0], count) * 10 ** rng.uniform(-1.5, 1.5, count)
    alpha = np.where(rng.random(count) < 0.3, 2 + 10 ** rng.uniform(-3, 1, count), alpha)
    near = 1 + rng.choice([-1, 1], count) * 10 ** rng.uniform(-7, -1, count)
    of_log = np.full(count, REACH)
    seams = [of_log, 2 * REACH / np.abs(alpha), 2 * REACH / np.abs(alpha - 2), of_log / 2]
    log = np.clip(np.choose(rng.integers(0, 4, count), seams) * near, 0, 60)
    x = np.sqrt(np.abs(alpha - 2) * np.expm1(log))
    points = np.stack([x, alpha, np.ones(count)], axis=1).astype(dtype).astype(float)
    return truth("grad_alpha", points, dtype)


@each_dtype
def test_accuracy_beside_the_seams(dtype):
    exact = _beside_seams(1500, dtype)
    errors = exact.errors(_grad_alpha(*_columns(exact, dtype)).astype(float))
    assert errors.max() <= BOUND


def test_the_difference_that_the_seams_avoid_is_outside_the_contract():
    """The closed form as it stands, in the place of the polynomial's quotient."""
    exact = sampled("grad_alpha", "everyday", 800, 11, "float64")
    x, alpha, scale = exact.points.T
    s, b = (x / scale) ** 2, np.abs(alpha - 2)
    log, z = np.log1p(s / b), s / b
    e = 0.5 * alpha * log
    bracket = (np.exp(e) * (e - 1) + 1) / e**2 * log**2 - np.exp(e) * (log - z / (1 + z))
    assert exact.errors(0.5 * bracket).max() > 1e3 * BOUND


@njit
def _served(x, alpha, scale, served):
    of = derived(x, alpha, scale)
    width = lanes_of(x)
    for start in range(0, x.size, width):
        here = load(x, start, width)
        parts = family.power(here, alpha, scale, of)
        _, good = shape.of_parts(parts.growth, here, parts.loss_served)
        for i in range(width):
            served[start + i] = lane(good, i)


@each_dtype
@pytest.mark.parametrize("alpha", [-2.0, 0.0, 0.7, 1.0, 1.999, 2.001, 5.0])
def test_ordinary_numbers_are_all_served_by_vectors(alpha, dtype):
    rng = np.random.default_rng(2)
    least = {"float64": 1e-49, "float32": 1e-5}[dtype]
    x = np.concatenate([rng.standard_cauchy(8192), least * rng.uniform(1, 2, 2048), np.zeros(64)])
    served = np.zeros(x.size, bool)
    _served(x.astype(dtype), alpha, 1.3, served)
    assert served.all()


@each_dtype
def test_limits(dtype):
    x = np.array([0.0, -0.0, math.nan, math.inf, -math.inf, 1.0], dtype)
    for alpha, at_infinity, at_one in [
        (2.0, math.inf, math.inf),
        (-math.inf, 0.0, 0.0),
        (math.inf, 0.0, 0.0),
        (0.0, math.inf, None),
        (-2.0, 0.5, None),
    ]:
        for form in (alpha, np.full(x.size, alpha, dtype)):
            zero, minus_zero, nan, plus, minus, one = _grad_alpha(x, form, 1.0)
            assert zero == 0
            assert minus_zero == 0
            assert math.isnan(nan)
            assert (plus, minus) == (at_infinity, at_infinity)
            assert at_one is None or one == at_one


@njit
def _secant(x, y, out):
    n = lanes_of(x)
    value, slope = secant(load(x, 0, n), load(y, 0, n), "K")
    store(out, 0, n, value)
    store(out, n, n, slope)


@each_dtype
def test_the_quotient_of_a_polynomial(dtype):
    """Also where both places are the same, where it is the derivative."""
    n = 32 if dtype == "float64" else 64
    rng = np.random.default_rng(3)
    x, y = (rng.uniform(-REACH, REACH, n).astype(dtype) for _ in range(2))
    y[:4] = x[:4]
    out = np.empty(2 * n, dtype)
    _secant(x - x.dtype.type(CENTER), y - y.dtype.type(CENTER), out)
    wide, wide_y = x.astype(np.longdouble), y.astype(np.longdouble)
    k, slope, apart = _k(wide), _k_slope(wide), x != y
    slope[apart] = (_k(wide_y) - k)[apart] / (wide_y - wide)[apart]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(out[:n], k.astype(float), rtol=8 * eps)
    # The quotient of rounded k is coarse where x and y are close: none of these are.
    np.testing.assert_allclose(out[n:], slope.astype(float), rtol=16 * eps)


def _k(y):
    return (y - 1 + np.exp(-y)) / y**2


def _k_slope(y):
    return ((-np.expm1(-y)) * y - 2 * (y + np.expm1(-y))) / y**3
