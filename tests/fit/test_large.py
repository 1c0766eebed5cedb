"""Fits of many rows start from a sample: they end where the plain loop ends, in less space."""

import tracemalloc

import array_api_compat.numpy as xp
import numpy as np
import pytest

import robloss
from robloss._fit import search
from robloss._fit.linear_data import linear_data

N = 90_000


def ordinary(rng, p=4, noise=None):
    X = rng.normal(size=(N, p))
    noise = rng.standard_t(2, N) if noise is None else noise
    return X, X @ np.linspace(-1, 2, p) + 0.5 + noise


def sorted_rows(rng):
    X, y = ordinary(rng)
    order = np.argsort(y)
    return X[order], y[order]


def first_rows_are_outliers(rng):
    X, y = ordinary(rng)
    y[: N // 4] += 100.0
    return X, y


def normal(rng):
    return ordinary(rng, noise=rng.normal(size=N))


def many_outliers_on_one_side(rng):
    return ordinary(rng, noise=rng.normal(size=N) + np.where(np.arange(N) % 5 == 0, 25.0, 0.0))


def rare_group(rng):
    """A column that few rows have: some of the sample, or none."""
    X, y = ordinary(rng)
    X[:, 0] = 0.0
    X[rng.integers(0, N, 12), 0] = 1.0
    return X, y + 50 * X[:, 0]


def constant_in_the_sample(rng):
    X, y = ordinary(rng)
    X[:, 0] = np.arange(N) >= N - 3
    return X, y


def collinear_in_the_sample(rng):
    X, y = ordinary(rng)
    X[:, 3] = X[:, 0]
    X[rng.integers(0, N, 2), 3] += 1.0
    return X, y


def leverage(rng):
    X, y = ordinary(rng)
    far = rng.integers(0, N, 40)
    X[far] *= 1000.0
    y[far] += 1e4 * rng.normal(size=40)
    return X, y


def two_halves(rng):
    X, y = ordinary(rng)
    y[N // 2 :] += 8.0
    return X, y


def far_from_zero(rng):
    X, y = ordinary(rng)
    return X + 1e4, y


PROBLEMS = [
    ordinary,
    normal,
    sorted_rows,
    first_rows_are_outliers,
    many_outliers_on_one_side,
    rare_group,
    constant_in_the_sample,
    collinear_in_the_sample,
    leverage,
    two_halves,
    far_from_zero,
]
OPTIONS = {
    "adapted": {},
    "alpha 1": {"alpha": 1.0, "scale": 0.8},
    "alpha 0": {"alpha": 0.0},
    "scale": {"scale": 1.0},
}


def plainly(monkeypatch, X, y, **options):
    with monkeypatch.context() as patch:
        patch.setattr(search, "_WORTHWHILE", np.inf)
        return robloss.fit_linear(X, y, **options)


# Where the plain loop itself runs out of steps, or stalls.
LOST = [(collinear_in_the_sample, OPTIONS["adapted"]), (two_halves, OPTIONS["scale"])]


@pytest.mark.filterwarnings("ignore:The fit did not converge")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_same_end_as_the_plain_loop(problem, options, monkeypatch):
    X, y = problem(np.random.default_rng(50))
    plain = plainly(monkeypatch, X, y, **options)
    fit = robloss.fit_linear(X, y, **options)
    assert fit.converged
    assert np.all(np.diff(fit.history.nll) <= 0)
    if (problem, options) in LOST:
        assert not plain.converged
        assert fit.nll < plain.nll
        return
    assert plain.converged
    # Newton steps of 1e-8 standard errors are below 1e-16 of the objective, whose rounding this is.
    assert fit.nll == pytest.approx(plain.nll, rel=1e-13)
    assert fit.alpha == pytest.approx(plain.alpha, abs=1e-9)
    if problem is collinear_in_the_sample:
        return  # two rows decide one coefficient: minima through either are equally deep
    np.testing.assert_allclose(fit.residuals, plain.residuals, atol=1e-7)
    np.testing.assert_allclose(fit.weights, plain.weights, atol=1e-7)


def test_the_sample_saves_passes(monkeypatch):
    X, y = ordinary(np.random.default_rng(51))
    assert robloss.fit_linear(X, y).n_iter <= 4
    assert plainly(monkeypatch, X, y).n_iter > 5


def test_a_sample_that_leads_astray_is_not_followed(monkeypatch):
    """Where the sample shows nothing of the data, the fit is the plain one to the last bit."""
    X, y = ordinary(np.random.default_rng(52))
    plain = plainly(monkeypatch, X, y)
    data = linear_data(xp, X, y + 30.0 * X[:, 0], True)
    wrong = data.sample(20_000)
    monkeypatch.setattr(type(data), "sample", lambda self, rows: wrong)
    fit = robloss.fit_linear(X, y)
    np.testing.assert_array_equal(fit.history.nll, plain.history.nll)
    np.testing.assert_array_equal(fit.coef, plain.coef)


def test_a_sample_whose_end_overflows_on_the_data():
    """One response that the sample lacks: at its optimum the objective of the data is inf."""
    X, y = normal(np.random.default_rng(56))
    y[778] = 1e5
    assert 1e5 not in linear_data(xp, X, y, True).sample(20_000).y
    fit = robloss.fit_linear(X, y, alpha=np.inf)
    assert fit.converged
    with pytest.warns(robloss.ConvergenceWarning, match="not finite at the start"):
        fit = robloss.fit_linear(X, y, alpha=np.inf, scale=1.0)
    assert fit.status == "not_finite"


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(
    ("which", "bad"),
    [("X", 1e200), *[(which, bad) for which in "Xy" for bad in (np.nan, np.inf, -np.inf)]],
)
def test_bad_data_that_the_sample_lacks(which, bad, options):
    X, y = ordinary(np.random.default_rng(57))
    place = (X if which == "X" else y).reshape(N, -1)[778]
    place[0] = bad
    sample = linear_data(xp, X, y, True).sample(20_000)
    assert np.all(np.abs(sample.X) < 1e100)
    assert np.all(np.abs(sample.y) < 1e100)
    with pytest.raises(ValueError, match=r"must be finite|change the unit"):
        robloss.fit_linear(X, y, **options)


def test_the_sample_covers_the_rows():
    X = np.arange(float(N))[:, None]
    rows = linear_data(xp, X, X[:, 0], True).sample(20_000).y
    assert np.all(np.diff(rows) > 0)
    assert np.max(np.abs(rows - np.arange(20_000) * (N / 20_000))) <= N / 20_000 + 1
    steps = np.diff(rows)
    assert len(np.unique(steps)) >= 7  # places within a stretch vary: no period is met in step


def test_no_step_is_no_sample():
    X, y = ordinary(np.random.default_rng(53))
    with pytest.warns(robloss.ConvergenceWarning, match="max_iter"):
        fit = robloss.fit_linear(X, y, max_iter=0)
    assert fit.n_iter == 0
    np.testing.assert_allclose(
        [fit.intercept, *fit.coef],
        np.linalg.lstsq(np.column_stack([np.ones(N), X]), y)[0],
        rtol=1e-10,
    )


def test_every_library(backend):
    X, y = ordinary(np.random.default_rng(54), p=2)
    numpy = robloss.fit_linear(X, y)
    fit = robloss.fit_linear(backend.array(X), backend.array(y))
    assert fit.converged
    assert fit.alpha == pytest.approx(numpy.alpha, abs=1e-9)
    np.testing.assert_allclose(backend.to_numpy(fit.coef), numpy.coef, rtol=1e-9)
    np.testing.assert_allclose(backend.to_numpy(fit.weights), numpy.weights, rtol=1e-7)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_memory(order, dtype, offset):
    """Two vectors of the result, two of the point before, and nothing of the size of X."""
    rng = np.random.default_rng(55)
    n, p = 200_000, 12
    X = np.asarray(rng.normal(size=(n, p)) + offset, dtype=dtype, order=order)
    y = (X[:, 0] + rng.standard_t(2, n)).astype(dtype)
    robloss.fit_linear(X[:1000], y[:1000])
    robloss.fit_linear(X, y)
    tracemalloc.start()
    fit = robloss.fit_linear(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fit.converged
    sample = 20_000 * (p + 1) * 8 * 4
    assert peak <= 4 * y.nbytes + sample
