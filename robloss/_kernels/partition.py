"""log Z and its derivatives, compiled by Numba; float32 is computed in float64."""

import math
from typing import Any

import numpy as np

from robloss._kernels.compiling import kernel
from robloss._partition import table

STARTS = np.array(table.STARTS)
MIDDLE = np.array(table.MIDDLE)
HALF = np.array(table.HALF)
LOG_PARTITION = np.array(table.LOG_PARTITION)
DERIVATIVE = np.array(table.DERIVATIVE)
SECOND_DERIVATIVE = np.array(table.SECOND_DERIVATIVE)

LOG_PARTITION_AT_2 = math.log(2 * math.pi) / 2

# notation: v = the variable of the piece (see _partition/generate.py), x = v mapped on [-1, 1]


@kernel
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


@kernel
def _value(alpha: float) -> float:
    """Logarithm of Z(alpha); NaN below 0."""
    if not alpha >= 0.0:
        return math.nan
    if alpha == 2.0:
        return LOG_PARTITION_AT_2
    value: float = _series(alpha, LOG_PARTITION)
    return value


@kernel
def _slope(alpha: float) -> float:
    """Derivative of log Z; -inf at 2, NaN below 0."""
    if not alpha >= 0.0:
        return math.nan
    if alpha == 2.0:
        return -math.inf
    value: float = _series(alpha, DERIVATIVE)
    if alpha >= 4.0:
        inverse = 1.0 / (alpha - 2.0)
        value = -(value * inverse) * inverse
    return value


@kernel
def _bow(alpha: float) -> float:
    """Second derivative of log Z; NaN below 0 and at 2."""
    if not alpha >= 0.0 or alpha == 2.0:
        return math.nan
    value: float = _series(alpha, SECOND_DERIVATIVE)
    if alpha >= 1.0:
        inverse = 1.0 / abs(alpha - 2.0)
        value *= inverse
        if alpha >= 4.0:
            value = value * inverse * inverse
    return value


@kernel
def at(alpha: float) -> tuple[float, float, float]:
    """Log Z and two derivatives at one alpha: a call for one number, where that is all."""
    return _value(alpha), _slope(alpha), _bow(alpha)


@kernel
def evaluate(alpha: Any, log_partition: Any, log_partition_derivative: Any) -> None:
    """Fill the outputs that are not None: arrays of alpha's length, all contiguous."""
    for i in range(alpha.size):
        shape = np.float64(alpha[i])
        if log_partition is not None:
            log_partition[i] = _value(shape)
        if log_partition_derivative is not None:
            log_partition_derivative[i] = _slope(shape)
