"""Barron's general and adaptive robust loss, for NumPy, CuPy, torch, JAX and Dask arrays."""

from importlib import import_module
from typing import Any

from robloss._distribution.cumulative import cdf, ppf
from robloss._distribution.density import log_partition, nll, pdf
from robloss._distribution.efficiency import efficiency, scale_for_efficiency
from robloss._distribution.moments import entropy, fisher_information, variance
from robloss._distribution.sampling import sample
from robloss._fit.bar import progress_bar
from robloss._fit.inference import Inference
from robloss._fit.linear import fit_linear
from robloss._fit.location import fit_location
from robloss._fit.profile import AlphaProfile
from robloss._fit.progress import Iterate
from robloss._fit.residuals import fit_residuals
from robloss._fit.result import ConvergenceWarning, Fit, LinearFit, LocationFit
from robloss._fit.several import Fits, LinearFits, LocationFits
from robloss._loss import curvature, evaluate, grad_alpha, grad_scale, influence, loss, weight
from robloss._reparam import AlphaMap, ScaleMap

__version__ = "0.1.0"

__all__ = [
    "AlphaMap",
    "AlphaProfile",
    "ConvergenceWarning",
    "Fit",
    "Fits",
    "Inference",
    "Iterate",
    "LinearFit",
    "LinearFits",
    "LocationFit",
    "LocationFits",
    "ScaleMap",
    "cdf",
    "curvature",
    "efficiency",
    "entropy",
    "evaluate",
    "fisher_information",
    "fit_linear",
    "fit_location",
    "fit_residuals",
    "grad_alpha",
    "grad_scale",
    "influence",
    "log_partition",
    "loss",
    "nll",
    "pdf",
    "ppf",
    "progress_bar",
    "sample",
    "scale_for_efficiency",
    "variance",
    "weight",
]

_SUBMODULES = frozenset({"compat", "conventions", "datasets", "plot", "scipy", "sklearn", "torch"})


def __getattr__(name: str) -> Any:
    """Import an optional front when it is first named."""
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBMODULES, "__version__"})
