"""Operations on arrays of a CUDA device: which kernel, how many blocks, with what arguments."""

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from robloss._args import Arguments
from robloss._backends.cuda import PARTITION, STORED, WANTED, Kernel, parameters, real
from robloss._typing import Array

THREADS = 256
# Of a sum: several times as many as a card runs at once, so that all are busy to the end.
BLOCKS_OF_SUM = 2048
# Of columns a thread leaves its own sums, 32 bytes written and read beside 12 for each float32.
LANES, ELEMENTS_OF_LANE = BLOCKS_OF_SUM * THREADS, 16
MOST_BLOCKS = 2**31 - 1
# What `strided` has room for; a dense copy is made of an array that needs more.
MOST_AXES = 8
PACK = 16  # bytes that `dense` and `sums` load at once

_OPERAND = np.dtype([("data", "u8"), ("number", "f8"), ("strides", "i8", MOST_AXES)])
_OPERANDS = np.dtype(
    [("operands", _OPERAND, 3), ("shape", "i8", MOST_AXES), ("axes", "i8"), ("size", "i8")]
)


class Card(Protocol):
    """What differs between libraries that have arrays on a CUDA device."""

    def pointer(self, array: Array) -> int:
        """Where an array begins."""

    def strides(self, array: Array) -> tuple[int, ...]:
        """Its strides, in bytes."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """A new array on the device."""

    def start(self, kernel: Kernel, blocks: int, arguments: tuple[Any, ...]) -> bool:
        """Start a kernel on the current stream; False where it cannot be built.

        Arguments are integers of 64 bits, and NumPy arrays of one element, passed by value.
        """


class _Call(NamedTuple):
    """What both kinds of kernels are started with."""

    operations: tuple[str, ...]
    arguments: Arguments
    card: Card

    @property
    def xp(self) -> Any:
        return self.arguments.xp

    @property
    def dtype(self) -> str:
        return str(self.arguments.dtype).rpartition(".")[2]

    def start(
        self, name: str, member: str, shape: tuple[int, ...], blocks: int, *given: Any
    ) -> tuple[Array, ...] | None:
        """Start a kernel of six outputs, of which those not wanted are null."""
        made = {one: self.card.empty(shape, self.arguments.dtype) for one in self.operations}
        outputs = [self.card.pointer(made[one]) if one in made else 0 for one in WANTED]
        kernel = Kernel(name, self.dtype, in_order(self.operations), member)
        front, back = given[:2], given[2:]
        started = not math.prod(shape) or self.card.start(
            kernel, min(blocks, MOST_BLOCKS), (*front, *outputs, *back)
        )
        return tuple(made.values()) if started else None


def evaluate(names: tuple[str, ...], arguments: Arguments, card: Card) -> tuple[Array, ...] | None:
    """Compute operations in one pass over the arrays; None where no kernel can do it.

    Parameters
    ----------
    names : tuple of str
        Different ones that `robloss._backends.cuda.serves`.
    arguments : Arguments
    card : Card
    """
    call = _Call(names, arguments, card)
    if call.dtype not in STORED:
        return None
    if names[0] in PARTITION:
        return _partition(call, _readable(call, arguments.given[0]))
    x, alpha, scale = given = tuple(_readable(call, value) for value in arguments.given)
    if not (isinstance(alpha, float) and isinstance(scale, float)):
        by = np.zeros(1, parameters.layout(real(call.dtype)))
        if are_numbers(x, alpha, scale) and is_dense(x, card):
            derived = derive(alpha, scale, arguments.xp.uint8, call.dtype, card)
            return derived and _dense(call, x, "DERIVED", by, card.pointer(derived[0]))
        return _strided(call, given, "LANES", by)
    member, by = parameters.member(alpha, names), parameters.numbers(alpha, scale, real(call.dtype))
    if is_dense(x, card):
        return _dense(call, x, member, by)
    turned = _turned(call.xp, x)  # Fortran's order
    if is_dense(turned, card):
        results = _dense(call, turned, member, by)
        return results and tuple([_turned(call.xp, one) for one in results])
    return _strided(call, given, member, by)


def total(
    names: tuple[str, ...], arguments: Arguments, weights: Array | None, card: Card
) -> Array | None:
    """Sum up operations: partial sums, float64 (n_names, n_blocks); None where no kernel can do it.

    Parameters
    ----------
    names : tuple of str
        In the order of `WANTED`.
    arguments : Arguments
        With numbers for alpha and scale.
    weights : array or None
        Like x.
    card : Card
    """
    x, alpha, scale = arguments.given
    arrays = [x] if weights is None else [x, weights]
    dtype = _Call(names, arguments, card).dtype
    is_alike = all(one.dtype == arguments.dtype and is_dense(one, card) for one in arrays)
    if dtype not in STORED or not is_alike:
        return None
    partial = card.empty((len(names), BLOCKS_OF_SUM), arguments.xp.float64)
    at = [card.pointer(one) for one in arrays] + [0] * (2 - len(arrays))
    by = parameters.numbers(alpha, scale, real(dtype))
    given = (*at, by, card.pointer(partial), math.prod(x.shape))
    kernel = Kernel("sums", dtype, names, parameters.member(alpha, names))
    return partial if card.start(kernel, BLOCKS_OF_SUM, given) else None


class Pulled(NamedTuple):
    """What a backward pass asks for, or None where it does not."""

    in_x: Array | None
    partial: Array | None  # of those of alpha and scale that are wanted: float64, to be summed


def pullback(
    grad: Array,
    arguments: Arguments,
    names: tuple[str, ...],
    is_constant: bool,
    is_smooth: bool,
    card: Card,
) -> Pulled | None:
    """Gradients of Σ g ρ in x, alpha and scale; None where no kernel can do it.

    Parameters
    ----------
    grad : array
        g: like x, or anything that begins with the one number that it is.
    arguments : Arguments
        Dense x, and one alpha and one scale on the device, or one for each column as `are_columns`
        says, all dense and of the dtype of the result.
    names : tuple of str
        Which of ``influence``, ``grad_alpha`` and ``grad_scale``, in this order.
    is_constant, is_smooth : bool
        Of g, and of ∂ρ/∂α: see `Kernel`.
    card : Card

    Returns
    -------
    Pulled
        With partial sums (n_rows, n), or (n_rows, n, n_columns).
    """
    x = arguments.given[0]
    dtype = _Call(names, arguments, card).dtype
    of_numbers = are_numbers(*arguments.given)
    work = _of_numbers(arguments, dtype, card) if of_numbers else _of_columns(arguments)
    if work is None:
        return None
    rows = sum(name != "influence" for name in names)
    in_x = card.empty(tuple(x.shape), arguments.dtype) if "influence" in names else None
    partial = card.empty((rows, *work.sums), arguments.xp.float64) if rows else None
    given = (
        card.pointer(grad), int(not is_constant), card.pointer(x),
        *[one if isinstance(one, int) else card.pointer(one) for one in work.by],
        *[0 if one is None else card.pointer(one) for one in (in_x, partial)],
        *work.sides, math.prod(x.shape),
    )  # fmt: skip
    kernel = Kernel(work.name, dtype, names, work.member, is_smooth)
    return Pulled(in_x, partial) if card.start(kernel, work.blocks, given) else None


class _Work(NamedTuple):
    """What differs between numbers and columns."""

    name: str
    member: str
    blocks: int
    sums: tuple[int, ...]  # the shape of a row of partial sums
    by: tuple[Any, ...]  # alpha and scale, as arrays: they must live until the kernel is started
    sides: tuple[int, ...] = ()


def _of_numbers(arguments: Arguments, dtype: str, card: Card) -> _Work | None:
    x, alpha, scale = arguments.given
    derived = derive(alpha, scale, arguments.xp.uint8, dtype, card)
    if derived is None:
        return None
    size = math.prod(x.shape)
    blocks = max(1, min(BLOCKS_OF_SUM, -(-size * x.itemsize // (THREADS * PACK))))
    return _Work("pullback", "DERIVED", blocks, (blocks,), derived)


def _of_columns(arguments: Arguments) -> _Work:
    x, *numbers = arguments.given
    width = x.shape[-1]
    rows = max(1, min(LANES, math.prod(x.shape) // ELEMENTS_OF_LANE) // width)
    by = sum([(one, int(math.prod(one.shape) > 1)) for one in numbers], ())
    lanes = rows * width
    blocks = -(-lanes // THREADS)
    return _Work("columns", "LANES", blocks, (rows, width), by, (width, lanes))


def derive(alpha: Array, scale: Array, byte: Any, dtype: str, card: Card) -> tuple[Array] | None:
    """What kernels need of an alpha and a scale on the device, made there; None if it cannot be."""
    size = 2 * parameters.layout(real(dtype)).itemsize
    room = card.empty((size,), byte)
    given = card.pointer(alpha), card.pointer(scale), card.pointer(room)
    kernel = Kernel("derive", dtype, (), "DERIVED")
    return (room,) if card.start(kernel, 1, given) else None


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


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """The operations as kernels order them: one set of them is one kernel."""
    return tuple(sorted(names, key=WANTED.index))


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


def is_dense(array: Array, card: Card) -> bool:
    """Whether an array's elements fill memory in order, from where packs can be loaded."""
    axes = merged(tuple(array.shape), [card.strides(array)])
    whole = [(math.prod(array.shape), (array.itemsize,))]
    return axes in ([], whole) and card.pointer(array) % PACK == 0


