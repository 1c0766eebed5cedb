"""docs/performance.md: how it is timed and checked, who takes part, and what makes the page."""

import gc
import importlib.util
import os
import sys
import time
from pathlib import Path

import contest
import contestants
import numpy as np
import oracle
import performance
import processes
import pytest
import regressions
from contest import Contest, Contestant, MissingError, WrongValueError
from contestants import Task

import robloss

DOCS = Path(__file__).parents[2] / "docs"


def _page_maker():
    spec = importlib.util.spec_from_file_location("page_of_performance", DOCS / "performance.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


maker = _page_maker()


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
    x = performance.residuals(500, dtype)
    given = performance.shapes(500, dtype) if alpha == "array" else alpha
    return Task(outputs, x, given, 1.3)


@pytest.mark.parametrize("dtype", performance.DTYPES)
@pytest.mark.parametrize(
    ("name", "alpha"), [*((name, 0.7) for name in contestants.PLAIN), ("loss", "array")]
)
def test_robloss_and_the_plain_formulas_compute_the_operation(name, dtype, alpha):
    task = _task((name,), dtype, alpha)
    check = contestants.elementwise_check(task)
    for way in (contestants.robloss_into, contestants.robloss_new, contestants.plain_numpy):
        check(way(task)())


@pytest.mark.parametrize("alpha", performance.SPECIAL)
def test_the_closed_forms_are_the_loss(alpha):
    task = _task(("loss",), alpha=alpha)
    contestants.elementwise_check(task)(contestants.plain_numpy(task)())


@pytest.mark.parametrize("dtype", performance.DTYPES)
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
    task = _task(performance.SUMMED)
    check = contestants.sums_check(task)
    sums = contestants.plain_numpy_sums(task)()
    check(sums)
    for place in range(3):
        with pytest.raises(WrongValueError, match=f"output {place} differs"):
            check(tuple(one * (1 + 1e-6 * (k == place)) for k, one in enumerate(sums)))


@pytest.mark.parametrize("outputs", [contestants.TOGETHER, performance.GRADIENTS])
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
    # jax.jit would set 64 bits for the whole process, torch.compile takes long: `nox -s smoke`.
    [("numexpr", contestants.numexpr_loss), ("torch", contestants.torch_eager)],
)
@pytest.mark.parametrize("alpha", [0.7, "array"])
def test_peers_compute_the_loss(module, way, alpha):
    pytest.importorskip(module, reason=f"{module} is not installed")
    for dtype in performance.DTYPES:
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
    array = np.ones(4_000_000)

    def twice():
        one = array + 1
        one += array * 2

    try:
        assert processes.peak(twice) / array.nbytes == pytest.approx(2, abs=0.1)
        assert processes.peak(lambda: array.sum()) / array.nbytes < 0.1
    except MissingError as reason:
        pytest.skip(str(reason))


# ------------------------------------------------------------------------------------- the record


def test_every_operation_of_the_inventory_is_measured():
    planned = [one.make() for one in performance.operations(performance.QUICK)]
    found = {(one.about["what"], one.about["dtype"]) for one in planned}
    names = (*performance.ELEMENTWISE, "nll", "log_partition")
    assert set(performance.ELEMENTWISE) == set(contestants.PLAIN)
    assert found == {(name, dtype) for name in names for dtype in performance.DTYPES}


def test_a_quick_measurement_and_its_page(tmp_path, capsys):
    result = performance.measure(performance.QUICK, ["operation", "fit"])
    assert "operation nll float64 0.7 1000: copy" in capsys.readouterr().out
    whos = {row["who"] for row in result.rows}
    assert {"copy", "robloss, out=", "robloss", "NumPy", "NumPy IRLS"} <= whos
    performance.write(_head(), result.rows, tmp_path / "p.json")
    record = maker.load(tmp_path / "p.json")
    assert len(record["rows"]) == len(result.rows)
    assert "| nll, float32 | – |" in maker.page(record)


# --------------------------------------------------------------------------------------- the page


