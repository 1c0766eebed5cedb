"""The options that all fits share: each way to the optimum ends at the same one."""

import math

import numpy as np
import oracle
import pytest

import robloss
from fit.references import NOISES, synthetic
from robloss import datasets

X, Y, _ = synthetic(20, "student", n=60)


def assert_methods_meet(noise, array, to_numpy):
    X, y, _ = synthetic(1, noise)
    newton = robloss.fit_linear(X, y)
    fit = robloss.fit_linear(array(X), array(y), method="gradient", max_iter=500)
    assert fit.converged
    np.testing.assert_allclose(to_numpy(fit.coef), newton.coef, rtol=1e-6)
    assert fit.alpha == pytest.approx(newton.alpha, abs=1e-6)
    assert fit.nll == pytest.approx(newton.nll, rel=1e-11)
    assert np.all(np.diff(fit.history.nll) <= 0)


@pytest.mark.parametrize("noise", NOISES)
def test_both_methods_meet(noise):
    assert_methods_meet(noise, np.asarray, np.asarray)


def test_both_methods_meet_on_any_library(backend):
    assert_methods_meet("student", backend.array, backend.to_numpy)


def test_ridge_at_alpha_2_is_that_of_least_squares(backend):
    fit = robloss.fit_linear(backend.array(X), backend.array(Y), alpha=2.0, scale=1.0, l2=5.0)
    centred = X - X.mean(axis=0)
    inner = centred.T @ centred + 5.0 * np.eye(3)
    expected = np.linalg.solve(inner, centred.T @ (Y - Y.mean()))
    np.testing.assert_allclose(backend.to_numpy(fit.coef), expected, rtol=1e-9)
    assert fit.intercept == pytest.approx(Y.mean() - X.mean(axis=0) @ expected, rel=1e-9)


@pytest.mark.parametrize("method", ["irls", "gradient"])
@pytest.mark.parametrize("shift", [0.0, 1e6], ids=["plain", "far from 0"])
def test_ridge_is_an_optimum_and_leaves_out_the_intercept(method, shift):
    fit = robloss.fit_linear(X + shift, Y, l2=7.0, method=method)
    psi = robloss.influence(fit.residuals, fit.alpha, fit.scale)
    size = np.abs(X).T @ np.abs(psi)
    assert np.all(np.abs(X.T @ psi - 7.0 * fit.coef) <= 1e-5 * size)
    assert abs(psi.sum()) <= 1e-6 * np.abs(psi).sum()
    expected = float(np.sum(robloss.nll(fit.residuals, fit.alpha, fit.scale)))
    assert fit.nll == pytest.approx(expected, rel=1e-10)


def test_ridge_determines_repeated_columns():
    fit = robloss.fit_linear(np.column_stack([X, X[:, 0]]), Y, l2=1.0)
    assert not fit.flags
    assert fit.coef[0] == pytest.approx(fit.coef[3], rel=1e-8)


def test_an_earlier_fit_is_a_start(backend):
    fit = robloss.fit_linear(backend.array(X + 1e6), backend.array(Y))
    again = robloss.fit_linear(backend.array(X + 1e6), backend.array(Y), start=fit)
    assert again.n_iter <= 1
    assert again.nll == pytest.approx(fit.nll, rel=1e-12)
    plain = robloss.fit_linear(backend.array(X), backend.array(Y), start=backend.array(np.zeros(4)))
    np.testing.assert_allclose(
        backend.to_numpy(plain.coef), backend.to_numpy(fit.coef), rtol=1e-6, atol=1e-7
    )


def test_resampled_starts_find_the_lower_of_two_minima(backend):
    data = datasets.load_stars()
    arrays = backend.array(data.X), backend.array(data.y)
    first = robloss.fit_linear(*arrays, alpha=0.0)
    assert first.nll == pytest.approx(50.6746, abs=1e-4)
    best = robloss.fit_linear(*arrays, alpha=0.0, n_starts=20, rng=0)
    assert best.nll == pytest.approx(49.5151, abs=1e-4)
    assert best.intercept == pytest.approx(-5.284012, abs=1e-5)
    assert float(best.coef[0]) == pytest.approx(2.327276, abs=1e-6)


def test_the_same_seed_gives_the_same_starts():
    data = datasets.load_stars()
    one, two = (
        robloss.fit_linear(data.X, data.y, alpha=-2.0, scale=0.3, n_starts=5, rng=seed)
        for seed in (7, np.random.default_rng(7))
    )
    assert one.nll == two.nll


