"""A drop-in replacement: ``import robloss.compat as robust_loss_pytorch``.

Modules, names, signatures and defaults are those of robust_loss_pytorch, for programs written for
it; `robloss.torch` does the work. docs/compat.md says where results differ, and why.
"""

import robloss.torch  # noqa: F401 - says what to install where PyTorch is missing
from robloss.compat import adaptive, cubic_spline, distribution, general, util, wavelet
from robloss.compat.adaptive import (
    AdaptiveImageLossFunction,
    AdaptiveLossFunction,
    StudentsTLossFunction,
)
from robloss.compat.general import lossfun

__all__ = [
    "AdaptiveImageLossFunction",
    "AdaptiveLossFunction",
    "StudentsTLossFunction",
    "adaptive",
    "cubic_spline",
    "distribution",
    "general",
    "lossfun",
    "util",
    "wavelet",
]
