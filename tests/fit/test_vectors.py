"""Residuals that are vectors: their loss, by mpmath; their fits, by what an optimum is."""

import itertools
import math

import mpmath
import numpy as np
import pytest

import robloss
from robloss._fit.norm_law import integral_of_weight
from robloss._fit.norm_partition import log_partition
from robloss._fit.starts import middle_spread

ALPHAS = (-math.inf, -300.0, -2.0, 0.0, 0.5, 1.0, 1.9, 2 - 2**-51, 2.0)
POINTS = np.random.default_rng(0).uniform(-1.0, 1.0, size=(60, 3))
TRUE = np.array([0.9, -0.4, 0.3, -0.2])


def moved(xp, theta, points):
    """Turned about the third axis by the first parameter, then shifted by the others."""
    cos, sin = xp.cos(theta[0]), xp.sin(theta[0])
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    return xp.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1) + theta[1:]


def slopes(xp, theta, points):
    """Minus the derivatives of `moved`."""
    cos, sin = xp.cos(theta[0]), xp.sin(theta[0])
    x, y = points[:, 0], points[:, 1]
    zero, one = xp.zeros_like(x), xp.ones_like(x)
    turn = xp.stack([-sin * x - cos * y, cos * x - sin * y, zero], axis=-1)
    shifts = [xp.stack([one if i == j else zero for i in range(3)], axis=-1) for j in range(3)]
    return -xp.stack([turn, *shifts], axis=-1)


def observed():
    rng = np.random.default_rng(1)
    seen = moved(np, TRUE, POINTS) + 0.02 * rng.normal(size=POINTS.shape)
    seen[::5] += rng.uniform(-2.0, 2.0, size=(12, 3))
    return seen


SEEN = observed()
OPTIONS = {"alpha": -2.0, "scale": 0.04}


def residuals(theta):
    return SEEN - moved(np, theta, POINTS)


def true_integral(u, alpha):
    """∫₀^u w in 40 digits, by mpmath's own quadrature."""
    with mpmath.workdps(40):
        if alpha == -math.inf:
            return float(mpmath.sqrt(mpmath.pi / 2) * mpmath.erf(mpmath.mpf(u) / mpmath.sqrt(2)))
        if alpha == 2:
            return u
        b, u = 2 - mpmath.mpf(alpha), mpmath.mpf(u)
        top, root = mpmath.asinh(u / mpmath.sqrt(b)), mpmath.sqrt(b)
        edges = mpmath.linspace(0, top, 40)
        return float(root * mpmath.quad(lambda y: mpmath.cosh(y) ** (alpha - 1), edges))


def true_loss(epsilon, alpha, components):
    """The integral of ε w(ε − m), without its closed form in ρ."""
    mode = math.sqrt(components - 1)
    if epsilon <= mode:
        return 0.5 * epsilon**2

    def slope(x):
        return x * robloss.weight(float(x) - mode, alpha, 1.0)

    edges = np.linspace(mode, epsilon, 30)
    return 0.5 * mode**2 + float(mpmath.quad(slope, [mpmath.mpf(edge) for edge in edges]))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_integral_of_the_weight(alpha):
    u = np.array([0.0, 1e-3, 0.3, 1.0, 3.0, 10.0, 1e3, 1e8])
    expected = [true_integral(value, alpha) for value in u]
    np.testing.assert_allclose(integral_of_weight(np, u, alpha), expected, rtol=1e-14)


@pytest.mark.parametrize("alpha", ALPHAS[1:])
@pytest.mark.parametrize("components", [2, 3])
def test_the_objective_has_these_weights(alpha, components):
    given = (
        np.random.default_rng(2).normal(size=(7, components)) * np.geomspace(0.1, 30, 7)[:, None]
    )
    fit = robloss.fit_residuals(
        lambda p: given + 0.0 * p[0], [0.0], alpha=alpha, scale=0.5, max_iter=1
    )
    norms = np.linalg.norm(given, axis=1) / 0.5
    expected = sum(true_loss(norm, alpha, components) for norm in norms)
    logs = components * math.log(0.5)
    if alpha >= 0.1:
        logs += log_partition(alpha, components).value
    # mpmath's rule is fed slopes in double precision.
    assert fit.nll == pytest.approx(expected + 7 * logs, rel=1e-12)
    assert any("nll lacks log Z" in flag for flag in fit.flags) == (alpha < 0.1)
    excess = np.maximum(norms - math.sqrt(components - 1), 0.0)
    np.testing.assert_allclose(fit.weights, robloss.weight(excess, alpha, 1.0), rtol=1e-12)


