"""benchmarks/: how speed and memory are measured and checked, and who takes part."""

import dataclasses
import gc
import os
import sys
import time

import children
import contest
import contestants
import memory
import numpy as np
import oracle
import plans
import processes
import pytest
import regressions
from contest import Contest, Contestant, MissingError, WrongValueError
from contestants import Task

import robloss


def _contest(calls, *, check=lambda value: None, rounds=None, **given):
    entries = tuple(
        Contestant(name, lambda call=call: call, (rounds or {}).get(name))
        for name, call in calls.items()
    )
    return Contest({"table": "t"}, entries, check, **given)


def _spin(seconds):
    def call():
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    return call


def _scripted(*numbers):
    """A call that says it took so long; the first is spent on the check."""
    left = iter((0.0, *numbers))
    return lambda: next(left)


# --------------------------------------------------------------------------------------- contests


def test_a_slow_contestant_is_slow():
    calls = {"ours": _spin(1e-3), "slow": _spin(3e-3)}
    rows = contest.run(_contest(calls, reference=_spin(5e-4)), 5, 1e-4).rows
    copy, ours, slow = rows
    assert (copy["who"], ours["who"], slow["who"]) == (contest.REFERENCE, "ours", "slow")
    assert slow["ours"][1] == pytest.approx(3, rel=0.2)
    assert slow["copies"][1] == pytest.approx(6, rel=0.2)
    assert ours["ours"] == [1, 1, 1]
    assert ours["seconds"][1] == pytest.approx(1e-3, rel=0.2)


@pytest.mark.parametrize(("clock", "counts"), [("cpu", False), ("wall", True)])
def test_waiting_is_no_cpu_time(clock, counts):
    row = contest.run(_contest({"waits": lambda: time.sleep(0.02)}, clock=clock), 3, 1e-9).rows[0]
    assert (row["seconds"][1] > 0.01) == counts


def test_a_wrong_contestant_is_not_timed():
    called = []

    def wrong():
        called.append(1)
        return 2

    def check(value):
        if value != 1:
            raise WrongValueError(f"{value} is not 1")

    calls = {"right": lambda: 1, "wrong": wrong}
    with pytest.raises(WrongValueError, match=r"^wrong, \{'table': 't'\}: 2 is not 1$"):
        contest.run(_contest(calls, check=check), 5)
    assert called == [1]


@pytest.mark.parametrize("error", [MissingError, ImportError])
def test_a_missing_contestant_is_named(error):
    def absent():
        raise error("no such thing")

    entries = (Contestant("ours", lambda: lambda: 1.0), Contestant("theirs", absent))
    result = contest.run(Contest({"n": 3}, entries, lambda value: None, clock="own"), 2)
    assert result.missing == [{"n": 3, "who": "theirs", "reason": "no such thing"}]
    assert [row["who"] for row in result.rows] == ["ours"]


def test_without_ours_there_is_no_ratio_to_it():
    def absent():
        raise MissingError("not yet")

    entries = (Contestant("ours", absent), Contestant("theirs", lambda: lambda: 1.0))
    (row,) = contest.run(Contest({}, entries, lambda value: None, clock="own"), 2).rows
    assert row["ours"] is None


def test_each_call_follows_the_reference_and_the_order_varies():
    seen = []
    calls = {name: lambda name=name: seen.append(name) for name in "abc"}
    given = _contest(calls, reference=lambda: seen.append("-"), clock="wall")
    contest.run(given, 8, 0.0)
    seen = seen[-8 * 6 :]
    assert set(seen[::2]) == {"-"}
    rounds = ["".join(seen[1::2][start : start + 3]) for start in range(0, 24, 3)]
    assert {"".join(sorted(one)) for one in rounds} == {"abc"}
    assert len(set(rounds)) > 1


