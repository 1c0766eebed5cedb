"""Sums over the rows of a linear model, in one pass over the design.

Rows are taken in blocks that stay in the first cache, as columns of float64 whatever the layout and
dtype of the design: their residuals, what the loss says of them, and the weighted products of the
columns. Blocks are added up by chunks of rows; the caller adds the chunks, in their order: the
bits of a sum do not depend on who computes which chunk.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from robloss._kernels import exact, pairs
from robloss._kernels.compiling import kernel, part
from robloss._kernels.family import serve
from robloss._kernels.memory import lanes_of, load, store
from robloss._kernels.parameters import derived
from robloss._kernels.vector import Vec, any_of, fma, lane, where

# notation: r = y − x·θ, z = r/c, w, ψ and ψ' of z at scale 1,
#           b = |α − 2|, u = z²/b, L = log(1 + u), v = u/(1 + u)

Floats = NDArray[np.float64]

# Lanes of a vector in products of columns: eight running sums of it fit the registers of any CPU.
_LANES = 4
# Rows of a block: whole vectors; and no multiple of 64, at which the columns of a block would share
# lines of the cache. From 5 to 100 columns within a tenth of the best of 32, 96, 160 and 224, and a
# whole pass as fast as the bare Gram matrix by OpenBLAS (Zen 4, one thread).
BLOCK = 96

# Places of the sums of a chunk; those from SHAPE_SLOPE and TILT on are of derivatives in α.
LOSS, PULL, STRETCH, WEIGHT, OF_Y, SHAPE_SLOPE, SHAPE_BOW, SHAPE_PULL = range(8)
SLOPE, CROSS, SQUARES, TILT = range(4)

# ∫₀¹ t² e^(Et) dt = Σ E^k/(k! (k + 3)); for E < 1 what follows the 18th term is below 1e-17.
_MOMENT_SERIES = tuple(1 / (math.factorial(k) * (k + 3)) for k in range(18))


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    pointer = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
    vector = ir.VectorType(ir.DoubleType(), _LANES)
    return builder.bitcast(pointer, vector.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def _load(typing: Any, array: Any, start: Any) -> Any:
    """A short vector from a contiguous float64 array."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(_address(context, builder, array, args[0], args[1]))
        value.align = 8
        return value

    return Vec(types.float64, _LANES)(array, start), lower


