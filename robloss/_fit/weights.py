"""How often each row of the data counts."""

import math
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from robloss._fit.linear_data import RowWeights
from robloss._fit.sums import count, to_host
from robloss._libraries import real_dtype
from robloss._typing import Array

_REMEDY = "A weight says how often its row counts; leave a row out with 0."


@dataclass(frozen=True)
class Counted:
    """Weights of rows, in a unit in which the positive ones are at least 1 on average.

    So the result of a fit does not depend on how small the weights are, and a weight of 2 is still
    the row twice.

    Attributes
    ----------
    rows : RowWeights, or None where every row counts once
    unit : float
    number : int
        The number of rows with a positive weight.
    """

    rows: RowWeights | None
    unit: float
    number: int


def counted(given: Any, xp: Any, X: Array) -> Counted:
    """Check the option `sample_weight` against the data.

    Raises
    ------
    TypeError
        If it is not real.
    ValueError
        If its shape or device is not that of the rows, or a weight is negative or not finite, or
        none is positive.
    """
    if given is None:
        return Counted(None, 1.0, X.shape[0])
    weight = _beside(given, xp, X)
    least, total, some = _looked_at(xp, weight)
    # Both comparisons are false for NaN.
    if not (least >= 0 and total < math.inf):
        _refuse(weight, least, total)
    if not total > 0:
        raise ValueError(
            "`sample_weight` must be positive for at least one row, but got zero "
            f"{weight.shape[0]} times. Leave it out to count every row once."
        )
    unit = min(1.0, total / some)
    rows = RowWeights(weight if unit == 1 else weight / unit, total / unit)
    return Counted(rows, unit, some)


def _beside(given: Any, xp: Any, X: Array) -> Array:
    """The weights as an array of the data's length, device and dtype (for NumPy: float64)."""
    on_host = isinstance(X, np.ndarray)
    weight = np.asarray(given) if on_host else given
    if tuple(np.shape(weight)) != (X.shape[0],):
        raise ValueError(
            f"`sample_weight` must have shape ({X.shape[0]},), one weight per row, but got "
            f"{tuple(np.shape(weight))}. {_REMEDY}"
        )
    if hasattr(weight, "detach"):
        weight = weight.detach()  # nothing here is differentiated through
    devices = [array_api_compat.device(X), array_api_compat.device(weight)]
    if devices[0] != devices[1]:
        raise ValueError(
            "The data and `sample_weight` must be on one device, but got "
            f"{devices[0]} and {devices[1]}. Move one of them first."
        )
    real_dtype("sample_weight", weight, xp)
    if on_host:
        return np.ascontiguousarray(weight, dtype=np.float64)
    return xp.astype(weight, X.dtype, copy=False)


def _looked_at(xp: Any, weight: Array) -> tuple[float, float, int]:
    """The smallest weight, the sum of weights, and the number of positive ones."""
    with np.errstate(over="ignore"):
        found = to_host(xp.stack([xp.min(weight), xp.sum(weight)]))
    return float(found[0]), float(found[1]), count(xp, weight > 0)


def _refuse(weight: Array, least: float, total: float) -> None:
    """Raise an error that names the first bad weight on the host, else the range of weights."""
    if isinstance(weight, np.ndarray):
        bad = np.flatnonzero(~((weight >= 0) & (weight < math.inf)))
        if bad.size:
            index = int(bad[0])
            raise ValueError(
                f"`sample_weight` must lie in [0, inf), but got {float(weight[index])} at index "
                f"({index},). {_REMEDY}"
            )
    raise ValueError(
        "`sample_weight` must lie in [0, inf) and have a finite sum, but got weights from "
        f"{least} on with the sum {total}. {_REMEDY}"
    )
