"""Make docs/performance-gpu.md from what `nox -s bench_gpu` saves, docs/performance-gpu.json.

python docs/performance_gpu.py

Where there is no record yet, there is no page.
"""

from pages import (
    COPY,
    DOCS,
    count,
    crossed,
    median_of,
    number,
    read,
    seconds,
    spread,
    table,
    template,
)
from targets import STEP, Target

RECORD = DOCS / "performance-gpu.json"
PAGE = DOCS / "performance-gpu.md"
OURS = "robloss"
TOGETHER = "loss + influence + weight"


def fraction(row: dict) -> list[float] | None:
    """Quartiles of what is moved per second, as a fraction of what a copy moves."""
    return [row["traffic"] / one for one in reversed(row["copies"])] if row["copies"] else None


def memory_times(row: dict) -> list[float] | None:
    """Quartiles of the time over that of moving as many bytes in a copy."""
    return [one / row["traffic"] for one in row["copies"]] if row["copies"] else None


def over_ours(row: dict) -> list[float] | None:
    """Quartiles of the time over that of robloss in the same round."""
    return row["ours"]


def targets() -> list[Target]:
    """What the project set itself."""
    ours = {"who": OURS, "alpha": "0.7"}
    loss = ours | {"what": "loss"}
    several = ours | {"what": TOGETHER, "dtype": "float32"}
    of_step = {"what": STEP, "dtype": "float32"}
    share = "of the bandwidth of a copy"
    return [
        Target("loss, float32", share, 0.85, None, "loss", loss | {"dtype": "float32"}, fraction,
               at_least=True),
        Target(f"{TOGETHER}, float32", share, 0.8, None, "set", several, fraction, at_least=True),
        Target("loss, float64", "× the time of its traffic", 2.5, None, "loss",
               loss | {"dtype": "float64"}, memory_times),
        Target("torch, forward and backward, float32", "× faster than the generic path", 5, None,
               "training", of_step | {"who": "generic path"}, over_ours, at_least=True),
        Target("torch, forward and backward, float32", "× faster than the reference formula", 15,
               None, "training", of_step | {"who": "reference formula"}, over_ours, at_least=True),
        Target("fit_linear, n = 10⁷, p = 10", "× faster than on two cores", 20, None, "fit",
               {"who": "robloss, two cores"}, over_ours, at_least=True),
    ]  # fmt: skip


def _fractions(rows: list[dict], name: str) -> str:
    """A line per contest, a column per contestant."""
    rows = [row | {"fraction": fraction(row)} for row in rows if row["who"] != COPY]
    return crossed(rows, name, ("what", "dtype", "alpha"), median_of("fraction"))


def _ratios(rows: list[dict], name: str) -> str:
    """A line per contestant: its time, and how many times ours that is."""
    lines = [
        [
            f"{row['what']}, {row['dtype']}: {row['who']}",
            spread(row["seconds"], seconds),
            spread(row.get("ours")),
        ]
        for row in rows
        if row["table"] == name and row["who"] != COPY
    ]
    return table(["", "time", "× ours"], lines)


def _times(rows: list[dict]) -> str:
    lines = [
        [f"{row['table']}: {row['what']}, {row['dtype']}, α = {row['alpha']}: {row['who']}",
         spread(row["seconds"], seconds), spread(row.get("copies")), spread(row.get("ours"))]
        for row in rows
    ]  # fmt: skip
    return table(["", "time", "× copy", "× ours"], lines)


def page(record: dict) -> str:
    """The whole page."""
    rows = record["rows"]
    missing = [f"* {one['who']} ({one['what']}): {one['reason']}" for one in record["missing"]]
    heads = ["", "reach", "then", "measured", "met"]
    return template("performance-gpu").format(
        n=count(rows[0]["n"]),
        card=record["card"],
        multiprocessors=record["multiprocessors"],
        machine=record["machine"],
        driver=record["driver"],
        cuda=record["cuda"]["runtime"],
        date=record["date"],
        versions=", ".join(f"{name} {value}" for name, value in record["versions"].items()),
        bandwidth=", ".join(
            f"{number(value / 1e12)} TB/s ({dtype})" for dtype, value in record["bandwidth"].items()
        ),
        rounds=max(row["rounds"] for row in rows),
        targets=table(heads, [target.line(record) for target in targets()]),
        notes="\n".join(f"* {name}: {note}" for name, note in record["notes"].items()),
        loss=_fractions(rows, "loss"),
        sets=_fractions(rows, "set"),
        sums=_fractions(rows, "sums"),
        operations=_fractions(rows, "operation"),
        training=_ratios(rows, "training"),
        fits=_ratios(rows, "fit"),
        missing="\n".join(dict.fromkeys(missing)) or "Everybody took part in everything.",
        all=_times(rows),
    )


def main() -> None:
    """Write the page."""
    if RECORD.exists():
        PAGE.write_text(page(read(RECORD)), encoding="utf-8")


if __name__ == "__main__":
    main()
