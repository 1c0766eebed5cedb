"""What a fit ends at is a minimum of the likelihood that the oracle computes on its own."""

import math

import numpy as np
import oracle
import pytest

import robloss
from fit.references import NOISES, synthetic

SEEDS = (0, 1, 2)
draws = pytest.mark.parametrize(
    ("seed", "noise"), [(seed, noise) for seed in SEEDS for noise in NOISES]
)


def nll(fit, X, y, coef, intercept, alpha, scale):
    """The objective by the oracle: Σρ + n log scale + n log Z."""
    residuals = y - X @ coef - intercept
    total = sum(float(oracle.loss(float(r), alpha, scale)) for r in residuals)
    return total + len(y) * (math.log(scale) + float(oracle.log_partition(alpha)))


@draws
def test_objective_and_its_gradient(seed, noise):
    X, y, _ = synthetic(seed, noise)
    fit = robloss.fit_linear(X, y)
    assert fit.converged
    expected = nll(fit, X, y, fit.coef, fit.intercept, fit.alpha, fit.scale)
    assert fit.nll == pytest.approx(expected, rel=1e-12)
    design = np.column_stack([np.ones(len(y)), X])
    psi = np.array([float(oracle.influence(float(r), fit.alpha, fit.scale)) for r in fit.residuals])
    # A Newton step of 1e-8 standard errors leaves a gradient of this size in units of the sums.
    size = np.abs(design).T @ np.abs(psi)
    assert np.all(np.abs(design.T @ psi) <= 1e-8 * size)
    assert float(fit.residuals @ psi) == pytest.approx(len(y), rel=1e-8)
    if 0 < fit.alpha < 2:
        by_alpha = [float(oracle.grad_alpha(float(r), fit.alpha, fit.scale)) for r in fit.residuals]
        by_partition = len(y) * float(oracle.log_partition_derivative(fit.alpha))
        assert sum(by_alpha) == pytest.approx(-by_partition, rel=1e-7)


@draws
def test_every_direction_leads_up(seed, noise):
    X, y, _ = synthetic(seed, noise)
    fit = robloss.fit_linear(X, y)
    lowest = nll(fit, X, y, fit.coef, fit.intercept, fit.alpha, fit.scale)
    rng = np.random.default_rng(seed)
    for _ in range(8):
        step = 0.05 * rng.normal(size=len(fit.coef) + 3)
        alpha = min(2.0, max(0.0, fit.alpha + step[0]))
        scale = fit.scale * math.exp(step[1])
        there = nll(fit, X, y, fit.coef + step[3:], fit.intercept + step[2], alpha, scale)
        assert there >= lowest - 1e-9


def test_the_checks_above_can_fail():
    """Least squares is no optimum of this likelihood: its gradient is far from 0."""
    X, y, _ = synthetic(0, "student")
    design = np.column_stack([np.ones(len(y)), X])
    theta = np.linalg.lstsq(design, y, rcond=None)[0]
    fit = robloss.fit_linear(X, y)
    psi = robloss.influence(y - design @ theta, fit.alpha, fit.scale)
    assert np.any(np.abs(design.T @ psi) > 1e-3 * (np.abs(design).T @ np.abs(psi)))


def test_alpha_2_is_least_squares():
    X, y, _ = synthetic(3, "normal")
    fit = robloss.fit_linear(X, y, alpha=2.0)
    design = np.column_stack([np.ones(len(y)), X])
    theta, squares, *_ = np.linalg.lstsq(design, y, rcond=None)
    np.testing.assert_allclose([fit.intercept, *fit.coef], theta, rtol=1e-10)
    assert fit.scale == pytest.approx(math.sqrt(squares[0] / len(y)), rel=1e-10)


@pytest.mark.parametrize("noise", ["student", "outliers"])
def test_robust_where_least_squares_is_not(noise):
    X, y, beta = synthetic(4, noise, n=400)
    y = y + np.where(np.arange(len(y)) % 10 == 0, 300.0, 0.0)
    fit = robloss.fit_linear(X, y)
    design = np.column_stack([np.ones(len(y)), X])
    squares = np.linalg.lstsq(design, y, rcond=None)[0][1:]
    assert np.max(np.abs(fit.coef - beta)) < 0.3
    assert np.max(np.abs(fit.coef - beta)) < 0.2 * np.max(np.abs(squares - beta))
    assert np.all(fit.weights[::10] < 0.01)