def _turned(xp: Any, array: Array) -> Array:
    return xp.permute_dims(array, tuple(range(array.ndim))[::-1])


def _readable(call: _Call, value: Any) -> Any:
    """The array in the dtype of the result, its elements where elements of it can lie."""
    if isinstance(value, float):
        return value
    array = call.xp.astype(value, call.arguments.dtype, copy=False)
    places = (call.card.pointer(array), *call.card.strides(array))
    is_aligned = all(place % array.itemsize == 0 for place in places)
    return array if is_aligned else call.xp.asarray(array, copy=True)


def _dense(
    call: _Call, x: Array, member: str, by: Any, derived: int = 0
) -> tuple[Array, ...] | None:
    size = math.prod(x.shape)
    blocks = -(-size * x.itemsize // (THREADS * PACK))
    return call.start(
        "dense", member, tuple(x.shape), blocks, call.card.pointer(x), by, size, derived
    )


def _partition(call: _Call, alpha: Array) -> tuple[Array, ...] | None:
    flat = call.xp.reshape(alpha, (-1,))
    step = call.card.strides(flat)[0] // flat.itemsize
    made = call.card.empty(tuple(alpha.shape), call.arguments.dtype)
    size = math.prod(alpha.shape)
    given = call.card.pointer(flat), step, call.card.pointer(made), size
    kernel = Kernel("partition", call.dtype, call.operations, "LANES")
    blocks = min(-(-size // THREADS), MOST_BLOCKS)
    return (made,) if not size or call.card.start(kernel, blocks, given) else None


def _strided(call: _Call, given: tuple[Any, ...], member: str, by: Any) -> tuple[Array, ...] | None:
    arrays = [value for value in given if not isinstance(value, float)]
    shape = np.broadcast_shapes(*[tuple(array.shape) for array in arrays])
    whole = [call.xp.broadcast_to(array, shape) for array in arrays]
    axes = merged(shape, [call.card.strides(array) for array in whole])
    if len(axes) > MOST_AXES:
        flat = [call.xp.reshape(array, (-1,)) for array in whole]
        whole = [call.xp.reshape(array, shape) for array in flat]
        axes = merged(shape, [call.card.strides(array) for array in whole])
    operands = np.zeros(1, _OPERANDS)
    operands["axes"], operands["size"] = len(axes), math.prod(shape)
    operands["shape"][0, : len(axes)] = [side for side, _ in axes]
    left = iter(range(len(arrays)))
    for operand, value in zip(operands["operands"][0], given, strict=True):
        if isinstance(value, float):
            operand["number"] = value
        else:
            place = next(left)
            operand["data"] = call.card.pointer(whole[place])
            steps = [strides[place] // value.itemsize for _, strides in axes]
            operand["strides"][: len(axes)] = steps
    blocks = -(-math.prod(shape) // THREADS)
    return call.start("strided", member, shape, blocks, operands, by)
