"""How kernels are compiled, and under which name their machine code is cached.

Numba caches machine code on disk, but checks only the file of the function itself to see whether
the code is out of date: a kernel that calls a function of another file would keep using that
function's old code. Here the name in the cache includes a digest of everything that kernels are
made of. And whatever is wrong with the disk, the computation continues with code that is compiled
in memory.
"""

import hashlib
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import resources
from types import FunctionType
from typing import Any, ClassVar, TypeVar, cast

from numba import njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

from robloss._callers import level_of_caller

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Files with constants that kernels use from elsewhere in the package.
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
    """Compile a function of vectors that is inlined into every kernel that calls it.

    A call would pass vectors through memory.
    """
    return cast("_Function", njit(error_model="numpy", nogil=True, forceinline=True)(function))


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk; if it fails, the kernel is compiled, and the user is warned once."""

    failed: ClassVar[set[str]] = set()  # folders

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Read a kernel; None where it must be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001 - unpickling a damaged file may raise anything
            self._complain(error)
        with suppress(OSError):
            self.flush()  # else the damage would be there for the next process
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a kernel."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 - it first reads the index, which may raise anything
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        folder = self.cache_path
        if folder in self.failed:
            return
        self.failed.add(folder)
        warnings.warn(
            f"The machine code kept in {folder} cannot be used ({type(error).__name__}: {error}). "
            "It is compiled instead, which takes seconds. If this happens again, empty that "
            "folder, or set NUMBA_CACHE_DIR to another.",
            RuntimeWarning,
            stacklevel=level_of_caller("numba", "torch"),
        )


def kernel(function: _Function) -> _Function:
    """Compile a function at its first call: no interpreter lock, IEEE arithmetic, kept on disk."""
    function.__qualname__ += f"-{_digest()}"
    compiled = njit(error_model="numpy", nogil=True)(function)
    with suppress(RuntimeError):  # no directory can be written: compile in every process then
        compiled._cache = _Cache(function)  # noqa: SLF001 - as njit(cache=True) does with Numba's
    return cast("_Function", compiled)


def instance(template: _Function, name: str, **given: Any) -> _Function:
    """A kernel made from a function in which some global names are replaced.

    A kernel could take functions as arguments, or from a closure, but Numba would then never find
    its machine code on disk: the key in the cache would contain what identifies them in this
    process.
    """
    function = FunctionType(template.__code__, {**template.__globals__, **given})
    function.__qualname__ = f"{template.__qualname__}-{name}"
    return kernel(cast("_Function", function))


@intrinsic  # type: ignore[untyped-decorator]
def call_apart(typing: Any, function: Any, arguments: Any) -> Any:
    """Call a rarely needed kernel, with a tuple of arguments, without inlining it.

    LLVM would inline it, and reserve registers for it that the caller needs.
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