def _head(**given):
    head = {
        "date": "2019-06-16", "quick": False, "machine": "abacus", "load": [[0.5], [1.5]],
        "minutes": 3.5, "pools": {"blas": 1}, "versions": {"python": "3"},
        "notes": {"theirs": "what theirs is"}, "missing": [],
    }  # fmt: skip
    return head | given


def _row(who=maker.OURS, **given):
    row = {"table": "loss", "what": "loss", "dtype": "float64", "alpha": "0.7", "n": 1000}
    row |= {"who": who, "clock": "cpu", "rounds": 9, "seconds": [1e-6, 2e-6, 3e-6]}
    row |= {"copies": [2.5, 3.0, 3.5], "ours": [0.5, 1.0, 2.0]}
    return row | given


def _record(tmp_path, rows, **head):
    performance.write(_head(**head), rows, tmp_path / "performance.json")
    return maker.load(tmp_path / "performance.json")


def _target(name, record):
    (line,) = [one.line(record) for one in maker.targets() if one.text.startswith(name)]
    return line


def test_rows_survive_the_file(tmp_path):
    (row,) = _record(tmp_path, [_row(seconds=[1 / 3] * 3)])["rows"]
    assert row["seconds"] == [0.3333] * 3
    assert row["p"] is row["memory"] is None
    assert row["copies"] == [2.5, 3.0, 3.5]


@pytest.mark.parametrize(
    ("copies", "met"),
    [(3.81, "no, 0.263 % off"), (3.8, "**yes**"), (2.21, "**yes**"), (2.2, "**yes, both**")],
)
def test_a_target_is_met_or_not(tmp_path, copies, met):
    record = _record(tmp_path, [_row(copies=[1, copies, 9])])
    line = _target("loss, float64: ×", record)
    assert line == [
        "loss, float64: × copy", "≤ 3.8", "≤ 2.2", f"{copies} (1–9)", met,
    ]  # fmt: skip


def test_a_target_that_was_not_measured(tmp_path):
    assert _target("loss, float32: ×", _record(tmp_path, [_row()]))[-1] == "not measured"


def test_a_quick_run_meets_no_target(tmp_path):
    record = _record(tmp_path, [_row(copies=[1, 1, 1])], quick=True)
    assert _target("loss, float64: ×", record)[-1] == "–"
    assert "quick run" in maker.page(record)
    assert "quick run" not in maker.page(record | {"quick": False})


@pytest.mark.parametrize(("times", "met"), [(9, "no, 10 % off"), (16, "**yes**"), (18, "**yes, b")])
def test_a_target_for_a_peer_is_how_much_slower_it_is(tmp_path, times, met):
    row = _row("scipy least_squares", table="fit", what="fixed", ours=[1, times, 20], p=10)
    line = _target("linear fit, α and scale fixed, scipy", _record(tmp_path, [row]))
    assert line[1:4] == ["≥ 10", "≥ 17", f"{times} (1–20)"]
    assert line[4].startswith(met)


def test_a_target_for_a_set_is_over_the_loss_alone(tmp_path):
    what = "loss + influence + weight"
    row = _row("robloss, loss alone", table="set", what=what, ours=[0.5, 0.8, 1.0])
    line = _target(f"{what}, float64", _record(tmp_path, [row]))
    assert line[3:] == ["1.25 (1–2)", "**yes**"]


def test_two_threads_are_over_one(tmp_path):
    row = _row("2 threads", table="threads", ours=[0.5, 0.625, 1.0])
    assert _target("two threads", _record(tmp_path, [row]))[3:] == ["1.6 (1–2)", "**yes**"]


@pytest.mark.parametrize(("memory", "met"), [(1.004, "**yes**"), (1.4, "no, 40 % off")])
def test_memory_is_counted_in_inputs(tmp_path, memory, met):
    row = {"table": "memory", "what": "loss", "who": "robloss", "memory": memory}
    assert _target("memory of the loss", _record(tmp_path, [row]))[-1] == met


