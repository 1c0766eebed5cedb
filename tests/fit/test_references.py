"""Fits of real data against independently computed figures, on every library."""

import numpy as np
import pytest

import robloss
from fit.references import REFERENCES

cases = pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)


def fit_on(backend, reference, dtype=None):
    data = reference.data()
    return robloss.fit_linear(
        backend.array(data.X, dtype), backend.array(data.y, dtype), **reference.options
    )


def parameters(backend, fit):
    return np.array([fit.intercept, *backend.to_numpy(fit.coef)])


@cases
def test_figures(reference, backend):
    fit = fit_on(backend, reference)
    assert fit.converged
    assert fit.status == "converged"
    # Half a unit of the last digit given: six significant digits, five where the source has five.
    digits = 2e-6 if reference.dataset == "stackloss" or not reference.options else 2e-5
    np.testing.assert_allclose(parameters(backend, fit), reference.coefficients, rtol=digits)
    assert fit.scale == pytest.approx(reference.scale, rel=2e-5)
    assert fit.alpha == pytest.approx(reference.alpha, abs=5e-6)
    assert fit.nll == pytest.approx(
        reference.nll, abs=5e-5 if "stars" in reference.dataset else 1e-7
    )


@cases
def test_flags(reference, backend):
    flags = fit_on(backend, reference).flags
    if reference.flag:
        assert any(flag.startswith(reference.flag) for flag in flags)
    else:
        assert flags == ()


@cases
def test_libraries_agree(reference, backend):
    data = reference.data()
    ours = fit_on(backend, reference)
    numpy = robloss.fit_linear(data.X, data.y, **reference.options)
    assert backend.owns(ours.coef)
    assert backend.owns(ours.weights)
    assert backend.owns(ours.residuals)
    np.testing.assert_allclose(parameters(backend, ours), [numpy.intercept, *numpy.coef], rtol=1e-8)
    assert ours.alpha == pytest.approx(numpy.alpha, abs=1e-8)
    assert ours.scale == pytest.approx(numpy.scale, rel=1e-8)
    np.testing.assert_allclose(backend.to_numpy(ours.weights), numpy.weights, rtol=1e-7)
    np.testing.assert_allclose(backend.to_numpy(ours.residuals), numpy.residuals, rtol=1e-7)


@cases
def test_float32(reference, backend):
    fit = fit_on(backend, reference, "float32")
    assert fit.converged
    assert backend.dtype_name(fit.coef) == "float32"
    assert backend.dtype_name(fit.weights) == "float32"
    np.testing.assert_allclose(parameters(backend, fit), reference.coefficients, rtol=1e-3)
    assert fit.scale == pytest.approx(reference.scale, rel=1e-3)


@cases
def test_nll_never_increases(reference, backend):
    for dtype in ("float64", "float32"):
        history = fit_on(backend, reference, dtype).history
        assert np.all(np.diff(history.nll) <= 0)
        assert len(history.nll) == len(history.alpha) == len(history.scale)


def test_predict_stays_in_the_library(backend):
    data = REFERENCES["stackloss"].data()
    X, y = backend.array(data.X), backend.array(data.y)
    fit = robloss.fit_linear(X, y)
    predicted = fit.predict(X)
    assert backend.owns(predicted)
    np.testing.assert_allclose(
        backend.to_numpy(predicted), data.y - backend.to_numpy(fit.residuals), rtol=1e-12
    )
