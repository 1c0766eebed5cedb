"""Barron's general and adaptive robust loss, for NumPy, CuPy, torch, JAX and Dask arrays."""

from importlib import import_module
from typing import Any

from robloss._distribution.cumulative import cdf, ppf
from robloss._distribution.density import log_partition, nll, pdf
from robloss._distribution.efficiency import efficiency, scale_for_efficiency
from robloss._distribution.moments import entropy, fisher_information, variance
from robloss._distribution.sampling import sample
from robloss._fit.linear import fit_linear
from robloss._fit.result import ConvergenceWarning, Fit
from robloss._loss import curvature, evaluate, grad_alpha, grad_scale, influence, loss, weight
from robloss._reparam import AlphaMap, ScaleMap

__version__ = "0.1.0"

__all__ = [
    "AlphaMap",
    "ConvergenceWarning",
    "Fit",
    "ScaleMap",
    "cdf",
    "curvature",
    "efficiency",
    "entropy",
    "evaluate",
    "fisher_information",
    "fit_linear",
    "grad_alpha",
    "grad_scale",
    "influence",
    "log_partition",
    "loss",
    "nll",
    "pdf",
    "ppf",
    "sample",
    "scale_for_efficiency",
    "variance",
    "weight",
]

_SUBMODULES = frozenset({"datasets", "plot"})


def __getattr__(name: str) -> Any:
    """Import an optional front when it is first named."""
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBMODULES, "__version__"})
