"""An array as a number times another: what a backward pass does with slopes that are at hand.

All arrays are flat and contiguous, of float32 or float64.
"""

from typing import Any

from robloss._kernels.compiling import kernel
from robloss._kernels.memory import lanes_of, load, store
from robloss._kernels.vector import any_of


@kernel
def is_constant(array: Any) -> bool:
    """Whether all numbers, of which there must be one, are the first; NaN is none."""
    first, width = array[0], lanes_of(array)
    whole = array.size - array.size % width
    for start in range(0, whole, width):
        if any_of(load(array, start, width) != first):
            return False
    for i in range(whole, array.size):  # noqa: SIM110 - `all` is no loop of Numba's
        if array[i] != first:
            return False
    return True


@kernel
def multiply(array: Any, factor: float) -> None:
    """Multiply in place, in the array's dtype; unlike NumPy's product it never warns."""
    width = lanes_of(array)
    for start in range(0, array.size, width):
        count = min(width, array.size - start)
        at = load(array, start, count)
        store(array, start, count, at * factor)
