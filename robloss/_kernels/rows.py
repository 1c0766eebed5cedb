"""Sums over the rows of a linear model, in one pass over the design.

Rows are processed in blocks that stay in the first-level cache, as columns of float64, whatever the
layout and dtype of the design: residuals, the loss and its derivatives, and weighted products of
the columns. Blocks are summed within chunks of rows; the caller adds the chunks in their order, so
that the bits of a sum do not depend on which thread computes which chunk.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robloss._kernels import exact, pairs
from robloss._kernels.alpha import derivatives
from robloss._kernels.compiling import kernel, part
from robloss._kernels.family import serve
from robloss._kernels.memory import lanes_of, load, store
from robloss._kernels.parameters import derived
from robloss._kernels.short import LANES, across, put, take, total, turned, zeros
from robloss._kernels.vector import any_of, fma, lane, where

# notation: r = y − x·θ, z = r/c, w, ψ and ψ' of z at scale 1, s = the row's own weight

Floats = NDArray[np.float64]

# Rows of a block: whole vectors, but not a multiple of 64, for which the columns of a block would
# compete for the same cache lines. For 5 to 100 columns this is within 10 % of the best of 32, 96,
# 160 and 224, and a whole pass is as fast as OpenBLAS's Gram matrix alone (Zen 4, one thread).
BLOCK = 96

# Indices into the sums of a chunk; those from SHAPE_SLOPE and TILT on are of derivatives in α.
LOSS, PULL, STRETCH, WEIGHT, OF_Y, SHAPE_SLOPE, SHAPE_BOW, SHAPE_PULL = range(8)
SLOPE, CROSS, SQUARES, TILT = range(4)


# Each field of these tuples has one fixed type. Arrays whose dtype or layout depends on the user
# are separate arguments, since Numba 0.60 confuses tuples of the same class with different field
# types.


class Design(NamedTuple):
    """What describes the rows of a linear model besides X and y."""

    sample_weight: Floats  # (n,), contiguous; empty if every row counts once
    center: Floats  # (p,), to subtract from every row of X
    dropped: Any  # (p,) of bool, columns to treat as 0


class At(NamedTuple):
    """The parameters at which the sums are computed."""

    theta: Floats  # (q,)
    alpha: float
    scale: float
    shape: bool  # whether derivatives in α are wanted, for a finite α >= 0 other than 2


class Sums(NamedTuple):
    """Arrays of zeros to add to, by chunk; empty if not wanted."""

    scalars: Floats  # (chunks, 8)
    vectors: Floats  # (chunks, 4, even >= q)
    hessian: Floats  # (chunks, even >= q, even >= q), on and above the diagonal
    gram: Floats  # likewise


class Block(NamedTuple):
    """The working arrays for a block of rows."""

    columns: Floats  # (even >= q, BLOCK)
    scaled: Floats  # the same, weighted
    y: Floats  # (BLOCK,), as all that follows
    r: Floats
    z: Floats
    share: Floats  # s
    loss: Floats
    weight: Floats
    curvature: Floats
    psi: Floats
    bend: Floats  # ψ + zψ'
    psi_alpha: Floats


@kernel
def _block(size: int) -> Block:
    """Allocate a block, in which every row counts once."""
    rows = np.ones((10, BLOCK))
    return Block(
        np.zeros((size, BLOCK)), np.empty((size, BLOCK)),
        rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7], rows[8], rows[9],
    )  # fmt: skip


@part
def _long_total(vector: Any, width: int) -> float:
    """The sum over the lanes of a long vector."""
    result = 0.0
    for i in range(0, width, 4):
        result += (lane(vector, i) + lane(vector, i + 1)) + (
            lane(vector, i + 2) + lane(vector, i + 3)
        )
    return result


@kernel
def _add_products(left: Floats, right: Floats, out: Floats) -> None:
    """Add left·rightᵀ to `out`, on and above the diagonal in steps of two; columns are even."""
    columns, rows = left.shape
    for j in range(0, columns, 2):
        one, two = j * rows, (j + 1) * rows
        k = j
        while k + 4 <= columns:
            at = k * rows
            a0, a1, a2, a3 = zeros(), zeros(), zeros(), zeros()
            b0, b1, b2, b3 = zeros(), zeros(), zeros(), zeros()
            for i in range(0, rows, LANES):
                x, y = take(left, one + i), take(left, two + i)
                r = take(right, at + i)
                a0, b0 = fma(x, r, a0), fma(y, r, b0)
                r = take(right, at + rows + i)
                a1, b1 = fma(x, r, a1), fma(y, r, b1)
                r = take(right, at + 2 * rows + i)
                a2, b2 = fma(x, r, a2), fma(y, r, b2)
                r = take(right, at + 3 * rows + i)
                a3, b3 = fma(x, r, a3), fma(y, r, b3)
            out[j, k] += total(a0)
            out[j, k + 1] += total(a1)
            out[j, k + 2] += total(a2)
            out[j, k + 3] += total(a3)
            out[j + 1, k] += total(b0)
            out[j + 1, k + 1] += total(b1)
            out[j + 1, k + 2] += total(b2)
            out[j + 1, k + 3] += total(b3)
            k += 4
        if k < columns:
            at = k * rows
            a0, a1, b0, b1 = zeros(), zeros(), zeros(), zeros()
            for i in range(0, rows, LANES):
                x, y = take(left, one + i), take(left, two + i)
                r, s = take(right, at + i), take(right, at + rows + i)
                a0, b0 = fma(x, r, a0), fma(y, r, b0)
                a1, b1 = fma(x, s, a1), fma(y, s, b1)
            out[j, k] += total(a0)
            out[j, k + 1] += total(a1)
            out[j + 1, k] += total(b0)
            out[j + 1, k + 1] += total(b1)


@kernel
def _add_scalars(block: Block, out: Floats) -> None:
    """Add the sums of a block; put ψ and ψ + zψ' beside the weights."""
    loss, pull, stretch, weight, of_y = zeros(), zeros(), zeros(), zeros(), zeros()
    for i in range(0, BLOCK, LANES):
        z, w, y = take(block.z, i), take(block.weight, i), take(block.y, i)
        psi = w * z
        bend = fma(z, take(block.curvature, i), psi)
        put(block.psi, i, psi)
        put(block.bend, i, bend)
        loss = loss + take(block.loss, i)
        pull = fma(z, psi, pull)
        stretch = fma(z, bend, stretch)
        weight = weight + w
        of_y = fma(w * y, y, of_y)
    out[LOSS] += total(loss)
    out[PULL] += total(pull)
    out[STRETCH] += total(stretch)
    out[WEIGHT] += total(weight)
    out[OF_Y] += total(of_y)


