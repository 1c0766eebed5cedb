"""torch tensors: operators of torch's own, with their derivatives.

``robloss::evaluate`` computes an operation, ``robloss::gradients`` what its backward pass asks for:
tensors on the CPU by the kernels, on memory that is shared with NumPy, others by the formula.
Compilers and transforms see the two as they see torch's own: they know the shape of a result
without computing it, and what it means to map one.

Automatic differentiation of the formula would lose the digits of ∂ρ/∂α for small residuals, so all
derivatives go through the table of partials in `robloss._ops`. The arguments are saved for the
backward pass, in their own dtype, and beside them at most the slopes in x (`_Plain`).
"""

from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch
from torch.autograd import forward_ad

from robloss import _formulas
from robloss._args import Arguments, is_small_and_plain
from robloss._backends import numpy as kernels
from robloss._backends.pullback import constant_of, pullback
from robloss._backends.slopes import Slopes, loss_with_slopes, pays
from robloss._ops import OPERATIONS, Operation

# Where an operation's values come from: itself, or what it is a form of.
_ROWS = {
    row.name: OPERATIONS[row.smooth_form_of or row.beside_two_of or row.name]
    for row in OPERATIONS.values()
}
# What `robloss._backends.pullback` serves.
_LOSSES = ("loss", "smooth_loss")
_NUMPY = {
    torch.float64: np.dtype("float64"),
    torch.float32: np.dtype("float32"),
    torch.float16: np.dtype("float16"),
}


def evaluate(operation: Operation, arguments: Arguments) -> torch.Tensor:
    """Compute the operation; see `robloss._backends`."""
    return _call(operation.name, arguments.dtype, *_tensors(arguments))


def result_dtype(arguments: Arguments) -> torch.dtype:
    """The dtype to return: under autocast that of the computation, as of torch's own losses."""
    device = _device(arguments)
    return arguments.compute if torch.is_autocast_enabled(device.type) else arguments.dtype


def constant(array: torch.Tensor) -> torch.Tensor:
    """The tensor, cut from what it was computed from; itself where nothing is recorded."""
    return array.detach()


def _tensors(arguments: Arguments) -> list[torch.Tensor]:
    """The arguments as they are given, numbers as tensors beside them."""
    if float not in map(type, arguments.given):
        return list(arguments.given)
    device = _device(arguments)
    return [
        torch.full((), one, dtype=arguments.compute, device=device)
        if isinstance(one, float)
        else one
        for one in arguments.given
    ]


def _device(arguments: Arguments) -> torch.device:
    return next(one.device for one in arguments.given if not isinstance(one, float))


def _call(name: str, dtype: torch.dtype, *inputs: torch.Tensor) -> torch.Tensor:
    """An operation as a function of tensors, in whatever mode torch differentiates."""
    row = OPERATIONS[name]
    is_compiling = torch.compiler.is_compiling()
    is_transformed = not is_compiling and _is_transformed()
    is_plain = not is_compiling and not is_transformed and _are_plain(inputs)
    if is_plain and not (torch.is_grad_enabled() and any(one.requires_grad for one in inputs)):
        return _values(name, dtype, list(inputs))
    if row.partials is None:
        working = [one.to(_working(dtype)) for one in inputs]
        return row.formula(xp, *working).to(dtype)
    # Operators of Python have no forward mode, and no place in a gradient of a gradient; compilers
    # trace no function that has them.
    if is_transformed:
        return _Dual.apply(name, dtype, *inputs)
    if is_plain:
        return _Plain.apply(name, dtype, *inputs)
    return _evaluate(name, dtype, *inputs)


def _is_transformed() -> bool:
    """Whether torch is in forward mode, or inside a transform of `torch.func`."""
    return bool(
        forward_ad._current_level >= 0  # noqa: SLF001
        or torch._C._are_functorch_transforms_active()  # noqa: SLF001
    )


_PLAIN = (torch.Tensor, torch.nn.Parameter)


