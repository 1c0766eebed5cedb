"""What all losses have in common: a reduction by name, and residuals that are tensors."""

from typing import Any

import torch
from torch import nn

from robloss._libraries import real_dtype, torch_namespace
from robloss.torch._reduction import checked_reduction


class ReducedLoss(nn.Module):  # type: ignore[misc]
    """A module with a `reduction`, which may be set again and is checked each time."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = reduction

    @property
    def reduction(self) -> str:
        """What `forward` returns: one number, "mean" or "sum", or with "none" one per element."""
        return self._reduction

    @reduction.setter
    def reduction(self, value: str) -> None:
        self._reduction = checked_reduction(value)


def as_floats(x: Any, name: str = "x") -> torch.Tensor:
    """Residuals in a floating dtype: their own, or torch's default for whole numbers.

    Raises
    ------
    TypeError
        For what is not a tensor, or not real.
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            f"`{name}` must be a torch.Tensor, but got {type(x).__name__}. "
            f"Convert it first, e.g. torch.as_tensor({name})."
        )
    return x if x.is_floating_point() else x.to(real_dtype(name, x, torch_namespace()))
