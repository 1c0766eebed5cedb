"""A vector of numbers as a Numba type: what one instruction does to several elements at once.

``Vec(dtype, lanes)`` is LLVM's ``<lanes x dtype>``. Operators and functions work lane by lane;
Python numbers and scalars take part as if repeated in every lane, and never change the dtype
(a float64 is rounded to a vector of float32). All are typed by templates and lowered by hand:
``@overload`` would triple what compiling takes.

The functions also take plain floats where they are arithmetic, so that one source serves both.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, register_model

from robloss._kernels import constants

# Bytes in a vector: several registers, which hide each other's latency. The loss in float64 took
# 2.55, 2.33 and 2.06 ns per element with 64, 128 and 256 on a Zen 4 (AVX-512).
BYTES = 256

_CONSTANTS: dict[Any, dict[str, Any]] = {
    types.float64: constants.FLOAT64,
    types.float32: constants.FLOAT32,
}
_LLVM = {
    types.float64: ir.DoubleType(),
    types.float32: ir.FloatType(),
    types.int64: ir.IntType(64),
    types.int32: ir.IntType(32),
    types.boolean: ir.IntType(1),
}
_AS_BITS = {types.float64: types.int64, types.float32: types.int32}
_AS_FLOAT = {bits: number for number, bits in _AS_BITS.items()}
_INDEX = ir.IntType(32)


class Vec(types.Type):  # type: ignore[misc]  # numba has no types
    """The type of a vector."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vec({dtype}, {lanes})")

    def of(self, dtype: Any) -> "Vec":
        """As many lanes of another dtype."""
        return Vec(dtype, self.lanes)


@register_model(Vec)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vec) -> None:
        super().__init__(manager, kind, ir.VectorType(_LLVM[kind.dtype], kind.lanes))


