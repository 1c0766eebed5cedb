"""The elementwise operations on NumPy arrays: any set of them in one pass over the data.

Each member of the family has a kernel of its own, so that only what is used is compiled. The pass
takes one vector at a time, the last one padded with zeros, so that a result does not depend on the
position of its element in the array. Elements that the vectors do not serve are recomputed by
`exact`.
"""

from functools import cache, lru_cache
from typing import Any

import numpy as np

from robloss._kernels import exact, shape
from robloss._kernels.compiling import call_apart, instance, kernel, part
from robloss._kernels.family import choose
from robloss._kernels.memory import lanes_of, lead, load, stream
from robloss._kernels.vector import any_of, constant, fma, lane

# Beyond this many elements, outputs bypass the caches. `_backends.numpy` splits an array into at
# most 64 pieces: a longer piece belongs to an array that no cache holds. At 10⁷ elements, with a
# busy memory, loss + influence + weight took 1.20 to 1.35 times as long as the loss instead of 1.25
# to 1.52, and the loss at α = 2 took 0.62 to 0.78 copies instead of 0.86 to 1.01 (Zen 4).
LARGE = 2**16


@kernel
def _mend(
    start: Any,
    count: Any,
    loss_served: Any,
    served: Any,
    slope_served: Any,
    x: Any,
    alpha: Any,
    scale: Any,
    loss: Any,
    influence: Any,
    weight: Any,
    curvature: Any,
    grad_scale: Any,
) -> None:
    """Compute those elements that are not served, one by one."""
    for i in range(count):
        at = np.float64(lane(x, i)), np.float64(lane(alpha, i)), np.float64(lane(scale, i))
        if loss is not None and not lane(loss_served, i):
            loss[start + i] = exact.loss(*at)
        if grad_scale is not None and not lane(slope_served, i):
            grad_scale[start + i] = exact.grad_scale(*at)
        if lane(served, i):
            continue
        if influence is not None:
            influence[start + i] = exact.influence(*at)
        if weight is not None:
            weight[start + i] = exact.weight(*at)
        if curvature is not None:
            curvature[start + i] = exact.curvature(*at)


@part
def _is_tame(slope: Any, pull: Any) -> Any:
    """Whether ∂ρ/∂c = −W s/c has neither overflowed nor lost digits of s/c, the `pull`."""
    is_finite = slope * 0.0 == 0.0
    return is_finite & ((pull >= constant(slope, "LEAST")) | (pull == 0.0))


# `_sweep` is compiled with these: a member of the family, and the function that prepares its input.
_member: Any = None
_derive: Any = None


def _sweep(x: Any, alpha: Any, scale: Any, outputs: Any) -> None:
    """Go over the data with a member of the family."""
    loss, influence, weight, curvature, grad_alpha, grad_scale = outputs
    only_loss = influence is None and weight is None and curvature is None and grad_scale is None
    of = _derive(x, alpha, scale)
    width = lanes_of(x)
    is_large = x.size > LARGE
    start, stop = 0, min(width, x.size)
    if is_large:  # begin where the outputs, which mostly lie alike, begin to fill lines
        stop = max(lead(loss), lead(influence), lead(weight), lead(curvature), lead(grad_scale))
    while start < x.size:
        count = stop - start
        # All is read before anything is written: an output may be x itself.
        x_here = load(x, start, count)
        alpha_here = load(alpha, start, count)
        scale_here = load(scale, start, count)
        parts = _member(x_here, alpha_here, scale_here, of)
        power = parts.power
        w = fma(power, parts.width.weight, power * parts.width.weight_lo)
        stream(loss, start, count, parts.loss, is_large)
        stream(influence, start, count, x_here * w, is_large)
        stream(weight, start, count, w, is_large)
        stream(curvature, start, count, w * parts.ratio, is_large)
        slope = -fma(power, parts.pull, power * parts.pull_lo)
        stream(grad_scale, start, count, slope, is_large)
        shape.put(start, count, x_here, alpha_here, scale_here, parts, grad_alpha)
        slope_served = parts.served & _is_tame(slope, parts.pull)
        if (
            (loss is not None and any_of(~parts.loss_served))
            or (not only_loss and any_of(~parts.served))
            or (grad_scale is not None and any_of(~slope_served))
        ):
            spot, given = (start, count), (x_here, alpha_here, scale_here)
            masks = (parts.loss_served, parts.served, slope_served)
            places = (loss, influence, weight, curvature, grad_scale)
            call_apart(_mend, spot + masks + given + places)
        start, stop = stop, min(stop + width, x.size)


@cache
def _kernel(member: Any, derive: Any) -> Any:
    return instance(_sweep, member.__name__, _member=member, _derive=derive)


@lru_cache
def _kernel_for(alpha: float) -> Any:
    """The kernel for one alpha and one scale: choosing it again would take 0.4 µs."""
    return _kernel(*choose(alpha, 1.0))


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
    """Compute the operations asked for, in one pass.

    Parameters
    ----------
    x : numpy.ndarray
        Residuals: one axis, C-contiguous, float32 or float64.
    alpha, scale : float or numpy.ndarray
        Each a number, or an array like `x`.
    loss, influence, weight, curvature, grad_alpha, grad_scale : numpy.ndarray or None
        Where to put each: an array like `x`, which may be `x` itself, or None.
    """
    outputs = (loss, influence, weight, curvature, grad_alpha, grad_scale)
    are_numbers = type(alpha) is float and type(scale) is float
    kernel = _kernel_for(alpha) if are_numbers else _kernel(*choose(alpha, scale))
    kernel(x, alpha, scale, outputs)
