"""NumPy arrays: the Numba kernels. Imported at the first call, since it imports Numba."""

from typing import Any

import numpy as np

from robloss._args import Arguments
from robloss._kernels import elementwise, partition
from robloss._ops import Operation
from robloss._typing import Array


def evaluate(operation: Operation, arguments: Arguments, out: Any = None) -> Array:
    """Compute the kernel; see `robloss._backends`."""
    if out is not None and not isinstance(out, np.ndarray):
        raise TypeError(f"`out` must be a NumPy array, but got {type(out).__name__}.")
    kernel = getattr(partition if len(operation.parameters) == 1 else elementwise, operation.name)
    first, *others = arguments.values
    # The first argument selects the loop; every loop takes the others as float64.
    values: list[Any] = [np.asarray(first, dtype=arguments.compute)]
    values += [np.float64(value) if isinstance(value, float) else value for value in others]
    # NaN and infinities are results here, not accidents to warn of.
    with np.errstate(all="ignore"):
        if out is not None:
            return kernel(*values, out=out)
        return kernel(*values).astype(arguments.dtype, copy=False)
