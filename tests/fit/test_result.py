"""The result and its table."""

import dataclasses
from statistics import NormalDist

import numpy as np
import pytest

import robloss
from fit.references import REFERENCES, synthetic


def test_it_is_frozen():
    fit = robloss.fit_linear(*synthetic(30, "laplace")[:2])
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.alpha = 1.0


def test_what_it_holds_is_consistent():
    X, y, _ = synthetic(31, "student")
    fit = robloss.fit_linear(X, y)
    np.testing.assert_allclose(fit.residuals, y - X @ fit.coef - fit.intercept, atol=1e-14)
    np.testing.assert_allclose(
        fit.weights, robloss.weight(fit.residuals, fit.alpha, fit.scale) * fit.scale**2, rtol=1e-13
    )
    assert fit.nll == pytest.approx(float(np.sum(robloss.nll(fit.residuals, fit.alpha, fit.scale))))
    assert fit.history.nll[-1] == fit.nll
    assert (fit.history.alpha[-1], fit.history.scale[-1]) == (fit.alpha, fit.scale)
    assert fit.n_iter == len(fit.history.nll) - 1
    assert "status='converged'" in repr(fit)


def test_summary_names_estimates_and_outliers():
    reference = REFERENCES["stackloss"]
    data = reference.data()
    text = robloss.fit_linear(data.X, data.y, feature_names=data.feature_names).summary()
    for part in ("49.43131", "0.0728903", "0.69781", "Air.Flow", "0.851492", "row 20", "converged"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80


def test_summary_says_what_to_know():
    data = REFERENCES["stars"].data()
    text = robloss.fit_linear(data.X, data.y).summary()
    assert "Note: alpha is on its upper bound 2: this is least squares." in text


def test_summary_of_given_parameters():
    text = robloss.fit_linear(*synthetic(32, "normal")[:2], alpha=1.0, scale=2.0).summary()
    assert text.count("(fixed)") == 2
    assert "bounds" not in text


def test_summary_has_standard_errors_and_intervals():
    X, y, _ = synthetic(35, "student")
    names = ["x", "a name that is too long for its column", "z"]
    fit = robloss.fit_linear(X, y, feature_names=names)
    text = fit.summary()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 78
    row = lines[lines.index(names[1]) + 1].split()
    z = float(fit.coef[1] / fit.standard_errors[2])
    p = 2 * NormalDist().cdf(-abs(z))
    expected = [f"{fit.coef[1]:.6g}", f"{fit.standard_errors[2]:.4g}", f"{z:.3g}", f"{p:.3f}"]
    assert row == [*expected, *(f"{end:.5g}" for end in fit.conf_int()[2])]
    (scale,) = (line.split() for line in lines if line.startswith("scale"))
    assert scale[2:] == [
        f"{fit.standard_errors[-1]:.4g}",
        *(f"{e:.5g}" for e in fit.conf_int()[-1]),
    ]


def test_summary_of_weights_leaves_out_nobody():
    reference = REFERENCES["stackloss"]
    data = reference.data()
    fit = robloss.fit_linear(data.X, data.y)
    text = fit.summary()
    assert "5 of 21 rows have a weight above 0.9; 4 are outliers, farther than 4." in text
    assert "Weights of the other 12:" in text
    rest = [w for w, out in zip(fit.weights, fit.outliers, strict=True) if not out and w <= 0.9]
    assert f"{np.median(rest):.4g}" in text.split("Weights of the other")[1]


def test_summary_of_a_fit_that_stopped_says_so():
    X, y, _ = synthetic(36, "laplace")
    with pytest.warns(robloss.ConvergenceWarning):
        fit = robloss.fit_linear(X, y, max_iter=1)
    assert "Note: Standard errors are those where the fit stopped." in fit.summary()


@pytest.mark.parametrize("rows", [3, 12])
def test_summary_lists_at_most_ten_outliers(rows):
    X, y, _ = synthetic(33, "normal", n=200)
    y[:rows] += 1e4 * (1 + np.arange(rows))
    text = robloss.fit_linear(X, y, alpha=1.0, scale=1.0).summary()
    assert text.count("  row ") == min(rows, 10)
    assert ("and 2 more" in text) == (rows == 12)


def test_below_alpha_0_the_nll_is_said_not_to_compare():
    X, y, _ = synthetic(34, "laplace")
    assert any(
        "cannot be compared" in flag for flag in robloss.fit_linear(X, y, alpha=-1, scale=1).flags
    )
    assert robloss.fit_linear(X, y, alpha=0, scale=1).flags == ()


def test_summary_says_how_much_the_rows_weigh():
    X, y, _ = synthetic(35, "normal")
    text = robloss.fit_linear(X, y, sample_weight=np.full(len(y), 2.5)).summary()
    assert [line.split() for line in text.splitlines() if "weighted" in line] == [
        ["weighted", "300"]
    ]
    assert "weighted" not in robloss.fit_linear(X, y).summary()
