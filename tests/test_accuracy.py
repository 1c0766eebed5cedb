"""The accuracy table of API.md, measured on every library; printed at the end of the run."""

import math

import numpy as np
import pytest
from accuracy import ELEMENTWISE, PARTITION, Row, adversarial, measure, table
from backends import Library

from robloss._ops import OPERATIONS

POINTS, SEED = 3000, 2019


def test_every_public_operation_is_measured():
    public = {name for name, row in OPERATIONS.items() if row.public}
    assert public <= {*ELEMENTWISE, *PARTITION}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", [SEED], ids=lambda seed: f"seed{seed}")
def test_right_hand_column(backend, dtype, seed, tables):
    rows = [measure(backend, name, dtype, POINTS, seed) for name in (*ELEMENTWISE, *PARTITION)]
    tables.append(table(rows))
    assert [row for row in rows if not row.ratio <= 1] == []
    # Few points have a normal grad_alpha in float32: it is of order (x/scale)**6.
    assert all(row.points > (POINTS // 5 if row.name in ELEMENTWISE else 10) for row in rows)


# Ulp that API.md's left-hand column allows NumPy's kernels; 6 where nothing is said.
LEFT_HAND = {"curvature": 8, "grad_alpha": 16}


@pytest.mark.backends(lambda library: library is Library.NUMPY)
@pytest.mark.parametrize("seed", [SEED], ids=lambda seed: f"seed{seed}")
def test_left_hand_column_on_numpy(backend, seed):
    rows = [measure(backend, name, "float64", POINTS, seed) for name in ELEMENTWISE]
    assert [row for row in rows if not row.most <= LEFT_HAND.get(row.name, 6)] == []


@pytest.mark.backends(lambda library: library is Library.NUMPY)
def test_numpy_in_float32_rounds_once(backend):
    """The kernels compute in float64: half an ulp, and what float64's error adds to it."""
    rows = [measure(backend, name, "float32", POINTS, SEED) for name in ELEMENTWISE]
    # The curvature counts in ulp of the larger of itself and the weight.
    assert [row for row in rows if not row.most <= 0.51] == []


def test_the_measurement_can_fail(monkeypatch):
    def wrong(name, *columns):
        return columns[0] * 0 + 1

    monkeypatch.setattr("accuracy.evaluate", wrong)
    row = measure(Library.NUMPY, "loss", "float64", 200, SEED)
    assert row.ratio > 1e6


def test_the_points_reach_every_region():
    x, alpha, scale = adversarial(POINTS, SEED, "float64").T
    with np.errstate(all="ignore"):
        ratio = np.abs(x / scale)
        distance = np.abs(alpha - 2)
    assert ratio.min() < 1e-140
    assert ratio.max() > 1e140
    assert distance[distance > 0].min() < 1e-14
    assert np.abs(alpha[alpha != 0]).min() < 1e-17
    assert set(alpha) >= {-math.inf, -2, 0, 1, 2, 4, math.inf}
    assert np.abs(alpha[np.isfinite(alpha)]).max() > 1e280


def test_the_table_shows_the_worst_point():
    row = Row("numpy", "float64", "loss", 10, 1.5, 1.25, 0.125, (1.0, 2.0, 3.0), 0.5, 0.5)
    assert "1, 2, 3" in table([row])
    assert "0.125" in table([row])
