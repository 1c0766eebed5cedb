"""Make docs/numerics.md and its pictures from docs/numerics.json, which `nox -s accuracy` measures.

python docs/numerics.py             the page and the pictures
python docs/numerics.py --strict    and status 1 where robloss is outside its contract
"""

import argparse
import math
import sys
from pathlib import Path

from pages import DOCS, DTYPES, FIGURES, read, select, table, template

OPERATIONS = ("loss", "influence", "weight", "curvature", "grad_alpha", "grad_scale")
PARTITION = ("log_partition", "log_partition_derivative")
DIGITS = {"float64": 16, "float32": 7}  # powers of ten of an ulp that are all of a value
KERNELS = "numpy"

TITLES = {
    "everyday": "Everyday points",
    "adversarial": "Adversarial points",
    "thresholds": "Thresholds and ends of the range",
    "subnormals": "Subnormal numbers",
}


def load(path: Path) -> dict:
    """The record, with the numbers of its rows as numbers again."""
    record = read(path)
    for row in record["rows"]:
        for key in ("median", "usual", "most", "lost", "ratio", "got", "true"):
            row[key] = float(row[key])
        row["where"] = [float(one) for one in row["where"]]
    return record


# ------------------------------------------------------------------------------------------- page


def number(value: float) -> str:
    """Three digits; powers of ten from ten thousand on."""
    if math.isinf(value):
        return "∞"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.1e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def summary(record: dict) -> str:
    """Worst errors: a line per sample, dtype and operation, a column per way to compute."""
    generic = [name for name in record["libraries"] if name != KERNELS]
    columns = {"NumPy": [KERNELS], "other libraries": generic}
    columns |= {f"`{peer}`": [peer] for peer in record["peers"]}
    lines = []
    for sample in ("everyday", "adversarial"):
        for dtype in DTYPES:
            for name in OPERATIONS:
                rows = select(record["rows"], sample=sample, dtype=dtype, name=name)
                worst = [_worst(rows, members) for members in columns.values()]
                lines.append([f"{sample}, {dtype}, {name}", *worst])
    return table(["", *columns], lines)


def _worst(rows: list[dict], libraries: list[str]) -> str:
    errors = [row["most"] for row in rows if row["library"] in libraries]
    return number(max(errors)) if errors else "–"


def outside(record: dict) -> str:
    """Where robloss breaks its contract: a line per library, sample and dtype."""
    found: dict[str, list[dict]] = {}
    for row in record["rows"]:
        if row["library"] not in record["peers"] and row["beyond"]:
            place = f"`{row['library']}`, {row['sample']}, {row['dtype']}"
            found.setdefault(place, []).append(row)
    if not found:
        return "No point of any library, sample and dtype."
    lines = []
    for place, rows in found.items():
        worst = max(rows, key=lambda row: row["ratio"])
        share = sum(row["beyond"] for row in rows) / sum(row["points"] for row in rows)
        point = ", ".join(f"{value:.17g}" for value in worst["where"])
        lines.append([place, f"{100 * share:.2g} %", f"{worst['name']}({point})"])
    heads = ["", "share of points, all operations", "worst, for example"]
    return table(heads, lines)


def tables(record: dict) -> str:
    """Every row of the elementwise operations, a table per sample and dtype."""
    heads = ["", "points", "median", "99.9 %", "worst", "wrong", "worst / allowed", "beyond"]
    parts = []
    for sample, title in TITLES.items():
        for dtype in DTYPES:
            rows = [
                row
                for name in OPERATIONS
                for row in select(record["rows"], sample=sample, dtype=dtype, name=name)
            ]
            if rows:
                lines = [_line(row, row["library"] in record["peers"]) for row in rows]
                parts.append(f"### {title}, {dtype}\n\n{table(heads, lines)}")
    return "\n\n".join(parts)


def _line(row: dict, is_peer: bool) -> list[str]:
    contract = ["–", "–"] if is_peer else [number(row["ratio"]), str(row["beyond"])]
    wrong = f"{100 * row['lost']:.3g} %" if row["lost"] else "0"
    errors = [number(row[key]) for key in ("median", "usual", "most")]
    return [f"{row['name']}, `{row['library']}`", str(row["points"]), *errors, wrong, *contract]


def partition(record: dict) -> str:
    """Absolute errors of log Z."""
    rows = [row for row in record["rows"] if row["name"] in PARTITION]
    lines = [
        [
            f"{row['name']}, {row['dtype']}, `{row['library']}`",
            str(row["points"]),
            *(number(row[key]) for key in ("median", "most", "ratio")),
        ]
        for row in rows
    ]
    return table(["", "points", "median", "worst", "worst / allowed"], lines)


