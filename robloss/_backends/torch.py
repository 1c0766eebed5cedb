"""torch tensors: the operators of `torch_operators`, in each of torch's modes of differentiation.

Automatic differentiation of the formula would lose the digits of ∂ρ/∂α for small residuals, so all
derivatives go through the table of partials in `robloss._ops`. The arguments are saved for the
backward pass, in their own dtype, and in addition at most the slopes in x (`_Whole`).
"""

from typing import Any

import array_api_compat.torch as xp
import torch
from torch.autograd import forward_ad

from robloss._args import Arguments
from robloss._backends import torch_cuda
from robloss._backends import torch_operators as operators
from robloss._backends.generic import or_infinite
from robloss._backends.pullback import constant_of
from robloss._backends.slopes import Slopes, loss_with_slopes, multiplied, pays
from robloss._libraries import has_autocast
from robloss._ops import OPERATIONS


def evaluate(names: tuple[str, ...], arguments: Arguments) -> tuple[torch.Tensor, ...]:
    """Compute several operations of the same parameters; see `robloss._backends`."""
    found = _in_one_pass(names, arguments)
    if found is not None:
        return found
    tensors = _tensors(arguments)
    return tuple([_call(name, arguments.dtype, *tensors) for name in names])


def _in_one_pass(names: tuple[str, ...], arguments: Arguments) -> tuple[torch.Tensor, ...] | None:
    """The values on a CUDA device, where torch need not see what computes them; else None."""
    if torch.compiler.is_compiling():
        return None
    tensors = tuple([one for one in arguments.given if not isinstance(one, float)])
    if operators.on_host(tensors) or _is_transformed() or not _are_unseen(tensors):
        return None
    if _is_recorded(tensors):
        return None
    names = tuple([OPERATIONS[name].smooth_form_of or name for name in names])
    return torch_cuda.values(names, arguments.dtype, arguments.given)


def quickly(name: str, given: tuple[Any, ...]) -> torch.Tensor | None:
    """The losses, if `_Whole` can compute them and no argument needs a conversion or a check.

    None for any other call, which goes to `evaluate`. This saves a training step on 1000 numbers
    its largest cost, the examination of the arguments: 20 of 120 µs.
    """
    if torch.compiler.is_compiling() or len(given) != 3 or not _are_plain(given):
        return None
    if _is_transformed() or not _is_recorded(given):
        return None
    if not _is_whole(name, given[0].dtype, given):
        return None
    # This skips torch's own `apply`, which looks for transforms and for tensors left over from
    # them: there are none here.
    result: torch.Tensor = super(torch.autograd.Function, _Whole).apply(name, *given)
    return result


def result_dtype(arguments: Arguments) -> torch.dtype:
    """The dtype to return: under autocast that of the computation, as of torch's own losses."""
    device = _device(arguments)
    is_widened = has_autocast(device) and torch.is_autocast_enabled(device.type)
    return arguments.compute if is_widened else arguments.dtype


def constant(array: torch.Tensor) -> torch.Tensor:
    """The tensor, detached from the graph; the tensor itself where nothing is recorded."""
    return array.detach()


def added(value: torch.Tensor, term: torch.Tensor | float) -> torch.Tensor:
    """The sum, written into `value` unless torch observes or transforms the operation."""
    tensors = (value,) if isinstance(term, float) else (value, term)
    if torch.compiler.is_compiling() or _is_transformed() or not _are_unseen(tensors):
        return value + term
    return value.add_(term)


_copied: dict[tuple[Any, ...], torch.Tensor] = {}


def numbers_beside(numbers: tuple[float, ...], tensor: torch.Tensor) -> torch.Tensor:
    """The numbers in the dtype and on the device of a tensor, to a GPU copied once and for all.

    For a copy the host waits, and graphs of CUDA's refuse it.
    """

    def copied() -> torch.Tensor:
        return torch.tensor(numbers, dtype=tensor.dtype, device=tensor.device)

    if torch.compiler.is_compiling() or operators.on_host((tensor,)) or type(tensor) not in _PLAIN:
        return copied()
    place = numbers, tensor.dtype, tensor.device
    found = _copied.get(place)
    if found is None:
        with torch.inference_mode(False):  # what is made in that mode no backward pass may use
            found = copied()
        if not _is_transformed() and _are_unseen((tensor,)):
            _copied[place] = found
    return found


def _tensors(arguments: Arguments) -> list[torch.Tensor]:
    """The arguments as given, with numbers turned into tensors on the same device."""
    if float not in [type(one) for one in arguments.given]:
        return list(arguments.given)
    device, dtype = _device(arguments), arguments.compute
    return [
        torch.full((), or_infinite(one, xp, dtype), dtype=dtype, device=device)
        if isinstance(one, float)
        else one
        for one in arguments.given
    ]


def _device(arguments: Arguments) -> torch.device:
    return next(one.device for one in arguments.given if not isinstance(one, float))


