"""docs/performance-gpu.md: the program that measures, on a GPU made of NumPy, and the page."""

import itertools
from types import SimpleNamespace

import gpu
import gpu_steps
import numpy as np
import performance_gpu
import pytest
import targets
from record import read, write

import robloss
from robloss._backends.numpy import evaluate


class _Array(np.ndarray):
    """What CuPy's arrays can do that NumPy's cannot."""

    def get(self):
        return np.asarray(self)

    @property
    def data(self):
        return SimpleNamespace(copy_from_device_async=lambda other, size: None)


class _Random:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def standard_normal(self, n):
        return self.rng.standard_normal(n).view(_Array)

    def uniform(self, low, high, n):
        return self.rng.uniform(low, high, n).view(_Array)


def card(ticks):
    """CuPy, as far as the program uses it; each event lasts as long as is said."""

    class Event:
        def record(self):
            pass

        def synchronize(self):
            pass

    runtime = SimpleNamespace(
        deviceSynchronize=lambda: None,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        getDeviceProperties=lambda device: {"name": b"Paper", "multiProcessorCount": 1},
    )
    cuda = SimpleNamespace(
        Event=Event, runtime=runtime, get_elapsed_time=lambda start, stop: next(ticks)
    )
    return SimpleNamespace(
        cuda=cuda,
        random=SimpleNamespace(default_rng=_Random),
        empty_like=np.empty_like,
        get_default_memory_pool=lambda: SimpleNamespace(free_all_blocks=lambda: None),
        **{name: getattr(np, name) for name in ("sqrt", "log", "exp", "stack", "float64")},
    )


@pytest.fixture
def record(monkeypatch, tmp_path):
    """A record of the whole program; the peers of torch and the sums are left out."""

    def numpy_alone(job):
        return lambda: evaluate(job.outputs, job.arguments)

    monkeypatch.setattr(gpu, "on_host", np.asarray)
    monkeypatch.setattr(gpu, "FUSED_OR_NOT", {gpu.OURS: numpy_alone})
    monkeypatch.setattr(gpu, "OF_THE_LOSS", {gpu.OURS: numpy_alone, "torch": _fails})
    monkeypatch.setattr(gpu, "OF_SUMS", {gpu.OURS: _sums})
    cp = card(itertools.cycle([1.0, 2.0]))
    found = gpu.measure(cp, 1000, 2)
    fields = [[row.get(field) for field in gpu.FIELDS] for row in found.rows]
    write(gpu.head(cp, found, 1000, 0.1, quick=False), gpu.FIELDS, fields, tmp_path / "r.json")
    return read(tmp_path / "r.json")


def _fails(*_):
    raise RuntimeError("no such card")


def _sums(job):
    return lambda: np.array([np.sum(one) for one in evaluate(job.outputs, job.arguments)])


def test_what_is_measured_and_what_is_made_of_it(record):
    asked = {(row["table"], row["what"], row["dtype"], row["alpha"]) for row in record["rows"]}
    assert ("loss", "loss", "float32", "0.7") in asked
    assert ("loss", "loss", "float64", "array") in asked
    assert ("set", performance_gpu.TOGETHER, "float32", "0.7") in asked
    assert {what for table, what, _, _ in asked if table == "operation"} == {*gpu.ELEMENTWISE[1:]}
    assert {one["reason"] for one in record["missing"]} == {"RuntimeError: no such card"}
    text = performance_gpu.page(record)
    assert "Paper (1 multiprocessors)" in text
    assert "{" not in text
    assert "no such card" in text


@pytest.mark.parametrize("dtype", gpu_steps.DTYPES)
@pytest.mark.parametrize("columns", [None, 64])
def test_steps_of_learning_are_the_same_for_everybody(columns, dtype, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr(gpu_steps.contestants, "compiled_reference", _fails)

    def clock_of(ahead):
        ahead()
        return gpu.contest.CLOCKS["wall"]

    made = gpu_steps.training(clock_of, 1000, dtype, "cpu", columns)
    found = gpu.contest.run(made, 2, least=0.0)
    assert {row["who"] for row in found.rows} >= {gpu_steps.OURS, gpu_steps.REFERENCE, "copy"}
    assert [one["who"] for one in found.missing] == [gpu_steps.COMPILED]
    given = gpu_steps.residuals("cpu", made.about["n"], dtype)
    given = given if columns is None else given.reshape(-1, columns)
    with pytest.raises(gpu.contest.WrongValueError):
        made.check([2 * one for one in gpu_steps.step(robloss.loss, given)()])


def test_fits_end_at_the_same_coefficients():
    pytest.importorskip("torch", reason="torch is not installed")
    cp = SimpleNamespace(asarray=lambda array: array.view(_Array))
    made = gpu_steps.fit(cp, 2000, "cpu")
    found = gpu.contest.run(made, 1, least=0.0)
    assert gpu_steps.ON_TWO_CORES in {row["who"] for row in found.rows}


def test_a_fraction_is_that_of_the_traffic():
    row = {"traffic": 2.0, "copies": [2.0, 2.5, 4.0]}
    assert performance_gpu.fraction(row) == [0.5, 0.8, 1.0]
    assert performance_gpu.memory_times(row) == [1.0, 1.25, 2.0]


@pytest.mark.parametrize(("copies", "said"), [(1.0, "**yes**"), (1.3, "no, 9.5 % off")])
def test_targets_are_judged(copies, said):
    first = performance_gpu.targets()[0]
    assert isinstance(first, targets.Target)
    row = first.wanted | {"table": "loss", "traffic": 1.0, "copies": [copies] * 3}
    assert first.line({"rows": [row], "quick": False})[-1] == said


def test_a_wrong_value_stops_the_measurement(monkeypatch):
    monkeypatch.setattr(gpu, "on_host", np.asarray)
    wrong = {gpu.OURS: lambda job: lambda: (job.x * 0,)}
    plan = gpu.Plan("loss", ("loss",), "float32", 0.7, wrong)
    cp = card(itertools.repeat(1.0))
    made = gpu.made(cp, plan, gpu.residuals(cp, 100, "float32"))
    with pytest.raises(gpu.contest.WrongValueError):
        gpu.contest.run(made, 1, least=0.0)


def test_what_is_recorded_stands_in_the_documentation():
    if not performance_gpu.RECORD.exists():
        pytest.skip("nothing has been measured on a GPU yet")
    assert performance_gpu.PAGE.read_text() == performance_gpu.page(read(performance_gpu.RECORD))
    index = (performance_gpu.DOCS / "index.md").read_text()
    assert "\nperformance-gpu\n" in index


def test_no_record_is_no_page(monkeypatch, tmp_path):
    monkeypatch.setattr(performance_gpu, "RECORD", tmp_path / "none.json")
    monkeypatch.setattr(performance_gpu, "PAGE", tmp_path / "none.md")
    performance_gpu.main()
    assert not (tmp_path / "none.md").exists()
