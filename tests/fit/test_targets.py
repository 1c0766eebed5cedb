"""Several responses of one design: each for itself, or with one shape and scale."""

import math
import pickle
import re

import numpy as np
import oracle
import pytest

import robloss
from fit.references import synthetic

X, FIRST, _ = synthetic(70, "student", n=80)
_, SECOND, _ = synthetic(71, "outliers", n=80)
_, THIRD, _ = synthetic(72, "laplace", n=80)
Y = np.column_stack([FIRST, SECOND + 3 * X[:, 0], 2 * THIRD])
K = 3
WEIGHTS = np.random.default_rng(73).integers(0, 4, 80).astype(float)

OPTIONS = {
    "adapted": {},
    "no constant": {"intercept": False},
    "alpha 1": {"alpha": 1.0},
    "scale 1": {"scale": 1.0},
    "fixed": {"alpha": 0.5, "scale": 2.0},
    "ridge": {"l2": 5.0},
    "gradient": {"method": "gradient", "max_iter": 500},
}
options = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
# Two fits of one objective differ by 1e-8 standard errors and rounding.
CLOSE = 1e-7


def as_given(backend, *arrays):
    return [backend.array(array) for array in arrays]


@options
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
def test_each_is_the_fit_of_its_own(options, weighted, backend):
    more = {"sample_weight": backend.array(WEIGHTS)} if weighted else {}
    fits = robloss.fit_linear(*as_given(backend, X, Y), **options, **more)
    assert isinstance(fits, robloss.LinearFits)
    assert fits.converged
    for k, fit in enumerate(fits):
        single = robloss.fit_linear(*as_given(backend, X, Y[:, k]), **options, **more)
        np.testing.assert_array_equal(backend.to_numpy(fit.params), backend.to_numpy(single.params))
        assert (fit.alpha, fit.scale, fit.nll) == (single.alpha, single.scale, single.nll)
    assert (tuple(fits.coef.shape), fits.intercept.shape) == ((3, K), (K,))
    assert tuple(fits.weights.shape) == tuple(fits.outliers.shape) == (80, K)
    fitted = backend.to_numpy(fits.predict(backend.array(X)))
    np.testing.assert_allclose(fitted + backend.to_numpy(fits.residuals), Y, atol=1e-12)


def test_what_all_responses_have_at_once():
    fits = robloss.fit_linear(X, Y)
    assert fits.parameter_names == ("intercept", "x0", "x1", "x2", "alpha", "scale")
    lower, upper = fits.predict_interval(X[:5], level=0.9)
    for k, fit in enumerate(fits):
        np.testing.assert_array_equal(fits.standard_errors[:, k], fit.standard_errors)
        np.testing.assert_array_equal(fits.conf_int(0.9)[..., k], fit.conf_int(0.9))
        ends = fit.predict_interval(X[:5], level=0.9)
        np.testing.assert_array_equal((lower[:, k], upper[:, k]), ends)
    again = pickle.loads(pickle.dumps(fits))
    np.testing.assert_array_equal(again.coef, fits.coef)
    np.testing.assert_array_equal(again.standard_errors, fits.standard_errors)


def stacked(y, intercept=True, weights=None):
    """The problem as one of residuals, every response a block: its function and derivatives."""
    rows = np.column_stack([np.ones(len(X)), X]) if intercept else X
    times = np.ones(len(X), dtype=int) if weights is None else weights.astype(int)
    rows, y = np.repeat(rows, times, axis=0), np.repeat(y, times, axis=0)
    design = np.kron(np.eye(K), rows)
    response = y.T.ravel()
    return (lambda theta: response - design @ theta), (lambda theta: -design), design.shape[1]


