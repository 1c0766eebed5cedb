"""A weight of 2 is the row twice, a weight of 0 is no row, on every library."""

import math

import numpy as np
import pytest

import robloss
from fit.references import NOISES, synthetic
from robloss._fit.sums import count
from robloss._fit.weights import counted

OPTIONS = {
    "adapted": {},
    "alpha 1": {"alpha": 1.0},
    "alpha 4, wide bounds": {"alpha_bounds": (0.0, 6.0)},
    "scale 1": {"scale": 1.0},
    "fixed": {"alpha": 0.5, "scale": 2.0},
    "below 0": {"alpha": -2.0, "scale": 2.0},
    "no constant": {"intercept": False},
}
# Two fits of the same objective differ by 1e-8 standard errors, and by what rounding of float32
# sums leaves of the flatness of their objective: √eps standard errors.
TOLERANCE = {"float64": 1e-7, "float32": 2e-3}

options = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def problem(noise="student", n=120):
    X, y, _ = synthetic(60, noise, n)
    times = np.random.default_rng(61).integers(0, 4, n)
    return X, y, times


def same(fit, expected, backend, dtype="float64"):
    assert fit.converged
    assert expected.converged
    tolerance = TOLERANCE[dtype]
    assert fit.alpha == pytest.approx(expected.alpha, abs=tolerance)
    assert fit.scale == pytest.approx(expected.scale, rel=tolerance)
    assert fit.intercept == pytest.approx(expected.intercept, abs=tolerance)
    np.testing.assert_allclose(
        backend.to_numpy(fit.coef), backend.to_numpy(expected.coef), atol=tolerance
    )
    assert fit.observations == pytest.approx(expected.observations, rel=1e-6)
    assert fit.nll == pytest.approx(expected.nll, rel=1e-12 if dtype == "float64" else 1e-5)
    assert fit.flags == expected.flags


@options
@dtypes
def test_weights_are_repetitions(options, dtype, backend):
    X, y, times = problem()
    given = (backend.array(X, dtype), backend.array(y, dtype))
    weights = backend.array(times.astype(float), dtype)
    repeated = (np.repeat(X, times, axis=0), np.repeat(y, times))
    fit = robloss.fit_linear(*given, sample_weight=weights, **options)
    expected = robloss.fit_linear(*(backend.array(a, dtype) for a in repeated), **options)
    same(fit, expected, backend, dtype)
    assert fit.observations == pytest.approx(times.sum())
    for of_rows, of_repeated in ((fit.weights, expected.weights), (fit.residuals, None)):
        assert backend.owns(of_rows)
        assert backend.dtype_name(of_rows) == dtype
        if of_repeated is not None:
            np.testing.assert_allclose(
                np.repeat(backend.to_numpy(of_rows), times),
                backend.to_numpy(of_repeated),
                atol=10 * TOLERANCE[dtype],
            )


@pytest.mark.parametrize("extreme", [1e3, 1e300])
@options
def test_rows_that_weigh_0_are_no_rows(options, extreme, backend):
    """They may be anything finite: squares that overflow too."""
    X, y, times = problem()
    kept = times > 0
    X[~kept], y[~kept] = extreme, -extreme
    data = (backend.array(a) for a in (X, y, kept.astype(float)))
    wild, weird, weights = data
    fit = robloss.fit_linear(wild, weird, sample_weight=weights, **options)
    expected = robloss.fit_linear(backend.array(X[kept]), backend.array(y[kept]), **options)
    same(fit, expected, backend)
    residuals = y - X @ backend.to_numpy(fit.coef) - fit.intercept
    np.testing.assert_allclose(backend.to_numpy(fit.residuals), residuals, rtol=1e-6, atol=1e-9)
    expected_weights = robloss.weight(residuals, fit.alpha, fit.scale) * fit.scale**2
    np.testing.assert_allclose(backend.to_numpy(fit.weights), expected_weights, rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 0.1, 1.0, 1e6])
