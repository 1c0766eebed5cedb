"""Measure the speed of robloss on a GPU beside a copy there and beside what users have today.

Everything is written to docs/performance-gpu.json, from which docs/performance_gpu.py makes the
page. Needs CuPy and a CUDA GPU; of torch it takes what it finds.

    python benchmarks/gpu.py [--output FILE]
    python benchmarks/gpu.py --quick             to see that it runs, written nowhere

As on a processor (contest.py says why) everybody computes the same values first, then all run in
turn, each right after a copy of the same array. The clock is the device's own: events before and
after a call. Copies that are queued before keep the device busy while Python prepares the call, so
that what is measured is the device's work and not the wait for it.
"""

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import contest
import gpu_steps
import numpy as np
import record
from contest import Call, Contest, MissingError, Result
from contestants import PLAIN, SAMPLE, Task, elementwise_check, plain_loss, same
from gpu_steps import on_host
from peers import reference_loss

import robloss
from robloss._args import prepare
from robloss._backends import generic
from robloss._ops import OPERATIONS

RECORD = Path(__file__).parents[1] / "docs" / "performance-gpu.json"
PACKAGES = ("robloss", "numpy", "cupy-cuda12x", "cupy-cuda13x", "torch", "triton")
FIELDS = (
    "table", "what", "dtype", "alpha", "n", "traffic", "who", "rounds", "seconds", "copies", "ours",
)  # fmt: skip

DTYPES = ("float32", "float64")
SCALE = 1.3
ALPHA = 0.7
SPECIAL = (2.0, 0.0, -2.0, -np.inf)
TOGETHER = ("loss", "influence", "weight")
SUMMED = ("loss", "grad_alpha", "grad_scale")
ELEMENTWISE = tuple(name for name, row in OPERATIONS.items() if row.kernel == "elementwise")
COPIES_AHEAD = 3  # some 0.6 ms at 10⁸ float32 on an H200: ten times what a call takes Python
SEED = 0
FITS = 3  # rounds

OURS = gpu_steps.OURS
NOTES = {
    OURS: "the CUDA kernels, on CuPy arrays, into new ones.",
    "generic path": "the same formula operation by operation with CuPy's own functions: what "
    "robloss does where a kernel cannot be built.",
    "torch.compile": "`torch.compile` of the article's formula, which loses digits.",
    "reference formula": "the formula of robust_loss_pytorch written out in torch.",
    gpu_steps.ON_TWO_CORES: "the fit of NumPy arrays, on two threads of this machine.",
}


# ------------------------------------------------------------------------------------ contestants


@dataclass(frozen=True)
class Job:
    """What is computed: operations of an array on the device, and a number or array for alpha."""

    cp: Any
    outputs: tuple[str, ...]
    x: Any
    alpha: Any

    @property
    def arguments(self) -> Any:
        """What the backends take."""
        return prepare(OPERATIONS["loss"].parameters, (self.x, self.alpha, SCALE))


Way = Callable[[Job], Call]


def ours(job: Job) -> Call:
    return lambda: robloss.evaluate(job.x, job.alpha, SCALE, outputs=job.outputs)


def generic_path(job: Job) -> Call:
    arguments = job.arguments
    return lambda: tuple([generic.evaluate(OPERATIONS[name], arguments) for name in job.outputs])


def summed(job: Job) -> Call:
    from robloss._backends.cupy import total

    arguments = job.arguments
    return lambda: total(job.outputs, arguments)


def summed_after(job: Job) -> Call:
    call = ours(job)
    return lambda: job.cp.stack([one.sum(dtype=job.cp.float64) for one in call()])


def _torch(job: Job, loss: Callable[..., Any]) -> Call:
    import torch

    if not torch.cuda.is_available():
        raise MissingError("torch finds no GPU")
    x = torch.from_dlpack(job.x)
    alpha = job.alpha if isinstance(job.alpha, float) else torch.from_dlpack(job.alpha)
    return lambda: loss(x, alpha, SCALE)


def torch_compiled(job: Job) -> Call:
    import torch

    return _torch(job, torch.compile(lambda *given: plain_loss(torch, *given)))


