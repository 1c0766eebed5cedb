"""What a fit returns."""

from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A fitted linear model.

    Attributes
    ----------
    coef : array (p,)
        Coefficients, in units of y per unit of x, in the library of the data.
    intercept : float
        0.0 where none was asked for.
    alpha, scale : float
        Shape, and scale in the unit of y: estimated, or as given.
    nll : float
        Σ s ρ + n log scale + n log Z(alpha), in nats, with the weights s given and n = Σ s. Below
        alpha = 0, where the density cannot be normalised, without the last term.
    weights : array (n,)
        ψ(r)/r in units of its value at 0: 1 for an ordinary observation, near 0 for an outlier,
        whatever its `sample_weight`.
    residuals : array (n,)
        y minus the fitted values.
    observations : float
        The number of rows, each counted as often as its `sample_weight` says.
    n_iter : int
        Steps taken on the full data.
    converged : bool
    status : str
        ``converged``, ``max_iter``, ``stalled``, ``scale_floor``, ``no_weight`` or
        ``not_finite``.
    message : str
        The same in a sentence.
    flags : tuple of str
        What a reader of the result must know: estimates on a bound, coefficients not determined.
    history : History
    adapted : tuple of str
        Which of "alpha" and "scale" were estimated.
    alpha_bounds : tuple of float
    feature_names : tuple of str
    fitted_intercept : bool
    """

    coef: Array
    intercept: float
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
    feature_names: tuple[str, ...]
    fitted_intercept: bool

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

    def summary(self) -> str:
        """Write the fit as a table, in the manner of statsmodels."""
        return summary(self)

    def __repr__(self) -> str:
        """Name the estimates and how the fit ended."""
        return (
            f"<Fit alpha={self.alpha:.6g} scale={self.scale:.6g} nll={self.nll:.6g} "
            f"status={self.status!r}>"
        )
