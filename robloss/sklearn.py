"""Robust linear regression as an estimator of scikit-learn."""

import numbers
import warnings
from typing import Any, Self

import array_api_compat
import numpy as np

from robloss._args import as_float
from robloss._callers import level_of_caller
from robloss._fit.linear import fit_linear
from robloss._fit.options import ALPHA_BOUNDS, MAX_ITER, METHOD, N_STARTS, TOL
from robloss._fit.result import ConvergenceWarning as OwnWarning
from robloss._fit.result import History, LinearFit
from robloss._fit.several import LinearFits
from robloss._fit.sums import to_host
from robloss._libraries import library_of
from robloss._typing import Array

try:
    from sklearn import get_config
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import r2_score
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "`robloss.sklearn` needs scikit-learn 1.6 or newer; install it, e.g. "
        "pip install 'robloss[sklearn]'."
    ) from error

__all__ = ["RobustRegressor"]


class RobustRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Robust linear regression whose shape and scale adapt to the data.

    It is `robloss.fit_linear` for scikit-learn's pipelines, cross-validation and searches, and
    passes `check_estimator`.

    Parameters
    ----------
    alpha : "adapt" or float, default "adapt"
        Shape: estimated within `alpha_bounds`, or fixed at any number (±inf included; below 0
        only with a fixed `scale`). It is not a penalty, unlike the `alpha` of `HuberRegressor`: see
        `l2`.
    scale : "adapt" or float, default "adapt"
        Scale, in the unit of `y`: estimated, or fixed at a number in (0, inf).
    fit_intercept : bool, default True
        Whether to fit a constant.
    shared : bool, default False
        Whether several responses share one shape and one scale, instead of each having its own.
    l2 : float, default 0.0
        Ridge penalty: the weight of ½Σθ², over all coefficients but the intercept, added to the sum
        of losses. At ``alpha=2`` and ``scale=1`` it is the `alpha` of `Ridge`.
    alpha_bounds : (float, float), default (0.0, 2.0)
        Range of an adaptive `alpha`.
    truncation : float, optional
        Where the distribution is cut off, in units of the scale, so that `alpha` can be estimated
        below 0.
    n_starts : int, default 1
        How many starts to try; those after the first are random.
    random_state : int or numpy.random.RandomState, optional
        Seed or generator for the random starts; without effect for one start.
    method : {"irls", "gradient"}, default "irls"
        "gradient" is for hundreds of columns or more.
    anneal : {"barron", "jung", "yang"} or sequence of float, optional
        Graduated non-convexity.
    warm_start : bool, default False
        Whether `fit` starts from the end of the previous fit, which must have had the same number
        of parameters. A fit of a single response does not start one of a matrix of responses.
    tol : float, default 1e-8
        Stop once the Newton step is at most this many standard errors long.
    max_iter : int, default 200
        Maximum number of steps.
    verbose : {0, 1, 2} or bool, default 0
        1 prints how the fit ended, 2 also every iterate.

    Attributes
    ----------
    coef_ : array (p,) or (k, p)
        Coefficients; for k responses, one row each.
    intercept_ : float or array (k,)
        0.0 if none was fitted.
    alpha_, scale_ : float or array (k,)
        Shape and scale: estimated, or as given; one for each response, unless they are `shared`.
    weights_ : array (n,) or (n, k)
        Robustness weight of each row: 1 for an ordinary one, near 0 for an outlier.
    outliers_ : array (n,) or (n, k)
        True for the rows whose residual is larger than ``fit_.outlier_distance``.
    nll_ : float
        Negative log-likelihood, in nats.
    n_iter_ : int
        Number of steps; the largest over several responses.
    converged_ : bool
        Whether the fit converged; for several responses, whether all did.
    history_ : History or tuple of History
        `nll`, `alpha` and `scale` at every iterate; one for each response, unless `shared`.
    fit_ : LinearFit or LinearFits
        The complete fit: summary, standard errors, intervals, profiles and plots. It keeps the data
        it was made from, and a pickle of the estimator contains them.
    n_features_in_ : int
    feature_names_in_ : array (p,)
        Names of the columns, if `X` was a data frame; `fit_` has them too.

    See Also
    --------
    robloss.fit_linear : What is fitted, and how; all options in detail.

    Notes
    -----
    Arrays of other libraries need ``sklearn.set_config(array_api_dispatch=True)``; `y` and the
    weights are then converted to the library of `X`, and `predict` requires the library of the fit.

    Examples
    --------
    >>> import robloss
    >>> from robloss.sklearn import RobustRegressor
    >>> data = robloss.datasets.load_stackloss()
    >>> model = RobustRegressor().fit(data.X, data.y)
    >>> round(model.alpha_, 4), round(model.scale_, 4), int(model.outliers_.sum())
    (0.0729, 0.6978, 4)
    """

    fit_: LinearFit | LinearFits
    coef_: Array
    history_: History | tuple[History, ...]

    def __init__(
        self,
        *,
        alpha: float | str = "adapt",
        scale: float | str = "adapt",
        fit_intercept: bool = True,
        shared: bool = False,
        l2: float = 0.0,
        alpha_bounds: tuple[float, float] = ALPHA_BOUNDS,
        truncation: float | None = None,
        n_starts: int = N_STARTS,
        random_state: Any = None,
        method: str = METHOD,
        anneal: Any = None,
        warm_start: bool = False,
        tol: float = TOL,
        max_iter: int = MAX_ITER,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.shared = shared
        self.l2 = l2
        self.alpha_bounds = alpha_bounds
        self.truncation = truncation
        self.n_starts = n_starts
        self.random_state = random_state
        self.method = method
        self.anneal = anneal
        self.warm_start = warm_start
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array or data frame (n, p)
            Features.
        y : array (n,) or (n, k)
            Response, or several, one column each.
        sample_weight : array (n,) or float, optional
            How often each row counts: a weight of 2 is the row twice, a weight of 0 leaves it out.

        Returns
        -------
        RobustRegressor
            Itself.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the fit did not converge.

        Raises
        ------
        TypeError, ValueError
            If `robloss.fit_linear` or scikit-learn refuses the options or the data.
        """
        X, y = validate_data(self, X, y, dtype=_floats(X), y_numeric=True, multi_output=True)
        is_begun = self.warm_start and hasattr(self, "fit_") and self.coef_.ndim == y.ndim
        with warnings.catch_warnings():
            # Said again below, by the class that filters of scikit-learn know.
            warnings.simplefilter("ignore", OwnWarning)
            fit = fit_linear(
                X,
                _beside(X, y),
                intercept=self.fit_intercept,
                shared=self.shared,
                l2=self.l2,
                alpha=self.alpha,
                scale=self.scale,
                alpha_bounds=self.alpha_bounds,
                truncation=self.truncation,
                start=self.fit_ if is_begun else None,
                n_starts=self.n_starts,
                rng=check_random_state(self.random_state).randint(2**31 - 1),
                method=self.method,
                anneal=self.anneal,
                tol=self.tol,
                max_iter=self.max_iter,
                sample_weight=None if sample_weight is None else _beside(X, sample_weight),
                verbose=self.verbose,
                feature_names=getattr(self, "feature_names_in_", None),
            )
        if not fit.converged:
            warning = f"The fit did not converge: {fit.message}"
            level = level_of_caller("sklearn", "joblib")
            warnings.warn(warning, ConvergenceWarning, stacklevel=level)
        self.fit_ = fit
        self.coef_ = fit.coef if fit.coef.ndim == 1 else fit.coef.T
        self.intercept_ = fit.intercept
        self.alpha_, self.scale_, self.nll_ = fit.alpha, fit.scale, fit.nll
        self.weights_, self.outliers_ = fit.weights, fit.outliers
        self.n_iter_, self.converged_ = fit.n_iter, fit.converged
        if isinstance(fit, LinearFits):
            self.history_ = tuple(one.history for one in fit)
        else:
            self.history_ = fit.history
        return self

    def predict(self, X: Any) -> Array:
        """Fitted values.

        Parameters
        ----------
        X : array or data frame (m, p)
            Features, in the library of those of the fit.

        Returns
        -------
        array (m,) or (m, k)
            In the unit of y.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If columns, library or device differ from those of the fit.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=_floats(X), reset=False)
        here, there = (
            (library_of(array), array_api_compat.device(array)) for array in (X, self.coef_)
        )
        if here != there:
            raise ValueError(
                f"`X` of {type(self).__name__}.predict() must use the same namespace and device as "
                f"that of fit(), but got {here[0]} on {here[1]} after {there[0]} on {there[1]}. "
                "Convert it first."
            )
        return self.fit_.predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination R² of the fitted values; see `sklearn.metrics.r2_score`.

        Parameters
        ----------
        X : array or data frame (m, p)
            Features, in the library of those of the fit.
        y : array (m,) or (m, k)
            Responses.
        sample_weight : array (m,), optional
            How much each row counts.

        Returns
        -------
        float
            At most 1; the mean over several responses. It is based on squares, so that outliers
            dominate it.
        """
        # Of what is on the host: scikit-learn writes to arrays, which those of JAX do not allow.
        given = (y, self.predict(X), sample_weight)
        true, fitted, weights = (to_host(one) if library_of(one) else one for one in given)
        return float(r2_score(true, fitted, sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.target_tags.multi_output = True
        return tags


def _floats(X: Any) -> list[Any]:
    """The dtypes to fit in, of the library that scikit-learn leaves X in; the first for others."""
    is_kept = get_config()["array_api_dispatch"] and library_of(X)
    xp = array_api_compat.array_namespace(X) if is_kept else np
    return [xp.float64, xp.float32]


def _beside(X: Array, of_rows: Any) -> Array:
    """Numbers of rows, or one for all of them, in the library, device and dtype of X."""
    xp, device = array_api_compat.array_namespace(X), array_api_compat.device(X)
    if isinstance(of_rows, numbers.Real):
        weight = as_float("sample_weight", of_rows)
        return xp.full(X.shape[0], weight, dtype=X.dtype, device=device)
    if library_of(of_rows) != library_of(X):
        of_rows = to_host(of_rows)
    return xp.asarray(of_rows, dtype=X.dtype, device=device)
