"""The maps between free numbers and (alpha, scale) on every array library."""

import array_api_compat
import numpy as np
import pytest
from backends import Library
from cases import EPS

from robloss._reparam import AlphaMap, ScaleMap

FREE = np.array([-80.0, -20.0, -1.5, -0.25, 0.0, 0.25, 2.0, 30.0])
MAPS = [AlphaMap(), AlphaMap(0.0, 2.0), ScaleMap(), ScaleMap(0.0, 4.0), AlphaMap(1.0, 1.0)]
of_maps = pytest.mark.parametrize("each", MAPS, ids=str)


def functions(each):
    if isinstance(each, ScaleMap):
        return [each.forward, each.derivative, each.distance]
    return [
        each.forward,
        each.derivative,
        *(lambda free, i=i: each.distances(free)[i] for i in (0, 1)),
    ]


@of_maps
def test_values_and_kind(each, backend, floating):
    free = backend.array(FREE, floating)
    exact = backend.to_numpy(free).astype("float64")
    tolerance = 8 * EPS[floating]
    for function in functions(each):
        value = function(free)
        assert backend.owns(value)
        assert value.dtype == free.dtype
        assert array_api_compat.device(value) == array_api_compat.device(free)
        # float16 ends at 6e-8; e^(−80) is far below
        np.testing.assert_allclose(
            backend.to_numpy(value).astype("float64"), function(exact), rtol=tolerance,
            atol=1.2e-7 if floating == "float16" else 0,
        )  # fmt: skip


@of_maps
def test_inverse(each, backend):
    for floating in ("float64", "float32"):
        free = backend.array(FREE[2:-1], floating)  # away from the bounds, where it is ±inf
        inverse = each.inverse(each.forward(free))
        assert backend.owns(inverse)
        assert inverse.dtype == free.dtype
        expected = 0 * FREE[2:-1] if each == AlphaMap(1.0, 1.0) else FREE[2:-1]
        tolerance = 32 * EPS[floating]
        np.testing.assert_allclose(
            backend.to_numpy(inverse), expected, rtol=tolerance, atol=tolerance
        )


@pytest.mark.backends(lambda library: library is not Library.NUMPY)
def test_values_outside_become_nan(backend):
    for each, outside in ((AlphaMap(), [0.0, 2.0]), (ScaleMap(), [0.0, -1.0])):
        assert np.isnan(backend.to_numpy(each.inverse(backend.array(outside)))).all()
    assert np.isnan(backend.to_numpy(AlphaMap(1, 1).inverse(backend.array([0.0, 2.0])))).all()


@of_maps
@pytest.mark.parametrize("shape", [(), (0,), (2, 1, 4)], ids=str)
def test_shapes(each, shape, backend):
    free = backend.array(np.resize(FREE, shape))
    for function in [*functions(each), lambda free: each.inverse(each.forward(free))]:
        assert tuple(function(free).shape) == shape


# 0 is where every branch changes; ±800 is past the largest exponent
KINKS = [0.0, -1e-30, 1e-30, -800.0, 800.0, -3.0, 3.0]


@of_maps
@pytest.mark.backends(lambda library: library.module == "torch")
def test_torch_differentiates(each, backend):
    import torch

    free = backend.array(KINKS).requires_grad_()
    (slope,) = torch.autograd.grad(each.forward(free).sum(), free)
    torch.testing.assert_close(slope, each.derivative(free).detach(), rtol=1e-14, atol=0)
    mapped = torch.func.vmap(torch.func.grad(each.forward))(free.detach())
    torch.testing.assert_close(mapped, slope, rtol=1e-14, atol=0)
    if each.low != getattr(each, "high", None):
        inner = backend.array([-3.0, 0.0, 0.3, -0.3, 2.0])
        value = each.forward(inner).requires_grad_()
        (back,) = torch.autograd.grad(each.inverse(value).sum(), value)
        torch.testing.assert_close(back, 1 / each.derivative(inner), rtol=1e-13, atol=0)


@of_maps
@pytest.mark.backends(lambda library: library is Library.JAX)
def test_jax_differentiates(each, backend):
    import jax

    free = backend.array(KINKS)
    slope = jax.jit(jax.vmap(jax.grad(each.forward)))(free)
    np.testing.assert_allclose(slope, each.derivative(free), rtol=1e-14)
    if each.low != getattr(each, "high", None):
        inner = backend.array([-3.0, 0.0, 0.3, -0.3, 2.0])
        back = jax.vmap(jax.grad(each.inverse))(each.forward(inner))
        np.testing.assert_allclose(back, 1 / each.derivative(inner), rtol=1e-13)
