"""Friendly to exact: arguments in one library and dtype, what is legal, and the error sentences."""

import math
import sys
from typing import Any, NamedTuple

import numpy as np

from robloss._domains import Domain
from robloss._libraries import (
    common_library,
    compute_dtype,
    is_number,
    numpy_namespace,
    real_dtype,
    torch_namespace,
)


class Arguments(NamedTuple):
    """Arguments of an operation, checked.

    Attributes
    ----------
    library : str
        The array library, by the name that `robloss._backends` knows.
    xp : namespace
        Its array-API namespace.
    given : tuple
        One array or float per parameter, in their own dtypes.
    compute, dtype : dtype
        What to compute in, and what to return: they differ for 16-bit floats.
    """

    library: str
    xp: Any
    given: tuple[Any, ...]
    compute: Any
    dtype: Any


def values_of(arguments: Arguments) -> tuple[Any, ...]:
    """The arguments in the dtype to compute in."""
    astype, dtype = arguments.xp.astype, arguments.compute
    return tuple(
        [
            value if isinstance(value, float) else astype(value, dtype, copy=False)
            for value in arguments.given
        ]
    )


def as_float(name: str, value: Any) -> float:
    """A real number as float.

    Raises
    ------
    ValueError
        If it is too large for one, as whole numbers of Python may be.
    """
    try:
        return float(value)
    except OverflowError:
        raise ValueError(
            f"`{name}` must lie in the range of float64, but got a number beyond it. "
            "Floats go up to 1.8e308; pass a smaller number."
        ) from None


_ENDS = (np.fmin, np.fmax)


def check_values(domain: Domain, value: Any) -> None:
    """Refuse a number or NumPy array that leaves a domain; NaN passes, to become NaN.

    Raises
    ------
    ValueError
        With the first offender and its index.
    """
    if isinstance(value, float) or not value.ndim:
        offender, where = float(value), ""
        if offender in domain:
            return
    else:
        # A domain is an interval, and these ignore NaN: no array of decisions is made.
        if not value.size or all(float(end.reduce(value, None)) in domain for end in _ENDS):
            return
        legal = (value >= domain.low) & (value <= domain.high)
        if not domain.closed:
            legal &= value != domain.low
            legal &= (value != domain.high) | domain.with_high
        offenders = np.argwhere(~(legal | np.isnan(value)))
        if not offenders.size:  # an end of the domain, as a narrower dtype rounds it
            return
        index = tuple(int(i) for i in offenders[0])
        offender, where = float(value[index]), f" at index {index}"
    raise ValueError(
        f"`{domain.name}` must lie in {domain}, but got {offender!r}{where}. {domain.remedy}"
    )


def as_number(name: str, value: Any, kind: str = "a number") -> float:
    """Take a Python number, NumPy scalar or 0-d array as float.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For a number too large for a float.
    """
    is_scalar = getattr(value, "ndim", None) == 0 and not isinstance(value, np.bool_)
    if not (is_number(value) or is_scalar):
        raise TypeError(f"`{name}` must be {kind}, but got {value!r}. Pass one number.")
    return as_float(name, value)


def number_in(domain: Domain, value: Any, kind: str = "a number") -> float:
    """Take a number of a domain, where NaN would be of no use, as float.

    Raises
    ------
    TypeError, ValueError
    """
    number = as_number(domain.name, value, kind)
    if math.isnan(number):
        raise ValueError(f"`{domain.name}` must lie in {domain}, but got nan. Give a number.")
    check_values(domain, number)
    return number


def _check_shapes(domains: tuple[Domain, ...], values: tuple[Any, ...]) -> None:
    shapes = [() if isinstance(value, float) else tuple(value.shape) for value in values]
    if _go_together(shapes):
        return
    if any(isinstance(side, float) for shape in shapes for side in shape):
        return  # a Dask array may not know its shape
    listed = ", ".join(
        f"`{domain.name}` {shape}" for domain, shape in zip(domains, shapes, strict=True)
    )
    raise ValueError(
        f"Arguments must have shapes that broadcast together, but got {listed}. "
        "Add axes of length 1 where they should be paired."
    )


