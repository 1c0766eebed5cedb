"""Fits of statsmodels with our loss, weight and derivatives: they end where ours do."""

import numpy as np
import pytest

import robloss
from robloss import datasets

ALPHAS = (2.0, 1.0, 0.5, 0.0, -2.0)
# What both stop at: reweighting moves by this much at its last step, Newton's method by less.
EXACT = 1e-13


def norm_of(alpha, width):
    """A norm of statsmodels, of residuals in units of its scale."""
    norms = pytest.importorskip("statsmodels.robust.norms", reason="statsmodels is not installed")

    class General(norms.RobustNorm):
        def rho(self, z):
            return width**2 * robloss.loss(np.asarray(z), alpha, width)

        def psi(self, z):
            return width**2 * robloss.influence(np.asarray(z), alpha, width)

        def weights(self, z):
            return width**2 * robloss.weight(np.asarray(z), alpha, width)

        def psi_deriv(self, z):
            return width**2 * robloss.curvature(np.asarray(z), alpha, width)

    return General()


def rlm(data, norm):
    """Its scale is that of the residuals of least squares, for good."""
    models = pytest.importorskip("statsmodels.robust.robust_linear_model")
    design = np.column_stack([np.ones(len(data.y)), data.X])
    return models.RLM(data.y, design, M=norm).fit(update_scale=False, maxiter=5000, tol=EXACT)


@pytest.mark.parametrize("name", datasets.DATASETS)
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("width", [0.7, 1.0, 2.0])
def test_rlm_has_our_minimiser(name, alpha, width):
    data = datasets.DATASETS[name]()
    theirs = rlm(data, norm_of(alpha, width))
    fit = robloss.fit_linear(data.X, data.y, alpha=alpha, scale=width * theirs.scale, tol=EXACT)
    assert fit.converged
    np.testing.assert_allclose(theirs.params, [fit.intercept, *fit.coef], rtol=1e-8)
    # Of a residual of a tenth of a scale the weight moves as the residual does.
    np.testing.assert_allclose(theirs.weights, fit.weights, rtol=1e-7)


def test_at_another_width_it_has_not():
    data = datasets.load_stackloss()
    theirs = rlm(data, norm_of(0.5, 1.0))
    fit = robloss.fit_linear(data.X, data.y, alpha=0.5, scale=1.01 * theirs.scale)
    assert np.max(np.abs(theirs.params / [fit.intercept, *fit.coef] - 1)) > 1e-5