def _call(name: str, dtype: torch.dtype, *inputs: torch.Tensor) -> torch.Tensor:
    """An operation as a function of tensors, in each of torch's modes of differentiation."""
    row = OPERATIONS[name]
    is_compiling = torch.compiler.is_compiling()
    is_transformed = not is_compiling and _is_transformed()
    is_plain = not is_compiling and not is_transformed and _are_plain(inputs)
    if is_plain and not _is_recorded(inputs):
        return operators.values(name, dtype, list(inputs))
    if row.partials is None:
        is_seen = is_compiling or is_transformed or torch.jit.is_tracing()
        if is_seen or _is_recorded(inputs) or not operators.have_cuda_kernel(name, inputs):
            working = [one.to(operators.working(dtype)) for one in inputs]
            return row.formula(xp, *working).to(dtype)
    # Custom operators have no forward mode and no place in a gradient of a gradient; compilers
    # trace no `autograd.Function` that provides them.
    if is_transformed:
        return _Dual.apply(name, dtype, *inputs)
    if is_plain and _is_whole(name, dtype, inputs):
        return _Whole.apply(name, *inputs)
    if is_plain:
        return _Plain.apply(name, dtype, *inputs)
    return operators.evaluate(name, dtype, *inputs)


def _is_transformed() -> bool:
    """Whether torch is in forward mode, or inside a transform of `torch.func`."""
    return bool(
        forward_ad._current_level >= 0  # noqa: SLF001
        or torch._C._are_functorch_transforms_active()  # noqa: SLF001
    )


_PLAIN = (torch.Tensor, torch.nn.Parameter)
# Whether a tensor comes from a transform of `torch.func`, perhaps one that is over.
_is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # noqa: SLF001


def _are_plain(inputs: tuple[torch.Tensor, ...]) -> bool:
    """Whether these are ordinary CPU tensors, and no dispatch mode or trace observes operations.

    An `autograd.Function` then gives the same as the operator, whose call takes more than twice as
    long: 45 µs against 17 for the influence of 1000 numbers, to be differentiated.
    """
    return _are_unseen(inputs) and operators.on_host(inputs)


def _are_unseen(inputs: tuple[torch.Tensor, ...]) -> bool:
    """Whether these are ordinary tensors, and no dispatch mode or trace observes operations."""
    for one in inputs:
        if type(one) not in _PLAIN or _is_wrapped(one):
            return False
    # `torch.jit.trace` would record an uninitialised array, but not the kernel that fills it.
    is_seen: bool = torch._C._len_torch_dispatch_stack() > 0 or torch.jit.is_tracing()  # noqa: SLF001
    return not is_seen


def _is_recorded(inputs: tuple[torch.Tensor, ...]) -> bool:
    """Whether torch records operations on these, to differentiate them."""
    if torch.is_grad_enabled():
        for one in inputs:
            if one.requires_grad:
                return True
    return False


# ----------------------------------------------------------------------------- derivative rules


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.name, ctx.dtype, *tensors = inputs
    ctx.save_for_backward(*operators.present(tuple(tensors)))


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    inputs = list(ctx.saved_tensors)
    needed = list(ctx.needs_input_grad[2 : 2 + len(inputs)])
    rest = (None,) * (len(ctx.needs_input_grad) - 2 - len(inputs))
    return (None, None, *_pulled_back(ctx.name, ctx.dtype, needed, grad, inputs), *rest)


def _pulled_back(
    name: str,
    dtype: torch.dtype,
    needed: list[bool],
    grad: torch.Tensor,
    inputs: list[torch.Tensor],
) -> list[torch.Tensor | None]:
    """The result of a backward pass, itself differentiable where that is asked for."""
    found: Any
    if torch.is_grad_enabled() or forward_ad._current_level >= 0:  # noqa: SLF001
        found = _differentiable(name, dtype, needed, grad, inputs)
    else:
        found = operators.gradients(name, dtype, needed, grad, *inputs)[: len(needed)]
    return [one if need else None for one, need in zip(found, needed, strict=True)]


def _differentiable(
    name: str,
    dtype: torch.dtype,
    needed: list[bool],
    grad: torch.Tensor,
    inputs: list[torch.Tensor],
) -> list[torch.Tensor | None]:
    """The gradients that are needed, by operations that can be differentiated again."""
    dtype = operators.working(dtype)
    partials = zip(OPERATIONS[name].partials or (), inputs, needed, strict=True)
    return [
        operators.pulled(grad, _call(partial, dtype, *inputs), one) if need else None
        for partial, one, need in partials
    ]


operators.evaluate.register_autograd(_backward, setup_context=_setup_context)