@intrinsic  # type: ignore[untyped-decorator]
def _store(typing: Any, array: Any, start: Any, value: Any) -> Any:
    """Put a short vector into a contiguous float64 array."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        written = builder.store(args[2], _address(context, builder, array, args[0], args[1]))
        written.align = 8
        return context.get_dummy_value()

    return types.void(array, start, value), lower


@intrinsic  # type: ignore[untyped-decorator]
def _zeros(typing: Any) -> Any:
    """A short vector of zeros."""
    kind = Vec(types.float64, _LANES)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return cgutils.get_null_value(context.get_value_type(kind))

    return kind(), lower


@part
def _total(vector: Any) -> float:
    """The sum over lanes, as a tree."""
    total: float = (lane(vector, 0) + lane(vector, 1)) + (lane(vector, 2) + lane(vector, 3))
    return total


@part
def _sum(vector: Any, width: int) -> float:
    """The sum over the lanes of a long vector."""
    total = 0.0
    for i in range(0, width, 4):
        total += (lane(vector, i) + lane(vector, i + 1)) + (
            lane(vector, i + 2) + lane(vector, i + 3)
        )
    return total


@kernel
def _add_products(left: Floats, right: Floats, out: Floats) -> None:
    """Add left·rightᵀ to `out`, on and above the diagonal in steps of two; columns are even."""
    columns, rows = left.shape
    for j in range(0, columns, 2):
        one, two = j * rows, (j + 1) * rows
        k = j
        while k + 4 <= columns:
            at = k * rows
            a0, a1, a2, a3 = _zeros(), _zeros(), _zeros(), _zeros()
            b0, b1, b2, b3 = _zeros(), _zeros(), _zeros(), _zeros()
            for i in range(0, rows, _LANES):
                x, y = _load(left, one + i), _load(left, two + i)
                r = _load(right, at + i)
                a0, b0 = fma(x, r, a0), fma(y, r, b0)
                r = _load(right, at + rows + i)
                a1, b1 = fma(x, r, a1), fma(y, r, b1)
                r = _load(right, at + 2 * rows + i)
                a2, b2 = fma(x, r, a2), fma(y, r, b2)
                r = _load(right, at + 3 * rows + i)
                a3, b3 = fma(x, r, a3), fma(y, r, b3)
            out[j, k] += _total(a0)
            out[j, k + 1] += _total(a1)
            out[j, k + 2] += _total(a2)
            out[j, k + 3] += _total(a3)
            out[j + 1, k] += _total(b0)
            out[j + 1, k + 1] += _total(b1)
            out[j + 1, k + 2] += _total(b2)
            out[j + 1, k + 3] += _total(b3)
            k += 4
        if k < columns:
            at = k * rows
            a0, a1, b0, b1 = _zeros(), _zeros(), _zeros(), _zeros()
            for i in range(0, rows, _LANES):
                x, y = _load(left, one + i), _load(left, two + i)
                r, s = _load(right, at + i), _load(right, at + rows + i)
                a0, b0 = fma(x, r, a0), fma(y, r, b0)
                a1, b1 = fma(x, s, a1), fma(y, s, b1)
            out[j, k] += _total(a0)
            out[j, k + 1] += _total(a1)
            out[j + 1, k] += _total(b0)
            out[j + 1, k + 1] += _total(b1)


@kernel
def _add_scalars(
    z: Floats,
    y: Floats,
    loss: Floats,
    weight: Floats,
    curvature: Floats,
    psi: Floats,
    bend: Floats,
    out: Floats,
) -> None:
    """Add the sums of a block; put ψ and ψ + zψ' beside the weights."""
    sum_loss, pull, stretch, sum_weight, of_y = _zeros(), _zeros(), _zeros(), _zeros(), _zeros()
    for i in range(0, z.size, _LANES):
        here, w, response = _load(z, i), _load(weight, i), _load(y, i)
        psi_here = w * here
        bend_here = fma(here, _load(curvature, i), psi_here)
        _store(psi, i, psi_here)
        _store(bend, i, bend_here)
        sum_loss = sum_loss + _load(loss, i)
        pull = fma(here, psi_here, pull)
        stretch = fma(here, bend_here, stretch)
        sum_weight = sum_weight + w
        of_y = fma(w * response, response, of_y)
    out[LOSS] += _total(sum_loss)
    out[PULL] += _total(pull)
    out[STRETCH] += _total(stretch)
    out[WEIGHT] += _total(sum_weight)
    out[OF_Y] += _total(of_y)


@kernel
def _add_vectors(columns: Floats, psi: Floats, bend: Floats, weight: Floats, out: Floats) -> None:
    """Add the products of every column with the vectors of a block."""
    count, rows = columns.shape
    for j in range(count):
        at = j * rows
        a0, b0, c0, a1, b1, c1 = _zeros(), _zeros(), _zeros(), _zeros(), _zeros(), _zeros()
        for i in range(0, rows, 2 * _LANES):
            x, y = _load(columns, at + i), _load(columns, at + i + _LANES)
            a0, a1 = fma(x, _load(psi, i), a0), fma(y, _load(psi, i + _LANES), a1)
            b0, b1 = fma(x, _load(bend, i), b0), fma(y, _load(bend, i + _LANES), b1)
            c0 = fma(x * x, _load(weight, i), c0)
            c1 = fma(y * y, _load(weight, i + _LANES), c1)
        out[SLOPE, j] += _total(a0 + a1)
        out[CROSS, j] += _total(b0 + b1)
        out[SQUARES, j] += _total(c0 + c1)


@kernel
def _scale(columns: Floats, weight: Floats, scaled: Floats) -> None:
    """Multiply every column by the weights."""
    for j in range(columns.shape[0]):
        column, target = columns[j], scaled[j]
        for i in range(weight.size):
            target[i] = weight[i] * column[i]


