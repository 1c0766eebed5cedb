"""NumPy arrays: the Numba kernels. Imported at the first call, since it imports Numba."""

from typing import Any

import numpy as np

from robloss._args import Arguments
from robloss._kernels import elementwise, partition
from robloss._ops import Operation
from robloss._typing import Array

_OUTPUTS = ("loss", "influence", "weight", "curvature", "grad_alpha", "grad_scale")


def evaluate(operation: Operation, arguments: Arguments) -> Array:
    """Compute the kernel; see `robloss._backends`."""
    if len(operation.parameters) == 1:
        return getattr(partition, operation.name)(
            np.asarray(arguments.values[0], arguments.compute)
        )
    dtype = arguments.compute
    shape = np.broadcast_shapes(*(np.shape(value) for value in arguments.values))
    x, *parameters = (
        value
        if isinstance(value, float)
        else np.ascontiguousarray(np.broadcast_to(value, shape), dtype=dtype).reshape(-1)
        for value in arguments.values
    )
    if isinstance(x, float):
        x = np.full(int(np.prod(shape)), x, dtype)
    result = np.empty(x.shape, dtype)
    outputs = (result if name == operation.name else None for name in _OUTPUTS)
    elementwise.evaluate(x, *parameters, *outputs)
    return result.reshape(shape)


def evaluate_into(out: Any, operation: Operation, arguments: Arguments) -> Array:
    """Compute the kernel and put the result into an array."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"`out` must be a NumPy array, but got {type(out).__name__}.")
    np.copyto(out, evaluate(operation, arguments), casting="same_kind")
    return out
