"""Operations on arrays of a CUDA device: which kernel, how many blocks, with what arguments."""

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from robloss._args import Arguments
from robloss._backends.cuda import PARTITION, STORED, WANTED, Kernel, parameters, real
from robloss._backends.cuda.layouts import are_numbers, columns_of, extent, merged
from robloss._typing import Array

THREADS = 256
# Of a sum: several times as many as a card runs at once, so that all are busy to the end.
BLOCKS_OF_SUM = 2048
# Of columns a thread derives its own numbers, in up to 700 instructions beside 57 or more for each
# element, and leaves its own sums, 32 bytes written and read beside 12 for each float32.
LANES, ELEMENTS_OF_LANE = BLOCKS_OF_SUM * THREADS, 16
LEAST_ROWS = 4  # what `columns` computes at once
MOST_BLOCKS = 2**31 - 1
# Elements from which on kernels count in 64 bits: they count up to three times as far.
LARGE = 2**29
# What `strided` has room for; a dense copy is made of an array that needs more.
MOST_AXES = 8
PACK = 16  # bytes that `dense` and `sums` load at once

_OPERAND = np.dtype([("data", "u8"), ("number", "f8"), ("strides", "i8", MOST_AXES)])
_OPERANDS = np.dtype(
    [("operands", _OPERAND, 3), ("shape", "i8", MOST_AXES), ("axes", "i8"), ("size", "i8")]
)
_PARAMETER = np.dtype([("data", "u8"), ("number", "f8"), ("step", "i8")])
_PARAMETERS = np.dtype([("alpha", _PARAMETER), ("scale", _PARAMETER)])


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
    """What is to be computed, of what, and where."""

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
        self,
        name: str,
        member: str,
        shape: tuple[int, ...],
        blocks: int,
        *given: Any,
        is_large: bool = False,
    ) -> tuple[Array, ...] | None:
        """Start a kernel of six outputs, of which those not wanted are null."""
        made = {one: self.card.empty(shape, self.arguments.dtype) for one in self.operations}
        outputs = [self.card.pointer(made[one]) if one in made else 0 for one in WANTED]
        operations = in_order(self.operations)
        kernel = Kernel(name, self.dtype, operations, member, is_large=is_large)
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
        field = _field(call, given)
        return _columns(call, field) or _strided(call, field, "LANES", by)
    member, by = parameters.member(alpha, names), parameters.numbers(alpha, scale, real(call.dtype))
    if is_dense(x, card):
        return _dense(call, x, member, by)
    turned = _turned(call.xp, x)  # Fortran's order
    if is_dense(turned, card):
        results = _dense(call, turned, member, by)
        return results and tuple([_turned(call.xp, one) for one in results])
    return _strided(call, _field(call, given), member, by)


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
    work = _of_numbers(arguments, dtype, card) if of_numbers else _of_columns(arguments, card)
    if work is None:
        return None
    rows = sum(name != "influence" for name in names)
    in_x = card.empty(tuple(x.shape), arguments.dtype) if "influence" in names else None
    partial = card.empty((rows, *work.sums), arguments.xp.float64) if rows else None
    given = (
        card.pointer(grad), int(not is_constant), card.pointer(x), work.by,
        *[0 if one is None else card.pointer(one) for one in (in_x, partial)],
        *work.sides, math.prod(x.shape),
    )  # fmt: skip
    is_large = bool(work.sides) and math.prod(x.shape) >= LARGE
    kernel = Kernel(work.name, dtype, names, work.member, is_smooth, is_large)
    return Pulled(in_x, partial) if card.start(kernel, work.blocks, given) else None


class _Work(NamedTuple):
    """What differs between numbers and columns."""

    name: str
    member: str
    blocks: int
    sums: tuple[int, ...]  # the shape of a row of partial sums
    by: Any  # alpha and scale, as the kernel takes them
    sides: tuple[int, ...] = ()
    held: Any = None  # what must live until the kernel is started


