"""Write everything in docs/figures: pictures, and what the command line prints."""

import contextlib
import io
import os
from pathlib import Path

import toy_regression

import robloss
from robloss import cli, datasets, plot

FIGURES = Path(__file__).parent / "figures"


def main() -> None:
    FIGURES.mkdir(exist_ok=True)
    left, _ = plot.curves(scale=1.1)
    save(left, "curves")
    save(plot.densities()[0], "densities")
    save(plot.surface()[0], "surface")
    for name, load in datasets.DATASETS.items():
        data = load()
        iterates: list[robloss.Iterate] = []
        fit = robloss.fit_linear(
            data.X, data.y, feature_names=data.feature_names, callback=iterates.append
        )
        if name == "stackloss":
            save(fit.plot(target_name=data.target_name)[0], name)
            save(plot.convergence(fit)[0], "convergence")
        else:
            save(fit.plot(target_name=data.target_name), name)
        if name == "phones":
            labels = {"feature_name": data.feature_names[0], "target_name": data.target_name}
            plot.animate(iterates, data.X, data.y, path=FIGURES / "phones.gif", **labels)
    for name, axes in toy_regression.pictures().items():
        save(axes, name)
    os.environ.update(COLUMNS="90", NO_COLOR="1")
    record("robloss-fit.txt", "fit", "--help")
    record("robloss-curves.txt", "curves", "--help")
    record("stackloss.txt", "fit", "--dataset", "stackloss", prompt=True)
    record("phones.json", "fit", "--dataset", "phones", "--json")


def save(axes, name: str) -> None:
    # No date in the file: the same code writes the same bytes.
    axes.figure.savefig(FIGURES / f"{name}.svg", metadata={"Date": None})


def record(filename: str, *argv: str, prompt: bool = False) -> None:
    """Write what the command prints to a file."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        cli.main(argv)
    command = f"$ robloss {' '.join(argv)}\n" if prompt else ""
    (FIGURES / filename).write_text(command + printed.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main()
