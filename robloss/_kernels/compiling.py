"""How kernels are compiled, and under which name their machine code is kept.

Numba keeps machine code on disk and looks only at the file of the function itself to see whether it
is out of date: a kernel that calls another file's function would go on with that function's old
code. Here the name under which the code is kept holds a digest of all that kernels are made of.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from importlib import resources
from types import FunctionType
from typing import Any, TypeVar, cast

from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Constants that kernels take from elsewhere in the package.
_DATA = ("_quadrature.py", "_partition/table.py")


@cache
def _digest() -> str:
    package = resources.files("robloss")
    files = [file for file in package.joinpath("_kernels").iterdir() if file.name.endswith(".py")]
    files = sorted(files, key=lambda file: file.name) + [package.joinpath(name) for name in _DATA]
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:16]


def part(function: _Function) -> _Function:
    """Compile a function of vectors as a part of every kernel that calls it, never called itself.

    A call would pass vectors through memory: several times as slow.
    """
    return cast("_Function", njit(error_model="numpy", nogil=True, forceinline=True)(function))


def kernel(function: _Function) -> _Function:
    """Compile a function at its first call: no interpreter lock, IEEE arithmetic, kept on disk."""
    function.__qualname__ += f"-{_digest()}"
    options = {"error_model": "numpy", "nogil": True}
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # no directory can be written: compile in every process then
        compiled = njit(**options)(function)
    return cast("_Function", compiled)


def instance(template: _Function, name: str, **given: Any) -> _Function:
    """A kernel made of a function in which some global names are those given here.

    A kernel can have functions for arguments, or in a closure, but Numba would then never find its
    machine code on disk: the key it is kept under holds what identifies them in this process.
    """
    function = FunctionType(template.__code__, {**template.__globals__, **given})
    function.__qualname__ = f"{template.__qualname__}-{name}"
    return kernel(cast("_Function", function))


@intrinsic  # type: ignore[untyped-decorator]
def call_apart(typing: Any, function: Any, arguments: Any) -> Any:
    """Call a kernel that is seldom needed, with a tuple of arguments.

    LLVM would make it a part of the caller, and keep the registers for it that the caller needs.
    """
    result = function.get_call_type(typing, arguments.types, {}).return_type

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        compiled = function.dispatcher.overloads[arguments.types]
        context.active_code_library.add_linking_library(compiled.library)
        callee = context.declare_function(builder.module, compiled.fndesc)
        values = cgutils.unpack_tuple(builder, args[1])
        context.call_conv.call_function(
            builder, callee, result, arguments.types, values, attrs=("noinline",)
        )
        return context.get_dummy_value()

    return types.none(function, arguments), lower
