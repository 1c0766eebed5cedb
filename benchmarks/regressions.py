"""Who fits a robust linear regression, on what data, and what the result must be.

With alpha and scale fixed, all minimise Σ ρ(y − Xθ, alpha, scale) and are held to the same minimum.
With both adapted, scikit-learn has its own objective (Huber's); both then only have to find the
coefficients that the data were made of.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from contest import Call, Contest, Contestant, WrongValueError

import robloss

ALPHA = 1.0
# Relative excess of the objective over its minimum that counts as there: a thousand times less than
# one observation of the smallest problem counts.
SAME = 1e-9
STANDARD_ERRORS = 8.0


@dataclass(frozen=True)
class Regression:
    """A design whose first column is 1, and a response with heavy tails."""

    X: np.ndarray
    y: np.ndarray
    theta: np.ndarray
    scale: float

    def objective(self, theta: np.ndarray) -> float:
        """Σρ at alpha = 1, in the closed form without cancellation."""
        s = ((self.y - self.X @ theta) / self.scale) ** 2
        return float(np.sum(s / (np.sqrt(1 + s) + 1)))


def regression(n: int, p: int, seed: int = 0) -> Regression:
    """Errors of Student's t with 1.5 degrees of freedom; the scale is their MAD."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    X[:, 0] = 1
    theta = rng.standard_normal(p)
    error = rng.standard_t(1.5, n)
    return Regression(X, X @ theta + error, theta, float(np.median(np.abs(error)) / 0.6745))


# ------------------------------------------------------------------------ alpha and scale are fixed


def of_robloss(given: Regression) -> Call:
    def call() -> np.ndarray:
        fit = robloss.fit_linear(given.X, given.y, intercept=False, alpha=ALPHA, scale=given.scale)
        return fit.coef

    return call


def of_numpy(given: Regression) -> Call:
    """Iteratively reweighted least squares as one writes it down."""
    X, y = given.X, given.y

    def call() -> np.ndarray:
        weight, theta = np.ones_like(y), np.zeros(X.shape[1])
        for _ in range(100):
            weighted = X * weight[:, None]
            new = np.linalg.solve(weighted.T @ X, weighted.T @ y)
            step, theta = np.max(np.abs(new - theta)), new
            if step < 1e-8:
                break
            weight = 1 / np.sqrt(1 + ((y - X @ theta) / given.scale) ** 2)
        return theta

    return call


def of_scipy(given: Regression) -> Call:
    """`least_squares` with its Jacobian, from ordinary least squares, at its own tolerances."""
    from scipy.optimize import least_squares

    X, y = given.X, given.y
    width = given.scale * math.sqrt(abs(ALPHA - 2))

    def call() -> np.ndarray:
        start = np.linalg.solve(X.T @ X, X.T @ y)
        return least_squares(
            lambda theta: X @ theta - y, start, jac=lambda _: X, loss="soft_l1", f_scale=width
        ).x

    return call


def of_statsmodels(given: Regression) -> Call:
    """`RLM` at a fixed scale, with a norm made of our operations."""
    import statsmodels.api as sm
    from statsmodels.robust.norms import RobustNorm

    class General(RobustNorm):
        def rho(self, z):
            return robloss.loss(z, ALPHA)

        def psi(self, z):
            return robloss.influence(z, ALPHA)

        def weights(self, z):
            return robloss.weight(z, ALPHA)

        def psi_deriv(self, z):
            return robloss.curvature(z, ALPHA)

        __call__ = rho

    def call() -> np.ndarray:
        model = sm.RLM(given.y, given.X, M=General())
        return model.fit(
            update_scale=False, start_scale=given.scale, conv="coefs", tol=1e-7, maxiter=100
        ).params

    return call


def fixed_check(given: Regression) -> Callable[[object], None]:
    """Hold the objective to its minimum, which plain NumPy finds."""
    least = given.objective(of_numpy(given)())

    def check(theta: object) -> None:
        got = given.objective(np.asarray(theta))
        if not abs(got / least - 1) <= SAME:
            raise WrongValueError(f"the objective is {got!r}, but its minimum {least!r}")

    return check


# ------------------------------------------------------------------------ alpha and scale are found


def of_robloss_adapted(given: Regression) -> Call:
    return lambda: robloss.fit_linear(given.X, given.y, intercept=False).coef


def of_sklearn(given: Regression) -> Call:
    from sklearn.linear_model import HuberRegressor

    def call() -> np.ndarray:
        return HuberRegressor(alpha=0.0, fit_intercept=False).fit(given.X, given.y).coef_

    return call


def adapted_check(given: Regression) -> Callable[[object], None]:
    """Hold the coefficients to those that the data were made of."""
    allowed = STANDARD_ERRORS * given.scale / math.sqrt(len(given.y))

    def check(theta: object) -> None:
        error = float(np.max(np.abs(np.asarray(theta) - given.theta)))
        if not error <= allowed:
            raise WrongValueError(f"a coefficient is off by {error}, more than {allowed}")

    return check


# ---------------------------------------------------------------------------------------- contests

NOTES = {
    "NumPy IRLS": "iteratively reweighted least squares in plain NumPy, to 1e-8",
    "scipy least_squares": "`soft_l1`, `f_scale` = scale·√|α − 2|, with its Jacobian, from the "
    "ordinary least squares solution, at its own tolerances",
    "statsmodels RLM": "a norm made of `robloss.loss`, `influence`, `weight`, `curvature`; fixed "
    "scale, coefficients to 1e-7",
    "HuberRegressor": "scikit-learn, without penalty; Huber's objective, which is not ours",
}


def fixed(given: Regression, about: dict, *, slow: int | None, also: bool = True) -> Contest:
    """A contest at fixed alpha and scale; statsmodels runs `slow` rounds, or not at all."""
    entries = [
        Contestant("robloss", lambda: of_robloss(given)),
        Contestant("NumPy IRLS", lambda: of_numpy(given)),
        Contestant("scipy least_squares", lambda: of_scipy(given)),
    ]
    if also:
        entries.append(Contestant("statsmodels RLM", lambda: of_statsmodels(given), slow))
    return Contest(about, tuple(entries), fixed_check(given), _copy(given.X))


def adapted(given: Regression, about: dict) -> Contest:
    entries = (
        Contestant("robloss", lambda: of_robloss_adapted(given)),
        Contestant("HuberRegressor", lambda: of_sklearn(given)),
    )
    return Contest(about, entries, adapted_check(given), _copy(given.X))


def _copy(array: np.ndarray) -> Call:
    target = np.empty_like(array)
    return lambda: np.copyto(target, array)
