"""Every kind of bad input ends in a clear error or in a flagged result."""

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


ERRORS = {
    "one-dimensional X": (
        (X[:, 0], Y),
        {},
        ValueError,
        r"`X` must have two dimensions .*X\[:, None\]",
    ),
    "three-dimensional y": (
        (X, Y[:, None, None]),
        {},
        ValueError,
        r"^`y` must have one dimension, or two \(rows, responses\), but got shape \(30, 1, 1\)\. ",
    ),
    "rows differ": ((X, Y[:-1]), {}, ValueError, "same number of rows, .* 30 and 29"),
    "no rows": ((X[:0], Y[:0]), {}, ValueError, "same number of rows, at least 1"),
    "complex": ((X * 1j, Y), {}, TypeError, "`X` must have a real dtype"),
    "strings": ((X.astype(str), Y), {}, TypeError, "`X` must have a real dtype"),
    "objects": ((X, Y.astype(object)), {}, TypeError, "`y` must have a real dtype"),
    "booleans": (
        (X > 0, Y),
        {},
        TypeError,
        r"`X` must have a real dtype .*but got bool\. Convert it first, e\.g\. X\.astype\(float\)",
    ),
    "NaN in X": ((replaced(X, (3, 1), math.nan), Y), {}, ValueError, r"nan at index \(3, 1\)"),
    "inf in y": ((X, replaced(Y, 5, -math.inf)), {}, ValueError, r"`y` .* -inf at index \(5,\)"),
    "y overflows": ((X, Y * 1e200), {}, ValueError, "change the unit"),
    "y underflows": ((X, Y * 1e-200), {}, ValueError, "change the unit"),
    "X overflows": ((X * 1e200, Y), {}, ValueError, "change the unit"),
    "X underflows": ((X * 1e-165, Y), {}, ValueError, "change the unit"),
    "X nearly underflows": ((X * 1e-162, Y), {}, ValueError, "change the unit"),
    "X underflows beside no constant": (
        (X * 1e-165, Y),
        {"intercept": False},
        ValueError,
        "change the unit",
    ),
    "intercept a word": (
        (X, Y),
        {"intercept": "yes"},
        TypeError,
        "`intercept` must be True or False, but got 'yes'",
    ),
    "intercept a number": ((X, Y), {"intercept": 2}, TypeError, "`intercept` must be True or"),
    "a mask": ((np.ma.array(X, mask=X > 1), Y), {}, TypeError, "without a mask"),
    "one name": ((X, Y), {"feature_names": "abc"}, TypeError, "must be a list of names"),
    "names": ((X, Y), {"feature_names": ["a"]}, ValueError, "one name per column"),
}


# Of the options that all estimators have.
OPTION_ERRORS = {
    "scale zero": ({"scale": 0.0}, ValueError, r"`scale` must lie in \(0, inf\), but got 0.0"),
    "scale negative": ({"scale": -1}, ValueError, r"`scale` .* but got -1.0"),
    "scale NaN": ({"scale": math.nan}, ValueError, "`scale` .* but got nan"),
    "scale infinite": ({"scale": math.inf}, ValueError, "`scale` .* but got inf"),
    "scale a word": ({"scale": "auto"}, TypeError, '`scale` must be "adapt" or a number'),
    "scale an array": ({"scale": [1.0]}, TypeError, '`scale` must be "adapt" or a number'),
    "alpha NaN": ({"alpha": math.nan}, ValueError, "`alpha` .* but got nan"),
    "alpha a truth": ({"alpha": True}, TypeError, '`alpha` must be "adapt" or a number'),
    "alpha below 0": ({"alpha": -1}, ValueError, "where the scale is adapted"),
    "bounds reversed": ({"alpha_bounds": (2, 0)}, ValueError, "low < high"),
    "bounds below 0": ({"alpha_bounds": (-1, 2)}, ValueError, "0 <= low"),
    "bounds infinite": ({"alpha_bounds": (0, math.inf)}, ValueError, "high < inf"),
    "bounds of three": ({"alpha_bounds": (0, 1, 2)}, TypeError, "two numbers"),
    "tolerance": ({"tol": 0.0}, ValueError, "`tol` must lie in"),
    "steps": ({"max_iter": -1}, ValueError, "`max_iter` must be a whole number"),
    "scale none": ({"scale": None}, TypeError, '`scale` must be "adapt" or a number'),
    "tolerance a word": ({"tol": "a"}, TypeError, "`tol` must be a number"),
    "steps not whole": ({"max_iter": math.inf}, ValueError, "`max_iter` must be a whole"),
    "bounds words": ({"alpha_bounds": ("a", "b")}, TypeError, "must be two numbers"),
}
ESTIMATORS = {
    "linear": lambda **options: robloss.fit_linear(X, Y, **options),
    "shared": lambda **options: robloss.fit_linear(
        X, np.column_stack([Y, Y]), shared=True, **options
    ),
    "location": lambda **options: robloss.fit_location(Y, **options),
    "columns": lambda **options: robloss.fit_location(Y[:, None], **options),
    "residuals": lambda **options: robloss.fit_residuals(
        lambda theta: Y - X @ theta, np.zeros(3), **options
    ),
}


