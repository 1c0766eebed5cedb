"""docs/performance.md: what is measured, how it is kept, and what makes the page of it."""

import importlib.util
import itertools
from pathlib import Path

import contestants
import memory
import numpy as np
import performance
import pictures
import plans
import pytest
import targets
import training
from record import read

DOCS = Path(__file__).parents[2] / "docs"


def _page_maker():
    spec = importlib.util.spec_from_file_location("page_of_performance", DOCS / "performance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = _page_maker()


# ------------------------------------------------------------------------------------- the record


def test_every_operation_of_the_inventory_is_measured():
    planned = [one.make() for one in plans.operations(plans.QUICK)]
    found = {(one.about["what"], one.about["dtype"]) for one in planned}
    names = (*plans.ELEMENTWISE, "nll", "log_partition")
    assert set(plans.ELEMENTWISE) == set(contestants.PLAIN)
    assert found == {(name, dtype) for name in names for dtype in plans.DTYPES}


def test_a_quick_measurement_and_its_page(tmp_path, capsys):
    found = performance.measured(plans.QUICK, ("operation", "fit"))
    assert "operation nll float64 0.7 1000: copy" in capsys.readouterr().out
    whos = {row["who"] for row in found["rows"]}
    assert {"copy", "robloss, out=", "robloss", "NumPy", "NumPy IRLS"} <= whos
    performance.write(found, tmp_path / "p.json")
    record = read(tmp_path / "p.json")
    assert len(record["rows"]) == len(found["rows"])
    assert [one["tables"] for one in record["runs"]] == [["operation", "fit"]]
    assert "| nll, float32 | – |" in maker.page(record)


def test_tables_that_were_measured_again_take_the_place_of_their_own():
    def head(tables, seconds, missing):
        rows = [_row(table=table, seconds=seconds) for table in tables]
        absent = [{"table": table, "who": who} for table, who in missing]
        return _head(runs=[_run(tables=tables)], rows=rows, missing=absent)

    old = head(["loss", "fit", "memory"], 1, [("loss", "a"), ("fit", "b")])
    both = performance.merged(old, head(["loss", "memory"], 2, [("memory", "c")]))
    assert [(row["table"], row["seconds"]) for row in both["rows"]] == [
        ("loss", 2), ("fit", 1), ("memory", 2),
    ]  # fmt: skip
    assert [run["tables"] for run in both["runs"]] == [["fit"], ["loss", "memory"]]
    assert [one["who"] for one in both["missing"]] == ["b", "c"]
    whole = performance.merged(old, head(["loss", "fit", "memory"], 3, []))
    assert len(whole["runs"]) == 1
    assert {row["seconds"] for row in whole["rows"]} == {3}


# --------------------------------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def committed():
    return read(DOCS / "performance.json")


def _head(**given):
    head = {"quick": False, "notes": {"theirs": "what theirs is"}, "runs": [_run()], "missing": []}
    return head | given


def _run(**given):
    run = {
        "tables": ["loss", "fit"], "date": "2019-06-16", "machine": "abacus", "minutes": 3.5,
        "load": [[0.5], [1.5]], "pools": {"blas": 1}, "versions": {"python": "3"},
    }  # fmt: skip
    return run | given


def _row(who=targets.OURS, **given):
    row = {"table": "loss", "what": "loss", "dtype": "float64", "alpha": "0.7", "n": 1000}
    row |= {"who": who, "clock": "cpu", "rounds": 9, "seconds": [1e-6, 2e-6, 3e-6]}
    row |= {"copies": [2.5, 3.0, 3.5], "ours": [0.5, 1.0, 2.0]}
    return row | given


def _record(tmp_path, rows, **head):
    performance.write(_head(**head, rows=rows), tmp_path / "performance.json")
    return read(tmp_path / "performance.json")


def _target(name, record):
    (line,) = [one.line(record) for one in targets.targets() if one.text.startswith(name)]
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
    planned: dict[str, list] = {}
    quick = itertools.chain.from_iterable(plan(plans.QUICK) for plan in plans.PLANS)
    # The numbers of rows of these are those of a full run.
    for one in itertools.chain(quick, training.training(plans.FULL)):
        planned.setdefault(one.table, []).append(one.make())
    for target in targets.targets():
        if target.table == "memory":
            assert target.wanted["who"] in memory.WAYS[(target.wanted["what"],)]
            continue
        if target.wanted.get("what") == "memory":
            assert target.wanted["who"] in training.ways(target.wanted["p"])
            continue
        wanted = {key: value for key, value in target.wanted.items() if key != "who"}
        assert any(
            all(one.about[key] == value for key, value in wanted.items())
            and target.wanted["who"] in [entry.name for entry in one.contestants]
            for one in planned[target.table]
        ), target.name


def test_what_is_missed_is_explained_by_the_record(tmp_path):
    rows = [
        _row("robloss", table="size", n=10, seconds=[3e-6, 5e-6, 6e-6]),
        _row("robloss", table="size", n=1000, seconds=[7e-6, 8e-6, 9e-6]),
        _row(copies=[3.9, 4.0, 4.1]),
        _row(dtype="float32", copies=[1, 1, 1]),
    ]
    first, second = targets.missed(_record(tmp_path, rows)).splitlines()
    assert first == "* loss, float64: × copy. No reason was measured."
    assert second.startswith("* call overhead at 10 elements. It is not arithmetic: a call on 1000")
    assert second.endswith("takes 1.6 times as long. The quartiles lie on both sides of the limit.")
    assert targets.missed(_record(tmp_path, rows[3:])) == "Nothing."
    assert targets.missed(_record(tmp_path, rows, quick=True)) == "Nothing."


def test_every_reason_finds_its_numbers(committed):
    reasons = [one.why(committed["rows"]) for one in targets.targets() if one.why]
    assert len(reasons) == 8
    assert not [one for one in reasons if "nan" in one]


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
    assert maker.crossed(record["rows"], "loss", ("dtype", "alpha"), copies).splitlines() == [
        "|  | robloss, out= | torch |",
        "| --- | --: | --: |",
        "| float64, α = 0.7 | 3 | 9 |",
        "| float64, α per element | 3 | – |",
    ]
    assert maker.crossed(record["rows"], "fit", ("what",), copies) == "Not measured."


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
        "* loss, fit: 2019-06-16, 3.5 minutes on abacus; load average 0.5 before and 1.5 after; ",
        "* theirs: what theirs is",
        "python 3",
        "9 rounds",
        "blas 1",
        "1 000 elements",
    ):
        assert part in text


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed").use("agg")
    rows = [_row(who, alpha=alpha) for who in ("copy", targets.OURS) for alpha in ("0.7", "array")]
    rows[0]["copies"] = rows[1]["copies"] = None
    rows += [_row(targets.OURS, table="size", n=10), _row("robloss", table="columns", p=2)]
    record = _record(tmp_path, rows)
    left, right = pictures.bars(record).axes
    assert [bar.get_width() for bar in left.patches] == [3.0, 3.0]
    assert not right.patches
    (ax,) = pictures.over_sizes(record).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    np.testing.assert_allclose(lines[targets.OURS], [[10, 2e-7], [1000, 2e-9]])
    assert set(lines) == {targets.OURS, "copy"}
    (ax,) = pictures.over_columns(record).axes
    assert ax.lines[0].get_xydata().tolist() == [[2, 2e-6]]


# ------------------------------------------------------------------------------- what is committed


def test_the_page_is_what_its_script_makes(committed):
    assert (DOCS / "performance.md").read_text(encoding="utf-8") == maker.page(committed)


def test_the_record_is_of_a_full_run(committed):
    assert not committed["quick"]
    full = plans.FULL
    assert {row["n"] for row in maker.select(committed["rows"], table="loss")} == {full.large}
    for run in committed["runs"]:
        assert set(run["pools"].values()) == {1}
    tables = [table for run in committed["runs"] for table in run["tables"]]
    assert sorted(tables) == sorted(performance.TABLES)
    assert [one.name for one in targets.targets() if one.measured(committed) is None] == []