def test_ratios_are_of_the_same_round():
    """The machine slows down tenfold: no ratio sees it. Slow contestants have fewer rounds."""
    calls = {"ours": _scripted(1, 10, 100), "theirs": _scripted(2, 20, 200),
             "slow": _scripted(5, 50)}  # fmt: skip
    rows = contest.run(_contest(calls, rounds={"slow": 2}, clock="own"), 3).rows
    assert [row["rounds"] for row in rows] == [3, 3, 2]
    assert [row["ours"] for row in rows] == [[1, 1, 1], [2, 2, 2], [5, 5, 5]]


def test_short_calls_are_repeated():
    asked = []

    def clock(call, times):
        asked.append(times)
        return 1e-6

    times = contest._often(lambda: None, clock, 2e-3)
    assert 1000 <= times <= 4000
    assert asked[0] == 1
    assert contest._often(lambda: None, lambda call, times: 1.0, 2e-3) == 1


def test_the_garbage_collector_is_put_back():
    calls = {"fails": _scripted()}
    with pytest.raises(StopIteration):
        contest.run(_contest(calls, clock="own"), 1)
    assert gc.isenabled()


def test_quartiles():
    assert contest.quartiles([3, 1, 2, 5, 4]) == [2, 3, 4]
    assert contest.quartiles([7]) == [7, 7, 7]


# ------------------------------------------------------------------------------------ contestants


def _task(outputs, dtype="float64", alpha=0.7):
    x = plans.residuals(500, dtype)
    given = plans.shapes(500, dtype) if alpha == "array" else alpha
    return Task(outputs, x, given, 1.3)


@pytest.mark.parametrize("dtype", plans.DTYPES)
@pytest.mark.parametrize(
    ("name", "alpha"), [*((name, 0.7) for name in contestants.PLAIN), ("loss", "array")]
)
def test_robloss_and_the_plain_formulas_compute_the_operation(name, dtype, alpha):
    task = _task((name,), dtype, alpha)
    check = contestants.elementwise_check(task)
    for way in (contestants.robloss_into, contestants.robloss_new, contestants.plain_numpy):
        check(way(task)())


@pytest.mark.parametrize("alpha", plans.SPECIAL)
def test_the_closed_forms_are_the_loss(alpha):
    task = _task(("loss",), alpha=alpha)
    contestants.elementwise_check(task)(contestants.plain_numpy(task)())


@pytest.mark.parametrize("dtype", plans.DTYPES)
@pytest.mark.parametrize("name", contestants.PLAIN)
def test_the_check_catches_a_wrong_formula(name, dtype):
    task = _task((name,), dtype)
    check = contestants.elementwise_check(task)
    right = getattr(robloss, name)
    with pytest.raises(WrongValueError, match="output 0 differs by up to"):
        check(right(task.x, task.alpha, 1.31))
    with pytest.raises(WrongValueError, match="output 0 differs by up to"):
        check(right(task.x, 0.72, task.scale))
    spoilt = right(*task.arguments).copy()
    spoilt[-1] = np.nan
    with pytest.raises(WrongValueError, match="output 0 differs by up to nan"):
        check(spoilt)


def test_the_check_catches_another_dtype_shape_or_number_of_outputs():
    task = _task(("loss",), "float32")
    check = contestants.elementwise_check(task)
    right = robloss.loss(*task.arguments)
    check(right)
    for wrong in (right.astype(float), right[:-1]):
        with pytest.raises(WrongValueError, match="the result has dtype"):
            check(wrong)
    with pytest.raises(WrongValueError, match="2 values, but 1 are expected"):
        check((right, right))


def test_the_check_of_sums_catches_one_wrong_sum():
    task = _task(plans.SUMMED)
    check = contestants.sums_check(task)
    sums = contestants.plain_numpy_sums(task)()
    check(sums)
    for place in range(3):
        with pytest.raises(WrongValueError, match=f"output {place} differs"):
            check(tuple(one * (1 + 1e-6 * (k == place)) for k, one in enumerate(sums)))


