"""The adaptive loss of images, on pixels or on coefficients of a transform."""

import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from robloss.torch._adaptive import AdaptiveLoss
from robloss.torch._coefficients import Coefficients
from robloss.torch._module import ReducedLoss, as_floats
from robloss.torch._reduction import reduced
from robloss.torch._students_t import StudentsTLoss

LAYOUTS = ("channels_first", "channels_last")


class AdaptiveImageLoss(ReducedLoss):
    r"""The adaptive loss of images: shape and scale learned for each coefficient of a transform.

    .. math::

        -\log p(x) = \sum_k \left[\rho(y_k, \alpha_k, c_k) + \log c_k + \log Z(\alpha_k)\right]
        - \log\left|\det\frac{\partial y}{\partial x}\right|

    with y the wavelet or cosine coefficients of a residual image x, by default in YUV. Fine detail
    in images is heavy-tailed and coarse structure is not: each coefficient finds its own shape.
    **Pass its parameters to the optimiser.**

    Parameters
    ----------
    image_size : (int, int, int)
        Shape of one image: (channels, height, width), or with channels last
        (height, width, channels).
    color_space : {"YUV", "RGB"}, default "YUV"
        YUV turns red, green and blue into one channel of brightness and two of colour; RGB leaves
        any number of channels as they are.
    representation : {"CDF9/7", "LeGall5/3", "DCT", "PIXEL"}, default "CDF9/7"
        The transform of each channel: a wavelet, the orthonormal cosine transform, or none.
    num_levels : int, optional
        Levels of a wavelet; default: as often as the shorter side can be halved, rounding up.
    scale_base : float, default 1.0
        Wavelet coefficients of level k, 0 being the finest, are multiplied by ``scale_base**k``;
        positive.
    layout : {"channels_first", "channels_last"}, default "channels_first"
        Where the channels are in `image_size` and in images.
    students_t : bool, default False
        Whether the distribution is Student's t instead, for comparison.
    reduction : {"mean", "sum", "none"}, default "mean"
        What `forward` returns: one number, or with "none" one value per coefficient.
    **options
        Those of the distribution: `scale_min`, `scale_init`, `device`, `dtype`; for `AdaptiveLoss`
        also `alpha_range`, `alpha_init` and `nonnegative`, which `StudentsTLoss` does not have.

    Attributes
    ----------
    law : AdaptiveLoss or StudentsTLoss
        The distribution. It holds the parameters, one column per coefficient: row by row, the
        channels of a pixel together, in both layouts.
    layout, reduction : str

    Raises
    ------
    TypeError
        If an argument that must be a number is not one, or `image_size` is not three integers.
    ValueError
        If a number leaves its domain, a name is unknown, or YUV is not given 3 channels.

    See Also
    --------
    AdaptiveLoss

    Notes
    -----
    Images may have any size; edges are reflected. The sum over an image is the negative
    log-likelihood of its pixels, whatever the transform, so that distributions in different
    representations can be compared. YUV (which is scaled to this end), the DCT, and wavelets with
    `scale_base` 1 and no odd side at any level preserve volumes: the determinant is 1
    (tests/modules/test_images.py). Otherwise its logarithm is subtracted in equal parts from all
    values, which changes no gradient. With `nonnegative` it is left out.

    Values are arranged like their coefficients: for a wavelet, the coarsest at index 0 and each
    finer level around it; for the DCT, frequencies from 0 upwards. 16-bit images are transformed in
    float32.

    `state_dict` records the transform, and does not load into a loss with another one; only the
    layout may differ.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077.
    A. Cohen, I. Daubechies, J.-C. Feauveau, "Biorthogonal Bases of Compactly Supported Wavelets",
    Communications on Pure and Applied Mathematics 45, 1992.

    Examples
    --------
    >>> import torch
    >>> from robloss.torch import AdaptiveImageLoss
    >>> loss = AdaptiveImageLoss((3, 16, 12))
    >>> residuals = torch.rand(5, 3, 16, 12) - torch.rand(5, 3, 16, 12)
    >>> value = loss(residuals)
    >>> value.backward()
    >>> loss.alpha().shape, loss.nll(residuals).shape
    (torch.Size([3, 16, 12]), torch.Size([5, 3, 16, 12]))
    """

    def __init__(
        self,
        image_size: tuple[int, int, int],
        color_space: str = "YUV",
        representation: str = "CDF9/7",
        num_levels: int | None = None,
        scale_base: float = 1.0,
        *,
        layout: str = "channels_first",
        students_t: bool = False,
        reduction: str = "mean",
        **options: Any,
    ) -> None:
        super().__init__(reduction)
        if layout not in LAYOUTS:
            raise ValueError(
                f"`layout` must be 'channels_first' or 'channels_last', but got {layout!r}. "
                "torch's own modules take channels first."
            )
        self.layout = layout
        size = _checked_size(image_size)
        height, width, channels = size if self._is_last else (*size[1:], size[0])
        self._transform = Coefficients(
            height, width, channels, color_space, representation, num_levels, scale_base
        )
        law = StudentsTLoss if students_t else AdaptiveLoss
        self.law = law(math.prod(size), reduction="none", **options)

    @property
    def _is_last(self) -> bool:
        return self.layout == "channels_last"

    @property
    def image_size(self) -> tuple[int, int, int]:
        """Shape of one image in the layout."""
        one = self._transform
        plane = (one.height, one.width)
        return (*plane, one.channels) if self._is_last else (one.channels, *plane)

    def reset_parameters(self) -> None:
        """Set the parameters to their initial values."""
        self.law.reset_parameters()

    def alpha(self) -> torch.Tensor:
        """The shape of each coefficient, as an image."""
        self._must_have("alpha", "df")
        return self._as_images(self.law.alpha())

    def df(self) -> torch.Tensor:
        """The degrees of freedom of each coefficient, as an image; only with `students_t`."""
        self._must_have("df", "alpha")
        return self._as_images(self.law.df())

    def _must_have(self, name: str, other: str) -> None:
        if not hasattr(self.law, name):
            raise AttributeError(
                f"`students_t` must be {name == 'df'} for `{name}`, but got {name != 'df'}. "
                f"This law has `{other}`."
            )

    def scale(self) -> torch.Tensor:
        """The scale of each coefficient, as an image."""
        return self._as_images(self.law.scale())

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        """The coefficients of images: each has its own shape and scale.

        Parameters
        ----------
        x : torch.Tensor (..., image_size)
            Residual images.

        Returns
        -------
        torch.Tensor (..., image_size)

        Raises
        ------
        TypeError
            If `x` is not a tensor, or not real.
        ValueError
            If its last three axes are not `image_size`.
        """
        x = self._checked(x)
        if self._is_last:
            return self._transform.of(x.movedim(-1, -3)).movedim(-3, -1)
        return self._transform.of(x)

    def inverse(self, coefficients: torch.Tensor) -> torch.Tensor:
        """The images with given coefficients: the inverse of `transform`, up to rounding.

        Parameters
        ----------
        coefficients : torch.Tensor (..., image_size)

        Returns
        -------
        torch.Tensor (..., image_size)

        Raises
        ------
        TypeError, ValueError
            As `transform`.
        """
        coefficients = self._checked(coefficients, "coefficients")
        if self._is_last:
            return self._transform.images_of(coefficients.movedim(-1, -3)).movedim(-3, -1)
        return self._transform.images_of(coefficients)

    def sample(
        self, shape: int | tuple[int, ...] = (), generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Draw residual images: coefficients drawn as learned so far, transformed back.

        Parameters
        ----------
        shape : int or tuple of int, default ()
            How many images: the leading axes of the result.
        generator : torch.Generator, optional
            On the device of the parameters; default: torch's global one.

        Returns
        -------
        torch.Tensor (..., image_size)
            Differentiable like the samples of `law`.
        """
        return self.inverse(self._as_images(self.law.sample(shape, generator)))

    def nll(self, x: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood of each coefficient, in nats; that of an image is their sum.

        Parameters
        ----------
        x : torch.Tensor (..., image_size)
            Residual images: differences of RGB images where the colour space is YUV.

        Returns
        -------
        torch.Tensor (..., image_size)

        Raises
        ------
        TypeError
            If `x` is not a tensor, or not real.
        ValueError
            If its last three axes are not `image_size`.
        """
        return self._each(self.law.nll, x) - self._transform.log_volume

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reduced negative log-likelihoods of the coefficients."""
        is_shifted = getattr(self.law, "nonnegative", False)
        return reduced(self._each(self.law, x) if is_shifted else self.nll(x), self.reduction)

    def _each(
        self, function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
    ) -> torch.Tensor:
        """A function of the coefficients in columns, as images again."""
        values = self.transform(x)
        rows = values if self._is_last else values.movedim(-3, -1)
        return self._as_images(function(rows.flatten(-3)))

    def _as_images(self, columns: torch.Tensor) -> torch.Tensor:
        one = self._transform
        images = columns.reshape(*columns.shape[:-1], one.height, one.width, one.channels)
        return images if self._is_last else images.movedim(-1, -3)

    def _checked(self, x: torch.Tensor, name: str = "x") -> torch.Tensor:
        x = as_floats(x, name)
        if tuple(x.shape[-3:]) != self.image_size:
            expected = ", ".join(map(str, self.image_size))
            raise ValueError(
                f"`{name}` must have the shape (..., {expected}), but got {tuple(x.shape)}. "
                f"The layout is {self.layout}."
            )
        return x

    def get_extra_state(self) -> torch.Tensor:
        """What the coefficients are, for `state_dict`; the layout does not matter to them."""
        return torch.tensor(self._transform.code(), dtype=torch.float64)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Refuse what was learned of other coefficients.

        Raises
        ------
        ValueError
        """
        code = state.tolist()
        if code != self._transform.code():
            raise ValueError(
                f"`state_dict` must be of images of {self._transform}, but got "
                f"{Coefficients.decoded(code)}. Make the loss with the options it was saved with."
            )

    def extra_repr(self) -> str:
        """The part of `repr` between the parentheses."""
        one = self._transform
        wavelet = (
            f", num_levels={one.levels}, scale_base={one.scale_base}" if one.is_wavelet else ""
        )
        return (
            f"{self.image_size}, {one.color_space!r}, {one.representation!r}{wavelet}, "
            f"layout={self.layout!r}, reduction={self.reduction!r}"
        )


def _checked_size(image_size: tuple[int, int, int]) -> tuple[int, int, int]:
    try:
        one, two, three = (operator.index(side) for side in image_size)
    except (TypeError, ValueError):
        raise TypeError(
            f"`image_size` must be three integers, but got {image_size!r}. "
            "Pass the shape of one image, without the axis of the batch."
        ) from None
    if min(one, two, three) < 1:
        raise ValueError(
            f"`image_size` must be three positive integers, but got {image_size!r}. "
            "Pass the shape of one image, without the axis of the batch."
        )
    return one, two, three
