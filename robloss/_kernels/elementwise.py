"""Stand-in: the elementwise operations, by the exact scalar path."""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from robloss._kernels import exact
from robloss._kernels.compiling import kernel


def _at(value: Any, i: int) -> float:
    """An element of an array; a number itself."""
    raise NotImplementedError


@overload(_at, inline="always")  # type: ignore[untyped-decorator]
def _of(value, i):  # type: ignore[no-untyped-def]
    if isinstance(value, types.Array):
        return lambda value, i: value[i]
    return lambda value, i: value


_loss, _influence, _weight = exact.loss, exact.influence, exact.weight
_curvature, _grad_alpha, _grad_scale = exact.curvature, exact.grad_alpha, exact.grad_scale


@kernel
def evaluate(
    x: Any,
    alpha: Any,
    scale: Any,
    loss: Any,
    influence: Any,
    weight: Any,
    curvature: Any,
    grad_alpha: Any,
    grad_scale: Any,
) -> None:
    """Compute the outputs that are not None."""
    for i in range(x.size):
        z, a, c = np.float64(x[i]), np.float64(_at(alpha, i)), np.float64(_at(scale, i))
        if loss is not None:
            loss[i] = _loss(z, a, c)
        if influence is not None:
            influence[i] = _influence(z, a, c)
        if weight is not None:
            weight[i] = _weight(z, a, c)
        if curvature is not None:
            curvature[i] = _curvature(z, a, c)
        if grad_alpha is not None:
            grad_alpha[i] = _grad_alpha(z, a, c)
        if grad_scale is not None:
            grad_scale[i] = _grad_scale(z, a, c)
