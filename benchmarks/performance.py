"""Measure the speed of robloss beside a copy and beside what users have today.

Everything is written to docs/performance.json, from which docs/performance.py makes the page and
its pictures. contest.py says how it is measured and why so.

    python benchmarks/performance.py [--quick] [--only TABLE ...] [--output FILE]
"""

import argparse
import datetime as dt
import importlib.metadata
import itertools
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import contestants
import numpy as np
import processes
import regressions
from contest import Call, Contest, Contestant, MissingError, Result, WrongValueError, run
from contestants import LOSS_PEERS, NUMPY, OURS, PEERS, SUMS, TOGETHER, Task, Way

from robloss._ops import OPERATIONS

ROOT = Path(__file__).parents[1]
DTYPES = ("float64", "float32")
SCALE = 1.3
ALPHA = 0.7
SPECIAL = (2.0, 1.0, 0.0, -2.0, -math.inf)
ELEMENTWISE = [row.name for row in OPERATIONS.values() if row.public and len(row.parameters) == 3]
GRADIENTS = ("loss", "influence", "grad_alpha", "grad_scale")
SUMMED = ("loss", "grad_alpha", "grad_scale")
SLOW = {"torch", "torch.compile"}  # half a second and more per call at 10⁷ elements
PACKAGES = (
    "robloss", "numpy", "numba", "numexpr", "jax", "torch", "scipy", "statsmodels", "scikit-learn",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is measured; a quick run only shows that everything runs and values agree."""

    large: int = 10_000_000
    medium: int = 1_000_000
    sizes: tuple[int, ...] = (10, 100, 1000, 10_000, 100_000, 1_000_000)
    rows: int = 1_000_000
    columns: int = 10
    rows_of_designs: int = 100_000
    designs: tuple[int, ...] = (2, 5, 10, 20, 50, 100)
    rounds: int = 11
    slow_rounds: int = 5
    fit_rounds: int = 5
    slowest_rounds: int = 2
    least: float = 2e-3


FULL = Size()
QUICK = Size(
    large=3000, medium=1000, sizes=(10,), rows=2000, columns=3, rows_of_designs=1000,
    designs=(2, 5), rounds=3, slow_rounds=2, fit_rounds=2, slowest_rounds=1, least=1e-5,
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A contest that is made when its turn comes, since its arrays are large."""

    table: str
    make: Callable[[], Contest]
    rounds: int


# ---------------------------------------------------------------------------------------- contests


def residuals(n: int, dtype: str) -> np.ndarray:
    """Heavy tails: from far below the scale to far beyond."""
    return np.random.default_rng(0).standard_cauchy(n).astype(dtype)


def shapes(n: int, dtype: str) -> np.ndarray:
    """A shape for each element, away from 0 and 2, where the plain formula fails."""
    return np.random.default_rng(1).uniform(0.1, 1.9, n).astype(dtype)


def copy_of(array: np.ndarray) -> Call:
    target = np.empty_like(array)
    return lambda: np.copyto(target, array)


def invited(ways: dict[str, Way], size: Size, dtype: str) -> dict[str, Way]:
    """All, but for a quick run, which compiles for one dtype only: that takes seconds each time."""
    if size is QUICK and dtype != DTYPES[0]:
        return {name: way for name, way in ways.items() if name != "torch.compile"}
    return ways


def elementwise(
    table: str,
    task: Task,
    ways: dict[str, Way],
    slow_rounds: int | None = None,
    check: Callable[[object], None] | None = None,
) -> Contest:
    """A contest of ways to do a task."""
    array_alpha = isinstance(task.alpha, np.ndarray)
    about = {
        "table": table,
        "what": " + ".join(task.outputs),
        "dtype": task.x.dtype.name,
        "alpha": "array" if array_alpha else f"{task.alpha:g}",
        "n": task.x.size,
    }
    entries = tuple(
        Contestant(name, lambda way=way: way(task), slow_rounds if name in SLOW else None)
        for name, way in ways.items()
    )
    return Contest(about, entries, check or contestants.elementwise_check(task), copy_of(task.x))


def losses(size: Size) -> Iterator[Planned]:
    """The loss at each kind of shape: all peers at a general one."""
    for dtype in DTYPES:
        for alpha in (ALPHA, *SPECIAL, "array"):
            everybody = alpha in (ALPHA, "array")
            ways = OURS | (invited(LOSS_PEERS, size, dtype) if everybody else NUMPY)

            def make(dtype: str = dtype, alpha: float | str = alpha, ways: dict = ways) -> Contest:
                x = residuals(size.large, dtype)
                given = shapes(size.large, dtype) if alpha == "array" else alpha
                return elementwise("loss", Task(("loss",), x, given, SCALE), ways, size.slow_rounds)

            yield Planned("loss", make, size.rounds)


def sets(size: Size) -> Iterator[Planned]:
    """Several operations in one pass over the data, beside the first of them alone."""
    for dtype in DTYPES:
        for outputs in (TOGETHER, GRADIENTS):

            def make(dtype: str = dtype, outputs: tuple[str, ...] = outputs) -> Contest:
                task = Task(outputs, residuals(size.large, dtype), ALPHA, SCALE)
                ways = OURS | {"robloss, in turn": contestants.robloss_in_turn}
                ways |= invited(PEERS, size, dtype) if outputs == TOGETHER else NUMPY
                return _with_first_alone(elementwise("set", task, ways, size.slow_rounds), task)

            yield Planned("set", make, size.rounds)


def _with_first_alone(contest: Contest, task: Task) -> Contest:
    """The same contest, and the first operation alone in the same rounds."""
    first = Task(task.outputs[:1], *task.arguments)
    check_first, check_all = contestants.elementwise_check(first), contest.check
    alone = Contestant(
        f"robloss, {first.outputs[0]} alone", lambda: contestants.robloss_into(first)
    )

    def check(values: object) -> None:
        (check_all if isinstance(values, tuple) else check_first)(values)

    return replace(contest, contestants=(*contest.contestants, alone), check=check)


def sums(size: Size) -> Iterator[Planned]:
    """Sums of the loss and of its derivatives towards alpha and scale."""
    for dtype in DTYPES:

        def make(dtype: str = dtype) -> Contest:
            task = Task(SUMMED, residuals(size.large, dtype), ALPHA, SCALE)
            check = contestants.sums_check(task)
            ways = invited(SUMS, size, dtype)
            contest = elementwise("sums", task, ways, size.slow_rounds, check)
            return _with_first_alone(contest, task)

        yield Planned("sums", make, size.rounds)


def operations(size: Size) -> Iterator[Planned]:
    """Every operation of the inventory, beside plain NumPy."""
    for dtype in DTYPES:
        for name in (*ELEMENTWISE, "nll"):

            def make(dtype: str = dtype, name: str = name) -> Contest:
                task = Task((name,), residuals(size.medium, dtype), ALPHA, SCALE)
                if name in contestants.PLAIN:
                    return elementwise("operation", task, OURS | NUMPY)
                own = {"robloss": contestants.robloss_new}
                return elementwise("operation", task, own, check=_nll_check(task))

            yield Planned("operation", make, size.rounds)

        def make_partition(dtype: str = dtype) -> Contest:
            alpha = shapes(size.medium, dtype)
            task = Task(("log_partition",), alpha, alpha, SCALE)
            own = {"robloss": contestants.robloss_alpha}
            return elementwise("operation", task, own, check=_log_partition_check(task))

        yield Planned("operation", make_partition, size.rounds)


def _nll_check(task: Task) -> Callable[[object], None]:
    loss = contestants.textbook("loss", *task.columns())
    constant = math.log(task.scale) + contestants.log_partition(float(task.alpha))
    return lambda values: contestants.same(values, (loss + constant,), task.x.dtype.name)


def _log_partition_check(task: Task) -> Callable[[object], None]:
    few = slice(None, None, max(1, task.x.size // 20))
    expected = np.array([contestants.log_partition(float(alpha)) for alpha in task.x[few]])
    return lambda values: contestants.same(np.asarray(values)[few], (expected,), task.x.dtype.name)


def sizes(size: Size) -> Iterator[Planned]:
    """From the overhead of a call up; the largest is in the table of the loss."""
    for n in size.sizes:

        def make(n: int = n) -> Contest:
            task = Task(("loss",), residuals(n, "float64"), ALPHA, SCALE)
            return elementwise("size", task, OURS | LOSS_PEERS)

        yield Planned("size", make, size.rounds)


def threads(size: Size) -> Iterator[Planned]:
    """Two threads beside one, by the wall clock."""

    def make() -> Contest:
        task = Task(("loss",), residuals(size.large, "float64"), ALPHA, SCALE)

        def way(count: int) -> Way:
            return lambda task: processes.on_threads(contestants.robloss_into(task), count)

        contest = elementwise("threads", task, {"1 thread": way(1), "2 threads": way(2)})
        return replace(contest, clock="wall")

    yield Planned("threads", make, size.rounds)


def starts(size: Size) -> Iterator[Planned]:
    """Importing, and the first call of a new process with everything compiled before."""

    def make(what: str, entries: dict[str, Callable[[], Call]]) -> Contest:
        about = {"table": "start", "what": what}
        contestants = tuple(Contestant(name, prepare) for name, prepare in entries.items())
        return Contest(about, contestants, _positive, clock="own")

    modules = {"robloss": "numpy", "numpy": "sys", "torch": "numpy", "jax": "numpy"}
    codes = processes.FIRST_CALLS
    if size is QUICK:  # each start of the others takes seconds
        modules, codes = {"robloss": "numpy"}, {"robloss": codes["robloss"]}
    imports = {
        module: lambda module=module, before=before: processes.imported(module, before)
        for module, before in modules.items()
    }
    calls = {name: lambda code=code: processes.first_call(code) for name, code in codes.items()}
    yield Planned("start", lambda: make("import", imports), size.slow_rounds)
    yield Planned("start", lambda: make("first call", calls), size.slow_rounds)


def _positive(seconds: object) -> None:
    if not float(seconds) > 0:
        raise WrongValueError(f"{seconds} seconds")


def fits(size: Size) -> Iterator[Planned]:
    """Linear regressions: one large, and from few columns to many."""

    def about(table: str, what: str, n: int, p: int) -> dict[str, object]:
        return {"table": table, "what": what, "dtype": "float64", "n": n, "p": p}

    n, p = size.rows, size.columns

    def fixed() -> Contest:
        given = regressions.regression(n, p)
        return regressions.fixed(given, about("fit", "fixed", n, p), slow=size.slowest_rounds)

    def adapted() -> Contest:
        return regressions.adapted(regressions.regression(n, p), about("fit", "adapted", n, p))

    yield Planned("fit", fixed, size.fit_rounds)
    yield Planned("fit", adapted, size.fit_rounds)
    for columns in size.designs:

        def design(columns: int = columns) -> Contest:
            rows = size.rows_of_designs
            given = regressions.regression(rows, columns)
            story = about("columns", "fixed", rows, columns)
            # Ten seconds per fit and more beyond 20 columns.
            return regressions.fixed(given, story, slow=1, also=columns <= 20)

        yield Planned("columns", design, size.fit_rounds)


PLANS: tuple[Callable[[Size], Iterator[Planned]], ...] = (
    losses, sets, sums, operations, sizes, threads, starts, fits,
)  # fmt: skip


# ------------------------------------------------------------------------------------------ memory


def memory(size: Size) -> Result:
    """The most memory beyond what was there, in multiples of the input."""
    result = Result()
    x = residuals(size.large, "float64")
    tasks = ((("loss",), OURS | LOSS_PEERS), (TOGETHER, OURS | PEERS), (SUMMED, SUMS))
    for outputs, ways in tasks if size is not QUICK else tasks[:1]:
        task = Task(outputs, x, ALPHA, SCALE)
        for name, way in ways.items():
            _weigh(
                result, " + ".join(outputs), name, lambda way=way, task=task: way(task), x.nbytes
            )
    given = regressions.regression(size.rows, size.columns)
    for name, prepare in {
        "robloss": regressions.of_robloss,
        "NumPy IRLS": regressions.of_numpy,
        "scipy least_squares": regressions.of_scipy,
        "statsmodels RLM": regressions.of_statsmodels,
        "HuberRegressor": regressions.of_sklearn,
    }.items():
        _weigh(result, "fit", name, lambda prepare=prepare: prepare(given), given.X.nbytes)
    return result


def _weigh(result: Result, what: str, who: str, prepare: Callable[[], Call], size: int) -> None:
    about = {"table": "memory", "what": what, "who": who}
    try:
        call = prepare()
        # What is compiled or cached at the first call is not counted. Its result is kept: an
        # allocator that holds freed memory (XLA's) would give the second the place of the first.
        kept = call()
        result.rows.append(about | {"memory": processes.peak(call) / size})
        del kept
    except (MissingError, ImportError) as reason:
        result.missing.append(about | {"reason": str(reason)})


# ------------------------------------------------------------------------------------------ record

FIELDS = (
    "table", "what", "dtype", "alpha", "n", "p", "who", "clock", "rounds",
    "seconds", "copies", "ours", "memory",
)  # fmt: skip


def processor() -> str:
    """The model of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def versions() -> dict[str, str]:
    """Of everything that took part."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def rounded(value: object) -> object:
    """Four digits are more than a second run gives."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def write(record: dict, rows: list[dict], path: Path) -> None:
    """The rows last and one to a line, under the names of their fields."""
    head = json.dumps(record | {"fields": FIELDS}, indent=1, ensure_ascii=False)
    lines = ",\n".join(
        "  " + json.dumps([rounded(row.get(field)) for field in FIELDS]) for row in rows
    )
    path.write_text(f'{head[:-2]},\n "rows": [\n{lines}\n ]\n}}\n', encoding="utf-8")


def load_of_machine() -> list[float]:
    return [round(one, 2) for one in os.getloadavg()] if hasattr(os, "getloadavg") else []


def _line(contest: Contest, result: Result, seconds: float) -> str:
    """What a contest was about and its medians, for who watches."""
    medians = ", ".join(f"{row['who']} {row['seconds'][1]:.3g}" for row in result.rows)
    return f"{' '.join(map(str, contest.about.values()))}: {medians} s [{seconds:.0f} s]"


def measure(size: Size, only: list[str] | None = None) -> Result:
    """All contests, on one thread, and what they leave."""
    total = Result()
    planned = itertools.chain.from_iterable(plan(size) for plan in PLANS)
    for one in planned:
        if only and one.table not in only:
            continue
        start = time.perf_counter()
        contest = one.make()
        result = run(contest, one.rounds, size.least)
        print(_line(contest, result, time.perf_counter() - start), flush=True)
        total.rows += result.rows
        total.missing += result.missing
    if not only or "memory" in only:
        weighed = memory(size)
        total.rows += weighed.rows
        total.missing += weighed.missing
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: only to see that it runs"
    )
    parser.add_argument("--only", nargs="+", metavar="TABLE", help="some tables, for a look")
    parser.add_argument("--all-present", action="store_true", help="fail where a peer is missing")
    parser.add_argument("--output", type=Path, help="where to write the record")
    options = parser.parse_args()
    output = options.output
    if output is None and not (options.quick or options.only):
        output = ROOT / "docs" / "performance.json"
    size = QUICK if options.quick else FULL
    start, before = time.time(), load_of_machine()
    with processes.one_thread():
        total = measure(size, options.only)
        pools = processes.pools()
    record = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "quick": options.quick,
        "machine": f"{processor()}, {os.cpu_count()} CPUs, {platform.platform(terse=True)}",
        "load": [before, load_of_machine()],
        "minutes": round((time.time() - start) / 60, 1),
        "pools": pools,
        "versions": versions(),
        "notes": contestants.NOTES | regressions.NOTES,
        "missing": total.missing,
    }
    for one in total.missing:
        print("missing:", one, file=sys.stderr)
    if output is not None:
        write(record, total.rows, output)
    # One CPU, or another system than Linux, is no peer that is missing.
    peers = [
        one["who"]
        for one in total.missing
        if one["table"] not in ("threads", "memory") and not one["who"].startswith("robloss")
    ]
    if options.all_present and peers:
        sys.exit(f"missing: {', '.join(dict.fromkeys(peers))}")


if __name__ == "__main__":
    main()
