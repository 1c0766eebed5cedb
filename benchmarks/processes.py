"""What concerns the whole process: threads, the start of Python, memory."""

import ctypes
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from contest import Call, MissingError

Value = TypeVar("Value")

# For libraries that are imported, and processes that are started, from now on.
ONE_THREAD = {
    "ROBLOSS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMEXPR_MAX_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no processes beside this one
}


@contextmanager
def one_thread() -> Iterator[None]:
    """Everybody computes on one thread; libraries are to be imported inside."""
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    try:
        with _one_blas_thread(), _one_torch_thread():
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """For NumPy's BLAS, which is imported before anything can be said to it."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(1):
        yield


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    try:
        import torch
    except ImportError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pools() -> dict[str, int]:
    """The threads of each pool that is loaded, to be seen in the record."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return {}
    return {Path(one["filepath"]).name: one["num_threads"] for one in threadpool_info()}


# ---------------------------------------------------------------------------------------- start-up

# CPU time here as well: nothing waits for the disk the second time, so that on an idle machine it
# is what one waits.
_TIMED = """\
import time
{before}
start = time.process_time()
{code}
print(time.process_time() - start)
"""
FIRST_CALLS = {
    "robloss": "import numpy, robloss; robloss.loss(numpy.ones(10), 0.7)",
    "jax.jit": "import jax; jax.jit(lambda x: (x*x/1.3 + 1)**0.35 - 1)(jax.numpy.ones(10))",
    "torch": "import torch; (torch.ones(10)**2/1.3 + 1)**0.35 - 1",
}


# What is called before and what is timed, in a process of its own.
COMPILED = {
    "import numba": ("", "import numba"),
    "loss, the first call of all": ("", "robloss.loss(x, 0.7)"),
    "influence, after loss": ("robloss.loss(x, 0.7)", "robloss.influence(x, 0.7)"),
    "loss in float32, after float64": ("robloss.loss(x, 0.7)", "robloss.loss(x.astype('f'), 0.7)"),
    "loss, α per element, after a number": ("robloss.loss(x, 0.7)", "robloss.loss(x, 0.7 + 0*x)"),
    "fit_linear, after loss": ("robloss.loss(x, 0.7)", "robloss.fit_linear(X, x)"),
    "fit_linear of float32 X, after float64": (
        "robloss.fit_linear(X, x)", "robloss.fit_linear(X.astype('f'), x)",
    ),
}  # fmt: skip
_DATA = "import numpy, robloss; x = numpy.linspace(-3, 3, 50); X = numpy.stack([x**2, x**3]).T"


def first_in_process(before: str, code: str, *, kept: bool) -> Call:
    """Seconds of a call in a new process, with machine code of an earlier one or without any."""
    timed = _TIMED.format(before=f"{_DATA}; {before}", code=code)
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

    def call() -> float:
        if not kept:
            shutil.rmtree(folder.name, ignore_errors=True)
        return float(_python(timed, NUMBA_CACHE_DIR=folder.name))

    return call


def imported(module: str, before: str) -> Call:
    """Seconds to import a module in a new process in which another is imported already."""
    code = _TIMED.format(before=f"import {before}", code=f"import {module}")
    return lambda: float(_python(code))


def first_call(code: str) -> Call:
    """Seconds of a whole process of Python."""

    def call() -> float:
        start = _seconds_of_children()
        _python(code)
        return _seconds_of_children() - start

    return call


def _seconds_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _python(code: str, **variables: str) -> str:
    # With bytecode, as what pip installs has it: the first of the calls writes what is not there.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= variables
    run = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if run.returncode:
        raise MissingError(run.stderr.strip().splitlines()[-1])
    return run.stdout


# ----------------------------------------------------------------------------------------- threads


def on_threads(call: Call, count: int) -> Call:
    """The call with a number of threads of its own, inside `one_thread`.

    robloss reads the variable again for every large array.
    """
    name = "ROBLOSS_NUM_THREADS"
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count > cpus:
        raise MissingError(f"this process may use {cpus} CPU")

    def again() -> object:
        before = os.environ[name]
        os.environ[name] = str(count)
        try:
            return call()
        finally:
            os.environ[name] = before

    return again


# ------------------------------------------------------------------------------------------ memory


def apart(function: Callable[..., Value], *arguments: object) -> Value:
    """What a function returns, or raises, in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def peak(call: Call) -> int:
    """Bytes by which the memory of this process grows at most during the call.

    The highest resident size as Linux counts it: of every library, not of those alone that tell
    Python's tracemalloc. It is the second call's: what is compiled or cached at the first is not
    counted. The first one's result is kept, and what the allocator holds of freed memory is given
    back, else the second would be handed the place of the first.
    """
    status = Path("/proc/self/status")
    kept = call()
    getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # peak := current
    except OSError as error:
        raise MissingError(f"the peak of memory is not measured here ({error})") from None
    before = _field(status, "VmRSS")
    result = call()
    after = _field(status, "VmHWM")
    del result, kept
    return max(0, after - before)


def _field(status: Path, name: str) -> int:
    lines = status.read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
