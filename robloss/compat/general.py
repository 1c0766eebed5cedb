"""The general loss, as `robust_loss_pytorch.general` has it."""

from typing import Any

import numpy as np
import torch

from robloss._backends import evaluate
from robloss.compat._checks import RefusedValueError, as_given, same_dtype


def lossfun(
    x: Any, alpha: Any, scale: Any, approximate: bool = False, epsilon: float = 1e-6
) -> torch.Tensor:
    """The general loss ρ.

    Parameters
    ----------
    x : tensor
        Residuals.
    alpha, scale : tensor or float
        Shape and scale: tensors of the dtype of `x` that broadcast with it, or numbers.
    approximate : bool, default False
        Without effect: the loss is exact.
    epsilon : float, default 1e-6
        Without effect; must exceed float32's machine epsilon if `approximate` is set.

    Returns
    -------
    torch.Tensor
        One loss per element. At alpha = 2, where the slope in `alpha` is infinite, autograd gets
        the slope at the next smaller number.

    Raises
    ------
    TypeError
        If tensors have different dtypes; it is an AssertionError as well.
    ValueError
        If a number leaves its domain, or `epsilon` is too small (an AssertionError as well).

    See Also
    --------
    robloss.loss
    """
    if approximate and not epsilon > np.finfo(np.float32).eps:
        raise RefusedValueError(
            f"`epsilon` must be above float32's machine epsilon, but got {epsilon!r}. "
            "Leave it out: it has no effect."
        )
    x, alpha, scale = torch.as_tensor(x), as_given(alpha), as_given(scale)
    same_dtype(x=x, alpha=alpha, scale=scale)
    return evaluate("smooth_loss", x, alpha, scale)