@kernel
def _add_vectors(block: Block, out: Floats) -> None:
    """Add the products of every column with the vectors of a block."""
    columns, psi, bend, weight = block.columns, block.psi, block.bend, block.weight
    for j in range(columns.shape[0]):
        at = j * BLOCK
        a0, b0, c0, a1, b1, c1 = zeros(), zeros(), zeros(), zeros(), zeros(), zeros()
        for i in range(0, BLOCK, 2 * LANES):
            x, y = take(columns, at + i), take(columns, at + i + LANES)
            a0, a1 = fma(x, take(psi, i), a0), fma(y, take(psi, i + LANES), a1)
            b0, b1 = fma(x, take(bend, i), b0), fma(y, take(bend, i + LANES), b1)
            c0 = fma(x * x, take(weight, i), c0)
            c1 = fma(y * y, take(weight, i + LANES), c1)
        out[SLOPE, j] += total(a0 + a1)
        out[CROSS, j] += total(b0 + b1)
        out[SQUARES, j] += total(c0 + c1)


@kernel
def _scale(columns: Floats, weight: Floats, scaled: Floats) -> None:
    """Multiply every column by the weights."""
    for j in range(columns.shape[0]):
        column, target = columns[j], scaled[j]
        for i in range(weight.size):
            target[i] = weight[i] * column[i]


