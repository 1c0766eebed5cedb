"""Dispatch: a table from array library to the module that computes operations on its arrays.

A module offers ``evaluate(operation, arguments)``; those for NumPy, CuPy and torch take the names
of several operations instead, and that for NumPy also `out`. Each is imported when its library is
first used, so that no library is imported on behalf of another. Dask has no way of its own to
compute: the work is done on the chunks of its arrays, by their library.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np

from robloss._args import Arguments, is_small_and_plain, prepare, values_of
from robloss._domains import Domain
from robloss._libraries import is_tensor, library_of
from robloss._ops import OPERATIONS
from robloss._typing import Array

_MODULES = {
    "numpy": "robloss._backends.numpy",
    "cupy": "robloss._backends.cupy",
    "jax": "robloss._backends.jax",
    "dask": "robloss._backends.dask",
}

_DIFFERENTIATING = ("torch", "jax")


def _backend(library: str) -> Any:
    if library != "torch":
        return _other_backend(library)
    # Compilers of torch follow this, but neither `import_module` nor, without a warning, a cache.
    from robloss._backends import torch

    return torch


@cache
def _other_backend(library: str) -> Any:
    return import_module(_MODULES.get(library, "robloss._backends.generic"))


def _quiet(library: str) -> AbstractContextManager[Any]:
    """Keep NumPy, and libraries that stand on it, from warning of infinities and NaN.

    These are legitimate results, or belong to branches that are not taken. torch and JAX never
    warn, and their compilers are spared this.
    """
    return nullcontext() if library in _DIFFERENTIATING else np.errstate(all="ignore")


def evaluate(name: str, *given: Any, out: Any = None, check: bool = True) -> Array:
    """Compute an operation on a user's arguments.

    Parameters
    ----------
    name : str
        Which operation, by its name in `robloss._ops`.
    *given : array or float
        As passed by the user; see `robloss._args.prepare` for what is checked.
    out : numpy.ndarray, optional
        Where to put the result, for NumPy.
    check : bool, default True
        Whether to check the values of host arrays; if not, an illegal one becomes NaN.

    Raises
    ------
    TypeError
        If `out` is given with arrays of another library, and as `prepare` does.
    """
    if is_small_and_plain(given, out):
        result: Array = _backend("numpy").small(
            OPERATIONS[name].smooth_form_of or name, *given, out
        )
        return result
    if out is None and is_tensor(given[0]):
        losses: Array | None = _backend("torch").quickly(name, given)
        if losses is not None:
            return losses
    return evaluate_all((name,), *given, out=None if out is None else (out,), check=check)[0]


def evaluate_all(
    names: tuple[str, ...], *given: Any, out: Sequence[Any] | None = None, check: bool = True
) -> tuple[Array, ...]:
    """Compute several operations of the same parameters: where a kernel does, in one pass.

    Parameters
    ----------
    names : tuple of str
        Distinct names.
    *given : array or float
    out : sequence, optional
        For each operation an array, or None for a new one.
    check : bool, default True
        As in `evaluate`.
    """
    arguments = _prepared(OPERATIONS[names[0]].parameters, given, check)
    library = arguments.library
    if library not in _DIFFERENTIATING:
        names = tuple([OPERATIONS[name].smooth_form_of or name for name in names])
    backend = _backend(library)
    if library == "numpy":
        results: tuple[Array, ...] = backend.evaluate(names, arguments, out)
        return results
    for one in out or ():
        if one is not None:
            raise TypeError(
                f"`out` must be left out for {library} arrays, but got {type(one).__name__}. "
                "Only NumPy results can be written in place."
            )
    if library == "dask":
        again = [partial(evaluate, name, check=False) for name in names]
        return tuple([backend.map_chunks(function, arguments) for function in again])
    with _quiet(library):
        if library in ("cupy", "torch"):
            values = backend.evaluate(names, arguments)
        else:
            values = [backend.evaluate(OPERATIONS[name], arguments) for name in names]
        return tuple([_returned(value, arguments) for value in values])


def compose(
    function: Callable[..., Array],
    domains: tuple[Domain, ...],
    *given: Any,
    check: bool = True,
) -> Array:
    """Compute a function that is composed of operations, on a user's arguments.

    Parameters
    ----------
    function : callable
        ``function(xp, *values)``, at the top of a module, so that Dask can send it to a worker.
    domains : tuple of Domain
        One per argument.
    *given : array or float
    check : bool, default True
        As in `evaluate`.
    """
    arguments = _prepared(domains, given, check)
    if arguments.library == "dask":
        again = partial(compose, function, domains, check=False)
        return _backend("dask").map_chunks(again, arguments)
    with _quiet(arguments.library):
        return _returned(function(arguments.xp, *values_of(arguments)), arguments)


def constant(array: Array) -> Array:
    """The array as a constant for automatic differentiation (`stop_gradient`)."""
    library = library_of(array)
    return _backend(library).constant(array) if library in _DIFFERENTIATING else array


def added(value: Array, term: Array) -> Array:
    """The sum of an operation's result, which nothing else refers to, and a term no larger than it.

    Where the library allows, it overwrites the result, so that no second large array is needed.
    """
    if type(value) is np.ndarray:
        return np.add(value, term, out=value)
    return _backend("torch").added(value, term) if is_tensor(value) else value + term


def numbers_beside(xp: Any, numbers: tuple[float, ...], array: Array) -> Array:
    """The numbers as an array, in the dtype and on the device of another."""
    if xp.__name__ == "array_api_compat.torch":
        return _backend("torch").numbers_beside(numbers, array)
    return xp.asarray(numbers, dtype=array.dtype, device=getattr(array, "device", None))


def is_compiling(xp: Any) -> bool:
    """Whether a compiler of torch follows what is computed in this namespace."""
    if xp.__name__ != "array_api_compat.torch":
        return False
    compiling: bool = sys.modules["torch"].compiler.is_compiling()
    return compiling


def _prepared(domains: tuple[Domain, ...], given: tuple[Any, ...], check: bool) -> Arguments:
    arguments = prepare(domains, given, check)
    if arguments.library == "torch" and arguments.dtype != arguments.compute:
        dtype = _backend("torch").result_dtype(arguments)
        library, xp, given, compute, _ = arguments
        return Arguments(library, xp, given, compute, dtype)
    return arguments


def _returned(result: Array, arguments: Arguments) -> Array:
    if result.dtype != arguments.dtype:
        result = arguments.xp.astype(result, arguments.dtype, copy=False)
    # NumPy's ufuncs, unlike its other functions, give scalars where the arguments have no axes.
    return result[()] if arguments.library == "numpy" else result
