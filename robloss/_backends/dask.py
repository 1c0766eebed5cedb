"""Dask arrays, lazily: whatever is to be done, on each chunk by the chunk's own library."""

from collections.abc import Callable

from dask.array.core import elemwise

from robloss._args import Arguments
from robloss._typing import Array


def map_chunks(function: Callable[..., Array], arguments: Arguments) -> Array:
    """Call a function of arrays on every chunk, when the chunk is computed."""
    return elemwise(function, *arguments.given, dtype=arguments.dtype)
