"""The backward pass on NumPy arrays: gradients of Σ g ρ, without large temporary arrays.

With one alpha and one scale, one pass of a kernel computes the sums and the slopes in x
(`robloss._kernels.sums`). Everything else is done a few thousand elements at a time: derivatives
times g, summed to the shapes of the arguments.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from robloss import _formulas
from robloss._args import Arguments
from robloss._backends import numpy as kernels
from robloss._backends.slopes import multiplied
from robloss._backends.totals import total
from robloss._kernels import multiples
from robloss._threads import map_chunks
from robloss._typing import Array

_PARTIALS = ("influence", "grad_alpha", "grad_scale")
# Elements of a chunk: its derivatives stay in a second-level cache.
_CHUNK = 2**15

Gradients = list[Array | None]


def pullback(
    grad: Any, x: Any, alpha: Any, scale: Any, needed: tuple[bool, ...], *, smooth: bool
) -> Gradients:
    """Gradients of Σ g ρ(x, α, c) in x, α and c.

    Elements with g = 0 are left out, whatever x is: derivatives at huge residuals may be infinite.

    Parameters
    ----------
    grad : ndarray
        g, in the broadcast shape of the others.
    x, alpha, scale : ndarray
        All of one dtype, float32 or float64.
    needed : tuple of bool
        Which of the three gradients to compute.
    smooth : bool
        Whether ∂ρ/∂α at alpha = 2, which is infinite, is taken at the next smaller number.

    Returns
    -------
    list
        An array in the shape of each argument, or None.
    """
    if smooth and needed[1] and (alpha == 2).any():
        others = pullback(grad, x, alpha, scale, (needed[0], False, needed[2]), smooth=False)
        beside = _formulas.beside_two(np, alpha)
        slope = pullback(grad, x, beside, scale, (False, True, False), smooth=False)
        return [others[0], slope[1], others[2]]
    if not any(needed):
        return [None, None, None]
    given = (x, alpha, scale)
    factor = constant_of(grad)
    if not grad.size or factor == 0.0:
        found: Gradients = [np.zeros(one.shape, one.dtype) for one in given]
    else:
        found = _in_one_pass(grad, factor, *given, needed)
        found = found or _in_chunks(grad, factor, given, needed)
    return [one if need else None for one, need in zip(found, needed, strict=True)]


def constant_of(grad: Any) -> float | None:
    """The one number that g is everywhere, or None."""
    if not grad.size:
        return None
    first = float(grad.item(0))
    if not any(grad.strides):
        return first
    # torch expands the constant gradient of a sum; along repeated axes one element is enough.
    distinct = grad[tuple([slice(None) if stride else 0 for stride in grad.strides])]
    return first if multiples.is_constant(distinct.reshape(-1)) else None


def _in_one_pass(
    grad: Any, factor: float | None, x: Any, alpha: Any, scale: Any, needed: tuple[bool, ...]
) -> Gradients:
    """The gradients where one alpha and one scale are summed over; else an empty list."""
    is_served = alpha.size == scale.size == 1 and (needed[1] or needed[2])
    if not is_served or not x.flags.c_contiguous:
        return []
    weights = None
    if factor is None:
        # The kernel checks whether its sums cancel, which requires terms of one sign.
        if not grad.flags.c_contiguous or grad.min() < 0 < grad.max():
            return []
        factor, weights = 1.0, grad.reshape(-1)
    in_x = np.empty(x.shape, x.dtype) if needed[0] else None
    place = None if in_x is None else in_x.reshape(-1)
    found = total(x.reshape(-1), alpha.item(), scale.item(), weights, slopes=place)
    slopes = in_x, found.grad_alpha, found.grad_scale
    return multiplied(slopes, factor, (alpha.shape, scale.shape), x.dtype)


def _in_chunks(
    grad: Any, factor: float | None, given: tuple[Any, ...], needed: tuple[bool, ...]
) -> Gradients:
    """The gradients for any shapes: in slices along the longest axis."""
    ndim = max(grad.ndim, 1)
    grad, *arrays = [one.reshape((1,) * (ndim - one.ndim) + one.shape) for one in (grad, *given)]
    shape, dtype = grad.shape, arrays[0].dtype
    axis = int(np.argmax(shape))
    step = min(shape[axis], max(1, _CHUNK * shape[axis] // grad.size))
    read = [_reader(one, shape, axis, step) for one in arrays[1:]]
    places = [place for place in range(3) if needed[place]]
    names = tuple([_PARTIALS[place] for place in places])
    results = [np.empty(one.shape, dtype) for one in arrays]
    is_shared = [one.shape[axis] < shape[axis] for one in arrays]

    def work(start: int, stop: int) -> list[Any]:
        """Fill in the gradients of a chunk's own elements; return its share of shared ones."""
        g = _cut(grad, axis, start, stop)
        targets = [_cut(results[place], axis, start, stop) for place in places]
        out = [
            one if one.shape == g.shape and not is_shared[place] else None
            for place, one in zip(places, targets, strict=True)
        ]
        given = (_cut(arrays[0], axis, start, stop), *(one(start, stop) for one in read))
        with np.errstate(all="ignore"):
            terms = kernels.evaluate(names, Arguments("numpy", np, given, dtype, dtype), out)
            for term in terms:
                _weigh(term, g, factor)
            return [
                _put(term, one, is_shared[place])
                for term, one, place in zip(terms, targets, places, strict=True)
            ]

    shares = map_chunks(work, shape[axis], step)
    for place, *parts in zip(places, *shares, strict=True):
        if parts[0] is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                results[place][...] = np.sum(parts, axis=0)
    return [one.reshape(like.shape) for one, like in zip(results, given, strict=True)]