def truncated_nll(alpha, truncation, scale, residuals):
    """The objective by the oracle, and Z by a sum over a grid that shares no code with it."""
    x = np.linspace(0.0, truncation, 401)
    density = np.exp([-float(oracle.loss(float(v), alpha, 1.0)) for v in x])
    # Simpson's rule: right to 1e-8 for these smooth integrands.
    edges, odd, even = density[0] + density[-1], density[1:-1:2], density[2:-1:2]
    total = (x[1] - x[0]) / 3 * (edges + 4 * odd.sum() + 2 * even.sum())
    loss = sum(float(oracle.loss(float(r), alpha, scale)) for r in residuals)
    return loss + len(residuals) * (math.log(scale) + math.log(2 * total))


@pytest.mark.parametrize(("truncation", "method"), [(10.0, "irls"), (15.0, "gradient")])
def test_shapes_below_0_by_truncation(truncation, method, backend):
    arrays = backend.array(X), backend.array(Y)
    fit = robloss.fit_linear(
        *arrays, scale=0.5, alpha_bounds=(-10, 2), truncation=truncation, method=method
    )
    assert fit.converged
    assert -10 < fit.alpha < 0
    residuals = backend.to_numpy(fit.residuals)
    here = truncated_nll(fit.alpha, truncation, 0.5, residuals)
    assert fit.nll == pytest.approx(here, rel=1e-7)
    for step in (-0.1, 0.1):
        assert truncated_nll(fit.alpha + step, truncation, 0.5, residuals) > here
    assert any(f"cut off at {truncation:g} scales" in flag for flag in fit.flags)