class _Plain(torch.autograd.Function):  # type: ignore[misc]
    """The operator, for tensors that `_are_plain`."""

    @staticmethod
    def forward(ctx: Any, name: str, dtype: torch.dtype, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute the operation, and save the arguments."""
        ctx.name, ctx.dtype = name, dtype
        ctx.save_for_backward(*inputs)
        return operators.values(name, dtype, list(inputs))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients: once and for all, or to be differentiated again."""
        needed, inputs = list(ctx.needs_input_grad[2:]), list(ctx.saved_tensors)
        gradients = _pulled_back if _is_watched(grad) else operators.slopes
        return (None, None, *gradients(ctx.name, ctx.dtype, needed, grad, inputs))


class _Whole(torch.autograd.Function):  # type: ignore[misc]
    """The losses of tensors that `_are_plain`, with one alpha and scale, or one for each column.

    Computing the slopes of their sum along with them costs next to nothing. They are kept for a
    backward pass that asks for a multiple of them, as those of sums and means do; the first such
    pass consumes them.
    """

    @staticmethod
    def forward(
        ctx: Any, name: str, x: torch.Tensor, alpha: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """Compute losses and slopes, and save the arguments."""
        loss, (in_x, *others) = _slopes_kept(x, alpha, scale, ctx.needs_input_grad[1])
        ctx.name, ctx.others = name, others
        # Saved like the arguments, so that hooks on saved tensors see all that takes memory.
        kept = () if in_x is None else (torch.from_numpy(in_x),)
        ctx.save_for_backward(x, alpha, scale, *kept)
        return torch.from_numpy(loss)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients: once and for all, or to be differentiated again."""
        x, alpha, scale, *kept = ctx.saved_tensors  # once: a checkpoint gives nothing twice
        is_watched = _is_watched(grad)
        factor = None if is_watched else constant_of(grad.numpy(force=True))
        if factor is None:
            needed, inputs = list(ctx.needs_input_grad[1:]), [x, alpha, scale]
            gradients = _pulled_back if is_watched else operators.slopes
            return (None, *gradients(ctx.name, x.dtype, needed, grad, inputs))
        others = ctx.__dict__.pop("others", None)
        if others is None:  # a second pass through the same graph gives the same bits
            slopes = _slopes_kept(x, alpha, scale, ctx.needs_input_grad[1])[1]
        else:
            slopes = kept[0].numpy(force=True) if kept else None, *others
        found = multiplied(slopes, factor, (alpha.shape, scale.shape), operators.NUMPY[x.dtype])
        return (None, *[None if one is None else torch.from_numpy(one) for one in found])


def _slopes_kept(
    x: torch.Tensor, alpha: torch.Tensor, scale: torch.Tensor, in_x: bool
) -> tuple[Any, Slopes]:
    return loss_with_slopes(
        x.numpy(force=True),
        alpha.numpy(force=True) if alpha.ndim else alpha.item(),
        scale.numpy(force=True) if scale.ndim else scale.item(),
        in_x,
    )


def _is_watched(grad: torch.Tensor) -> bool:
    """Whether the gradients are to be differentiated, compiled or mapped over several of `grad`."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return True
    return _is_transformed() or not _has_memory(grad)


def _is_whole(name: str, dtype: torch.dtype, inputs: tuple[torch.Tensor, ...]) -> bool:
    """Whether `_Whole` can compute this: a loss of a contiguous x, with suitable alpha and scale.

    These must be single numbers, or have one number for each column, if columns are long enough;
    and `smooth_loss` is excluded at alpha = 2.
    """
    if name not in operators.LOSSES:
        return False
    x, alpha, scale = inputs
    if not dtype == x.dtype == alpha.dtype == scale.dtype or not x.is_contiguous():
        return False
    if dtype not in (torch.float32, torch.float64) or not x.numel():
        return False
    ndim = max(alpha.ndim, scale.ndim)
    if ndim == 0:
        return name == "loss" or alpha.item() != 2.0
    if ndim > min(x.ndim, 1) or {*alpha.shape, *scale.shape} != {x.shape[-1]}:
        return False
    if not pays(x.numel(), x.shape[-1]):
        return False
    return name == "loss" or not bool((operators.as_array(alpha) == 2.0).any())


def _has_memory(tensor: torch.Tensor) -> bool:
    """Whether the tensor has memory of its own, as one inside `vmap` has not."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


class _Dual(torch.autograd.Function):  # type: ignore[misc]
    """The operator, with a forward mode and support for the transforms of `torch.func`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, dtype: torch.dtype, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute the operation."""
        result: torch.Tensor = operators.evaluate(name, dtype, *inputs)
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
        _check_forward_mode_is_one()
        inputs = ctx.saved_tensors
        dtype = operators.working(ctx.dtype)
        terms = [
            operators.times(tangent.to(dtype), _call(partial, dtype, *inputs))
            for partial, tangent in zip(
                OPERATIONS[ctx.name].partials or (), tangents[2:], strict=True
            )
            if tangent is not None
        ]
        return sum(terms[1:], terms[0]).to(ctx.dtype)


def _check_forward_mode_is_one() -> None:
    """Refuse forward mode inside forward mode, for which torch would give 0.

    It does so for every function with rules of its own, as of 2.13: to be deleted when
    https://github.com/pytorch/pytorch/issues/197867 is closed.

    Raises
    ------
    NotImplementedError
    """
    functorch = torch._C._functorch  # noqa: SLF001
    transforms = [one.key() for one in functorch.get_interpreter_stack() or ()]
    levels = transforms.count(functorch.TransformType.Jvp)
    if levels > 1:
        raise NotImplementedError(
            f"Forward mode must not be nested, but got {levels} levels of it. "
            "Take one of two in reverse mode, as torch.func.hessian does."
        )
