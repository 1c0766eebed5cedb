"""Units, layouts and chunks do not change a fit."""

import numpy as np
import pytest

import robloss
from fit.references import NOISES, synthetic


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("of_x", "of_y"), [(1e3, 1.0), (1.0, 1e6), (1e-3, 1e-6), (1e8, 1e-150)])
def test_units(noise, of_x, of_y):
    X, y, _ = synthetic(10, noise)
    plain = robloss.fit_linear(X, y)
    scaled = robloss.fit_linear(X * of_x, y * of_y)
    # Rounding of the scaled data moves the optimum by a few ulp times the condition of the fit.
    assert scaled.alpha == pytest.approx(plain.alpha, abs=1e-8)
    assert scaled.scale / of_y == pytest.approx(plain.scale, rel=1e-8)
    np.testing.assert_allclose(scaled.coef * of_x / of_y, plain.coef, rtol=1e-8)
    np.testing.assert_allclose(scaled.weights, plain.weights, rtol=1e-6)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_columns_far_from_zero(offset):
    X, y, _ = synthetic(11, "student")
    plain = robloss.fit_linear(X, y)
    moved = robloss.fit_linear(X + offset, y)
    assert moved.converged
    np.testing.assert_allclose(moved.coef, plain.coef, rtol=1e-16 * offset * 1e3)
    assert moved.intercept == pytest.approx(plain.intercept - offset * plain.coef.sum(), rel=1e-8)


def far_from_zero(rng):
    return 1000.0 + rng.normal(size=(2000, 3))


def nearly_collinear(rng):
    x = rng.normal(size=(2000, 1))
    return np.column_stack([x, x + 1e-3 * rng.normal(size=(2000, 2))])


def nearly_constant(rng):
    return 1e6 + rng.normal(size=(2000, 3))


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("design", [far_from_zero, nearly_collinear, nearly_constant])
def test_float32_data_are_as_good_as_the_same_numbers_in_float64(design, intercept):
    """Their sums are of float64: a direction that these determine is not given up."""
    rng = np.random.default_rng(16)
    X = design(rng).astype(np.float32)
    y = (X @ np.array([1.0, -2.0, 1.0]) + rng.standard_t(3, 2000)).astype(np.float32)
    wide = robloss.fit_linear(X.astype(float), y.astype(float), intercept=intercept)
    fit = robloss.fit_linear(X, y, intercept=intercept)
    assert wide.converged
    assert fit.converged
    assert fit.flags == wide.flags == ()
    assert fit.nll == pytest.approx(wide.nll, rel=1e-12)
    assert fit.alpha == pytest.approx(wide.alpha, abs=1e-8)
    np.testing.assert_allclose(fit.coef, wide.coef, rtol=1e-6)
    assert fit.coef.dtype == np.float32


def test_order_of_rows_and_columns():
    X, y, _ = synthetic(12, "cauchy")
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(y)), rng.permutation(X.shape[1])
    plain = robloss.fit_linear(X, y)
    mixed = robloss.fit_linear(X[rows][:, columns], y[rows])
    np.testing.assert_allclose(mixed.coef, plain.coef[columns], rtol=1e-9)
    np.testing.assert_allclose(mixed.weights, plain.weights[rows], rtol=1e-7)


def test_memory_layouts_and_kinds_of_number():
    X, y, _ = synthetic(13, "student")
    plain = robloss.fit_linear(X, y)
    wide = np.empty((len(y), 6))
    wide[:, ::2] = X
    read_only = X.copy()
    read_only.setflags(write=False)
    for other in (np.asfortranarray(X), wide[:, ::2], read_only, X.tolist(), X[::-1][::-1]):
        np.testing.assert_allclose(robloss.fit_linear(other, y).coef, plain.coef, rtol=1e-10)
    whole = robloss.fit_linear(np.arange(30).reshape(15, 2) ** 2, np.arange(15) % 4)
    assert whole.coef.dtype == np.float64


def test_inputs_are_left_alone(backend):
    X, y, _ = synthetic(14, "student", n=40)
    ours, theirs = backend.array(X + 1e6), backend.array(y)
    robloss.fit_linear(ours, theirs)
    np.testing.assert_array_equal(backend.to_numpy(ours), X + 1e6)
    np.testing.assert_array_equal(backend.to_numpy(theirs), y)


def test_the_intercept_is_a_coefficient_like_the_others():
    """A column of ones in X, without `intercept`, gives the same fit."""
    X, y, _ = synthetic(15, "skewed")
    asked = robloss.fit_linear(X, y)
    given = robloss.fit_linear(np.column_stack([np.ones(len(y)), X]), y, intercept=False)
    np.testing.assert_allclose(given.coef, [asked.intercept, *asked.coef], rtol=1e-9)
    assert given.nll == pytest.approx(asked.nll, rel=1e-12)
    assert given.intercept == 0.0
