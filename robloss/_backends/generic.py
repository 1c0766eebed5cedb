"""The floor: an operation's formula, on whatever array-API namespace the arrays bring."""

import math
from typing import Any

from robloss._args import Arguments, values_of
from robloss._ops import Operation
from robloss._typing import Array

_LEAST_RANGE = 2.0**127  # within that of float32, the narrowest dtype that is computed in


def as_arrays(xp: Any, *values: Any) -> tuple[Array, ...]:
    """Turn numbers among prepared arguments into 0-d arrays beside the arrays: device and dtype."""
    arrays = [value for value in values if not isinstance(value, float)]
    example = arrays[0] if arrays else None
    dtype = xp.float64 if example is None else example.dtype
    # Not array_api_compat.device: torch.compile warns at every call of it.
    device = getattr(example, "device", None)
    return tuple(
        # Not `asarray`, for which the host of a GPU waits.
        xp.full((), or_infinite(value, xp, dtype), dtype=dtype, device=device)
        if isinstance(value, float)
        else value
        for value in values
    )


def or_infinite(number: float, xp: Any, dtype: Any) -> float:
    """The number; beyond the range of a dtype, where libraries warn or refuse, infinity."""
    # The first condition spares nearly all numbers the second, which takes longer.
    if abs(number) > _LEAST_RANGE and abs(number) > float(xp.finfo(dtype).max):
        return math.copysign(math.inf, number)
    return number


def evaluate(operation: Operation, arguments: Arguments) -> Array:
    """Compute the formula; see `robloss._backends`."""
    return operation.formula(arguments.xp, *as_arrays(arguments.xp, *values_of(arguments)))
