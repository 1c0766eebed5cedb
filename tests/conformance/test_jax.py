"""JAX: derivatives under grad, jvp, hessian, vmap and jit are the library's own closed forms."""

import numpy as np
import oracle
import pytest
from backends import Library
from cases import ALPHA, SCALE_VALUES, SMALLEST_NORMAL, X, error_ratio, grid

import robloss

pytestmark = pytest.mark.backends(lambda library: library is Library.JAX)

PARTIALS = ("influence", "grad_alpha", "grad_scale")


@pytest.fixture
def jax(backend):
    return pytest.importorskip("jax")


def close(result, expected, rtol=1e-13):
    np.testing.assert_allclose(np.asarray(result), np.asarray(expected), rtol=rtol, atol=0)


def columns(backend):
    return [backend.array(column) for column in (X, ALPHA, SCALE_VALUES)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gradients_are_as_accurate_as_the_functions(jax, backend, dtype):
    points = grid(dtype)
    # XLA on a CPU takes a subnormal x for 0.
    size = np.abs(points[:, 0])
    points = points[(size == 0) | ~(size < SMALLEST_NORMAL[dtype])]
    inputs = [backend.array(column, dtype) for column in points.T]
    gradient = jax.grad(lambda *given: robloss.loss(*given).sum(), argnums=(0, 1, 2))
    for name, values in zip(PARTIALS, gradient(*inputs), strict=True):
        wrong = [
            (name, point.tolist(), float(value))
            for point, value in zip(points, np.asarray(values), strict=True)
            if not error_ratio(name, float(value), tuple(map(float, point)), dtype) <= 1
        ]
        assert wrong == []


def test_small_residuals_keep_their_digits(jax, backend):
    """Differentiating a closed form loses every digit here: d rho/d alpha is of order x**6."""
    point = (1e-4, 1.0, 1.0)
    value = jax.grad(robloss.loss, argnums=1)(*point)
    assert error_ratio("grad_alpha", float(value), point, "float64") <= 1

    def naive(x, alpha):
        return (2 - alpha) / alpha * ((1 + x**2 / (2 - alpha)) ** (alpha / 2) - 1)

    value = jax.grad(naive, argnums=1)(1e-4, 1.0)
    assert error_ratio("grad_alpha", float(value), point, "float64") > 1e6


def test_only_what_is_asked_for_is_computed(jax, backend):
    assert float(jax.grad(robloss.loss)(1.0, 2.0)) == 1.0
    assert float(jax.grad(lambda x: robloss.loss(x, backend.array(2.0)))(1.0)) == 1.0
    assert float(jax.grad(robloss.loss, argnums=1)(1.0, 2.0)) == np.inf


def test_second_order(jax, backend):
    given = columns(backend)
    bend = jax.vmap(jax.grad(jax.grad(robloss.loss)))(*given)
    close(bend, robloss.curvature(*given))
    (x, alpha, scale) = (one[4] for one in given)
    hessian = jax.hessian(lambda x, c: robloss.loss(x, alpha, c), argnums=(0, 1))(x, scale)
    close(hessian[0][0], robloss.curvature(x, alpha, scale))
    close(hessian[0][1], hessian[1][0])
    step = 1e-6
    slope = [robloss.grad_scale(x, alpha, scale + sign * step) for sign in (1, -1)]
    close(hessian[1][1], (slope[0] - slope[1]) / (2 * step), rtol=1e-8)


def test_forward_mode_agrees_with_reverse_mode(jax, backend):
    one = tuple(column[4] for column in columns(backend))
    gradients = jax.grad(robloss.loss, argnums=(0, 1, 2))(*one)
    for direction, gradient in zip(np.eye(3), gradients, strict=True):
        _, slope = jax.jvp(robloss.loss, one, tuple(map(backend.array, direction)))
        close(slope, gradient)


def test_vmap_and_jit(jax, backend):
    x, alpha, scale = given = columns(backend)
    expected = robloss.loss(*given)
    close(jax.jit(robloss.loss)(*given), expected)
    close(jax.vmap(robloss.loss)(*given), expected)
    grid_of_both = jax.vmap(robloss.loss, in_axes=(None, 0, None))(x, alpha, scale)
    close(grid_of_both, robloss.loss(x, alpha[:, None], scale))
    gradient = jax.jit(jax.vmap(jax.grad(robloss.loss)))(*given)
    close(gradient, robloss.influence(*given))


def test_gradients_broadcast(jax, backend):
    x = backend.array(X)
    total = jax.grad(lambda alpha: robloss.loss(x, alpha).sum())(backend.array(0.5))
    assert total.shape == ()
    close(total, robloss.grad_alpha(x, 0.5).sum())


def test_nll_adds_the_derivative_of_the_partition(jax, backend):
    for point in [(0.3, 0.0, 1.0), (2.0, 1.0, 0.5), (0.0, 5.0, 2.0)]:
        gradients = jax.grad(robloss.nll, argnums=(0, 1, 2))(*map(backend.array, point))
        expected = [
            float(oracle.influence(*point)),
            float(oracle.grad_alpha(*point) + oracle.log_partition_derivative(point[1])),
            float(oracle.grad_scale(*point)) + 1 / point[2],
        ]
        # 1e-12: docs/numerics.md on the derivative of log Z.
        np.testing.assert_allclose(np.asarray(gradients), expected, rtol=1e-12, atol=1e-15)


def test_the_partition_is_twice_differentiable(jax, backend):
    for alpha in (0.5, 1.0, 1.9, 2.1, 5.0):
        slope, bend = jax.grad(robloss.log_partition), jax.grad(jax.grad(robloss.log_partition))
        given = backend.array(alpha)
        close(slope(given), float(oracle.log_partition_derivative(alpha)), rtol=1e-12)
        close(bend(given), float(oracle.log_partition_second_derivative(alpha)), rtol=1e-10)


def test_narrow_floats_keep_their_dtype(jax, backend):
    x = backend.array(X, "bfloat16")
    gradient = jax.grad(lambda x: robloss.loss(x, 1.0).sum())(x)
    assert str(gradient.dtype) == "bfloat16"


def test_numbers_stay_weak_where_jax_makes_arrays_of_them(jax, backend):
    for dtype in ("bfloat16", "float32"):
        x = backend.array(X, dtype)
        for function in (robloss.loss, robloss.nll, robloss.cdf):
            assert jax.jit(function)(x, 1.0, 2).dtype == x.dtype
        slope = jax.grad(lambda alpha, x=x: robloss.loss(x, alpha).sum())(1.0)
        assert slope.dtype == np.float64
        close(slope, robloss.grad_alpha(x, 1.0).sum(), rtol=1e-2)
        # The twin: arrays of a dtype of their own do change it.
        assert robloss.loss(x, backend.array(1.0, "float64")).dtype == np.float64
    assert jax.jit(robloss.loss)(1.0, 2, 3).dtype == np.float64
