"""Measure the accuracy of robloss on every library at hand, and of what users have today.

The points and the judge are those of the tests. Everything is written to docs/numerics.json, from
which docs/numerics.py makes the page and its pictures.

    python benchmarks/numerics.py [--points N] [--seed S] [--output FILE]
"""

import argparse
import datetime as dt
import math
import platform
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import record

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import accuracy  # noqa: E402
from accuracy import ELEMENTWISE, PARTITION, Row, Truth, judge, measure, sampled, truth  # noqa: E402
from backends import Library  # noqa: E402
from cases import kernel_allowance  # noqa: E402
from peers import PEERS, Peer  # noqa: E402

DTYPES = ("float64", "float32")
PACKAGES = (
    "numpy", "numba", "array-api-strict", "torch", "jax", "dask", "karbonn", "python-flint",
)  # fmt: skip


# ------------------------------------------------------------------------------------------- rows


def of_robloss(library: Library, points: int, seed: int) -> list[Row]:
    """Every operation in every sample.

    Subnormal numbers are for the kernels alone, and a tenth as many: XLA takes them for 0.
    """
    samples = {"adversarial": points, "everyday": points, "thresholds": points}
    if library is Library.NUMPY:
        samples["subnormals"] = max(points // 10, 100)
    rows = []
    for dtype in DTYPES:
        rows += [
            measure(library, name, dtype, count, seed, sample)
            for sample, count in samples.items()
            for name in ELEMENTWISE
        ]
        rows += [measure(library, name, dtype, points, seed) for name in PARTITION]
    return rows


def _rows_of(exact: Truth, kept: np.ndarray) -> Truth:
    return Truth(*[getattr(exact, field.name)[kept] for field in fields(exact)])


def of_peer(peer: Peer, points: int, seed: int) -> list[Row]:
    """What the peer offers, judged as the kernels are, in the samples that a user may meet."""
    rows = []
    for dtype in DTYPES:
        for sample in ("adversarial", "everyday"):
            for name in peer.operations:
                exact = _rows_of(sampled(name, sample, points, seed, dtype), slice(peer.most))
                if peer.leaves_out is not None:
                    exact = _rows_of(exact, ~peer.leaves_out(exact.points))
                values = peer.compute(name, *exact.points.T.astype(dtype)).astype(float)
                rows.append(judge(peer.name, name, dtype, sample, exact, values, kernel_allowance))
    return rows


# --------------------------------------------------------------------------------------- pictures

# One character per cell: ' ' no normal true value, '0' to '9' and on in thirds of a decade of ulp
# from 1; '~' a NaN or an infinity.
LEVELS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
STEPS_PER_DECADE = 3
SHOWN = ("loss", "grad_alpha")
COLUMNS, ROWS = 96, 60
# The shapes, left to right, in six parts of equal width: (from, to) of log10 of a distance, and
# from where in which direction it is taken.
SEGMENTS = (
    (6.0, 0.0, 0, -1), (0.0, -12.0, 0, -1), (-12.0, 0.0, 0, 1),
    (0.0, -12.0, 2, -1), (-12.0, 0.0, 2, 1), (0.0, 6.0, 2, 1),
)  # fmt: skip
TICKS = ("-1e6", "-1", "0", "1", "2", "3", "1e6")  # at the ends of the segments
RATIOS = (-8.0, 8.0)  # log10 |x/scale|, bottom to top


def picture_points(dtype: str) -> np.ndarray:
    """A point at random in each cell, rows bottom to top; scale 1."""
    rng = np.random.default_rng(2019)
    across, up = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS))
    across = (across + rng.random(across.shape)).ravel() / COLUMNS * len(SEGMENTS)
    up = (up + rng.random(up.shape)).ravel() / ROWS
    start, end, origin, direction = np.array(SEGMENTS)[across.astype(int)].T
    alpha = origin + direction * 10 ** (start + (end - start) * (across % 1))
    x = 10 ** (RATIOS[0] + (RATIOS[1] - RATIOS[0]) * up)
    return np.stack([x, alpha, np.ones_like(x)], axis=1).astype(dtype).astype(float)


def level(error: float) -> str:
    """The character of an error in ulp."""
    if not math.isfinite(error):
        return "~"
    step = round(STEPS_PER_DECADE * math.log10(max(error, 1.0)))
    return LEVELS[min(step, len(LEVELS) - 1)]


def panel(who: str, name: str, dtype: str, exact: Truth, computed: np.ndarray) -> dict:
    """The levels of one panel; `exact` holds some of the points of `picture_points`."""
    errors = dict(zip(map(tuple, exact.points.tolist()), exact.errors(computed), strict=True))
    points = map(tuple, picture_points(dtype).tolist())
    cells = "".join(level(errors[point]) if point in errors else " " for point in points)
    lines = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    return {"who": who, "operation": name, "dtype": dtype, "cells": lines}


def pictures(libraries: list[Library]) -> list[dict]:
    """Every panel: the kernels, the generic path, and the peers that work on arrays."""
    shown = [one for one in (Library.NUMPY, Library.TORCH) if one in libraries]
    panels = []
    for name in SHOWN:
        for dtype in DTYPES:
            exact = truth(name, picture_points(dtype), dtype)
            for library in shown:
                values = accuracy.computed(library, name, exact.points, dtype)
                panels.append(panel(library.option, name, dtype, exact, values))
            for peer in filter(lambda peer: peer.installed, PEERS):
                if name in peer.operations and peer.most is None:
                    values = peer.compute(name, *exact.points.T.astype(dtype)).astype(float)
                    panels.append(panel(peer.name, name, dtype, exact, values))
    return panels


# ----------------------------------------------------------------------------------------- record


def _number(value: object) -> object:
    """JSON has no infinity and no NaN."""
    if isinstance(value, tuple):
        return [_number(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def plain(row: Row) -> list:
    """A row for JSON: statistics to four digits, points in full."""
    rounded = {
        name: float(f"{getattr(row, name):.4g}")
        for name in ("median", "usual", "most", "lost", "ratio")
    }
    return [_number(value) for value in asdict(replace(row, **rounded)).values()]


def write(head: dict, rows: list[Row], path: Path) -> None:
    record.write(head, [field.name for field in fields(Row)], map(plain, rows), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000, help="per operation and dtype")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "numerics.json")
    options = parser.parse_args()
    libraries = Library.present()
    rows: list[Row] = []
    for library in libraries:
        print(f"robloss on {library.option}", flush=True)
        rows += of_robloss(library, options.points, options.seed)
    peers = [peer for peer in PEERS if peer.installed]
    for peer in peers:
        print(peer.name, flush=True)
        rows += of_peer(peer, options.points, options.seed)
    head = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "points": options.points,
        "seed": options.seed,
        "machine": f"{record.processor()}, {platform.system()} {platform.machine()}",
        "versions": record.versions(PACKAGES),
        "libraries": [library.option for library in libraries],
        "peers": {peer.name: peer.note for peer in peers},
        "encoding": {
            "levels": LEVELS,
            "steps_per_decade": STEPS_PER_DECADE,
            "ratios": RATIOS,
            "ticks": TICKS,
        },
        "pictures": pictures(libraries),
    }
    write(head, rows, options.output)
    print(accuracy.table(rows))


if __name__ == "__main__":
    main()