def torch_reference(job: Job) -> Call:
    import torch

    def number(value: Any) -> Any:
        return torch.as_tensor(value, dtype=getattr(torch, job.x.dtype.name), device="cuda")

    scale = number(SCALE)
    alpha = number(job.alpha) if isinstance(job.alpha, float) else None
    return _torch(
        job, lambda x, given, _: reference_loss(x, given if alpha is None else alpha, scale)
    )


FUSED_OR_NOT: dict[str, Way] = {OURS: ours, "generic path": generic_path}
OF_THE_LOSS = FUSED_OR_NOT | {"torch.compile": torch_compiled, "reference formula": torch_reference}
OF_SUMS: dict[str, Way] = {OURS: summed, "arrays, then sums": summed_after}


# --------------------------------------------------------------------------------------- contests


@dataclass(frozen=True)
class Plan:
    """A contest without its arrays; alpha is None where it is one per element."""

    table: str
    outputs: tuple[str, ...]
    dtype: str
    alpha: float | None
    ways: dict[str, Way]

    @property
    def about(self) -> dict:
        """What stands in its rows; `traffic` is what must be moved, in copies of the array."""
        written = 0 if self.table == "sums" else len(self.outputs)
        return {
            "table": self.table,
            "what": " + ".join(self.outputs),
            "dtype": self.dtype,
            "alpha": "array" if self.alpha is None else f"{self.alpha:g}",
            "traffic": (1 + (self.alpha is None) + written) / 2,
        }


def plans() -> Iterator[Plan]:
    """All of them."""
    for dtype in DTYPES:
        for alpha in (ALPHA, *SPECIAL, None):
            yield Plan("loss", ("loss",), dtype, alpha, OF_THE_LOSS)
        for outputs in (TOGETHER, ELEMENTWISE):
            yield Plan("set", outputs, dtype, ALPHA, FUSED_OR_NOT)
        for name in ELEMENTWISE[1:]:
            yield Plan("operation", (name,), dtype, ALPHA, FUSED_OR_NOT)
        yield Plan("sums", SUMMED, dtype, ALPHA, OF_SUMS)


def device_clock(cp: Any, ahead: Call) -> Callable[[Call, int], float]:
    """Seconds between two events on the current stream, the device busy before the first."""

    def measure(call: Call, times: int) -> float:
        start, stop = cp.cuda.Event(), cp.cuda.Event()
        for _ in range(COPIES_AHEAD):
            ahead()
        start.record()
        for _ in range(times):
            call()
        stop.record()
        stop.synchronize()
        return cp.cuda.get_elapsed_time(start, stop) / 1e3 / times

    return measure


def residuals(cp: Any, n: int, dtype: str) -> Any:
    """Cauchy's, so that all branches are taken."""
    rng = cp.random.default_rng(SEED)
    return (SCALE * rng.standard_normal(n) / rng.standard_normal(n)).astype(dtype)