@pytest.mark.parametrize("name", ["adapted", "no constant", "alpha 1", "scale 1", "fixed"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
def test_shared_is_the_fit_of_the_stacked_problem(name, weights, backend):
    given = dict(OPTIONS[name])
    more = {} if weights is None else {"sample_weight": backend.array(weights)}
    fit = robloss.fit_linear(*as_given(backend, X, Y), shared=True, **given, **more)
    function, slopes, size = stacked(Y, given.pop("intercept", True), weights)
    plain = robloss.fit_residuals(function, np.zeros(size), jac=slopes, **given)
    assert fit.converged
    assert plain.converged
    assert backend.owns(fit.coef)
    np.testing.assert_allclose(backend.to_numpy(fit.params), plain.params, atol=CLOSE)
    assert fit.alpha == pytest.approx(plain.alpha, abs=CLOSE)
    assert fit.scale == pytest.approx(plain.scale, rel=CLOSE)
    assert fit.nll == pytest.approx(plain.nll, rel=1e-12)
    assert fit.observations == pytest.approx(plain.observations)
    sandwich = by_rows(plain, function)
    for kind in ("sandwich", "information", "H1", "H2", "H3"):
        expected = sandwich if kind == "sandwich" else plain.inference(kind).covariance
        if kind.startswith("H"):
            expected[size:, size:] = sandwich[size:, size:]
        got = backend.to_numpy(fit.inference(kind).covariance)
        # A covariance is a function of the estimates, which differ by CLOSE.
        np.testing.assert_allclose(got, expected, atol=1e-5 * np.max(np.abs(expected)))
    # Rows whose responses are taken for independent, as those of residuals are, give others.
    lone = plain.covariance
    assert np.max(np.abs(sandwich - lone)) > 0.05 * np.max(np.abs(lone))


def by_rows(plain, function):
    """The sandwich of a stacked problem with one score for all responses of a row.

    Scores are central differences of the objective of each residual, with an error of 1e-8 of them.
    """
    shape = [getattr(plain, name) for name in plain.adapted]
    estimates = np.array([*plain.params, *shape])

    def objective(at):
        rest = dict(zip(plain.adapted, at[len(plain.params) :], strict=True))
        alpha, scale = rest.get("alpha", plain.alpha), rest.get("scale", plain.scale)
        return robloss.nll(function(at[: len(plain.params)]), alpha, scale)

    steps = 1e-4 * np.diag(np.maximum(np.abs(estimates), 0.1))
    slopes = [(objective(estimates + one) - objective(estimates - one)) for one in steps]
    scores = np.array(slopes) / (2 * np.diag(steps)[:, None])
    scores = scores.reshape(len(estimates), K, -1).sum(axis=1)
    bread = plain.inference("information").covariance
    return bread @ scores @ scores.T @ bread


def test_the_sandwich_of_a_shared_ridge_is_of_slopes_of_rows_around_their_mean(backend):
    l2 = 20.0
    fit = robloss.fit_linear(*as_given(backend, X, Y), shared=True, alpha=1.0, scale=1.0, l2=l2)
    residuals = backend.to_numpy(fit.residuals)
    rows, shrunk = np.column_stack([np.ones(len(X)), X]), np.diag([0.0, l2, l2, l2])
    bread, scores = np.zeros((12, 12)), []
    for k, r in enumerate(residuals.T):
        block = rows.T @ (rows * (1 + r[:, None] ** 2) ** -1.5) + shrunk
        bread[4 * k : 4 * k + 4, 4 * k : 4 * k + 4] = np.linalg.inv(block)
        scores.append(rows * (r / np.sqrt(1 + r**2))[:, None])
    around = np.hstack(scores) - np.hstack(scores).mean(axis=0)
    expected = bread @ around.T @ around @ bread
    covariance = backend.to_numpy(fit.covariance)
    # It is a function of the estimates, which are an optimum to 1e-8 standard errors.
    np.testing.assert_allclose(covariance, expected, atol=1e-7 * np.max(expected))


@pytest.mark.parametrize("method", ["irls", "gradient"])
def test_a_shared_ridge_is_an_optimum_by_the_oracle(method, backend):
    l2 = 5.0
    fit = robloss.fit_linear(
        *as_given(backend, X, Y), shared=True, l2=l2, method=method, max_iter=500
    )
    assert fit.converged
    coef, intercept = backend.to_numpy(fit.coef), backend.to_numpy(fit.intercept)

    def objective(coef, intercept, alpha, scale):
        residuals = (Y - X @ coef - intercept).ravel()
        total = sum(float(oracle.loss(float(r), alpha, scale)) for r in residuals)
        shape = math.log(scale) + float(oracle.log_partition(alpha))
        return total + Y.size * shape, 0.5 * l2 * np.sum(coef**2)

    nll, penalty = objective(coef, intercept, fit.alpha, fit.scale)
    assert fit.nll == pytest.approx(nll, rel=1e-12)
    assert 0 < fit.alpha < 2
    rng = np.random.default_rng(74)
    for _ in range(8):
        step = 0.05 * rng.normal(size=coef.size + K + 2)
        there = objective(
            coef + step[: coef.size].reshape(coef.shape),
            intercept + step[coef.size : -2],
            fit.alpha + step[-2],
            fit.scale * math.exp(step[-1]),
        )
        assert sum(there) > nll + penalty
    lone = [robloss.fit_linear(X, y, l2=l2) for y in Y.T]
    assert sum(one.nll for one in lone) < fit.nll  # shapes of their own are likelier


def test_shared_far_from_zero_and_with_a_useless_column():
    design = np.column_stack([X + 1e6, np.full(80, 3.3)])
    fit = robloss.fit_linear(design, Y, shared=True)
    plain = robloss.fit_linear(X, Y, shared=True)
    assert fit.converged
    # The columns have lost 1e6 of their 1e16 digits.
    np.testing.assert_allclose(fit.coef[:3], plain.coef, atol=1e-7)
    np.testing.assert_allclose(fit.residuals, plain.residuals, atol=1e-7)
    assert any("rank 12 but 15 coefficients" in flag for flag in fit.flags)
    errors = fit.standard_errors
    assert np.all(np.isnan(errors[[4, 9, 14]]))
    np.testing.assert_allclose(errors[[1, 2, 3]], plain.standard_errors[[1, 2, 3]], rtol=1e-4)
    np.testing.assert_allclose(
        fit.predict_interval(design[:4]), plain.predict_interval(X[:4]), atol=1e-6
    )


def test_what_a_shared_fit_offers(backend):
    fit = robloss.fit_linear(*as_given(backend, X, Y), shared=True, feature_names=list("abc"))
    assert isinstance(fit, robloss.LinearFit)
    assert fit.names[:5] == ("y0: intercept", "y0: a", "y0: b", "y0: c", "y1: intercept")
    assert tuple(fit.coef.shape) == (3, K)
    assert tuple(fit.weights.shape) == tuple(fit.residuals.shape) == (80, K)
    assert tuple(fit.conf_int().shape) == (14, 2)
    fitted = backend.to_numpy(fit.predict(backend.array(X)))
    np.testing.assert_allclose(fitted, Y - backend.to_numpy(fit.residuals), atol=1e-12)
    lower, upper = map(backend.to_numpy, fit.predict_interval(backend.array(X), of="observation"))
    assert np.all((lower < fitted) & (fitted < upper))
    assert "240" in fit.summary()
    assert " of y1 " in fit.summary()
    with pytest.raises(ValueError, match="fit of one response, but got 3"):
        fit.plot()


def test_pickle_and_starts_of_a_shared_fit():
    fit = robloss.fit_linear(X, Y, shared=True)
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.standard_errors, fit.standard_errors)
    assert robloss.fit_linear(X, Y, shared=True, start=fit).n_iter <= 1
    for start in (fit.params, [0.0] * 12):
        other = robloss.fit_linear(X, Y, shared=True, start=start)
        np.testing.assert_allclose(other.coef, fit.coef, atol=CLOSE)
    tried = robloss.fit_linear(X, Y, shared=True, n_starts=5, rng=0)
    np.testing.assert_allclose(tried.coef, fit.coef, atol=CLOSE)


def test_starts_of_each():
    fits = robloss.fit_linear(X, Y)
    assert robloss.fit_linear(X, Y, start=fits).n_iter <= 1
    for start in (fits.params, np.zeros((4, K))):
        np.testing.assert_allclose(
            robloss.fit_linear(X, Y, start=start).coef, fits.coef, atol=CLOSE
        )


def test_one_response_in_a_column():
    single = robloss.fit_linear(X, Y[:, 0])
    own, shared = (robloss.fit_linear(X, Y[:, :1], shared=shared) for shared in (False, True))
    for fit in (own, shared):
        assert fit.coef.shape == (3, 1)
        np.testing.assert_allclose(fit.coef[:, 0], single.coef, rtol=1e-12)
    assert robloss.fit_linear(X, Y[:, 0], shared=True).nll == single.nll


def test_shared_rows_in_any_layout_and_dtype():
    fit = robloss.fit_linear(X, Y, shared=True)
    for y in (np.asfortranarray(Y), Y[::1].astype(">f8"), np.repeat(Y, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(robloss.fit_linear(X, y, shared=True).coef, fit.coef)
    narrow = robloss.fit_linear(X.astype("float32"), Y.astype("float32"), shared=True)
    assert narrow.coef.dtype == np.float32
    np.testing.assert_allclose(narrow.coef, fit.coef, atol=1e-4)


def bad(value):
    y = Y.copy()
    y[5, 1] = value
    return y


ERRORS = {
    "three dimensions": (Y[:, :, None], {}, "`y` must have one dimension, or two"),
    "no response": (Y[:, :0], {}, "`y` must have a column for each response"),
    "start of one": (Y, {"start": [0.0] * 4}, r"`start` must hold 4 times 3 parameters"),
    "shared start of one": (
        Y,
        {"start": [0.0] * 4, "shared": True},
        r"`start` must hold 12 parameters, .* got shape \(4,\)",
    ),
    "shared start by columns": (
        Y,
        {"start": np.zeros((4, 3)), "shared": True},
        r"`start` must hold 12 parameters, .* got shape \(4, 3\)",
    ),
}


@pytest.mark.parametrize(("y", "options", "sentence"), ERRORS.values(), ids=ERRORS)
def test_errors(y, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        robloss.fit_linear(X, y, **options)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200])
def test_a_bad_response_is_named(shared, value):
    with pytest.raises(ValueError, match=r"must be finite") as caught:
        robloss.fit_linear(X, bad(value), shared=shared)
    if math.isfinite(value):
        assert caught.value.__notes__ == ["It was met in the fit of column 1 of `y`."]
    else:
        assert re.search(
            rf"`y` must be finite, but got {value} at index \(\d+, 1\)", str(caught.value)
        )


def test_shared_must_be_a_truth():
    with pytest.raises(TypeError, match="`shared` must be True or False"):
        robloss.fit_linear(X, Y, shared="all")
