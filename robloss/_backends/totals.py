"""Sums of ρ and of its derivatives in alpha and scale over NumPy arrays."""

import math
from typing import Any, NamedTuple

import numpy as np

from robloss._kernels import sums
from robloss._threads import map_chunks

# Elements that one call of the kernel sums, whatever the number of threads.
_CHUNK = 2**16


class Total(NamedTuple):
    """Σ w ρ, Σ w ∂ρ/∂α and Σ w ∂ρ/∂c."""

    loss: float
    grad_alpha: float
    grad_scale: float


def total(
    x: Any,
    alpha: float,
    scale: float,
    weights: Any = None,
    losses: Any = None,
    slopes: Any = None,
) -> Total:
    """Sum ρ and its derivatives in alpha and scale, without allocating arrays of the length of x.

    Fits do not use it: their steps need second derivatives, and see residuals only a block at a
    time (`_kernels/rows.py`); a second pass for these sums would cost more than the sums there.

    The sums are computed in float64, whatever the dtype, and are the same for any number of
    threads: the rounding errors of additions are compensated. The rounding errors of the terms
    remain: tests/unit/test_sums.py holds the sums of 20 000 different terms to a relative 2e-14
    (float64) and 2e-7 (float32), and those of equal terms, whose errors have one sign, to 2^-39 and
    2^-14.

    Parameters
    ----------
    x : ndarray (n,)
        Contiguous, of float32 or float64.
    alpha, scale : float
    weights : ndarray (n,), optional
        All of one sign, contiguous, in the dtype of x. Elements of weight 0 are left out, whatever
        x is.
    losses, slopes : ndarray (n,), optional
        Where to put ρ and w ψ: contiguous, in the dtype of x, sharing no memory with x or weights.
    """
    if x.size <= _CHUNK:
        found = np.empty(6)
        sums.evaluate(x, weights, alpha, scale, found, losses, slopes)
        one, one_lo, two, two_lo, three, three_lo = found.tolist()
        loss = _rounded(one, one_lo)
        grad_alpha, grad_scale = _rounded(two, two_lo), _rounded(three, three_lo)
    else:
        loss, grad_alpha, grad_scale = _in_chunks(x, alpha, scale, weights, losses, slopes)
    if alpha == 2.0 and loss != 0.0:
        grad_alpha = loss * math.inf
    return Total(loss, grad_alpha, grad_scale)


def _in_chunks(
    x: Any, alpha: float, scale: float, weights: Any, losses: Any, slopes: Any
) -> list[float]:
    """The three sums of a large array."""
    found = np.empty((-(-x.size // _CHUNK), 3, 2))

    def work(start: int, stop: int) -> None:
        w, loss, slope = [
            None if one is None else one[start:stop] for one in (weights, losses, slopes)
        ]
        place = found[start // _CHUNK].reshape(6)
        sums.evaluate(x[start:stop], w, alpha, scale, place, loss, slope)

    map_chunks(work, x.size, _CHUNK)
    return [_sum(found[:, row]) for row in range(3)]


def _rounded(value: float, rest: float) -> float:
    """A number and its remainder as one; infinities have no remainder."""
    return value + rest if math.isfinite(value) else value


def _sum(pairs: Any) -> float:
    """The sum of numbers and their remainders, rounded once."""
    if np.all(np.isfinite(pairs)):
        return math.fsum(pairs.reshape(-1).tolist())
    return float(np.sum(pairs[:, 0]))
