"""Dask arrays, lazily: each chunk by the backend of the chunk's own library."""

from functools import partial

import array_api_compat.dask.array as da

import robloss._backends
from robloss._args import Arguments
from robloss._ops import Operation
from robloss._typing import Array


def _chunk(*values: Array, name: str) -> Array:
    return robloss._backends.evaluate(name, *values, check=False)


def evaluate(operation: Operation, arguments: Arguments) -> Array:
    """Map the operation over chunks; see `robloss._backends`."""
    return da.map_blocks(
        partial(_chunk, name=operation.name), *arguments.values, dtype=arguments.compute
    )
