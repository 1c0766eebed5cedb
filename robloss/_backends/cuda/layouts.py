"""How arrays lie in memory and beside each other, from their shapes and strides."""

import math
from typing import Any


def are_numbers(x: Any, alpha: Any, scale: Any) -> bool:
    """Whether alpha and scale are arrays of one element each, which give results no axis."""
    return not any(isinstance(one, float) for one in (x, alpha, scale)) and all(
        math.prod(one.shape) == 1 and one.ndim <= x.ndim for one in (alpha, scale)
    )


def are_columns(x: Any, alpha: Any, scale: Any) -> bool:
    """Whether alpha and scale are numbers, or numbers for the places along the last axis of x."""
    return x.ndim > 0 and all(
        one.ndim <= x.ndim
        and (
            math.prod(one.shape) == 1
            or tuple(one.shape) == (1,) * (one.ndim - 1) + tuple(x.shape[-1:])
        )
        for one in (alpha, scale)
    )


def merged(
    shape: tuple[int, ...], strides: list[tuple[int, ...]]
) -> list[tuple[int, tuple[int, ...]]]:
    """Sides and strides of arrays of one shape, in as few axes as it takes, innermost first."""
    axes: list[tuple[int, tuple[int, ...]]] = []
    for side, steps in reversed([*zip(shape, zip(*strides, strict=True), strict=True)]):
        if side == 1:
            continue
        if axes and all(
            step == axes[-1][0] * below for step, below in zip(steps, axes[-1][1], strict=True)
        ):
            axes[-1] = axes[-1][0] * side, axes[-1][1]
        else:
            axes.append((side, steps))
    return axes


def columns_of(axes: list[tuple[int, tuple[int, ...]]]) -> int:
    """How many columns there are, of dense first operands and numbers for each: 0 if there is more.

    Parameters
    ----------
    axes : list
        As `merged` gives them, in elements.
    """
    if not axes:
        return 1
    (side, (step, *others)), *outer = axes
    if step != 1 or len(outer) > 1:
        return 0
    if not outer:
        return side if any(others) else 1
    ((_, (step, *others)),) = outer
    return 0 if step != side or any(others) else side


def extent(axes: list[tuple[int, tuple[int, ...]]]) -> int:
    """How many elements there are, or how far apart those of an operand lie, whichever is more."""
    apart = [[(side - 1) * abs(step) for step in steps] for side, steps in axes]
    extents: list[int] = [sum(one) for one in zip(*apart, strict=True)]
    return max([math.prod([side for side, _ in axes]), *extents])
