"""Jacobians of a residual function: by automatic differentiation, or by differences."""

from collections.abc import Callable
from dataclasses import dataclass

import array_api_compat
import numpy as np

from robloss._args import library_of
from robloss._fit.sums import HostArray, to_host
from robloss._typing import Array

Function = Callable[[Array], Array]


def as_like(values: HostArray, example: Array) -> Array:
    """Host numbers as an array of the dtype and device of another, for the user to write to."""
    xp, device = array_api_compat.array_namespace(example), array_api_compat.device(example)
    return xp.asarray(values, dtype=example.dtype, device=device, copy=True)


@dataclass(frozen=True)
class ByTorch:
    """Forward-mode derivatives, all columns at once."""

    function: Function

    def __call__(self, theta: Array) -> Array:
        """The derivatives at some parameters."""
        from torch.func import jacfwd

        return jacfwd(self.function)(theta)


@dataclass(frozen=True)
class ByJax:
    """Forward-mode derivatives, all columns at once."""

    function: Function

    def __call__(self, theta: Array) -> Array:
        """The derivatives at some parameters."""
        from jax import jacfwd

        return jacfwd(self.function)(theta)


@dataclass(frozen=True)
class ByDifferences:
    """Central differences, each parameter moved by the cube root of rounding, in its own size.

    That balances the error of a difference, of the order of the step squared, with rounding.

    Attributes
    ----------
    function : callable
    start : ndarray
        Parameters whose sizes those of later ones, which may come near 0, do not fall below; that
        of a 0 is 1.
    """

    function: Function
    start: HostArray

    def __call__(self, theta: Array) -> Array:
        """The derivatives at some parameters."""
        xp, here = array_api_compat.array_namespace(theta), to_host(theta)
        relative = float(xp.finfo(theta.dtype).eps) ** (1 / 3)
        least = np.where(self.start == 0, 1.0, np.abs(self.start))
        columns = []
        for j, value in enumerate(here):
            step = relative * max(least[j], abs(value))
            above, below = here.copy(), here.copy()
            above[j], below[j] = value + step, value - step
            one, other = as_like(above, theta), as_like(below, theta)
            width = float(one[j] - other[j])
            # The sign makes a new array: the function may return the same one at every call.
            columns.append((-self.function(other) + self.function(one)) / width)
        return xp.stack(columns, axis=-1)


def jacobian_of(function: Function, start: Array) -> Function:
    """What differentiates a function of arrays like these parameters, from them on."""
    library = library_of(start)
    if library == "torch":
        return ByTorch(function)
    if library == "jax":
        return ByJax(function)
    return ByDifferences(function, to_host(start))
