"""A learned alpha that rounds to 2 has a finite gradient: that at the next smaller number."""

import math

import numpy as np
import oracle
import pytest
from backends import Library

import robloss

RESIDUALS = (0.0, 0.3, 1.0, 3.0, -20.0)


def slope(x, alpha):
    """d nll/d alpha by the oracle."""
    return float(oracle.grad_alpha(x, alpha, 1.0)) + float(oracle.log_partition_derivative(alpha))


def gradient(backend, x, alpha, dtype, function=robloss.nll, **options):
    """The gradient of the sum of a function with respect to alpha, by the library."""
    x = backend.array(np.array(x), dtype)
    alpha = backend.array(np.array(alpha), dtype)
    if backend is Library.JAX:
        import jax

        return float(jax.grad(lambda a: function(x, a, **options).sum())(alpha))
    alpha.requires_grad_()
    function(x, alpha, **options).sum().backward()
    return float(alpha.grad)


@pytest.mark.backends(lambda library: library.differentiates)
@pytest.mark.parametrize(("dtype", "below"), [("float64", 2 - 2.0**-52), ("float32", 2 - 2.0**-23)])
def test_gradient_at_two(backend, dtype, below):
    expected = [slope(x, below) for x in RESIDUALS]
    found = [gradient(backend, [x], 2.0, dtype) for x in RESIDUALS]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    together = gradient(backend, RESIDUALS, 2.0, dtype)
    assert math.isfinite(together)
    assert together == pytest.approx(sum(expected), rel=1e-3)
    assert min(expected) < 0 < max(expected)


@pytest.mark.backends(lambda library: library.differentiates)
def test_elsewhere_nothing_is_moved(backend):
    found = gradient(backend, [3.0], 2 - 2.0**-30, "float64")
    assert found == pytest.approx(slope(3.0, 2 - 2.0**-30), rel=1e-12)


@pytest.mark.backends(lambda library: library.differentiates)
@pytest.mark.parametrize("function", [robloss.nll, robloss.pdf, robloss.cdf])
@pytest.mark.parametrize("truncation", [None, 5.0])
def test_the_distribution_at_two_is_that_beside_it(backend, function, truncation):
    x, near = RESIDUALS[:4], 2 - 1e-12
    at, beside = (
        gradient(backend, x, alpha, "float64", function, truncation=truncation)
        for alpha in (2.0, near)
    )
    # The slope goes like log b: from 1e-12 to 2e-16 it grows by less than half.
    assert 1.0 < at / beside < 1.6


@pytest.mark.backends(lambda library: library.differentiates)
@pytest.mark.parametrize("function", [robloss.entropy, robloss.variance])
def test_moments_at_two_have_the_slope_beside_it(backend, function):
    def of_alpha(x, alpha):
        return function(alpha, 1.0) + 0 * x

    at, beside = (
        gradient(backend, [0.0], alpha, "float64", of_alpha) for alpha in (2.0, 2 - 1e-12)
    )
    assert 0.9 < at / beside < 1.6


@pytest.mark.backends(lambda library: library.differentiates)
def test_second_order_at_two(backend):
    """The Hessian in (x, alpha, scale) is finite, symmetric, and that beside 2."""

    def hessian(alpha):
        point = backend.array(np.array([1.5, alpha, 0.8]))
        if backend is Library.JAX:
            import jax

            return np.asarray(jax.hessian(lambda p: robloss.nll(p[0], p[1], p[2]))(point))
        import torch

        return torch.autograd.functional.hessian(
            lambda p: robloss.nll(p[0], p[1], p[2]), point
        ).numpy()

    at, beside = hessian(2.0), hessian(2 - 2.0**-52)
    np.testing.assert_allclose(at, at.T, rtol=1e-9)
    np.testing.assert_allclose(at, beside, rtol=1e-9)
