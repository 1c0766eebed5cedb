"""Vectors in memory: pieces of contiguous arrays, the last of which may be short."""

from collections.abc import Callable
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


def address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """The pointer to an element of a contiguous array, by its place in memory."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def as_vector(builder: Any, pointer: Any, vector: Any) -> Any:
    """The pointer to an element as one to a vector that begins there."""
    return builder.bitcast(pointer, vector.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, start: Any, count: Any) -> Any:
    """`count` elements of a contiguous array from `start` on, then zeros; a scalar stays one."""
    if not isinstance(array, types.Array):
        return array(array, start, count), lambda context, builder, sig, args: args[0]
    kind = vector_of(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(kind)
        source = address(context, builder, array, args[0], args[1])
        slot = cgutils.alloca_once(builder, vector)
        is_full = builder.icmp_signed("==", args[2], ir.Constant(args[2].type, kind.lanes))
        with builder.if_else(is_full) as (full, part):
            with full:
                whole = builder.load(as_vector(builder, source, vector))
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


def _put(
    context: Any, builder: Any, sig: Any, args: Any, write: Callable[[Any, Any], None]
) -> None:
    """Store some lanes; `write` is given all of them, and where they go, if that is wanted."""
    array, start, count, value, *_ = args
    of_array, _, _, of_value, *_ = sig.args
    kind = vector_of(of_array.dtype)
    vector = context.get_value_type(kind)
    value = spread(builder, value, of_value, kind)
    target = address(context, builder, of_array, array, start)
    slot = cgutils.alloca_once(builder, vector)
    is_full = builder.icmp_signed("==", count, ir.Constant(count.type, kind.lanes))
    with builder.if_else(is_full) as (full, part):
        with full:
            write(value, as_vector(builder, target, vector))
        with part:
            builder.store(value, slot)
            first = builder.bitcast(slot, vector.element.as_pointer())
            with cgutils.for_range(builder, count) as loop:
                number = builder.load(builder.gep(first, [loop.index]))
                builder.store(number, builder.gep(target, [loop.index]))


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, start: Any, count: Any, value: Any) -> Any:
    """Put the first `count` lanes into a contiguous array from `start` on; into None: nothing.

    LLVM leaves out what is computed only to be stored nowhere.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def write(whole: Any, pointer: Any) -> None:
            builder.store(whole, pointer).align = array.dtype.bitwidth // 8

        if isinstance(array, types.Array):
            _put(context, builder, sig, args, write)
        return context.get_dummy_value()

    return types.void(array, start, count, value), lower


# --------------------------------------------------------------------------------- past the caches

# Bytes that go to memory together.
_LINE = 64


def _past_line(context: Any, builder: Any, pointer: Any) -> Any:
    """How far an address is past the beginning of a line."""
    place = builder.ptrtoint(pointer, context.get_value_type(types.intp))
    return builder.and_(place, place.type(_LINE - 1))


@intrinsic  # type: ignore[untyped-decorator]
def lead(typing: Any, array: Any) -> Any:
    """How many elements of an array come before the first line that it fills; 0 of None."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not isinstance(array, types.Array):
            return context.get_constant(types.intp, 0)
        past = _past_line(
            context, builder, context.make_array(array)(context, builder, args[0]).data
        )
        left = builder.and_(builder.neg(past), past.type(_LINE - 1))
        return builder.udiv(left, past.type(array.dtype.bitwidth // 8))

    return types.intp(array), lower


@intrinsic  # type: ignore[untyped-decorator]
def stream(typing: Any, array: Any, start: Any, count: Any, value: Any, is_large: Any) -> Any:
    """As `store`; past the caches if the array is large, and the vector fills whole lines.

    A line need not be read then before it is written. Other threads see what was written when a
    lock was taken, as always between threads of Python.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def write(whole: Any, pointer: Any) -> None:
            past = _past_line(context, builder, pointer)
            is_line = builder.icmp_unsigned("==", past, past.type(0))
            with builder.if_else(builder.and_(is_line, args[4])) as (beyond, near):
                with beyond:
                    stored = builder.store(whole, pointer)
                    stored.align = _LINE
                    one = ir.Constant(ir.IntType(32), 1)
                    stored.set_metadata("nontemporal", builder.module.add_metadata([one]))
                with near:
                    builder.store(whole, pointer).align = array.dtype.bitwidth // 8

        if isinstance(array, types.Array):
            _put(context, builder, sig, args, write)
        return context.get_dummy_value()

    return types.void(array, start, count, value, is_large), lower
