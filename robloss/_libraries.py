"""Array libraries: which one an array comes from, its dtype, and data frames as NumPy arrays."""

import numbers
import sys
from functools import cache
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from robloss._typing import Array


@cache
def numpy_namespace() -> Any:
    """NumPy's array-API namespace."""
    return array_api_compat.array_namespace(np.empty(0))


def torch_namespace() -> Any:
    """torch's, which must be loaded."""
    # Compilers of torch follow this, but neither `import_module` nor, without a warning, a cache.
    import array_api_compat.torch as module

    return module


def is_number(value: object) -> bool:
    """Tell whether a value is a plain real number: weak in type promotion, as in NumPy 2."""
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.generic))


def library_of(array: Array) -> str | None:
    """Name the library of an array; None where it is not an array of any known kind."""
    if isinstance(array, (np.ndarray, np.generic)):
        return "numpy"
    if not array_api_compat.is_array_api_obj(array):
        return None
    module: str = array_api_compat.array_namespace(array).__name__
    return module.removeprefix("array_api_compat.").partition(".")[0]


def is_single(eps: float) -> bool:
    """Whether a resolution is that of float32, 1.2e-7, and not that of float64, 2.2e-16."""
    return eps > 1e-10


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor; torch is not imported to tell."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def has_autocast(device: Any) -> bool:
    """Whether torch has autocast on a device; on meta it has not, and raises when asked."""
    kind: str = device.type
    return kind != "meta"


def _numpy_takes(name: str, value: Any) -> str:
    """NumPy, for what it makes an array of; but of a sparse or lazy one it makes one object."""
    if hasattr(value, "toarray"):
        raise TypeError(
            f"`{name}` must be a dense array, but got {type(value).__name__}. "
            f"Convert it first, e.g. {name}.toarray()."
        )
    if hasattr(value, "collect") and not hasattr(value, "__array__"):
        raise TypeError(
            f"`{name}` must be a data frame in memory, but got {type(value).__name__}. "
            f"Collect it first, e.g. {name}.collect()."
        )
    return "numpy"


def common_library(named: dict[str, Any]) -> tuple[str, Any]:
    """Find the one library that all given arrays come from.

    Parameters
    ----------
    named : dict
        Arrays and numbers by the name of the argument. Lists and other things that NumPy makes an
        array of count as NumPy's; NumPy's own scalars go with any library.

    Returns
    -------
    library : str
    xp : namespace

    Raises
    ------
    TypeError
        If two arguments come from different libraries, or one is a masked or sparse array, or a
        lazy data frame.
    """
    owners: dict[str, str] = {}
    example: Any = None
    for name, value in named.items():
        if is_number(value) or isinstance(value, np.generic):
            continue
        if isinstance(value, bool):
            raise TypeError(
                f"`{name}` must have a real dtype of at most 64 bits, but got bool. "
                f"Convert it first, e.g. float({name})."
            )
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(
                f"`{name}` must be an array without a mask, but got a masked array. "
                "Its mask would be lost: select the rows to use first."
            )
        library = library_of(value) or _numpy_takes(name, value)
        if library not in owners:
            owners[library] = name
            example = value
    if len(owners) > 1:
        (one, first), (other, second) = list(owners.items())[:2]
        raise TypeError(
            f"`{first}` and `{second}` must come from one array library, but got {one} and "
            f"{other}. Convert one of them first."
        )
    library = next(iter(owners), "numpy")
    if library == "numpy":
        return library, numpy_namespace()
    return library, array_api_compat.array_namespace(example)


def _labels(table: Any) -> Any:
    """What a data frame finds its columns by; None for an array."""
    labels = getattr(table, "column_names", None)  # of a table of Arrow, whose `columns` are arrays
    return getattr(table, "columns", None) if labels is None else labels


def column_names(table: Any) -> list[str] | None:
    """Names of the columns of a data frame of any library; None for an array."""
    labels = _labels(table)
    return None if labels is None else [str(label) for label in labels]


def series_name(column: Any) -> str | None:
    """Name of a series of any library; None for an array: what has its name may be another."""
    name = None if library_of(column) else getattr(column, "name", None)
    return None if name is None else str(name) or None  # Polars has the empty name for none


def as_numpy(name: str, table: Any) -> NDArray[Any]:
    """What NumPy makes of a list, an array or a data frame, whose columns may differ in dtype.

    Raises
    ------
    TypeError
        If a column of a data frame does not hold numbers.
    """
    array, labels = np.asarray(table), _labels(table)
    if labels is None or array.dtype.kind in "biuf":
        return array
    columns = {label: np.asarray(table[label]) for label in labels}
    for column, values in columns.items():
        if values.dtype.kind not in "biuf":
            raise TypeError(
                f"`{name}` must have columns of numbers, but got {values.dtype} in {column!r}. "
                "Drop it, or code it in numbers."
            )
    return np.column_stack([*columns.values()])


def real_dtype(name: str, array: Array, xp: Any) -> Any:
    """Name the floating dtype an array stands for: its own, or the default for integers.

    Raises
    ------
    TypeError
        If the array is boolean, complex, of objects, or wider than 64 bits.
    """
    if xp.isdtype(array.dtype, "integral"):
        return xp.__array_namespace_info__().default_dtypes()["real floating"]
    if not xp.isdtype(array.dtype, "real floating") or xp.finfo(array.dtype).bits > 64:
        # NumPy would drop the imaginary part; torch has no such method.
        is_simple = hasattr(array, "astype") and not xp.isdtype(array.dtype, "complex floating")
        how = f", e.g. {name}.astype(float)" if is_simple else ""
        raise TypeError(
            f"`{name}` must have a real dtype of at most 64 bits, but got {array.dtype}. "
            f"Convert it first{how}."
        )
    return array.dtype


def compute_dtype(xp: Any, dtype: Any) -> Any:
    """The dtype to compute in, in the byte order here: float32 for narrower floats."""
    # Libraries do not promote floats of 8 bits.
    return xp.result_type(xp.float32 if xp.finfo(dtype).bits < 32 else dtype, xp.float32)
