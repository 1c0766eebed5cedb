"""Wavelets of images, as `robust_loss_pytorch.wavelet` has them.

A pyramid is a tuple: for each level, the finest first, three bands (high-pass along both axes,
along the last, along the one before), then the image that remains.
"""

import operator
from typing import Any, NamedTuple

import numpy as np
import torch

from robloss.compat._checks import RefusedValueError, rule
from robloss.torch import _wavelets as wavelets

Pyramid = tuple[Any, ...]


class Filters(NamedTuple):
    """The four filters of a wavelet, of odd lengths and symmetric."""

    analysis_lo: np.ndarray
    analysis_hi: np.ndarray
    synthesis_lo: np.ndarray
    synthesis_hi: np.ndarray


class HalfFilters(NamedTuple):
    """Two symmetric filters, from their centres on. Nothing here takes them."""

    lo: np.ndarray
    hi: np.ndarray


def generate_filters(wavelet_type: str | None = None) -> Any:
    """The filters of a wavelet, or the names of all.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if wavelet_type is None:
        return list(wavelets.WAVELETS)
    lifting = wavelets.WAVELETS[_known(wavelet_type)]
    # What comes of single samples, and what single coefficients become, far from the edges.
    samples = torch.eye(16, dtype=torch.float64)
    low, high = wavelets.split(samples, -1, lifting)
    one, none = samples[4, :8], torch.zeros(8, dtype=torch.float64)
    signals = wavelets.merge(one, none, -1, lifting), wavelets.merge(none, one, -1, lifting)
    found = (values.numpy() for values in (low[:, 4], high[:, 4], *signals))
    return Filters(*(values[values != 0] for values in found))


def pad_reflecting(x: Any, padding_below: int, padding_above: int, axis: int) -> torch.Tensor:
    """Continue an axis at both ends by mirror images about the end samples, as often as needed.

    Raises
    ------
    ValueError
        If a number is not an integer, or there is no such axis.
    """
    x = torch.as_tensor(x)
    rule(isinstance(padding_below, int), "padding_below", "an int", padding_below)
    rule(isinstance(padding_above, int), "padding_above", "an int", padding_above)
    rule(isinstance(axis, int), "axis", "an int", axis)
    rule(0 <= axis < x.ndim, "axis", f"in [0, {x.ndim - 1}]", axis)
    last = x.shape[axis] - 1
    index = torch.arange(-padding_below, last + 1 + padding_above, device=x.device)
    index = index % max(1, 2 * last)
    return x.index_select(axis, torch.minimum(index, 2 * last - index) if last else index)


def get_max_num_levels(sz: Any) -> int:
    """The maximum number of levels for images of shape (batch, width, height).

    Raises
    ------
    ValueError
        If there are fewer than three sides; it is an AssertionError as well.
    """
    if len(sz) < 3:
        raise RefusedValueError(
            f"`sz` must be (batch, width, height), but got {tuple(sz)!r}. "
            "It is the shape of what `construct` takes."
        )
    return wavelets.max_levels(int(sz[1]), int(sz[2]))


def construct(im: Any, num_levels: int, wavelet_type: str) -> Pyramid:
    """Compute the wavelet pyramid of images.

    Parameters
    ----------
    im : tensor or array (batch, width, height)
    num_levels : int
        Number of levels; 0 leaves the images as they are.
    wavelet_type : {"CDF9/7", "LeGall5/3"}

    Raises
    ------
    ValueError
        If `im` does not have three axes, there are too many levels (an AssertionError as well), or
        the wavelet is unknown.
    """
    im = torch.as_tensor(im)
    if im.ndim != 3:
        raise ValueError(
            f"`im` must have three axes, but got the shape {tuple(im.shape)}. "
            "Channels may be put into the first."
        )
    check_levels("num_levels", num_levels, im.shape)
    levels, rest = wavelets.analyse(im, operator.index(num_levels), _known(wavelet_type))
    return (*levels, rest)


def check_levels(name: str, levels: int, shape: Any) -> None:
    """Refuse more levels than images of a shape allow."""
    if levels > get_max_num_levels(shape):
        raise RefusedValueError(
            f"`{name}` must be at most {get_max_num_levels(shape)} for images of {shape[1]} x "
            f"{shape[2]}, but got {levels}. It is what `get_max_num_levels` gives."
        )


def collapse(pyr: Pyramid, wavelet_type: str) -> torch.Tensor:
    """Reconstruct images from their pyramid.

    Raises
    ------
    ValueError
        If `pyr` is not a pyramid, or the wavelet is unknown.
    """
    return wavelets.synthesise(_pyramid(pyr), _known(wavelet_type))


def rescale(pyr: Pyramid, scale_base: float) -> list[Any]:
    """Multiply level k, 0 being the finest, by ``scale_base**k``.

    Raises
    ------
    ValueError
        If `pyr` is not a pyramid.
    """
    levels, rest = wavelets.rescale(_pyramid(pyr), scale_base)
    return [*map(list, levels), rest]


def flatten(pyr: Pyramid) -> torch.Tensor:
    """Arrange a pyramid in images of the original size, with coarser levels nearer to index 0.

    Raises
    ------
    ValueError
        If `pyr` is not a pyramid.
    """
    return wavelets.flatten(_pyramid(pyr))


def visualize(pyr: Pyramid, percentile: float = 99.0) -> torch.Tensor:
    """Render the pyramid of one image's channels as uint8, (width, height, channels).

    Parameters
    ----------
    pyr : tuple
        As returned by `construct`.
    percentile : float, default 99
        Percentile of the size of a band's coefficients beyond which they are black or white.

    Raises
    ------
    ValueError
        If `pyr` is not a pyramid.
    """
    levels, rest = _pyramid(pyr)
    grey = tuple(tuple(_grey(band, percentile) for band in bands) for bands in levels)
    low, high = rest.min(), rest.max()
    shades = torch.where(high > low, (rest - low) / (high - low), 0.5)
    flat = wavelets.flatten(wavelets.Pyramid(grey, shades))
    return torch.round(255 * flat.permute(1, 2, 0)).to(torch.uint8)


def _grey(band: torch.Tensor, percentile: float) -> torch.Tensor:
    """Shades of a band from 0 to 1: ½ where it is 0."""
    sizes = band.abs().flatten().sort().values
    share = min(max(percentile / 100, 0.0), 1.0)
    limit = sizes[min(int(len(sizes) * share), len(sizes) - 1)]
    return torch.where(limit > 0, (1 + (band / limit).clamp(-1, 1)) / 2, 0.5)


def _known(wavelet_type: str) -> str:
    if wavelet_type not in wavelets.WAVELETS:
        raise ValueError(
            f"`wavelet_type` must be one of {', '.join(map(repr, wavelets.WAVELETS))}, but got "
            f"{wavelet_type!r}. Mind the capitals."
        )
    return wavelet_type


def _pyramid(pyr: Pyramid) -> wavelets.Pyramid:
    rule(isinstance(pyr, list | tuple), "pyr", "a list or tuple, of `construct`", type(pyr))
    *levels, rest = pyr
    for number, bands in enumerate(levels):
        is_level = isinstance(bands, list | tuple) and len(bands) == 3
        rule(is_level, f"pyr[{number}]", "a list or tuple of three bands", type(bands))
    tensors = [tuple(torch.as_tensor(band) for band in bands) for bands in levels]
    return wavelets.Pyramid(tuple(tensors), torch.as_tensor(rest))
