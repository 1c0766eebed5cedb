"""Make docs/performance.md and its pictures from what `nox -s bench` saves, docs/performance.json.

python docs/performance.py
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent
FIGURES = DOCS / "figures"

OURS = "robloss, out="
COPY = "copy"
DTYPES = ("float64", "float32")

TEXT = """\
# Performance

How long the operations and fits of robloss take, beside a copy of the same array and beside what
users have today. Nothing on this page is written by hand but its sentences: `nox -s bench` measures
everything again.
{quick}
## Targets

Medians, with their quartiles in parentheses. One thread unless said, {large} elements, α = 0.7
unless said; "× copy" is the time as a multiple of `np.copyto` of the same array. The second column
is what must be reached, the third what was hoped for beyond it.

{targets}

### What is missed, and why

* A set of three outputs reads one array and writes three: with three times the stores of the loss
  alone it depends on how the memory of the machine is doing; the quartiles lie on both sides of the
  target. Processor time at a quieter moment gave 1.13 to 1.18.
* A call on ten elements: half of it is Numba's dispatch and the allocation of the result, most of
  the rest looks at the arguments. Called back to back, without a copy of another array in between
  each time, it took 2.5 µs.
* Against statsmodels: a fit takes four passes over the data (least squares, two steps of Newton's
  method, one that makes sure and leaves residuals and weights). With rows that lie together in
  memory a fifth of a pass goes into turning them into columns. BLAS was tried for the products, and
  is slower than the tiles of `_kernels/rows.py` from 5 columns to 100.

* Memory is not measured here at present: by the resident size of a process that has done all the
  rest before, every contestant came out at 0, NumPy with its temporaries too, which cannot be. Each
  has to be weighed in a process of its own. What Python's tracemalloc counts is held by
  tests/unit/test_numpy_backend.py: the result and a fixed room for pieces, with `out=` that alone.

## How it was measured

* Every contestant first computes the same values: a wrong one stops the measurement.
* Then all run in turn, {rounds} rounds (slow ones fewer, see the last tables), in a random order,
  and each right after a copy of the same array. A ratio is taken within a round; reported is the
  median of these ratios. Calls shorter than the clock is exact are repeated.
* The time is CPU time of the process, all threads together, since the machine is shared; the wall
  clock only where it is said. One thread for everybody: BLAS, OpenMP, torch, XLA, numexpr, robloss
  (threads of the pools that were loaded: {pools}).
* Residuals are Cauchy, so that all branches are taken; scale 1.3.
* Memory is the largest resident size during a call beyond that before it, as Linux counts it.

{machine}. {date}, {minutes} minutes, load average {load}.

{versions}.

Contestants:

{notes}

`benchmarks/contest.py` says why CPU time, why a copy beside each call, and why no library.

## The loss

{large} elements, in copies of the array.

![Time of the loss as a multiple of a copy, for robloss and its peers](figures/performance_loss.png)

{loss}

## Several operations in one pass

{large} elements, in copies of the array.

{sets}

## Sums

The sum of the loss and of its derivatives in alpha and scale; {large} elements, in copies of the
array.

{sums}

## All operations

{medium} elements, in copies of the array.

{operations}

## From 10 elements to ten million

![Time per element over the number of elements](figures/performance_size.png)

The loss in float64: time of a call.

{sizes}

## Threads

The loss in float64, {large} elements; by the wall clock.

{threads}

## Start of Python

CPU time of a new process; what is compiled was compiled before. `import` is beyond `import numpy`
(of NumPy itself: in all); `first call` is a whole process from its start to its end.

{start}

## Linear regression

{rows} rows, {columns} columns, errors of Student's t with 1.5 degrees of freedom. "fixed": α = 1,
the scale given, the same minimum for everybody. "adapted": α and scale are found; HuberRegressor
minimises its own objective.

{fits}

### From 2 to 100 columns

{design_rows} rows; α and scale fixed.

![Time of a fit over the number of columns](figures/performance_columns.png)

{designs}

## Memory

Beyond what was there, in multiples of the input (of `X` for fits).

{memory}

## Who took no part

{missing}

## All measurements

Lower quartile, median and upper quartile; "× ours" is the time over that of the first contestant
of the same contest.

