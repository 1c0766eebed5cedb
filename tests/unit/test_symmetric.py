"""Symmetric systems: by a factor where that is enough, by eigenvalues where it is not."""

import numpy as np
import pytest

from robloss._fit import symmetric
from robloss._fit.symmetric import Inverse, solve

EPS = 2.0**-52
RNG = np.random.default_rng(93)
SIZES = [3, 64, 65, 200]  # the last two are of those that are factored


def with_eigenvalues(values):
    """A matrix with these, in units that differ by powers of ten."""
    turn = np.linalg.qr(RNG.normal(size=(len(values), len(values))))[0]
    return (turn * values) @ turn.T


@pytest.fixture
def no_eigenvalues(monkeypatch):
    """Let nobody ask for them."""
    monkeypatch.setattr(symmetric, "_eigen", None)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("least", [1e-1, 1e-6])
def test_a_system(size, least):
    units = 10.0 ** RNG.uniform(-50, 50, size)
    matrix = with_eigenvalues(np.geomspace(least, 1.0, size)) * np.outer(units, units)
    x = RNG.normal(size=size) / units
    found = solve(matrix, matrix @ x, EPS)
    assert (found.rank, found.is_definite) == (size, True)
    # Rounding of a right-hand side, times the condition.
    np.testing.assert_allclose(found.solution * units, x * units, atol=1e-13 * size / least)
    inverse = Inverse.of(matrix, EPS)
    assert inverse.is_definite
    assert inverse.null.shape == (size, 0)
    assert inverse.determines(np.diag(units), EPS).all()
    one = (inverse.matrix * np.outer(units, units)) @ (matrix / np.outer(units, units))
    np.testing.assert_allclose(one, np.eye(size), atol=1e-13 * size / least)


def test_large_ones_take_no_eigenvalues(no_eigenvalues):
    values = np.geomspace(1e-6, 1.0, 200)
    assert solve(with_eigenvalues(values), np.ones(200), EPS).is_definite
    assert Inverse.of(with_eigenvalues(values), EPS).is_definite
    values[0] = -1e-6
    found = solve(with_eigenvalues(values), np.ones(200), EPS)
    assert not found.is_definite
    assert np.isnan(found.solution).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lost", [0.0, 1e-16, -1e-16])
def test_singular_ones_have_a_solution_of_least_norm(size, lost):
    values = np.linspace(0.5, 1.5, size)
    values[0] = lost
    turn = np.linalg.qr(RNG.normal(size=(size, size)))[0]
    matrix = (turn * values) @ turn.T
    units = np.sqrt(np.diag(matrix))
    x = RNG.normal(size=size)
    found = solve(matrix, matrix @ x, EPS)
    assert (found.rank, found.is_definite) == (size - 1, True)
    null = turn[:, 0] * units
    least = x * units - null * (null @ (x * units)) / (null @ null)
    np.testing.assert_allclose(found.solution * units, least, atol=1e-11)
    inverse = Inverse.of(matrix, EPS)
    assert inverse.null.shape == (size, 1)
    np.testing.assert_array_equal(
        inverse.determines(np.stack([turn[:, 1], turn[:, 0]]), EPS), [True, False]
    )


@pytest.mark.parametrize("size", SIZES)
def test_indefinite_ones(size):
    values = np.linspace(-0.1, 1.0, size)
    assert not solve(with_eigenvalues(values), np.ones(size), EPS).is_definite
    assert not Inverse.of(with_eigenvalues(values), EPS).is_definite


def test_the_least_eigenvalue_is_found():
    """What decides whether a factor is trusted.

    From above it is off by (‖x‖/|x₁|)^(1/4) at most after four rounds, with the part x₁ of the
    random start along the vector of that eigenvalue: by 3 where that is 1/81 of the whole, a
    seventh of what it is on average among 150. From below by rounding only.
    """
    for values in (
        np.geomspace(1e-9, 1.0, 150),
        np.r_[1e-12, np.ones(149)],
        np.linspace(1e-4, 1.0, 150),
        np.r_[np.full(75, 1e-8), np.ones(75)],
    ):
        estimate = symmetric._least_eigenvalue(np.linalg.cholesky(with_eigenvalues(values)))
        assert 0.9 * values[0] <= estimate <= 3.0 * values[0]
