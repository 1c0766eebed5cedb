"""Several responses of one design that share shape and scale, as one set of data."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from robloss._fit.sums import NO_SHAPE, HostArray, LinearData, ShapeSums, Sums, Wanted
from robloss._typing import Array


class SharedData:
    """Linear data side by side: parameters one after the other, and every row of each counts.

    Attributes
    ----------
    parts : sequence of LinearData
        One per response.
    """

    is_linear = True

    def __init__(self, parts: Sequence[LinearData]) -> None:
        self.parts = tuple(parts)
        self.xp = self.parts[0].xp
        self.n = sum(part.n for part in self.parts)
        self.observations = math.fsum(part.observations for part in self.parts)
        self.size = sum(part.size for part in self.parts)
        self.resolution = self.parts[0].resolution
        self.eps = self.parts[0].eps

    def _split(self, theta: HostArray) -> list[HostArray]:
        return np.split(theta, len(self.parts))

    @property
    def penalised(self) -> HostArray:
        """1 for each coefficient, 0 for the constants."""
        return np.concatenate([part.penalised for part in self.parts])

    def params(self, theta: HostArray) -> Array:
        """All parameters as the user counts them, one column per response."""
        return self.xp.stack(
            [part.params(one) for part, one in zip(self.parts, self._split(theta), strict=True)],
            axis=-1,
        )

    def coefficients(self, theta: HostArray) -> tuple[Array, Array]:
        """Coefficients (p, k) and intercepts (k,)."""
        each = zip(self.parts, self._split(theta), strict=True)
        coef, constants = zip(*(part.coefficients(one) for part, one in each), strict=True)
        return self.xp.stack(coef, axis=-1), self.parts[0].beside(np.asarray(constants))

    def spread(self, theta: HostArray) -> float:
        """Root mean square of all residuals."""
        each = zip(self.parts, self._split(theta), strict=True)
        squares = [part.observations * part.spread(one) ** 2 for part, one in each]
        return math.sqrt(sum(squares) / self.observations)

    def taken(self, index: NDArray[np.intp]) -> "SharedData":
        """Some of the rows, counted from the first response to the last."""
        where, row = np.divmod(index, self.parts[0].n)
        return SharedData([part.taken(row[where == k]) for k, part in enumerate(self.parts)])

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""
        each = zip(self.parts, self._split(theta), strict=True)
        return self._together([part.sums(one, alpha, scale, wanted) for part, one in each])

    def _together(self, sums: list[Sums]) -> Sums:
        def total(name: str) -> float:
            return math.fsum(getattr(one, name) for one in sums)

        def chain(name: str) -> HostArray:
            return np.concatenate([getattr(one, name) for one in sums])

        def rows(which: int) -> Array:
            return self.xp.stack([one.rows[which] for one in sums], axis=-1)

        weight = total("weight")
        squares = math.fsum(one.weight * one.size**2 for one in sums)
        return replace(
            sums[0],
            loss=total("loss"),
            slope=chain("slope"),
            pull=total("pull"),
            stretch=total("stretch"),
            cross=chain("cross"),
            weight=weight,
            squares=chain("squares"),
            size=math.sqrt(squares / weight) if weight > 0 else 0.0,
            hessian=_diagonal([one.hessian for one in sums]),
            gram=_diagonal([one.gram for one in sums]),
            shape=_shape([one.shape for one in sums]),
            rows=(rows(0), rows(1)),
        )


def _shape(shapes: list[ShapeSums]) -> ShapeSums:
    if any(one is NO_SHAPE for one in shapes):
        return NO_SHAPE
    return ShapeSums(
        slope=math.fsum(one.slope for one in shapes),
        bow=math.fsum(one.bow for one in shapes),
        pull=math.fsum(one.pull for one in shapes),
        tilt=np.concatenate([one.tilt for one in shapes]),
    )


def _diagonal(blocks: list[HostArray]) -> HostArray:
    """Blocks along the diagonal of a matrix that is 0 elsewhere."""
    if not blocks[0].size:
        return blocks[0]
    ends = np.cumsum([0, *(len(block) for block in blocks)])
    matrix = np.zeros((ends[-1], ends[-1]))
    for block, start, stop in zip(blocks, ends[:-1], ends[1:], strict=True):
        matrix[start:stop, start:stop] = block
    return matrix
