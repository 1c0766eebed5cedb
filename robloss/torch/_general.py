"""The loss with a given shape and scale, as a module."""

from typing import Any

import torch

from robloss._args import number_in
from robloss._domains import ALPHA, SCALE, Domain
from robloss._loss import loss
from robloss.torch._module import ReducedLoss, as_floats
from robloss.torch._reduction import reduced

_DOMAINS = {domain.name: domain for domain in (ALPHA, SCALE)}


class GeneralLoss(ReducedLoss):
    r"""The general loss ρ of residuals, with a given shape and scale.

    .. math::

        \rho(x, \alpha, c) = \frac{|\alpha - 2|}{\alpha}
        \left[\left(1 + \frac{(x/c)^2}{|\alpha - 2|}\right)^{\alpha/2} - 1\right]

    It is `robloss.loss` as a module: a robust alternative to `torch.nn.MSELoss`, applied to
    ``prediction - target``.

    Parameters
    ----------
    alpha : float
        Shape: any real number, or ±inf. 2 is half the squared error, 1 a smooth absolute error, 0
        the Cauchy loss, -2 the Geman–McClure loss.
    scale : float, default 1.0
        Width of the quadratic part, in the unit of the residuals; in (0, inf).
    reduction : {"mean", "sum", "none"}, default "mean"
        What `forward` returns: one number, or with "none" one loss per element.

    Attributes
    ----------
    alpha, scale : float
        They may be set between steps, for example to lower `alpha` gradually; new values are
        checked like the initial ones.
    reduction : str

    Raises
    ------
    TypeError
        If `alpha` or `scale` is not a number, or is a tensor that requires gradients; if `x` is not
        a tensor.
    ValueError
        If `alpha` is NaN, `scale` leaves (0, inf), or `reduction` is none of the three.

    See Also
    --------
    AdaptiveLoss : learns shape and scale.
    robloss.loss : takes tensors for `alpha` and `scale`.

    Notes
    -----
    The module has no parameters to learn; `state_dict` holds the two numbers in float64, whatever
    the module is cast to. `torch.compile` recompiles for each new `alpha`, and gives up after a
    few: where `alpha` changes often, compile a function that takes it as a 0-d tensor and passes it
    to `robloss.loss`.

    Learning `alpha` with this loss would only make it small, since a smaller `alpha` lowers the
    loss of every residual. `AdaptiveLoss` adds what is missing, the normaliser of the density.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.

    Examples
    --------
    >>> import torch
    >>> from robloss.torch import GeneralLoss
    >>> residuals = torch.tensor([0.0, 1.0, 100.0])
    >>> GeneralLoss(1.0, reduction="none")(residuals)
    tensor([ 0.0000,  0.4142, 99.0050])
    """

    def __init__(self, alpha: float, scale: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.alpha = alpha
        self.scale = scale

    def __setattr__(self, name: str, value: Any) -> None:
        """Check shape and scale, before torch registers a Parameter of that name."""
        domain = _DOMAINS.get(name)
        super().__setattr__(name, value if domain is None else _given(domain, value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reduced losses ρ of the residuals."""
        return reduced(loss(as_floats(x), self.alpha, self.scale), self.reduction)

    def get_extra_state(self) -> torch.Tensor:
        """Shape and scale, for `state_dict`."""
        return torch.tensor([self.alpha, self.scale], dtype=torch.float64)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Take them from `load_state_dict`."""
        self.alpha, self.scale = state.tolist()

    def extra_repr(self) -> str:
        """The part of `repr` between the parentheses."""
        return f"alpha={self.alpha}, scale={self.scale}, reduction={self.reduction!r}"


def _given(domain: Domain, value: Any) -> float:
    if isinstance(value, torch.Tensor) and value.requires_grad:
        raise TypeError(
            f"`{domain.name}` must be a number, but got a tensor that requires gradients. "
            "AdaptiveLoss learns shape and scale; robloss.loss takes tensors."
        )
    return number_in(domain, value)
