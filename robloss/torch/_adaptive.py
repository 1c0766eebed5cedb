"""The loss whose shape and scale are learned, as a module."""

import math
from typing import Any

import torch

from robloss._args import number_in
from robloss._distribution.density import nll
from robloss._distribution.sampling import sample
from robloss._domains import Domain
from robloss._reparam import AlphaMap
from robloss.torch._columns import ColumnLoss, mapped
from robloss.torch._reduction import reduced


class AdaptiveLoss(ColumnLoss):
    r"""The adaptive loss: a shape and a scale for each column, learned with the model.

    .. math::

        -\log p(x \mid \alpha, c) = \rho(x, \alpha, c) + \log c + \log Z(\alpha)

    It is the negative log-likelihood, so that a small `alpha` or a large scale has its price.
    **Give its parameters to the optimiser** with those of the model:
    ``[*model.parameters(), *loss.parameters()]``.

    Parameters
    ----------
    num_dims : int
        How many columns the residuals have: the length of their last axis.
    alpha_range : (float, float), default (0.001, 1.999)
        Where `alpha` may go: finite, from 0 on. Equal ends fix it there.
    alpha_init : float, optional
        Where it starts, strictly inside `alpha_range`; default: in the middle.
    scale_min : float, default 1e-5
        What the scale stays above, in the unit of the residuals; positive. The likelihood of
        residuals that are exactly 0 has no other bound. A scale below 6e-8 is 0 in float16, and
        the loss NaN.
    scale_init : float, default 1.0
        Where the scale starts, at least `scale_min`. Equal to it, the scale is fixed.
    reduction : {"mean", "sum", "none"}, default "mean"
        What `forward` returns: one number, or with "none" a value per element.
    nonnegative : bool, default False
        Whether `forward` adds the constant that makes every value nonnegative:
        ``-log(scale_min) - log Z(alpha_max)``. Gradients are the same.
    device, dtype : optional
        Of the parameters, as in torch's own modules.

    Attributes
    ----------
    latent_alpha, latent_scale : torch.nn.Parameter (num_dims,), or None where the value is fixed
        The free numbers that the optimiser moves: see `robloss.AlphaMap` and `robloss.ScaleMap`.
    fixed_alpha, fixed_scale : torch.Tensor (num_dims,), or None
        The buffers that hold fixed values.
    num_dims : int
    reduction : str
    nonnegative : bool

    Raises
    ------
    TypeError
        If a number is none.
    ValueError
        If a number leaves its domain, ends are in the wrong order, or `reduction` is unknown.

    See Also
    --------
    GeneralLoss : with a given shape and scale.
    robloss.nll : what is computed, as a function of tensors.

    Notes
    -----
    `forward` and `nll` take residuals of any shape ``(..., num_dims)``. The result has the promoted
    dtype of residuals and parameters.

    A value below 0 is a density above 1, no error: a change of unit, for example from metres to
    kilometres, adds a constant to all of them.

    `state_dict` holds the free numbers, or the fixed values, and the bounds; loading takes the
    bounds over as well. Inside `torch.nn.parallel.DistributedDataParallel` the loss must belong to
    the module that is wrapped: outside of it every process learns parameters of its own.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.
    The parametrisation and its defaults are those of its reference code,
    jonbarron/robust_loss_pytorch.

    Examples
    --------
    >>> import torch
    >>> from robloss.torch import AdaptiveLoss
    >>> residuals = torch.tensor([[0.1], [-0.2], [0.1], [30.0]])
    >>> loss = AdaptiveLoss(num_dims=1)
    >>> optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    >>> for _ in range(300):
    ...     optimizer.zero_grad()
    ...     loss(residuals).backward()
    ...     optimizer.step()
    >>> bool(loss.alpha() < 0.1), bool(loss.scale() < 0.3)
    (True, True)
    """

    def __init__(
        self,
        num_dims: int,
        alpha_range: tuple[float, float] = (0.001, 1.999),
        alpha_init: float | None = None,
        scale_min: float = 1e-5,
        scale_init: float = 1.0,
        *,
        reduction: str = "mean",
        nonnegative: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_dims, scale_min, scale_init, reduction)
        self._alphas = _alpha_map(alpha_range)
        self._free_alpha = _start(self._alphas, alpha_init)
        self.nonnegative = nonnegative
        factory = {"device": device, "dtype": dtype}
        self._register("alpha", self._alphas.low == self._alphas.high, factory)
        self._register_scale(factory)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set shape and scale to where they start."""
        super().reset_parameters()
        self._fill("alpha", self._free_alpha, self._alphas.low)

    def alpha(self) -> torch.Tensor:
        """The shape of each column."""
        if self.latent_alpha is None:
            return self.fixed_alpha
        return mapped(self._alphas, self.latent_alpha)

    def _nll(self, x: torch.Tensor) -> torch.Tensor:
        return nll(x, self.alpha(), self.scale())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The negative log-likelihood of every residual, made nonnegative if asked for, reduced."""
        values = self.nll(x)
        if self.nonnegative:
            values = values - self._least(values)
        return reduced(values, self.reduction)

    def _least(self, like: torch.Tensor) -> torch.Tensor:
        """The value at residual 0, the largest shape and the least scale: none is below it."""
        alpha, scale = (
            torch.full((), one, dtype=like.dtype, device=like.device)
            for one in (self._alphas.high, self._scales.low)
        )
        return nll(torch.zeros_like(alpha), alpha, scale)

    def sample(
        self, shape: int | tuple[int, ...] = (), generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Random residuals of every column, as it is now.

        Parameters
        ----------
        shape : int or tuple of int, default ()
            How many to draw for each column: the leading axes of the result.
        generator : torch.Generator, optional
            On the device of the parameters; default: torch's global one.

        Returns
        -------
        torch.Tensor (..., num_dims)
            In the unit of the residuals; differentiable in the scale, not in `alpha`.
        """
        return sample(self.alpha(), self.scale(), shape=shape, rng=generator)

    def _bounds(self) -> list[float]:
        return [*super()._bounds(), self._alphas.low, self._alphas.high]

    def _take_bounds(self, bounds: list[float]) -> None:
        super()._take_bounds(bounds[:2])
        self._alphas = AlphaMap(*bounds[2:])

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses."""
        own = f", alpha_range=({self._alphas.low}, {self._alphas.high})"
        shift = ", nonnegative=True" if self.nonnegative else ""
        return f"{super().extra_repr()}{own}{shift}"


def _alpha_map(ends: tuple[float, float]) -> AlphaMap:
    remedy = "The density exists for alpha >= 0 alone; GeneralLoss takes any alpha."
    domain = Domain("alpha_range", "α", 0.0, math.inf, True, remedy)
    try:
        low, high = ends
    except (TypeError, ValueError):
        raise TypeError(
            f"`alpha_range` must be two numbers, but got {ends!r}. Equal ones fix alpha."
        ) from None
    low, high = number_in(domain, low), number_in(domain, high)
    if low > high or high == math.inf:
        raise ValueError(
            f"`alpha_range` must be finite and rise, but got ({low!r}, {high!r}). "
            "Its default is (0.001, 1.999)."
        )
    return AlphaMap(low, high)


_STRICTLY = "Start strictly inside `alpha_range`: an end is only ever neared. Or widen the range."


def _start(alphas: AlphaMap, alpha: float | None) -> float:
    """The free number to start from."""
    if alpha is None:
        return 0.0
    low, high = alphas.low, alphas.high
    number = number_in(Domain("alpha_init", "α", low, high, low == high, _STRICTLY), alpha)
    return float(alphas.inverse(number))