@pytest.mark.parametrize("method", ["irls", "gradient"])
@pytest.mark.parametrize("given", [True, False], ids=["jac", "no-jac"])
@pytest.mark.backends(lambda library: library.option != "dask")
def test_every_library_ends_at_the_same_optimum(backend, given, method):
    xp, points, seen = backend.xp, backend.array(POINTS), backend.array(SEEN)
    fit = robloss.fit_residuals(
        lambda theta: seen - moved(xp, theta, points),
        backend.array(np.zeros(4)),
        jac=(lambda theta: slopes(xp, theta, points)) if given else None,
        method=method,
        **OPTIONS,
    )
    plain = robloss.fit_residuals(residuals, np.zeros(4), **OPTIONS)
    assert fit.converged
    assert backend.owns(fit.weights)
    assert fit.residuals.shape == (60, 3)
    np.testing.assert_allclose(backend.to_numpy(fit.params), plain.params, rtol=1e-7)
    np.testing.assert_allclose(backend.to_numpy(fit.params), TRUE, atol=0.03)
    assert np.all(np.diff(fit.history.nll) <= 0)


def test_it_is_an_optimum():
    """And least squares, its twin, is not."""
    fit = robloss.fit_residuals(residuals, np.zeros(4), **OPTIONS)
    squares = robloss.fit_residuals(residuals, np.zeros(4), alpha=2.0, scale=0.04)
    for one, bound in ((fit, 1e-8), (squares, None)):
        r = one.residuals
        excess = np.maximum(np.linalg.norm(r, axis=1) / 0.04 - math.sqrt(2), 0.0)
        terms = robloss.weight(excess, -2.0, 1.0)[:, None, None] * r[:, :, None]
        terms = terms * slopes(np, one.params, POINTS)
        gradient, size = np.abs(terms.sum(axis=(0, 1))), np.abs(terms).sum(axis=(0, 1))
        if bound is None:
            assert np.any(gradient > 1e-2 * size)
        else:
            assert np.all(gradient <= bound * size)


@pytest.mark.parametrize("options", [{}, OPTIONS, {"anneal": "barron"}], ids=str)
def test_one_component_is_the_scalar_case(options):
    design = np.column_stack([np.ones(60), POINTS[:, 0]])
    y = SEEN[:, 0]
    scalar = robloss.fit_residuals(lambda p: y - design @ p, [0.0, 0.0], **options)
    column = robloss.fit_residuals(lambda p: (y - design @ p)[:, None], [0.0, 0.0], **options)
    np.testing.assert_array_equal(column.params, scalar.params)
    assert (column.nll, column.alpha, column.scale) == (scalar.nll, scalar.alpha, scalar.scale)
    np.testing.assert_array_equal(column.residuals, scalar.residuals[:, None])
    np.testing.assert_array_equal(column.standard_errors, scalar.standard_errors)
    assert column.summary().splitlines()[2] == scalar.summary().splitlines()[2]


@pytest.mark.backends(lambda library: library.option != "dask")
def test_a_weight_is_a_repetition(backend):
    xp, times = backend.xp, np.random.default_rng(4).integers(0, 4, 60)
    wild = np.where(times[:, None] > 0, SEEN, 1e150)
    points, seen = backend.array(POINTS), backend.array(wild)
    fit = robloss.fit_residuals(
        lambda theta: seen - moved(xp, theta, points),
        backend.array(np.zeros(4)),
        jac=lambda theta: slopes(xp, theta, points),
        sample_weight=backend.array(1.0 * times),
        **OPTIONS,
    )
    more_points, more = np.repeat(POINTS, times, axis=0), np.repeat(SEEN, times, axis=0)
    repeated = robloss.fit_residuals(
        lambda theta: more - moved(np, theta, more_points), np.zeros(4), **OPTIONS
    )
    assert fit.converged
    assert fit.observations == times.sum()
    assert fit.nll == pytest.approx(repeated.nll, rel=1e-10)
    np.testing.assert_allclose(backend.to_numpy(fit.params), repeated.params, rtol=1e-7)
    np.testing.assert_allclose(
        backend.to_numpy(fit.standard_errors), repeated.standard_errors, rtol=1e-6
    )


def test_least_squares_is_that_of_all_components():
    design = np.stack([np.column_stack([np.ones(60), POINTS[:, k]]) for k in range(3)], axis=1)
    fit = robloss.fit_residuals(lambda p: SEEN - design @ p, [0.0, 0.0], alpha=2.0, scale=1.0)
    expected = np.linalg.lstsq(design.reshape(180, 2), SEEN.reshape(180))[0]
    np.testing.assert_allclose(fit.params, expected, rtol=1e-9)
    inner = np.linalg.inv(design.reshape(180, 2).T @ design.reshape(180, 2))
    information = fit.inference("information")
    np.testing.assert_allclose(information.covariance, inner, rtol=1e-6)


