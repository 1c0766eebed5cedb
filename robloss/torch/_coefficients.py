"""Residual images as coefficients: another colour space, and a transform of each channel."""

import math
import operator
from dataclasses import dataclass

import torch

from robloss._args import number_in
from robloss._domains import Domain
from robloss.torch import _wavelets as wavelets
from robloss.torch._colors import rgb_to_yuv, yuv_to_rgb
from robloss.torch._dct import dct, idct

# A name's place is its number in states of modules: new ones go to the end.
COLOR_SPACES = ("YUV", "RGB")
REPRESENTATIONS = ("CDF9/7", "LeGall5/3", "DCT", "PIXEL")

_BASE = Domain("scale_base", 0.0, math.inf, False, "1 keeps volumes.")


@dataclass(frozen=True)
class Coefficients:
    """What images of one size are turned into.

    Attributes
    ----------
    height, width, channels : int
    color_space, representation : str
    num_levels : int, or None for as many as the size allows
    scale_base : float
    """

    height: int
    width: int
    channels: int
    color_space: str = "YUV"
    representation: str = "CDF9/7"
    num_levels: int | None = None
    scale_base: float = 1.0

    def __post_init__(self) -> None:
        """Check everything."""
        _check_name("color_space", self.color_space, COLOR_SPACES)
        _check_name("representation", self.representation, REPRESENTATIONS)
        if self.color_space == "YUV" and self.channels != 3:
            raise ValueError(
                f"`image_size` must have 3 channels in YUV, but got {self.channels}. "
                "Pass color_space='RGB', which takes channels as they are."
            )
        number_in(_BASE, self.scale_base)
        if self.num_levels is not None:
            most = wavelets.max_levels(self.height, self.width)
            _check_levels(self.num_levels, most, f"{self.height} x {self.width}")

    @property
    def is_wavelet(self) -> bool:
        """Whether the representation is one."""
        return self.representation in wavelets.WAVELETS

    @property
    def levels(self) -> int:
        """How many levels a wavelet has."""
        if self.num_levels is None:
            return wavelets.max_levels(self.height, self.width)
        return self.num_levels

    @property
    def log_volume(self) -> float:
        """Logarithm of the Jacobian determinant's size, per pixel and channel."""
        if not self.is_wavelet:
            return 0.0
        whole = wavelets.log_volume(
            self.height, self.width, self.levels, self.representation, self.scale_base
        )
        return whole / (self.height * self.width)

    def of(self, images: torch.Tensor) -> torch.Tensor:
        """Of channels-first images; in their shape and dtype, 16-bit floats through float32."""
        values = images.to(torch.promote_types(images.dtype, torch.float32))
        if self.color_space == "YUV":
            values = rgb_to_yuv(values, -3)
        if self.representation == "DCT":
            values = dct(values)
        elif self.is_wavelet:
            pyramid = wavelets.analyse(values, self.levels, self.representation)
            values = wavelets.flatten(wavelets.rescale(pyramid, self.scale_base))
        return values.to(images.dtype)

    def images_of(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Undo `of`."""
        values = coefficients.to(torch.promote_types(coefficients.dtype, torch.float32))
        if self.representation == "DCT":
            values = idct(values)
        elif self.is_wavelet:
            pyramid = wavelets.unflatten(values, self.levels)
            pyramid = wavelets.rescale(pyramid, 1 / self.scale_base)
            values = wavelets.synthesise(pyramid, self.representation)
        if self.color_space == "YUV":
            values = yuv_to_rgb(values, -3)
        return values.to(coefficients.dtype)

    def code(self) -> list[float]:
        """What tells coefficients of one kind from others, in numbers."""
        own = (self.levels, self.scale_base) if self.is_wavelet else (0, 1.0)
        kinds = COLOR_SPACES.index(self.color_space), REPRESENTATIONS.index(self.representation)
        return [*map(float, (self.height, self.width, self.channels, *kinds, *own))]

    @classmethod
    def decoded(cls, code: list[float]) -> "Coefficients":
        """Undo `code`."""
        height, width, channels, space, representation, levels = map(int, code[:-1])
        names = COLOR_SPACES[space], REPRESENTATIONS[representation]
        return cls(height, width, channels, *names, levels, code[-1])

    def __str__(self) -> str:
        """Size, names and numbers, as one says them."""
        wavelet = f", {self.levels} levels of base {self.scale_base:g}" if self.is_wavelet else ""
        size = f"{self.height} x {self.width} x {self.channels}"
        return f"{size} in {self.color_space}, {self.representation}{wavelet}"


def _check_name(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, known))}, but got {value!r}. "
            "Mind the capitals."
        )


def _check_levels(levels: int, most: int, size: str) -> None:
    try:
        levels = operator.index(levels)
    except TypeError:
        raise TypeError(
            f"`num_levels` must be an integer, but got {levels!r}. None takes all."
        ) from None
    if not 0 <= levels <= most:
        raise ValueError(
            f"`num_levels` must lie in [0, {most}] for images of {size}, but got {levels}. "
            "None takes as many as there are."
        )
