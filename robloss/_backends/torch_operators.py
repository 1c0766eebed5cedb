"""Operators of torch's own: ``robloss::evaluate`` and ``robloss::gradients``.

The first computes an operation, the second what its backward pass asks for: tensors on the CPU by
the kernels, on memory that is shared with NumPy, those on a CUDA device by the CUDA kernels, others
by the formula. Compilers and transforms see the two as they see torch's own: they know the shape of
a result without computing it, and what it means to map one.
"""

from collections.abc import Sequence
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch

from robloss import _formulas
from robloss._args import Arguments, is_small_and_plain
from robloss._backends import numpy as kernels
from robloss._backends import torch_cuda
from robloss._backends.cuda import serves
from robloss._backends.pullback import pullback
from robloss._ops import OPERATIONS

# Where an operation's values come from: itself, or what it is a form of.
_ROWS = {
    row.name: OPERATIONS[row.smooth_form_of or row.beside_two_of or row.name]
    for row in OPERATIONS.values()
}
# What `robloss._backends.pullback` serves.
LOSSES = ("loss", "smooth_loss")
NUMPY = {
    torch.float64: np.dtype("float64"),
    torch.float32: np.dtype("float32"),
    torch.float16: np.dtype("float16"),
}


def working(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in."""
    return dtype if dtype == torch.float64 else torch.float32


def on_host(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether they lie in the memory of the CPU."""
    # A third of the time that `all` takes of a generator.
    return False not in [one.is_cpu for one in tensors]


def have_cuda_kernel(name: str, tensors: tuple[torch.Tensor, ...]) -> bool:
    """Whether a CUDA kernel computes the operation on such tensors."""
    return serves((_ROWS[name].name,)) and not on_host(tensors)


def values(name: str, dtype: torch.dtype, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Values of an operation, in memory of their own."""
    row = _ROWS[name]
    if row is not OPERATIONS[name] and OPERATIONS[name].beside_two_of is not None:
        place = len(inputs) // 2
        inputs = [*inputs]
        # torch's own namespace serves here, and takes half the time of the wrapped one.
        inputs[place] = _formulas.beside_two(torch, inputs[place].to(working(dtype)))
    if not on_host(inputs):
        found = torch_cuda.values((row.name,), dtype, inputs)
        if found is not None:
            return found[0]
    room = _room(dtype, inputs)
    if row.kernel is None or not on_host(inputs):
        return room.copy_(row.formula(xp, *[one.to(working(dtype)) for one in inputs]))
    if dtype not in NUMPY:
        return room.copy_(values(row.name, working(dtype), inputs))
    first, *others = inputs
    given = (as_array(first), *[as_array(one) if one.ndim else float(one.item()) for one in others])
    if first.dtype == dtype and is_small_and_plain(given):
        x, alpha, scale = given
        kernels.small(row.name, x, alpha, scale, room.numpy())
        return room
    compute = NUMPY[working(dtype)]
    arguments = Arguments("numpy", np, given, compute, compute)
    kernels.evaluate((row.name,), arguments, (room.numpy(),))
    return room


def _room(dtype: torch.dtype, inputs: list[torch.Tensor]) -> torch.Tensor:
    """An empty tensor for the result: where it can be, laid out like the first input."""
    first, *others = inputs
    shape = first.shape
    if any(one.ndim for one in others):
        shape = torch.broadcast_shapes(shape, *[one.shape for one in others])
    if first.shape == shape:
        return torch.empty_like(first, dtype=dtype, requires_grad=False)
    return torch.empty(shape, dtype=dtype, device=first.device)


def as_array(tensor: torch.Tensor, dtype: torch.dtype | None = None) -> Any:
    """The tensor's memory as NumPy sees it, if need be of another dtype."""
    if dtype is not None and tensor.dtype != dtype:
        tensor = tensor.to(dtype)
    elif tensor.dtype not in NUMPY:
        # bfloat16, or integers, which keep more digits so beside float64.
        tensor = tensor.to(torch.float32 if tensor.is_floating_point() else torch.float64)
    return tensor.numpy(force=True)


def _computed(name: str, dtype: torch.dtype, *inputs: torch.Tensor | None) -> torch.Tensor:
    return values(name, dtype, present(inputs))


def _foreseen(name: str, dtype: torch.dtype, *inputs: torch.Tensor | None) -> torch.Tensor:
    return _room(dtype, present(inputs))


def _mapped(
    info: Any, in_dims: Any, name: str, dtype: torch.dtype, *inputs: Any
) -> tuple[Any, int]:
    given = present(inputs)
    places = in_dims[2 : 2 + len(given)]
    ndim = max(one.ndim - (at is not None) for one, at in zip(given, places, strict=True))
    mapped = [
        one if at is None else _mapped_first(one, at, ndim)
        for one, at in zip(given, places, strict=True)
    ]
    return evaluate(name, dtype, *mapped), 0


evaluate: Any = torch.library.custom_op(
    "robloss::evaluate",
    _computed,
    mutates_args=(),
    schema="(str name, ScalarType dtype, Tensor first, Tensor? second=None, Tensor? third=None)"
    " -> Tensor",
)
evaluate.register_fake(_foreseen)
evaluate.register_vmap(_mapped)


def present(inputs: tuple[torch.Tensor | None, ...]) -> list[torch.Tensor]:
    return [one for one in inputs if one is not None]


def _mapped_first(tensor: torch.Tensor, place: int, ndim: int) -> torch.Tensor:
    """The tensor with the axis that is mapped in front, and `ndim` others."""
    tensor = tensor.movedim(place, 0)
    return tensor.reshape(tensor.shape[:1] + (1,) * (ndim + 1 - tensor.ndim) + tensor.shape[1:])


# ---------------------------------------------------------------------------------- gradients

# Three tensors, whatever is needed: torch's older mapping, which `is_grads_batched` uses, goes
# through no list.
Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _computed_gradients(
    name: str, dtype: torch.dtype, needed: list[bool], grad: torch.Tensor, *inputs: Any
) -> Three:
    given = present(inputs)
    return _three(slopes(name, dtype, needed, grad, given), grad)


def slopes(
    name: str,
    dtype: torch.dtype,
    needed: list[bool],
    grad: torch.Tensor,
    given: list[torch.Tensor],
) -> list[torch.Tensor | None]:
    """The gradients that are needed, in memory of their own."""
    if name in LOSSES and not on_host([grad, *given]):
        fused = torch_cuda.gradients(name, dtype, needed, grad, given)
        if fused is not None:
            return fused
    elif name in LOSSES:
        g, x, alpha, scale = [as_array(one, working(dtype)) for one in (grad, *given)]
        smooth = name == "smooth_loss"
        arrays = pullback(g, x, alpha, scale, tuple(needed), smooth=smooth)
        found = [None if value is None else torch.from_numpy(value) for value in arrays]
        return [
            value if value is None or value.dtype == one.dtype else value.to(one.dtype)
            for value, one in zip(found, given, strict=True)
        ]
    grad = grad.to(working(dtype))
    found = []
    for partial, one, need in zip(OPERATIONS[name].partials or (), given, needed, strict=True):
        value = None
        if need:
            # As `times`, where the product need not be differentiated.
            terms = torch.where(grad == 0, 0.0, grad * values(partial, working(dtype), given))
            value = _summed(terms, one).contiguous()
        found.append(value)
    return found


def _foreseen_gradients(
    name: str, dtype: torch.dtype, needed: list[bool], grad: torch.Tensor, *inputs: Any
) -> Three:
    found = [
        torch.empty(one.shape, dtype=one.dtype, device=one.device) if need else None
        for one, need in zip(present(inputs), needed, strict=True)
    ]
    return _three(found, grad)


def _mapped_gradients(
    info: Any,
    in_dims: Any,
    name: str,
    dtype: torch.dtype,
    needed: list[bool],
    grad: torch.Tensor,
    *inputs: Any,
) -> tuple[Three, tuple[int | None, ...]]:
    given = present(inputs)
    places = in_dims[3 : 4 + len(given)]
    ndim = grad.ndim - (in_dims[3] is not None)
    every = [
        one.expand(info.batch_size, *one.shape) if at is None else one.movedim(at, 0)
        for one, at in zip((grad, *given), places, strict=True)
    ]
    found = gradients(name, dtype, needed, *[_mapped_first(one, 0, ndim) for one in every])
    shaped = [
        value.reshape(one.shape) if need else None
        for value, one, need in zip(found, every[1:], needed, strict=False)
    ]
    return _three(shaped, grad), tuple(
        [0 if need else None for need in (*needed, False, False)[:3]]
    )


gradients: Any = torch.library.custom_op(
    "robloss::gradients",
    _computed_gradients,
    mutates_args=(),
    schema="(str name, ScalarType dtype, bool[] needed, Tensor grad, Tensor first,"
    " Tensor? second=None, Tensor? third=None) -> (Tensor, Tensor, Tensor)",
)
gradients.register_fake(_foreseen_gradients)
gradients.register_vmap(_mapped_gradients)


def _three(found: list[torch.Tensor | None], like: torch.Tensor) -> Three:
    """The gradients, and empty tensors for what is not needed."""
    full = [like.new_empty(0) if one is None else one for one in (*found, None, None)]
    return full[0], full[1], full[2]


def pulled(grad: torch.Tensor, slope: torch.Tensor, one: torch.Tensor) -> torch.Tensor:
    """The gradient in an argument: of its shape and dtype."""
    return _summed(times(grad.to(slope.dtype), slope), one)


def _summed(terms: torch.Tensor, one: torch.Tensor) -> torch.Tensor:
    return terms.sum_to_size(one.shape).to(one.dtype)


def times(grad: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """The product, 0 where the gradient is 0, whatever the slope: that of a huge x is infinite."""
    return grad * torch.where((grad == 0) & ~torch.isfinite(slope), 0.0, slope)
