"""torch tensors on a CUDA device: the CUDA kernels, started on torch's current stream.

NVIDIA's own bindings, which torch's packages for CUDA bring along, compile and start them. No value
of a tensor is looked at on the host, and all memory is torch's: calls may be recorded in a graph of
CUDA's, once their kernels are built.
"""

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch

from robloss._args import Arguments
from robloss._backends.cuda import STORED, Kernel, launch, layouts, serves, telling
from robloss._backends.cuda.compiler import asked, compiled

_PARTIALS = ("influence", "grad_alpha", "grad_scale")
_building = threading.Lock()
_kernels: dict[tuple[Kernel, int], Any] = {}


class Card:
    """How kernels see torch's tensors on one device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def pointer(self, array: torch.Tensor) -> int:
        """Where a tensor begins."""
        return int(array.data_ptr())

    def strides(self, array: torch.Tensor) -> tuple[int, ...]:
        """Its strides, in bytes."""
        return tuple([step * array.itemsize for step in array.stride()])

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """A new tensor on the device."""
        return torch.empty(shape, dtype=dtype, device=self.device)

    def start(self, kernel: Kernel, blocks: int, arguments: tuple[Any, ...]) -> bool:
        """Start a kernel on the current stream; False where it cannot be built."""
        built = _built(kernel, self.device.index)
        if built is None:
            return False
        stream = torch.cuda.current_stream(self.device).cuda_stream
        _start(built, self.device.index, blocks, stream, arguments)
        return True


@cache
def card_of(device: torch.device) -> Card | None:
    """How kernels see tensors there; None where they are not CUDA's."""
    is_served = device.type == "cuda" and torch.version.cuda is not None
    return Card(device) if is_served else None


def values(
    names: tuple[str, ...], dtype: torch.dtype, given: Sequence[torch.Tensor | float]
) -> tuple[torch.Tensor, ...] | None:
    """Values of operations, laid out like x where they have its shape; None without a kernel."""
    tensors = [one for one in given if not isinstance(one, float)]
    card = _card(tensors)
    if card is None or not serves(names):
        return None
    stored = _stored(dtype, tensors)
    shape = torch.broadcast_shapes(*[one.shape for one in tensors])
    order = _memory_order(given[0], shape)
    inputs = tuple([one if isinstance(one, float) else _seen(one, shape, order) for one in given])
    found = launch.evaluate(names, Arguments("torch", xp, inputs, stored, stored), card)
    if found is None:
        return None
    results = tuple([one.to(dtype) for one in found])
    if order is None:
        return results
    back = [order.index(axis) for axis in range(len(order))]
    # Not views, in which torch refuses to write: on the same memory.
    return tuple([one.new_empty(0).set_(one.permute(back)) for one in results])


def bends(z: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor] | None:
    """∂ψ/∂α and ∂²ρ/∂α² at scale 1; None where no kernel computes them."""
    card = card_of(z.device)
    return None if card is None else launch.bends(z, alpha, card)


def _seen(tensor: torch.Tensor, shape: Any, order: list[int] | None) -> torch.Tensor:
    """The tensor, with its axes in the order of memory."""
    # Of an imaginary part torch may have noted only the sign, unless its operators were passed.
    tensor = tensor.detach().resolve_neg()
    if order is None or not tensor.ndim:
        return tensor
    return tensor.expand(shape).permute(order)


def gradients(
    name: str,
    dtype: torch.dtype,
    needed: list[bool],
    grad: torch.Tensor,
    inputs: list[torch.Tensor],
) -> list[torch.Tensor | None] | None:
    """Gradients of Σ g ρ in one pass; None where alpha or scale is more than one per column."""
    card = _card(inputs)
    if card is None or not any(needed):
        return None
    if grad.device != inputs[0].device or grad.shape != inputs[0].shape:
        return None
    if not grad.numel() or not (layouts.are_numbers(*inputs) or layouts.are_columns(*inputs)):
        return None
    dtype = _stored(dtype, inputs)
    x, alpha, scale = [_dense(one, dtype) for one in inputs]
    is_constant = not any(grad.stride())
    above = grad.detach().to(dtype) if is_constant else _dense(grad, dtype)
    names = tuple([one for one, need in zip(_PARTIALS, needed, strict=True) if need])
    arguments = Arguments("torch", xp, (x, alpha, scale), dtype, dtype)
    is_smooth = name == "smooth_loss"
    found = launch.pullback(above, arguments, names, is_constant, is_smooth, card)
    if found is None:
        return None
    results: dict[str, Any] = {"influence": found.in_x}
    if found.partial is not None:
        results |= zip(names[found.in_x is not None :], found.partial.sum(dim=1), strict=True)
    return [
        # A copy: results of an operator are no views of each other.
        _of_shape(results[partial], one).to(one.dtype, copy=partial != "influence")
        if need
        else None
        for partial, one, need in zip(_PARTIALS, inputs, needed, strict=True)
    ]


