"""docs/numerics.md: what measures it, what makes it, and the peers that stand in it."""

import importlib.util
import math
from pathlib import Path

import numerics
import numpy as np
import oracle
import peers
import pytest
from accuracy import ELEMENTWISE, Row, truth
from backends import Library

DOCS = Path(__file__).parents[2] / "docs"


def _page_maker():
    spec = importlib.util.spec_from_file_location("page_of_numerics", DOCS / "numerics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = _page_maker()


def _row(library="numpy", name="loss", dtype="float64", sample="everyday", **given):
    numbers = {"points": 8, "median": 0.5, "usual": 1.25, "most": 2.5, "lost": 0.0, "beyond": 0}
    numbers |= {"ratio": 0.25, "where": (1.0, -math.inf, 3.0), "got": 0.1, "true": 0.125}
    return Row(library=library, name=name, dtype=dtype, sample=sample, **(numbers | given))


def _record(tmp_path, rows, peers=("theirs",)):
    record = {
        "date": "2019-06-16", "points": 12345, "seed": 7, "machine": "abacus",
        "versions": {"python": "3"}, "libraries": ["numpy", "torch", "jax"],
        "peers": {peer: f"what {peer} is" for peer in peers},
        "encoding": {"levels": "01234567", "steps_per_decade": 2, "ratios": [-8, 8],
                     "ticks": list("abcdefg")},
        "pictures": [
            {"who": who, "operation": "loss", "dtype": dtype, "cells": ["01", " ~"]}
            for who in ("numpy", "theirs") for dtype in ("float64", "float32")
        ],
    }  # fmt: skip
    path = tmp_path / "numerics.json"
    numerics.write(record, rows, path)
    return maker.load(path)


# ------------------------------------------------------------------------------------ the record


def test_rows_survive_the_file(tmp_path):
    rows = [_row(), _row("torch", most=math.inf, ratio=math.inf, got=math.nan)]
    first, second = _record(tmp_path, rows)["rows"]
    assert first == {key: list(v) if key == "where" else v for key, v in vars(rows[0]).items()}
    assert second["most"] == second["ratio"] == math.inf
    assert math.isnan(second["got"])


def test_levels_are_thirds_of_decades():
    assert [numerics.level(error) for error in (0.0, 1.0, 10.0, 2.2, 1e16)] == list("0031M")
    assert numerics.level(math.inf) == "~"
    assert numerics.level(1e300) == numerics.LEVELS[-1]


@pytest.mark.parametrize("dtype", numerics.DTYPES)
def test_the_picture_reaches_what_it_says(dtype):
    x, alpha, scale = numerics.picture_points(dtype).T
    assert len(x) == numerics.ROWS * numerics.COLUMNS
    assert set(scale) == {1.0}
    assert 1e-8 < x.min() < 1e-7
    assert 1e7 < x.max() < 1e8
    first_row = alpha[: numerics.COLUMNS]
    assert np.all(np.diff(first_row) >= 0)
    assert first_row[0] < -1e5
    assert first_row[-1] > 1e5
    assert 0 < np.abs(alpha).min() < 1e-11
    np.testing.assert_array_equal(numerics.picture_points(dtype), np.stack([x, alpha, scale], 1))


def test_a_panel_shows_each_error_in_its_cell():
    points = numerics.picture_points("float64")
    exact = truth("loss", points, "float64")
    values = np.ldexp(exact.whole, exact.exponent)
    spoilt = values.copy()
    spoilt[0] *= 1.25
    cells = numerics.panel("who", "loss", "float64", exact, values)["cells"]
    assert {len(line) for line in cells} == {numerics.COLUMNS}
    assert set("".join(cells)) == {"0", " "}  # 0 and where the loss overflows
    changed = numerics.panel("who", "loss", "float64", exact, spoilt)["cells"]
    assert changed[0][0] > "A"
    assert changed[1:] == cells[1:]


def test_a_small_measurement(monkeypatch):
    monkeypatch.setattr(numerics, "PARTITION", ())
    rows = numerics.of_robloss(Library.NUMPY, 20, 3)
    assert {row.sample for row in rows} == set(maker.TITLES)
    assert {row.name for row in rows} == set(ELEMENTWISE)
    textbook = numerics.of_peer(peers.PEERS[0], 20, 3)
    assert {row.library for row in textbook} == {"x**p - 1"}
    assert len(textbook) == 2 * 2 * len(ELEMENTWISE)


def test_a_peer_leaves_points_out(monkeypatch):
    peer = peers.Peer(
        "p", "numpy", "", ("loss",), lambda name, x, alpha, scale: x,
        lambda points: points[:, 1] == 2, 150,
    )  # fmt: skip
    rows = numerics.of_peer(peer, 200, 3)
    assert [row.points for row in rows if row.sample == "everyday"] == [150, 150]
    assert all(100 < row.points < 150 for row in rows if row.sample == "adversarial")


# -------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (1.2345, "1.23"), (1234.5, "1234"), (123456, "1.2e5"),
     (2e-16, "2.0e-16"), (math.inf, "∞")],
)  # fmt: skip
def test_numbers(value, text):
    assert maker.number(value) == text


