"""Data at the ends of what can be fitted: far values, singular designs, tiny scales, any bounds."""

import math

import numpy as np
import pytest

import robloss
from fit.references import synthetic

X, Y, _ = synthetic(20, "student", n=30)


def replaced(array, index, value):
    changed = array.astype(float)
    changed[index] = value
    return changed


FITS = {
    "linear": lambda y: robloss.fit_linear(X, y),
    "shared": lambda y: robloss.fit_linear(X, np.column_stack([y, y]), shared=True),
    "location": lambda y: robloss.fit_location(y),
    "residuals": lambda y: robloss.fit_residuals(lambda theta: y - X @ theta, Y[0] * X[0]),
}


@pytest.mark.parametrize("unit", [1e-150, 1e150])
@pytest.mark.parametrize("name", ["linear", "shared", "location"])
def test_units_of_any_estimator(name, unit):
    fit, plain = FITS[name](unit * Y), FITS[name](Y)
    assert fit.converged
    assert fit.alpha == pytest.approx(plain.alpha, abs=1e-7)
    np.testing.assert_allclose(fit.params / unit, plain.params, atol=1e-7)


EXACT = X @ [1.0, 2.0, 3.0] + 4.0
SIX_OFF = EXACT + np.where(np.arange(30) < 6, 10.0 * np.sin(np.arange(30)), 0.0)

FLOOR = {
    "perfect fit": (X, EXACT),
    "constant y": (X, np.full(30, 7.0)),
    "y is 0": (X, np.zeros(30)),
    "more than half exact": (X, SIX_OFF),
    "fewer rows than coefficients": (X[:2], Y[:2]),
    "one row": (X[:1], Y[:1]),
}


@pytest.mark.parametrize("data", FLOOR.values(), ids=FLOOR)
def test_scale_without_a_maximum_is_flagged(data, backend):
    with pytest.warns(robloss.ConvergenceWarning, match="the model fits the data"):
        fit = robloss.fit_linear(*map(backend.array, data))
    assert fit.status == "scale_floor"
    assert not fit.converged
    assert fit.scale > 0
    assert np.all(np.isfinite(backend.to_numpy(fit.coef)))
    assert math.isfinite(fit.nll)
    assert np.all(np.diff(fit.history.nll) <= 0)


def test_perfect_fit_with_a_given_scale_is_plain():
    fit = robloss.fit_linear(X, EXACT, alpha=1.0, scale=1.0)
    assert fit.converged
    np.testing.assert_allclose(fit.coef, [1.0, 2.0, 3.0], rtol=1e-12)
    np.testing.assert_array_equal(fit.weights, np.ones(30))


SINGULAR = {
    # 3.3 is no exact mean of itself: what centring leaves of it must not be taken for a feature.
    "column of 3.3": np.column_stack([X, np.full(30, 3.3)]),
    "constant column": np.column_stack([X, np.ones(30)]),
    "zero column": np.column_stack([X, np.zeros(30)]),
    "repeated column": np.column_stack([X, X[:, 0]]),
    "collinear columns": np.column_stack([X, X @ [1.0, -1.0, 0.5]]),
}


@pytest.mark.parametrize("design", SINGULAR.values(), ids=SINGULAR)
@pytest.mark.parametrize(("dtype", "digits"), [("float64", 1e-7), ("float32", 1e-3)])
def test_singular_designs_are_flagged(design, dtype, digits, backend):
    fit = robloss.fit_linear(backend.array(design, dtype), backend.array(Y, dtype))
    plain = robloss.fit_linear(X, Y)
    assert fit.converged
    assert any("rank 4 but 5 coefficients" in flag for flag in fit.flags)
    np.testing.assert_allclose(backend.to_numpy(fit.residuals), plain.residuals, atol=digits)
    assert fit.nll == pytest.approx(plain.nll, rel=1e-10 if dtype == "float64" else 1e-5)
    assert np.max(np.abs(backend.to_numpy(fit.coef))) < 10


def test_a_start_that_overflows():
    with pytest.warns(robloss.ConvergenceWarning, match="not finite at the start"):
        fit = robloss.fit_linear(X, Y * 1e3, alpha=math.inf, scale=1.0)
    assert fit.status == "not_finite"


@pytest.mark.parametrize(
    ("dtype", "gross"), [("float64", 1e12), ("float64", 1e15), ("float32", 1e7)]
)
def test_a_gross_outlier_is_no_matter(dtype, gross):
    fit = robloss.fit_linear(X.astype(dtype), replaced(Y, 0, gross).astype(dtype))
    assert fit.converged
    assert fit.weights[0] < 1e-10
    np.testing.assert_allclose(fit.coef, robloss.fit_linear(X[1:], Y[1:]).coef, atol=0.3)


def test_the_limit_of_least_absolute_deviations():
    """At alpha = 1 and a tiny scale F is all slopes and corners: its flatness is no optimum."""
    smooth = robloss.fit_linear(X, Y, alpha=1.0, scale=1e-3)
    sharp = [robloss.fit_linear(X, Y, alpha=1.0, scale=scale) for scale in (1e-6, 1e-9, 1e-12)]
    deviations = [float(np.sum(np.abs(fit.residuals))) for fit in sharp]
    assert all(fit.converged for fit in sharp)
    assert max(deviations) < float(np.sum(np.abs(smooth.residuals)))
    assert max(deviations) == pytest.approx(min(deviations), rel=1e-7)


@pytest.mark.parametrize(("alpha", "scale"), [(-math.inf, 1e-3), (-50.0, 1e-10)])
def test_a_scale_that_leaves_no_row_its_weight(alpha, scale):
    with pytest.warns(robloss.ConvergenceWarning, match="The weights of nearly all rows are 0"):
        fit = robloss.fit_linear(X, Y, alpha=alpha, scale=scale)
    assert (fit.status, fit.converged) == ("no_weight", False)


@pytest.mark.parametrize("bounds", [(0, 1e-6), (0, 50), (0, 1e300), (0.1, 1.9), (1.5, 2.5), (3, 4)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_any_bounds(bounds, dtype):
    fit = robloss.fit_linear(X.astype(dtype), Y.astype(dtype), alpha_bounds=bounds)
    assert fit.converged
    assert bounds[0] <= fit.alpha <= bounds[1]
    assert bool(fit.flags) == (fit.alpha in bounds)
