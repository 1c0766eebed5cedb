"""What the generated pages share: their templates, numbers with units, tables of Markdown."""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from record import read as read

DOCS = Path(__file__).parent
FIGURES = DOCS / "figures"
DTYPES = ("float64", "float32")
COPY = "copy"


def template(name: str) -> str:
    """The sentences of a page, with a name in braces wherever something measured comes."""
    return (DOCS / "templates" / f"{name}.md").read_text(encoding="utf-8")


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


def select(rows: list[dict], **wanted: object) -> list[dict]:
    """Rows whose fields are as wanted."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def names(rows: list[dict], field: str) -> list:
    """Different values of a field, as they come."""
    return list(dict.fromkeys(row[field] for row in rows if row[field] is not None))


def label(field: str, value: object) -> str:
    """What a value is called in tables and pictures."""
    if field == "alpha":
        return "α per element" if value == "array" else f"α = {value}"
    return {"n": f"n = {value}", "p": f"p = {value}"}.get(field, str(value))


def crossed(
    rows: list[dict], tables: str, fields: tuple[str, ...], value: Callable[[dict], str]
) -> str:
    """A line per different values of the fields, a column per contestant."""
    rows = [row for row in select(rows, table=tables) if row["who"] != COPY]
    columns = names(rows, "who")
    cells: dict[tuple, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(tuple(row[field] for field in fields), {})[row["who"]] = value(row)
    lines = [
        [", ".join(map(label, fields, key)), *(found.get(who, "–") for who in columns)]
        for key, found in cells.items()
    ]
    return table(["", *columns], lines)


def median_of(field: str, show: Callable[[float], str] = number) -> Callable[[dict], str]:
    """What a cell of a crossed table shows."""
    return lambda row: show(row[field][1]) if row[field] else "–"
