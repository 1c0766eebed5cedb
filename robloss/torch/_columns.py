"""What the losses have in common that hold parameters of their own for each column."""

import operator
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import nn

from robloss._args import number_in
from robloss._domains import Domain
from robloss._reparam import AlphaMap, ScaleMap
from robloss.torch._module import ReducedLoss, as_floats
from robloss.torch._reduction import reduced


class ColumnLoss(ReducedLoss, ABC):
    """A negative log-likelihood of residuals ``(..., num_dims)``, with a scale for each column.

    `ScaleMap` says what a free number is: the parameter `latent_scale`, or, where the scale is
    fixed, nothing, and the buffer `fixed_scale` holds its value.
    """

    def __init__(self, num_dims: int, scale_min: float, scale_init: float, reduction: str) -> None:
        super().__init__(reduction)
        self.num_dims = _count("num_dims", num_dims)
        self._scales = _scale_map(scale_min, scale_init)

    def _register_scale(self, factory: dict[str, Any]) -> None:
        """Hold the scale; the parameters of a subclass come first, as in the reference code."""
        is_fixed = self._scales.low == self._scales.initial
        self._register("scale", is_fixed, factory)
        held = self.fixed_scale if is_fixed else self.latent_scale
        _check_range(self._scales.initial, held.dtype)

    def _register(self, name: str, is_fixed: bool, factory: dict[str, Any]) -> None:
        values = self._empty(factory)
        self.register_parameter(f"latent_{name}", None if is_fixed else nn.Parameter(values))
        self.register_buffer(f"fixed_{name}", values if is_fixed else None)

    def _empty(self, factory: dict[str, Any]) -> torch.Tensor:
        values = torch.empty(self.num_dims, **factory)
        if not values.is_floating_point():
            raise TypeError(
                f"`dtype` must be a floating dtype, but got {values.dtype}. "
                "Shape and scale are real numbers; torch.float32 is usual."
            )
        return values

    def reset_parameters(self) -> None:
        """Set the parameters to their initial values."""
        self._fill("scale", 0.0, self._scales.initial)

    def _fill(self, name: str, free: float, fixed: float) -> None:
        latent = getattr(self, f"latent_{name}")
        if latent is None:
            nn.init.constant_(getattr(self, f"fixed_{name}"), fixed)
        else:
            nn.init.constant_(latent, free)

    def scale(self) -> torch.Tensor:
        """The scale of each column, in the unit of the residuals."""
        if self.latent_scale is None:
            return self.fixed_scale
        return mapped(self._scales, self.latent_scale)

    def nll(self, x: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood of each residual, in nats.

        Parameters
        ----------
        x : torch.Tensor (..., num_dims)
            Residuals.

        Returns
        -------
        torch.Tensor (..., num_dims)

        Raises
        ------
        TypeError
            If `x` is not a tensor, or not real.
        ValueError
            If its last axis is not `num_dims` long.
        """
        return self._nll(self._checked(x))

    @abstractmethod
    def _nll(self, x: torch.Tensor) -> torch.Tensor:
        """The same, by the distribution of the subclass, for residuals of the right shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reduced negative log-likelihoods of the residuals."""
        return reduced(self.nll(x), self.reduction)

    def _checked(self, x: torch.Tensor) -> torch.Tensor:
        """Residuals as floats; refused where their last axis is not `num_dims` long."""
        x = as_floats(x)
        if x.ndim == 0 or x.shape[-1] != self.num_dims:
            single = "Add an axis for the one column: x[..., None]."
            several = "Its last axis holds the columns, each with parameters of its own."
            raise ValueError(
                f"`x` must have the shape (..., {self.num_dims}), but got {tuple(x.shape)}. "
                f"{single if self.num_dims == 1 else several}"
            )
        return x

    def _bounds(self) -> list[float]:
        """The numbers without which the parameters mean nothing."""
        return [self._scales.low, self._scales.initial]

    def _take_bounds(self, bounds: list[float]) -> None:
        self._scales = ScaleMap(*bounds)

    def get_extra_state(self) -> torch.Tensor:
        """The bounds of the parameters, for `state_dict`."""
        return torch.tensor(self._bounds(), dtype=torch.float64)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Restore the bounds with which the loaded free numbers were learned."""
        self._take_bounds(state.tolist())

    def extra_repr(self) -> str:
        """The part of `repr` between the parentheses."""
        return (
            f"{self.num_dims}, scale_min={self._scales.low}, scale_init={self._scales.initial}, "
            f"reduction={self.reduction!r}"
        )


def mapped(each: AlphaMap | ScaleMap, latent: torch.Tensor) -> torch.Tensor:
    """What free numbers stand for, rounded once: in float32 throughout, 1.3 may start as 1.3000001.

    MPS has no float64.
    """
    wide = latent if latent.device.type == "mps" else latent.double()
    return each.forward(wide).to(latent.dtype)


def _check_range(scale: float, dtype: torch.dtype) -> None:
    """Refuse an initial scale that is 0 or infinite in the parameters' dtype: all would be NaN."""
    info = torch.finfo(dtype)
    if not info.tiny * info.eps <= scale <= info.max:  # from the least subnormal number on
        raise ValueError(
            f"`scale_init` must lie in the range of {dtype}, but got {scale!r}. Change the unit of "
            "the residuals, or pass a `dtype` of a wider range."
        )


def _count(name: str, value: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(
            f"`{name}` must be an integer, but got {value!r}. It is the length of the last axis."
        ) from None
    if count < 1:
        raise ValueError(
            f"`{name}` must be at least 1, but got {count}. It is the length of the last axis."
        )
    return count


def _scale_map(low: float, initial: float) -> ScaleMap:
    low, initial = (
        number_in(Domain(name, 0.0, float("inf"), False, "A scale is a positive width."), one)
        for name, one in (("scale_min", low), ("scale_init", initial))
    )
    if low > initial:
        raise ValueError(
            f"`scale_init` must not be below `scale_min`, but got {initial!r} and {low!r}. "
            "Equal ones fix the scale."
        )
    return ScaleMap(low, initial)
