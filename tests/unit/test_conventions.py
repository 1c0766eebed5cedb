"""robloss.conventions: each row against the package itself, or the formula of its source."""

import importlib.util
import math
import re
from pathlib import Path

import numpy as np
import pytest

import robloss
from robloss.conventions import MEMBERS, from_peer, to_peer

DOCS = Path(__file__).parents[2] / "docs"
X = np.array([-30.0, -2.0, -0.1, 0.5, 1.0, 4.0])

# Transcribed from the sources that the rows name: the loss at residual r, with constant k, as it is
# added to the cost. What acts on a squared norm is given r².


def soft_l1(r, k):  # Ceres halves ρ(s)
    return 0.5 * 2 * k**2 * (np.sqrt(1 + r**2 / k**2) - 1)


def cauchy(r, k):
    return 0.5 * k**2 * np.log(1 + r**2 / k**2)


def welsch(r, k):
    return 0.5 * k**2 * (1 - np.exp(-(r**2) / k**2))


FORMULAS = {
    ("statsmodels", "StudentT"): lambda r, k: k**2 * 4 / 2 * (np.log(4 + (r / k) ** 2) - np.log(4)),
    ("ceres", "SoftLOneLoss"): soft_l1,
    ("ceres", "CauchyLoss"): cauchy,
    ("gtsam", "Cauchy"): cauchy,
    ("gtsam", "GemanMcClure"): lambda r, k: 0.5 * (k**2 * r**2) / (k**2 + r**2),
    ("gtsam", "Welsch"): welsch,
    # From here on, but for the last two, like r² near 0, where the others are like r²/2.
    ("g2o", "PseudoHuber"): lambda r, k: 2 * soft_l1(r, k),
    ("g2o", "Cauchy"): lambda r, k: 2 * cauchy(r, k),
    ("g2o", "GemanMcClure"): lambda r, k: k * r**2 / (k + r**2),
    ("g2o", "Welsch"): lambda r, k: 2 * welsch(r, k),
    ("pypose", "PseudoHuber"): lambda r, k: 2 * soft_l1(r, k),
    ("pypose", "Cauchy"): lambda r, k: 2 * cauchy(r, k),
    ("theseus", "WelschLoss"): lambda r, k: k - k * np.exp(-(r**2) / k),
    ("opencv", "DIST_WELSCH"): welsch,
    ("xgboost", "reg:pseudohubererror"): soft_l1,
}
WEIGHTS = {
    ("statsmodels", "StudentT"): lambda r, k: 4 / (4 + (r / k) ** 2),
    ("matlab", "cauchy"): lambda r, k: 1 / (1 + (r / k) ** 2),
    ("matlab", "welsch"): lambda r, k: np.exp(-((r / k) ** 2)),
    ("robustbase", "welsh"): lambda r, k: np.exp(-((r / k) ** 2) / 2),
}
DOUBLED = {"g2o", "pypose", "theseus"}

members = pytest.mark.parametrize("row", MEMBERS, ids=lambda row: f"{row.package}-{row.name}")


@members
@pytest.mark.parametrize("scale", [0.3, 1.0, 7.0])
def test_the_loss_is_scale_squared_times_ours(row, scale):
    if (row.package, row.name) not in FORMULAS:
        assert (row.package, row.name) in WEIGHTS or row.package == "scipy"
        return
    theirs = FORMULAS[row.package, row.name](X, to_peer(row.package, row.name, scale))
    times = 2 if row.package in DOUBLED else 1
    ours = times * scale**2 * robloss.loss(X, row.alpha, scale)
    # The sources' formulas cancel where x is a thirtieth of the constant.
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)


@members
@pytest.mark.parametrize("scale", [0.3, 1.0, 7.0])
def test_the_weight_is_ours(row, scale):
    if (row.package, row.name) not in WEIGHTS:
        assert (row.package, row.name) in FORMULAS or row.package == "scipy"
        return
    theirs = WEIGHTS[row.package, row.name](X, to_peer(row.package, row.name, scale))
    ours = scale**2 * robloss.weight(X, row.alpha, scale)
    np.testing.assert_allclose(theirs, ours, rtol=1e-11)  # exponents up to 5000


def _value(formula, r, k):
    """A formula of the table as Python would have it."""
    text = formula.partition(", with")[0].removeprefix("w = ")
    for sign, python in (("²", "**2"), ("√", "sqrt"), ("−", "-")):
        text = text.replace(sign, python)
    text = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", text)
    names = {"sqrt": np.sqrt, "log": np.log, "exp": np.exp, "r": r, "k": k}
    return eval(text, {"__builtins__": {}}, names)


@members
def test_the_formula_of_the_table_is_that_of_the_source(row):
    """Those of SciPy are held to SciPy below, through the factor."""
    table = WEIGHTS if row.formula.startswith("w = ") else FORMULAS
    formula = table.get((row.package, row.name), cauchy if row.alpha == 0 else soft_l1)
    np.testing.assert_allclose(_value(row.formula, X, 1.7), formula(X, 1.7), rtol=1e-12)


def test_a_wrong_factor_shows():
    theirs = FORMULAS["ceres", "CauchyLoss"](X, 1.01 * to_peer("ceres", "CauchyLoss", 1.0))
    ratios = theirs / robloss.loss(X, 0.0, 1.0)
    assert np.ptp(ratios) > 1e-2  # no multiple of ours


# ------------------------------------------------------------------------ the packages themselves