def test_standard_errors_are_those_of_many_samples():
    """The spread of 300 estimates is known to 4 %; four of these."""
    rng = np.random.default_rng(3)
    clean = moved(np, TRUE, POINTS)
    estimates, errors = [], []
    for _ in range(300):
        seen = clean + 0.02 * rng.standard_t(4, size=POINTS.shape)
        fit = robloss.fit_residuals(
            lambda p, seen=seen: seen - moved(np, p, POINTS),
            TRUE,
            jac=lambda p: slopes(np, p, POINTS),
            alpha=0.0,
            scale=0.03,
        )
        estimates.append(fit.params)
        errors.append(fit.standard_errors)
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(estimates, axis=0), rtol=0.16)


# ------------------------------------------------------------------------------ the law of vectors


def true_log_partition(alpha, components):
    """log Z in 20 digits, by mpmath's quadrature and the integral of w in closed form."""
    with mpmath.workdps(20):
        b, mode, d = 2 - mpmath.mpf(alpha), mpmath.sqrt(components - 1), components

        def density(epsilon):
            u = max(epsilon - mode, mpmath.mpf(0))
            rho = b / alpha * mpmath.expm1(mpmath.mpf(alpha) / 2 * mpmath.log1p(u * u / b))
            integral = u * mpmath.hyp2f1(0.5, b / 2, 1.5, -u * u / b)
            loss = min(epsilon, mode) ** 2 / 2 + rho + mode * integral
            return epsilon ** (d - 1) * mpmath.exp(-loss)

        edges = [mode + mpmath.expm1(y) for y in mpmath.linspace(0, 50, 26)]
        radial = mpmath.quad(density, [0, mode]) + mpmath.quad(density, edges)
        sphere = 2 * mpmath.pi ** (mpmath.mpf(d) / 2) / mpmath.gamma(mpmath.mpf(d) / 2)
        return float(mpmath.log(sphere * radial))


@pytest.mark.parametrize(
    ("alpha", "components"),
    [*itertools.product([0.1, 0.4, 1.0, 1.9, 2 - 1e-9], [2, 3, 6]), (1.0, 20)],
)
def test_the_partition(alpha, components):
    # Relative, of Z: an absolute error of its logarithm.
    found = log_partition(alpha, components).value
    assert found == pytest.approx(true_log_partition(alpha, components), abs=1e-12, rel=1e-14)


@pytest.mark.parametrize("components", [1, 2, 3, 20, 1000])
def test_at_two_the_law_is_normal(components):
    found = log_partition(2.0, components)
    assert found.value == pytest.approx(0.5 * components * math.log(2 * math.pi), rel=1e-14)
    # Wilson and Hilferty's median of a chi-squared, itself right to a part in a hundred or so.
    median = math.sqrt(components) * (1 - 2 / (9 * components)) ** 1.5
    assert found.median == pytest.approx(median, rel=0.02)


@pytest.mark.parametrize("components", [1, 2, 3, 20])
def test_the_spread_of_a_middle_residual_is_that_of_one_component(components):
    noise = 0.3 * np.random.default_rng(7).normal(size=(20_000, components))
    data = robloss.fit_residuals(lambda p: noise - p[0], [0.0], alpha=2.0)._optimum.data
    # A median of so many is off by a percent, and so is that of the law.
    assert middle_spread(data, np.zeros(1)) == pytest.approx(0.3, rel=0.03)


@pytest.mark.parametrize("alpha", [0.1, 0.7, 1.0, 1.5, 2 - 1e-6])
def test_of_one_component_it_is_that_of_numbers(alpha):
    kernel = pytest.importorskip("robloss._kernels.partition").at(alpha)
    value, slope, bow, _ = log_partition(alpha, 1)
    assert value == pytest.approx(kernel[0], abs=1e-14)
    assert slope == pytest.approx(kernel[1], rel=1e-12)
    assert bow == pytest.approx(kernel[2], rel=1e-9)  # slopes near 2 cancel


@pytest.mark.parametrize("components", [2, 3, 20])
@pytest.mark.parametrize("alpha", [0.15, 0.5, 1.0, 1.9, 1.999])
def test_derivatives_of_the_partition(alpha, components):
    """Differences whose error is their step squared, in units of where the function bends."""
    step = 1e-4 * min(1.0, 2 - alpha)
    above, below = (log_partition(alpha + one, components) for one in (step, -step))
    here = log_partition(alpha, components)
    assert here.slope == pytest.approx((above.value - below.value) / (2 * step), rel=1e-5)
    assert here.bow == pytest.approx((above.slope - below.slope) / (2 * step), rel=1e-5)