@pytest.mark.parametrize("noise", NOISES)
def test_the_unit_of_the_weights_is_no_matter(unit, noise):
    X, y, _ = problem(noise)
    weights = np.random.default_rng(62).random(len(y)) ** 3
    plain = robloss.fit_linear(X, y, sample_weight=weights)
    fit = robloss.fit_linear(X, y, sample_weight=unit * weights)
    assert fit.converged
    assert fit.nll == pytest.approx(unit * plain.nll, rel=1e-12, abs=0)
    assert fit.observations == pytest.approx(unit * weights.sum(), rel=1e-12, abs=0)
    assert fit.history.nll[-1] == fit.nll
    assert fit.alpha == pytest.approx(plain.alpha, abs=1e-7)
    np.testing.assert_allclose(fit.coef, plain.coef, atol=1e-7)


@pytest.mark.parametrize("unit", [1e-6, 1 / 120, 1.0])
def test_outliers_are_those_of_the_rows_where_weights_add_up_to_less(unit):
    X, y, _ = problem("outliers")
    fit = robloss.fit_linear(X, y, sample_weight=np.full(120, unit))
    plain = robloss.fit_linear(X, y)
    assert fit.outlier_distance == pytest.approx(plain.outlier_distance, rel=1e-6)
    np.testing.assert_array_equal(fit.outliers, plain.outliers)
    assert np.sum(fit.outliers) > 0
    assert f"{np.sum(fit.outliers)} are outliers" in fit.summary()


def test_the_objective_is_weighted():
    X, y, times = problem()
    weights = times / 3
    fit = robloss.fit_linear(X, y, sample_weight=weights)
    of_rows = robloss.nll(fit.residuals, fit.alpha, fit.scale)
    assert fit.nll == pytest.approx(float(weights @ of_rows), rel=1e-12)
    psi = weights * robloss.influence(fit.residuals, fit.alpha, fit.scale)
    design = np.column_stack([np.ones(len(y)), X])
    assert np.all(np.abs(design.T @ psi) <= 1e-8 * (np.abs(design).T @ np.abs(psi)))
    assert np.all(np.diff(fit.history.nll) <= 0)


def test_weights_matter():
    """The twin of the tests above: other weights are another fit."""
    X, y, times = problem()
    fit = robloss.fit_linear(X, y, sample_weight=times)
    assert np.max(np.abs(fit.coef - robloss.fit_linear(X, y).coef)) > 1e-2


@pytest.mark.parametrize("kind", ["int8", "uint64", "float16", "float32", ">f8", "strided", "list"])
@pytest.mark.parametrize("order", ["C", "F"])
@dtypes
def test_layouts_and_kinds_of_number(kind, order, dtype):
    X, y, times = problem()
    X, y = np.asarray(X, dtype, order=order), y.astype(dtype)
    if kind == "strided":
        weights = np.repeat(times.astype(float), 2)[::2]
    elif kind == "list":
        weights = times.tolist()
    else:
        weights = times.astype(kind)
    fit = robloss.fit_linear(X, y, sample_weight=weights)
    expected = robloss.fit_linear(X, y, sample_weight=times.astype(float))
    # `tol` is 1e-8 standard errors, and LAPACK's last bits may depend on where matrices lie.
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-8)
    assert fit.coef.dtype == dtype


@pytest.mark.parametrize("n", [90_000])
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_many_rows(n, share, backend):
    """The sample keeps the weights, be most of them 0."""
    rng = np.random.default_rng(63)
    X, y, _ = synthetic(64, "student", n)
    times = np.where(rng.random(n) < share, rng.integers(1, 4, n), 0)
    data = [backend.array(a) for a in (X, y, times.astype(float))]
    fit = robloss.fit_linear(data[0], data[1], sample_weight=data[2])
    expected = robloss.fit_linear(np.repeat(X, times, axis=0), np.repeat(y, times))
    assert fit.converged
    assert fit.alpha == pytest.approx(expected.alpha, abs=1e-7)
    assert fit.nll == pytest.approx(expected.nll, rel=1e-12)
    np.testing.assert_allclose(backend.to_numpy(fit.coef), expected.coef, atol=1e-7)


def test_more_rows_than_float32_can_count(backend):
    """From 2^24 on a sum of ones is even."""
    times = np.ones(2**24 + 3)
    times[[7, 8]] = 0.0
    weights = backend.array(times, "float32")
    assert counted(weights, backend.xp, weights).number == 2**24 + 1
    assert count(backend.xp, weights > -1) == 2**24 + 3