@kernel
def _turn(X: Any, first: int, count: int, center: Floats, target: Floats) -> None:
    """Transpose rows of X, which are contiguous, into columns: a square of elements at a time."""
    features, whole = X.shape[1], count - count % LANES
    for i in range(0, whole, LANES):
        row = first + i
        for begin in range(0, features, LANES):
            j = min(begin, features - LANES)  # the last square overlaps the one before
            shift = take(center, j)
            a, b, c, d = turned(
                across(X, row, j) - shift,
                across(X, row + 1, j) - shift,
                across(X, row + 2, j) - shift,
                across(X, row + 3, j) - shift,
            )
            at = j * BLOCK + i
            put(target, at, a)
            put(target, at + BLOCK, b)
            put(target, at + 2 * BLOCK, c)
            put(target, at + 3 * BLOCK, d)
    for i in range(whole, count):
        for j in range(features):
            target[j, i] = X[first + i, j] - center[j]


@kernel
def _fetch(X: Any, design: Design, constant: int, first: int, count: int, columns: Floats) -> None:
    """Put rows of X into the columns of a block, after a column of ones for an intercept."""
    center = design.center
    features = X.shape[1]
    if constant:
        columns[0, :count] = 1.0
    target = columns[constant:]
    if abs(X.strides[1]) > abs(X.strides[0]):  # columns, rather than rows, lie together in memory
        for j in range(features):
            source, column, shift = X[first : first + count, j], target[j], center[j]
            for i in range(count):
                column[i] = source[i] - shift
    elif features >= LANES and X.strides[1] == X.itemsize:
        _turn(X, first, count, center, target)
    else:
        for i in range(count):
            row = X[first + i]
            for j in range(features):
                target[j, i] = row[j] - center[j]
    if count < BLOCK:
        columns[:, count:] = 0.0
    for j in range(features):
        if design.dropped[j]:
            target[j, :] = 0.0


@kernel
def _residuals(y: Any, first: int, count: int, theta: Floats, scale: float, block: Block) -> None:
    """y, y − x·θ and z for the rows of a block."""
    source = y[first : first + count]
    for i in range(count):
        block.y[i] = source[i]
    block.y[count:] = 0.0
    for i in range(0, BLOCK, 4 * LANES):
        r0, r1 = take(block.y, i), take(block.y, i + LANES)
        r2, r3 = take(block.y, i + 2 * LANES), take(block.y, i + 3 * LANES)
        for j in range(theta.size):
            at, by = j * BLOCK + i, -theta[j]
            r0 = fma(take(block.columns, at), by, r0)
            r1 = fma(take(block.columns, at + LANES), by, r1)
            r2 = fma(take(block.columns, at + 2 * LANES), by, r2)
            r3 = fma(take(block.columns, at + 3 * LANES), by, r3)
        put(block.r, i, r0)
        put(block.r, i + LANES, r1)
        put(block.r, i + 2 * LANES, r2)
        put(block.r, i + 3 * LANES, r3)
    for i in range(BLOCK):
        block.z[i] = block.r[i] / scale


@kernel
def _leave_out(sample_weight: Floats, first: int, count: int, block: Block) -> None:
    """Store the rows' weights; zero the rows of weight 0, so that they cannot overflow."""
    share = block.share
    for i in range(count):
        share[i] = sample_weight[first + i]
        if share[i] == 0.0:
            block.y[i] *= 0.0  # non-finite values become NaN, and are noticed
            block.z[i] = block.y[i]
            block.loss[i] = block.weight[i] = block.curvature[i] = 0.0
            for j in range(block.columns.shape[0]):
                block.columns[j, i] *= 0.0


@kernel
def _weigh(block: Block) -> None:
    """Count every row as often as it weighs."""
    for i in range(BLOCK):
        block.loss[i] *= block.share[i]
        block.weight[i] *= block.share[i]
        block.curvature[i] *= block.share[i]


@part
def _sweep(member: Any, given: Any) -> None:
    """Evaluate a member of the family into arrays whose lengths are whole vectors."""
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
    """ρ, w and ψ' of a block, by the best member of the family for α."""
    serve(alpha, _sweep, (z, alpha, of, loss, weight, curvature))


