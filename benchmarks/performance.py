"""Measure the speed of robloss beside a copy and beside what users have today.

Everything is written to docs/performance.json, from which docs/performance.py makes the page and
its pictures. contest.py says how it is measured and why so.

    python benchmarks/performance.py [--output FILE]
    python benchmarks/performance.py --again TABLE ...   these alone, put into the record there is
    python benchmarks/performance.py --only TABLE ...    for a look, written nowhere
    python benchmarks/performance.py --quick             to see that it runs, written nowhere
"""

import argparse
import datetime as dt
import itertools
import os
import platform
import sys
import time
from pathlib import Path

import contestants
import memory
import plans
import processes
import record
import regressions
import training
from contest import Contest, Result, run

RECORD = Path(__file__).parents[1] / "docs" / "performance.json"
TABLES = (
    "loss", "set", "sums", "operation", "size", "threads", "start", "compile", "fit", "columns",
    "memory", "training",
)  # fmt: skip
PACKAGES = (
    "robloss", "numpy", "numba", "numexpr", "jax", "torch", "scipy", "statsmodels", "scikit-learn",
)  # fmt: skip
FIELDS = (
    "table", "what", "dtype", "alpha", "n", "p", "who", "clock", "rounds",
    "seconds", "copies", "ours", "memory",
)  # fmt: skip


# ------------------------------------------------------------------------------------- measurement


def _line(contest: Contest, result: Result, seconds: float) -> str:
    medians = ", ".join(f"{row['who']} {row['seconds'][1]:.3g}" for row in result.rows)
    return f"{' '.join(map(str, contest.about.values()))}: {medians} s [{seconds:.0f} s]"


def measure(size: plans.Size, tables: tuple[str, ...] = TABLES) -> Result:
    """Contests of some tables, on one thread, and what they leave."""
    total = Result()
    for one in itertools.chain.from_iterable(
        plan(size) for plan in (*plans.PLANS, training.training)
    ):
        if one.table not in tables:
            continue
        start = time.perf_counter()
        contest = one.make()
        result = run(contest, one.rounds, size.least)
        print(_line(contest, result, time.perf_counter() - start), flush=True)
        total.rows += result.rows
        total.missing += result.missing
    if "memory" in tables:
        weighed = memory.measure(size)
        total.rows += weighed.rows
        total.missing += weighed.missing
    if "training" in tables:
        weighed = training.memory(size)
        total.rows += weighed.rows
        total.missing += weighed.missing
    return total


def load_of_machine() -> list[float]:
    return [round(one, 2) for one in os.getloadavg()] if hasattr(os, "getloadavg") else []


def measured(size: plans.Size, tables: tuple[str, ...] = TABLES) -> dict:
    """A whole record of some tables."""
    start, before = time.time(), load_of_machine()
    with processes.one_thread():
        total = measure(size, tables)
        pools = processes.pools()
    one_run = {
        "tables": tables,
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": f"{record.processor()}, {os.cpu_count()} CPUs, {platform.platform(terse=True)}",
        "load": [before, load_of_machine()],
        "minutes": round((time.time() - start) / 60, 1),
        "pools": pools,
        "versions": record.versions(PACKAGES),
    }
    return {
        "quick": size is plans.QUICK,
        "runs": [one_run],
        "notes": contestants.NOTES | regressions.NOTES,
        "missing": total.missing,
        "rows": total.rows,
    }


# ------------------------------------------------------------------------------------------ record


def merged(old: dict, new: dict) -> dict:
    """The old record with the tables of the new one in the place of its own."""
    again = {table for one_run in new["runs"] for table in one_run["tables"]}
    runs = [
        one_run | {"tables": [table for table in one_run["tables"] if table not in again]}
        for one_run in old["runs"]
    ]
    kept = {
        part: [one for one in old[part] if one["table"] not in again]
        for part in ("missing", "rows")
    }
    return new | {
        "runs": [one_run for one_run in runs if one_run["tables"]] + new["runs"],
        "missing": kept["missing"] + new["missing"],
        "rows": sorted(kept["rows"] + new["rows"], key=lambda row: TABLES.index(row["table"])),
    }


def rounded(value: object) -> object:
    """Four digits are more than a second run gives."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def write(given: dict, path: Path) -> None:
    head = {key: value for key, value in given.items() if key != "rows"}
    rows = [[rounded(row.get(field)) for field in FIELDS] for row in given["rows"]]
    record.write(head, FIELDS, rows, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny arrays, to see that it runs")
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--only", nargs="+", choices=TABLES, help="some tables, for a look")
    some.add_argument("--again", nargs="+", choices=TABLES, help="some tables, into the record")
    parser.add_argument("--all-present", action="store_true", help="fail where a peer is missing")
    parser.add_argument("--output", type=Path, help="where to write the record")
    options = parser.parse_args()
    if options.quick and options.again:
        parser.error("tiny arrays do not belong into the record: --again goes without --quick")
    output = options.output
    if output is None and not (options.quick or options.only):
        output = RECORD
    size = plans.QUICK if options.quick else plans.FULL
    found = measured(size, tuple(options.only or options.again or TABLES))
    for one in found["missing"]:
        print("missing:", one, file=sys.stderr)
    if output is not None:
        write(merged(record.read(RECORD), found) if options.again else found, output)
    # One CPU, or another system than Linux, is no peer that is missing.
    peers = [
        one["who"]
        for one in found["missing"]
        if one["table"] not in ("threads", "memory") and not one["who"].startswith("robloss")
    ]
    if options.all_present and peers:
        sys.exit(f"missing: {', '.join(dict.fromkeys(peers))}")


if __name__ == "__main__":
    main()