@pytest.mark.parametrize("alpha", [-math.inf, -2.0, 0.0, 0.7, 1.0, 1.9, 2.0, 4.0])
def test_fixed_shape_and_scale(alpha):
    X, y, _ = synthetic(5, "laplace")
    fit = robloss.fit_linear(X, y, alpha=alpha, scale=3.0)
    assert fit.converged
    assert (fit.alpha, fit.scale) == (alpha, 3.0)
    design = np.column_stack([np.ones(len(y)), X])
    psi = robloss.influence(fit.residuals, alpha, 3.0)
    assert np.all(np.abs(design.T @ psi) <= 1e-8 * (np.abs(design).T @ np.abs(psi)))


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_fixed_scale_adapts_alpha_alone(scale):
    X, y, _ = synthetic(6, "student")
    fit = robloss.fit_linear(X, y, scale=scale)
    assert fit.converged
    assert fit.scale == scale
    beside = [
        robloss.fit_linear(X, y, alpha=min(2.0, max(0.0, fit.alpha + step)), scale=scale).nll
        for step in (-0.05, 0.05)
    ]
    assert fit.nll <= min(beside) + 1e-9


def test_bounds_above_2_are_searched():
    X, y, _ = synthetic(7, "uniform", n=400)
    fit = robloss.fit_linear(X, y, alpha_bounds=(0.0, 8.0))
    assert fit.converged
    assert fit.alpha > 2
    assert fit.nll < robloss.fit_linear(X, y).nll


def test_without_columns_it_is_a_robust_mean():
    X, y, _ = synthetic(8, "student")
    fit = robloss.fit_linear(X[:, :0], y)
    assert fit.converged
    assert fit.coef.shape == (0,)
    ones = robloss.fit_linear(np.ones((len(y), 1)), y, intercept=False)
    assert fit.intercept == pytest.approx(float(ones.coef[0]), rel=1e-8)


@pytest.mark.parametrize("shift", [5.0, 15.0, 100.0])
@pytest.mark.parametrize("share", [0.2, 0.3, 0.4])
def test_many_outliers_on_one_side(share, shift):
    """From least squares they look like a wide normal distribution; a heavy tail is likelier."""
    X, y, _ = synthetic(9, "normal", n=200)
    y = y + np.where(np.arange(200) < 200 * share, shift, 0.0)
    fit = robloss.fit_linear(X, y)
    assert fit.converged
    for alpha in (0.0, 0.5, 1.0, 1.5, 2.0):
        assert fit.nll <= robloss.fit_linear(X, y, alpha=alpha).nll + 1e-9


def test_most_rows_exactly_on_a_line_are_found_beside_many_off_it():
    x = np.arange(30.0)
    y = np.where(x < 18, 3 * x + 1, 200 - 8 * x)
    for start in (None, [1.0, 3.0]):
        with pytest.warns(robloss.ConvergenceWarning, match="grows without bound"):
            fit = robloss.fit_linear(x[:, None], y, start=start)
        assert fit.status == "scale_floor"
        np.testing.assert_allclose(fit.coef, 3.0, rtol=1e-9)
        # That of least squares, where a normal law ends.
        assert fit.nll < robloss.fit_linear(x[:, None], y, alpha=2.0).nll
    values = np.append(np.full(12, 5.0), np.linspace(50, 60, 10))
    with pytest.warns(robloss.ConvergenceWarning, match="grows without bound"):
        assert robloss.fit_location(values).location == pytest.approx(5.0)


def test_a_few_rows_that_any_parameters_fit_are_no_such_line():
    X = np.random.default_rng(3).normal(size=(7, 3))
    fit = robloss.fit_linear(X, X[:, 0] + np.arange(7) % 3, n_starts=20, rng=0)
    assert fit.converged


def test_at_a_fixed_scale_alpha_does_not_jump_into_the_cusp_at_2():
    found = 0
    for seed in range(40):
        X, y, _ = synthetic(seed, "normal", n=80)
        y = y + np.where(np.arange(80) < 3, 25.0, 0.0)
        scale = 1.2 * robloss.fit_linear(X, y).scale
        fit = robloss.fit_linear(X, y, scale=scale)
        grid = [robloss.fit_linear(X, y, alpha=a, scale=scale).nll for a in (0.5, 1.0, 1.5, 1.8)]
        assert fit.nll <= min(grid) + 1e-9
        found += 0 < fit.alpha < 2
    assert found > 5
