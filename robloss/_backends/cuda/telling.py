"""The warning that CUDA kernels cannot be built."""

import warnings

from robloss._callers import level_of_caller

_told: set[str] = set()


def warn(reason: str, library: str) -> None:
    """Say why, once for all kernels that it concerns: others may be built, or on another device."""
    if reason in _told:
        return
    _told.add(reason)
    warnings.warn(
        f"CUDA kernels of robloss cannot be built ({reason}). {library}'s own functions are used "
        "instead, which go over the data many times.",
        RuntimeWarning,
        stacklevel=level_of_caller(),
    )
