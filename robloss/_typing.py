"""A name for an array of any library: they share no base class; `_libraries` tells them apart."""

from typing import Any

Array = Any