def _are_plain(inputs: tuple[torch.Tensor, ...]) -> bool:
    """Whether these are tensors in the memory of the CPU, and nobody looks at what is done to them.

    A function of Python then gives the same as the operator, and takes half as long to call.
    """
    for one in inputs:
        if type(one) not in _PLAIN or not one.is_cpu:
            return False
    is_seen: bool = torch._C._len_torch_dispatch_stack() > 0  # noqa: SLF001
    return not is_seen


def _working(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in."""
    return dtype if dtype == torch.float64 else torch.float32


# ------------------------------------------------------------------------------------- values


def _values(name: str, dtype: torch.dtype, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Values of an operation, in memory of their own."""
    row = _ROWS[name]
    if row is not OPERATIONS[name] and OPERATIONS[name].beside_two_of is not None:
        place = len(inputs) // 2
        inputs = [*inputs]
        inputs[place] = _formulas.beside_two(xp, inputs[place].to(_working(dtype)))
    room = _room(dtype, inputs)
    if row.kernel is None or not all(one.is_cpu for one in inputs):
        return room.copy_(row.formula(xp, *[one.to(_working(dtype)) for one in inputs]))
    if dtype not in _NUMPY:
        return room.copy_(_values(row.name, _working(dtype), inputs))
    first, *others = inputs
    given = (_array(first), *[_array(one) if one.ndim else one.item() for one in others])
    if first.dtype == dtype and is_small_and_plain(given):
        x, alpha, scale = given
        kernels.small(row.name, x, alpha, scale, room.numpy())
        return room
    compute = _NUMPY[_working(dtype)]
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


def _array(tensor: torch.Tensor, dtype: torch.dtype | None = None) -> Any:
    """The tensor's memory as NumPy sees it, if need be of another dtype."""
    if dtype is not None and tensor.dtype != dtype:
        tensor = tensor.to(dtype)
    elif tensor.dtype not in _NUMPY:
        tensor = tensor.to(torch.float32)
    return tensor.numpy(force=True)


def _computed(name: str, dtype: torch.dtype, *inputs: torch.Tensor | None) -> torch.Tensor:
    return _values(name, dtype, _present(inputs))


def _foreseen(name: str, dtype: torch.dtype, *inputs: torch.Tensor | None) -> torch.Tensor:
    return _room(dtype, _present(inputs))


def _mapped(
    info: Any, in_dims: Any, name: str, dtype: torch.dtype, *inputs: Any
) -> tuple[Any, int]:
    given = _present(inputs)
    places = in_dims[2 : 2 + len(given)]
    ndim = max(one.ndim - (at is not None) for one, at in zip(given, places, strict=True))
    mapped = [
        one if at is None else _mapped_first(one, at, ndim)
        for one, at in zip(given, places, strict=True)
    ]
    return _evaluate(name, dtype, *mapped), 0


_evaluate: Any = torch.library.custom_op(
    "robloss::evaluate",
    _computed,
    mutates_args=(),
    schema="(str name, ScalarType dtype, Tensor first, Tensor? second=None, Tensor? third=None)"
    " -> Tensor",
)
_evaluate.register_fake(_foreseen)
_evaluate.register_vmap(_mapped)


def _present(inputs: tuple[torch.Tensor | None, ...]) -> list[torch.Tensor]:
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
    given = _present(inputs)
    return _three(_slopes(name, dtype, needed, grad, given), grad)


def _slopes(
    name: str,
    dtype: torch.dtype,
    needed: list[bool],
    grad: torch.Tensor,
    given: list[torch.Tensor],
) -> list[torch.Tensor | None]:
    """The gradients that are needed, in memory of their own."""
    if name in _LOSSES and all(one.is_cpu for one in (grad, *given)):
        g, x, alpha, scale = [_array(one, _working(dtype)) for one in (grad, *given)]
        smooth = name == "smooth_loss"
        slopes = pullback(g, x, alpha, scale, tuple(needed), smooth=smooth)
        found = [None if value is None else torch.from_numpy(value) for value in slopes]
        return [
            value if value is None or value.dtype == one.dtype else value.to(one.dtype)
            for value, one in zip(found, given, strict=True)
        ]
    partials = zip(OPERATIONS[name].partials or (), given, needed, strict=True)
    return [
        _pulled(grad, _values(partial, _working(dtype), given), one).contiguous() if need else None
        for partial, one, need in partials
    ]


def _foreseen_gradients(
    name: str, dtype: torch.dtype, needed: list[bool], grad: torch.Tensor, *inputs: Any
) -> Three:
    found = [
        torch.empty(one.shape, dtype=one.dtype, device=one.device) if need else None
        for one, need in zip(_present(inputs), needed, strict=True)
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
    given = _present(inputs)
    places = in_dims[3 : 4 + len(given)]
    ndim = grad.ndim - (in_dims[3] is not None)
    every = [
        one.expand(info.batch_size, *one.shape) if at is None else one.movedim(at, 0)
        for one, at in zip((grad, *given), places, strict=True)
    ]
    found = _gradients(name, dtype, needed, *[_mapped_first(one, 0, ndim) for one in every])
    shaped = [
        value.reshape(one.shape) if need else None
        for value, one, need in zip(found, every[1:], needed, strict=False)
    ]
    return _three(shaped, grad), tuple(
        [0 if need else None for need in (*needed, False, False)[:3]]
    )


_gradients: Any = torch.library.custom_op(
    "robloss::gradients",
    _computed_gradients,
    mutates_args=(),
    schema="(str name, ScalarType dtype, bool[] needed, Tensor grad, Tensor first,"
    " Tensor? second=None, Tensor? third=None) -> (Tensor, Tensor, Tensor)",
)
_gradients.register_fake(_foreseen_gradients)
_gradients.register_vmap(_mapped_gradients)


def _three(found: list[torch.Tensor | None], like: torch.Tensor) -> Three:
    """The gradients, and empty tensors for what is not needed."""
    full = [like.new_empty(0) if one is None else one for one in (*found, None, None)]
    return full[0], full[1], full[2]


def _pulled(grad: torch.Tensor, slope: torch.Tensor, one: torch.Tensor) -> torch.Tensor:
    """The gradient in an argument: of its shape and dtype."""
    return _times(grad.to(slope.dtype), slope).sum_to_size(one.shape).to(one.dtype)


def _times(grad: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """The product, 0 where the gradient is 0, whatever the slope: that of a huge x is infinite."""
    return grad * torch.where((grad == 0) & ~torch.isfinite(slope), 0.0, slope)


# ----------------------------------------------------------------------------- derivative rules


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.name, ctx.dtype, *tensors = inputs
    ctx.save_for_backward(*_present(tuple(tensors)))


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    return _pulled_back(ctx, grad, list(ctx.saved_tensors))


def _pulled_back(
    ctx: Any, grad: torch.Tensor, inputs: list[torch.Tensor]
) -> tuple[torch.Tensor | None, ...]:
    """What a backward pass gives: with derivatives of its own, where they are asked for."""
    needed = list(ctx.needs_input_grad[2 : 2 + len(inputs)])
    rest = (None,) * (len(ctx.needs_input_grad) - 2 - len(inputs))
    found: Any
    if torch.is_grad_enabled() or forward_ad._current_level >= 0:  # noqa: SLF001
        found = _differentiable(ctx.name, ctx.dtype, needed, grad, inputs)
    else:
        found = _gradients(ctx.name, ctx.dtype, needed, grad, *inputs)
    pairs = zip(found, needed, strict=False)
    return (None, None, *[one if need else None for one, need in pairs], *rest)


def _differentiable(
    name: str,
    dtype: torch.dtype,
    needed: list[bool],
    grad: torch.Tensor,
    inputs: list[torch.Tensor],
) -> list[torch.Tensor | None]:
    """The gradients that are needed, made of operations that can be differentiated again."""
    dtype = _working(dtype)
    partials = zip(OPERATIONS[name].partials or (), inputs, needed, strict=True)
    return [
        _pulled(grad, _call(partial, dtype, *inputs), one) if need else None
        for partial, one, need in partials
    ]


_evaluate.register_autograd(_backward, setup_context=_setup_context)


class _Plain(torch.autograd.Function):  # type: ignore[misc]
    """The operator for `_are_plain` tensors.

    With one alpha and one scale, or one for each column, the slopes of the sum of losses cost next
    to nothing beside the losses. They are kept for a backward pass that asks for a multiple of
    them, as those of sums and means do; the first such pass takes them with it.
    """

    @staticmethod
    def forward(ctx: Any, name: str, dtype: torch.dtype, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute the operation, and save the arguments."""
        ctx.name, ctx.dtype, ctx.is_whole = name, dtype, False
        if name in _LOSSES and any(ctx.needs_input_grad):
            x, alpha, scale = [_array(one) for one in inputs]
            if _is_whole(dtype, *inputs) and (name == "loss" or not (alpha == 2.0).any()):
                ctx.is_whole = True
                loss, slopes = loss_with_slopes(x, alpha, scale, ctx.needs_input_grad[2])
                kept = () if slopes.in_x is None else (torch.from_numpy(slopes.in_x),)
                # Saved like the arguments, so that hooks of saved tensors see what takes room.
                ctx.save_for_backward(*inputs, *kept)
                ctx.slopes = slopes._replace(in_x=None)
                return torch.from_numpy(loss)
        ctx.save_for_backward(*inputs)
        return _values(name, dtype, list(inputs))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients: once and for all, or to be differentiated again."""
        saved = list(ctx.saved_tensors)  # once: a checkpoint gives nothing twice
        inputs = saved[: len(ctx.needs_input_grad) - 2]
        if torch.is_grad_enabled() or _is_transformed() or not _has_memory(grad):
            return _pulled_back(ctx, grad, inputs)
        factor = constant_of(_array(grad)) if ctx.is_whole else None
        if factor is not None:
            x, alpha, scale = [_array(one) for one in inputs]
            slopes: Slopes | None = ctx.__dict__.pop("slopes", None)
            if slopes is None:  # a second pass through the same graph gives the same bits
                slopes = loss_with_slopes(x, alpha, scale, ctx.needs_input_grad[2])[1]
            elif ctx.needs_input_grad[2]:
                slopes = slopes._replace(in_x=_array(saved[-1]))
            found = slopes.times(factor, alpha, scale)
            tensors = [None if one is None else torch.from_numpy(one) for one in found]
            return (None, None, *tensors)
        needed = list(ctx.needs_input_grad[2:])
        return (None, None, *_slopes(ctx.name, ctx.dtype, needed, grad, inputs))


def _is_whole(
    dtype: torch.dtype, x: torch.Tensor, alpha: torch.Tensor, scale: torch.Tensor
) -> bool:
    """Whether there is one alpha and scale, or one for each long column, of a contiguous x."""
    if not dtype == x.dtype == alpha.dtype == scale.dtype or not x.is_contiguous():
        return False
    if dtype not in (torch.float32, torch.float64) or not x.numel():
        return False
    ndim = max(alpha.ndim, scale.ndim)
    if ndim == 0:
        return True
    columns = x.shape[-1] if x.ndim else 0
    return ndim == 1 and {*alpha.shape, *scale.shape} == {columns} and pays(x.numel(), columns)


def _has_memory(tensor: torch.Tensor) -> bool:
    """Whether that is no tensor inside a mapping over several of them."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


class _Dual(torch.autograd.Function):  # type: ignore[misc]
    """The operator, with a forward mode and under the transforms of `torch.func`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, dtype: torch.dtype, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute the operation."""
        result: torch.Tensor = _evaluate(name, dtype, *inputs)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        """Save the arguments, for both modes."""
        _setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[2:])

    backward = staticmethod(_backward)

    @staticmethod
    def jvp(ctx: Any, *tangents: torch.Tensor | None) -> torch.Tensor:
        """Sum the partials times the tangents of their arguments."""
        inputs = ctx.saved_tensors
        dtype = _working(ctx.dtype)
        terms = [
            _times(tangent.to(dtype), _call(partial, dtype, *inputs))
            for partial, tangent in zip(
                OPERATIONS[ctx.name].partials or (), tangents[2:], strict=True
            )
            if tangent is not None
        ]
        return sum(terms[1:], terms[0]).to(ctx.dtype)
