"""Covariances and standard errors against numerical spellings that share no code."""

import copy
import functools
import math
import pickle
import tracemalloc

import mpmath
import numpy as np
import pytest
from distribution import textbook_loss

import robloss
from fit.references import REFERENCES, estimates_of, synthetic

KINDS = ("sandwich", "information", "H1", "H2", "H3")


@functools.cache
def log_partition(alpha):
    """log Z by quadrature; that of Cauchy's law is known."""
    if alpha == 0:
        return math.log(math.pi * math.sqrt(2))
    b = abs(alpha - 2)

    def density(x):
        return mpmath.exp(-(b / alpha) * ((1 + x * x / b) ** (alpha / 2) - 1))

    return float(mpmath.log(2 * mpmath.quad(density, [0, 1, 4, 20, 200, mpmath.inf])))


def row_nll(parameters, design, y, free, given):
    """The negative log-likelihood of each row, for shapes off 0 and 2."""
    q = design.shape[1]
    rest = list(parameters[q:])
    alpha = rest.pop(0) if "alpha" in free else given["alpha"]
    scale = rest.pop(0) if "scale" in free else given["scale"]
    z = (y - design @ parameters[:q]) / scale
    z_part = log_partition(alpha) if alpha >= 0 else 0.0
    return textbook_loss(z, alpha) + math.log(scale) + z_part


