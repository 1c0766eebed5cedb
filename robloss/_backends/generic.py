"""The floor: an operation's formula, on whatever array-API namespace the arrays bring."""

from typing import Any

import array_api_compat

from robloss._args import Arguments
from robloss._ops import Operation
from robloss._typing import Array


def as_arrays(arguments: Arguments) -> tuple[Array, ...]:
    """Turn numbers among the arguments into 0-d arrays beside the arrays: same device and dtype."""
    values = arguments.values
    device: Any = next(
        array_api_compat.device(value) for value in values if not isinstance(value, float)
    )
    return tuple(
        arguments.xp.asarray(value, dtype=arguments.compute, device=device)
        if isinstance(value, float)
        else value
        for value in values
    )


def evaluate(operation: Operation, arguments: Arguments) -> Array:
    """Compute the formula; see `robloss._backends`."""
    return operation.formula(arguments.xp, *as_arrays(arguments))
