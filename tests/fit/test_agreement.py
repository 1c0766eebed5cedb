"""The bundled data at given shapes and scales: each library, in each way, has NumPy's fit."""

import numpy as np
import pytest

import robloss
from robloss import datasets

ALPHAS = (2.0, 1.0, 0.5, 0.0, -2.0)
# Steps end this many standard errors from the optimum: what is left is rounding.
EXACT = 1e-12


class Problem:
    """A data set in arrays of a library, centred, with a scale of the size of its residuals."""

    def __init__(self, name, backend, dtype):
        data = datasets.DATASETS[name]()
        # Far from 0, as years are, columns of float32 leave too few digits for a model that has
        # no intercept of its own.
        centred = data.X - np.round(np.mean(data.X, axis=0))
        self.X, self.y = backend.array(centred, dtype), backend.array(data.y, dtype)
        design = np.column_stack([np.ones(len(data.y)), centred])
        self.design = backend.array(design, dtype)
        self.start = backend.array(np.zeros(design.shape[1]), dtype)
        rest = data.y - design @ np.linalg.lstsq(design, data.y)[0]
        self.scale = 0.7 * float(np.median(np.abs(rest)))


def linear(problem, **options):
    return robloss.fit_linear(problem.X, problem.y, **options)


def location(problem, **options):
    return robloss.fit_location(problem.y, **options)


def residuals(problem, **options):
    return robloss.fit_residuals(
        lambda theta: problem.y - problem.design @ theta,
        problem.start,
        jac=lambda theta: -problem.design,
        **options,
    )


@pytest.mark.parametrize("fit", [linear, location, residuals])
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("name", datasets.DATASETS)
@pytest.mark.parametrize(("dtype", "digits"), [("float64", 1e-8), ("float32", 1e-3)])
def test_libraries_agree(name, alpha, fit, dtype, digits, backend):
    problem = Problem(name, backend, dtype)
    options = {"alpha": alpha, "scale": problem.scale}
    ours = fit(problem, tol=EXACT if dtype == "float64" else 1e-8, **options)
    assert ours.converged
    assert backend.dtype_name(ours.params) == dtype
    plain = fit(Problem(name, NumPy(), "float64"), tol=EXACT, **options)
    np.testing.assert_allclose(backend.to_numpy(ours.params), plain.params, rtol=digits)
    assert ours.nll == pytest.approx(plain.nll, rel=digits)
    np.testing.assert_allclose(backend.to_numpy(ours.weights), plain.weights, rtol=10 * digits)


class NumPy:
    """The library that the others are compared with."""

    def array(self, values, dtype):
        return np.asarray(values, dtype)


def test_another_shape_does_not():
    """The twin of the test above."""
    problem = Problem("stackloss", NumPy(), "float64")
    one, other = (linear(problem, alpha=alpha, scale=problem.scale) for alpha in (0.5, 0.52))
    assert np.max(np.abs(one.params / other.params - 1)) > 1e-3
