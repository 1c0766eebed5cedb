"""NumPy arrays: the kernels, on whole arrays if these are dense in memory, else piece by piece.

Kernels take flat, dense, writeable arrays of one dtype. For anything else, `numpy.nditer`
broadcasts, gathers and converts a few thousand elements at a time, so that no array is ever copied
as a whole.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from inspect import signature
from itertools import combinations
from operator import itemgetter
from typing import Any

import numpy as np

from robloss._args import WRITEABLE, Arguments, is_dense
from robloss._ops import OPERATIONS
from robloss._threads import map_chunks
from robloss._typing import Array

# Elements of a piece: its inputs and outputs together stay in a second-level cache.
PIECE = 4096
# Up to this many elements one thread works alone. They took 40 (α = 2) to 160 µs (α = 0.7), while
# handing chunks to a second thread took 10 to 30.
ALONE = 2**16
# Between chunks a thread needs Python's lock, which another may hold for 5 ms: hence only a few.
CHUNK, MOST_CHUNKS = 2**15, 64


@cache
def _kernel(names: tuple[str, ...]) -> tuple[Callable[..., None], Callable[..., Any]]:
    """The kernel for some operations, and a function that puts arguments into the kernel's order.

    That function takes the sequence of inputs, outputs and a final None, which it passes for each
    output of the kernel that is not asked for. Numba is imported here, at the first call.
    """
    first = OPERATIONS[names[0]]
    reads = len(first.parameters)
    kernel = import_module(f"robloss._kernels.{first.kernel}").evaluate
    outputs = list(signature(kernel).parameters)[reads:]
    picks = [reads + names.index(name) if name in names else -1 for name in outputs]
    return kernel, itemgetter(*range(reads), *picks)


def small(name: str, x: Any, alpha: float, scale: float, out: Any = None) -> Array:
    """Compute an operation on a small, dense array, with two legal numbers.

    `evaluate` gives the same result; this saves its examination of the arguments, 5 µs.
    """
    kernel, order = _kernel((name,))
    result = np.empty_like(x) if out is None else out
    pair = (x, result) if x.ndim == 1 else (x.reshape(-1), result.reshape(-1))
    kernel(*order((pair[0], float(alpha), float(scale), pair[1], None)))
    return result


def evaluate(
    names: tuple[str, ...], arguments: Arguments, out: Sequence[Any] | None = None
) -> tuple[Array, ...]:
    """Compute several operations in one pass over the arguments.

    Parameters
    ----------
    names : tuple of str
        Distinct names of operations with the same parameters.
    arguments : Arguments
    out : sequence, optional
        Where to put each result: an array, or None for a new one.

    Returns
    -------
    tuple
        An array per operation; scalars where no argument has an axis and `out` is None.
    """
    inputs, like = _inputs(arguments)
    results = [
        np.empty_like(like, arguments.dtype, subok=False)
        if one is None
        else _writable(one, like.shape, arguments.compute)
        for one in out or [None] * len(names)
    ]
    if out is not None:
        _check_overlap(results)
    operands = [*inputs, *results, None]
    apart = out is None or _are_apart(inputs, results)
    flat = _flat(operands, arguments.compute) if apart else None
    if flat is None:
        _in_pieces(names, operands, len(inputs), arguments.compute, apart)
    else:
        _at_once(names, flat)
    if like.ndim == 0 and out is None:
        # NumPy's ufuncs, unlike its other functions, give scalars where the arguments have no axes.
        return tuple([result[()] for result in results])
    return tuple(results)


def _inputs(arguments: Arguments) -> tuple[list[Any], Any]:
    """The kernel's inputs, and an array with the shape and, if possible, the layout of the result.

    The first input is an array; the others are numbers if they have one element.
    """
    x, *others = arguments.given
    if type(x) is not np.ndarray:
        x = np.asarray(x, arguments.compute)
    inputs, like = [_unlocked(x)], x
    for value in others:
        if type(value) is not float:
            if value.shape != like.shape:
                shape = np.broadcast_shapes(value.shape, like.shape)
                like = value if value.shape == shape else np.broadcast_to(like, shape)
            value = float(value.item()) if value.size == 1 else _unlocked(value)
        inputs.append(value)
    return inputs, like


class _Unlocked:
    """A writeable array in the memory of a read-only one."""

    def __init__(self, array: Any) -> None:
        self.array = array  # keeps the memory alive
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def _unlocked(array: Any) -> Any:
    """The array itself; if it is dense but read-only, a writeable view of it.

    Kernels do not write to it, but Numba would compile them again for read-only arrays.
    """
    flags = array.flags
    is_locked = type(array) is np.ndarray and not flags.num & WRITEABLE
    if not (is_locked and flags.forc and flags.aligned):
        return array
    return np.asarray(_Unlocked(array))


def _writable(out: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """The user's `out`, if the result can be put into it.

    Raises
    ------
    TypeError, ValueError
    """
    if not isinstance(out, np.ndarray):
        raise TypeError(
            f"`out` must be a NumPy array, but got {type(out).__name__}. "
            "Leave it out to get a new array."
        )
    if out.dtype != dtype and not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(
            f"`out` must be of a dtype that {np.dtype(dtype)} can be cast to, but got {out.dtype}. "
            "Pass an array of a floating dtype."
        )
    if not out.flags.writeable:
        raise ValueError("`out` must be writeable, but got a read-only array. Copy it first.")
    if out.shape != shape and not _broadcasts(shape, out.shape):
        raise ValueError(
            f"`out` must be of a shape that {shape} broadcasts to, but got {out.shape}. "
            "Leave it out to get a new array."
        )
    return out


def _check_overlap(results: list[Any]) -> None:
    """Refuse results that would overwrite each other.

    Raises
    ------
    ValueError
    """
    for (i, one), (j, other) in combinations(enumerate(results), 2):
        if np.may_share_memory(one, other) and np.shares_memory(one, other):
            raise ValueError(
                f"`out` must be arrays that share no memory, but got overlapping ones at {i} and "
                f"{j}. Pass None for a new array."
            )


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def _are_apart(inputs: list[Any], results: list[Any]) -> bool:
    """Whether every element of the results can be written as soon as its arguments are read."""
    arrays = [value for value in inputs if type(value) is not float]
    return not any(
        np.may_share_memory(result, other)
        for place, result in enumerate(results)
        for other in [array for array in arrays if array is not result] + results[:place]
    )


def _flat(operands: list[Any], dtype: Any) -> list[Any] | None:
    """One-dimensional views of the arrays, if these are all dense in the same order; else None."""
    x = operands[0]
    turned = x.flags.fnc
    flat: list[Any] = []
    for value in operands:
        if type(value) is float or value is None:
            flat.append(value)
            continue
        if type(value) is not np.ndarray or value.shape != x.shape or value.dtype != dtype:
            return None
        array = value.T if turned else value
        if not is_dense(array):
            return None
        flat.append(array.reshape(-1))
    return flat


def _at_once(names: tuple[str, ...], flat: list[Any]) -> None:
    """Call the kernel on arrays as they are, or several threads on parts of them."""
    kernel, order = _kernel(names)

    def work(start: int, stop: int) -> None:
        kernel(*order([v[start:stop] if type(v) is np.ndarray else v for v in flat]))

    if flat[0].size > ALONE:
        _split(work, flat[0].size)
    else:
        kernel(*order(flat))


def _split(work: Callable[[int, int], None], n: int) -> None:
    map_chunks(work, n, max(CHUNK, -(-n // (MOST_CHUNKS * PIECE)) * PIECE))


_FLAGS: Any = [
    "external_loop",
    "buffered",
    "delay_bufalloc",
    "ranged",
    "zerosize_ok",
    "copy_if_overlap",
]
_FLAGS_OF_EACH = ["contig", "aligned", "nbo", "overlap_assume_elementwise"]


def _in_pieces(
    names: tuple[str, ...], operands: list[Any], reads: int, dtype: Any, apart: bool
) -> None:
    """Call the kernel on pieces: `numpy.nditer` gathers the inputs and scatters the results."""
    kernel, order = _kernel(names)
    places = [place for place, v in enumerate(operands) if isinstance(v, np.ndarray)]
    # NumPy 2.0 loses what is written to the buffer of a 0-d array.
    arrays = [np.atleast_1d(operands[place]) for place in places]
    inputs = sum(place < reads for place in places)
    flags: Any = [["readonly", *_FLAGS_OF_EACH]] * inputs
    flags += [["writeonly", *_FLAGS_OF_EACH]] * (len(arrays) - inputs)

    def work(start: int, stop: int) -> None:
        call = list(operands)
        # The iterator's inputs are read-only, and Numba would compile the kernel again for these.
        room = np.empty((inputs, PIECE), dtype)
        iterator: Any = np.nditer(
            arrays, _FLAGS, flags, [dtype] * len(arrays), casting="same_kind", buffersize=PIECE
        )
        with iterator, np.errstate(all="ignore"):
            iterator.iterrange = (start, stop)
            for pieces in iterator:
                for place, piece, own in zip(places, pieces, room, strict=False):
                    call[place] = own[: piece.size]
                    call[place][:] = piece
                for place, piece in zip(places[inputs:], pieces[inputs:], strict=True):
                    call[place] = piece
                kernel(*order(call))

    n = math.prod(np.broadcast_shapes(*[array.shape for array in arrays]))
    if apart and n > ALONE:
        _split(work, n)
    else:  # if memory is shared, the iterator works on a copy of the whole array
        work(0, n)
