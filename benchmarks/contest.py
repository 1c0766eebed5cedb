"""Contests: several ways to compute one thing, checked first, then timed in interleaved rounds.

Why no library: a ratio measured on a shared machine is worth something only where both of its times
come from the same moment, so that every contestant of a round must run within that round, next to
the reference. pytest-benchmark runs all rounds of one test before the next test begins. pyperf
measures one command or function per series of processes, and compares afterwards. asv has
`--interleave-processes`, which alternates whole processes, minutes apart at these sizes, and keeps
no pairs. None of them refuses to time a contestant whose value is wrong. What is left to write is
this file.

Why CPU time: the machine is shared, and a moment that was given to somebody else is no property of
a contestant. CPU time of the whole process counts every thread, so that a library that starts more
of them than it was told gains nothing by it. It cannot say how long one waits for several threads:
that contest uses the wall clock.

What remains (a busy memory bus, another clock frequency) meets neighbours alike: each call follows
a call of the reference, a copy of the same array, and what is reported is the median of the ratios
of such pairs. The order of each round is drawn at random, so that nobody always follows the same
neighbour.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Call = Callable[[], object]
SEED = 0
REFERENCE = "copy"  # its name in the rows


class WrongValueError(Exception):
    """A contestant does not compute what the others compute."""


class MissingError(Exception):
    """A contestant that cannot take part here, and why."""


@dataclass(frozen=True)
class Contestant:
    """A way to compute the thing.

    `prepare` returns what is timed, or raises `MissingError` (an `ImportError` does as well).
    Where it is slow, it takes part only in the first `rounds` rounds, with one call in each.
    """

    name: str
    prepare: Callable[[], Call]
    rounds: int | None = None


@dataclass(frozen=True)
class Contest:
    """What is computed, by whom, and what the result must be.

    The first contestant is ours: the others' times are divided by its time in the same round.
    `about` is copied into each row of the result; `check` raises `WrongValueError`.
    """

    about: dict[str, object]
    contestants: tuple[Contestant, ...]
    check: Callable[[object], None]
    reference: Call | None = None
    clock: str = "cpu"


@dataclass
class Result:
    """Rows of numbers, and who took no part and why."""

    rows: list[dict] = field(default_factory=list)
    missing: list[dict] = field(default_factory=list)


def quartiles(values: Iterable[float]) -> list[float]:
    """Lower quartile, median, upper quartile; of the values themselves, also of one or two."""
    values = list(values)
    return statistics.quantiles(values, method="inclusive") if len(values) > 1 else values * 3


def _seconds(now: Callable[[], float]) -> Callable[[Call, int], float]:
    def measure(call: Call, times: int) -> float:
        start = now()
        for _ in range(times):
            call()
        return (now() - start) / times

    return measure


# "own": the call returns the seconds that it measured itself, in a process that it started.
CLOCKS: dict[str, Callable[[Call, int], float]] = {
    "cpu": _seconds(time.process_time),
    "wall": _seconds(time.perf_counter),
    "own": lambda call, times: float(call()),  # noqa: ARG005 - once is enough
}


def _enter(contest: Contest, result: Result) -> dict[str, Call]:
    """The calls of all who can take part, each checked for its value."""
    calls: dict[str, Call] = {}
    for one in contest.contestants:
        try:
            call = one.prepare()
            value = call()
        except (MissingError, ImportError) as reason:
            result.missing.append(contest.about | {"who": one.name, "reason": str(reason)})
            continue
        try:
            contest.check(value)
        except WrongValueError as error:
            raise WrongValueError(f"{one.name}, {contest.about}: {error}") from None
        calls[one.name] = call
    return calls


def _often(call: Call, clock: Callable[[Call, int], float], least: float) -> int:
    """How many calls take `least` seconds, so that the clock is finer than what it measures."""
    times = 1
    while least and (took := clock(call, times)) * times < least / 2:
        # At most a hundredfold at once: the first calls tell little about the next.
        times = min(100 * times, max(2 * times, int(least / max(took, 1e-9))))
    return times


def run(contest: Contest, rounds: int, least: float = 2e-3) -> Result:
    """Check everybody, then time them in interleaved rounds.

    Each call is repeated until it takes `least` seconds; own clocks are left as they are.
    """
    result = Result()
    calls = _enter(contest, result)
    clock = CLOCKS[contest.clock]
    least = 0.0 if contest.clock == "own" else least
    slow = {one.name for one in contest.contestants if one.rounds}
    often = {
        name: 1 if name in slow else _often(call, clock, least) for name, call in calls.items()
    }
    reference = contest.reference
    often_reference = _often(reference, clock, least) if reference else 1
    most = {one.name: min(one.rounds or rounds, rounds) for one in contest.contestants}
    took: dict[str, list[float]] = {name: [] for name in calls}
    beside: dict[str, list[float]] = {name: [] for name in calls}
    shuffle = random.Random(SEED).shuffle
    gc.disable()
    try:
        for number in range(rounds):
            order = [name for name in calls if number < most[name]]
            shuffle(order)
            for name in order:
                if reference:
                    beside[name].append(clock(reference, often_reference))
                took[name].append(clock(calls[name], often[name]))
    finally:
        gc.enable()
    if reference:
        copies = [seconds for times in beside.values() for seconds in times]
        row = {"who": REFERENCE, "clock": contest.clock, "rounds": len(copies)}
        result.rows.append(contest.about | row | {"seconds": quartiles(copies)})
    for name, seconds in took.items():
        first = took.get(contest.contestants[0].name)
        row = {"who": name, "clock": contest.clock, "rounds": len(seconds)}
        row["seconds"] = quartiles(seconds)
        row["copies"] = _ratios(seconds, beside[name])
        row["ours"] = _ratios(seconds, first)
        result.rows.append(contest.about | row)
    return result


def _ratios(above: list[float], below: list[float] | None) -> list[float] | None:
    """Quartiles of the ratios round by round; a slow contestant has fewer rounds."""
    if not below:
        return None
    return quartiles(a / b for a, b in zip(above, below, strict=False))