@kernel
def _fetch(
    X: Any,
    first: int,
    count: int,
    by_rows: bool,
    center: Floats,
    dropped: Any,
    constant: int,
    columns: Floats,
) -> None:
    """Put rows of X into the columns of a block, after a column of ones where there is one."""
    features = X.shape[1]
    if constant:
        columns[0, :count] = 1.0
    target = columns[constant:]
    if by_rows:
        for i in range(count):
            row = X[first + i]
            for j in range(features):
                target[j, i] = row[j] - center[j]
    else:
        for j in range(features):
            source, column, shift = X[first : first + count, j], target[j], center[j]
            for i in range(count):
                column[i] = source[i] - shift
    if count < columns.shape[1]:
        columns[:, count:] = 0.0
    for j in range(features):
        if dropped[j]:
            target[j, :] = 0.0


@kernel
def _residuals(
    columns: Floats, y: Any, first: int, count: int, theta: Floats, response: Floats, r: Floats
) -> None:
    """y and y − x·θ for the rows of a block."""
    source = y[first : first + count]
    for i in range(count):
        response[i] = source[i]
        r[i] = source[i]
    response[count:] = 0.0
    r[count:] = 0.0
    for j in range(theta.size):
        column, by = columns[j], theta[j]
        for i in range(r.size):
            r[i] -= by * column[i]


@part
def _sweep(member: Any, given: Any) -> None:
    """Put a member of the family into its arrays, whose lengths are whole vectors."""
    z, alpha, of, loss, weight, curvature = given
    width = lanes_of(z)
    for start in range(0, z.size, width):
        x = load(z, start, width)
        found = member(x, alpha, 1.0, of)
        store(loss, start, width, found.loss)
        store(weight, start, width, found.power)
        store(curvature, start, width, found.power * found.ratio)
        served = found.loss_served & found.served
        if any_of(~served):
            for i in range(width):
                if not lane(served, i):
                    one = z[start + i]
                    loss[start + i] = exact.loss(one, alpha, 1.0)
                    weight[start + i] = exact.weight(one, alpha, 1.0)
                    curvature[start + i] = exact.curvature(one, alpha, 1.0)


@kernel
def _family(
    z: Floats, alpha: float, of: Any, loss: Floats, weight: Floats, curvature: Floats
) -> None:
    """ρ, w and ψ' of a block, by the expressions that serve α best."""
    serve(alpha, _sweep, (z, alpha, of, loss, weight, curvature))


@kernel
def _add_shape(
    z: Floats,
    weight: Floats,
    alpha: float,
    columns: Floats,
    psi_alpha: Floats,
    scalars: Floats,
    vectors: Floats,
) -> None:
    """Add the derivatives in α, a finite number >= 0 other than 2; see `_fit.arrays`.

    They are exact to a few roundings of ρ and ψ, which is what their sums need.
    """
    d = alpha - 2.0
    b = abs(d)
    sign = math.copysign(1.0, d)
    share = alpha / d
    width = lanes_of(z)
    none = load(z, 0, width) * 0.0
    slope, bow, pull = none, none, none
    for start in range(0, z.size, width):
        x, w = load(z, start, width), load(weight, start, width)
        u = x * x / b
        log, log_lo, t = pairs.log1p(u)
        log_u = log + log_lo
        v = u / t
        bent = log_u - v
        power = w * t
        lam = (0.5 * b) * log_u
        lam_1 = (0.5 * sign) * bent
        lam_2 = (-0.5 / b) * (v * v)
        e = (0.5 * alpha) * log_u
        e_1 = 0.5 * fma(v, -share, log_u)
        e_2 = (v / d) * ((0.5 * share) * (2.0 - v) - 1.0)
        # φ and its derivatives are ∫₀¹ t^k e^(Et) dt: each gives the next, one way or the other.
        third = none + _MOMENT_SERIES[-1]
        for k in range(len(_MOMENT_SERIES) - 2, -1, -1):
            third = fma(third, e, _MOMENT_SERIES[k])
        second = 0.5 * fma(-e, third, power)
        base = fma(-e, second, power)
        small = e < 1.0
        inverse = 1.0 / where(small, 1.0, e)
        base = where(small, base, (power - 1.0) * inverse)
        second = where(small, second, (power - base) * inverse)
        third = where(small, third, (power - 2.0 * second) * inverse)
        half_psi = 0.5 * x * w * bent
        store(psi_alpha, start, width, half_psi)
        along = lam * e_1
        # w is 0 beyond the last row: then nothing is added.
        real = w > 0.0
        slope = slope + where(real, fma(second, along, lam_1 * base), 0.0)
        inner = fma(second, fma(lam, e_2, 2.0 * lam_1 * e_1), lam_2 * base)
        bow = bow + where(real, fma(third, along * e_1, inner), 0.0)
        pull = fma(half_psi, x, pull)
    scalars[SHAPE_SLOPE] += _sum(slope, width)
    scalars[SHAPE_BOW] += _sum(bow, width)
    scalars[SHAPE_PULL] += _sum(pull, width)
    for j in range(columns.shape[0]):
        at = j * columns.shape[1]
        a0, a1, a2, a3 = _zeros(), _zeros(), _zeros(), _zeros()
        for i in range(0, columns.shape[1], 4 * _LANES):
            a0 = fma(_load(columns, at + i), _load(psi_alpha, i), a0)
            k = i + _LANES
            a1 = fma(_load(columns, at + k), _load(psi_alpha, k), a1)
            k += _LANES
            a2 = fma(_load(columns, at + k), _load(psi_alpha, k), a2)
            k += _LANES
            a3 = fma(_load(columns, at + k), _load(psi_alpha, k), a3)
        vectors[TILT, j] += _total((a0 + a1) + (a2 + a3))