def test_how_alpha_moves_with_the_truncation():
    options = {"scale": 0.5, "alpha_bounds": (-10, 2)}
    fit = robloss.fit_linear(X, Y, truncation=10.0, **options)
    above, below = (
        robloss.fit_linear(X, Y, truncation=10.0 * math.exp(step), **options).alpha
        for step in (1e-3, -1e-3)
    )
    assert fit.alpha_by_truncation == pytest.approx((above - below) / 2e-3, rel=1e-4)
    by_gradient = robloss.fit_linear(X, Y, truncation=10.0, method="gradient", **options)
    assert by_gradient.alpha_by_truncation == pytest.approx(fit.alpha_by_truncation, rel=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_residuals_beyond_the_truncation_are_told_of(shared, backend):
    y = np.column_stack([Y, Y[::-1]]) if shared else Y
    times = np.where(np.arange(len(Y)) % 5 == 0, 0.0, 1.0)
    data = [backend.array(one) for one in (X, y, times)]
    options = {"alpha": 1.0, "scale": 0.5, "shared": shared}
    for truncation in (2.0, 5.0, 1e3, None):
        fit = robloss.fit_linear(*data[:2], sample_weight=data[2], truncation=truncation, **options)
        far = np.abs(backend.to_numpy(fit.residuals)[times > 0]) > 0.5 * (truncation or np.inf)
        assert fit.beyond_truncation == np.count_nonzero(far)
        told = [flag for flag in fit.flags if "beyond that" in flag]
        if truncation is None or truncation > 100:
            assert (fit.beyond_truncation, told) == (0, [])
        else:
            assert fit.beyond_truncation > 0
            assert told[0].startswith(f"{fit.beyond_truncation} residual")
            assert f"{fit.beyond_truncation} residual" in fit.summary()


def test_one_residual_beyond_the_truncation():
    fit = robloss.fit_location([9.8, 10.1, 9.9, 10.0, 10.2, 55.0], scale=0.2, truncation=10.0)
    assert fit.beyond_truncation == 1
    assert any(flag.startswith("1 residual lies beyond that") for flag in fit.flags)


def test_a_scale_that_adapts_is_held_below_0():
    heavy = robloss.fit_linear(X, Y**3, alpha_bounds=(-10, 2), truncation=30.0)
    cauchy = robloss.fit_linear(X, Y**3, truncation=30.0)
    assert cauchy.alpha == 0
    assert heavy.alpha < 0
    assert heavy.scale == pytest.approx(cauchy.scale, rel=1e-6)
    assert any(flag.startswith("The scale is held") for flag in heavy.flags)
    X_light, light, _ = synthetic(20, "laplace", n=60)
    whole = robloss.fit_linear(X_light, light, alpha_bounds=(-10, 2), truncation=30.0)
    half = robloss.fit_linear(X_light, light, truncation=30.0)
    assert half.alpha > 0
    assert whole.nll == pytest.approx(half.nll, rel=1e-12)
    assert whole.alpha_bounds == (-10, 2)
    assert not any("scale" in flag and "held" in flag for flag in whole.flags)


@pytest.mark.parametrize("method", ["irls", "gradient"])
def test_a_fit_that_goes_on_below_0_tells_of_all_its_steps(method):
    seen = []
    options = {"truncation": 30.0, "method": method}
    fit = robloss.fit_linear(X, Y**3, alpha_bounds=(-10, 2), callback=seen.append, **options)
    above = robloss.fit_linear(X, Y**3, **options)
    assert fit.alpha < above.alpha == 0
    assert fit.n_iter > above.n_iter
    np.testing.assert_array_equal(fit.history.nll[: above.n_iter + 1], above.history.nll)
    np.testing.assert_array_equal(np.diff(fit.history.nll) <= 0, True)
    shown = {iterate.n_iter: iterate.nll for iterate in seen}  # the last may be refined in place
    assert list(shown) == list(range(fit.n_iter + 1))
    np.testing.assert_array_equal(list(shown.values()), fit.history.nll)
    few = above.n_iter + 2
    with pytest.warns(robloss.ConvergenceWarning, match="`max_iter` steps"):
        short = robloss.fit_linear(X, Y**3, alpha_bounds=(-10, 2), max_iter=few, **options)
    assert short.n_iter == few
    np.testing.assert_array_equal(short.history.nll, fit.history.nll[: few + 1])


@pytest.mark.parametrize("options", [{"n_starts": 5, "rng": 0}, {"anneal": "barron"}], ids=str)
def test_other_starts_are_tried_below_0(options):
    """They are of both parts, and what is found is no less likely than without them."""
    alphas = []
    cut = {"alpha_bounds": (-10, 2), "truncation": 30.0}
    watch = {"callback": lambda iterate: alphas.append((iterate.n_iter, iterate.alpha))}
    fit = robloss.fit_linear(X, Y**3, **cut, **options, **watch)
    plain = robloss.fit_linear(X, Y**3, **cut)
    assert fit.nll <= plain.nll + 1e-6  # scales of the first part, within `tol` of each other
    goes_on = next(k for k, (step, alpha) in enumerate(alphas) if step > 0 and alpha < 0)
    assert any(step == 0 for step, _ in alphas[goes_on:])


@pytest.mark.parametrize("anneal", ["barron", "jung", "yang", [1.0, 0.0, -1.0]])
def test_annealing_ends_at_an_optimum(anneal):
    fit = robloss.fit_linear(X, Y, alpha=-2.0, scale=0.5, anneal=anneal)
    assert fit.converged
    psi = robloss.influence(fit.residuals, -2.0, 0.5)
    assert np.all(np.abs(X.T @ psi) <= 1e-7 * (np.abs(X).T @ np.abs(psi)))


def test_annealing_ends_at_minus_infinity():
    fit = robloss.fit_linear(X, Y, alpha=-math.inf, scale=1.0, anneal="jung")
    assert (fit.converged, fit.alpha) == (True, -math.inf)


def test_annealing_with_an_adaptive_shape():
    fit = robloss.fit_linear(X, Y, anneal="barron")
    assert fit.nll == pytest.approx(robloss.fit_linear(X, Y).nll, rel=1e-9)


def test_annealing_reaches_the_inliers_where_a_plain_start_fails():
    """From a start among the scattered rows, a plain fit stays there."""
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, size=200)
    y = np.where(np.arange(200) < 110, 3.0 * x + 4.0, rng.uniform(-12, 4, size=200))
    y = y + 0.05 * rng.normal(size=200)
    start = [-6.0, 0.0]
    plain = robloss.fit_linear(x[:, None], y, alpha=-2.0, scale=0.1, start=start)
    annealed = robloss.fit_linear(x[:, None], y, alpha=-2.0, scale=0.1, start=start, anneal="yang")
    np.testing.assert_allclose(annealed.params, [4.0, 3.0], atol=0.05)
    assert np.max(np.abs(plain.params - [4.0, 3.0])) > 1.0


