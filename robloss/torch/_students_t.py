"""Student's t distribution as a loss: the baseline that the adaptive loss is compared with."""

import math
from typing import Any

import torch
from torch import nn

from robloss._distribution.sampling import leading_axes
from robloss._loss import loss
from robloss.torch._columns import ColumnLoss

# notation: ν = degrees of freedom, z = x/(σ √ν), a = ν/2

_LN_2, _LN_PI = math.log(2), math.log(math.pi)
# log Γ(a + ½) − log Γ(a) − ½ log a = Σ k a^(−n), n = 1, 3, …: the terms left out are below 3e-16
# from a = 12 on.
_LARGE = 12.0
_SERIES = (-1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432, 691 / 180224)


def students_t_nll(x: torch.Tensor, df: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    r"""Negative log-likelihood of Student's t distribution.

    .. math::

        \tfrac{\nu+1}{2} \log\left(1 + \frac{(x/\sigma)^2}{\nu}\right) + \log\sigma
        + \tfrac12 \log(\pi\nu) + \log\Gamma\left(\tfrac{\nu}{2}\right)
        - \log\Gamma\left(\tfrac{\nu+1}{2}\right)

    Parameters
    ----------
    x, df, scale : torch.Tensor
        Residuals, degrees of freedom and scale, in shapes that broadcast and in one floating dtype.

    Returns
    -------
    torch.Tensor
        In their dtype; 16-bit floats are computed in float32.
    """
    dtype = torch.promote_types(torch.promote_types(x.dtype, df.dtype), scale.dtype)
    x, df, scale = (one.to(torch.promote_types(dtype, torch.float32)) for one in (x, df, scale))
    value = _tail(x, df, scale) + torch.log(scale) + _log_normaliser(df)
    return value.to(dtype)


def _tail(x: torch.Tensor, df: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """½ (ν + 1) log1p(z²): the loss at alpha = 0 times a weight, and at 2 where ν is infinite.

    The loss has the gradients: masked residuals, be they NaN, add nothing to them.
    """
    is_normal = torch.isinf(df)
    df = torch.where(is_normal, 1.0, df)
    width = torch.where(is_normal, 1.0, torch.sqrt(df / 2))
    weight = torch.where(is_normal, 1.0, (df + 1) / 2)
    values = loss(x, 2 * is_normal.to(df.dtype), scale * width)
    # A product would give the weight 0 times infinity where such a value is masked.
    is_finite = values.isfinite()
    return torch.where(
        is_finite, weight * torch.where(is_finite, values, 0.0), weight.detach() * values
    )


def _log_normaliser(df: torch.Tensor) -> torch.Tensor:
    """½ log(π ν) + log Γ(ν/2) − log Γ((ν + 1)/2), the last two without their cancellation."""
    half = df / 2
    is_large = half > _LARGE
    small = torch.where(is_large, 1.0, half)
    inverse = 1 / torch.where(is_large, half, _LARGE)
    square = inverse * inverse
    series = torch.zeros_like(square)
    for coefficient in reversed(_SERIES):
        series = series * square + coefficient
    direct = torch.lgamma(small) - torch.lgamma(small + 0.5) + 0.5 * torch.log(2 * small)
    return 0.5 * _LN_PI + torch.where(is_large, 0.5 * _LN_2 - series * inverse, direct)


class StudentsTLoss(ColumnLoss):
    r"""Student's t distribution of the residuals, with learned degrees of freedom and scale.

    .. math::

        -\log p(x \mid \nu, \sigma) = \tfrac{\nu+1}{2}
        \log\left(1 + \frac{(x/\sigma)^2}{\nu}\right) + \ldots

    This is the classical family between the Cauchy (ν = 1) and the normal distribution (ν = ∞), as
    a baseline for `AdaptiveLoss`. For every finite ν its tails fall as a power of the residual.
    Pass its parameters to the optimiser.

    Parameters
    ----------
    num_dims : int
        The number of columns of the residuals: the length of their last axis.
    scale_min : float, default 1e-5
        Lower bound of the scale, in the unit of the residuals; positive.
    scale_init : float, default 1.0
        Initial scale, at least `scale_min`, in the range of the parameters' dtype. If it equals
        `scale_min`, the scale is fixed.
    reduction : {"mean", "sum", "none"}, default "mean"
        What `forward` returns: one number, or with "none" one value per element.
    device, dtype : optional
        Those of the parameters, as in torch's own modules.

    Attributes
    ----------
    log_df : torch.nn.Parameter (num_dims,)
        Logarithm of the degrees of freedom; initially 0, a Cauchy distribution.
    latent_scale : torch.nn.Parameter (num_dims,), or None where the scale is fixed
    fixed_scale : torch.Tensor (num_dims,), or None
    num_dims : int
    reduction : str

    Raises
    ------
    TypeError
        If an argument that must be a number is not one.
    ValueError
        If a number leaves its domain, or `reduction` is unknown.

    See Also
    --------
    AdaptiveLoss

    Notes
    -----
    The scale is defined differently from that of `AdaptiveLoss`: for the same Cauchy distribution
    (ν = 1) it is √2 times as large.

    Examples
    --------
    >>> import torch
    >>> from robloss.torch import StudentsTLoss
    >>> loss = StudentsTLoss(num_dims=2, reduction="none")
    >>> loss(torch.zeros(2)).exp()  # π, for the density at 0 is 1/π
    tensor([3.1416, 3.1416], grad_fn=<ExpBackward0>)
    """

    def __init__(
        self,
        num_dims: int,
        scale_min: float = 1e-5,
        scale_init: float = 1.0,
        *,
        reduction: str = "mean",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_dims, scale_min, scale_init, reduction)
        factory = {"device": device, "dtype": dtype}
        self.log_df = nn.Parameter(self._empty(factory))
        self._register_scale(factory)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the parameters to their initial values."""
        super().reset_parameters()
        nn.init.zeros_(self.log_df)

    def df(self) -> torch.Tensor:
        """The degrees of freedom of each column."""
        return torch.exp(self.log_df)

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
            In the unit of the residuals; differentiable in the parameters.

        References
        ----------
        R. W. Bailey, Mathematics of Computation 62 (1994) 779: a polar method.
        """
        df = self.df()
        # The least uniform number bounds the tails: that of float32 would end them early.
        wide = df if df.device.type == "mps" else df.double()
        options = {"generator": generator, "dtype": wide.dtype, "device": wide.device}
        whole = (*leading_axes(shape), *df.shape)
        angle = 2 * math.pi * torch.rand(whole, **options)
        energy = -2 * torch.log1p(-torch.rand(whole, **options))
        is_normal = torch.isinf(wide)
        finite = torch.where(is_normal, 1.0, wide)
        square = torch.where(is_normal, energy, finite * torch.expm1(energy / finite))
        return self.scale() * (torch.sqrt(square) * torch.cos(angle)).to(df.dtype)

    def _nll(self, x: torch.Tensor) -> torch.Tensor:
        return students_t_nll(x, self.df(), self.scale())