{all}
"""

QUICK = """
```{warning}
These are the figures of a quick run with tiny arrays. They show that everything runs, not how fast.
```
"""


def load(path: Path) -> dict:
    """The record; its rows as dictionaries."""
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = [dict(zip(record["fields"], row, strict=True)) for row in record["rows"]]
    return record | {"rows": rows}


# ---------------------------------------------------------------------------------------- numbers


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def seconds(value: float) -> str:
    """Three digits in a readable unit."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1:
            return f"{number(value * factor)} {unit}"
    return f"{number(value * 1e9)} ns"


def count(value: int) -> str:
    """With thin groups, as in the text."""
    return f"{value:,}".replace(",", " ")


def spread(quartiles: list[float] | None, show: Callable[[float], str] = number) -> str:
    """The median and, in parentheses, the quartiles."""
    if quartiles is None:
        return "–"
    low, median, high = map(show, quartiles)
    return f"{median} ({low}–{high})"


def table(heads: list[str], lines: list[list[str]]) -> str:
    """A Markdown table; the first column to the left, the others to the right."""
    if not lines:
        return "Not measured."
    rule = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rule, *lines])


def select(record: dict, **wanted: object) -> list[dict]:
    """Rows whose fields are as wanted."""
    rows = record["rows"]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def names(rows: list[dict], field: str) -> list:
    """Different values of a field, as they come."""
    return list(dict.fromkeys(row[field] for row in rows if row[field] is not None))


# ---------------------------------------------------------------------------------------- targets


@dataclass(frozen=True)
class Target:
    """What the project set itself: a limit to reach and one hoped for, of a measured number."""

    name: str
    unit: str
    reach: float
    then: float | None
    table: str
    wanted: dict
    value: Callable[[dict], list[float] | None]
    at_least: bool = False
    slack: float = 0.0

    @property
    def text(self) -> str:
        """What stands in the table."""
        return self.name if self.unit == "s" else f"{self.name}: {self.unit}"

    def measured(self, record: dict) -> list[float] | None:
        """Quartiles, or None."""
        rows = select(record, table=self.table, **self.wanted)
        return self.value(rows[0]) if rows else None

    def _meets(self, value: float, limit: float | None) -> bool:
        if limit is None:
            return False
        return value >= limit - self.slack if self.at_least else value <= limit + self.slack

    def line(self, record: dict) -> list[str]:
        """A line of the page's table."""
        sign = "≥" if self.at_least else "≤"
        limits = [
            "–" if limit is None else f"{sign} {self._say(limit)}"
            for limit in (self.reach, self.then)
        ]
        found = self.measured(record)
        if found is None:
            return [self.text, *limits, "–", "not measured"]
        return [self.text, *limits, spread(found, self._say), self._met(found[1], record["quick"])]

    def _met(self, median: float, quick: bool) -> str:
        if quick:
            return "–"
        if not self._meets(median, self.reach):
            return f"no, {number(abs(median / self.reach - 1) * 100)} % off" if self.reach else "no"
        return "**yes, both**" if self._meets(median, self.then) else "**yes**"

    def _say(self, value: float) -> str:
        return seconds(value) if self.unit == "s" else number(value)


def _copies(row: dict) -> list[float] | None:
    return row["copies"]


def _times_ours(row: dict) -> list[float] | None:
    return row["ours"]


def _over_this(row: dict) -> list[float] | None:
    """Ours over this contestant, where the row has this one over ours."""
    return [1 / one for one in reversed(row["ours"])] if row["ours"] else None


def _seconds(row: dict) -> list[float] | None:
    return row["seconds"]


def _memory(row: dict) -> list[float] | None:
    return [round(row["memory"], 2)] * 3


def _loss_target(dtype: str, alpha: str, reach: float, then: float) -> Target:
    text = f"loss, {dtype}" + {"0.7": "", "array": ", α per element"}.get(alpha, f", α = {alpha}")
    wanted = {"dtype": dtype, "alpha": alpha, "who": OURS}
    return Target(text, "× copy", reach, then, "loss", wanted, _copies)


