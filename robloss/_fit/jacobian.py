"""Jacobians of a residual function: by automatic differentiation, or by differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

from robloss._fit.sums import HostArray, to_host
from robloss._typing import Array

Function = Callable[[Array], Array]


def by_torch(function: Function) -> Function:
    """Forward-mode derivatives, all columns at once."""
    from torch.func import jacfwd

    derivative: Function = jacfwd(function)
    return derivative


def by_jax(function: Function) -> Function:
    """Forward-mode derivatives, all columns at once."""
    from jax import jacfwd

    derivative: Function = jacfwd(function)
    return derivative


def by_differences(
    function: Function, xp: Any, as_array: Callable[[HostArray], Array], start: HostArray
) -> Function:
    """Central differences, each parameter moved by the cube root of rounding, in its own size.

    That balances the error of a difference, of the order of the step squared, with rounding.

    Parameters
    ----------
    function : callable
    xp : namespace
    as_array : callable
        Turns a host vector into what `function` takes.
    start : ndarray
        Tells the size of parameters that may come near 0; where it is 0 itself that is 1.
    """
    least = np.where(start != 0, np.abs(start), 1.0)

    def jacobian(theta: Array) -> Array:
        here = to_host(theta)
        relative = float(xp.finfo(theta.dtype).eps) ** (1 / 3)
        columns = []
        for j, value in enumerate(here):
            step = relative * max(least[j], abs(value))
            above, below = here.copy(), here.copy()
            above[j], below[j] = value + step, value - step
            one, other = as_array(above), as_array(below)
            columns.append((function(one) - function(other)) / float(one[j] - other[j]))
        return xp.stack(columns, axis=-1)

    return jacobian


def jacobian_of(
    function: Function,
    library: str,
    xp: Any,
    as_array: Callable[[HostArray], Array],
    start: HostArray,
) -> Function:
    """What differentiates a function of arrays of a library."""
    if library == "torch":
        return by_torch(function)
    if library == "jax":
        return by_jax(function)
    return by_differences(function, xp, as_array, start)
