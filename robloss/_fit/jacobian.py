"""Jacobians of a residual function: by automatic differentiation, or by finite differences."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import array_api_compat
import numpy as np

from robloss._fit.sums import HostArray, to_host
from robloss._libraries import library_of
from robloss._typing import Array

Function = Callable[[Array], Array]


def as_like(values: HostArray, example: Array) -> Array:
    """Host numbers as an array of the dtype and device of another, for the user to write to."""
    xp, device = array_api_compat.array_namespace(example), array_api_compat.device(example)
    return xp.asarray(values, dtype=example.dtype, device=device, copy=True)


@cache
def _jacfwd_of_torch() -> Any:
    """torch's forward-mode differentiation, after a first use that hides a warning of its own.

    On its first use it calls the deprecated `torch.jit.script` (torch 2.13).
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jacfwd(torch.sin)(torch.zeros(1))
    return torch.func.jacfwd


@dataclass(frozen=True)
class ByTorch:
    """Forward-mode derivatives, all columns at once."""

    function: Function

    def __call__(self, theta: Array) -> Array:
        """The derivatives at some parameters."""
        return _jacfwd_of_torch()(self.function)(theta)


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
    """Central differences, with steps of the cube root of eps relative to each parameter's size.

    This balances the error of a difference, of the order of the step squared, with rounding.

    Attributes
    ----------
    function : callable
    start : ndarray
        Initial parameters. Their sizes (1 for a 0) are lower bounds for the sizes of later ones,
        which may come close to 0.
    """

    function: Function
    start: HostArray

    def __call__(self, theta: Array) -> Array:
        """The derivatives at some parameters."""
        xp, here = array_api_compat.array_namespace(theta), to_host(theta)
        relative = float(xp.finfo(theta.dtype).eps) ** (1 / 3)
        least = np.where(self.start == 0, 1.0, np.abs(self.start))
        step = np.diag(relative * np.maximum(least, np.abs(here)))
        above, below = as_like(here + step, theta), as_like(here - step, theta)
        widths = np.diag(to_host(above - below)).tolist()  # as the dtype has rounded the ends
        # The sign makes a new array: the function may return the same one at every call.
        columns = [
            (-self.function(below[j, :]) + self.function(above[j, :])) / width
            for j, width in enumerate(widths)
        ]
        return xp.stack(columns, axis=-1)


def jacobian_of(function: Function, start: Array) -> Function:
    """The Jacobian of a function of arrays like `start`, as a function."""
    library = library_of(start)
    if library == "torch":
        return ByTorch(function)
    if library == "jax":
        return ByJax(function)
    return ByDifferences(function, to_host(start))