def _cut(array: Any, axis: int, start: int, stop: int) -> Any:
    """A slice along an axis, or the whole array if it does not vary along it."""
    if array.shape[axis] == 1:
        return array
    return array[(slice(None),) * axis + (slice(start, stop),)]


def _reader(array: Any, shape: tuple[int, ...], axis: int, step: int) -> Callable[[int, int], Any]:
    """A function that gives the alpha or scale of a chunk: a number, or an array of its shape."""
    if array.size == 1:
        number = float(array.item())
        return lambda *_: number

    def spread(part: Any, length: int) -> Any:
        sides = (*shape[:axis], length, *shape[axis + 1 :])
        return np.ascontiguousarray(np.broadcast_to(part, sides))

    if array.shape[axis] == 1:  # the same for all chunks: expanded once
        block = spread(array, step)
        return lambda start, stop: _cut(block, axis, 0, stop - start)
    return lambda start, stop: spread(_cut(array, axis, start, stop), stop - start)


def _weigh(term: Any, g: Any, factor: float | None) -> None:
    """Multiply derivatives by g, in place; the product is 0 where g is, even if infinite."""
    if factor is not None:
        np.multiply(term, factor, out=term)
        return
    np.multiply(term, g, out=term)
    np.copyto(term, 0.0, where=g == 0)


def _put(term: Any, target: Any, is_shared: bool) -> Any:
    """Store the sums of a chunk's derivatives, or return them to be added to other chunks'."""
    axes = zip(term.shape, target.shape, strict=True)
    summed = tuple([place for place, (side, left) in enumerate(axes) if left < side])
    if summed:
        term = _halved(term) if summed[0] == 0 else term
        term = np.sum(term, axis=summed, keepdims=True, dtype=np.float64)
    if is_shared:
        return term
    if term is not target:
        target[...] = term
    return None


def _halved(term: Any) -> Any:
    """The sum over the first axis, in place: one half is added to the other until one row is left.

    This takes one addition per element, however short the rows are, and its error grows as the
    logarithm of their number.
    """
    rows = term.shape[0]
    while rows > 1:
        half = rows // 2
        term[:half] += term[rows - half : rows]
        rows -= half
    return term[:1]
