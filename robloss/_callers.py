"""Whose line a warning is about."""

import inspect
from types import FrameType


def level_of_caller() -> int:
    """The stack level, for the function that asks, of the line that called this package.

    Python shows a warning once for each line: attributed to one of ours it would hide later ones.
    """
    level, frame = 0, inspect.currentframe()
    while frame is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")  # what `exec` runs may have none
    return name.partition(".")[0] == "robloss"
