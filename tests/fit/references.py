"""Published and independently computed fits, as data: what the tests of estimation compare with.

The joint maximum-likelihood figures were computed independently of the library, two ways, with Z
to 25 digits; they are given to the digits printed here. Coefficients have the intercept first.
"""

from dataclasses import dataclass

import numpy as np

from robloss.datasets import DATASETS


@dataclass(frozen=True)
class Reference:
    """A fit of a bundled data set."""

    dataset: str
    options: dict
    alpha: float
    scale: float
    coefficients: tuple[float, ...]
    nll: float
    flag: str = ""

    def data(self):
        return DATASETS[self.dataset]()


REFERENCES = {
    "stackloss": Reference(
        "stackloss",
        {},
        0.07289,
        0.69781,
        (-38.43818, 0.851492, 0.496453, -0.0722376),
        49.4313071,
    ),
    "stackloss-alpha0": Reference(
        "stackloss",
        {"alpha": 0.0},
        0.0,
        0.6174779,
        (-38.6320629, 0.8519061, 0.488797, -0.0683041),
        49.5810199,
    ),
    "stackloss-alpha1": Reference(
        "stackloss",
        {"alpha": 1.0},
        1.0,
        1.723067,
        (-39.2908233, 0.8268331, 0.7880843, -0.1144400),
        51.5258648,
    ),
    "phones": Reference(
        "phones",
        {},
        0.0,
        0.8348719,
        (-53.8761291, 1.12288),
        102.2800308,
        "alpha is on its lower bound 0",
    ),
    "stars": Reference(
        "stars",
        {},
        2.0,
        0.5524875,
        (6.7934673, -0.4133039),
        38.8038611,
        "alpha is on its upper bound 2: this is least squares",
    ),
    # One of two local minima, the one that reweighting reaches from least squares.
    "stars-alpha0": Reference("stars", {"alpha": 0.0}, 0.0, 0.25258, (7.95076, -0.641499), 50.6746),
}


def synthetic(seed: int, noise: str, n: int = 120, p: int = 3):
    """A linear model with noise of a named kind: X, y and the true coefficients."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    beta = np.linspace(-1.0, 2.0, p)
    error = {
        "normal": lambda: rng.normal(size=n),
        "laplace": lambda: rng.laplace(size=n),
        "student": lambda: rng.standard_t(1.5, n),
        "cauchy": lambda: rng.standard_cauchy(n),
        "outliers": lambda: np.where(
            rng.random(n) < 0.2, 40 * rng.normal(size=n), rng.normal(size=n)
        ),
        "skewed": lambda: rng.exponential(size=n),
        "uniform": lambda: rng.uniform(-1, 1, size=n),
    }[noise]()
    return X, X @ beta + 0.5 + error, beta


def estimates_of(fit):
    """What a fit estimated, in the order of its covariance."""
    constant = [fit.intercept] if fit.fitted_intercept else []
    return [*constant, *fit.coef, *(getattr(fit, name) for name in fit.adapted)]


NOISES = ("normal", "laplace", "student", "cauchy", "outliers", "skewed", "uniform")
