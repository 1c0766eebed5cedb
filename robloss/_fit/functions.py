"""Functions that users give, for residuals and their derivatives, and what they must return."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from robloss._fit.jacobian import Function, as_like
from robloss._fit.linear_data import RowWeights, linear_data
from robloss._fit.sums import HostArray, Moments, first_not_finite
from robloss._libraries import as_numpy, common_library, compute_dtype, library_of, real_dtype
from robloss._typing import Array


@dataclass(frozen=True)
class Noted:
    """The user's function, whose exceptions say where it was called.

    Beside NumPy's parameters a column of a data frame, or a data frame, becomes an array.
    """

    name: str
    function: Callable[[Array], Any]

    def __call__(self, theta: Array) -> Array:
        """Its value."""
        try:
            value = self.function(theta)
        except Exception as error:
            error.add_note(f"robloss called `{self.name}` with theta = {theta}.")
            raise
        on_host = isinstance(theta, np.ndarray)
        is_series = library_of(value) is None and hasattr(value, "__array__")
        return as_numpy(self.name, value) if on_host and is_series else value


def as_floats(name: str, value: Array) -> Array:
    """Real numbers in the floating dtype to compute in."""
    xp = array_api_compat.array_namespace(value)
    return xp.astype(value, compute_dtype(xp, real_dtype(name, value, xp)), copy=False)


class Steady:
    """The function in floats, refused once its shape or dtype is not what it was at first."""

    def __init__(self, name: str, function: Function, first: Array) -> None:
        self.name = name
        self.function = function
        self.wanted = _form(first)

    def __call__(self, theta: Array) -> Array:
        """Its value."""
        value = self.function(theta)
        if _form(value) != self.wanted:
            raise ValueError(
                f"`{self.name}` must return arrays of one shape and dtype, but got {_form(value)} "
                f"after {self.wanted}. What it returns may depend on theta in its values only."
            )
        return as_floats(self.name, value)


@dataclass(frozen=True)
class FirstOf:
    """The first component of what a function returns for each observation."""

    function: Function

    def __call__(self, theta: Array) -> Array:
        """Its value."""
        return self.function(theta)[:, 0, ...]


def detached(value: Any) -> Any:
    """What a function returned, of which nothing is differentiated: without torch's record of it.

    Parameters that the function holds besides its argument would else record the whole fit.
    """
    return value.detach() if hasattr(value, "detach") else value


class Remembered:
    """A function and its last value, which a step asks for more than once.

    Attributes
    ----------
    function : callable
    like : array
        Tells the dtype and device of its argument.
    """

    def __init__(self, function: Function, like: Array) -> None:
        self.function = function
        self.like = like
        self._last: tuple[HostArray, Array] | None = None

    def __call__(self, theta: HostArray) -> Array:
        """Its value at host numbers."""
        if self._last is None or not np.array_equal(theta, self._last[0]):
            value = detached(self.function(as_like(theta, self.like)))
            xp = array_api_compat.array_namespace(value)
            # The function may use the memory of what it returns again.
            self._last = theta.copy(), xp.astype(value, value.dtype, copy=True)
        return self._last[1]

    def __getstate__(self) -> dict[str, Any]:
        """Forget the value."""
        return vars(self) | {"_last": None}


def check_functions(residuals: Any, jac: Any) -> None:
    """Refuse what cannot be called.

    Raises
    ------
    TypeError
    """
    if not callable(residuals):
        raise TypeError(
            f"`residuals` must be callable, but got {type(residuals).__name__}. "
            "Pass a function of the parameters."
        )
    if not (jac is None or callable(jac)):
        raise TypeError(
            f"`jac` must be None or callable, but got {jac!r}. Leave it out for derivatives by "
            "the array library, or by differences."
        )


def _form(value: Any) -> str:
    """The dtype and shape of an array; else of what type it is."""
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return type(value).__name__
    return f"{value.dtype} {tuple(value.shape)}"


def _check_kind(name: str, value: Any, theta: Array) -> None:
    """Refuse what is no array of real numbers beside the parameters."""
    (library, xp), (other, _) = common_library({"theta0": theta}), common_library({name: value})
    if other != library or not hasattr(value, "ndim"):
        raise TypeError(
            f"`{name}` must return an array of the library of `theta0`, {library}, but got "
            f"{type(value).__name__}. Compute with the array it is given."
        )
    devices = [array_api_compat.device(value), array_api_compat.device(theta)]
    if devices[0] != devices[1]:
        raise ValueError(
            f"`{name}` must return an array on the device of `theta0`, {devices[1]}, but got "
            f"{devices[0]}. Move `theta0` there."
        )
    real_dtype(name, value, xp)


def check_residuals(value: Any, theta: Array) -> None:
    """Refuse what the residual function returns at the start, if it is of no use."""
    _check_kind("residuals", value, theta)
    xp = array_api_compat.array_namespace(value)
    if xp.isdtype(value.dtype, "integral"):
        raise TypeError(
            f"`residuals` must return numbers of a floating dtype, but got {value.dtype}. An array "
            "of integers truncates what is written to it: create it with a floating dtype."
        )
    if value.ndim not in (1, 2) or 0 in value.shape:
        raise ValueError(
            f"`residuals` must return an array of one dimension, or of two for vectors, but got "
            f"shape {tuple(value.shape)}. Lay it out as observations, or observations by "
            "components."
        )
    if not bool(xp.all(xp.isfinite(value))):
        raise ValueError(
            "`residuals` must be finite at `theta0`, but got "
            f"{first_not_finite(value) or 'NaN or inf'}. Start from other parameters, or drop "
            "such rows."
        )


def check_jacobian(value: Any, shape: tuple[int, ...], theta: Array) -> None:
    """Refuse what the derivatives are at the start, if they are of no use."""
    _check_kind("jac", value, theta)
    xp = array_api_compat.array_namespace(value)
    if tuple(value.shape) != shape:
        raise ValueError(
            f"`jac` must return an array of shape {shape}, that of the residuals by parameters, "
            f"but got {tuple(value.shape)}. Put the parameters on the last axis."
        )
    if not bool(xp.all(xp.isfinite(value))):
        raise ValueError(
            "The derivatives of `residuals` must be finite at `theta0`, but got "
            f"{first_not_finite(value) or 'NaN or inf'}. Start from other parameters, or drop "
            "such rows."
        )


def moments_at_start(residuals: Array, slopes: Array, weights: RowWeights | None) -> Moments:
    """Sums over all components, each as often as its row counts.

    Raises
    ------
    ValueError
        If squares overflow, or those of the residuals or of all derivatives underflow.
    """
    xp = array_api_compat.array_namespace(residuals)
    components = residuals.shape[1] if residuals.ndim == 2 else 1
    if weights is not None:
        each = xp.repeat(weights.values, components)
        weights = RowWeights(each, components * weights.total)
    design = xp.reshape(slopes, (-1, slopes.shape[-1]))
    data = linear_data(xp, design, xp.reshape(residuals, (-1,)), False, weights)
    moments = data.moments()
    square, steepest = moments.mean_square_y, np.max(np.diag(moments.gram))
    is_lost = (square < data.tiny and moments.largest_y > 0) or (
        steepest < data.tiny and bool(xp.any(design != 0))
    )
    if is_lost or not (np.isfinite(square) and np.all(np.isfinite(moments.gram))):
        raise ValueError(
            "`residuals` and their derivatives must have squares that neither overflow nor "
            "underflow at `theta0`, but got sums that are not finite, or 0. Start from other "
            "parameters, or change the unit."
        )
    return moments
