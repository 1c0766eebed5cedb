"""log Z and its derivative as NumPy ufuncs, compiled by Numba; float32 is computed in float64."""

import math
from typing import Any

import numpy as np
from numba import njit, vectorize

from robloss._partition import table

# Numba freezes these arrays into its disk cache, which watches only this file: a new table must
# change this file too, or the old numbers stay in use. A unit test holds the fingerprints equal.
TABLE_FINGERPRINT = "dd44c0a38fa701f6"
STARTS = np.array(table.STARTS)
MIDDLE = np.array(table.MIDDLE)
HALF = np.array(table.HALF)
LOG_PARTITION = np.array(table.LOG_PARTITION)
DERIVATIVE = np.array(table.DERIVATIVE)

LOG_PARTITION_AT_2 = math.log(2 * math.pi) / 2
SIGNATURES = ["float32(float32)", "float64(float64)"]

# notation: v = the variable of the piece (see _partition/generate.py), x = v mapped on [-1, 1]


@njit  # type: ignore[untyped-decorator]  # numba has no types
def _series(alpha: float, coefficients: Any) -> float:
    """Clenshaw's sum over the piece that holds alpha, 0 <= alpha != 2."""
    low, high = 0, STARTS.size
    while high - low > 1:
        middle = (low + high) // 2
        if alpha >= STARTS[middle]:
            low = middle
        else:
            high = middle
    if alpha < 1.0:
        v = alpha
    elif alpha < 4.0:
        v = math.log2(abs(alpha - 2.0))
    else:
        v = 1.0 / (alpha - 2.0)
    x = (v - MIDDLE[low]) / HALF[low]
    one = two = 0.0
    for k in range(coefficients.shape[1] - 1, 0, -1):
        one, two = 2.0 * x * one - two + coefficients[low, k], one
    value: float = x * one - two + coefficients[low, 0]
    return value


@vectorize(SIGNATURES, cache=True)  # type: ignore[untyped-decorator]
def log_partition(alpha: float) -> float:
    """Logarithm of Z(alpha); NaN below 0."""
    shape = np.float64(alpha)
    if not shape >= 0.0:
        return math.nan
    if shape == 2.0:
        return LOG_PARTITION_AT_2
    value: float = _series(shape, LOG_PARTITION)
    return value


@vectorize(SIGNATURES, cache=True)  # type: ignore[untyped-decorator]
def log_partition_derivative(alpha: float) -> float:
    """Derivative of log Z; -inf at 2, NaN below 0."""
    shape = np.float64(alpha)
    if not shape >= 0.0:
        return math.nan
    if shape == 2.0:
        return -math.inf
    value: float = _series(shape, DERIVATIVE)
    if shape >= 4.0:
        inverse = float(1.0 / (shape - 2.0))
        value = -(value * inverse) * inverse
    return value