@pytest.mark.parametrize("name", ["soft_l1", "cauchy"])
def test_least_squares_of_scipy(name):
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
    (row,) = [row for row in MEMBERS if (row.package, row.name) == ("scipy", name)]
    constant = to_peer("scipy", name, 0.7)
    assert constant == pytest.approx(robloss.scipy.f_scale(row.alpha, 0.7), rel=1e-15)
    found = optimize.least_squares(
        lambda theta: X + 0 * theta, [0.0], loss=name, f_scale=constant, max_nfev=1
    )
    ours = 0.7**2 * robloss.loss(X, row.alpha, 0.7).sum()
    assert found.cost == pytest.approx(ours, rel=1e-13)


def test_pseudo_huber_of_scipy():
    special = pytest.importorskip("scipy.special", reason="scipy is not installed")
    theirs = special.pseudo_huber(to_peer("scipy", "pseudo_huber", 0.7), X)
    np.testing.assert_allclose(theirs, 0.7**2 * robloss.loss(X, 1.0, 0.7), rtol=1e-13)


def test_student_t_of_statsmodels():
    norms = pytest.importorskip("statsmodels.robust.norms", reason="statsmodels is not installed")
    norm = norms.StudentT(c=to_peer("statsmodels", "StudentT", 0.7), df=4)
    np.testing.assert_allclose(norm.rho(X), 0.7**2 * robloss.loss(X, 0.0, 0.7), rtol=1e-12)
    np.testing.assert_allclose(norm.weights(X), 0.7**2 * robloss.weight(X, 0.0, 0.7), rtol=1e-13)
    curvature = 0.7**2 * robloss.curvature(X, 0.0, 0.7)
    np.testing.assert_allclose(norm.psi_deriv(X), curvature, rtol=1e-11)


@pytest.mark.parametrize(
    ("package", "name", "constant"),
    [("matlab", "cauchy", 2.385), ("matlab", "welsch", 2.985), ("robustbase", "welsh", 2.11),
     ("opencv", "DIST_WELSCH", 2.9846)],
)  # fmt: skip
def test_defaults_have_95_percent_efficiency(package, name, constant):
    """The packages choose them so: what no table of ours can have got from ours."""
    assert robloss.efficiency(*from_peer(package, name, constant)) == pytest.approx(0.95, abs=2e-4)


@pytest.mark.parametrize(
    ("alpha", "formula"),
    [(1.0, np.sqrt(X**2 + 1) - 1), (0.0, np.log(X**2 / 2 + 1)), (-2.0, 2 * X**2 / (X**2 + 4)),
     (-math.inf, 1 - np.exp(-(X**2) / 2))],
)  # fmt: skip
def test_kornia_has_scale_one(alpha, formula):
    """Formulas of kornia.losses 0.9."""
    np.testing.assert_allclose(formula, robloss.loss(X, alpha, 1.0), rtol=1e-12)


def test_l12_of_opencv_has_scale_root_two():
    """Its weight in modules/imgproc/src/linefit.cpp."""
    ours = 2 * robloss.weight(X, 1.0, math.sqrt(2))
    np.testing.assert_allclose(1 / np.sqrt(1 + X**2 / 2), ours, rtol=1e-13)


# -------------------------------------------------------------------------------- the converters


@members
@pytest.mark.parametrize("scale", [1e-100, 0.3, 1e100])
def test_there_and_back(row, scale):
    alpha, back = from_peer(row.package, row.name, to_peer(row.package, row.name, scale))
    assert alpha == row.alpha
    assert back == pytest.approx(scale, rel=1e-15)


def test_a_squared_constant():
    assert to_peer("g2o", "GemanMcClure", 3.0) == 36.0
    assert from_peer("g2o", "GemanMcClure", 36) == (-2.0, 3.0)
    assert from_peer("theseus", "WelschLoss", 2.0) == (-math.inf, 1.0)


def test_errors_of_names():
    with pytest.raises(ValueError, match=r"`package` must be one of 'scipy', .*got 'Ceres'\. Pass"):
        to_peer("Ceres", "CauchyLoss", 1.0)
    with pytest.raises(
        ValueError, match=r"`name` must be one of 'SoftLOneLoss', 'CauchyLoss' for 'ceres', but got"
    ):
        from_peer("ceres", "HuberLoss", 1.0)
    with pytest.raises(ValueError, match="such as Huber's or Tukey's, are no members"):
        from_peer("statsmodels", "HuberT", 1.345)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf])
def test_errors_of_numbers(bad):
    with pytest.raises(ValueError, match=rf"`scale` must lie in \(0, inf\), but got {bad}"):
        to_peer("ceres", "CauchyLoss", bad)
    with pytest.raises(ValueError, match=rf"`constant` must lie in \(0, inf\), but got {bad}"):
        from_peer("ceres", "CauchyLoss", bad)
    with pytest.raises(ValueError, match=r"`constant` must lie in .* but got nan"):
        from_peer("ceres", "CauchyLoss", math.nan)
    with pytest.raises(TypeError, match="`constant` must be a number, but got '1'"):
        from_peer("ceres", "CauchyLoss", "1")


# -------------------------------------------------------------------------------------- the page


def _page_maker():
    spec = importlib.util.spec_from_file_location("page_of_peers", DOCS / "peers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_its_script_makes():
    assert (DOCS / "peers.md").read_text(encoding="utf-8") == _page_maker().page()


@members
def test_the_page_has_every_member(row):
    lines = [line for line in _page_maker().table().splitlines() if f"`{row.name}`" in line]
    assert any(row.formula in line and row.source in line for line in lines)


def test_names_are_unique():
    assert len({(row.package, row.name) for row in MEMBERS}) == len(MEMBERS)