def test_rows_of_a_sample_that_all_weigh_0():
    X, y, _ = synthetic(65, "student", 90_000)
    weights = np.zeros(len(y))
    weights[np.flatnonzero(weights == 0)[40_000:40_006]] = 1.0
    fit = robloss.fit_linear(X, y, alpha=1.0, scale=1.0, sample_weight=weights)
    few = robloss.fit_linear(X[40_000:40_006], y[40_000:40_006], alpha=1.0, scale=1.0)
    np.testing.assert_allclose(fit.coef, few.coef, atol=1e-7)


def test_fewer_rows_that_count_than_coefficients(backend):
    X, y, _ = problem(n=20)
    weights = np.where(np.arange(20) < 3, 1.0, 0.0)
    data = [backend.array(a) for a in (X, y, weights)]
    fit = robloss.fit_linear(*data[:2], sample_weight=data[2], alpha=1.0, scale=1.0)
    assert any("rank 3 but 4 coefficients" in flag for flag in fit.flags)
    with pytest.warns(robloss.ConvergenceWarning, match="the model fits the data"):
        fit = robloss.fit_linear(*data[:2], sample_weight=data[2])
    assert fit.status == "scale_floor"


X, Y, TIMES = problem(n=30)
ERRORS = {
    "negative": (-TIMES, ValueError, r"lie in \[0, inf\), but got -[123].0 at index \(\d,\)"),
    "NaN": (np.where(TIMES > 2, math.nan, 1.0), ValueError, r"but got nan at index \(\d,\)"),
    "infinite": (np.where(TIMES > 2, math.inf, 1.0), ValueError, r"but got inf at index \(\d,\)"),
    "sum overflows": (np.full(30, 1e308), ValueError, "must lie in .* with the sum inf"),
    "all 0": (
        0.0 * TIMES,
        ValueError,
        "must be positive for at least one row, but got zero 30 times",
    ),
    "too few": (TIMES[:-1], ValueError, r"must have shape \(30,\), .* but got \(29,\)"),
    "a column": (TIMES[:, None], ValueError, r"must have shape \(30,\), .* but got \(30, 1\)"),
    "one number": (2.0, ValueError, r"must have shape \(30,\), .* but got \(\)"),
    "truths": (TIMES > 1, TypeError, "`sample_weight` must have a real dtype"),
    "complex": (TIMES * 1j, TypeError, "`sample_weight` must have a real dtype"),
    "words": (TIMES.astype(str), TypeError, "`sample_weight` must have a real dtype"),
    "a mask": (np.ma.array(TIMES, mask=TIMES > 2), TypeError, "`sample_weight` .* without a mask"),
}


@pytest.mark.parametrize(("weights", "error", "sentence"), ERRORS.values(), ids=ERRORS)
def test_errors(weights, error, sentence):
    with pytest.raises(error, match=sentence):
        robloss.fit_linear(X, Y, sample_weight=weights)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_bad_weights_on_any_library(bad, backend):
    weights = np.where(np.arange(30) == 7, bad, 1.0)
    with pytest.raises(ValueError, match=r"`sample_weight` must lie in \[0, inf\)"):
        robloss.fit_linear(backend.array(X), backend.array(Y), sample_weight=backend.array(weights))


def test_no_weight_on_any_library(backend):
    with pytest.raises(ValueError, match="must be positive for at least one row"):
        robloss.fit_linear(
            backend.array(X), backend.array(Y), sample_weight=backend.array(np.zeros(30))
        )


def test_data_that_are_not_finite_where_the_weight_is_0(backend):
    y = np.where(TIMES == 0, math.nan, Y)
    with pytest.raises(ValueError, match="must be finite"):
        robloss.fit_linear(
            backend.array(X), backend.array(y), sample_weight=backend.array(1.0 * TIMES)
        )


@pytest.mark.backends(lambda library: not library.is_host)
def test_mixed_libraries(backend):
    with pytest.raises(TypeError, match="`X` and `sample_weight` must come from one array library"):
        robloss.fit_linear(backend.array(X), backend.array(Y), sample_weight=TIMES)
