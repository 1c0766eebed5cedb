"""The floor: an operation's formula, on whatever array-API namespace the arrays bring."""

from typing import Any

from robloss._args import Arguments, values_of
from robloss._ops import Operation
from robloss._typing import Array


def as_arrays(xp: Any, *values: Any) -> tuple[Array, ...]:
    """Turn numbers among prepared arguments into 0-d arrays beside the arrays: device and dtype."""
    arrays = [value for value in values if not isinstance(value, float)]
    example = arrays[0] if arrays else None
    dtype = xp.float64 if example is None else example.dtype
    # Not array_api_compat.device: torch.compile warns at every call of it.
    device = getattr(example, "device", None)
    return tuple(
        # Not `asarray`, for which the host of a GPU waits.
        xp.full((), value, dtype=dtype, device=device) if isinstance(value, float) else value
        for value in values
    )


def evaluate(operation: Operation, arguments: Arguments) -> Array:
    """Compute the formula; see `robloss._backends`."""
    return operation.formula(arguments.xp, *as_arrays(arguments.xp, *values_of(arguments)))
