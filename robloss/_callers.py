"""Whose line a warning is about."""

import inspect
from types import FrameType


def level_of_caller(*through: str) -> int:
    """The stack level, for the function that asks, of the line that called this package.

    Python shows a warning once for each line: attributed to one of ours it would hide later ones.

    Parameters
    ----------
    *through : str
        Other packages that call this one for the user, whose line is sought.
    """
    passed = {"robloss", *through}
    level, frame = 0, inspect.currentframe()
    while frame is not None and _package(frame) in passed:
        level, frame = level + 1, frame.f_back
    return level


def _package(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")  # what `exec` runs may have none
    return name.partition(".")[0]
