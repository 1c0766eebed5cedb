"""JAX arrays: the formula, compiled, with the operation's own derivatives.

Automatic differentiation of the formula would lose the digits of ∂ρ/∂α for small residuals, so
each operation that names its partials carries a `jax.custom_jvp` rule, from which JAX derives
reverse mode, higher orders, `vmap` and `jit`.
"""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as xp
from jax.custom_derivatives import SymbolicZero

from robloss._args import Arguments, values_of
from robloss._backends.generic import as_arrays
from robloss._ops import OPERATIONS, Operation
from robloss._typing import Array


@cache
def _function(name: str) -> Any:
    """The operation as a compiled function of arrays that JAX can differentiate."""
    operation = OPERATIONS[name]
    formula = partial(operation.formula, xp)
    partials = operation.partials
    if partials is None:
        return jax.jit(formula)
    function = jax.custom_jvp(formula)

    def rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        value = function(*primals)
        # A parameter that does not vary is left out: its partial may be infinite (α = 2).
        slope = xp.zeros_like(value)
        for name, tangent in zip(partials, tangents, strict=True):
            if not isinstance(tangent, SymbolicZero):
                slope = slope + _function(name)(*primals) * tangent
        return value, slope

    function.defjvp(rule, symbolic_zeros=True)
    return jax.jit(function)


def evaluate(operation: Operation, arguments: Arguments) -> Array:
    """Compute the operation; see `robloss._backends`."""
    return _function(operation.name)(*as_arrays(arguments.xp, *values_of(arguments)))


def constant(array: Array) -> Array:
    """The array, cut from what it was computed from."""
    return jax.lax.stop_gradient(array)
