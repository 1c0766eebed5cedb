"""The distribution of the loss, as `robust_loss_pytorch.distribution` has it."""

import numbers
from typing import Any

import torch

from robloss._distribution.density import log_partition, nll
from robloss._distribution.sampling import sample
from robloss.compat._checks import RefusedValueError, as_given, same_dtype


def analytical_base_partition_function(numer: int, denom: int) -> float:
    """The partition function Z at the shape ``numer / denom``, to 14 digits.

    Parameters
    ----------
    numer : int
        At least 0.
    denom : int
        Above 0.

    Raises
    ------
    ValueError
        If one is not such an integer.
    """
    given: list[tuple[str, Any, int]] = [("numer", numer, 0), ("denom", denom, 1)]
    for name, value, least in given:
        if not isinstance(value, numbers.Integral) or value < least:
            raise ValueError(
                f"`{name}` must be an integer of at least {least}, but got {value!r}. "
                "Of other shapes Z is exp(robloss.log_partition(alpha))."
            )
    alpha = torch.tensor(int(numer) / int(denom), dtype=torch.float64)
    return float(log_partition(alpha).exp())


def partition_spline_curve(alpha: Any) -> torch.Tensor:
    """The map that stretches shapes around 2 and compresses those above 4.

    Parameters
    ----------
    alpha : tensor, array or float
        Shapes, at least 0.
    """
    alpha = torch.as_tensor(alpha)
    beyond = alpha >= 4
    d = torch.where(beyond, 0.0, alpha - 2)
    far = torch.where(beyond, alpha, 4.0)
    stretched = d * (1 + 2.25 / (d.abs() + 0.25)) + 4
    return torch.where(beyond, 8 + (5 / 18) * torch.log(4 * far - 15), stretched)


def inv_partition_spline_curve(x: Any) -> torch.Tensor:
    """The inverse of `partition_spline_curve`.

    Parameters
    ----------
    x : tensor, array or float
        Values, at least 0.

    Raises
    ------
    ValueError
        If a value is negative; it is an AssertionError as well.
    """
    x = torch.as_tensor(x)
    if not bool((x >= 0).all()):
        raise RefusedValueError(
            "`x` must be nonnegative, but got a value below 0. No shape is mapped there."
        )
    beyond = x >= 8
    # The root of d² + (2.5 − y) d − y/4 = 0 that vanishes with y, without cancellation there.
    y = torch.where(beyond, 0.0, x - 4)
    size = y.abs()
    d = size / 2 / (2.5 - size + torch.sqrt((2.5 - size) ** 2 + size))
    far = 3.75 + torch.exp(3.6 * (torch.where(beyond, x, 8.0) - 8)) / 4
    return torch.where(beyond, far, 2 + torch.copysign(d, y))


class Distribution:
    """The distribution: negative log-likelihood, normaliser and random numbers."""

    def log_base_partition_function(self, alpha: Any) -> torch.Tensor:
        """Log Z of each shape.

        Parameters
        ----------
        alpha : tensor, array or float
            Shapes; below 0 the result is NaN.

        See Also
        --------
        robloss.log_partition
        """
        return log_partition(torch.as_tensor(alpha))

    def nllfun(self, x: Any, alpha: Any, scale: Any) -> torch.Tensor:
        """Negative log-likelihood of each residual.

        Parameters
        ----------
        x : tensor or array
            Residuals.
        alpha, scale : tensor, array or float
            Shape (at least 0) and scale: numbers, or tensors in the dtype of `x`.

        Raises
        ------
        TypeError
            If dtypes differ; it is an AssertionError as well.

        See Also
        --------
        robloss.nll
        """
        x, alpha, scale = torch.as_tensor(x), as_given(alpha), as_given(scale)
        same_dtype(x=x, alpha=alpha, scale=scale)
        return nll(x, alpha, scale)

    def draw_samples(self, alpha: Any, scale: Any) -> torch.Tensor:
        """Draw one random number for each pair of shape and scale; see `torch.manual_seed`.

        Parameters
        ----------
        alpha, scale : tensor, array or float
            Shape and scale, in one dtype.

        Raises
        ------
        TypeError
            If dtypes differ; it is an AssertionError as well.

        See Also
        --------
        robloss.sample
        """
        alpha, scale = torch.as_tensor(alpha), torch.as_tensor(scale)
        same_dtype(alpha=alpha, scale=scale)
        # One number from the global generator seeds the draws, so that what a program draws next
        # does not depend on how many proposals were rejected.
        return sample(alpha, scale, rng=int(torch.randint(2**63 - 1, ())))