@kernel
def accumulate(
    X: Any,
    y: Any,
    by_rows: bool,
    center: Floats,
    dropped: Any,
    constant: int,
    theta: Floats,
    alpha: float,
    scale: float,
    shape: bool,
    chunk: int,
    start: int,
    stop: int,
    scalars: Floats,
    vectors: Floats,
    hessian: Floats,
    gram: Floats,
    residuals: Any,
    weights: Any,
) -> None:
    """Add up the rows from `start` to `stop`, chunk by chunk.

    Parameters
    ----------
    X, y : ndarray (n, p), (n,)
    by_rows : bool
        Whether the rows of X, rather than its columns, lie together in memory.
    center : ndarray (p,)
        What to subtract from every row of X.
    dropped : ndarray (p,) of bool
        Columns to take for 0.
    constant : int
        1 for a column of ones before X, else 0.
    theta : ndarray (q,)
    alpha, scale : float
    shape : bool
        Whether derivatives in α are wanted, for a finite α >= 0 other than 2.
    chunk : int
        Rows that are added up together.
    start, stop : int
        `start` is a multiple of `chunk`.
    scalars, vectors : ndarray (chunks, 8), (chunks, 4, even >= q)
        Zeros, to be filled.
    hessian, gram : ndarray (chunks, even >= q, even >= q)
        Likewise, on and above the diagonal; without chunks where they are not wanted.
    residuals, weights : ndarray (n,)
        To be filled; empty where they are not wanted.
    """
    size = vectors.shape[2]
    columns, scaled = np.zeros((size, BLOCK)), np.empty((size, BLOCK))
    response, r, z = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    loss, weight, curvature = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    psi, bend, psi_alpha = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    of = derived(z, alpha, 1.0)
    for begin in range(start, stop, chunk):
        c = begin // chunk
        end = min(begin + chunk, stop)
        for first in range(begin, end, BLOCK):
            count = min(BLOCK, end - first)
            _fetch(X, first, count, by_rows, center, dropped, constant, columns)
            _residuals(columns, y, first, count, theta, response, r)
            for i in range(BLOCK):
                z[i] = r[i] / scale
            _family(z, alpha, of, loss, weight, curvature)
            if count < BLOCK:
                weight[count:] = 0.0
                curvature[count:] = 0.0
            _add_scalars(z, response, loss, weight, curvature, psi, bend, scalars[c])
            _add_vectors(columns, psi, bend, weight, vectors[c])
            if shape:
                _add_shape(z, weight, alpha, columns, psi_alpha, scalars[c], vectors[c])
            if hessian.size:
                _scale(columns, curvature, scaled)
                _add_products(scaled, columns, hessian[c])
            if residuals.size:
                for i in range(count):
                    residuals[first + i] = r[i]
                    weights[first + i] = weight[i]
            if gram.size:
                _scale(columns, weight, scaled)
                _add_products(scaled, columns, gram[c])