def test_callback_sees_every_iterate():
    seen = []
    fit = robloss.fit_linear(X, Y, alpha=1.0, callback=seen.append)
    assert [one.n_iter for one in seen] == list(range(fit.n_iter + 1))
    np.testing.assert_allclose([one.nll for one in seen], fit.history.nll, rtol=1e-12)
    assert seen[0].params.shape == (4,)


@pytest.mark.parametrize(
    "options", [{"l2": 3.0}, {"sample_weight": np.full(60, 0.25)}], ids=["ridge", "weights"]
)
def test_callback_and_verbose_tell_the_objective_of_the_history(options, capsys):
    seen = []
    fit = robloss.fit_linear(X, Y, alpha=1.0, callback=seen.append, verbose=2, **options)
    np.testing.assert_allclose([one.nll for one in seen], fit.history.nll, rtol=1e-12)
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[-2].split()[1]) == pytest.approx(fit.history.nll[-1], rel=1e-7)
    assert float(lines[-1].split()[-1]) == pytest.approx(fit.history.nll[-1], rel=1e-7)


def test_callback_sees_the_last_of_the_iterates_that_are_allowed():
    seen = []
    with pytest.warns(robloss.ConvergenceWarning):
        robloss.fit_linear(X, Y, max_iter=3, callback=seen.append)
    assert [one.n_iter for one in seen] == [0, 1, 2, 3]


def test_the_history_of_the_second_start_is_all_of_its_way():
    """It goes on from the fit at alpha = 0, whose steps count."""
    y, seen = np.where(np.arange(60) < 18, Y + 30.0, Y), []
    fit = robloss.fit_linear(X, y, callback=seen.append)
    restarts = [place for place, one in enumerate(seen) if one.n_iter == 0]
    assert len(restarts) == 2
    assert fit.alpha < 1
    last = seen[restarts[1] :]
    assert [one.n_iter for one in last] == list(range(fit.n_iter + 1))
    np.testing.assert_allclose([one.nll for one in last], fit.history.nll, rtol=1e-12)
    assert last[0].alpha == 0


def test_stop_iteration_ends_a_fit():
    def stop(iterate):
        if iterate.n_iter == 2:
            raise StopIteration

    with pytest.warns(robloss.ConvergenceWarning, match="`callback` ended the fit"):
        fit = robloss.fit_linear(X, Y, callback=stop)
    assert (fit.status, fit.converged, fit.n_iter) == ("stopped", False, 2)


WAYS = {
    "two starts": {},
    "resampled": {"n_starts": 3, "rng": 0},
    "annealed": {"anneal": "barron"},
    "below 0": {"alpha_bounds": (-2.0, 2.0), "truncation": 10.0},
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_stop_iteration_ends_every_part_of_a_fit(options):
    data = datasets.load_stars()
    whole, calls = [], []
    best = robloss.fit_linear(data.X, data.y, callback=whole.append, **options).nll

    def stop(iterate):
        calls.append(iterate)
        if len(calls) == last:
            raise StopIteration

    for last in range(1, len(whole) + 1, 4):
        calls.clear()
        with pytest.warns(robloss.ConvergenceWarning, match="`callback` ended the fit"):
            fit = robloss.fit_linear(data.X, data.y, callback=stop, **options)
        assert (fit.status, len(calls)) == ("stopped", last)
        assert fit.nll >= best - 1e-9  # the rounding of a sum of 47 rows is far below


@pytest.mark.parametrize(
    "fit",
    [
        lambda: robloss.fit_linear(X, Y, max_iter=1),
        lambda: robloss.fit_location(Y, max_iter=1),
        lambda: robloss.fit_residuals(lambda p: Y - p[0], [0.0], max_iter=1),
    ],
    ids=["linear", "location", "residuals"],
)
def test_the_warning_is_of_the_line_that_fits(fit):
    with pytest.warns(robloss.ConvergenceWarning) as caught:
        fit()
    assert [warning.filename for warning in caught] == [__file__]


def test_the_warning_is_of_code_without_a_module():
    with pytest.warns(robloss.ConvergenceWarning) as caught:
        exec("fit(X, Y, max_iter=1)", {"fit": robloss.fit_linear, "X": X, "Y": Y})
    assert [warning.filename for warning in caught] == ["<string>"]


def test_starts_are_of_rows_that_count():
    times = np.zeros(60)
    times[::6] = 1.0
    spoilt = np.where(times > 0, Y, 1e6)
    options = {"alpha": 0.0, "n_starts": 4, "rng": 0}
    fit = robloss.fit_linear(X, spoilt, sample_weight=times, **options)
    alone = robloss.fit_linear(X[::6], Y[::6], **options)
    assert fit.nll == pytest.approx(alone.nll, rel=1e-9)


def test_a_model_without_parameters_has_one_start():
    options = {"intercept": False, "n_starts": 3, "rng": 0}
    fit = robloss.fit_linear(np.empty((60, 0)), Y, **options)
    assert fit.converged


def test_an_objective_that_overflows_with_a_truncation():
    with pytest.warns(robloss.ConvergenceWarning, match="not finite at the start"):
        fit = robloss.fit_linear(X, Y, scale=1e-300, truncation=10.0)
    assert math.isnan(fit.alpha_by_truncation)


def test_other_exceptions_of_the_callback_come_through():
    def fail(iterate):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        robloss.fit_linear(X, Y, callback=fail)


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 1), (False, 0), (True, 1)])
def test_verbose(verbose, lines, capsys):
    fit = robloss.fit_linear(X, Y, alpha=1.0, verbose=verbose)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    if lines:
        assert printed[0].startswith(f"converged after {fit.n_iter} iterations, nll ")


