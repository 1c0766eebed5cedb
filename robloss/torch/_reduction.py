"""What a module makes of the values of all elements: nothing, their mean or their sum."""

import torch

REDUCTIONS = ("none", "mean", "sum")


def checked_reduction(reduction: str) -> str:
    """The name of a reduction, where it is one.

    Raises
    ------
    ValueError
        If it is not.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"`reduction` must be 'none', 'mean' or 'sum', but got {reduction!r}. "
            "Take 'none' for one value per element."
        )
    return reduction


def reduced(values: torch.Tensor, reduction: str) -> torch.Tensor:
    """All values, their mean or their sum."""
    is_wide = values.dtype in (torch.float32, torch.float64)
    if reduction == "mean" and values.is_cpu and is_wide:
        # The same number; but torch fills an array with the gradient of its own mean, which in a
        # step on 10^6 numbers of float64 takes 0.7 ms and more.
        return values.sum() / values.numel()
    if reduction == "mean":
        return values.mean()
    return values.sum() if reduction == "sum" else values
