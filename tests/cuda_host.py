"""The CUDA kernels, compiled for the processor: all of them but what only a GPU does.

It is the same source in the same arithmetic, up to the last digit of exp, log and pow, which are
the C library's here and CUDA's there. Divisions of float32 are exact here.
"""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from robloss._backends.cuda import Kernel

HEADERS = Path(__file__).parent / "host_headers"
FLAGS = ("-std=c++17", "-O1", "-march=native", "-ffp-contract=off", "-shared", "-fPIC", "-w")

missing = "" if shutil.which("g++") else "no C++ compiler (g++) on this machine"


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="robloss-cuda-")


@functools.cache
def library(kernel: Kernel) -> Any:
    """A kernel as a shared library of one function, `run`."""
    lines = ['#include "host.hpp"', kernel.source, f'#include "{kernel.name}.hpp"', ""]
    file = Path(_folder().name) / f"{abs(hash(kernel))}.cpp"
    file.write_text("\n".join(lines), encoding="utf-8")
    built = file.with_suffix(".so")
    command = ["g++", *FLAGS, f"-I{HEADERS}", str(file), "-o", str(built)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(built))


class Host:
    """Sees NumPy's arrays as `launch` wants it, and notes which kernels it starts."""

    def __init__(self) -> None:
        self.started: list[Kernel] = []

    def pointer(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def strides(self, array: np.ndarray) -> tuple[int, ...]:
        return array.strides

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.empty(shape, dtype)

    def start(self, kernel: Kernel, blocks: int, arguments: tuple[Any, ...]) -> bool:
        self.started.append(kernel)
        given = [
            ctypes.c_longlong(one) if isinstance(one, int) else ctypes.c_void_p(one.ctypes.data)
            for one in arguments
        ]
        library(kernel).run(blocks, 256, *given)
        return True


def on_paper(monkeypatch: Any, started: list[Kernel]) -> None:
    """Let torch's tensors of the CPU pass for such of a GPU; note which kernels are started."""
    import torch

    import robloss

    robloss.loss(torch.ones(1), 1.0)  # the operators come with the first call
    from robloss._backends import torch as backend
    from robloss._backends import torch_cuda, torch_operators

    class Paper(torch_cuda.Card):
        def start(self, kernel: Kernel, blocks: int, arguments: tuple[Any, ...]) -> bool:
            started.append(kernel)
            return Host().start(kernel, blocks, arguments)

    def card_of(device: Any) -> Any:
        return Paper(device) if device.type == "cpu" else None  # and not "meta"

    monkeypatch.setattr(torch_cuda, "card_of", card_of)
    monkeypatch.setattr(torch_operators, "on_host", lambda tensors: False)
    monkeypatch.setattr(backend, "_are_plain", lambda inputs: False)
