"""Uniform random numbers from each array library's own generator: what `rng` may be."""

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from robloss._libraries import library_of
from robloss._typing import Array

Uniform = Callable[[tuple[int, ...], Any], Array]
"""``uniform(shape, dtype)``: independent numbers in [0, 1), other ones at each call."""

_GENERATORS = {
    "torch": "a torch.Generator",
    "jax": "a key of jax.random",
    "dask": "a Generator of dask.array.random or numpy.random",
    "cupy": "a cupy.random.Generator",
}
_NUMPY_GENERATOR = "a numpy.random.Generator"


def is_seed(rng: object) -> bool:
    """Tell whether `rng` is a seed.

    Raises
    ------
    ValueError
        If it is a negative integer.
    """
    if isinstance(rng, bool) or not isinstance(rng, numbers.Integral):
        return False
    if rng < 0:
        raise ValueError(
            f"`rng` must be a seed of at least 0, but got {int(rng)}. Pass another integer."
        )
    return True


def library_of_generator(rng: object) -> str | None:
    """Name the library of a generator; None for a seed, None and what is no generator."""
    if isinstance(rng, np.random.Generator):
        return "numpy"
    array = library_of(rng)
    if array is not None:
        return array if array == "jax" else None
    module = type(rng).__module__.partition(".")[0]
    return module if module in _GENERATORS else None


def scalar_beside(rng: Any, number: float) -> Array:
    """Make a 0-d array, on the device of a generator, in its library's default dtype."""
    library = library_of_generator(rng)
    if library == "torch":
        import torch

        return torch.tensor(number, dtype=torch.get_default_dtype(), device=rng.device)
    if library == "jax":
        import jax.numpy as jnp

        return jnp.asarray(number, dtype=float)
    if library == "dask":
        import dask.array as da

        return da.asarray(np.float64(number))
    import cupy

    return cupy.asarray(number, dtype=cupy.float64)


def uniform_source(library: str, xp: Any, rng: Any, device: Any) -> Uniform:
    """A stream of uniform numbers for a library that computes eagerly.

    Parameters
    ----------
    library : str
    xp : namespace
    rng : None, int or generator
        As `robloss.sample` documents it.
    device : device
        Where the numbers are wanted.

    Raises
    ------
    TypeError
        If `rng` is of another kind, or another library's generator.
    ValueError
        If it is negative, or a torch generator on another device.
    """
    if library == "torch":
        return _torch_source(rng, device)
    if library == "cupy":
        return _cupy_source(rng)
    if rng is not None and not is_seed(rng) and not isinstance(rng, np.random.Generator):
        raise _wrong_kind(rng, library)
    generator = np.random.default_rng(rng)
    if library == "numpy":
        # NumPy's generators refuse foreign byte orders.
        return lambda shape, dtype: generator.random(shape, dtype=np.dtype(dtype).type)

    def uniform(shape: tuple[int, ...], dtype: Any) -> Array:
        kind = np.float32 if xp.finfo(dtype).bits == 32 else np.float64
        return xp.asarray(generator.random(shape, dtype=kind), device=device)

    return uniform


def _torch_source(rng: Any, device: Any) -> Uniform:
    import torch

    generator = rng
    if is_seed(rng):
        generator = torch.Generator(device=device)
        generator.manual_seed(int(np.random.SeedSequence(rng).generate_state(1, np.uint64)[0]))
    elif rng is not None and not isinstance(rng, torch.Generator):
        raise _wrong_kind(rng, "torch")
    elif rng is not None and rng.device.type != device.type:
        raise ValueError(
            f"`rng` must be on the device of the arrays, {device}, but got one on {rng.device}. "
            f"Make it with torch.Generator('{device}')."
        )
    return lambda shape, dtype: torch.rand(shape, dtype=dtype, device=device, generator=generator)


def _cupy_source(rng: Any) -> Uniform:
    import cupy

    if rng is not None and not is_seed(rng) and not isinstance(rng, cupy.random.Generator):
        raise _wrong_kind(rng, "cupy")
    generator = rng
    if not isinstance(rng, cupy.random.Generator):
        seed = None if rng is None else np.random.SeedSequence(int(rng))
        generator = cupy.random.default_rng(seed)
    return lambda shape, dtype: generator.random(shape, dtype=dtype)


def jax_key(rng: Any) -> Any:
    """A JAX key: the one given, or made of a seed of any size.

    Raises
    ------
    TypeError
        If `rng` is None: JAX has no hidden state, and what a function draws for itself while it
        is traced would become a constant of the compiled program.
    """
    import jax

    if is_seed(rng):
        first, second = np.random.SeedSequence(int(rng)).generate_state(2)
        return jax.random.fold_in(jax.random.key(first), second)
    if rng is None or library_of_generator(rng) != "jax":
        raise TypeError(
            f"`rng` must be a seed or a key of jax.random for jax arrays, but got "
            f"{type(rng).__name__}. Pass a key, for example jax.random.key(0)."
        )
    return rng


def dask_entropy(rng: Any) -> Any:
    """Four random 32-bit words, or a lazy Dask array of them, to seed each chunk from."""
    if rng is None or is_seed(rng):
        return np.random.SeedSequence(rng).generate_state(4)
    if library_of_generator(rng) not in ("numpy", "dask") or not hasattr(rng, "integers"):
        raise _wrong_kind(rng, "dask")
    return rng.integers(0, 2**32, size=4)


def _wrong_kind(rng: object, library: str) -> TypeError:
    own = _GENERATORS.get(library, _NUMPY_GENERATOR)
    return TypeError(
        f"`rng` must be None, a seed or {own} for {library} arrays, but got "
        f"{type(rng).__name__}. A seed is an integer of at least 0."
    )
