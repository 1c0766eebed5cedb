"""What a fit returns."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from robloss._args import common_library, real_dtype
from robloss._fit.summary import summary
from robloss._typing import Array


class ConvergenceWarning(UserWarning):
    """A fit ended before it met its tolerance, or at a point that is no optimum."""


@dataclass(frozen=True, eq=False)
class History:
    """The iterates of a fit, the start first.

    Attributes
    ----------
    nll, alpha, scale : numpy.ndarray
        One value per iterate; `nll` never increases.
    """

    nll: NDArray[np.float64]
    alpha: NDArray[np.float64]
    scale: NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    params : array (q,)
        The parameters of the model; for a linear one the intercept, if fitted, and coefficients.
    alpha, scale : float
        Shape, and scale in the unit of the residuals: estimated, or as given.
    nll : float
        Σ s ρ + n log scale + n log Z(alpha), in nats, with the weights s given and n = Σ s. Below
        alpha = 0, where the density cannot be normalised without a
        truncation, without the last term.
    weights : array (n,)
        ψ(r)/r in units of its value at 0: 1 for an ordinary observation, near 0 for an outlier,
        whatever its `sample_weight`.
    residuals : array (n,)
        What the model leaves; for a linear one y minus the fitted values.
    observations : float
        The number of rows, each counted as often as its `sample_weight` says.
    n_iter : int
        Steps taken on the full data.
    converged : bool
    status : str
        ``converged``, ``max_iter``, ``stalled``, ``stopped``, ``scale_floor``, ``no_weight`` or
        ``not_finite``.
    message : str
        The same in a sentence.
    flags : tuple of str
        What a reader of the result must know: estimates on a bound, coefficients not determined.
    history : History
    adapted : tuple of str
        Which of "alpha" and "scale" were estimated.
    alpha_bounds : tuple of float
    truncation : float, or None
        τ, in units of the scale.
    alpha_by_truncation : float
        dα/d log τ, by how much the estimate of alpha moves with τ; NaN where it does not.
    names : tuple of str
        Of the parameters.
    """

    params: Array
    alpha: float
    scale: float
    nll: float
    weights: Array
    residuals: Array
    observations: float
    n_iter: int
    converged: bool
    status: str
    message: str
    flags: tuple[str, ...]
    history: History
    adapted: tuple[str, ...]
    alpha_bounds: tuple[float, float]
    truncation: float | None
    alpha_by_truncation: float
    names: tuple[str, ...]

    title: ClassVar[str] = "Robust fit with the general adaptive loss"

    def summary(self) -> str:
        """Write the fit as a table, in the manner of statsmodels."""
        return summary(self)

    def __repr__(self) -> str:
        """Name the estimates and how the fit ended."""
        return (
            f"<{type(self).__name__} alpha={self.alpha:.6g} scale={self.scale:.6g} "
            f"nll={self.nll:.6g} status={self.status!r}>"
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LinearFit(Fit):
    """A fitted linear model: a `Fit` with these besides.

    Attributes
    ----------
    coef : array (p,)
        Coefficients, in units of y per unit of x, in the library of the data.
    intercept : float
        0.0 where none was asked for.
    feature_names : tuple of str
    fitted_intercept : bool
    """

    coef: Array
    intercept: float
    feature_names: tuple[str, ...]
    fitted_intercept: bool

    title: ClassVar[str] = "Robust linear regression with the general adaptive loss"

    def predict(self, X: Array) -> Array:
        """Fitted values, ``X @ coef + intercept``.

        Parameters
        ----------
        X : array (m, p)
            In the library of the data the model was fitted to.

        Returns
        -------
        array (m,)
            In the unit of y.

        Raises
        ------
        TypeError
            If `X` comes from another library, or is not real.
        ValueError
            If `X` does not have p columns.
        """
        library, xp = common_library({"X": X, "coef": self.coef})
        X = np.asarray(X) if library == "numpy" else X
        p = len(self.feature_names)
        if X.ndim != 2 or X.shape[1] != p:
            raise ValueError(
                f"`X` must have shape (m, {p}), but got {tuple(X.shape)}. "
                "Pass the columns that the model was fitted to."
            )
        real_dtype("X", X, xp)
        return xp.astype(X, self.coef.dtype, copy=False) @ self.coef + self.intercept


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LocationFit(Fit):
    """A fitted location: a `Fit` with this besides.

    Attributes
    ----------
    location : float
        The robust mean, in the unit of the data.
    """

    location: float

    title: ClassVar[str] = "Robust location with the general adaptive loss"