def test_verbose_2_prints_every_iterate(capsys):
    robloss.fit_linear(X, Y, alpha=1.0, verbose=2)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["iteration", "nll", "alpha", "scale"]
    assert [line.split()[0] for line in printed[1:3]] == ["0", "1"]
    assert printed[-1].startswith("converged")


def test_half_of_the_rows_exact_leave_no_scale():
    """At alpha = 0 the likelihood is then the same for all small scales."""
    y = X @ [1.0, 2.0, 3.0] + np.where(np.arange(60) % 2 == 0, 0.0, Y)
    with pytest.warns(robloss.ConvergenceWarning, match="at least half of the rows"):
        fit = robloss.fit_linear(X, y)
    assert fit.status == "scale_floor"


ERRORS = {
    "l2": ({"l2": -1.0}, ValueError, r"`l2` must lie in \[0, inf\)"),
    "l2 NaN": ({"l2": math.nan}, ValueError, r"`l2` must lie in \[0, inf\)"),
    "truncation": ({"truncation": 0.0}, ValueError, r"`truncation` must lie in \(0, inf\]"),
    "bounds": ({"alpha_bounds": (-1, 2)}, ValueError, "give `truncation` a number"),
    "all below 0": (
        {"alpha_bounds": (-3, -1), "truncation": 5.0},
        ValueError,
        "where the scale is adapted",
    ),
    "start short": ({"start": [1.0, 2.0]}, ValueError, r"`start` must hold 4 .* shape \(2,\)"),
    "start NaN": (
        {"start": [1.0, 2.0, math.nan, 0.0]},
        ValueError,
        r"`start` must be finite, but got nan at index \(2,\)",
    ),
    "start a word": ({"start": "least squares"}, TypeError, "`start` must be an array"),
    "start ragged": ({"start": [1.0, [2.0]]}, TypeError, "`start` must be an array"),
    "starts": ({"n_starts": 0}, ValueError, "`n_starts` must be a whole number from 1 on"),
    "rng": ({"rng": "seed"}, TypeError, "`rng` must be None, a seed"),
    "method": ({"method": "lbfgs"}, ValueError, '`method` must be "irls" or "gradient"'),
    "anneal": ({"anneal": "fast"}, ValueError, '`anneal` must be "barron" or'),
    "anneal a number": ({"anneal": 3}, TypeError, "`anneal` must be None, the name"),
    "anneal an array of no dimension": (
        {"anneal": np.asarray(1.0)},
        TypeError,
        "`anneal` must be None, the name",
    ),
    "tol": ({"tol": math.inf}, ValueError, r"`tol` must lie in \(0, inf\), but got inf"),
    "anneal NaN": ({"anneal": [1.0, math.nan]}, ValueError, "must hold no nan"),
    "anneal a free scale": ({"anneal": "yang"}, ValueError, "`anneal` must be another"),
    "callback": ({"callback": 3}, TypeError, "`callback` must be None or callable"),
    "verbose": ({"verbose": -1}, ValueError, "`verbose` must be a whole number"),
}


@pytest.mark.parametrize(("options", "error", "sentence"), ERRORS.values(), ids=ERRORS)
def test_errors(options, error, sentence):
    with pytest.raises(error, match=sentence):
        robloss.fit_linear(X, Y, **options)
