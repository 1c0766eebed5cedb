"""Who computes an operation: a table from array library to the module that does.

A module offers ``evaluate(operation, arguments)``. It is imported at the first use of its library,
so that no optional library is ever imported on behalf of another.
"""

from functools import cache
from importlib import import_module
from typing import Any

from robloss._args import prepare
from robloss._ops import OPERATIONS
from robloss._typing import Array

_MODULES = {
    "numpy": "robloss._backends.numpy",
    "torch": "robloss._backends.torch",
    "jax": "robloss._backends.jax",
    "dask": "robloss._backends.dask",
}


@cache
def _backend(library: str) -> Any:
    return import_module(_MODULES.get(library, "robloss._backends.generic"))


def evaluate(name: str, *given: Any, out: Any = None, check: bool = True) -> Array:
    """Compute an operation on a user's arguments.

    Parameters
    ----------
    name : str
        Which operation, by its name in `robloss._ops`.
    *given : array or float
        As the user passed them; see `robloss._args.prepare` for what is checked.
    out : numpy.ndarray, optional
        Where to put the result, for NumPy.
    check : bool, default True
        Whether to look at the values of host arrays; without, an illegal one becomes NaN.

    Raises
    ------
    TypeError
        If `out` is given with arrays of another library, and as `prepare` does.
    """
    operation = OPERATIONS[name]
    arguments = prepare(operation.parameters, given, check)
    backend = _backend(arguments.library)
    if arguments.library == "numpy":
        return backend.evaluate(operation, arguments, out)
    if out is not None:
        raise TypeError(
            f"`out` must be left out for {arguments.library} arrays, but got "
            f"{type(out).__name__}. Only NumPy results can be written in place."
        )
    result = backend.evaluate(operation, arguments)
    return arguments.xp.astype(result, arguments.dtype, copy=False)
