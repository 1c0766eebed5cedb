"""Cubic Hermite splines, as `robust_loss_pytorch.cubic_spline` has them.

robloss does not need them, since log Z is not a spline here; they are for programs that call them.
"""

import torch

from robloss.compat._checks import RefusedTypeError, RefusedValueError, same_dtype


def interpolate1d(x: torch.Tensor, values: torch.Tensor, tangents: torch.Tensor) -> torch.Tensor:
    """Interpolate between the knots 0, 1, 2, …; extrapolate linearly beyond them.

    Parameters
    ----------
    x : tensor
        Where to evaluate the spline.
    values, tangents : tensor (knots,)
        Value and slope at each knot, in the dtype of `x`.

    Returns
    -------
    torch.Tensor
        In the shape and dtype of `x`.

    Raises
    ------
    TypeError
        If one is not a tensor, or dtypes differ; it is an AssertionError as well.
    ValueError
        If `values` and `tangents` are not of one dimension and equal length; it is an
        AssertionError as well.
    """
    for name, one in (("x", x), ("values", values), ("tangents", tangents)):
        if not isinstance(one, torch.Tensor):
            raise RefusedTypeError(
                f"`{name}` must be a torch.Tensor, but got {type(one).__name__}. "
                f"Convert it, e.g. torch.as_tensor({name})."
            )
    same_dtype(x=x, values=values, tangents=tangents)
    if values.ndim != 1 or values.shape != tangents.shape or len(values) < 2:
        raise RefusedValueError(
            "`values` and `tangents` must be as many in one axis, two or more, but got the shapes "
            f"{tuple(values.shape)} and {tuple(tangents.shape)}. There is one of each per knot."
        )
    below = x.detach().nan_to_num(0.0).clamp(0, len(values) - 2).floor().long()
    t = x - below
    rise = t * t * (3 - 2 * t)
    inside = values[below] * (1 - rise) + values[below + 1] * rise
    inside = inside + tangents[below] * (t * (1 - t) ** 2) - tangents[below + 1] * (t * t * (1 - t))
    before = values[0] + tangents[0] * t
    after = values[-1] + tangents[-1] * (t - 1)
    return torch.where(t < 0, before, torch.where(t > 1, after, inside))
