"""Vector residuals as data of a fit: one number for each, its length, with the loss of `norm_law`.

To first order, a length changes with the parameters by the component of its vector's change along
the vector; the component across it enters the Hessian and the reweighted problem.
"""

import math
from dataclasses import replace

import numpy as np

from robloss._backends import evaluate
from robloss._fit.arrays import ArrayData
from robloss._fit.norm_law import excess, law, law_by_alpha
from robloss._fit.norm_partition import LEAST_ALPHA
from robloss._fit.options import Options
from robloss._fit.residual_data import ResidualData
from robloss._fit.sums import HostArray, Sums, Wanted, lengths, to_host, weighted_size
from robloss._typing import Array


def for_vectors(options: Options) -> Options:
    """The options for vectors, with bounds of alpha between which their distribution is used."""
    if options.alpha is not None and options.alpha > 2:
        raise ValueError(
            f"`alpha` must be at most 2 where `residuals` returns vectors, but got "
            f"{options.alpha!r}. A loss that grows faster has weights above 1."
        )
    if options.truncation is not None:
        raise ValueError(
            f"`truncation` must be None where `residuals` returns vectors, but got "
            f"{options.truncation!r}. Leave it out: their distribution cannot be truncated."
        )
    if options.alpha is not None:
        if options.scale is None and options.alpha < LEAST_ALPHA:
            raise ValueError(
                f"`alpha` must lie in [{LEAST_ALPHA}, 2] where the scale of vectors is adapted, "
                f"but got {options.alpha!r}. Below that no likelihood determines the scale; give "
                "`scale` a number."
            )
        return options
    low, high = max(options.bounds[0], LEAST_ALPHA), options.bounds[1]
    if not low < high <= 2:
        raise ValueError(
            f"`alpha_bounds` must be low < high with {LEAST_ALPHA} < high <= 2 where `residuals` "
            f"returns vectors, but got {options.bounds!r}. Give `alpha` a number to fix it."
        )
    return replace(options, bounds=(low, high))


class NormData(ArrayData):
    """The lengths of residuals (n,) and minus their slopes (n, q), around some parameters.

    Attributes
    ----------
    dimensions : int
        The number of components of the vectors.
    """

    dimensions = 2

    @property
    def components(self) -> int:
        """How many numbers a residual is made of."""
        return self.dimensions

    def law(self, z: Array, alpha: float) -> tuple[Array, Array, Array, Array]:
        """The loss of a length, its two derivatives, and the weight."""
        return law(self.xp, z, self.dimensions, alpha)

    def law_by_alpha(self, z: Array, alpha: float) -> tuple[Array, Array, Array]:
        """∂ℓ/∂α, ∂²ℓ/∂α² and ∂ℓ'/∂α of the lengths."""
        return law_by_alpha(self.xp, z, self.dimensions, alpha)

    def grad_alpha(self, z: Array, alpha: float) -> Array:
        """∂ℓ/∂α of the lengths."""
        return self.law_by_alpha(z, alpha)[0]

    def influence(self, z: Array, alpha: float) -> Array:
        """The slope of the loss of a length."""
        return z * evaluate("weight", excess(self.xp, z, self.dimensions), alpha, 1.0)


class VectorData(ResidualData):
    """A residual function with values (n, d), and their derivatives (n, d, q)."""

    def around(self, theta: HostArray) -> NormData:
        """The lengths, and how they change with the parameters: ‖r + J δ‖ ≈ ‖r‖ + (r/‖r‖)·J δ."""
        return self._norms(*self._at(theta))

    def _norms(self, slopes: Array, residuals: Array) -> NormData:
        xp, d = self.xp, residuals.shape[1]
        norms = lengths(xp, residuals, d)
        toward = residuals / xp.where(norms > 0, norms, xp.ones_like(norms))[:, None]
        along = -xp.sum(toward[:, :, None] * slopes, axis=1)
        data = NormData(xp, along, norms, False, self.row_weights)
        data.dimensions = d
        return data

    def spread(self, theta: HostArray) -> float:
        """Root mean square of the components."""
        return super().spread(theta) / math.sqrt(self.components)

    def sums(self, theta: HostArray, alpha: float, scale: float, wanted: Wanted) -> Sums:
        """What a step needs at one set of parameters."""
        slopes, residuals = self._at(theta)
        data = self._norms(slopes, residuals)
        both = replace(wanted, gram=wanted.hessian or wanted.gram)
        sums = data.sums(np.zeros(self.size), alpha, scale, both)
        weight = sums.rows[1]
        squares, gram = self._of_components(data, slopes, weight, both.gram)
        return replace(
            sums,
            squares=squares,
            size=max(self.size_of_y, scale * weighted_size(sums.pull, sums.weight)),
            hessian=sums.hessian + (gram - sums.gram) if wanted.hessian else sums.hessian,
            gram=gram,
            rows=(residuals, weight),
        )

    def _of_components(
        self, data: NormData, slopes: Array, weight: Array, wanted: bool
    ) -> tuple[HostArray, HostArray]:
        """Σ w x² and, if wanted, Σ w x xᵀ over the slopes x of all components."""
        xp, d = self.xp, data.dimensions
        x = xp.reshape(slopes, (d * slopes.shape[0], self.size))
        weighted = xp.repeat(data.counted(weight), d)[:, None] * x
        squares = to_host(xp.sum(weighted * x, axis=0))
        return squares, to_host(xp.matrix_transpose(x) @ weighted) if wanted else np.empty((0, 0))
