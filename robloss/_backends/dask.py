"""Dask arrays, lazily: whatever is to be done, on each chunk by the chunk's own library."""

from collections.abc import Callable

import dask.array as da

from robloss._args import Arguments
from robloss._typing import Array


def map_chunks(function: Callable[..., Array], arguments: Arguments) -> Array:
    """Call a function of arrays on every chunk, when the chunk is computed."""
    return da.elemwise(function, *arguments.given, dtype=arguments.dtype)
