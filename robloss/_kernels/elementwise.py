"""The elementwise operations on NumPy arrays: any set of them in one pass over the data."""

import math
from typing import Any

import numpy as np

from robloss._kernels import exact, lanes, shape
from robloss._kernels.compiling import kernel, part
from robloss._kernels.vector import any_of, fma, lane, load, store
from robloss._kernels.vector import lanes as lanes_of

# b up to which alpha is moderate: z is rounded once then.
MODERATE = 4.0


@part
def _mend(start, count, served, x, alpha, scale, outputs):
    """Compute the lanes that are not served one by one."""
    loss, influence, weight, curvature, grad_alpha, grad_scale = outputs
    for i in range(count):
        if not lane(served, i):
            at = np.float64(lane(x, i)), np.float64(lane(alpha, i)), np.float64(lane(scale, i))
            _put(loss, start + i, exact.loss, at)
            _put(influence, start + i, exact.influence, at)
            _put(weight, start + i, exact.weight, at)
            _put(curvature, start + i, exact.curvature, at)
            _put(grad_scale, start + i, exact.grad_scale, at)


@part
def _put(output, index, function, at):
    if output is not None:
        output[index] = function(*at)


@part
def _sweep(member, of, x, alpha, scale, outputs):
    """Go over the data, a vector at a time."""
    loss, influence, weight, curvature, grad_alpha, grad_scale = outputs
    width = lanes_of(x)
    for start in range(0, x.size, width):
        count = min(width, x.size - start)
        x_here = load(x, start, count)
        alpha_here = load(alpha, start, count)
        scale_here = load(scale, start, count)
        parts = member(x_here, alpha_here, scale_here, of, loss is not None)
        w = fma(parts.power, parts.width.weight, parts.power * parts.width.weight_lo)
        store(loss, start, count, parts.loss)
        store(influence, start, count, x_here * w)
        store(weight, start, count, w)
        store(curvature, start, count, w * parts.ratio)
        store(grad_scale, start, count, -fma(parts.power, parts.pull, parts.power * parts.pull_lo))
        shape.put(grad_alpha, start, count, x_here, alpha_here, scale_here, parts)
        if any_of(~parts.served):
            _mend(start, count, parts.served, x_here, alpha_here, scale_here, outputs)


@kernel
def _power(x, alpha, scale, outputs):
    of = lanes.quick(x, alpha, scale, False)
    _sweep(lanes.power, of, x, alpha, scale, outputs)


@kernel
def _careful_power(x, alpha, scale, outputs):
    of = lanes.shape(x, alpha), lanes.width(x, scale)
    _sweep(lanes.careful_power, of, x, alpha, scale, outputs)


@kernel
def _power_in_alphas(x, alpha, scale, outputs):
    _sweep(lanes.power_in_alphas, lanes.width(x, scale), x, alpha, scale, outputs)


@kernel
def _power_in_scales(x, alpha, scale, outputs):
    _sweep(lanes.power_in_scales, lanes.shape(x, alpha), x, alpha, scale, outputs)


@kernel
def _power_in_both(x, alpha, scale, outputs):
    _sweep(lanes.power_in_both, None, x, alpha, scale, outputs)


@kernel
def _normal(x, alpha, scale, outputs):
    _sweep(lanes.normal, lanes.width(x, scale), x, alpha, scale, outputs)


@kernel
def _charbonnier(x, alpha, scale, outputs):
    _sweep(lanes.charbonnier, lanes.width(x, scale), x, alpha, scale, outputs)


@kernel
def _cauchy(x, alpha, scale, outputs):
    _sweep(lanes.cauchy, lanes.width(x, scale), x, alpha, scale, outputs)


@kernel
def _geman_mcclure(x, alpha, scale, outputs):
    _sweep(lanes.geman_mcclure, lanes.width(x, scale), x, alpha, scale, outputs)


@kernel
def _welsch(x, alpha, scale, outputs):
    _sweep(lanes.welsch, lanes.width(x, scale), x, alpha, scale, outputs)


_CLOSED = {
    2.0: _normal, 1.0: _charbonnier, 0.0: _cauchy, -2.0: _geman_mcclure, -math.inf: _welsch,
}  # fmt: skip


def _kernel(alpha, scale):
    if isinstance(alpha, np.ndarray):
        return _power_in_both if isinstance(scale, np.ndarray) else _power_in_alphas
    if isinstance(scale, np.ndarray):
        return _power_in_scales
    return _CLOSED.get(alpha) or (
        _power if abs(alpha - 2.0) <= MODERATE else _careful_power
    )


def evaluate(x, alpha, scale, loss, influence, weight, curvature, grad_alpha, grad_scale):
    """Put the operations asked for into their arrays."""
    outputs = (loss, influence, weight, curvature, grad_alpha, grad_scale)
    _kernel(alpha, scale)(x, alpha, scale, outputs)