def vector_of(dtype: Any) -> Vec:
    """The vector of a dtype that kernels use."""
    return Vec(dtype, BYTES * 8 // int(dtype.bitwidth))


def _widest(*kinds: Any) -> Any:
    """The vector among the types, else a scalar's type."""
    return next((kind for kind in kinds if isinstance(kind, Vec)), types.unliteral(kinds[0]))


def _cast(builder: Any, value: Any, of: Any, to: Any) -> Any:
    """A scalar as another scalar type of its kind (an integer may become a float)."""
    target = _LLVM[to]
    if isinstance(to, types.Float):
        if not isinstance(of, types.Float):
            return builder.sitofp(value, target)
        if of.bitwidth == to.bitwidth:
            return value
        return (builder.fptrunc if of.bitwidth > to.bitwidth else builder.fpext)(value, target)
    width = value.type.width
    if width == target.width:
        return value
    return (builder.trunc if width > target.width else builder.sext)(value, target)


def spread(builder: Any, value: Any, of: Any, to: Any) -> Any:
    """A value as the type `to`: itself, or a scalar in every lane."""
    if isinstance(of, Vec):
        return value
    if not isinstance(to, Vec):
        return _cast(builder, value, of, to)
    value = _cast(builder, value, of, to.dtype)
    kind = ir.VectorType(_LLVM[to.dtype], to.lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, _INDEX(0))
    zeros = ir.Constant(ir.VectorType(_INDEX, to.lanes), [0] * to.lanes)
    return builder.shuffle_vector(first, undefined, zeros)


# -------------------------------------------------------------------------------------- operators

# Instructions for floats, and for integers and masks.
_BINARY: dict[Any, tuple[str | None, str | None]] = {
    operator.add: ("fadd", "add"),
    operator.sub: ("fsub", "sub"),
    operator.mul: ("fmul", "mul"),
    operator.truediv: ("fdiv", None),
    operator.lshift: (None, "shl"),
    operator.rshift: (None, "lshr"),
    operator.or_: (None, "or_"),
    operator.and_: (None, "and_"),
}
_COMPARISONS = {
    operator.gt: ">",
    operator.lt: "<",
    operator.ge: ">=",
    operator.le: "<=",
    operator.eq: "==",
    operator.ne: "!=",
}


def _lower_binary(symbol: Any, apply: Callable[[Any, Vec, Any, Any], Any]) -> None:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = _widest(*sig.args)
        one, two = (spread(builder, arg, of, kind) for of, arg in zip(sig.args, args, strict=True))
        return apply(builder, kind, one, two)

    scalars = (types.Number, types.Literal)
    for pair in [(Vec, Vec), *[(Vec, s) for s in scalars], *[(s, Vec) for s in scalars]]:
        lower_builtin(symbol, *pair)(lower)


def _register_binary(symbol: Any) -> None:
    @infer_global(symbol)
    class _Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and any(isinstance(arg, Vec) for arg in args):
                kind = _widest(*args)
                result = kind.of(types.boolean) if symbol in _COMPARISONS else kind
                return signature(result, *args)
            return None

    def apply(builder: Any, kind: Vec, one: Any, two: Any) -> Any:
        if symbol in _COMPARISONS:
            # Comparisons with NaN are false, but for `!=`.
            ordered = symbol is not operator.ne
            compare = builder.fcmp_ordered if ordered else builder.fcmp_unordered
            return compare(_COMPARISONS[symbol], one, two)
        name = _BINARY[symbol][0 if isinstance(kind.dtype, types.Float) else 1]
        if name is None:
            raise TypeError(f"{symbol.__name__} of {kind}")
        return getattr(builder, name)(one, two)

    _lower_binary(symbol, apply)


def _register_unary(symbol: Any, apply: Callable[[Any, Any], Any]) -> None:
    @infer_global(symbol)
    class _Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 1 and isinstance(args[0], Vec):
                return signature(args[0], args[0])
            return None

    @lower_builtin(symbol, Vec)  # type: ignore[untyped-decorator]
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return apply(builder, args[0])


for _symbol in (*_BINARY, *_COMPARISONS):
    _register_binary(_symbol)
_register_unary(operator.neg, lambda builder, value: builder.fneg(value))
_register_unary(operator.invert, lambda builder, value: builder.not_(value))


# ---------------------------------------------------------------------------- functions of numbers


def _call(builder: Any, name: str, args: Sequence[Any]) -> Any:
    """One of LLVM's own functions on values of one type."""
    kind = args[0].type
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    suffix = "f64" if isinstance(element, ir.DoubleType) else "f32"
    if isinstance(kind, ir.VectorType):
        suffix = f"v{kind.count}{suffix}"
    prototype = ir.FunctionType(kind, [kind] * len(args))
    function = cgutils.get_or_insert_function(builder.module, prototype, f"llvm.{name}.{suffix}")
    return builder.call(function, args)


@intrinsic  # type: ignore[untyped-decorator]
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""
    kind = _widest(a, b, c)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = [spread(builder, x, of, kind) for of, x in zip(sig.args, args, strict=True)]
        return _call(builder, "fma", values)

    return kind(a, b, c), lower


@intrinsic  # type: ignore[untyped-decorator]
def absolute(typing: Any, a: Any) -> Any:
    """The number without its sign."""
    return a(a), lambda context, builder, sig, args: _call(builder, "fabs", args)


@intrinsic  # type: ignore[untyped-decorator]
def root(typing: Any, a: Any) -> Any:
    """The square root."""
    return a(a), lambda context, builder, sig, args: _call(builder, "sqrt", args)


@intrinsic  # type: ignore[untyped-decorator]
def where(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """`a` in the lanes of the mask, `b` in the others; `mask` a vector, and so `a` or `b`."""
    kind = _widest(a, b)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one, two = (
            spread(builder, x, of, kind) for of, x in zip(sig.args[1:], args[1:], strict=True)
        )
        return builder.select(args[0], one, two)

    return kind(mask, a, b), lower


@intrinsic  # type: ignore[untyped-decorator]
def to_bits(typing: Any, a: Any) -> Any:
    """The bits of floats, as integers."""
    kind = a.of(_AS_BITS[a.dtype])
    return kind(a), lambda context, builder, sig, args: builder.bitcast(
        args[0], context.get_value_type(kind)
    )


@intrinsic  # type: ignore[untyped-decorator]
def from_bits(typing: Any, a: Any) -> Any:
    """The floats that have these bits."""
    kind = a.of(_AS_FLOAT[a.dtype])
    return kind(a), lambda context, builder, sig, args: builder.bitcast(
        args[0], context.get_value_type(kind)
    )


def _numbers_of(like: Any) -> Any:
    """The floating dtype whose constants belong to a vector or array."""
    return _AS_FLOAT.get(like.dtype, like.dtype)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def constant(typing: Any, like: Any, name: Any) -> Any:
    """A number of `constants.py` for the dtype of `like`, a vector or an array."""
    value = _CONSTANTS[_numbers_of(like)][name.literal_value]
    kind = types.int64 if isinstance(value, int) else types.float64

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(kind, value)

    return kind(like, name), lower


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def polynomial(typing: Any, x: Any, name: Any) -> Any:
    """A polynomial of `constants.py` by Estrin's scheme, which has short chains of dependence."""
    coefficients = _CONSTANTS[x.dtype][name.literal_value]

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        powers = {1: args[0]}

        def power(n: int) -> Any:
            if n not in powers:
                powers[n] = builder.fmul(power(n // 2), power(n // 2))
            return powers[n]

        def value(series: Sequence[Any]) -> Any:
            if len(series) == 1:
                return series[0]
            half = 1
            while 2 * half < len(series):
                half *= 2
            return _call(builder, "fma", [value(series[half:]), power(half), value(series[:half])])

        return value([ir.Constant(kind, [c] * x.lanes) for c in coefficients])

    return x(x, name), lower


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def secant(typing: Any, x: Any, y: Any, name: Any) -> Any:
    """f(x) and (f(y) − f(x))/(y − x) of a polynomial of `constants.py`, also where x = y."""
    top, *others = reversed(_CONSTANTS[x.dtype][name.literal_value])

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at, to, *_ = args
        value, slope = ir.Constant(at.type, [top] * x.lanes), None
        for c in others:
            # Horner's scheme at x goes through the coefficients of the quotient.
            slope = value if slope is None else _call(builder, "fma", [slope, to, value])
            value = _call(builder, "fma", [value, at, ir.Constant(at.type, [c] * x.lanes)])
        return context.make_tuple(builder, sig.return_type, [value, slope])

    return types.UniTuple(x, 2)(x, y, name), lower


@intrinsic  # type: ignore[untyped-decorator]
def rounded(typing: Any, like: Any, value: Any) -> Any:
    """A float64 rounded to the dtype of `like`, as a float64."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        narrow = _cast(builder, args[1], types.float64, like.dtype)
        return _cast(builder, narrow, like.dtype, types.float64)

    return types.float64(like, value), lower


@intrinsic  # type: ignore[untyped-decorator]
def lost(typing: Any, like: Any, value: Any) -> Any:
    """What `rounded` takes from a float64; None where that is nothing."""
    if like.dtype == types.float64:
        return types.none(
            like, value
        ), lambda context, builder, sig, args: context.get_dummy_value()

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        narrow = _cast(builder, args[1], types.float64, like.dtype)
        return builder.fsub(args[1], _cast(builder, narrow, like.dtype, types.float64))

    return types.float64(like, value), lower


# ------------------------------------------------------------------------------------------- lanes


@intrinsic  # type: ignore[untyped-decorator]
def any_of(typing: Any, mask: Any) -> Any:
    """Whether a lane of the mask is set; a scalar truth is itself."""
    if not isinstance(mask, Vec):
        return mask(mask), lambda context, builder, sig, args: args[0]

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole = ir.IntType(mask.lanes)
        return builder.icmp_unsigned("!=", builder.bitcast(args[0], whole), whole(0))

    return types.boolean(mask), lower


@intrinsic  # type: ignore[untyped-decorator]
def lane(typing: Any, vector: Any, index: Any) -> Any:
    """One lane of a vector; a scalar is the same in all."""
    if not isinstance(vector, Vec):
        return vector(vector, index), lambda context, builder, sig, args: args[0]
    return vector.dtype(vector, index), lambda context, builder, sig, args: builder.extract_element(
        args[0], args[1]
    )


# Lanes that the sum of a vector is left in.
SUMMED = 8


@intrinsic  # type: ignore[untyped-decorator]
def folded(typing: Any, vector: Any) -> Any:
    """A vector of 8 lanes: the sums of every eighth, by halves."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (value,) = args
        none, half = ir.Constant(value.type, ir.Undefined), vector.lanes // 2
        while half >= SUMMED:
            low, high = (
                ir.Constant(ir.VectorType(_INDEX, half), list(range(first, first + half)))
                for first in (0, half)
            )
            value = builder.fadd(
                builder.shuffle_vector(value, none, low), builder.shuffle_vector(value, none, high)
            )
            none, half = ir.Constant(value.type, ir.Undefined), half // 2
        return value

    return Vec(vector.dtype, SUMMED)(vector), lower


@intrinsic  # type: ignore[untyped-decorator]
def widened(typing: Any, vector: Any) -> Any:
    """As many lanes of float64."""
    kind = vector.of(types.float64)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        is_wide = vector.dtype == types.float64
        return args[0] if is_wide else builder.fpext(args[0], context.get_value_type(kind))

    return kind(vector), lower
