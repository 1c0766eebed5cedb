"""Random numbers on every array library: their own generators, and what each library can do."""

import array_api_compat
import numpy as np
import pytest
from backends import Library
from distribution import SMALLEST_P, kolmogorov_smirnov

from robloss._distribution.sampling import sample

ALPHA = np.array([0.0, 0.25, 1.0, 1.75, 2.0, 8.0])
OWN = {
    Library.TORCH: "a torch.Generator",
    Library.TORCH_CUDA: "a torch.Generator",
    Library.PAPER: "a torch.Generator",
    Library.JAX: "a key",
    Library.DASK: "a Generator of dask",
    Library.CUPY: "a cupy.random.Generator",
}


def generator(backend, seed):
    """The library's own."""
    if backend.module == "torch":
        import torch

        device = "cuda" if backend is Library.TORCH_CUDA else "cpu"
        return torch.Generator(device).manual_seed(seed)
    if backend is Library.JAX:
        import jax

        return jax.random.key(seed)
    if backend is Library.DASK:
        import dask.array as da

        return da.random.default_rng(seed)
    if backend is Library.CUPY:
        import cupy

        return cupy.random.default_rng(seed)
    return np.random.default_rng(seed)


def draw(backend, *given, **options):
    return backend.to_numpy(sample(*given, **options))


def test_each_element_follows_its_distribution(backend, floating):
    if floating in ("float16", "bfloat16"):
        pytest.skip("the rounding to so few digits is itself told apart; see below")
    alpha, scale = backend.array(ALPHA, floating), backend.array([[0.5], [20.0]], floating)
    values = sample(alpha, scale, shape=20_000, rng=generator(backend, 3))
    assert backend.owns(values)
    assert backend.dtype_name(values) == floating
    assert tuple(values.shape) == (20_000, 2, 6)
    assert array_api_compat.device(values) == array_api_compat.device(alpha)
    host = backend.to_numpy(values)
    for i, c in enumerate([0.5, 20.0]):
        for j, a in enumerate(ALPHA):
            assert kolmogorov_smirnov(host[:, i, j], a, c) > SMALLEST_P, (a, c)
    # The twin: another element's draws.
    assert kolmogorov_smirnov(host[:, 0, 0], ALPHA[1], 0.5) < SMALLEST_P
    assert np.unique(host).size > 0.9 * host.size


def test_sixteen_bits_are_drawn_in_float32(backend):
    for floating in set(backend.dtypes) & {"float16", "bfloat16"}:
        narrow = backend.array(ALPHA, floating)
        wide = backend.array(ALPHA, "float32")
        with np.errstate(over="ignore"):
            values = sample(narrow, 2.0, shape=100, rng=3)
            assert backend.dtype_name(values) == floating
            expected = backend.array(draw(backend, wide, 2.0, shape=100, rng=3), floating)
        np.testing.assert_array_equal(backend.to_numpy(values), backend.to_numpy(expected))


def test_seeds_and_generators_reproduce(backend):
    alpha = backend.array(ALPHA)
    makers = [lambda: 5, lambda: np.int64(5), lambda: 5 + 2**70, lambda: generator(backend, 5)]
    for make in makers:
        first, again = (draw(backend, alpha, shape=10, rng=make()) for _ in range(2))
        np.testing.assert_array_equal(first, again)
    others = [draw(backend, alpha, shape=10, rng=rng) for rng in (5, 6, 5 + 2**32, 5 + 2**64)]
    assert np.unique(others).size == 4 * 60


@pytest.mark.backends(lambda library: library is not Library.JAX)
def test_generators_advance_and_none_is_fresh(backend):
    alpha = backend.array(ALPHA)
    for rng in (generator(backend, 5), None):
        drawn = [draw(backend, alpha, shape=10, rng=rng) for _ in range(2)]
        assert np.unique(drawn).size == 2 * 60