def drawn(count, components, alpha, seed):
    """Vectors of the law at scale 1, by its distribution of lengths on a grid."""
    rng = np.random.default_rng(seed)
    mode = math.sqrt(components - 1)
    length = np.concatenate(
        [np.linspace(0, mode, 2000)[:-1], mode + np.expm1(np.linspace(0, 25, 200_000))]
    )
    slope = length * robloss.weight(np.maximum(length - mode, 0.0), alpha, 1.0)

    def summed(values):
        return np.concatenate(
            [[0.0], np.cumsum(0.5 * (values[1:] + values[:-1]) * np.diff(length))]
        )

    shares = summed(np.exp(-summed(slope)) * length ** (components - 1))
    lengths = np.interp(rng.random(count), shares / shares[-1], length)
    directions = rng.normal(size=(count, components))
    return lengths[:, None] * directions / np.linalg.norm(directions, axis=1)[:, None]


def shifted(vectors):
    """Residuals whose parameters are a shift."""
    slopes = -np.broadcast_to(np.eye(vectors.shape[1]), (*vectors.shape, vectors.shape[1]))
    return lambda theta: vectors - theta, lambda theta: slopes


@pytest.mark.parametrize("components", [2, 3, 6])
@pytest.mark.parametrize("alpha", [0.3, 0.7, 1.0, 1.5, 2.0])
def test_shape_and_scale_are_recovered(alpha, components):
    vectors = 0.5 * drawn(1000, components, alpha, 7) + np.arange(components)
    functions = dict(zip(("residuals", "jac"), shifted(vectors), strict=True))
    fit = robloss.fit_residuals(theta0=np.zeros(components), **functions)
    assert fit.converged
    assert np.all(np.diff(fit.history.nll) <= 0)
    *errors, of_alpha, of_scale = fit.standard_errors
    # Four standard errors; on the bound alpha has none.
    assert abs(fit.alpha - alpha) <= (0.2 if math.isnan(of_alpha) or alpha == 2 else 4 * of_alpha)
    assert abs(fit.scale - 0.5) <= 4 * of_scale
    assert np.all(np.abs(fit.params - np.arange(components)) <= 4 * np.array(errors))
    assert not np.any(fit.outliers[np.linalg.norm(fit.residuals, axis=1) < 3 * fit.scale])


def test_both_methods_meet():
    one, jac = shifted(drawn(500, 3, 1.0, 8))
    newton, gradient = (
        robloss.fit_residuals(one, np.zeros(3), jac=jac, method=method)
        for method in ("irls", "gradient")
    )
    assert gradient.converged
    assert gradient.nll == pytest.approx(newton.nll, rel=1e-11)
    assert gradient.alpha == pytest.approx(newton.alpha, abs=1e-6)
    np.testing.assert_allclose(gradient.params, newton.params, atol=1e-6)


def test_it_is_an_optimum_in_shape_and_scale():
    fit = robloss.fit_residuals(residuals, np.zeros(4))
    assert fit.converged
    assert 0.1 < fit.alpha < 2

    def nll(alpha, scale):
        return robloss.fit_residuals(residuals, fit.params, alpha=alpha, scale=scale).nll

    assert nll(fit.alpha, fit.scale) == pytest.approx(fit.nll, rel=1e-12)
    for moved_by in (-0.02, 0.02):
        assert nll(fit.alpha + moved_by, fit.scale) > fit.nll
        assert nll(fit.alpha, fit.scale * math.exp(moved_by)) > fit.nll


@pytest.mark.backends(lambda library: library.option != "dask")
def test_every_library_estimates_the_same_shape(backend):
    xp, points, seen = backend.xp, backend.array(POINTS), backend.array(SEEN)
    fit = robloss.fit_residuals(
        lambda theta: seen - moved(xp, theta, points),
        backend.array(np.zeros(4)),
        jac=lambda theta: slopes(xp, theta, points),
    )
    plain = robloss.fit_residuals(residuals, np.zeros(4))
    assert fit.alpha == pytest.approx(plain.alpha, abs=1e-6)
    assert fit.scale == pytest.approx(plain.scale, rel=1e-6)
    assert fit.nll == pytest.approx(plain.nll, rel=1e-10)
    np.testing.assert_allclose(
        backend.to_numpy(fit.standard_errors), plain.standard_errors, rtol=1e-4
    )


