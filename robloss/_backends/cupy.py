"""CuPy arrays: the CUDA kernels, in one pass over the data; else the formula."""

from functools import cache
from typing import Any

import cupy

from robloss._args import Arguments
from robloss._backends import generic
from robloss._backends.cuda import Kernel, launch, serves, telling
from robloss._ops import OPERATIONS
from robloss._typing import Array


@cache
def _built(kernel: Kernel, device: int) -> Any:  # noqa: ARG001 - CuPy builds for the current one
    """A kernel that can be started; None where it cannot be built, once and for all."""
    raw = cupy.RawKernel(kernel.source, kernel.name, options=("--std=c++17",))
    try:
        raw.compile()
    except Exception as error:  # noqa: BLE001 - CuPy, its compiler and the disk raise what they like
        telling.warn(f"{type(error).__name__}: {error}", "CuPy")
        return None
    return raw


class _CuPy:
    """How kernels see CuPy's arrays."""

    def pointer(self, array: Array) -> int:
        """Where an array begins."""
        return int(array.data.ptr)

    def strides(self, array: Array) -> tuple[int, ...]:
        """Its strides, in bytes."""
        return tuple(array.strides)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """A new array on the current device."""
        return cupy.empty(shape, dtype=dtype)

    def start(self, kernel: Kernel, blocks: int, arguments: tuple[Any, ...]) -> bool:
        """Start a kernel on the current stream; False where it cannot be built."""
        built = _built(kernel, cupy.cuda.runtime.getDevice())
        if built is None:
            return False
        built((blocks,), (launch.THREADS,), arguments)
        return True


def evaluate(names: tuple[str, ...], arguments: Arguments) -> tuple[Array, ...]:
    """Compute several operations of the same parameters in one pass.

    Arrays on several devices are CuPy's own affair, and so is what no kernel computes.
    """
    arrays = [value for value in arguments.given if not isinstance(value, float)]
    device = arrays[0].device
    fused = serves(names) and all(array.device == device for array in arrays)
    with device:
        results = launch.evaluate(names, arguments, _CuPy()) if fused else None
        if results is not None:
            return results
        return tuple([generic.evaluate(OPERATIONS[name], arguments) for name in names])


def bends(z: Array, alpha: float) -> tuple[Array, Array] | None:
    """∂ψ/∂α and ∂²ρ/∂α² at scale 1; None where no kernel computes them."""
    with z.device:
        return launch.bends(z, alpha, _CuPy())


def total(names: tuple[str, ...], arguments: Arguments, weights: Array | None = None) -> Array:
    """Sum up elementwise operations; in one pass where x is dense, with nothing of its length made.

    Parameters
    ----------
    names : tuple of str
        Different ones, in the order of `WANTED`.
    arguments : Arguments
        Of them; alpha and scale numbers.
    weights : cupy.ndarray, optional
        Not negative, in the shape and dtype of x. An element that weighs 0 is left out, whatever
        its x.

    Returns
    -------
    cupy.ndarray (n_names,)
        Of float64, on the device of x: nobody waits for it.
    """
    with arguments.given[0].device:
        partial = launch.total(names, arguments, weights, _CuPy())
        if partial is not None:
            return partial.sum(axis=1)
        terms = cupy.stack(evaluate(names, arguments)).astype(cupy.float64)
        if weights is not None:
            terms = cupy.where(weights == 0, 0.0, terms * weights)
        return terms.reshape(len(names), -1).sum(axis=1)