@pytest.mark.backends(lambda library: library in OWN)
def test_numbers_take_the_generators_library(backend):
    values = sample(1.0, np.float64(2.0), shape=5, rng=generator(backend, 1))
    assert backend.owns(values)
    defaults = backend.xp.__array_namespace_info__().default_dtypes()
    assert values.dtype == defaults["real floating"]
    assert isinstance(sample(1.0, 2.0, shape=5, rng=1), np.ndarray)
    with pytest.raises(ValueError, match="`alpha` must lie in"):
        sample(-1.0, rng=generator(backend, 1))


def test_foreign_generators_are_refused(backend):
    alpha = backend.array(ALPHA)
    strangers: list = [True, 1.5, "seed", np.random.RandomState(0)]
    if backend not in (Library.NUMPY, Library.STRICT, Library.DASK):
        strangers.append(np.random.default_rng(0))
    else:
        strangers.append(np.ones(2))
    for rng in strangers:
        with pytest.raises(TypeError, match=r"`rng` must be .* but got") as caught:
            sample(alpha, rng=rng)
        assert OWN.get(backend, "a numpy.random.Generator") in str(caught.value)
    with pytest.raises(ValueError, match="`rng` must be a seed of at least 0, but got -3"):
        sample(alpha, rng=-3)


@pytest.mark.backends(lambda library: library is not Library.NUMPY)
def test_illegal_values_become_nan(backend):
    alpha = backend.array([1.0, -1.0, np.nan, -np.inf])
    scale = backend.array([[1.0], [0.0], [-2.0], [np.inf], [np.nan]])
    values = draw(backend, alpha, scale, shape=20, rng=0)
    assert np.isfinite(values[:, 0, 0]).all()
    assert np.isnan(values[:, 1:]).all()
    assert np.isnan(values[:, :, 1:]).all()
    with pytest.raises(ValueError, match="`scale` must lie in"):
        sample(alpha, -1.0, rng=0)


@pytest.mark.parametrize(
    ("alpha", "scale", "shape", "expected"),
    [
        ((), (), (), ()), ((), (), 3, (3,)), ((), (4,), (), (4,)), ((3, 1), (4,), (2,), (2, 3, 4)),
        ((0,), (), 2, (2, 0)), ((2,), (2,), (0,), (0, 2)), ((2,), (), (3, 1), (3, 1, 2)),
    ],
)  # fmt: skip
def test_shapes(alpha, scale, shape, expected, backend):
    first = backend.array(np.full(alpha, 1.25))
    second = backend.array(np.full(scale, 2.0))
    values = sample(first, second, shape=shape, rng=0)
    assert tuple(values.shape) == expected
    host = backend.to_numpy(values)
    assert host.shape == expected
    assert np.unique(host).size == host.size
    numbers = sample(first, 2.0, shape=shape, rng=0)
    assert tuple(numbers.shape)[len(host.shape) - len(np.broadcast_shapes(alpha, scale)) :] == alpha


def test_arguments_are_not_modified_and_libraries_do_not_mix(backend):
    alpha = backend.array(ALPHA.copy())
    draw(backend, alpha, shape=100, rng=0)
    np.testing.assert_array_equal(backend.to_numpy(alpha), ALPHA)
    if backend is not Library.NUMPY:
        with pytest.raises(TypeError, match="`alpha` and `scale` must come from one array library"):
            sample(alpha, np.ones(6), rng=0)


# ----------------------------------------------------------------------------------------- torch

torch_only = pytest.mark.backends(lambda library: library.module == "torch")


@torch_only
def test_torch_differentiates_in_scale(backend):
    import torch

    alpha = backend.array(ALPHA).requires_grad_()
    scale = backend.array(2.0).requires_grad_()
    values = sample(alpha, scale, shape=7, rng=0)
    values.sum().backward()
    torch.testing.assert_close(scale.grad, values.detach().sum() / 2)
    assert alpha.grad is None
    slope = torch.func.grad(lambda c: sample(alpha.detach(), c, shape=7, rng=0).sum())(scale)
    torch.testing.assert_close(slope, scale.grad)


