"""Least squares of models that are not linear: NIST's certified values, from its own two starts.

Data and values: NIST Statistical Reference Datasets (public domain), Nonlinear Regression,
https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml: Misra1a (easy), MGH09 and Thurber (hard).
"""

import numpy as np
import pytest

import robloss

# fmt: off
MISRA1A = np.array([
    [10.07, 77.6], [14.73, 114.9], [17.94, 141.1], [23.93, 190.8], [29.61, 239.9], [35.18, 289.0],
    [40.02, 332.8], [44.82, 378.4], [50.76, 434.8], [55.05, 477.3], [61.01, 536.8], [66.40, 593.1],
    [75.47, 689.1], [81.78, 760.0],
])
MGH09 = np.array([
    [0.1957, 4.0], [0.1947, 2.0], [0.1735, 1.0], [0.1600, 0.5], [0.0844, 0.25], [0.0627, 0.167],
    [0.0456, 0.125], [0.0342, 0.1], [0.0323, 0.0833], [0.0235, 0.0714], [0.0246, 0.0625],
])
THURBER = np.array([
    [80.574, -3.067], [84.248, -2.981], [87.264, -2.921], [87.195, -2.912], [89.076, -2.840],
    [89.608, -2.797], [89.868, -2.702], [90.101, -2.699], [92.405, -2.633], [95.854, -2.481],
    [100.696, -2.363], [101.060, -2.322], [401.672, -1.501], [390.724, -1.460], [567.534, -1.274],
    [635.316, -1.212], [733.054, -1.100], [759.087, -1.046], [894.206, -0.915], [990.785, -0.714],
    [1090.109, -0.566], [1080.914, -0.545], [1122.643, -0.400], [1178.351, -0.309],
    [1260.531, -0.109], [1273.514, -0.103], [1288.339, 0.010], [1327.543, 0.119],
    [1353.863, 0.377], [1414.509, 0.790], [1425.208, 0.963], [1421.384, 1.006], [1442.962, 1.115],
    [1464.350, 1.572], [1468.705, 1.841], [1447.894, 2.047], [1457.628, 2.200],
])
# fmt: on


def misra1a(b, x):
    return b[0] * (1 - np.exp(-b[1] * x))


def mgh09(b, x):
    return b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3])


def thurber(b, x):
    above = b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3
    return above / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


CERTIFIED = {
    "misra1a": [2.3894212918e02, 5.5015643181e-04],
    "mgh09": [1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01],
    "thurber": [
        1.2881396800e03, 1.4910792535e03, 5.8323836877e02, 7.5416644291e01, 9.6629502864e-01,
        3.9797285797e-01, 4.9727297349e-02,
    ],
}  # fmt: skip
PROBLEMS = {
    "misra1a-1": (misra1a, MISRA1A, [500, 0.0001]),
    "misra1a-2": (misra1a, MISRA1A, [250, 0.0005]),
    "mgh09-2": (mgh09, MGH09, [0.25, 0.39, 0.415, 0.39]),
    "thurber-1": (thurber, THURBER, [1000, 1000, 400, 40, 0.7, 0.3, 0.03]),
    "thurber-2": (thurber, THURBER, [1300, 1500, 500, 75, 1, 0.4, 0.05]),
}


def residuals(model, data):
    def of(b):
        with np.errstate(all="ignore"):
            return data[:, 0] - model(b, data[:, 1])

    return of


@pytest.mark.parametrize(("model", "data", "start"), PROBLEMS.values(), ids=PROBLEMS)
def test_certified_values(model, data, start):
    """`tol` is 1e-8 standard errors, and these are up to a fifth of their estimates."""
    fit = robloss.fit_residuals(residuals(model, data), np.array(start, dtype=float), alpha=2.0)
    assert fit.converged
    np.testing.assert_allclose(fit.params, CERTIFIED[model.__name__], rtol=3e-7)


def test_a_way_to_infinity_ends_in_a_warning():
    """From NIST's far start the parameters of MGH09 grow without bound, where F is flat."""
    start = np.array([25, 39, 41.5, 39])
    with pytest.warns(robloss.ConvergenceWarning):
        fit = robloss.fit_residuals(residuals(mgh09, MGH09), start, alpha=2.0)
    assert np.max(np.abs(fit.params)) > 1e6
