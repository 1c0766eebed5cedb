"""Which line of the user's code a warning is attributed to."""

import inspect
from types import FrameType


def level_of_caller(*through: str) -> int:
    """The stack level, as seen from the calling function, of the line that called this package.

    Python shows a warning once per line: attributed to a line of this package, it would hide later
    ones.

    Parameters
    ----------
    *through : str
        Other packages to skip, which may stand between the user's code and this package.
    """
    passed = {"robloss", *through}
    level, frame = 0, inspect.currentframe()
    while frame is not None and _package(frame) in passed:
        level, frame = level + 1, frame.f_back
    return level


def _package(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")  # what `exec` runs may have none
    return name.partition(".")[0]
