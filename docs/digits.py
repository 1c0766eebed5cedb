"""Make docs/digits.md from what `python benchmarks/digits.py` saves, docs/digits.json.

python docs/digits.py
"""

from statistics import fmean, stdev

from pages import DOCS, names, read, select, table, template

ADAPTIVE = "adaptive"
CALLED = {"PIXEL": "pixels", "CDF9/7": "CDF 9/7"}


def called(representation: str) -> str:
    """As the page calls it."""
    return CALLED.get(representation, representation)


def values(record: dict, field: str, representation: str, law: str) -> list:
    """Of each seed."""
    rows = select(record["rows"], representation=representation, law=law)
    return [row[field] for row in sorted(rows, key=lambda row: row["seed"])]


def crossed(record: dict, show: object) -> str:
    """A line per law, a column per representation."""
    laws, columns = names(record["rows"], "law"), names(record["rows"], "representation")
    lines = [[law, *(show(column, law) for column in columns)] for law in laws]
    return table(["", *map(called, columns)], lines)


def mean_and_deviation(numbers: list[float]) -> str:
    """With one digit more than the deviation of the mean has meaning for."""
    deviation = f" ({stdev(numbers):.2f})" if len(numbers) > 1 else ""
    return f"{fmean(numbers):.2f}{deviation}"


def gain(record: dict, representation: str, law: str) -> list[float]:
    """The adaptive law less another, seed by seed."""
    ours = values(record, "elbo", representation, ADAPTIVE)
    return [a - b for a, b in zip(ours, values(record, "elbo", representation, law), strict=True)]


def with_ends(differences: list[float]) -> str:
    """Mean, lowest and highest, and how many are positive."""
    above = sum(one > 0 for one in differences)
    ends = f"{min(differences):+.2f} to {max(differences):+.2f}"
    return f"{fmean(differences):+.2f} ({ends}; {above} of {len(differences)})"


def gains(record: dict) -> str:
    """A line per law that is not ours."""
    columns = names(record["rows"], "representation")
    others = [law for law in names(record["rows"], "law") if law != ADAPTIVE]
    lines = [[law, *(with_ends(gain(record, one, law)) for one in columns)] for law in others]
    return table(["adaptive less", *map(called, columns)], lines)


def by_image(record: dict) -> str:
    """The share of images, and the gain in the middle one."""

    def show(representation: str, law: str) -> str:
        share = fmean(values(record, "ahead", representation, law))
        middle = fmean(values(record, "median_gain", representation, law))
        return f"{100 * share:.0f} %, {middle:+.2f}"

    columns = names(record["rows"], "representation")
    others = [law for law in names(record["rows"], "law") if law != ADAPTIVE]
    lines = [[law, *(show(one, law) for one in columns)] for law in others]
    return table(["adaptive less", *map(called, columns)], lines)


def means(record: dict, representation: str) -> dict[str, float]:
    """The mean bound of each law."""
    laws = names(record["rows"], "law")
    return {law: fmean(values(record, "elbo", representation, law)) for law in laws}


def verdict(record: dict) -> str:
    """A sentence per representation: where the adaptive law stands."""
    sentences = []
    for one in names(record["rows"], "representation"):
        found = means(record, one)
        ours = found.pop(ADAPTIVE)
        best = max(found, key=found.get)
        word = "above" if ours >= found[best] else "**below**"
        sentences.append(
            f"* {called(one)}: the adaptive law is {word} the best of the others, "
            f"{best}, by {abs(ours - found[best]):.2f} nats."
        )
    return "\n".join(sentences)


def best_of_all(record: dict) -> str:
    """Law and representation of the highest mean."""
    found = {
        (law, one): mean
        for one in names(record["rows"], "representation")
        for law, mean in means(record, one).items()
    }
    law, one = max(found, key=found.get)
    return f"{law} on {called(one)}, {found[law, one]:.2f}"


def learned(record: dict) -> str:
    """What laws with a shape have found."""

    def show(representation: str, law: str) -> str:
        quartiles = zip(*values(record, "quartiles", representation, law), strict=True)
        low, middle, high = (fmean(one) for one in quartiles)
        return f"{middle:.2f} ({low:.2f}–{high:.2f})"

    columns = names(record["rows"], "representation")
    lines = [
        [name, *(show(column, law) for column in columns)]
        for law, name in (("Student's t", "ν of Student's t"), (ADAPTIVE, "α of the adaptive law"))
    ]
    return table(["", *map(called, columns)], lines)


def training(record: dict) -> str:
    """Bounds of training images, and the divergence of held-out ones."""

    def show(representation: str, law: str) -> str:
        bound = fmean(values(record, "elbo_training", representation, law))
        return f"{bound:.2f}, {fmean(values(record, 'kl', representation, law)):.1f}"

    return crossed(record, show)


def run(record: dict) -> str:
    """Where and when."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (
        f"{record['date']}, {record['minutes']} minutes on {record['machine']}, "
        f"{record['threads']} thread(s); {versions}."
    )


def page(record: dict) -> str:
    """The whole page."""
    return template("digits").format(
        **record["settings"],
        bounds=crossed(record, lambda *of: mean_and_deviation(values(record, "elbo", *of))),
        best=best_of_all(record),
        gains=gains(record),
        by_image=by_image(record),
        verdict=verdict(record),
        learned=learned(record),
        training=training(record),
        run=run(record),
    )


def main() -> None:
    """Write the page."""
    record = read(DOCS / "digits.json")
    (DOCS / "digits.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