def targets() -> list[Target]:
    """All of them."""
    together, summed = "loss + influence + weight", "loss + grad_alpha + grad_scale"
    alone = "robloss, loss alone"
    loss = {("float64", "0.7"): (3.8, 2.2), ("float32", "0.7"): (3.2, 2.2),
            ("float64", "array"): (5.5, 4.5), ("float32", "array"): (5.0, 4.0)}  # fmt: skip
    special = {"-2": (1.2, 1.0), "2": (1.2, 1.0), "1": (1.5, 1.25), "-inf": (1.8, 1.5),
               "0": (2.4, 2.0)}  # fmt: skip
    loss |= {(dtype, alpha): pair for dtype in DTYPES for alpha, pair in special.items()}
    found = [_loss_target(*case, *limits) for case, limits in loss.items()]
    for dtype in DTYPES:
        found += [
            Target(f"{together}, {dtype}", "× loss alone", 1.35, 1.2, "set",
                   {"dtype": dtype, "what": together, "who": alone}, _over_this),
            Target(f"sums of {summed}, {dtype}", "× loss", 1.3, None, "sums",
                   {"dtype": dtype, "what": summed, "who": alone}, _over_this),
        ]  # fmt: skip
    fixed = {"what": "fixed"}
    found += [
        Target("call overhead at 10 elements", "s", 4e-6, 2e-6, "size",
               {"n": 10, "who": "robloss"}, _seconds),
        Target("linear fit, α and scale fixed, scipy least_squares", "× our time", 10, 17, "fit",
               fixed | {"who": "scipy least_squares"}, _times_ours, at_least=True),
        Target("linear fit, α and scale fixed, statsmodels RLM", "× our time", 100, 170, "fit",
               fixed | {"who": "statsmodels RLM"}, _times_ours, at_least=True),
        Target("linear fit, α and scale adapted, HuberRegressor", "× our time", 5, 10, "fit",
               {"what": "adapted", "who": "HuberRegressor"}, _times_ours, at_least=True),
        Target("memory of the loss beyond its input", "× input", 1, None, "memory",
               {"what": "loss", "who": "robloss"}, _memory, slack=0.01),
        Target("the same with `out=`", "× input", 0, None, "memory",
               {"what": "loss", "who": OURS}, _memory, slack=0.01),
        Target("two threads (wall clock; on an idle machine)", "× as fast", 1.6, None, "threads",
               {"who": "2 threads"}, _over_this, at_least=True),
        Target("`import robloss` beyond `import numpy`", "s", 0.06, None, "start",
               {"what": "import", "who": "robloss"}, _seconds),
        Target("first call of a process, warm cache, in all", "s", 1.0, None, "start",
               {"what": "first call", "who": "robloss"}, _seconds),
    ]  # fmt: skip
    return found


# ------------------------------------------------------------------------------------------- page