def _go_together(shapes: list[tuple[int, ...]]) -> bool:
    """Whether shapes broadcast; as NumPy tells by an error, which compilers of torch cannot.

    Side by side from the last: == of whole shapes would compare sides of different axes, and bind
    what a compiler keeps open, the length of a batch, to what it happened to meet.
    """
    for place in range(1, 1 + max([len(shape) for shape in shapes])):
        common = 1
        for shape in shapes:
            side = shape[-place] if len(shape) >= place else 1
            if common == 1:
                common = side
            elif side != 1 and side != common:
                return False
    return True


def _on_one_device(domains: tuple[Domain, ...], arguments: Arguments) -> Arguments:
    """The tensors on one device: those without axes may come from the CPU, as in torch's own sums.

    Raises
    ------
    ValueError
        For tensors on several devices.
    """
    all_devices = [one.device for one in arguments.given if type(one) is not float]
    if all_devices[1:] == all_devices[:-1]:
        return arguments
    devices = {
        domain.name: one.device
        for domain, one in zip(domains, arguments.given, strict=True)
        if not isinstance(one, float) and (one.ndim or one.device.type != "cpu")
    }
    name, device = next(iter(devices.items()))
    for other, its in devices.items():
        if its != device:
            raise ValueError(
                f"`{name}` and `{other}` must be on one device, but got {device} and {its}. "
                f"Move one of them first, e.g. {other}.to({name}.device)."
            )
    moved = [one if isinstance(one, float) else one.to(device) for one in arguments.given]
    return Arguments(*arguments[:2], tuple(moved), *arguments[3:])


# Elements that kernels need less time for than Python does to look at the arguments.
SMALL = 1024
_NUMBERS = frozenset({float, int})
_LARGEST = sys.float_info.max  # of what becomes a float
_FLOAT64 = np.dtype(np.float64)
# The dtypes that kernels compute in, in the machine's byte order.
_PLAIN = {dtype: dtype for dtype in (np.dtype(np.float32), _FLOAT64)}


# Bits of `ndarray.flags.num`: C-contiguous, aligned, writeable. The last of the mask is of arrays
# from `numpy.broadcast_arrays`, which warn whoever asks for the flag by its name.
WRITEABLE = 0x400
_CARRAY = 0x1 | 0x100 | WRITEABLE
_CARRAY_MASK = _CARRAY | 0x80000000


def is_dense(array: Any) -> bool:
    """Whether a NumPy array lies in memory as kernels need it: C-contiguous, aligned, writeable."""
    dense: bool = array.flags.num & _CARRAY_MASK == _CARRAY
    return dense


def is_small_and_plain(given: tuple[Any, ...], out: Any = None) -> bool:
    """Whether x, alpha and scale are a small dense array and two legal numbers of Python.

    And `out` is None or an array just like x. Nothing is then to be converted or checked, which
    would take longer than the work itself.
    """
    if len(given) != 3:
        return False
    x, alpha, scale = given
    return (
        type(x) is np.ndarray
        and (type(alpha) is float or (type(alpha) is int and abs(alpha) <= _LARGEST))
        and type(scale) in _NUMBERS
        and 0.0 < scale <= _LARGEST
        and x.dtype in _PLAIN
        and x.ndim > 0
        and x.size <= SMALL
        and is_dense(x)
        and (out is None or _is_its_like(out, x))
    )


def _is_its_like(out: Any, x: Any) -> bool:
    """Whether `out` is x itself, or a dense array of its dtype and shape in other memory."""
    return out is x or (
        type(out) is np.ndarray
        and out.dtype == x.dtype
        and out.shape == x.shape
        and is_dense(out)
        and not np.may_share_memory(out, x)
    )


