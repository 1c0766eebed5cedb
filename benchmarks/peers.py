"""What users have today, written out, to be measured beside robloss.

Every peer maps the name of an operation and columns of NumPy numbers of one dtype to the values it
computes in that dtype. An operation that it does not offer is missing from `operations`.
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ALL = ("loss", "influence", "weight", "curvature", "grad_alpha", "grad_scale")


@dataclass(frozen=True)
class Peer:
    """A way to compute the operations, which needs a module.

    `leaves_out` says of points what is another convention, not an error; `most` is how many points
    it is asked for, where it is slow. Both are stated in `note`.
    """

    name: str
    module: str
    note: str
    operations: tuple[str, ...]
    compute: Callable[[str, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    leaves_out: Callable[[np.ndarray], np.ndarray] | None = None
    most: int | None = None

    @property
    def installed(self) -> bool:
        """Whether it can be measured here."""
        return importlib.util.find_spec(self.module) is not None


# ------------------------------------------------------------------------- x**p - 1 in plain NumPy


def textbook(name: str, x: np.ndarray, alpha: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The article's formula and its derivatives by hand, with the article's special cases."""
    with np.errstate(all="ignore"):
        return np.asarray(TEXTBOOK[name](x, alpha, scale))


def _cases(alpha, otherwise, *, zero, two, minus_infinity, infinity):
    conditions = [alpha == 0, alpha == 2, alpha == -np.inf, alpha == np.inf]
    return np.select(conditions, [zero, two, minus_infinity, infinity], otherwise)


def _textbook_loss(x, alpha, scale):
    s, b = (x / scale) ** 2, abs(alpha - 2)
    return _cases(
        alpha,
        b / alpha * ((s / b + 1) ** (alpha / 2) - 1),
        zero=np.log(s / 2 + 1),
        two=s / 2,
        minus_infinity=1 - np.exp(-s / 2),
        infinity=np.exp(s / 2) - 1,
    )


def _textbook_weight(x, alpha, scale):
    s, b = (x / scale) ** 2, abs(alpha - 2)
    return _cases(
        alpha,
        (s / b + 1) ** (alpha / 2 - 1) / scale**2,
        zero=2 / (x**2 + 2 * scale**2),
        two=1 / scale**2,
        minus_infinity=np.exp(-s / 2) / scale**2,
        infinity=np.exp(s / 2) / scale**2,
    )


def _textbook_influence(x, alpha, scale):
    return x * _textbook_weight(x, alpha, scale)


def _textbook_curvature(x, alpha, scale):
    s, b = (x / scale) ** 2, abs(alpha - 2)
    factor = _cases(
        alpha,
        1 + (alpha - 2) * s / b / (1 + s / b),
        zero=(2 - s) / (2 + s),
        two=np.ones_like(s),
        minus_infinity=1 - s,
        infinity=1 + s,
    )
    return _textbook_weight(x, alpha, scale) * factor


def _textbook_grad_alpha(x, alpha, scale):
    s, b, sign = (x / scale) ** 2, abs(alpha - 2), np.sign(alpha - 2)
    u = s / b
    power = (1 + u) ** (alpha / 2)
    slope = b * np.log(1 + u) / (2 * alpha) - sign * u / (2 * (1 + u))
    return _cases(
        alpha,
        sign * 2 / alpha**2 * (power - 1) + power * slope,
        zero=np.log(1 + s / 2) ** 2 / 4 - np.log(1 + s / 2) / 2 + s / (4 * (1 + s / 2)),
        two=np.full_like(s, np.inf),
        minus_infinity=np.zeros_like(s),
        infinity=np.zeros_like(s),
    )


def _textbook_grad_scale(x, alpha, scale):
    return -(x**2) * _textbook_weight(x, alpha, scale) / scale


TEXTBOOK = {name: globals()[f"_textbook_{name}"] for name in ALL}


# ------------------------------------------------------------- robust_loss_pytorch, written out