def test_table():
    assert maker.table(["a", "b"], [["1", "2"]]).splitlines() == [
        "| a | b |", "| --- | --: |", "| 1 | 2 |",
    ]  # fmt: skip


def test_summary_takes_the_worst_of_the_others(tmp_path):
    rows = [_row(), _row("torch", most=3.0), _row("jax", most=40.0), _row("theirs", most=math.inf)]
    lines = maker.summary(_record(tmp_path, rows)).splitlines()
    assert lines[0] == "|  | NumPy | other libraries | `theirs` |"
    assert lines[2] == "| everyday, float64, loss | 2.5 | 40 | ∞ |"
    assert lines[3] == "| everyday, float64, influence | – | – | – |"


def test_tables_hold_every_row_and_hold_peers_to_nothing(tmp_path):
    rows = [_row(beyond=3, ratio=1.5), _row("theirs", lost=0.5, sample="adversarial")]
    text = maker.tables(_record(tmp_path, rows))
    assert "### Everyday points, float64" in text
    assert "| loss, `numpy` | 8 | 0.5 | 1.25 | 2.5 | 0 | 1.5 | 3 |" in text
    assert "| loss, `theirs` | 8 | 0.5 | 1.25 | 2.5 | 50 % | – | – |" in text
    assert "float32" not in text


def test_broken_contracts_are_named(tmp_path):
    rows = [_row(), _row("torch", beyond=2, ratio=9.0), _row("theirs", beyond=8)]
    (sentence,) = maker.broken(_record(tmp_path, rows))
    assert sentence.startswith("loss on torch in float64, everyday: 2 of 8 points, worst 9 times")


def test_the_page_says_where_the_contract_is_broken(tmp_path):
    assert maker.outside(_record(tmp_path, [_row(), _row("theirs", beyond=8)])).startswith("No poi")
    rows = [_row(beyond=2, ratio=9.0), _row(name="weight", beyond=2, ratio=math.inf)]
    text = maker.outside(_record(tmp_path, rows))
    assert "| `numpy`, everyday, float64 | 25 % | weight(1, -inf, 3) |" in text


def test_the_page_says_how_it_was_measured(tmp_path):
    text = maker.page(_record(tmp_path, [_row(), _row("theirs")]))
    for part in ("12 345 points", "Seed 7, 2019-06-16, abacus", "what theirs is", "python 3"):
        assert part in text
    assert "| loss, `numpy`, float64, everyday | `1.0` | `-inf` | `3.0` | `0.1` | `0.125` |" in text