def _plain(domains: tuple[Domain, ...], given: tuple[Any, ...]) -> Arguments | None:
    """Arguments that need no conversion, the common case: NumPy arrays of one dtype, and numbers.

    It spares small arrays what costs more than the work on them; None where `_converted` is needed.
    """
    dtype = None
    values = []
    for domain, value in zip(domains, given, strict=True):
        kind = type(value)
        if kind is np.ndarray:
            its = _PLAIN.get(value.dtype)
            if its is None or (dtype is not None and its is not dtype):
                return None
            dtype = its
        elif kind is int:
            value = as_float(domain.name, value)
        elif kind is not float:
            return None
        values.append(value)
    dtype = dtype or _FLOAT64
    return Arguments("numpy", numpy_namespace(), tuple(values), dtype, dtype)


def _tensors(domains: tuple[Domain, ...], given: tuple[Any, ...]) -> Arguments | None:
    """Arguments that are torch tensors of floating dtypes, and numbers; None for any others.

    It spares small tensors what costs more than the work on them, and compilers of torch the sight
    of it.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    floats = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    dtype = None
    values = []
    for domain, value in zip(domains, given, strict=True):
        if isinstance(value, torch.Tensor):
            its = value.dtype
            if its not in floats:
                return None
            dtype = its if dtype in (None, its) else torch.promote_types(dtype, its)
        elif isinstance(value, (float, int)) and not isinstance(value, bool):
            value = as_float(domain.name, value)
        else:
            return None
        values.append(value)
    if dtype is None:
        return None
    compute = dtype if dtype in floats[:2] else torch.float32
    return Arguments("torch", torch_namespace(), tuple(values), compute, dtype)


def _converted(names: tuple[str, ...], given: tuple[Any, ...]) -> Arguments:
    """Find the library and floating dtype of any arguments."""
    library, xp = common_library(dict(zip(names, given, strict=True)))
    on_host = library == "numpy"
    values: list[Any] = []
    dtypes: list[Any] = []
    weak: list[Any] = []  # of what JAX makes of Python's numbers, for example under jit
    for name, value in zip(names, given, strict=True):
        if is_number(value) or (not on_host and isinstance(value, np.generic)):
            values.append(as_float(name, value))
        else:
            array = np.asarray(value) if on_host and not isinstance(value, np.generic) else value
            kind = weak if getattr(array, "weak_type", False) else dtypes
            kind.append(real_dtype(name, array, xp))
            values.append(array)
    dtypes = dtypes or weak
    dtype = xp.result_type(*dtypes) if dtypes else xp.float64
    return Arguments(library, xp, tuple(values), compute_dtype(xp, dtype), dtype)


def prepare(domains: tuple[Domain, ...], given: tuple[Any, ...], check: bool = True) -> Arguments:
    """Bring an operation's arguments to one library and floating dtype, and check them.

    Values are checked where that makes no host wait for a device: Python numbers and NumPy arrays.
    In arrays of other libraries an illegal value becomes NaN in the result.

    Parameters
    ----------
    domains : tuple of Domain
        One per argument.
    given : tuple
        What the user passed.
    check : bool, default True
        Whether to check values.

    Returns
    -------
    Arguments

    Raises
    ------
    TypeError
        For arrays of several libraries, or without a real dtype.
    ValueError
        For a value outside its domain, or beyond the range of floats; shapes that do not broadcast;
        or tensors on several devices.
    """
    arguments = _plain(domains, given) or _tensors(domains, given)
    if arguments is None:
        arguments = _converted(tuple(domain.name for domain in domains), given)
    on_host = arguments.library == "numpy"
    arrays = 0
    for domain, value in zip(domains, arguments.given, strict=True):
        is_float = isinstance(value, float)
        arrays += not is_float
        if check and not domain.is_everything and (on_host or is_float):
            check_values(domain, value)
    if arrays > 1:
        is_torch = arguments.library == "torch"
        # `torch.jit.trace` has tensors for sides, not to be compared; torch refuses them itself.
        if not (is_torch and sys.modules["torch"].jit.is_tracing()):
            _check_shapes(domains, arguments.given)
        if is_torch:
            return _on_one_device(domains, arguments)
    return arguments