def test_every_target_looks_for_something_that_is_planned():
    """With the names of the contests, not with names that only this page knows."""
    planned: dict[str, list[Contest]] = {}
    for plan in performance.PLANS:
        for one in plan(performance.QUICK):
            planned.setdefault(one.table, []).append(one.make())
    for target in maker.targets():
        if target.table == "memory":
            continue
        wanted = {key: value for key, value in target.wanted.items() if key != "who"}
        assert any(
            all(one.about[key] == value for key, value in wanted.items())
            and target.wanted["who"] in [entry.name for entry in one.contestants]
            for one in planned[target.table]
        ), target.name


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (4e-6, "4 µs"), (2.5e-8, "25 ns"), (1234.5, "1234 s")],
)
def test_seconds(value, text):
    assert maker.seconds(value) == text


def test_crossed_tables_have_a_column_for_each_contestant(tmp_path):
    rows = [_row("copy", copies=None), _row(), _row("torch", copies=[9, 9, 9]),
            _row(alpha="array")]  # fmt: skip
    record = _record(tmp_path, rows)
    copies = maker.median_of("copies")
    assert maker.crossed(record, "loss", ("dtype", "alpha"), copies).splitlines() == [
        "|  | robloss, out= | torch |",
        "| --- | --: | --: |",
        "| float64, α = 0.7 | 3 | 9 |",
        "| float64, α per element | 3 | – |",
    ]
    assert maker.crossed(record, "fit", ("what",), copies) == "Not measured."


def test_all_measurements_are_on_the_page(tmp_path):
    text = maker.everything(_record(tmp_path, [_row("torch"), _row("copy", copies=None)]))
    assert (
        "| loss, loss, float64, α = 0.7, n = 1000: torch | 9 | 2 µs (1 µs–3 µs) | 3 (2.5–3.5) "
        "| 1 (0.5–2) |"
    ) in text
    assert "copy | 9 | 2 µs (1 µs–3 µs) | – |" in text


def test_the_missing_are_named_once_for_each_reason(tmp_path):
    absent = [{"who": "torch", "table": table, "reason": "none"} for table in ("a", "b", "a")]
    record = _record(tmp_path, [_row()], missing=absent)
    assert maker.missing(record) == "* torch (a, b): none"
    assert maker.missing(_record(tmp_path, [_row()])).startswith("Everybody")


def test_the_page_says_how_it_was_measured(tmp_path):
    text = maker.page(_record(tmp_path, [_row()]))
    for part in (
        "abacus. 2019-06-16, 3.5 minutes, load average 0.5 before and 1.5 after",
        "* theirs: what theirs is",
        "python 3",
        "9 rounds",
        "blas 1",
        "1 000 elements",
    ):
        assert part in text


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed").use("agg")
    rows = [_row(who, alpha=alpha) for who in ("copy", maker.OURS) for alpha in ("0.7", "array")]
    rows[0]["copies"] = rows[1]["copies"] = None
    rows += [_row(maker.OURS, table="size", n=10), _row("robloss", table="columns", p=2)]
    record = _record(tmp_path, rows)
    left, right = maker.bars(record).axes
    assert [bar.get_width() for bar in left.patches] == [3.0, 3.0]
    assert not right.patches
    (ax,) = maker.over_sizes(record).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    np.testing.assert_allclose(lines[maker.OURS], [[10, 2e-7], [1000, 2e-9]])
    assert set(lines) == {maker.OURS, "copy"}
    (ax,) = maker.over_columns(record).axes
    assert ax.lines[0].get_xydata().tolist() == [[2, 2e-6]]


# ------------------------------------------------------------------------------- what is committed


@pytest.fixture(scope="module")
def committed():
    return maker.load(DOCS / "performance.json")


def test_the_page_is_what_its_script_makes(committed):
    assert (DOCS / "performance.md").read_text(encoding="utf-8") == maker.page(committed)


def test_the_record_is_of_a_full_run(committed):
    assert not committed["quick"]
    full = performance.FULL
    assert {row["n"] for row in maker.select(committed, table="loss")} == {full.large}
    assert set(committed["pools"].values()) == {1}
    unknown = [one.name for one in maker.targets() if one.measured(committed) is None]
    # Memory awaits a process of its own for each contestant; the page says so.
    assert [name for name in unknown if "memory" not in name and "out=" not in name] == []
