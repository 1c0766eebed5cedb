"""The pictures of docs/performance.md."""

from pages import COPY, DTYPES, label, names, select


def of_all_sizes(record: dict) -> list[dict]:
    """Rows of the loss in float64 at all sizes; the largest is measured with the other shapes."""
    rows = record["rows"]
    largest = select(rows, table="loss", dtype="float64", alpha="0.7")
    return select(rows, table="size") + [row | {"table": "size"} for row in largest]


def bars(record: dict):
    """The loss at a general shape and with a shape per element, in copies."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 2, figsize=(9.5, 3.6), sharex=True, sharey=True, layout="constrained"
    )
    for ax, dtype in zip(axes, DTYPES, strict=True):
        for offset, (alpha, colour) in enumerate((("0.7", "C0"), ("array", "C1"))):
            rows = select(record["rows"], table="loss", dtype=dtype, alpha=alpha)
            rows = [row for row in rows if row["copies"]]
            lows, medians, highs = ([row["copies"][place] for row in rows] for place in range(3))
            errors = [
                [middle - low for middle, low in zip(medians, lows, strict=True)],
                [high - middle for high, middle in zip(highs, medians, strict=True)],
            ]
            places = [place + 0.38 * offset for place in range(len(rows))]
            ax.barh(places, medians, 0.36, xerr=errors, color=colour, label=label("alpha", alpha))
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
    return _lines(of_all_sizes(record), "n", "n", ("elements", "seconds per element"))


def over_columns(record: dict):
    """Seconds of a fit over the number of columns."""
    rows = [row for row in select(record["rows"], table="columns") if row["who"] != COPY]
    return _lines(rows, "p", None, ("columns", "seconds"))
