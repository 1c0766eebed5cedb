"""torch tensors: the formula, with the operation's own derivatives for autograd.

Automatic differentiation of the formula would lose the digits of ∂ρ/∂α for small residuals, so
each operation that names its partials is an autograd function: first and second order, forward
mode, and the transforms of `torch.func` all go through the table of `robloss._ops`.
"""

from functools import cache
from typing import Any

import array_api_compat.torch as xp
import torch

from robloss._args import Arguments
from robloss._backends.generic import as_arrays
from robloss._ops import OPERATIONS, Operation


@cache
def _function(name: str) -> Any:
    """The operation as a function of tensors that autograd can differentiate."""
    operation = OPERATIONS[name]
    partials = operation.partials
    if partials is None:
        return lambda *inputs: operation.formula(xp, *inputs)

    def forward(*inputs: torch.Tensor) -> torch.Tensor:
        return operation.formula(xp, *inputs)

    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    def backward(ctx: Any, grad: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        inputs = ctx.saved_tensors
        return tuple(
            (grad * _function(partial)(*inputs)).sum_to_size(tensor.shape)
            if grad is not None and needed
            else None
            for partial, tensor, needed in zip(partials, inputs, ctx.needs_input_grad, strict=True)
        )

    def jvp(ctx: Any, *tangents: torch.Tensor | None) -> torch.Tensor | None:
        inputs = ctx.saved_tensors
        terms = [
            tangent * _function(partial)(*inputs)
            for partial, tangent in zip(partials, tangents, strict=True)
            if tangent is not None
        ]
        return sum(terms[1:], terms[0]) if terms else None

    function: Any = type(
        name,
        (torch.autograd.Function,),
        {
            "generate_vmap_rule": True,
            "forward": staticmethod(forward),
            "setup_context": staticmethod(setup_context),
            "backward": staticmethod(backward),
            "jvp": staticmethod(jvp),
        },
    )
    return function.apply


def evaluate(operation: Operation, arguments: Arguments) -> torch.Tensor:
    """Compute the operation; see `robloss._backends`."""
    return _function(operation.name)(*as_arrays(arguments.xp, *arguments.values))


def constant(array: torch.Tensor) -> torch.Tensor:
    """The tensor, cut from what it was computed from; itself where nothing is recorded."""
    return array.detach()
