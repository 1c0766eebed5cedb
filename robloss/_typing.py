"""A name for an array of any library: they share no base class, so `_args` checks at run time."""

from typing import Any

Array = Any