@pytest.mark.parametrize("fit", ESTIMATORS.values(), ids=ESTIMATORS)
@pytest.mark.parametrize(
    ("options", "error", "sentence"), OPTION_ERRORS.values(), ids=OPTION_ERRORS
)
def test_errors_of_options(options, error, sentence, fit):
    with pytest.raises(error, match=sentence):
        fit(**options)


@pytest.mark.parametrize("fit", ESTIMATORS.values(), ids=ESTIMATORS)
def test_too_few_steps_of_any_estimator(fit):
    with pytest.warns(robloss.ConvergenceWarning, match="`max_iter` steps"):
        found = fit(max_iter=1)
    assert (found.status, found.converged, found.n_iter) == ("max_iter", False, 1)


DATA = {
    "linear": lambda y: robloss.fit_linear(X, y),
    "shared": lambda y: robloss.fit_linear(X, np.column_stack([y, y]), shared=True),
    "location": lambda y: robloss.fit_location(y),
    "residuals": lambda y: robloss.fit_residuals(lambda theta: y - X @ theta, np.zeros(3)),
}


@pytest.mark.parametrize("fit", DATA.values(), ids=DATA)
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_not_finite_data_of_any_estimator(value, fit):
    with pytest.raises(ValueError, match="must be finite"):
        fit(replaced(Y, 5, value))


@pytest.mark.parametrize("unit", [1e-150, 1e150])
@pytest.mark.parametrize("name", ["linear", "shared", "location"])
def test_units_of_any_estimator(name, unit):
    fit, plain = DATA[name](unit * Y), DATA[name](Y)
    assert fit.converged
    assert fit.alpha == pytest.approx(plain.alpha, abs=1e-7)
    np.testing.assert_allclose(fit.params / unit, plain.params, atol=1e-7)


@pytest.mark.parametrize("fit", DATA.values(), ids=DATA)
def test_scale_without_a_maximum_of_any_estimator(fit):
    """Residuals of 0 in more than half of the rows, where the responses are 0 themselves."""
    with pytest.warns(robloss.ConvergenceWarning, match="half of the rows"):
        found = fit(np.where(np.arange(30) < 22, 0.0, Y))
    assert (found.status, found.converged) == ("scale_floor", False)
    assert found.scale > 0
    assert math.isfinite(found.nll)


@pytest.mark.parametrize(("data", "options", "error", "sentence"), ERRORS.values(), ids=ERRORS)
def test_errors(data, options, error, sentence):
    with pytest.raises(error, match=sentence):
        robloss.fit_linear(*data, **options)


@pytest.mark.parametrize("intercept", [True, False])
def test_the_truths_of_numpy(intercept):
    fit = robloss.fit_linear(X, Y, intercept=np.bool_(intercept))
    assert fit.fitted_intercept is intercept


def test_columns_that_underflow_on_any_library(backend):
    with pytest.raises(ValueError, match="neither overflow nor underflow"):
        robloss.fit_linear(backend.array(X * [1.0, 1e-165, 0.0]), backend.array(Y))


def test_not_finite_data_on_any_library(backend):
    with pytest.raises(ValueError, match="must be finite"):
        robloss.fit_linear(backend.array(replaced(X, (3, 1), math.nan)), backend.array(Y))
    with pytest.raises(ValueError, match="must be finite"):
        robloss.fit_linear(backend.array(X), backend.array(replaced(Y, 5, math.inf)))


@pytest.mark.backends(lambda library: not library.is_host)
def test_mixed_libraries(backend):
    with pytest.raises(TypeError, match="`X` and `y` must come from one array library"):
        robloss.fit_linear(backend.array(X), Y)


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


def test_too_few_steps():
    with pytest.warns(robloss.ConvergenceWarning, match="`max_iter` steps"):
        fit = robloss.fit_linear(X, Y, max_iter=2)
    assert (fit.status, fit.converged, fit.n_iter) == ("max_iter", False, 2)
    assert "`max_iter` steps" in fit.summary()


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


def test_predict_refuses_other_columns():
    fit = robloss.fit_linear(X, Y)
    with pytest.raises(ValueError, match=r"`X` must have shape \(m, 3\), but got \(2, 4\)"):
        fit.predict(np.zeros((2, 4)))
    with pytest.raises(TypeError, match="real dtype"):
        fit.predict(np.zeros((2, 3), dtype=complex))
    np.testing.assert_array_equal(
        fit.predict([[1, 2, 3]]), fit.predict(np.array([[1.0, 2.0, 3.0]]))
    )