def checked(job: Job, plan: Plan) -> Callable[[Any], None]:
    """Compare with the article's formula: sums of all elements, or some elements of arrays."""
    if plan.table == "sums":
        terms = [PLAIN[name](job.cp, job.x.astype("f8"), job.alpha, SCALE) for name in job.outputs]
        sums = [float(term.sum()) for term in terms]
        ones = (1.0,) * len(sums)
        return lambda value: same(tuple(on_host(value) / sums), ones, plan.dtype)
    some = slice(None, None, max(job.x.size // SAMPLE, 1))
    alpha = job.alpha if plan.alpha is not None else job.alpha[some].get()
    check = elementwise_check(Task(job.outputs, job.x[some].get(), alpha, SCALE))

    def check_some(value: Any) -> None:
        arrays = value if isinstance(value, tuple) else (value,)
        check(tuple(on_host(array[some]) for array in arrays))

    return check_some


def made(cp: Any, plan: Plan, x: Any) -> Contest:
    """A contest on an array."""
    alpha = plan.alpha
    if alpha is None:
        alpha = cp.random.default_rng(SEED).uniform(-3, 1.9, x.size).astype(x.dtype)
    job, target = Job(cp, plan.outputs, x, alpha), cp.empty_like(x)

    def copy() -> None:
        target.data.copy_from_device_async(x.data, x.nbytes)

    contest.CLOCKS["device"] = device_clock(cp, copy)
    wait = cp.cuda.runtime.deviceSynchronize
    contestants = tuple(
        gpu_steps.entering(name, partial(way, job), wait) for name, way in plan.ways.items()
    )
    about = plan.about | {"n": x.size}
    return Contest(about, contestants, checked(job, plan), copy, clock="device")


def measure(cp: Any, n: int, rounds: int) -> Result:
    """All contests, one after the other."""
    total = Result()
    x = None
    for plan in plans():
        if x is None or x.dtype != plan.dtype:
            x = residuals(cp, n, plan.dtype)
        start = time.perf_counter()
        found = contest.run(made(cp, plan, x), rounds, least=0.0)
        medians = ", ".join(f"{row['who']} {row['seconds'][1] * 1e3:.3f}" for row in found.rows)
        named = " ".join(map(str, plan.about.values()))
        print(f"{named}: {medians} ms [{time.perf_counter() - start:.0f} s]", flush=True)
        total.rows += found.rows
        total.missing += found.missing
        cp.get_default_memory_pool().free_all_blocks()
    return total


def steps(cp: Any, n: int, rounds: int) -> Result:
    """A step of learning in torch, and fits, which take part in few rounds."""
    total = Result()
    try:
        for one in gpu_steps.contests(cp, partial(device_clock, cp), n):
            found = contest.run(one, rounds if one.clock == "device" else FITS, least=0.0)
            for row in found.rows:
                print(f"{row['what']}, {row['dtype']}: {row['who']} {row['seconds'][1]:.4g} s")
            total.rows += found.rows
            total.missing += found.missing
    except (MissingError, ImportError) as reason:
        about = {"table": "training", "what": gpu_steps.STEP, "who": "torch"}
        total.missing.append(about | {"reason": str(reason)})
    return total


# ----------------------------------------------------------------------------------------- record


def driver() -> str:
    """The version of the driver; that of CUDA which it offers is asked of CuPy."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def head(cp: Any, found: Result, n: int, minutes: float, quick: bool) -> dict:
    """Of the record: where, when and with what."""
    runtime = cp.cuda.runtime
    card = runtime.getDeviceProperties(0)
    of_loss = [row for row in found.rows if row["table"] == "loss"]
    copies = [row for row in of_loss if row["who"] == contest.REFERENCE]
    return {
        "quick": quick,
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "minutes": round(minutes, 1),
        "card": card["name"].decode(),
        "multiprocessors": card["multiProcessorCount"],
        "driver": driver(),
        "cuda": {"driver": runtime.driverGetVersion(), "runtime": runtime.runtimeGetVersion()},
        "machine": f"{record.processor()}, {os.cpu_count()} CPUs, {platform.platform(terse=True)}",
        "versions": record.versions(PACKAGES),
        # Bytes read and written, per second, by dtype.
        "bandwidth": {
            row["dtype"]: 2 * n * np.dtype(row["dtype"]).itemsize / row["seconds"][1]
            for row in copies
        },
        "notes": NOTES,
        "missing": found.missing,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small arrays, to see that it runs")
    parser.add_argument("--elements", type=int, default=100_000_000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--output", type=Path, help="where to write the record")
    options = parser.parse_args()
    try:
        import cupy as cp

        cp.cuda.runtime.getDeviceCount()
    except Exception as error:  # noqa: BLE001 - whatever CuPy and the driver throw
        sys.exit(f"no CuPy, or no CUDA GPU: {type(error).__name__}: {error}")
    n, rounds = (100_003, 3) if options.quick else (options.elements, options.rounds)
    start = time.perf_counter()
    found = measure(cp, n, rounds)
    of_steps = steps(cp, n, rounds)
    found = Result(found.rows + of_steps.rows, found.missing + of_steps.missing)
    minutes = (time.perf_counter() - start) / 60
    for one in found.missing:
        print("missing:", one, file=sys.stderr)
    output = options.output or (None if options.quick else RECORD)
    if output is not None:
        from performance import rounded

        rows = [[rounded(row.get(field)) for field in FIELDS] for row in found.rows]
        record.write(head(cp, found, n, minutes, options.quick), FIELDS, rows, output)


if __name__ == "__main__":
    main()