def numerical(parameters, design, y, free, given):
    """Inverse Hessian and sandwich by central differences of the rows' objective.

    Steps of 1e-4 relative to each parameter's size: truncation is about 1e-8 of a derivative, and
    rounding in second differences 1e-16/1e-8 of the objective.
    """
    k = len(parameters)
    steps = 1e-4 * np.maximum(np.abs(parameters), 0.1)
    f = functools.partial(row_nll, design=design, y=y, free=free, given=given)
    eye = np.diag(steps)
    scores = np.column_stack(
        [(f(parameters + eye[i]) - f(parameters - eye[i])) / (2 * steps[i]) for i in range(k)]
    )
    hessian = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            ends = [
                np.sum(f(parameters + a * eye[i] + b * eye[j]))
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            hessian[i, j] = (ends[0] - ends[1] - ends[2] + ends[3]) / (4 * steps[i] * steps[j])
    inverse = np.linalg.inv(hessian)
    return inverse, inverse @ scores.T @ scores @ inverse


OPTIONS = {
    "adapted": {},
    "alpha given": {"alpha": 0.7},
    "scale given": {"scale": 0.6},
    "both given": {"alpha": 1.2, "scale": 0.8},
    "below 0": {"alpha": -1.5, "scale": 2.0},
    "no intercept": {"intercept": False, "alpha_bounds": (0.0, 8.0)},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("noise", ["laplace", "skewed"])
def test_against_finite_differences(name, noise):
    """Tolerance: what second differences leave of the digits (see `numerical`), with a margin."""
    X, y, _ = synthetic(40, noise)
    options = OPTIONS[name]
    fit = robloss.fit_linear(X, y, **options)
    assert fit.converged
    assert fit.alpha not in fit.alpha_bounds
    design = X if name == "no intercept" else np.column_stack([np.ones(len(y)), X])
    estimates = estimates_of(fit)
    given = {"alpha": fit.alpha, "scale": fit.scale}
    inverse, sandwich = numerical(np.array(estimates), design, y, fit.adapted, given)
    size = np.sqrt(np.diag(sandwich))
    np.testing.assert_allclose(
        fit.covariance / np.outer(size, size), sandwich / np.outer(size, size), atol=2e-5
    )
    information = fit.inference("information").covariance
    size = np.sqrt(np.diag(inverse))
    np.testing.assert_allclose(
        information / np.outer(size, size), inverse / np.outer(size, size), atol=2e-5
    )
    np.testing.assert_array_equal(fit.inference().estimates, estimates)


def test_the_comparison_above_can_fail():
    X, y, _ = synthetic(40, "skewed")
    fit = robloss.fit_linear(X, y)
    information = fit.inference("information").covariance
    assert np.max(np.abs(fit.covariance / information - 1)) > 0.05


def test_names_are_in_the_order_of_the_estimates():
    X, y, _ = synthetic(41, "laplace")
    fit = robloss.fit_linear(X, y, feature_names=["a", "b", "alpha"])
    assert fit.parameter_names == ("intercept", "a", "b", "alpha", "alpha", "scale")
    assert fit.covariance.shape == (6, 6)
    assert fit.conf_int().shape == (6, 2)
    np.testing.assert_allclose(fit.standard_errors**2, np.diag(fit.covariance), rtol=1e-14)
    bare = robloss.fit_linear(X, y, intercept=False, alpha=1.0)
    assert bare.parameter_names == ("x0", "x1", "x2", "scale")


# ------------------------------------------------------------------------------ known covariances


def least_squares_errors(X, y):
    design = np.column_stack([np.ones(len(y)), X])
    squares = np.linalg.lstsq(design, y, rcond=None)[1]
    return np.sqrt(squares[0] * np.diag(np.linalg.inv(design.T @ design))), len(y) - design.shape[1]


@pytest.mark.parametrize("kind", ["information", "H1", "H2", "H3"])
def test_alpha_2_has_the_standard_errors_of_least_squares(kind):
    """The information with its maximum-likelihood variance, Huber's with n − q degrees."""
    X, y, _ = synthetic(42, "skewed")
    fit = robloss.fit_linear(X, y, alpha=2.0)
    errors, degrees = least_squares_errors(X, y)
    errors /= math.sqrt(len(y) if kind == "information" else degrees)
    found = fit.inference(kind).standard_errors
    np.testing.assert_allclose(found[:4], errors, rtol=1e-10)
    if kind == "information":
        assert found[4] == pytest.approx(fit.scale / math.sqrt(2 * len(y)), rel=1e-8)


def test_alpha_2_has_the_sandwich_of_white():
    X, y, _ = synthetic(42, "skewed")
    fit = robloss.fit_linear(X, y, alpha=2.0, scale=3.0)
    design = np.column_stack([np.ones(len(y)), X])
    bread = np.linalg.inv(design.T @ design)
    r = (y - design @ np.linalg.lstsq(design, y, rcond=None)[0])[:, None]
    np.testing.assert_allclose(
        fit.covariance, bread @ (r * design).T @ (r * design) @ bread, rtol=1e-9
    )


@pytest.mark.parametrize("kind", ["H1", "H2", "H3"])
def test_statsmodels_has_the_same(kind):
    """Tolerance: both iterate to 1e-10 or better."""
    sm = pytest.importorskip("statsmodels.api", reason="statsmodels is of the group benchmarks")

    class Charbonnier(sm.robust.norms.RobustNorm):
        def rho(self, z):
            return np.sqrt(1 + z * z) - 1

        def psi(self, z):
            return z / np.sqrt(1 + z * z)

        def weights(self, z):
            return 1 / np.sqrt(1 + z * z)

        def psi_deriv(self, z):
            return (1 + z * z) ** -1.5

    X, y, _ = synthetic(43, "student")
    model = sm.RLM(y, sm.add_constant(X), M=Charbonnier())
    model._estimate_scale = lambda *_: 1.2
    theirs = model.fit(cov=kind, tol=1e-12, maxiter=500)
    fit = robloss.fit_linear(X, y, alpha=1.0, scale=1.2)
    np.testing.assert_allclose(fit.inference(kind).standard_errors, theirs.bse, rtol=1e-7)


@pytest.mark.parametrize("kind", ["H1", "H2", "H3"])
def test_hubers_covariances_spelled_out(kind):
    """Huber & Ronchetti (2009), (7.81)–(7.83), at alpha = 1."""
    X, y, _ = synthetic(43, "student")
    scale = 1.2
    fit = robloss.fit_linear(X, y, alpha=1.0, scale=scale)
    design = np.column_stack([np.ones(len(y)), X])
    n, q = design.shape
    z = (y - design @ estimates_of(fit)) / scale
    psi, bend = z / np.sqrt(1 + z * z), (1 + z * z) ** -1.5
    k = 1 + q / n * np.var(bend) / np.mean(bend) ** 2
    variance = scale**2 * np.sum(psi**2) / (n - q)
    products = design.T @ design
    inner = np.linalg.inv(design.T @ (bend[:, None] * design))
    expected = {
        "H1": k**2 * variance / np.mean(bend) ** 2 * np.linalg.inv(products),
        "H2": k * variance / np.mean(bend) * inner,
        "H3": variance / k * inner @ products @ inner,
    }[kind]
    np.testing.assert_allclose(fit.inference(kind).covariance, expected, rtol=1e-9)


def test_hubers_covariances_leave_alpha_and_scale_as_they_are():
    X, y, _ = synthetic(44, "skewed")
    fit = robloss.fit_linear(X, y)
    covariance = fit.inference("H1").covariance
    np.testing.assert_array_equal(covariance[4:, 4:], fit.covariance[4:, 4:])
    assert not covariance[:4, 4:].any()
    assert fit.covariance[:4, 4:].all()


# ---------------------------------------------------------------------------------- invariance


@pytest.mark.parametrize(("of_x", "of_y"), [(1e3, 1e-6), (1e-5, 1e150), (1e8, 1e-150)])
@pytest.mark.parametrize("kind", KINDS)
def test_units(kind, of_x, of_y):
    """Rounding of the scaled data moves the optimum by a few ulp times the condition of the fit."""
    X, y, _ = synthetic(45, "skewed")
    plain = robloss.fit_linear(X, y).inference(kind)
    scaled = robloss.fit_linear(X * of_x, y * of_y).inference(kind)
    unit = np.array([of_y, *3 * [of_y / of_x], 1.0, of_y])
    np.testing.assert_allclose(scaled.standard_errors, plain.standard_errors * unit, rtol=1e-6)


@pytest.mark.parametrize("of_x", [1e-12, 1e12])
def test_intervals_of_a_column_in_another_unit(of_x):
    X, y, _ = synthetic(45, "skewed")
    unit = np.array([1.0, of_x, 1.0])
    low, high = robloss.fit_linear(X, y).predict_interval(X[:9])
    of_other = robloss.fit_linear(X * unit, y).predict_interval(X[:9] * unit)
    np.testing.assert_allclose(of_other[1] - of_other[0], high - low, rtol=1e-6)


@pytest.mark.parametrize("offset", [10.0, 1e3, 1e6])
@pytest.mark.parametrize("kind", KINDS)
def test_columns_far_from_zero(kind, offset):
    X, y, _ = synthetic(46, "skewed")
    plain = robloss.fit_linear(X, y)
    moved = robloss.fit_linear(X + offset, y)
    back = np.eye(6)
    back[0, 1:4] = -offset
    expected = back @ plain.inference(kind).covariance @ back.T
    np.testing.assert_allclose(
        moved.inference(kind).covariance, expected, rtol=1e-16 * offset * 1e3 + 1e-8
    )
    for of in ("mean", "observation"):
        for ours, theirs in zip(
            moved.predict_interval(X[:5] + offset, of=of),
            plain.predict_interval(X[:5], of=of),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-16 * offset * 1e3 + 1e-8)


def test_many_rows_are_taken_in_chunks():
    """Twenty copies of every row are a twentieth of the covariance."""
    X, y, _ = synthetic(47, "skewed", n=1000)
    once = robloss.fit_linear(X, y)
    often = robloss.fit_linear(np.tile(X, (20, 1)), np.tile(y, 20))
    np.testing.assert_allclose(often.covariance, once.covariance / 20, rtol=1e-6)


def test_nothing_of_the_size_of_the_design_is_made():
    """Some vectors as long as y, where X is twenty."""
    X, y, _ = synthetic(47, "student", n=200_000, p=20)
    robloss.fit_linear(X[:1000], y[:1000]).inference("H1")
    fit = robloss.fit_linear(X, y)
    tracemalloc.start()
    _ = fit.covariance
    fit.inference("H1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 10 * y.nbytes


# ------------------------------------------------------------------------------------ libraries


def test_every_library_has_the_same(backend):
    X, y, _ = synthetic(48, "skewed")
    host = robloss.fit_linear(X + 100.0, y)
    fit = robloss.fit_linear(backend.array(X + 100.0), backend.array(y))
    for kind in KINDS:
        ours, theirs = fit.inference(kind), host.inference(kind)
        assert backend.owns(ours.covariance)
        # The fits end a Newton step of 1e-8 standard errors apart.
        np.testing.assert_allclose(
            backend.to_numpy(ours.standard_errors), theirs.standard_errors, rtol=1e-6
        )
    np.testing.assert_allclose(backend.to_numpy(fit.conf_int()), host.conf_int(), rtol=1e-6)
    np.testing.assert_array_equal(backend.to_numpy(fit.outliers), host.outliers)
    for of in ("mean", "observation"):
        ends = fit.predict_interval(backend.array(X[:7] + 100.0), of=of)
        assert all(backend.owns(end) for end in ends)
        expected = host.predict_interval(X[:7] + 100.0, of=of)
        np.testing.assert_allclose([backend.to_numpy(end) for end in ends], expected, rtol=1e-6)
    assert fit.summary().splitlines()[6:9] == host.summary().splitlines()[6:9]


def test_float32(backend):
    """Sums of float32 in other libraries: seven digits, less the condition of the Hessian."""
    X, y, _ = synthetic(49, "skewed")
    X, y = X.astype(np.float32), y.astype(np.float32)
    host = robloss.fit_linear(X.astype(float), y.astype(float))
    fit = robloss.fit_linear(backend.array(X), backend.array(y))
    assert backend.dtype_name(fit.covariance) == "float32"
    assert backend.dtype_name(fit.predict_interval(backend.array(X))[0]) == "float32"
    np.testing.assert_allclose(
        backend.to_numpy(fit.standard_errors), host.standard_errors, rtol=2e-3
    )


def test_it_can_be_copied_and_pickled(backend):
    X, y, _ = synthetic(50, "skewed", n=40)
    fit = robloss.fit_linear(backend.array(X), backend.array(y))
    expected = backend.to_numpy(fit.covariance)
    for again in (copy.deepcopy(fit), pickle.loads(pickle.dumps(fit))):
        np.testing.assert_array_equal(backend.to_numpy(again.covariance), expected)
        assert again.summary() == fit.summary()
        again.predict_interval(backend.array(X))


# -------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize("dataset", ["phones", "stars"])
def test_alpha_on_a_bound_has_none_and_is_taken_for_given(dataset):
    data = REFERENCES[dataset].data()
    fit = robloss.fit_linear(data.X, data.y)
    given = robloss.fit_linear(data.X, data.y, alpha=fit.alpha)
    for kind in KINDS:
        inference = fit.inference(kind)
        assert np.isnan(inference.covariance[2]).all()
        assert np.isnan(inference.standard_errors[2])
        assert np.isnan(inference.conf_int()[2]).all()
        others = [0, 1, 3]
        expected = given.inference(kind)
        np.testing.assert_allclose(
            inference.standard_errors[others], expected.standard_errors, rtol=1e-6
        )
        assert any("alpha is on a bound" in flag for flag in inference.flags)
        assert expected.flags == ()


def test_alpha_close_to_2_is_not_on_its_bound():
    X, y, _ = synthetic(51, "normal", n=400)
    free = robloss.fit_linear(X, y, alpha_bounds=(0.0, 4.0))
    assert np.all(np.isfinite(free.standard_errors))
    assert np.all(free.standard_errors > 0)


def test_undetermined_coefficients_have_none():
    X, y, _ = synthetic(52, "laplace")
    doubled = np.column_stack([X, X[:, 1]])
    fit = robloss.fit_linear(doubled, y)
    plain = robloss.fit_linear(X, y)
    for kind in KINDS:
        found, expected = fit.inference(kind), plain.inference(kind)
        gaps = np.isnan(found.standard_errors)
        np.testing.assert_array_equal(gaps, [0, 0, 1, 0, 1, 0, 0])
        rest = expected.standard_errors[[0, 1, 3, 4, 5]]
        np.testing.assert_allclose(found.standard_errors[~gaps], rest, rtol=1e-6)
        assert "Not determined, and without standard errors: x1, x3." in found.flags
    # The mean is determined where the two columns are equal, and nowhere else.
    inside, outside = doubled[:3], doubled[:3] + np.array([0, 0, 0, 1.0])
    np.testing.assert_allclose(
        fit.predict_interval(inside), plain.predict_interval(X[:3]), rtol=1e-6
    )
    assert np.isnan(fit.predict_interval(outside)).all()


def test_a_constant_column_takes_the_intercept_with_it(backend):
    X, y, _ = synthetic(53, "laplace")
    constant = np.column_stack([X, np.full(len(y), 1e6)])
    fit = robloss.fit_linear(backend.array(constant), backend.array(y))
    gaps = np.isnan(backend.to_numpy(fit.standard_errors))
    np.testing.assert_array_equal(gaps, [1, 0, 0, 0, 1, 0, 0])
    elsewhere = constant[:5].copy()
    elsewhere[1:, 3] += 1
    ends = fit.predict_interval(backend.array(elsewhere))
    plain = robloss.fit_linear(X, y).predict_interval(X[:5])
    for end, expected in zip(ends, plain, strict=True):
        np.testing.assert_allclose(backend.to_numpy(end)[0], expected[0], rtol=1e-6)
        assert np.isnan(backend.to_numpy(end)[1:]).all()


def test_as_many_rows_as_coefficients():
    fit = robloss.fit_linear(np.eye(3)[:, :2], np.arange(3.0), alpha=1.0, scale=1.0)
    inference = fit.inference("H1")
    assert np.isnan(inference.standard_errors).all()
    assert inference.flags == ("There are too few rows for these standard errors.",)


def test_where_there_is_no_minimum_there_are_no_standard_errors():
    """A step from least squares with a redescending loss: its Hessian is not definite."""
    y = np.array([-10.0, 10.0, -10.0, 10.0])
    with pytest.warns(robloss.ConvergenceWarning):
        fit = robloss.fit_linear(np.ones((4, 1)), y, intercept=False, alpha=-2, scale=1, max_iter=0)
    assert np.isnan(fit.standard_errors).all()
    assert np.isnan(fit.predict_interval(np.ones((2, 1)))).all()
    (flag,) = fit.inference().flags
    assert "no minimum" in flag
    assert flag in " ".join(fit.summary().split())


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_squares_that_the_dtype_cannot_hold(size):
    X, y, _ = synthetic(53, "laplace")
    fit = robloss.fit_linear(X / size, y * size)
    plain = robloss.fit_linear(X, y)
    expected = plain.standard_errors[1:4] * size * size
    np.testing.assert_allclose(fit.standard_errors[1:4], expected, rtol=1e-6)
    assert fit.covariance[1, 1] == (math.inf if size > 1 else 0)


@pytest.mark.parametrize("kind", ["white", None, 1])
def test_other_kinds_are_refused(kind):
    fit = robloss.fit_linear(*synthetic(54, "laplace")[:2])
    with pytest.raises(ValueError, match="`kind` must be one of sandwich, information, H1"):
        fit.inference(kind)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95, math.nan])
def test_levels_out_of_range_are_refused(level):
    X, y, _ = synthetic(54, "laplace")
    fit = robloss.fit_linear(X, y)
    for ask in (fit.conf_int, lambda level: fit.predict_interval(X, level=level)):
        with pytest.raises(ValueError, match=r"`level` must lie in \(0, 1\), but got"):
            ask(level)
    with pytest.raises(ValueError, match=r"`level` must lie in \(0, 1\), but got"):
        fit.profile_alpha(level=level)


def test_intervals_with_a_ridge_say_what_they_leave_out():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 30)), rng.normal(size=20)
    plain = robloss.fit_linear(X[:, :2], y, scale=0.5).inference().flags
    ridge = robloss.fit_linear(X[:, :2], y, scale=0.5, l2=1.0).inference().flags
    wide = robloss.fit_linear(X, y, scale=0.5, l2=1.0).inference().flags
    assert not any("ridge" in flag for flag in plain)
    assert ["ridge" in flag for flag in ridge if flag not in plain] == [True]
    assert any("at least as many coefficients as rows" in flag for flag in wide)