def reference_loss(x, alpha, scale):
    """The loss of robust_loss_pytorch: the article's cases, with |alpha| and |alpha - 2| clamped.

    Written from its definition: no quotient is by less than float32's machine epsilon, log1p's and
    expm1's arguments are kept where float32 holds the result, and `where` picks the case.
    """
    import torch

    s = (x / scale) ** 2
    epsilon = torch.tensor(float(np.finfo(np.float32).eps), dtype=x.dtype)
    b = torch.maximum(epsilon, torch.abs(alpha - 2))
    sign = torch.where(alpha >= 0, torch.ones_like(alpha), -torch.ones_like(alpha))
    shape = sign * torch.maximum(epsilon, torch.abs(alpha))
    otherwise = b / shape * (torch.pow(s / b + 1, alpha / 2) - 1)
    cases = [
        (alpha == math.inf, torch.expm1(torch.clamp(s / 2, max=87.5))),
        (alpha == -math.inf, -torch.expm1(-s / 2)),
        (alpha == 0, torch.log1p(torch.clamp(s / 2, max=33e37))),
        (alpha == 2, s / 2),
    ]
    for is_case, value in cases:
        otherwise = torch.where(is_case, value, otherwise)
    return otherwise


def _differentiated(loss, name, x, alpha, scale):
    """An operation of a torch loss by automatic differentiation, as its users get it."""
    import torch

    given = {"x": x, "alpha": alpha, "scale": scale}
    tensors = {key: torch.tensor(column, requires_grad=True) for key, column in given.items()}
    value = loss(**tensors)
    if name == "loss":
        return value.detach().numpy()
    towards = {"grad_alpha": "alpha", "grad_scale": "scale"}.get(name, "x")
    again = name == "curvature"
    (slope,) = torch.autograd.grad(value.sum(), tensors[towards], create_graph=again)
    if again:
        (slope,) = torch.autograd.grad(slope.sum(), tensors["x"])
    return slope.detach().numpy() / (x if name == "weight" else np.ones_like(x))


def reference(name: str, x: np.ndarray, alpha: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The written-out reference and torch.autograd on it."""
    with np.errstate(all="ignore"):
        return np.asarray(_differentiated(reference_loss, name, x, alpha, scale))


# ----------------------------------------------------------------------------------------- karbonn


def karbonn(name: str, x: np.ndarray, alpha: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """`general_robust_regression_loss`, one shape per call, and torch.autograd on it."""
    import torch
    from karbonn.functional import general_robust_regression_loss

    def one(shape):
        def loss(x, alpha, scale):  # noqa: ARG001 - the shape is a number there
            return general_robust_regression_loss(
                x, torch.zeros_like(x), alpha=shape, scale=scale, reduction="none"
            )

        return loss

    result = np.empty_like(x)
    with np.errstate(all="ignore"):
        for row, shape in enumerate(alpha.tolist()):
            part = slice(row, row + 1)
            result[part] = _differentiated(one(shape), name, x[part], alpha[part], scale[part])
    return result


PEERS = (
    Peer(
        "x**p - 1",
        "numpy",
        "The article's formula and the textbook derivatives in plain NumPy, with the article's "
        "special cases at exactly 0, 2 and ±∞.",
        ALL,
        textbook,
    ),
    Peer(
        "reference formula",
        "torch",
        "The formula of robust_loss_pytorch written out in torch (|α| and |α − 2| kept from "
        "float32's machine epsilon, special cases at exactly 0, 2 and ±∞); derivatives by "
        "torch.autograd, the weight as ψ/x.",
        ALL,
        reference,
    ),
    Peer(
        "karbonn",
        "karbonn",
        "`general_robust_regression_loss` from PyPI; derivatives by torch.autograd. Its alpha is a "
        "Python number, so that there is no derivative in alpha, and a call per point: the first "
        "20 000 of the same points. At α = 2 it returns (x/c)², **twice the loss**, while its "
        "values at every other α, however near, are the loss: those points are left out of its "
        "rows. It has no case for ±∞ and returns NaN there; that is counted.",
        tuple(name for name in ALL if name != "grad_alpha"),
        karbonn,
        lambda points: points[:, 1] == 2,
        20_000,
    ),
)
