"""Short vectors of float64: running sums of them fit the registers of any CPU.

They are read from and put into contiguous arrays by an element's place in memory, and turned four
rows at a time into four columns.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from robloss._kernels.compiling import part
from robloss._kernels.memory import address, as_vector
from robloss._kernels.vector import Vec, lane

LANES = 4
_SHORT = Vec(types.float64, LANES)


@intrinsic  # type: ignore[untyped-decorator]
def zeros(typing: Any) -> Any:
    """A vector of zeros."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return cgutils.get_null_value(context.get_value_type(_SHORT))

    return _SHORT(), lower


@intrinsic  # type: ignore[untyped-decorator]
def take(typing: Any, array: Any, start: Any) -> Any:
    """The elements of a contiguous float64 array from `start` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = address(context, builder, array, args[0], args[1])
        value = builder.load(as_vector(builder, pointer, context.get_value_type(_SHORT)))
        value.align = 8
        return value

    return _SHORT(array, start), lower


@intrinsic  # type: ignore[untyped-decorator]
def put(typing: Any, array: Any, start: Any, value: Any) -> Any:
    """Put a vector into a contiguous float64 array."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = address(context, builder, array, args[0], args[1])
        written = builder.store(args[2], as_vector(builder, pointer, args[2].type))
        written.align = 8
        return context.get_dummy_value()

    return types.void(array, start, value), lower


@intrinsic  # type: ignore[untyped-decorator]
def across(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """Elements of a row, which lie side by side, of a matrix of float32 or float64."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        matrix = context.make_array(array)(context, builder, args[0])
        pointer = cgutils.get_item_pointer(context, builder, array, matrix, args[1:])
        narrow = context.get_value_type(_SHORT.of(array.dtype))
        value = builder.load(as_vector(builder, pointer, narrow))
        value.align = 1  # whatever the matrix is a view of
        if array.dtype == types.float64:
            return value
        return builder.fpext(value, context.get_value_type(_SHORT))

    return _SHORT(array, row, column), lower


def _merged(builder: Any, one: Any, two: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), places)
    return builder.shuffle_vector(one, two, mask)


@intrinsic  # type: ignore[untyped-decorator]
def turned(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """The columns of the square whose rows are given."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        even_top, odd_top, even_low, odd_low = (
            _merged(builder, one, two, places)
            for one, two in (args[:2], args[2:])
            for places in ([0, 4, 2, 6], [1, 5, 3, 7])
        )
        columns = [
            _merged(builder, top, low, places)
            for places in ([0, 1, 4, 5], [2, 3, 6, 7])
            for top, low in ((even_top, even_low), (odd_top, odd_low))
        ]
        return context.make_tuple(builder, sig.return_type, columns)

    return types.UniTuple(_SHORT, LANES)(a, b, c, d), lower


@part
def total(vector: Any) -> float:
    """The sum over lanes, as a tree."""
    result: float = (lane(vector, 0) + lane(vector, 1)) + (lane(vector, 2) + lane(vector, 3))
    return result
