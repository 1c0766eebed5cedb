"""Where robust_loss_pytorch asserts: errors that are an AssertionError too, and say what to do."""

from typing import Any

import numpy as np
import torch

from robloss._libraries import is_number


class RefusedTypeError(TypeError, AssertionError):
    """A wrong kind of argument."""


class RefusedValueError(ValueError, AssertionError):
    """A wrong shape or value."""


def as_given(value: Any) -> Any:
    """A tensor, also of what NumPy makes an array; a plain number stays one: it has no dtype."""
    return value if is_number(value) else torch.as_tensor(value)


def same_dtype(**named: Any) -> None:
    """Refuse tensors of several dtypes."""
    dtypes = {name: one.dtype for name, one in named.items() if isinstance(one, torch.Tensor)}
    (first, expected), *others = dtypes.items()
    for name, dtype in others:
        if dtype != expected:
            raise RefusedTypeError(
                f"`{name}` must have the dtype of `{first}`, {expected}, but got {dtype}. "
                f"Convert it, e.g. torch.as_tensor({name}, dtype={expected})."
            )


def scalars(**named: Any) -> None:
    """Refuse what is no single number.

    Raises
    ------
    ValueError
    """
    for name, value in named.items():
        if value is not None and not np.isscalar(value):
            raise ValueError(
                f"`{name}` must be a scalar, but got {type(value).__name__}. "
                "It holds for every dimension."
            )


def rule(holds: Any, name: str, words: str, value: Any) -> None:
    """Refuse a value that breaks a rule.

    Raises
    ------
    ValueError
    """
    if not holds:
        raise ValueError(f"`{name}` must be {words}, but got {value!r}. Pass another one.")