@pytest.mark.parametrize("outputs", [contestants.TOGETHER, plans.GRADIENTS])
def test_sets_of_outputs(outputs):
    task = _task(outputs)
    check = contestants.elementwise_check(task)
    check(contestants.plain_numpy(task)())
    check(contestants.robloss_in_turn(task)())
    first, _, *rest = contestants.plain_numpy(task)()
    with pytest.raises(WrongValueError, match="output 1"):
        check((first, first, *rest))
    if hasattr(robloss, "evaluate"):
        check(contestants.robloss_into(task)())
        check(contestants.robloss_new(task)())


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7, 1.9])
def test_log_partition_for_checks(alpha):
    assert contestants.log_partition(alpha) == pytest.approx(
        float(oracle.log_partition(alpha)), abs=1e-8
    )


@pytest.mark.parametrize(
    ("module", "way"),
    # jax.jit would set 64 bits for the whole process, torch.compile takes long: `nox -s together`.
    [("numexpr", contestants.numexpr_loss), ("torch", contestants.torch_eager)],
)
@pytest.mark.parametrize("alpha", [0.7, "array"])
def test_peers_compute_the_loss(module, way, alpha):
    pytest.importorskip(module, reason=f"{module} is not installed")
    for dtype in plans.DTYPES:
        task = _task(("loss",), dtype, alpha)
        contestants.elementwise_check(task)(way(task)())


# ------------------------------------------------------------------------------------ regressions


def test_the_check_of_a_fit_catches_a_fit_that_stopped_early():
    given = regressions.regression(2000, 3)
    check = regressions.fixed_check(given)
    theta = regressions.of_numpy(given)()
    check(theta)
    check(regressions.of_robloss(given)())
    with pytest.raises(WrongValueError, match="the objective is"):
        check(theta + 3e-4 * given.scale)


def test_the_check_of_an_adapted_fit_catches_another_model():
    given = regressions.regression(2000, 3)
    check = regressions.adapted_check(given)
    check(regressions.of_robloss_adapted(given)())
    with pytest.raises(WrongValueError, match="a coefficient is off by"):
        check(given.theta + np.eye(3)[2])


# -------------------------------------------------------------------------------------- processes


def test_one_thread_is_put_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("ROBLOSS_NUM_THREADS", raising=False)
    with processes.one_thread():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["ROBLOSS_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "ROBLOSS_NUM_THREADS" not in os.environ


def test_starts_are_timed():
    assert 0 < processes.imported("json", "sys")() < 5
    assert processes.first_call("sum(range(3_000_000))")() > processes.first_call("pass")()
    with pytest.raises(MissingError, match="No module named 'no_such_module'"):
        processes.imported("no_such_module", "sys")()


def test_a_call_has_threads_of_its_own(monkeypatch):
    name = "ROBLOSS_NUM_THREADS"
    monkeypatch.setenv(name, "5")
    assert processes.on_threads(lambda: os.environ[name], 1)() == "1"
    assert os.environ[name] == "5"
    with pytest.raises(MissingError, match="this process may use"):
        processes.on_threads(lambda: None, 100_000)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is what Linux counts")
def test_the_peak_of_memory_is_seen_although_it_is_freed():
    try:
        assert processes.apart(children.peak, children.twice) == pytest.approx(2, abs=0.1)
        assert processes.apart(children.peak, np.sum) == pytest.approx(0, abs=0.1)
    except MissingError as reason:
        pytest.skip(str(reason))


def test_what_is_raised_apart_is_raised_here():
    with pytest.raises(MissingError, match="no such thing"):
        processes.apart(children.absent)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is what Linux counts")
def test_new_results_weigh_one_input_and_results_that_are_there_nothing():
    size = dataclasses.replace(plans.QUICK, large=1_000_000)
    try:
        for who, weight in {"robloss": 1, "robloss, out=": 0, "NumPy": 3}.items():
            found = processes.apart(memory.weigh_way, ("loss",), who, size)
            assert found == pytest.approx(weight, abs=0.1), who
    except MissingError as reason:
        pytest.skip(str(reason))