def crossed(
    record: dict, tables: str, fields: tuple[str, ...], value: Callable[[dict], str]
) -> str:
    """A line per different values of the fields, a column per contestant."""
    rows = [row for row in select(record, table=tables) if row["who"] != COPY]
    columns = names(rows, "who")
    cells: dict[tuple, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(tuple(row[field] for field in fields), {})[row["who"]] = value(row)
    lines = [
        [", ".join(map(_field, fields, key)), *(found.get(who, "–") for who in columns)]
        for key, found in cells.items()
    ]
    return table(["", *columns], lines)


def _field(field: str, value: object) -> str:
    if field == "alpha":
        return "α per element" if value == "array" else f"α = {value}"
    return {"n": f"n = {value}", "p": f"p = {value}"}.get(field, str(value))


def median_of(field: str, show: Callable[[float], str] = number) -> Callable[[dict], str]:
    """What a cell of a crossed table shows."""
    return lambda row: show(row[field][1]) if row[field] else "–"


def with_factor(row: dict) -> str:
    """Seconds, and how many times ours."""
    times = "" if row["ours"] is None or row["who"] == "robloss" else f", {number(row['ours'][1])}×"
    return seconds(row["seconds"][1]) + times


def everything(record: dict) -> str:
    """Every timed row."""
    lines = []
    for row in record["rows"]:
        if row["seconds"] is None:
            continue
        about = [_field(key, row[key]) for key in ("table", "what", "dtype", "alpha", "n", "p")
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


def _only(record: dict, field: str, **wanted: object) -> str:
    """The one value that a field has in a table, for a sentence."""
    values = names(select(record, **wanted), field)
    return count(values[0]) if values else "–"


def page(record: dict) -> str:
    """The whole page."""
    copies, times = median_of("copies"), median_of("seconds", seconds)
    rounds = [row["rounds"] for row in select(record, table="loss", who=OURS)]
    heads = ["", "reach", "then", "measured", "met"]
    return TEXT.format(
        quick=QUICK if record["quick"] else "",
        large=_only(record, "n", table="loss"),
        medium=_only(record, "n", table="operation"),
        rows=_only(record, "n", table="fit"),
        columns=_only(record, "p", table="fit"),
        design_rows=_only(record, "n", table="columns"),
        rounds=max(rounds, default=0),
        targets=table(heads, [target.line(record) for target in targets()]),
        machine=record["machine"],
        date=record["date"],
        minutes=record["minutes"],
        load=" before and ".join(str(load[0]) if load else "–" for load in record["load"])
        + " after",
        pools=", ".join(f"{name} {size}" for name, size in record["pools"].items()) or "unknown",
        versions=", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        notes="\n".join(f"* {name}: {note}" for name, note in record["notes"].items()),
        loss=crossed(record, "loss", ("dtype", "alpha"), copies),
        sets=crossed(record, "set", ("what", "dtype"), copies),
        sums=crossed(record, "sums", ("dtype",), copies),
        operations=crossed(record, "operation", ("what", "dtype"), copies),
        sizes=crossed(record | {"rows": _over_sizes(record)}, "size", ("n",), times),
        threads=crossed(record, "threads", ("what",), times),
        start=crossed(record, "start", ("what",), times),
        fits=crossed(record, "fit", ("what",), with_factor),
        designs=crossed(record, "columns", ("p",), with_factor),
        memory=crossed(record, "memory", ("what",), lambda row: number(round(row["memory"], 2))),
        missing=missing(record),
        all=everything(record),
    )


def _over_sizes(record: dict) -> list[dict]:
    """Rows of the loss in float64 at all sizes; the largest is measured with the other shapes."""
    largest = select(record, table="loss", dtype="float64", alpha="0.7")
    return select(record, table="size") + [row | {"table": "size"} for row in largest]


# --------------------------------------------------------------------------------------- pictures


def bars(record: dict):
    """The loss at a general shape and with a shape per element, in copies."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 2, figsize=(9.5, 3.6), sharex=True, sharey=True, layout="constrained"
    )
    for ax, dtype in zip(axes, DTYPES, strict=True):
        for offset, (alpha, colour) in enumerate((("0.7", "C0"), ("array", "C1"))):
            rows = select(record, table="loss", dtype=dtype, alpha=alpha)
            rows = [row for row in rows if row["copies"]]
            lows, medians, highs = ([row["copies"][place] for row in rows] for place in range(3))
            errors = [
                [middle - low for middle, low in zip(medians, lows, strict=True)],
                [high - middle for high, middle in zip(highs, medians, strict=True)],
            ]
            places = [place + 0.38 * offset for place in range(len(rows))]
            ax.barh(places, medians, 0.36, xerr=errors, color=colour, label=_field("alpha", alpha))
            ax.set_yticks(
                [place + 0.19 for place in range(len(rows))], [row["who"] for row in rows]
            )
        ax.set(xscale="log", title=dtype, xlabel="time, in copies of the array")
        ax.set_xlim(left=1)
        ax.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    axes[0].legend(loc="upper right")
    return figure


def _lines(rows: list[dict], x: str, per: str | None, labels: tuple[str, str]):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for place, who in enumerate(names(rows, "who")):
        own = [row for row in rows if row["who"] == who]
        across = [row[x] for row in own]
        scale = [row[per] if per else 1 for row in own]
        low, median, high = (
            [row["seconds"][part] / by for row, by in zip(own, scale, strict=True)]
            for part in range(3)
        )
        style = {"color": "black", "linestyle": ":"} if who == COPY else {"color": f"C{place}"}
        ax.plot(across, median, marker=".", label=who, **style)
        ax.fill_between(across, low, high, alpha=0.15, color=style["color"])
    ax.set(xscale="log", yscale="log", xlabel=labels[0], ylabel=labels[1])
    ax.grid(alpha=0.3)
    if rows:
        ax.legend(fontsize=8)
    return figure


def over_sizes(record: dict):
    """Seconds per element of the loss over the number of elements."""
    return _lines(_over_sizes(record), "n", "n", ("elements", "seconds per element"))


def over_columns(record: dict):
    """Seconds of a fit over the number of columns."""
    rows = [row for row in select(record, table="columns") if row["who"] != COPY]
    return _lines(rows, "p", None, ("columns", "seconds"))


PICTURES = {"loss": bars, "size": over_sizes, "columns": over_columns}


def main() -> None:
    """Write the page and the pictures."""
    record = load(DOCS / "performance.json")
    (DOCS / "performance.md").write_text(page(record), encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        target = FIGURES / f"performance_{name}.png"
        draw(record).savefig(target, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