_derivatives = part(derivatives)


@kernel
def _add_shape(block: Block, alpha: float, scalars: Floats, vectors: Floats) -> None:
    """Add the derivatives in α, a finite number >= 0 other than 2, of rows not yet weighted.

    They are accurate to a few roundings of ρ and ψ, which is enough for their sums.
    """
    columns, psi_alpha = block.columns, block.psi_alpha
    b = abs(alpha - 2.0)
    width = lanes_of(block.z)
    none = load(block.z, 0, width) * 0.0
    slope, bow, pull = none, none, none
    for start in range(0, BLOCK, width):
        x, w = load(block.z, start, width), load(block.weight, start, width)
        share = load(block.share, start, width)
        log, log_lo, t = pairs.log1p(x * x / b)
        of_row = _derivatives(x, alpha, log + log_lo, t, w * t, fma, where)
        bent = share * of_row[0]
        store(psi_alpha, start, width, bent)
        pull = fma(bent, x, pull)
        # w is 0 beyond the last row, where nothing is added.
        real = w > 0.0
        slope = slope + where(real, share * of_row[1], 0.0)
        bow = bow + where(real, share * of_row[2], 0.0)
    scalars[SHAPE_SLOPE] += _long_total(slope, width)
    scalars[SHAPE_BOW] += _long_total(bow, width)
    scalars[SHAPE_PULL] += _long_total(pull, width)
    for j in range(columns.shape[0]):
        at = j * BLOCK
        a0, a1, a2, a3 = zeros(), zeros(), zeros(), zeros()
        for i in range(0, BLOCK, 4 * LANES):
            a0 = fma(take(columns, at + i), take(psi_alpha, i), a0)
            k = i + LANES
            a1 = fma(take(columns, at + k), take(psi_alpha, k), a1)
            k += LANES
            a2 = fma(take(columns, at + k), take(psi_alpha, k), a2)
            k += LANES
            a3 = fma(take(columns, at + k), take(psi_alpha, k), a3)
        vectors[TILT, j] += total((a0 + a1) + (a2 + a3))


@kernel
def accumulate(
    X: Any,
    y: Any,
    design: Design,
    at: At,
    chunk: int,
    start: int,
    stop: int,
    out: Sums,
    residuals: Any,
    weights: Any,
) -> None:
    """Sum over the rows from `start` to `stop`, in chunks of `chunk` rows.

    `start` is a multiple of `chunk`; `residuals` and `weights` (n,) are filled unless empty.
    """
    alpha, s, block = at.alpha, design.sample_weight, _block(out.vectors.shape[2])
    constant = at.theta.size - X.shape[1]  # 1 for a column of ones before X, else 0
    columns, scaled, z = block.columns, block.scaled, block.z
    weight, curvature = block.weight, block.curvature
    of = derived(z, alpha, 1.0)
    for begin in range(start, stop, chunk):
        c = begin // chunk
        end = min(begin + chunk, stop)
        for first in range(begin, end, BLOCK):
            count = min(BLOCK, end - first)
            _fetch(X, design, constant, first, count, columns)
            _residuals(y, first, count, at.theta, at.scale, block)
            _family(z, alpha, of, block.loss, weight, curvature)
            if count < BLOCK:
                weight[count:] = 0.0
                curvature[count:] = 0.0
            if residuals.size:
                for i in range(count):
                    residuals[first + i] = block.r[i]
                    weights[first + i] = weight[i]
            if s.size:
                _leave_out(s, first, count, block)
            if at.shape:
                _add_shape(block, alpha, out.scalars[c], out.vectors[c])
            if s.size:
                _weigh(block)
            _add_scalars(block, out.scalars[c])
            _add_vectors(block, out.vectors[c])
            if out.hessian.size:
                _scale(columns, curvature, scaled)
                _add_products(scaled, columns, out.hessian[c])
            if out.gram.size:
                _scale(columns, weight, scaled)
                _add_products(scaled, columns, out.gram[c])