@torch_only
def test_the_global_generator_of_torch_is_the_default(backend):
    import torch

    alpha = backend.array(ALPHA)
    drawn = []
    with torch.random.fork_rng():
        for _ in range(2):
            torch.manual_seed(9)
            drawn.append(draw(backend, alpha, shape=10))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.backends(lambda library: library is Library.TORCH_CUDA)
def test_a_torch_generator_on_another_device(backend):
    with pytest.raises(ValueError, match="`rng` must be on the device of the arrays, cuda"):
        sample(backend.array(ALPHA), rng=generator(Library.TORCH, 0))


# ------------------------------------------------------------------------------------------- JAX

jax_only = pytest.mark.backends(lambda library: library is Library.JAX)


@jax_only
def test_jax_needs_a_key_or_a_seed(backend):
    with pytest.raises(TypeError, match=r"a key of jax.random for jax arrays, but got NoneType"):
        sample(backend.array(ALPHA))


@jax_only
def test_jax_transforms(backend):
    import jax

    alpha, key = backend.array(ALPHA), jax.random.key(3)

    def function(alpha, scale, key):
        return sample(alpha, scale, shape=4, rng=key)

    expected = function(alpha, 2.0, key)
    np.testing.assert_allclose(jax.jit(function)(alpha, 2.0, key), expected, rtol=1e-12)
    keys = jax.random.split(key, 6)
    mapped = jax.vmap(function, in_axes=(0, None, 0))(alpha, 2.0, keys)
    each = [function(a, 2.0, k) for a, k in zip(alpha, keys, strict=True)]
    np.testing.assert_allclose(mapped, np.stack(each), rtol=1e-12)
    assert np.unique(mapped).size == 24
    raw = jax.random.PRNGKey(3)
    np.testing.assert_array_equal(function(alpha, 2.0, raw), expected)


@jax_only
def test_jax_differentiates_in_scale(backend):
    import jax

    alpha, key = backend.array(ALPHA), jax.random.key(3)

    def total(alpha, scale):
        return sample(alpha, scale, shape=4, rng=key).sum()

    in_alpha, in_scale = jax.jit(jax.grad(total, argnums=(0, 1)))(alpha, 2.0)
    np.testing.assert_allclose(in_scale, total(alpha, 2.0) / 2, rtol=1e-12)
    assert not np.any(in_alpha)


# ------------------------------------------------------------------------------------------ Dask

lazy = pytest.mark.backends(lambda library: library.lazy)


def refuse(*args, **kwargs):
    raise AssertionError("something computed a lazy array")


@lazy
def test_dask_is_lazy(backend):
    import dask

    alpha = backend.array(ALPHA)
    with dask.config.set(scheduler=refuse):
        results = [sample(alpha, 2.0, shape=(3, 2), rng=rng) for rng in (1, generator(backend, 1))]
        results.append(sample(1.0, 2.0, shape=3, rng=generator(backend, 1)))
        with pytest.raises(AssertionError, match="computed a lazy array"):
            results[0].compute()
    for result in results:
        np.testing.assert_array_equal(result.compute(), result.compute())
        assert result.compute().dtype == result.dtype == np.float64


@lazy
def test_dask_chunks_are_independent(backend):
    import dask.array as da

    alpha = da.ones((6, 1), chunks=2)
    scale = da.ones((4,), chunks=(1, 3))
    result = sample(alpha, scale, shape=10, rng=0)
    assert result.chunks == ((10,), (2, 2, 2), (1, 3))
    assert np.unique(result.compute()).size == 240
    long = sample(da.ones((), chunks=()), shape=9_000_000, rng=0)
    assert max(long.chunks[0]) <= 2**22
    first, second = (long.blocks[i][:1000].compute() for i in (0, 1))
    assert not np.any(first == second)


@lazy
def test_dask_arrays_of_unknown_size(backend):
    import dask.array as da

    known = da.from_array(ALPHA, chunks=2)
    result = sample(known[known < 2], 2.0, shape=3, rng=0)
    assert result.compute().shape == (3, 4)
    assert sample(known[known < 2], rng=0).compute().shape == (4,)
