"""CUDA's own compiler, NVRTC, through NVIDIA's bindings. It needs no GPU."""

from typing import Any, NamedTuple

from robloss._backends.cuda import Kernel


class Compiled(NamedTuple):
    """What the compiler makes of a kernel: machine code or PTX, and what it says."""

    code: bytes
    log: str


def compiled(kernel: Kernel, target: str, *options: str) -> Compiled:
    """Compile a kernel.

    Parameters
    ----------
    kernel : Kernel
    target : str
        As ``sm_90``, which gives machine code, or ``compute_90``, which gives PTX.
    *options : str
        More of the compiler's own. Without any, subnormal numbers count, as in torch's kernels.

    Raises
    ------
    RuntimeError
        With what the compiler says, if it cannot.
    """
    from cuda.bindings import nvrtc

    program = asked(nvrtc.nvrtcCreateProgram(kernel.source.encode(), b"robloss.cu", 0, [], []))
    try:
        given = [f"--gpu-architecture={target}", "--std=c++17", *options]
        done = nvrtc.nvrtcCompileProgram(program, len(given), [one.encode() for one in given])
        text = _written(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
        log = text.rstrip(b"\0").decode().strip()
        if done[0]:
            raise RuntimeError(log or repr(done[0]))
        is_machine_code = target.startswith("sm_")
        size_of = nvrtc.nvrtcGetCUBINSize if is_machine_code else nvrtc.nvrtcGetPTXSize
        write = nvrtc.nvrtcGetCUBIN if is_machine_code else nvrtc.nvrtcGetPTX
        return Compiled(_written(size_of, write, program), log)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _written(size_of: Any, write: Any, program: Any) -> bytes:
    """What a function of the compiler writes, of a size that another tells."""
    size: int = asked(size_of(program))
    # It writes into this object of Python's, of which there is but one for each single byte: an
    # empty log, one zero byte, would change what that byte is in the whole process.
    room = bytes(size + 2)
    asked(write(program, room))
    return room[:size]


def asked(answer: tuple[Any, ...]) -> Any:
    """What one of the bindings' functions gives, beside the error."""
    error, *found = answer
    if error:
        raise RuntimeError(repr(error))
    return found[0] if found else None