def test_errors_of_shape_and_scale_are_those_of_many_samples():
    """The spread of 150 estimates is known to 6 %; four of these."""
    estimates, errors = [], []
    for seed in range(150):
        one, jac = shifted(drawn(200, 2, 0.8, seed))
        fit = robloss.fit_residuals(one, np.zeros(2), jac=jac)
        estimates.append([*fit.params, fit.alpha, math.log(fit.scale)])
        errors.append([*fit.standard_errors[:-1], fit.standard_errors[-1] / fit.scale])
    np.testing.assert_allclose(np.median(errors, axis=0), np.std(estimates, axis=0), rtol=0.24)


def test_the_sandwich_is_what_moving_the_weights_does():
    """The covariance is Σ m mᵀ with what the estimates move by where a row counts more."""
    one, jac = shifted(drawn(40, 2, 0.8, 9))

    def estimates(weights, start):
        fit = robloss.fit_residuals(one, start, jac=jac, sample_weight=weights, tol=1e-11)
        return np.array([*fit.params, fit.alpha, fit.scale]), fit

    _, fit = estimates(np.ones(40), np.zeros(2))
    assert fit.adapted == ("alpha", "scale")
    assert 0.1 < fit.alpha < 2
    step = 1e-3 * np.eye(40)
    moves = [
        (estimates(1 + change, fit)[0] - estimates(1 - change, fit)[0]) / 2e-3 for change in step
    ]
    # Differences are right to their step squared.
    np.testing.assert_allclose(np.transpose(moves) @ moves, fit.covariance, rtol=1e-4, atol=1e-7)


def test_bounds_are_those_between_which_there_is_a_law():
    far = drawn(300, 2, 0.1, 3) * np.exp(drawn(300, 1, 1.0, 4))
    one, jac = shifted(far)
    fit = robloss.fit_residuals(one, np.zeros(2), jac=jac)
    assert (fit.alpha, fit.alpha_bounds) == (0.1, (0.1, 2.0))
    assert any("lower bound 0.1" in flag for flag in fit.flags)
    profile = robloss.fit_residuals(residuals, np.zeros(4)).profile_alpha()
    assert profile.alpha[0] == 0.1


def test_outliers_are_those_of_length():
    fit = robloss.fit_residuals(residuals, np.zeros(4), **OPTIONS)
    far = np.linalg.norm(fit.residuals, axis=1) > fit.outlier_distance
    np.testing.assert_array_equal(fit.outliers, far)
    assert np.all(np.flatnonzero(far) % 5 == 0)
    assert "nll lacks log Z" in fit.summary().replace("\n      ", " ")


@pytest.mark.parametrize(("n", "d", "quantile"), [(60, 3, 16.6192), (1000, 2, 19.8070)])
def test_outlier_distance_is_near_that_of_chi_squared(n, d, quantile):
    """`quantile`: scipy.stats.chi2.isf(0.05 / n, d)."""
    fit = robloss.fit_residuals(lambda p: np.ones((n, d)) * p, [1.0], alpha=2.0, scale=2.0)
    assert fit.outlier_distance == pytest.approx(2.0 * math.sqrt(quantile), rel=0.03)


ERRORS = {
    "alpha -2": ({"alpha": -2.0}, r"`alpha` must lie in \[0.1, 2\] where the scale of vectors is"),
    "alpha 0": ({"alpha": 0.0}, r"`alpha` must lie in \[0.1, 2\] where the scale of vectors is"),
    "bounds above 2": ({"alpha_bounds": (1.0, 3.0)}, r"`alpha_bounds` must be .* <= 2 where"),
    "bounds below 0.1": ({"alpha_bounds": (0.0, 0.05)}, r"`alpha_bounds` must be .* 0.1 < high"),
    "alpha 3": ({"alpha": 3.0, "scale": 1.0}, "`alpha` must be at most 2"),
    "truncation": ({**OPTIONS, "truncation": 9.0}, "`truncation` must be None where"),
    "jac": ({**OPTIONS, "jac": lambda p: np.ones((60, 4))}, r"shape \(60, 3, 4\)"),
}


@pytest.mark.parametrize(("options", "sentence"), ERRORS.values(), ids=ERRORS)
def test_errors(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        robloss.fit_residuals(residuals, np.zeros(4), **options)


def test_hubers_covariances_are_refused():
    fit = robloss.fit_residuals(residuals, np.zeros(4), **OPTIONS)
    with pytest.raises(ValueError, match='`kind` must be "sandwich" or "information"'):
        fit.inference("H1")