def inputs(record: dict) -> str:
    """Worst points of the kernels, of one generic library, and of the peers."""
    first = next((name for name in record["libraries"] if name != KERNELS), KERNELS)
    shown = [KERNELS, first, *record["peers"]]
    rows = [row for row in record["rows"] if row["library"] in shown and row["name"] in OPERATIONS]
    # A peer's worst adversarial points are NaN and infinities; its everyday ones say more.
    rows = [
        row for row in rows if row["sample"] == "everyday" or row["library"] not in record["peers"]
    ]
    lines = [
        [
            f"{row['name']}, `{row['library']}`, {row['dtype']}, {row['sample']}",
            *(f"`{value!r}`" for value in (*row["where"], row["got"], row["true"])),
        ]
        for row in rows
    ]
    return table(["", "x", "α", "scale", "computed", "true"], lines)


def page(record: dict) -> str:
    """The whole page."""
    generic = [f"`{name}`" for name in record["libraries"] if name != KERNELS]
    return template("numerics").format(
        points=f"{record['points']:,}".replace(",", " "),
        seed=record["seed"],
        date=record["date"],
        machine=record["machine"],
        versions=", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        summary=summary(record),
        generic=", ".join(generic),
        peers="\n".join(f"* `{name}`: {note}" for name, note in record["peers"].items()),
        outside=outside(record),
        tables=tables(record),
        partition=partition(record),
        inputs=inputs(record),
    )


# --------------------------------------------------------------------------------------- pictures


def decades(panel: dict, encoding: dict) -> list[list[float]]:
    """log10 of the error of each cell; NaN where there is no true value, inf for NaN or inf.

    Where no digit is right, it makes no difference how wrong it is.
    """
    most = float(DIGITS[panel["dtype"]])
    meaning = {
        char: min(place / encoding["steps_per_decade"], most)
        for place, char in enumerate(encoding["levels"])
    }
    meaning |= {" ": math.nan, "~": math.inf}
    return [[meaning[char] for char in line] for line in panel["cells"]]


def draw(record: dict, name: str):
    """A figure of one operation: a row of panels per dtype, a column per way to compute."""
    import matplotlib.pyplot as plt

    panels = [one for one in record["pictures"] if one["operation"] == name]
    columns = list(dict.fromkeys(one["who"] for one in panels))
    figure, axes = plt.subplots(
        len(DTYPES), len(columns), figsize=(3.1 * len(columns), 5.6), squeeze=False,
        sharex=True, sharey=True, layout="constrained",
    )  # fmt: skip
    colours = plt.get_cmap("viridis").with_extremes(over="red", bad="white")
    for panel in panels:
        ax = axes[DTYPES.index(panel["dtype"]), columns.index(panel["who"])]
        image = ax.imshow(
            decades(panel, record["encoding"]), origin="lower", aspect="auto", cmap=colours,
            vmin=0, vmax=DIGITS[panel["dtype"]], extent=(0, 6, *record["encoding"]["ratios"]),
            interpolation="none",
        )  # fmt: skip
        ax.set_title(f"{panel['who']}, {panel['dtype']}", fontsize=9)
        if panel["who"] == columns[-1]:
            figure.colorbar(image, ax=ax, extend="max", label="log₁₀ of the error in ulp")
    for ax in axes[-1]:
        ax.set_xticks(range(7), record["encoding"]["ticks"], fontsize=7)
        ax.set_xlabel("α")
    for ax in axes[:, 0]:
        ax.set_ylabel("log₁₀ |x/c|")
    return figure


def broken(record: dict) -> list[str]:
    """A sentence for each row of robloss with a point outside the contract."""
    return [
        f"{row['name']} on {row['library']} in {row['dtype']}, {row['sample']}: {row['beyond']} of "
        f"{row['points']} points, worst {row['ratio']:.3g} times what is allowed, at {row['where']}"
        for row in record["rows"]
        if row["library"] not in record["peers"] and row["beyond"]
    ]


def main() -> None:
    """Write the page and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="fail where the contract is broken")
    options = parser.parse_args()
    record = load(DOCS / "numerics.json")
    (DOCS / "numerics.md").write_text(page(record), encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for name in dict.fromkeys(panel["operation"] for panel in record["pictures"]):
        figure = draw(record, name)
        figure.savefig(FIGURES / f"error_{name}.png", dpi=110, metadata={"Software": None})
    if options.strict and broken(record):
        sys.exit("\n".join(broken(record)))


if __name__ == "__main__":
    main()
