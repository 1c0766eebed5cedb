"""Which contests there are: of what, on how much data, and who takes part."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import contestants
import numpy as np
import processes
import regressions
from contest import Call, Contest, Contestant, WrongValueError
from contestants import LOSS_PEERS, NUMPY, OURS, PEERS, SUMS, TOGETHER, Task, Way

from robloss._ops import OPERATIONS

DTYPES = ("float64", "float32")
SCALE = 1.3
ALPHA = 0.7
SPECIAL = (2.0, 1.0, 0.0, -2.0, -math.inf)
ELEMENTWISE = [row.name for row in OPERATIONS.values() if row.public and len(row.parameters) == 3]
GRADIENTS = ("loss", "influence", "grad_alpha", "grad_scale")
SUMMED = ("loss", "grad_alpha", "grad_scale")
SLOW = {"torch", "torch.compile"}  # half a second and more per call at 10⁷ elements


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
    # A step takes milliseconds and less, and a shared machine is slow for seconds: 11 rounds of the
    # same code gave ratios from 4.5 to 5.5, and from 16 to 20.
    step_rounds: int = 101
    slowest_rounds: int = 2
    least: float = 2e-3


FULL = Size()
QUICK = Size(
    large=3000, medium=1000, sizes=(10,), rows=2000, columns=3, rows_of_designs=1000,
    designs=(2, 5), rounds=3, slow_rounds=2, fit_rounds=2, step_rounds=3, slowest_rounds=1,
    least=1e-5,
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


def compiled(size: Size) -> Iterator[Planned]:
    """First calls of a new process, without machine code of an earlier one and with it."""
    cases = processes.COMPILED
    if size is QUICK:
        cases = dict(itertools.islice(cases.items(), 1))
    for what, (before, code) in cases.items():

        def make(what: str = what, before: str = before, code: str = code) -> Contest:
            entries = {"from the cache": True, "compiled": False}
            contestants = tuple(
                Contestant(
                    who, lambda kept=kept: processes.first_in_process(before, code, kept=kept)
                )
                for who, kept in entries.items()
            )
            return Contest({"table": "compile", "what": what}, contestants, _positive, clock="own")

        yield Planned("compile", make, size.slowest_rounds)


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
    losses, sets, sums, operations, sizes, threads, starts, compiled, fits,
)  # fmt: skip
