"""Make docs/performance.md and its pictures from what `nox -s bench` saves, docs/performance.json.

python docs/performance.py
"""

from pages import (
    DOCS,
    FIGURES,
    count,
    crossed,
    label,
    median_of,
    names,
    number,
    read,
    seconds,
    select,
    spread,
    table,
    template,
)
from pictures import bars, of_all_sizes, over_columns, over_sizes
from targets import OURS, STEP, missed, targets

QUICK = """
```{warning}
These are the figures of a quick run with tiny arrays. They show that everything runs, not how fast.
```
"""


def with_factor(row: dict) -> str:
    """Seconds, and how many times ours."""
    times = "" if row["ours"] is None or row["who"] == "robloss" else f", {number(row['ours'][1])}×"
    return seconds(row["seconds"][1]) + times


def memory_of(row: dict) -> str:
    """In multiples of the input."""
    return number(round(row["memory"], 2))


def everything(record: dict) -> str:
    """Every timed row."""
    lines = []
    for row in record["rows"]:
        if row["seconds"] is None:
            continue
        about = [label(key, row[key]) for key in ("table", "what", "dtype", "alpha", "n", "p")
                 if row[key] is not None]  # fmt: skip
        lines.append([
            f"{', '.join(about)}: {row['who']}", str(row["rounds"]),
            spread(row["seconds"], seconds), spread(row["copies"]), spread(row["ours"]),
        ])  # fmt: skip
    return table(["", "rounds", "time", "× copy", "× ours"], lines)


def missing(record: dict) -> str:
    """Who could not take part, and why."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in record["missing"]:
        found.setdefault((one["who"], one["reason"]), []).append(one["table"])
    if not found:
        return "Everybody took part in everything."
    return "\n".join(
        f"* {who} ({', '.join(dict.fromkeys(tables))}): {reason}"
        for (who, reason), tables in found.items()
    )


def _only(rows: list[dict], field: str, **wanted: object) -> str:
    """The one value that a field has in a table, for a sentence."""
    values = names(select(rows, **wanted), field)
    return count(values[0]) if values else "–"


def _run(run: dict) -> str:
    """Where and when some tables were measured."""
    loads = " before and ".join(str(load[0]) if load else "–" for load in run["load"])
    return (
        f"* {', '.join(run['tables'])}: {run['date']}, {run['minutes']} minutes on "
        f"{run['machine']}; load average {loads} after; {_pairs(run['versions'])}; "
        f"threads of the pools that were loaded: {_pairs(run['pools']) or 'unknown'}."
    )


def _pairs(found: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


def page(record: dict) -> str:
    """The whole page."""
    copies, times = median_of("copies"), median_of("seconds", seconds)
    rows = record["rows"]
    rounds = [row["rounds"] for row in select(rows, table="loss", who=OURS)]
    heads = ["", "reach", "then", "measured", "met"]
    return template("performance").format(
        quick=QUICK if record["quick"] else "",
        large=_only(rows, "n", table="loss"),
        medium=_only(rows, "n", table="operation"),
        rows=_only(rows, "n", table="fit"),
        columns=_only(rows, "p", table="fit"),
        design_rows=_only(rows, "n", table="columns"),
        rounds=max(rounds, default=0),
        targets=table(heads, [target.line(record) for target in targets()]),
        missed=missed(record),
        runs="\n".join(map(_run, record["runs"])),
        notes="\n".join(f"* {name}: {note}" for name, note in record["notes"].items()),
        loss=crossed(rows, "loss", ("dtype", "alpha"), copies),
        sets=crossed(rows, "set", ("what", "dtype"), copies),
        sums=crossed(rows, "sums", ("dtype",), copies),
        operations=crossed(rows, "operation", ("what", "dtype"), copies),
        sizes=crossed(of_all_sizes(record), "size", ("n",), times),
        threads=crossed(rows, "threads", ("what",), times),
        start=crossed(rows, "start", ("what",), times),
        compiled=crossed(rows, "compile", ("what",), times),
        fits=crossed(rows, "fit", ("what",), with_factor),
        designs=crossed(rows, "columns", ("p",), with_factor),
        training=crossed(select(rows, what=STEP), "training", ("dtype", "n", "p"), with_factor),
        training_memory=crossed(select(rows, what="memory"), "training", ("dtype", "p"), memory_of),
        memory=crossed(rows, "memory", ("what",), memory_of),
        missing=missing(record),
        all=everything(record),
    )


PICTURES = {"loss": bars, "size": over_sizes, "columns": over_columns}


def main() -> None:
    """Write the page and the pictures."""
    record = read(DOCS / "performance.json")
    (DOCS / "performance.md").write_text(page(record), encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        target = FIGURES / f"performance_{name}.png"
        draw(record).savefig(target, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
