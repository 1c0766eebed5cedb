"""The orthonormal discrete cosine transform of images, as a product of matrices.

A product of matrices is the simplest way that differentiates to any order and is orthonormal to
rounding.
"""

import math
from contextlib import nullcontext

import torch

from robloss._libraries import has_autocast


def dct(image: torch.Tensor) -> torch.Tensor:
    """DCT-II along the last two axes, orthonormal."""
    height, width = image.shape[-2:]
    return _product(_basis(height, image), image, _basis(width, image).mT)


def idct(coefficients: torch.Tensor) -> torch.Tensor:
    """Undo `dct`: DCT-III along the last two axes, orthonormal."""
    height, width = coefficients.shape[-2:]
    return _product(_basis(height, coefficients).mT, coefficients, _basis(width, coefficients))


def _product(left: torch.Tensor, image: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    device = image.device
    # Autocast would round to 16 bits here.
    with torch.autocast(device.type, enabled=False) if has_autocast(device) else nullcontext():
        return left @ image @ right


def _basis(n: int, like: torch.Tensor) -> torch.Tensor:
    """One cosine per row: √(2/n) cos(π (2j + 1) k / 2n), and √(1/n) in row 0."""
    j = torch.arange(n, device=like.device)
    # The argument is reduced in integers, so that its error does not grow with the frequency.
    turns = (2 * j + 1) * j[:, None] % (4 * n)
    basis = math.sqrt(2 / n) * torch.cos(turns.to(like.dtype) * (math.pi / (2 * n)))
    return torch.cat([basis[:1] / math.sqrt(2), basis[1:]])