@pytest.mark.parametrize("times", [np.ones(80), np.arange(80) % 3], ids=["even", "weighted"])
def test_the_sandwich_of_a_ridge_is_of_slopes_around_their_mean(times):
    """What pulls against the ridge is the sum of the rows' slopes, and the same in every sample."""
    X, y, _ = synthetic(59, "laplace", n=80)
    l2 = 50.0
    fit = robloss.fit_linear(X, y, alpha=1.0, scale=1.0, l2=l2, sample_weight=times)
    rows = np.repeat(np.column_stack([np.ones(80), X]), times.astype(int), axis=0)
    residuals = np.repeat(y, times.astype(int)) - rows @ fit.params
    bend, slopes = (1 + residuals**2) ** -1.5, residuals / np.sqrt(1 + residuals**2)
    inverse = np.linalg.inv(rows.T @ (rows * bend[:, None]) + np.diag([0, l2, l2, l2]))
    scores = slopes[:, None] * rows
    around = scores - scores.mean(axis=0)
    expected = inverse @ around.T @ around @ inverse
    np.testing.assert_allclose(fit.covariance, expected, atol=1e-9 * np.max(expected))
    without = inverse @ scores.T @ scores @ inverse
    assert np.max(np.abs(without - expected)) > 0.05 * np.max(expected)


def test_rows_that_are_all_alike_have_errors_of_0_under_a_ridge():
    X, y = np.full((5, 5), 1.7), np.full(5, 3.0)
    fit = robloss.fit_linear(X, y, alpha=1.0, scale=1.0, l2=1.0, intercept=False)
    # Roots of what rounding leaves of variances of 0.1.
    np.testing.assert_allclose(fit.standard_errors, 0.0, atol=1e-7)
