"""The array libraries that the tests run on: one member of an enum each."""

import enum
import functools
import importlib
import importlib.util
import warnings
from typing import Any

import numpy as np


class Library(enum.Enum):
    """An array library, and the device where one library has several.

    Members hold: the name on the command line, the module, the floating dtypes by name, whether it
    differentiates, whether it is lazy.
    """

    NUMPY = ("numpy", "numpy", ("float64", "float32", "float16"), False, False)
    STRICT = ("array-api-strict", "array_api_strict", ("float64", "float32"), False, False)
    TORCH = ("torch", "torch", ("float64", "float32", "float16", "bfloat16"), True, False)
    JAX = ("jax", "jax", ("float64", "float32", "float16", "bfloat16"), True, False)
    DASK = ("dask", "dask", ("float64", "float32", "float16"), False, True)
    CUPY = ("cupy", "cupy", ("float64", "float32", "float16"), False, False)
    TORCH_CUDA = ("torch-cuda", "torch", ("float64", "float32", "float16", "bfloat16"), True, False)
    # Tensors of the CPU that pass for such of a GPU: the CUDA kernels, compiled for the processor.
    PAPER = ("torch-on-paper", "torch", ("float64", "float32", "float16", "bfloat16"), True, False)

    def __init__(
        self, option: str, module: str, dtypes: tuple[str, ...], differentiates: bool, lazy: bool
    ) -> None:
        self.option = option
        self.module = module
        self.dtypes = dtypes
        self.differentiates = differentiates
        self.lazy = lazy

    @classmethod
    def named(cls, option: str) -> "Library":
        return next(library for library in cls if library.option == option)

    @classmethod
    def present(cls) -> list["Library"]:
        """Those that can be used here, but PAPER: its kernels are compiled for minutes."""
        return [library for library in cls if library is not cls.PAPER and not library.missing]

    @property
    def is_host(self) -> bool:
        """Whether its values can be checked without waiting for a device."""
        return self is Library.NUMPY

    @property
    def has_strides(self) -> bool:
        """Whether a transposed or stepped array of it is a view with other strides."""
        return self not in (Library.JAX, Library.DASK)

    @functools.cached_property
    def missing(self) -> str:
        """Why it cannot be used here; empty where it can."""
        if importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not installed"
        if self is Library.PAPER:
            return _import("cuda_host").missing
        if self is Library.CUPY and not _cupy_has_device():
            return "CuPy finds no CUDA GPU"
        if self is Library.TORCH_CUDA and not _import("torch").cuda.is_available():
            return "torch finds no CUDA GPU"
        return ""

    @functools.cached_property
    def xp(self) -> Any:
        """What `array_api_compat.array_namespace` gives for its arrays."""
        if self is Library.JAX:
            _import("jax").config.update("jax_enable_x64", True)
        array_api_compat = _import("array_api_compat")
        return array_api_compat.array_namespace(self.array(np.zeros(2)))

    def dtype(self, name: str) -> Any:
        if self is Library.JAX:
            return getattr(_import("jax.numpy"), name).dtype
        if self.module == "torch":
            return getattr(_import("torch"), name)
        if self is Library.STRICT:
            return getattr(_import("array_api_strict"), name)
        return np.dtype(name)

    def array(self, values: Any, dtype: str | None = None) -> Any:
        """An array of NumPy's (or Python's) values; Dask's in two chunks or more where it can."""
        host = np.asarray(values)
        if self is Library.NUMPY:
            return host if dtype is None else host.astype(dtype)
        if self is Library.STRICT:
            strict = _import("array_api_strict")
            return strict.asarray(host.copy(), dtype=None if dtype is None else self.dtype(dtype))
        if self.module == "torch":
            torch = _import("torch")
            device = "cuda" if self is Library.TORCH_CUDA else "cpu"
            result = torch.from_numpy(np.array(host)).to(device)
            return result if dtype is None else result.to(self.dtype(dtype))
        if self is Library.JAX:
            _import("jax").config.update("jax_enable_x64", True)
            jnp = _import("jax.numpy")
            return jnp.asarray(host, dtype=None if dtype is None else self.dtype(dtype))
        host = host if dtype is None else host.astype(dtype)
        if self is Library.CUPY:
            return _import("cupy").asarray(host)
        chunks = tuple(-(-side // 2) if side > 1 else max(side, 1) for side in host.shape)
        return _import("dask.array").from_array(host, chunks=chunks)

    def to_numpy(self, array: Any) -> np.ndarray:
        """The values on the host; bfloat16, which NumPy does not know, as float32."""
        if self.module == "torch":
            array = array.detach().cpu()
            if array.dtype == self.dtype("bfloat16"):
                array = array.float()
            return array.numpy()
        if self is Library.STRICT:
            return np.from_dlpack(array)
        if self is Library.CUPY:
            return array.get()
        if self is Library.JAX and str(array.dtype) == "bfloat16":
            array = array.astype("float32")
        return np.asarray(array)

    def owns(self, array: Any) -> bool:
        """Whether an array is one of this library's, on its device."""
        if self is Library.NUMPY:
            return isinstance(array, np.ndarray | np.generic)
        kind: Any = type(self.array(np.zeros(2)))
        if self.module == "torch":
            device = "cuda" if self is Library.TORCH_CUDA else "cpu"
            return isinstance(array, kind) and array.device.type == device
        return isinstance(array, kind)

    def dtype_name(self, array: Any) -> str:
        return str(array.dtype).rpartition(".")[2]


def _import(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a library says of its own parts on import
        return importlib.import_module(name)


def _cupy_has_device() -> bool:
    try:
        cupy = _import("cupy")
        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:  # noqa: BLE001 - whatever a driver throws, there is no device
        return False
