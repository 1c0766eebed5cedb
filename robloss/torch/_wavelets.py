"""Wavelet transforms of images in lifting steps, with reflecting edges.

A lifting step adds to the odd samples a multiple of the sum of their even neighbours, or the other
way round: undone by subtraction, for any size, with nothing to pad and no filter to store. Beyond
its ends a signal goes on as its mirror image about the end samples.
"""

import math
from typing import NamedTuple

import torch

# Of one level: high-pass along both axes, along rows, along columns; (…, height, width) each.
Bands = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Pyramid(NamedTuple):
    """What `analyse` makes of an image: the bands, the finest level first, and what remains."""

    levels: tuple[Bands, ...]
    rest: torch.Tensor


class Lifting(NamedTuple):
    """A wavelet: multipliers for odd and even samples in turn, and the gain of the low band.

    The steps keep volumes, and with the gain on the low band and its inverse on the high band so
    does the whole where both are equally long. The gain makes a constant grow by √2.
    """

    steps: tuple[tuple[float, float], ...]
    gain: float


# CDF 9/7: Cohen, Daubechies, Feauveau, Comm. Pure Appl. Math. 45 (1992); in lifting steps:
# Daubechies, Sweldens, J. Fourier Anal. Appl. 4 (1998); digits as in JPEG 2000, whose low band
# does not grow (ISO/IEC 15444-1, table F.4). LeGall 5/3: Le Gall, Tabatabai, ICASSP 1988.
WAVELETS = {
    "CDF9/7": Lifting(
        ((-1.586134342059924, -0.052980118572961), (0.882911075530934, 0.443506852043971)),
        math.sqrt(2) / 1.230174104914001,
    ),
    "LeGall5/3": Lifting(((-0.5, 0.25),), math.sqrt(2)),
}


def max_levels(height: int, width: int) -> int:
    """How often the shorter side can be halved, rounding up, until it is one sample long."""
    return max(min(height, width) - 1, 0).bit_length()


def log_volume(height: int, width: int, levels: int, wavelet: str, base: float = 1.0) -> float:
    """Logarithm of the absolute Jacobian determinant of `analyse`, then `rescale`.

    0 where no side that is halved is odd and the base is 1: of an odd side the low band takes one
    sample more than the high band.
    """
    log_gain, log_base = math.log(WAVELETS[wavelet].gain), math.log(base)
    total = 0.0
    for level in range(levels):
        whole = height * width
        total += log_gain * (height % 2 * width + width % 2 * height)
        height, width = (height + 1) // 2, (width + 1) // 2
        total += log_base * level * (whole - height * width)
    return total + log_base * levels * height * width


def analyse(image: torch.Tensor, levels: int, wavelet: str) -> Pyramid:
    """Split an image, (…, height, width), into bands; each level splits what the last left."""
    lifting = WAVELETS[wavelet]
    found: list[Bands] = []
    for _ in range(levels):
        low, high = split(image, -2, lifting)
        image, rows = split(low, -1, lifting)
        columns, both = split(high, -1, lifting)
        found.append((both, rows, columns))
    return Pyramid(tuple(found), image)


def synthesise(pyramid: Pyramid, wavelet: str) -> torch.Tensor:
    """Undo `analyse`."""
    lifting = WAVELETS[wavelet]
    image = pyramid.rest
    for both, rows, columns in reversed(pyramid.levels):
        low = merge(image, rows, -1, lifting)
        high = merge(columns, both, -1, lifting)
        image = merge(low, high, -2, lifting)
    return image


def rescale(pyramid: Pyramid, base: float) -> Pyramid:
    """Each level times the base to the power of its number, 0 for the finest."""
    levels = tuple(
        (both * base**level, rows * base**level, columns * base**level)
        for level, (both, rows, columns) in enumerate(pyramid.levels)
    )
    return Pyramid(levels, pyramid.rest * base ** len(levels))


def flatten(pyramid: Pyramid) -> torch.Tensor:
    """All of a pyramid in one image of the original size: the coarser, the nearer to index 0."""
    image = pyramid.rest
    for both, rows, columns in reversed(pyramid.levels):
        upper, lower = torch.cat([image, rows], -1), torch.cat([columns, both], -1)
        image = torch.cat([upper, lower], -2)
    return image


def unflatten(image: torch.Tensor, levels: int) -> Pyramid:
    """Undo `flatten`."""
    found: list[Bands] = []
    for _ in range(levels):
        height, width = ((side + 1) // 2 for side in image.shape[-2:])
        upper, lower = image[..., :height, :], image[..., height:, :]
        found.append((lower[..., width:], upper[..., width:], lower[..., :width]))
        image = upper[..., :width]
    return Pyramid(tuple(found), image)


def split(signal: torch.Tensor, axis: int, lifting: Lifting) -> tuple[torch.Tensor, torch.Tensor]:
    """Low and high band along an axis, which holds two samples or more."""
    signal = signal.movedim(axis, -1)
    even, odd = signal[..., 0::2], signal[..., 1::2]
    for predict, update in lifting.steps:
        odd = odd + predict * _beside_odd(even, odd.shape[-1])
        even = even + update * _beside_even(odd, even.shape[-1])
    return (even * lifting.gain).movedim(-1, axis), (odd / lifting.gain).movedim(-1, axis)


def merge(low: torch.Tensor, high: torch.Tensor, axis: int, lifting: Lifting) -> torch.Tensor:
    """Undo `split`."""
    even, odd = low.movedim(axis, -1) / lifting.gain, high.movedim(axis, -1) * lifting.gain
    for predict, update in reversed(lifting.steps):
        even = even - update * _beside_even(odd, even.shape[-1])
        odd = odd - predict * _beside_odd(even, odd.shape[-1])
    count = even.shape[-1] + odd.shape[-1]
    if count % 2:  # a last partner for the last even sample, cut off again
        odd = torch.cat([odd, even[..., -1:]], -1)
    return torch.stack([even, odd], -1).flatten(-2)[..., :count].movedim(-1, axis)


def _beside_odd(even: torch.Tensor, count: int) -> torch.Tensor:
    """Of each odd sample, the sum of its two even neighbours."""
    return _sums(torch.cat([even, even[..., -1:]], -1)[..., : count + 1])


def _beside_even(odd: torch.Tensor, count: int) -> torch.Tensor:
    """Of each even sample, the sum of its two odd neighbours."""
    return _sums(torch.cat([odd[..., :1], odd, odd[..., -1:]], -1)[..., : count + 1])


def _sums(samples: torch.Tensor) -> torch.Tensor:
    return samples[..., :-1] + samples[..., 1:]
