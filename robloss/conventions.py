"""Conversions between `scale` and the constants of other packages' losses.

Packages define their constants differently: the Cauchy loss of scale 1 here has the constant √2 in
SciPy, Ceres or MATLAB. `from_peer` turns a constant into `alpha` and `scale`, `to_peer` turns a
`scale` into a constant; `MEMBERS` is the table behind both.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from robloss._args import number_in
from robloss._domains import SCALE

__all__ = ["MEMBERS", "Loss", "Member", "from_peer", "to_peer"]


@dataclass(frozen=True)
class Member:
    """A loss of another package that is a member of the family.

    Attributes
    ----------
    package, name : str
        As written there, with the package in lower case.
    constant : str
        What the package calls its constant.
    alpha : float
        The shape of the loss here.
    factor : float
        The constant is ``factor * scale``.
    squared : bool
        Whether the constant is the square of that instead.
    in_sigmas : bool
        Whether the constant is in units of the standard deviation, which the package estimates; so
        is `scale` then.
    formula : str
        The loss there, or its weight, as a function of the residual r and the constant k.
    source : str
        Where the package defines it.
    """

    package: str
    name: str
    constant: str
    alpha: float
    factor: float
    formula: str
    source: str
    squared: bool = False
    in_sigmas: bool = False


class Loss(NamedTuple):
    """A loss of this package.

    Attributes
    ----------
    alpha : float
        Shape.
    scale : float
        Width of the quadratic part.
    """

    alpha: float
    scale: float


_ROOT = math.sqrt(2)
_CERES = "ceres-solver: internal/ceres/loss_function.cc"
_GTSAM = "gtsam: gtsam/linear/LossFunctions.cpp"
_G2O = "g2o: g2o/core/robust_kernel_impl.cpp"
_PYPOSE = "pypose: pypose/optim/kernel.py"
_SCIPY = "scipy.optimize.least_squares, `loss`"
_MATLAB = "MATLAB: robustfit, `wfun`"

MEMBERS = (
    Member("scipy", "soft_l1", "f_scale", 1.0, 1.0, "k² (√(1 + (r/k)²) − 1)", _SCIPY),
    Member("scipy", "cauchy", "f_scale", 0.0, _ROOT, "k²/2 log(1 + (r/k)²)", _SCIPY),
    Member(
        "scipy", "pseudo_huber", "delta", 1.0, 1.0, "k² (√(1 + (r/k)²) − 1)",
        "scipy.special.pseudo_huber",
    ),
    Member(
        "statsmodels", "StudentT", "c", 0.0, 1 / _ROOT, "2 k² log(1 + (r/k)²/4), with df = 4",
        "statsmodels.robust.norms.StudentT", in_sigmas=True,
    ),
    Member("matlab", "cauchy", "tune", 0.0, _ROOT, "w = 1/(1 + (r/k)²)", _MATLAB, in_sigmas=True),
    Member(
        "matlab", "welsch", "tune", -math.inf, _ROOT, "w = exp(−(r/k)²)", _MATLAB, in_sigmas=True
    ),
    Member(
        "robustbase", "welsh", "tuning.psi", -math.inf, 1.0, "w = exp(−(r/k)²/2)",
        "robustbase: src/lmrob.c, wgt_gwgt", in_sigmas=True,
    ),
    Member("ceres", "SoftLOneLoss", "a", 1.0, 1.0, "k² (√(1 + (r/k)²) − 1)", _CERES),
    Member("ceres", "CauchyLoss", "a", 0.0, _ROOT, "k²/2 log(1 + (r/k)²)", _CERES),
    Member("gtsam", "Cauchy", "k", 0.0, _ROOT, "k²/2 log(1 + (r/k)²)", _GTSAM),
    Member("gtsam", "GemanMcClure", "c", -2.0, 2.0, "k² r²/(2 (k² + r²))", _GTSAM),
    Member("gtsam", "Welsch", "c", -math.inf, _ROOT, "k²/2 (1 − exp(−(r/k)²))", _GTSAM),
    Member("g2o", "PseudoHuber", "delta", 1.0, 1.0, "2 k² (√(1 + (r/k)²) − 1)", _G2O),
    Member("g2o", "Cauchy", "delta", 0.0, _ROOT, "k² log(1 + (r/k)²)", _G2O),
    Member("g2o", "GemanMcClure", "delta", -2.0, 2.0, "k r²/(k + r²)", _G2O, squared=True),
    Member("g2o", "Welsch", "delta", -math.inf, _ROOT, "k² (1 − exp(−(r/k)²))", _G2O),
    Member("pypose", "PseudoHuber", "delta", 1.0, 1.0, "2 k² (√(1 + (r/k)²) − 1)", _PYPOSE),
    Member("pypose", "Cauchy", "delta", 0.0, _ROOT, "k² log(1 + (r/k)²)", _PYPOSE),
    Member(
        "theseus", "WelschLoss", "exp(log_loss_radius)", -math.inf, _ROOT, "k (1 − exp(−r²/k))",
        "theseus: theseus/core/robust_loss.py", squared=True,
    ),
    Member(
        "opencv", "DIST_WELSCH", "param", -math.inf, _ROOT, "k²/2 (1 − exp(−(r/k)²))",
        "OpenCV: cv::DistanceTypes",
    ),
    Member(
        "xgboost", "reg:pseudohubererror", "huber_slope", 1.0, 1.0, "k² (√(1 + (r/k)²) − 1)",
        "XGBoost: parameter huber_slope",
    ),
)  # fmt: skip

_BY_NAME = {(row.package, row.name): row for row in MEMBERS}
_CONSTANT = replace(
    SCALE, name="constant", remedy="Pass the number that the other package is given."
)


def from_peer(package: str, name: str, constant: float) -> Loss:
    """Translate a loss of another package.

    Parameters
    ----------
    package, name : str
        As in `MEMBERS`, for example ``"ceres", "CauchyLoss"``.
    constant : float
        The constant that the loss is given there, in (0, inf).

    Returns
    -------
    Loss
        Its `alpha` and `scale` here, as in ``robloss.loss(x, *from_peer(...))``. The scale is in
        standard deviations if the constant is (`Member.in_sigmas`), else in the unit of the
        residuals.

    Raises
    ------
    TypeError
        If `constant` is not a number.
    ValueError
        If there is no such member, or `constant` leaves (0, inf).

    See Also
    --------
    to_peer : the inverse.
    robloss.scipy.least_squares_loss : a loss of any shape for SciPy.

    Examples
    --------
    MATLAB's default for the Cauchy weights has 95 % of the efficiency of least squares:

    >>> import robloss
    >>> from robloss.conventions import from_peer
    >>> loss = from_peer("matlab", "cauchy", 2.385)
    >>> print(f"alpha {loss.alpha}, scale {loss.scale:.4f}")
    alpha 0.0, scale 1.6864
    >>> print(f"{robloss.efficiency(*loss):.4f}")
    0.9500
    """
    row, number = _row(package, name), number_in(_CONSTANT, constant)
    return Loss(row.alpha, (math.sqrt(number) if row.squared else number) / row.factor)


def to_peer(package: str, name: str, scale: float) -> float:
    """Translate a scale into the constant of another package's loss.

    Parameters
    ----------
    package, name : str
        As in `MEMBERS`, for example ``"ceres", "CauchyLoss"``.
    scale : float
        Scale of the loss here, with the member's `alpha`; in (0, inf).

    Returns
    -------
    float
        The constant of the loss there.

    Raises
    ------
    TypeError
        If `scale` is not a number.
    ValueError
        If there is no such member, or `scale` leaves (0, inf).

    See Also
    --------
    from_peer : the inverse.

    Examples
    --------
    >>> from robloss.conventions import to_peer
    >>> round(to_peer("ceres", "CauchyLoss", 1.0), 4), to_peer("gtsam", "GemanMcClure", 1.0)
    (1.4142, 2.0)
    """
    row = _row(package, name)
    width = row.factor * number_in(SCALE, scale)
    return width * width if row.squared else width


def _row(package: str, name: str) -> Member:
    if (package, name) in _BY_NAME:
        return _BY_NAME[package, name]
    names = [row.name for row in MEMBERS if row.package == package]
    if not names:
        known = ", ".join(dict.fromkeys(repr(row.package) for row in MEMBERS))
        raise ValueError(
            f"`package` must be one of {known}, but got {package!r}. Pass one of them."
        )
    raise ValueError(
        f"`name` must be one of {', '.join(map(repr, names))} for {package!r}, but got {name!r}. "
        "Other losses, such as Huber's or Tukey's, are no members of this family."
    )
