"""Derivatives in alpha of second order, for arrays: by a CUDA kernel where there is one."""

from typing import Any

from robloss._kernels.alpha import derivatives
from robloss._libraries import library_of
from robloss._typing import Array


def bends(xp: Any, z: Array, alpha: float) -> tuple[Array, Array]:
    """∂ψ/∂α and ∂²ρ/∂α² at scale 1, to the digits that a Newton step needs.

    Parameters
    ----------
    xp : namespace
        Of z.
    z : array
    alpha : float
        Finite, and not 2.
    """
    found = _by_kernel(z, alpha)
    if found is not None:
        return found
    u = z * z / abs(alpha - 2)
    t, log_t = 1 + u, xp.log1p(u)
    power = xp.exp(0.5 * alpha * log_t)
    tilt, _, bow = derivatives(z, alpha, log_t, t, power, lambda a, b, c: a * b + c, xp.where)
    return tilt, bow


def _by_kernel(z: Array, alpha: float) -> tuple[Array, Array] | None:
    library = library_of(z)
    backend: Any
    if library == "cupy":
        from robloss._backends import cupy as backend
    elif library == "torch":
        from robloss._backends import torch_cuda as backend
    else:
        return None
    found: tuple[Array, Array] | None = backend.bends(z, alpha)
    return found
