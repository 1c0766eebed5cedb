"""Make docs/numerics.md and its pictures from docs/numerics.json, which `nox -s accuracy` measures.

python docs/numerics.py             the page and the pictures
python docs/numerics.py --strict    and status 1 where robloss is outside its contract
"""

import argparse
import json
import math
import sys
from pathlib import Path

DOCS = Path(__file__).parent
FIGURES = DOCS / "figures"

OPERATIONS = ("loss", "influence", "weight", "curvature", "grad_alpha", "grad_scale")
PARTITION = ("log_partition", "log_partition_derivative")
DTYPES = ("float64", "float32")
DIGITS = {"float64": 16, "float32": 7}  # powers of ten of an ulp that are all of a value
KERNELS = "numpy"

TEXT = """\
# Numerics

How far the results of robloss are from the true values, measured, and the same measurement of what
users have today. Nothing on this page is written by hand but its sentences: `nox -s accuracy`
measures everything again, and `nox -s accuracy -- --seed 7` at points of another seed.

## What is promised

Errors count in units in the last place (ulp) of the true value in the dtype of the result, wherever
the true value is a normal number. NumPy arrays are computed by compiled kernels; every other
library by formulas on its own arrays.

| | NumPy | other libraries |
|---|---|---|
| loss, influence, weight, grad_scale | ≤ 6 ulp | ≤ 8 + 2M ulp |
| curvature, in ulp of the larger of itself and weight | ≤ 8 ulp | ≤ 8 + 2M ulp |
| grad_alpha | ≤ 16 ulp | ≤ 64 + 4M ulp |
| log_partition, float64 | ≤ 1e-14 absolute | the same |
| its derivative, float64 | ≤ 1e-12 (1 + \\|log\\|α − 2\\|\\|) | the same |

M = ½(|α| + |α − 2|) log1p((x/c)²/|α − 2|) is the size of the exponents involved: what one rounding
of an exponent costs. Where a power has saturated, no larger M than 4096 counts.

## How it was measured

The true values come from ball arithmetic (python-flint), at whatever precision makes the ball small
enough: each is proven to 80 bits. Every library and every peer is given the same points:

* **everyday**: 0 < α < 2, residuals normal or Cauchy, scales from 0.1 to 10;
* **adversarial**: every α from −∞ to ∞, next to 0, 1 and 2 as often as elsewhere, |x/c| from 1e-150
  to 1e150 (float32: 1e-15 to 1e18), scales from 1e-3 to 1e3;
* **thresholds**: next to every branch of the kernels, scales and residuals over the whole range of
  the dtype, results next to overflow and underflow;
* **subnormals**: the same where x or the scale is a subnormal number.

{points} points per operation, dtype and sample at which the true value is a normal number, a tenth
as many for subnormals, a hundredth for log Z. Seed {seed}, {date}, {machine}.

{versions}.

An error of ∞ is a NaN or an infinity where the true value is an ordinary number. 2^52 ulp in
float64 and 2^23 in float32 are an error as large as the value: no digit is left. "Wrong" is the
share of points where a thousandth of the value or more is wrong, "beyond" the number of points
outside the contract.

## In short

Worst error in ulp.

{summary}

Other libraries: the worst of {generic}; their contract grows with M. Peers:

{peers}

### Outside the contract

{outside}

## Pictures

Error of the loss and of ∂ρ/∂α over α and |x/c|, colour by powers of ten of an ulp. The axis of α
is logarithmic from −10⁶ to −1, on both sides of 0 and of 2 from 1 down to 1e-12, and from 3 to 10⁶.
Dark: right to the last place. Yellow: no digit is right. White: the true value is no normal number.
Red: NaN or infinite.

![Error of the loss over alpha and x for robloss and its peers](figures/error_loss.png)

![Error of grad_alpha over alpha and x for robloss and its peers](figures/error_grad_alpha.png)

## All measurements

{tables}

## log Z

Absolute errors of `log_partition` and of its derivative (private, used by fits).

{partition}

## Worst inputs

For each row the point at which the error is largest as a multiple of what is allowed; peers are
held to what the kernels for NumPy are held to.

{inputs}
"""

TITLES = {
    "everyday": "Everyday points",
    "adversarial": "Adversarial points",
    "thresholds": "Thresholds and ends of the range",
    "subnormals": "Subnormal numbers",
}


def load(path: Path) -> dict:
    """The record; its rows as dictionaries, with their numbers as numbers again."""
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = [dict(zip(record["fields"], row, strict=True)) for row in record["rows"]]
    for row in rows:
        for key in ("median", "usual", "most", "lost", "ratio", "got", "true"):
            row[key] = float(row[key])
        row["where"] = [float(one) for one in row["where"]]
    return record | {"rows": rows}


# ------------------------------------------------------------------------------------------- page


def number(value: float) -> str:
    """Three digits; powers of ten from ten thousand on."""
    if math.isinf(value):
        return "∞"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.1e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def table(heads: list[str], lines: list[list[str]]) -> str:
    """A Markdown table; the first column to the left, the others to the right."""
    rule = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rule, *lines])


def select(rows: list[dict], **wanted: str) -> list[dict]:
    """Rows whose fields are as wanted."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


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
    return TEXT.format(
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
