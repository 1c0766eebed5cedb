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
    r"""The adaptive loss: a shape and a scale for each column, learned along with the model.

    .. math::

        -\log p(x \mid \alpha, c) = \rho(x, \alpha, c) + \log c + \log Z(\alpha)

    It is the negative log-likelihood, so that a small `alpha` or a large scale comes at a cost.
    **Pass its parameters to the optimiser** along with those of the model:
    ``[*model.parameters(), *loss.parameters()]``.

    Parameters
    ----------
    num_dims : int
        The number of columns of the residuals: the length of their last axis.
    alpha_range : (float, float), default (0.001, 1.999)
        Bounds of `alpha`: finite and nonnegative. Equal bounds fix it.
    alpha_init : float, optional
        Initial `alpha`, strictly inside `alpha_range`; default: its middle.
    scale_min : float, default 1e-5
        Lower bound of the scale, in the unit of the residuals; positive. The likelihood of
        residuals that are exactly 0 has no other bound. In float16 a scale below 6e-8 is 0, and
        the loss is NaN.
    scale_init : float, default 1.0
        Initial scale, at least `scale_min`, in the range of the parameters' dtype. If it equals
        `scale_min`, the scale is fixed.
    reduction : {"mean", "sum", "none"}, default "mean"
        What `forward` returns: one number, or with "none" one value per element.
    nonnegative : bool, default False
        Whether `forward` adds the constant that makes every value nonnegative:
        ``-log(scale_min) - log Z(alpha_max)``. Gradients are the same.
    device, dtype : optional
        Those of the parameters, as in torch's own modules.

    Attributes
    ----------
    latent_alpha, latent_scale : torch.nn.Parameter (num_dims,), or None where the value is fixed
        The free numbers that the optimiser updates: see `robloss.AlphaMap` and `robloss.ScaleMap`.
    fixed_alpha, fixed_scale : torch.Tensor (num_dims,), or None
        Buffers that hold fixed values.
    num_dims : int
    reduction : str
    nonnegative : bool

    Raises
    ------
    TypeError
        If an argument that must be a number is not one.
    ValueError
        If a number leaves its domain, bounds are in the wrong order, or `reduction` is unknown.

    See Also
    --------
    GeneralLoss : has a given shape and scale.
    robloss.nll : computes the same, as a function of tensors.

    Notes
    -----
    `forward` and `nll` take residuals of any shape ``(..., num_dims)``. The result has the dtype
    that residuals and parameters promote to.

    A negative value is not an error: the density exceeds 1 there. A change of unit, for example
    from metres to kilometres, adds the same constant to all values.

    `state_dict` holds the free numbers, or the fixed values, and the bounds, which loading restores
    as well. With `torch.nn.parallel.DistributedDataParallel` the loss must be part of the wrapped
    module: outside of it every process learns parameters of its own.

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
        """Set shape and scale to their initial values."""
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
        """Reduced negative log-likelihoods of the residuals, shifted if `nonnegative` is set."""
        values = self.nll(x)
        if self.nonnegative:
            values = values - self._least(values)
        return reduced(values, self.reduction)

    def _least(self, like: torch.Tensor) -> torch.Tensor:
        """The value at residual 0, the largest shape and the smallest scale: the minimum."""
        alpha, scale = (
            torch.full((), one, dtype=like.dtype, device=like.device)
            for one in (self._alphas.high, self._scales.low)
        )
        return nll(torch.zeros_like(alpha), alpha, scale)

    def sample(
        self, shape: int | tuple[int, ...] = (), generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Draw residuals for every column from the distribution as learned so far.

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
        """The part of `repr` between the parentheses."""
        own = f", alpha_range=({self._alphas.low}, {self._alphas.high})"
        shift = ", nonnegative=True" if self.nonnegative else ""
        return f"{super().extra_repr()}{own}{shift}"


def _alpha_map(ends: tuple[float, float]) -> AlphaMap:
    remedy = "The density exists for alpha >= 0 alone; GeneralLoss takes any alpha."
    domain = Domain("alpha_range", 0.0, math.inf, True, remedy)
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
    number = number_in(Domain("alpha_init", low, high, low == high, _STRICTLY), alpha)
    return float(alphas.inverse(number))
