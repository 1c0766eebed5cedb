"""Vectors in memory: pieces of contiguous arrays, the last of which may be short."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from robloss._kernels.vector import spread, vector_of


@intrinsic  # type: ignore[untyped-decorator]
def lanes_of(typing: Any, array: Any) -> Any:
    """How many elements of an array are a vector."""
    count = vector_of(array.dtype).lanes
    return types.intp(array), lambda context, builder, sig, args: context.get_constant(
        types.intp, count
    )


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _as_vector(builder: Any, pointer: Any, vector: Any) -> Any:
    return builder.bitcast(pointer, vector.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, start: Any, count: Any) -> Any:
    """`count` elements of a contiguous array from `start` on, then zeros; a scalar stays one."""
    if not isinstance(array, types.Array):
        return array(array, start, count), lambda context, builder, sig, args: args[0]
    kind = vector_of(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(kind)
        source = _address(context, builder, array, args[0], args[1])
        slot = cgutils.alloca_once(builder, vector)
        is_full = builder.icmp_signed("==", args[2], ir.Constant(args[2].type, kind.lanes))
        with builder.if_else(is_full) as (full, part):
            with full:
                whole = builder.load(_as_vector(builder, source, vector))
                whole.align = array.dtype.bitwidth // 8
                after_full = builder.block
            with part:
                builder.store(ir.Constant(vector, [0.0] * kind.lanes), slot)
                first = builder.bitcast(slot, vector.element.as_pointer())
                with cgutils.for_range(builder, args[2]) as loop:
                    number = builder.load(builder.gep(source, [loop.index]))
                    builder.store(number, builder.gep(first, [loop.index]))
                some = builder.load(slot)
                after_part = builder.block
        result = builder.phi(vector)
        result.add_incoming(whole, after_full)
        result.add_incoming(some, after_part)
        return result

    return kind(array, start, count), lower


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, start: Any, count: Any, value: Any) -> Any:
    """Put the first `count` lanes into a contiguous array from `start` on; into None: nothing.

    LLVM leaves out what is computed only to be stored nowhere.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isinstance(array, types.Array):
            kind = vector_of(array.dtype)
            vector = context.get_value_type(kind)
            filled = spread(builder, args[3], value, kind)
            target = _address(context, builder, array, args[0], args[1])
            slot = cgutils.alloca_once(builder, vector)
            is_full = builder.icmp_signed("==", args[2], ir.Constant(args[2].type, kind.lanes))
            with builder.if_else(is_full) as (full, part):
                with full:
                    written = builder.store(filled, _as_vector(builder, target, vector))
                    written.align = array.dtype.bitwidth // 8
                with part:
                    builder.store(filled, slot)
                    first = builder.bitcast(slot, vector.element.as_pointer())
                    with cgutils.for_range(builder, args[2]) as loop:
                        number = builder.load(builder.gep(first, [loop.index]))
                        builder.store(number, builder.gep(target, [loop.index]))
        return context.get_dummy_value()

    return types.void(array, start, count, value), lower