def _of_shape(gradient: torch.Tensor, one: torch.Tensor) -> torch.Tensor:
    """The gradient in an argument, summed over columns where that is one number for all."""
    alike = gradient.numel() == one.numel()
    return (gradient if alike else gradient.sum()).reshape(one.shape)


def _card(inputs: list[torch.Tensor]) -> Any:
    device = inputs[0].device
    return card_of(device) if all(one.device == device for one in inputs) else None


def _stored(dtype: torch.dtype, inputs: list[torch.Tensor]) -> torch.dtype:
    """The dtype that kernels are made for."""
    if dtype == torch.float16 and any(one.dtype != dtype for one in inputs):
        return torch.float32  # a number of the host comes in it, and may be none of float16
    return dtype if str(dtype).rpartition(".")[2] in STORED else torch.float32


def _dense(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The tensor, or a copy, without gaps and from where packs can be loaded."""
    tensor = tensor.detach().to(dtype).contiguous()
    return tensor if tensor.data_ptr() % launch.PACK == 0 else tensor.clone()


def _memory_order(x: torch.Tensor | float, shape: Any) -> list[int] | None:
    """The axes as `torch.empty_like` of x lays them out, outermost first; None for C's order."""
    if isinstance(x, float) or x.is_contiguous() or x.shape != shape:
        return None
    steps = torch.empty_like(x, device="meta").stride()
    return sorted(range(len(shape)), key=lambda axis: (-steps[axis], axis))


# ------------------------------------------------------------------------------ NVIDIA's bindings


def _built(kernel: Kernel, device: int) -> Any:
    """A kernel that can be started; None where it cannot be built, once and for all."""
    place = kernel, device
    if place not in _kernels:
        with _building:
            if place not in _kernels:
                _kernels[place] = _build(kernel, device)
    return _kernels[place]


def _build(kernel: Kernel, device: int) -> Any:
    if torch.cuda.is_current_stream_capturing():
        # Loading a kernel would spoil the graph, and what failed now would be given up for good.
        raise RuntimeError(
            "CUDA kernels of robloss must be built before a graph is captured, but got "
            f"{kernel.name!r} in one. Run the step once before, as torch asks for its own kernels."
        )
    try:
        major, minor = torch.cuda.get_device_capability(device)
        return _loaded(compiled(kernel, f"sm_{major}{minor}").code, kernel, device)
    except Exception as error:  # noqa: BLE001 - bindings, compiler and driver raise what they like
        telling.warn(f"{type(error).__name__}: {error}", "torch")
        return None


def _loaded(code: bytes, kernel: Kernel, device: int) -> Any:
    from cuda.bindings import driver

    asked(driver.cuCtxPushCurrent(_context(device)))
    try:
        module = asked(driver.cuModuleLoadData(code))
        return asked(driver.cuModuleGetFunction(module, kernel.name.encode()))
    finally:
        asked(driver.cuCtxPopCurrent())


@cache
def _context(device: int) -> Any:
    """torch's own context of a device: a thread that has not used it may have none."""
    from cuda.bindings import driver

    torch.cuda.init()
    return asked(driver.cuDevicePrimaryCtxRetain(asked(driver.cuDeviceGet(device))))


def _start(built: Any, device: int, blocks: int, stream: int, arguments: tuple[Any, ...]) -> None:
    """Start a kernel; its arguments are copied before this returns."""
    from cuda.bindings import driver

    held = [np.array(one, "i8") if isinstance(one, int) else one for one in arguments]
    addresses = np.array([one.ctypes.data for one in held], "u8")
    asked(driver.cuCtxPushCurrent(_context(device)))
    try:
        sides = blocks, 1, 1, launch.THREADS, 1, 1
        asked(driver.cuLaunchKernel(built, *sides, 0, stream, addresses.ctypes.data, 0))
    finally:
        asked(driver.cuCtxPopCurrent())
