"""The adaptive loss, as `robust_loss_pytorch.adaptive` has it."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from robloss.compat import distribution, util, wavelet
from robloss.compat._checks import RefusedTypeError, RefusedValueError, rule, scalars
from robloss.torch import AdaptiveLoss, StudentsTLoss
from robloss.torch._coefficients import Coefficients


class _Matrix:
    """What the two losses of a matrix have in common: rows of parameters, and checks."""

    num_dims: int
    scale: Any
    state_dict: Any

    def _to_rows(self: Any) -> None:
        """Give parameters and buffers the shape (1, num_dims)."""
        for name, parameter in [*self.named_parameters()]:
            setattr(self, name, nn.Parameter(parameter.detach()[None]))
        for name, buffer in [*self.named_buffers()]:
            setattr(self, name, buffer[None])

    @property
    def float_dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self.scale().dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.scale().device

    def _matrix(self, x: Any) -> torch.Tensor:
        x = torch.as_tensor(x)
        if x.ndim != 2 or x.shape[1] != self.num_dims:
            raise RefusedValueError(
                f"`x` must have the shape (batch, {self.num_dims}), but got {tuple(x.shape)}. "
                "One column alone is x[:, None]."
            )
        if x.dtype != self.float_dtype:
            raise RefusedTypeError(
                f"`x` must have the dtype {self.float_dtype}, but got {x.dtype}. "
                f"Convert it, e.g. torch.as_tensor(x, dtype={self.float_dtype})."
            )
        return x

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *others: Any, **options: Any
    ) -> None:
        """Load also what robust_loss_pytorch has saved: without fixed values and bounds."""
        for name, own in self.state_dict().items():
            if not name.startswith("latent") and name != "log_df":
                state_dict.setdefault(prefix + name, own)
        super()._load_from_state_dict(  # type: ignore[misc]
            state_dict, prefix, *others, **options
        )


class AdaptiveLossFunction(_Matrix, AdaptiveLoss):
    """The adaptive loss of a matrix: a shape and a scale for each column.

    Parameters
    ----------
    num_dims : int
        Number of columns.
    float_dtype : dtype
        Dtype of the parameters and of the argument of `lossfun`: one of torch's or NumPy's.
    device : device, str or int
        Device of the parameters.
    alpha_lo, alpha_hi : float, default 0.001 and 1.999
        Bounds of alpha; equal bounds fix it.
    alpha_init : float, optional
        Initial alpha, strictly between the bounds; default: their middle.
    scale_lo, scale_init : float, default 1e-5 and 1.0
        Lower bound and initial value of the scale; if they are equal, it is fixed.

    Raises
    ------
    ValueError
        If one of the numbers is not a scalar, or leaves its range.

    See Also
    --------
    robloss.torch.AdaptiveLoss
    """

    def __init__(
        self,
        num_dims: int,
        float_dtype: Any,
        device: Any,
        alpha_lo: float = 0.001,
        alpha_hi: float = 1.999,
        alpha_init: float | None = None,
        scale_lo: float = 1e-5,
        scale_init: float = 1.0,
    ) -> None:
        scalars(alpha_lo=alpha_lo, alpha_hi=alpha_hi, alpha_init=alpha_init)
        rule(alpha_lo >= 0, "alpha_lo", "nonnegative", alpha_lo)
        rule(alpha_hi >= alpha_lo, "alpha_hi", f"at least `alpha_lo`, {alpha_lo!r}", alpha_hi)
        if alpha_lo == alpha_hi:
            alpha_init = None
        if alpha_init is not None:
            between = f"strictly between {alpha_lo!r} and {alpha_hi!r}"
            rule(alpha_lo < alpha_init < alpha_hi, "alpha_init", between, alpha_init)
        _check_scales(scale_lo, scale_init)
        super().__init__(
            num_dims,
            (alpha_lo, alpha_hi),
            alpha_init,
            scale_lo,
            scale_init,
            reduction="none",
            device=device,
            dtype=_torch_dtype(float_dtype),
        )
        self.distribution = distribution.Distribution()
        self._to_rows()

    def lossfun(self, x: Any, **kwargs: Any) -> torch.Tensor:
        """Negative log-likelihood of each residual.

        Parameters
        ----------
        x : tensor or array (batch, num_dims)
            Residuals, in the dtype of the parameters.
        **kwargs
            Passed to `Distribution.nllfun`, which accepts none.

        Raises
        ------
        TypeError, ValueError
            For a wrong dtype or shape; both are AssertionErrors as well.
        """
        return self.distribution.nllfun(self._matrix(x), self.alpha(), self.scale(), **kwargs)


class StudentsTLossFunction(_Matrix, StudentsTLoss):
    """Student's t distribution of a matrix: degrees of freedom and a scale for each column.

    Parameters
    ----------
    num_dims, float_dtype, device, scale_lo, scale_init
        As those of `AdaptiveLossFunction`.

    Raises
    ------
    ValueError
        If one of the numbers is not a scalar, or leaves its range.

    See Also
    --------
    robloss.torch.StudentsTLoss
    """

    def __init__(
        self,
        num_dims: int,
        float_dtype: Any,
        device: Any,
        scale_lo: float = 1e-5,
        scale_init: float = 1.0,
    ) -> None:
        _check_scales(scale_lo, scale_init)
        super().__init__(
            num_dims,
            scale_lo,
            scale_init,
            reduction="none",
            device=device,
            dtype=_torch_dtype(float_dtype),
        )
        self._to_rows()

    def lossfun(self, x: Any) -> torch.Tensor:
        """Negative log-likelihood of each residual.

        Parameters
        ----------
        x : tensor or array (batch, num_dims)
            Residuals, in the dtype of the parameters.

        Raises
        ------
        TypeError, ValueError
            For a wrong dtype or shape; both are AssertionErrors as well.
        """
        return util.students_t_nll(self._matrix(x), self.df(), self.scale())


class AdaptiveImageLossFunction(nn.Module):  # type: ignore[misc]
    """The adaptive loss of images, applied to the coefficients of a transform.

    Parameters
    ----------
    image_size : (int, int, int)
        Width, height and channels of the images.
    float_dtype, device
        As for `AdaptiveLossFunction`.
    color_space : {"YUV", "RGB"}, default "YUV"
        YUV needs three channels: red, green and blue.
    representation : {"CDF9/7", "LeGall5/3", "DCT", "PIXEL"}, default "CDF9/7"
    wavelet_num_levels : int, default 5
        At most `wavelet.get_max_num_levels`; without effect if there is no wavelet.
    wavelet_scale_base : float, default 1
        As for `wavelet.rescale`.
    use_students_t : bool, default False
        Whether the distribution is Student's t; then options that begin with ``alpha`` have no
        effect.
    **kwargs
        Options of `AdaptiveLossFunction`, or of `StudentsTLossFunction`.

    Raises
    ------
    ValueError
        If a name is unknown, or a number leaves its range; for the size and the levels it is an
        AssertionError as well.

    See Also
    --------
    robloss.torch.AdaptiveImageLoss

    Notes
    -----
    Values are those of the coefficients, without the logarithm of the transform's determinant. The
    determinant is not 1 if a wavelet meets an odd side or `wavelet_scale_base` is not 1;
    `robloss.torch.AdaptiveImageLoss` takes this into account.
    """

    def __init__(
        self,
        image_size: tuple[int, int, int],
        float_dtype: Any,
        device: Any,
        color_space: str = "YUV",
        representation: str = "CDF9/7",
        wavelet_num_levels: int = 5,
        wavelet_scale_base: float = 1,
        use_students_t: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if len(image_size) != 3:
            raise RefusedValueError(
                f"`image_size` must be (width, height, channels), but got {image_size!r}. "
                "It has no axis of a batch."
            )
        self._coefficients = Coefficients(
            *image_size, color_space, representation, scale_base=wavelet_scale_base
        )
        if self._coefficients.is_wavelet:
            wavelet.check_levels("wavelet_num_levels", wavelet_num_levels, (1, *image_size))
            self._coefficients = replace(self._coefficients, num_levels=wavelet_num_levels)
        self.image_size = image_size
        self.color_space = color_space
        self.representation = representation
        self.wavelet_num_levels = wavelet_num_levels
        self.wavelet_scale_base = wavelet_scale_base
        self.use_students_t = use_students_t
        self.num_dims = math.prod(image_size)
        if use_students_t:
            kwargs = {name: one for name, one in kwargs.items() if not name.startswith("alpha")}
        law = StudentsTLossFunction if use_students_t else AdaptiveLossFunction
        self.adaptive_lossfun = law(self.num_dims, float_dtype, device, **kwargs)

    @property
    def float_dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self.adaptive_lossfun.float_dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.adaptive_lossfun.device

    def transform_to_mat(self, x: Any) -> torch.Tensor:
        """The coefficients (batch, num_dims) of images (batch, width, height, channels).

        Raises
        ------
        ValueError
            For a wrong shape; it is an AssertionError as well.
        """
        x = torch.as_tensor(x)
        if x.ndim != 4 or x.shape[1:] != tuple(self.image_size):
            sides = ", ".join(map(str, self.image_size))
            raise RefusedValueError(
                f"`x` must have the shape (batch, {sides}), but got {tuple(x.shape)}. "
                "Channels come last."
            )
        return self._coefficients.of(x.movedim(-1, 1)).movedim(1, -1).flatten(1)

    def lossfun(self, x: Any) -> torch.Tensor:
        """Negative log-likelihood of each coefficient of residual images.

        Parameters
        ----------
        x : tensor or array (batch, width, height, channels)
            Differences of RGB images, in the dtype of the parameters.

        Returns
        -------
        torch.Tensor
            In the shape of `x`.

        Raises
        ------
        TypeError, ValueError
            For a wrong dtype or shape; both are AssertionErrors as well.
        """
        values = self.adaptive_lossfun.lossfun(self.transform_to_mat(x))
        return values.reshape(-1, *self.image_size)

    def forward(self, x: Any) -> torch.Tensor:
        """The same as `lossfun`."""
        return self.lossfun(x)

    def alpha(self) -> torch.Tensor:
        """The shape of each coefficient, as an image."""
        self._must_be(False, "alpha", "df")
        return self.adaptive_lossfun.alpha().reshape(self.image_size)

    def df(self) -> torch.Tensor:
        """The degrees of freedom of each coefficient, as an image."""
        self._must_be(True, "df", "alpha")
        return self.adaptive_lossfun.df().reshape(self.image_size)

    def scale(self) -> torch.Tensor:
        """The scale of each coefficient, as an image."""
        return self.adaptive_lossfun.scale().reshape(self.image_size)

    def _must_be(self, students_t: bool, name: str, other: str) -> None:
        if self.use_students_t != students_t:
            raise RefusedValueError(
                f"`use_students_t` must be {students_t} for `{name}`, but got "
                f"{self.use_students_t}. This law has `{other}`."
            )


def _check_scales(low: float, initial: float) -> None:
    scalars(scale_lo=low, scale_init=initial)
    rule(low > 0, "scale_lo", "positive", low)
    rule(initial >= low, "scale_init", f"at least `scale_lo`, {low!r}", initial)


def _torch_dtype(dtype: Any) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    return torch.from_numpy(np.empty(0, dtype)).dtype
