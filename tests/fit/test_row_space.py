"""Fewer rows than parameters: fits in the space of the rows against those in all columns."""

import pickle
import time

import numpy as np
import pytest

import robloss
from robloss._fit import responses
from robloss._fit.inference import KINDS

RNG = np.random.default_rng(91)
N, P = 12, 30
X = RNG.normal(size=(N, P)) + 3.0
Y = X[:, 0] - X[:, 1] + RNG.standard_t(2, size=N)
TIMES = np.array([0.0, 0.0, 2.0, 1.5, *np.ones(N - 4)])
GIVEN = {"alpha": 0.5, "scale": 1.0}


@pytest.fixture
def in_all_columns(monkeypatch):
    """Fit with a Hessian of all parameters: what there is without the space of rows."""

    def fitted(*arguments, **options):
        with monkeypatch.context() as patch:
            patch.setattr(responses, "row_space", lambda *_: None)
            return robloss.fit_linear(*arguments, **options)

    return fitted


RIDGES = {
    "all given": {},
    "no intercept": {"intercept": False},
    "free shape": {"alpha": "adapt"},
    "weighted": {"sample_weight": TIMES},
    "small": {"l2": 1e-3},
    "shared": {"shared": True},
}


@pytest.mark.parametrize("options", RIDGES.values(), ids=RIDGES)
def test_with_a_ridge_it_is_the_same_fit(options, in_all_columns):
    y = np.column_stack([Y, Y[::-1]]) if "shared" in options else Y
    options = {"l2": 1.0, **GIVEN, **options}
    fit, whole = robloss.fit_linear(X, y, **options), in_all_columns(X, y, **options)
    assert fit.converged
    assert whole.converged
    assert fit.flags == whole.flags
    # Both end within `tol` of a standard error, 1e-8; nll leaves out the ridge, and has a slope.
    assert fit.nll == pytest.approx(whole.nll, rel=1e-9)
    for name in ("params", "coef", "intercept", "residuals", "weights"):
        np.testing.assert_allclose(getattr(fit, name), getattr(whole, name), rtol=1e-8, atol=1e-8)
    # Scores nearly cancel in the sandwich of a small ridge: rounding is 1e-16 over its square.
    digits = 1e-3 if options["l2"] < 1 else 1e-8
    for kind in ("sandwich", "information", "H3" if "sample_weight" in options else "sandwich"):
        found, expected = fit.inference(kind), whole.inference(kind)
        size = np.nanmax(expected.standard_errors)
        np.testing.assert_allclose(
            found.standard_errors, expected.standard_errors, rtol=digits, atol=digits * size
        )
        np.testing.assert_allclose(
            found.covariance, expected.covariance, rtol=digits, atol=digits * size**2
        )
        assert found.flags == expected.flags
    for one, other in zip(fit.predict_interval(2 * X), whole.predict_interval(2 * X), strict=True):
        np.testing.assert_allclose(one, other, rtol=digits, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_errors_of_predictions_are_those_of_the_covariance(kind, intercept, shared):
    """Of rows that lie in the space of rows in part only."""
    y = np.column_stack([Y, Y[::-1]]) if shared else Y
    options = {"l2": 1.0, "sample_weight": TIMES, "intercept": intercept, **GIVEN}
    fit = robloss.fit_linear(X, y, shared=shared, **options)
    inference, new = fit.inference(kind), RNG.normal(size=(5, P))
    assert np.isfinite(inference.covariance).all()
    design = np.column_stack([np.ones(5), new]) if intercept else new
    size = design.shape[1]
    blocks = [
        inference.covariance[at : at + size, at : at + size] for at in (0, size)[: 1 + shared]
    ]
    expected = [np.sqrt(np.sum(design @ block * design, axis=1)) for block in blocks]
    # The covariance of a sandwich nearly cancels in directions that it says nothing of.
    np.testing.assert_allclose(
        inference.error_of_mean(new), np.stack(expected, axis=1).reshape(y[:5].shape), rtol=1e-7
    )


@pytest.mark.parametrize("intercept", [True, False])
def test_without_a_ridge_it_is_the_fit_of_least_norm(intercept, backend):
    data = backend.array(X), backend.array(Y)
    fit = robloss.fit_linear(*data, intercept=intercept, **GIVEN)
    middle = X.mean(axis=0) if intercept else 0.0
    expected = np.linalg.lstsq(X - middle, Y - Y.mean() if intercept else Y)[0]
    assert fit.converged
    (flag,) = fit.flags
    assert flag.startswith(f"The design has rank {N} but {P + intercept} coefficients")
    np.testing.assert_allclose(backend.to_numpy(fit.coef), expected, atol=1e-12)
    np.testing.assert_allclose(backend.to_numpy(fit.predict(data[0])), Y, atol=1e-12)
    np.testing.assert_allclose(backend.to_numpy(fit.residuals), np.zeros(N), atol=1e-12)
    assert np.isnan(backend.to_numpy(fit.standard_errors)).all()
    names = "x0, x1" if not intercept else "intercept, x0"
    assert any(flag.startswith(f"Not determined, and without standard errors: {names}, ")
               and flag.endswith(f" and {P + intercept - 10} more.")
               for flag in fit.inference().flags)  # fmt: skip


def test_a_vanishing_ridge_leads_to_least_norm():
    least = robloss.fit_linear(X, Y, **GIVEN)
    ridge = robloss.fit_linear(X, Y, l2=1e-8, **GIVEN)
    np.testing.assert_allclose(ridge.coef, least.coef, atol=1e-6)


def test_what_rows_tell_of_without_a_ridge():
    """Features of other rows are told of in the space of the rows alone, coefficients in none."""
    few = np.column_stack([X[:4, :5], np.zeros(4)])
    fit = robloss.fit_linear(few, Y[:4], intercept=False, **GIVEN)
    seen = fit.predict_interval(RNG.normal(size=(3, 4)) @ few)
    assert np.isfinite(seen).all()
    assert np.isnan(fit.predict_interval(few + np.eye(6)[5])).all()
    one = robloss.fit_linear(np.eye(3)[:2] * 5.0, [1.0, 2.0], intercept=False, **GIVEN)
    np.testing.assert_array_equal(np.isnan(one.standard_errors), [False, False, True])
    np.testing.assert_allclose(one.coef, [0.2, 0.4, 0.0], atol=1e-15)


def test_every_way_to_call_it(backend):
    """Starts, several responses, weights, copies: on every library what NumPy gives."""
    x, y = backend.array(X), backend.array(np.column_stack([Y, 2 * Y]))
    options = {"l2": 1.0, "alpha": 0.5, "scale": 1.0}
    fits = robloss.fit_linear(x, y, sample_weight=backend.array(TIMES), **options)
    expected = robloss.fit_linear(X, Y, sample_weight=TIMES, **options)
    np.testing.assert_allclose(backend.to_numpy(fits.coef)[:, 0], expected.coef, atol=1e-9)
    np.testing.assert_allclose(
        backend.to_numpy(fits.residuals)[:, 0], expected.residuals, atol=1e-9
    )  # of rows that weigh 0 too
    again = robloss.fit_linear(x, y, sample_weight=backend.array(TIMES), start=fits, **options)
    assert again.n_iter == 0
    np.testing.assert_allclose(
        backend.to_numpy(again.params), backend.to_numpy(fits.params), atol=1e-8
    )
    copy = pickle.loads(pickle.dumps(fits[0]))
    for one, other in zip(copy.predict_interval(x), expected.predict_interval(X), strict=True):
        np.testing.assert_allclose(backend.to_numpy(one), other, rtol=1e-7)


def test_iterates_have_the_parameters_of_the_user():
    seen = []
    fit = robloss.fit_linear(X, Y, l2=1.0, callback=lambda at: seen.append(at.params), **GIVEN)
    assert all(params.shape == (P + 1,) for params in seen)
    np.testing.assert_array_equal(seen[-1], fit.params)


UNSOUND = {
    "nan": (np.where(np.arange(N) == 2, np.nan, 1.0), r"`X` must be finite, but got nan at index"),
    "too large": (np.full(N, 1e200), "squares that neither overflow nor underflow"),
    "too small": (np.full(N, 1e-200), "squares that neither overflow nor underflow"),
}


@pytest.mark.parametrize(("column", "match"), UNSOUND.values(), ids=UNSOUND)
def test_unsound_features_are_refused_all_the_same(column, match):
    with pytest.raises(ValueError, match=match):
        robloss.fit_linear(np.column_stack([X, column * X[:, 0]]), Y)


def test_float32(backend):
    data = backend.array(X, "float32"), backend.array(Y, "float32")
    fit = robloss.fit_linear(*data, l2=1.0, **GIVEN)
    expected = robloss.fit_linear(X, Y, l2=1.0, **GIVEN)
    assert backend.dtype_name(fit.coef) == backend.dtype_name(fit.residuals) == "float32"
    np.testing.assert_allclose(backend.to_numpy(fit.coef), expected.coef, atol=1e-5)
    np.testing.assert_allclose(
        backend.to_numpy(fit.standard_errors), expected.standard_errors, rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("method", ["irls", "gradient"])
def test_thousands_of_columns_take_seconds(method):
    """With a Hessian of all columns this took minutes; memory for one would be 3 GB at the end."""
    rng = np.random.default_rng(92)
    features = rng.normal(size=(100, 20_000))
    y = features[:, :5].sum(axis=1) + rng.standard_t(3, size=100)
    start = time.perf_counter()
    fit = robloss.fit_linear(features, y, l2=1.0, alpha=1.0, scale=1.0, method=method)
    assert fit.converged
    assert np.isfinite(fit.standard_errors).all()
    assert "x19999" in fit.summary()
    assert time.perf_counter() - start < 30.0  # a twentieth of that on a laptop
    psi = fit.residuals / np.sqrt(fit.residuals**2 + 1.0)  # of ρ = √(z² + 1) − 1
    slope = features.T @ psi - fit.coef
    np.testing.assert_allclose(slope, 0.0, atol=1e-5 if method == "gradient" else 1e-8)
