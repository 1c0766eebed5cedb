"""NumPy arrays: the Numba kernels. Imported at the first call, since it imports Numba."""

from typing import Any

import numpy as np

from robloss._args import Arguments
from robloss._kernels import elementwise, partition
from robloss._ops import Operation
from robloss._typing import Array


def _kernel(operation: Operation, arguments: Arguments) -> tuple[Any, list[Any]]:
    kernel = getattr(partition if len(operation.parameters) == 1 else elementwise, operation.name)
    first, *others = arguments.values
    # The first argument selects the loop; every loop takes the others as float64.
    values: list[Any] = [np.asarray(first, dtype=arguments.compute)]
    values += [np.float64(value) if isinstance(value, float) else value for value in others]
    return kernel, values


def evaluate(operation: Operation, arguments: Arguments) -> Array:
    """Compute the kernel; see `robloss._backends`."""
    kernel, values = _kernel(operation, arguments)
    return kernel(*values)


def evaluate_into(out: Any, operation: Operation, arguments: Arguments) -> Array:
    """Compute the kernel and put the result into an array."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"`out` must be a NumPy array, but got {type(out).__name__}.")
    kernel, values = _kernel(operation, arguments)
    # Numba's loop takes the stride of a strided `out` for 1 and writes past its end (0.60, 0.68).
    plain = out.flags.c_contiguous and all(
        value.ndim == 0 or (value.flags.c_contiguous and value.shape == out.shape)
        for value in values
    )
    if plain and out.dtype == arguments.compute:
        return kernel(*values, out=out)
    np.copyto(out, kernel(*values), casting="same_kind")
    return out