def test_cells_are_read_back():
    encoding = {"levels": "01234567", "steps_per_decade": 0.25}
    first, second = maker.decades({"dtype": "float32", "cells": ["01", " ~"]}, encoding)
    assert first == [0, 4]
    assert math.isnan(second[0])
    assert second[1] == math.inf
    assert maker.decades({"dtype": "float32", "cells": ["7"]}, encoding) == [
        [7]
    ]  # no digit is left


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed").use("agg")
    figure = maker.draw(_record(tmp_path, [_row()]), "loss")
    titles = [ax.get_title() for ax in figure.axes[:4]]
    assert titles == ["numpy, float64", "theirs, float64", "numpy, float32", "theirs, float32"]


# --------------------------------------------------------------------------- what is committed


@pytest.fixture(scope="module")
def committed():
    return maker.load(DOCS / "numerics.json")


def test_the_page_is_what_its_script_makes(committed):
    assert (DOCS / "numerics.md").read_text(encoding="utf-8") == maker.page(committed)


def test_the_record_is_of_a_full_run(committed):
    assert committed["points"] >= 100_000
    assert set(committed["peers"]) == {peer.name for peer in peers.PEERS}
    assert committed["libraries"] == ["numpy", "array-api-strict", "torch", "jax", "dask"]
    assert (DOCS / "numerics.json").stat().st_size < 200_000


def test_the_record_keeps_the_contract(committed):
    ours = [row for row in committed["rows"] if row["library"] in committed["libraries"]]
    assert len(ours) >= 5 * 2 * (3 * 6 + 2) + 2 * 6
    assert [row for row in ours if row["beyond"]] == []


# ------------------------------------------------------------------------------------- the peers

POINTS = np.array([[0.7, 0.5, 1.5], [-3.0, 1.25, 0.5], [2.0, -2.0, 1.0], [1.5, 3.0, 2.0]])
SPECIAL = np.array([[0.7, alpha, 1.5] for alpha in (0.0, 2.0, -math.inf, math.inf)])


def _exact(name, points):
    return [float(getattr(oracle, name)(*point)) for point in points.tolist()]


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_peers_compute_the_operation(peer, name):
    if not peer.installed:
        pytest.skip(f"{peer.module} is not installed")
    if name not in peer.operations:
        assert (peer.name, name) == ("karbonn", "grad_alpha")
        return
    values = peer.compute(name, *POINTS.T)
    # The textbook grad_alpha loses 1e-12 to cancellation even at these points.
    np.testing.assert_allclose(values, _exact(name, POINTS), rtol=1e-11)
    narrow = peer.compute(name, *POINTS.T.astype("float32"))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, values, rtol=1e-3)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_textbook_has_its_special_cases(name):
    values = peers.textbook(name, *SPECIAL.T)
    np.testing.assert_allclose(values, _exact(name, SPECIAL), rtol=1e-12)


def test_the_reference_has_its_special_cases_and_its_clamp():
    pytest.importorskip("torch", reason="torch is not installed")
    np.testing.assert_allclose(
        peers.reference("loss", *SPECIAL.T), _exact("loss", SPECIAL), rtol=1e-12
    )
    for name in ("influence", "weight", "curvature", "grad_scale"):
        values = peers.reference(name, *SPECIAL.T)
        np.testing.assert_allclose(values[:2], _exact(name, SPECIAL[:2]), rtol=1e-12)
        # `where` does not keep the NaN of the branch not taken out of a derivative.
        assert np.isnan(values[2:]).all()
    # |alpha| below float32's epsilon is taken for it in the quotient, but not in the exponent.
    shrunk = peers.reference("loss", *np.array([[3.0, 2.0**-33, 1.0]]).T)[0]
    assert shrunk == pytest.approx(2.0**-10 * float(oracle.loss(3.0, 0.0)), rel=1e-4)


def test_karbonn_returns_twice_the_loss_at_two():
    pytest.importorskip("karbonn", reason="karbonn is not installed")
    twice = peers.karbonn("loss", *np.array([[3.0, 2.0, 1.0], [3.0, 2 - 2.0**-30, 1.0]]).T)
    assert twice[0] == 9.0
    assert twice[1] == pytest.approx(4.5, rel=1e-6)
    assert peers.PEERS[2].leaves_out(np.array([[3.0, 2.0, 1.0]])).tolist() == [True]
