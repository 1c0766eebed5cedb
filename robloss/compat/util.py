"""Helpers, as `robust_loss_pytorch.util` has them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from robloss._reparam import AlphaMap, ScaleMap
from robloss.torch._colors import rgb_to_yuv, yuv_to_rgb
from robloss.torch._dct import dct, idct
from robloss.torch._students_t import students_t_nll as _students_t_nll

# Where the functions called `_safe` clamp: the logarithm and the exponential are finite in float32.
_LARGEST, _LARGEST_EXPONENT = 33e37, 87.5


def log_safe(x: Any) -> torch.Tensor:
    """Logarithm, with the argument clamped to at most 3.3e38."""
    return torch.log(torch.as_tensor(x).clamp(max=_LARGEST))


def log1p_safe(x: Any) -> torch.Tensor:
    """log(1 + x), with x clamped to at most 3.3e38."""
    return torch.log1p(torch.as_tensor(x).clamp(max=_LARGEST))


def exp_safe(x: Any) -> torch.Tensor:
    """Exponential, with the argument clamped to at most 87.5."""
    return torch.exp(torch.as_tensor(x).clamp(max=_LARGEST_EXPONENT))


def expm1_safe(x: Any) -> torch.Tensor:
    """exp(x) − 1, with x clamped to at most 87.5."""
    return torch.expm1(torch.as_tensor(x).clamp(max=_LARGEST_EXPONENT))


def inv_softplus(y: Any) -> torch.Tensor:
    """The inverse of `torch.nn.functional.softplus`."""
    y = torch.as_tensor(y)
    return y + torch.log(-torch.expm1(-y))


def logit(y: Any) -> torch.Tensor:
    """The inverse of `torch.sigmoid`."""
    return torch.logit(torch.as_tensor(y))


def affine_sigmoid(logits: Any, lo: float = 0, hi: float = 1) -> torch.Tensor:
    """Map real numbers to (lo, hi), and 0 to the middle: see `robloss.AlphaMap`.

    Raises
    ------
    ValueError
        If `lo` is not below `hi`.
    """
    _rising("hi", lo, hi)
    return AlphaMap(float(lo), float(hi)).forward(torch.as_tensor(logits))


def inv_affine_sigmoid(probs: Any, lo: float = 0, hi: float = 1) -> torch.Tensor:
    """The inverse of `affine_sigmoid`.

    Raises
    ------
    ValueError
        If `lo` is not below `hi`.
    """
    _rising("hi", lo, hi)
    return AlphaMap(float(lo), float(hi)).inverse(torch.as_tensor(probs))


def affine_softplus(x: Any, lo: float = 0, ref: float = 1) -> torch.Tensor:
    """Map real numbers to (lo, ∞), and 0 to `ref`: see `robloss.ScaleMap`.

    Raises
    ------
    ValueError
        If `lo` is not below `ref`.
    """
    _rising("ref", lo, ref)
    # A scale is positive; here `lo` may be any number.
    return lo + ScaleMap(0.0, float(ref) - float(lo)).forward(torch.as_tensor(x))


def inv_affine_softplus(y: Any, lo: float = 0, ref: float = 1) -> torch.Tensor:
    """The inverse of `affine_softplus`.

    Raises
    ------
    ValueError
        If `lo` is not below `ref`.
    """
    _rising("ref", lo, ref)
    return ScaleMap(0.0, float(ref) - float(lo)).inverse(torch.as_tensor(y) - lo)


def _rising(name: str, low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"`{name}` must be above `lo`, {low!r}, but got {high!r}. Swap them.")


def students_t_nll(x: Any, df: Any, scale: Any) -> torch.Tensor:
    """Negative log-likelihood of Student's t distribution; the sign of `scale` is ignored."""
    x, df, scale = (torch.as_tensor(one) for one in (x, df, scale))
    return _students_t_nll(x, df, scale.abs())


def rgb_to_syuv(rgb: Any) -> torch.Tensor:
    """Convert red, green and blue along the last axis to YUV, scaled to preserve volumes."""
    return rgb_to_yuv(torch.as_tensor(rgb), -1)


def syuv_to_rgb(yuv: Any) -> torch.Tensor:
    """The inverse of `rgb_to_syuv`."""
    return yuv_to_rgb(torch.as_tensor(yuv), -1)


def image_dct(image: Any) -> torch.Tensor:
    """Orthonormal DCT-II along axes 1 and 2 of a three-dimensional tensor."""
    return dct(torch.as_tensor(image))


def image_idct(dct_x: Any) -> torch.Tensor:
    """The inverse of `image_dct`."""
    return idct(torch.as_tensor(dct_x))


def compute_jacobian(f: Callable[[torch.Tensor], torch.Tensor], x: Any) -> np.ndarray:
    """Derivatives of every element of f(x) with respect to every element of x.

    Returns
    -------
    numpy.ndarray (x.size, f(x).size)
    """
    x = torch.as_tensor(x)
    jacobian = torch.autograd.functional.jacobian(lambda flat: f(flat.view(x.shape)), x.reshape(-1))
    return np.asarray(jacobian.reshape(-1, x.numel()).T)