def _of_numbers(arguments: Arguments, dtype: str, card: Card) -> _Work | None:
    x, alpha, scale = arguments.given
    derived = derive(alpha, scale, arguments.xp.uint8, dtype, card)
    if derived is None:
        return None
    size = math.prod(x.shape)
    blocks = max(1, min(BLOCKS_OF_SUM, -(-size * x.itemsize // (THREADS * PACK))))
    by = card.pointer(derived[0])
    return _Work("pullback", "DERIVED", blocks, (blocks,), by, held=derived)


def _of_columns(arguments: Arguments, card: Card) -> _Work:
    x, *numbers = arguments.given
    width = x.shape[-1]
    member, rows = _lanes(math.prod(x.shape), width)
    by = _parameters(numbers, [int(math.prod(one.shape) > 1) for one in numbers], card)
    lanes = rows * width
    blocks = -(-lanes // THREADS)
    return _Work("pullback_columns", member, blocks, (rows, width), by, (width, lanes))


def _lanes(size: int, width: int) -> tuple[str, int]:
    """How threads that stay in a column derive its numbers, and how many there are of a column."""
    rows = max(1, min(LANES, size // ELEMENTS_OF_LANE) // width)
    return "DERIVED" if size >= ELEMENTS_OF_LANE * width else "LANES", rows


def _parameters(values: Any, steps: Any, card: Card) -> Any:
    """`Parameters` of alpha and scale: numbers, or arrays and from column to column their steps."""
    made = np.zeros(1, _PARAMETERS)
    for name, value, step in zip(("alpha", "scale"), values, steps, strict=True):
        if isinstance(value, float):
            made[name]["number"] = value
        else:
            made[name]["data"], made[name]["step"] = card.pointer(value), step
    return made


def bends(z: Array, alpha: float, card: Card) -> tuple[Array, Array] | None:
    """∂ψ/∂α and ∂²ρ/∂α² at scale 1; None where no kernel can do it.

    Parameters
    ----------
    z : array
    alpha : float
        Finite, and not 2.
    card : Card
    """
    dtype, size = str(z.dtype).rpartition(".")[2], math.prod(z.shape)
    if dtype not in STORED or not is_dense(z, card):
        return None
    tilt, bow = (card.empty(tuple(z.shape), z.dtype) for _ in range(2))
    given = card.pointer(z), np.array([alpha]), card.pointer(tilt), card.pointer(bow), size
    kernel = Kernel("bends", dtype, (), "POWER")
    blocks = min(-(-size * z.itemsize // (THREADS * PACK)), MOST_BLOCKS)
    return (tilt, bow) if not size or card.start(kernel, blocks, given) else None


def derive(alpha: Array, scale: Array, byte: Any, dtype: str, card: Card) -> tuple[Array] | None:
    """What kernels need of an alpha and a scale on the device, made there; None if it cannot be."""
    size = 2 * parameters.layout(real(dtype)).itemsize
    room = card.empty((size,), byte)
    given = card.pointer(alpha), card.pointer(scale), card.pointer(room)
    kernel = Kernel("derive", dtype, (), "DERIVED")
    return (room,) if card.start(kernel, 1, given) else None


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """The operations as kernels order them: one set of them is one kernel."""
    return tuple(sorted(names, key=WANTED.index))


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


class _Field(NamedTuple):
    """Arrays and numbers that are broadcast against each other."""

    operands: tuple[Any, ...]  # floats, and arrays of the shape
    shape: tuple[int, ...]
    # As few as it takes, innermost first: the side, and each operand's step in elements.
    axes: list[tuple[int, tuple[int, ...]]]


def _field(call: _Call, given: tuple[Any, ...]) -> _Field:
    shape = np.broadcast_shapes(*[tuple(getattr(one, "shape", ())) for one in given])
    operands, steps = [], []
    for one in given:
        if isinstance(one, float):
            operands.append(one)
            steps.append((0,) * len(shape))
        else:
            whole = call.xp.broadcast_to(one, shape)
            operands.append(whole)
            steps.append(tuple([step // one.itemsize for step in call.card.strides(whole)]))
    return _Field(tuple(operands), shape, merged(shape, steps))


def _copied(call: _Call, one: Any) -> Any:
    """The array without gaps."""
    if isinstance(one, float):
        return one
    return call.xp.reshape(call.xp.reshape(one, (-1,)), one.shape)


def _columns(call: _Call, field: _Field) -> tuple[Array, ...] | None:
    """Where x is dense and has columns; else None."""
    x, *numbers = field.operands
    size = math.prod(field.shape)
    width = 0 if isinstance(x, float) else columns_of(field.axes)
    if not width or size < LEAST_ROWS * width:
        return None
    steps = field.axes[0][1][1:] if field.axes else (0, 0)
    member, rows = _lanes(size, width)
    lanes = rows * width
    by = _parameters(numbers, steps, call.card)
    return call.start(
        "columns", member, field.shape, -(-lanes // THREADS),
        call.card.pointer(x), by, width, lanes, size, is_large=size >= LARGE,
    )  # fmt: skip


def _strided(call: _Call, field: _Field, member: str, by: Any) -> tuple[Array, ...] | None:
    if len(field.axes) > MOST_AXES:
        field = _field(call, tuple([_copied(call, one) for one in field.operands]))
    size = math.prod(field.shape)
    operands = np.zeros(1, _OPERANDS)
    operands["axes"], operands["size"] = len(field.axes), size
    operands["shape"][0, : len(field.axes)] = [side for side, _ in field.axes]
    for place, value in enumerate(field.operands):
        operand = operands["operands"][0, place]
        if isinstance(value, float):
            operand["number"] = value
        else:
            operand["data"] = call.card.pointer(value)
            operand["strides"][: len(field.axes)] = [steps[place] for _, steps in field.axes]
    blocks, is_large = -(-size // THREADS), extent(field.axes) >= LARGE
    return call.start("strided", member, field.shape, blocks, operands, by, is_large=is_large)
