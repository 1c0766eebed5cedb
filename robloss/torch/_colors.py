"""A YUV colour space that keeps volumes, so that densities there are densities of RGB pixels."""

import torch

# Luma of ITU-R BT.601, and the factors of B − Y and R − Y in SMPTE 170M.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
_U, _V = 0.492111, 0.877283
# The determinant of (R, G, B) → (Y, U, V) is _GREEN · _U · _V; its cube root is given to each axis.
_SCALE = (_GREEN * _U * _V) ** (-1 / 3)


def rgb_to_yuv(rgb: torch.Tensor, axis: int) -> torch.Tensor:
    """Y, U and V, all times 1.58023, of red, green and blue along an axis."""
    red, green, blue = rgb.unbind(axis)
    luma = _RED * red + _GREEN * green + _BLUE * blue
    return _SCALE * torch.stack([luma, _U * (blue - luma), _V * (red - luma)], axis)


def yuv_to_rgb(yuv: torch.Tensor, axis: int) -> torch.Tensor:
    """Undo `rgb_to_yuv`."""
    luma, u, v = (yuv / _SCALE).unbind(axis)
    red, blue = luma + v / _V, luma + u / _U
    green = (luma - _RED * red - _BLUE * blue) / _GREEN
    return torch.stack([red, green, blue], axis)
