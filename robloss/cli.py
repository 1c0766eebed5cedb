"""The command ``robloss``: fit a table from the shell, draw the loss.

Status 0 is success, also for a fit that has not converged: that is one line on standard error and
``"converged": false`` in the JSON. Status 2 is a mistake in the call or in the data: one line on
standard error and nothing on standard output.
"""

import argparse
import csv
import importlib.util
import io
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np

from robloss import __version__, plot
from robloss._fit.linear import fit_linear
from robloss._fit.result import LinearFit
from robloss.datasets import DATASETS, Dataset

# What NumPy, pandas and R write for a column of truth values.
_TRUTHS = {"true": 1.0, "false": 0.0}
_NUMERIC_OPTIONS = ("--alpha", "--scale", "--tol")


class _UserError(Exception):
    """A mistake of the caller's; its text is the line to print."""


class _Parser(argparse.ArgumentParser):
    """A parser, and through it the parsers of the commands, whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise _UserError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; by default those of the process.

    Returns
    -------
    int
        0, or 2 for a mistake in the call or the data.

    Raises
    ------
    SystemExit
        With status 0, after ``--help`` and ``--version``.
    """
    try:
        options = _parser().parse_args(_join_numbers(sys.argv[1:] if argv is None else argv))
        options.run(options)
        sys.stdout.flush()
    except _UserError as error:
        _complain("error", error)
        return 2
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="robloss",
        description="Robust regression with Barron's general and adaptive loss.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"robloss {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_fit(commands)
    _add_curves(commands)
    return parser


def _add_fit(commands: Any) -> None:
    fit = commands.add_parser(
        "fit",
        allow_abbrev=False,
        help="fit a linear model to a table",
        description="Fit a linear model whose loss adapts its shape and scale, and print it.",
    )
    fit.set_defaults(run=_run_fit)
    source = fit.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "file", nargs="?", metavar="FILE.csv", help="table with a header; - is standard input"
    )
    source.add_argument("--dataset", choices=sorted(DATASETS), help="a bundled table instead")
    fit.add_argument("--target", metavar="COLUMN", help="column to predict (with FILE.csv)")
    fit.add_argument(
        "--features",
        metavar="A,B",
        type=_names,
        help="columns to predict it from; all others by default",
    )
    fit.add_argument(
        "--alpha",
        type=_adapt_or_number,
        default="adapt",
        help="shape: adapt (the default), or any real, inf, -inf",
    )
    fit.add_argument(
        "--scale",
        type=_adapt_or_number,
        default="adapt",
        help="width in the unit of the target: adapt (the default), or a positive number",
    )
    fit.add_argument("--no-intercept", action="store_true", help="a model through the origin")
    fit.add_argument("--max-iter", type=int, metavar="N", help="stop after N iterations")
    fit.add_argument("--tol", type=float, help="stop once a step is this many standard errors long")
    fit.add_argument("--json", action="store_true", help="print JSON instead of a summary")
    fit.add_argument("--plot", type=Path, metavar="OUT.png", help="draw the fit to this file")


def _add_curves(commands: Any) -> None:
    curves = commands.add_parser(
        "curves",
        allow_abbrev=False,
        help="draw the loss and its influence for several shapes",
        description="Draw the loss and its influence for several shapes.",
    )
    curves.set_defaults(run=_run_curves)
    curves.add_argument(
        "--out", type=Path, required=True, metavar="FIGURE.png", help="file to write"
    )
    curves.add_argument(
        "--scale", type=_positive, default=1.1, help="width of the loss (default: %(default)s)"
    )


def _run_fit(options: argparse.Namespace) -> None:
    if options.plot is not None:
        _require_matplotlib("--plot")
    data = _read(options)
    limits = {"max_iter": options.max_iter, "tol": options.tol}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            given = fit_linear(
                data.X,
                data.y,
                intercept=not options.no_intercept,
                alpha=options.alpha,
                scale=options.scale,
                feature_names=data.feature_names,
                **{name: value for name, value in limits.items() if value is not None},
            )
            result = cast("LinearFit", given)  # of one response
        except (TypeError, ValueError) as error:
            raise _UserError(str(error)) from error
    for warning in caught:
        _complain("warning", warning.message)
    if options.plot is not None:
        drawn = result.plot(target_name=data.target_name)
        _save(np.ravel(drawn)[0].figure, options.plot)
    print(_to_json(result) if options.json else result.summary())


def _run_curves(options: argparse.Namespace) -> None:
    _require_matplotlib("curves")
    axes, _ = plot.curves(scale=options.scale)
    _save(axes.figure, options.out)


def _to_json(fit: LinearFit) -> str:
    """Return a fit as JSON; what JSON has no number for is the string inf, -inf or nan."""
    inference = fit.inference()
    fields = {
        "intercept": fit.intercept,
        "coefficients": dict(zip(fit.feature_names, fit.coef.tolist(), strict=True)),
        "alpha": fit.alpha,
        "scale": fit.scale,
        "standard_errors": _by_name(fit, inference.standard_errors.tolist()),
        "conf_int": _by_name(fit, inference.conf_int().tolist()),
        "nll": fit.nll,
        "n_iter": fit.n_iter,
        "converged": fit.converged,
        "status": fit.status,
        "message": fit.message,
        "flags": list(fit.flags),
        "weights": fit.weights.tolist(),
        "outliers": [row for row, is_outlier in enumerate(fit.outliers.tolist()) if is_outlier],
    }
    return json.dumps(_jsonable(fields), indent=2, ensure_ascii=False, allow_nan=False)


def _by_name(fit: LinearFit, values: list[Any]) -> dict[str, Any]:
    """Return a value per estimate under the names that the estimates have; features in a group."""
    first, last = int(fit.fitted_intercept), len(values) - len(fit.adapted)
    return {
        **dict(zip(("intercept",), values[:first], strict=False)),
        "coefficients": dict(zip(fit.feature_names, values[first:last], strict=True)),
        **dict(zip(fit.adapted, values[last:], strict=True)),
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _jsonable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _read(options: argparse.Namespace) -> Dataset:
    """Return the table and the columns that the caller asked for."""
    if options.dataset is None:
        return _read_csv(options.file, options.target, options.features)
    if options.target is not None:
        raise _UserError("--target belongs to FILE.csv; a bundled data set has its own")
    data = DATASETS[options.dataset]()
    if options.features is None:
        return data
    chosen = _positions(options.features, data.feature_names, f"data set {options.dataset}")
    return Dataset(
        X=data.X[:, chosen],
        y=data.y,
        feature_names=options.features,
        target_name=data.target_name,
        description=data.description,
        citation=data.citation,
    )


def _read_csv(path: str, target: str | None, features: tuple[str, ...] | None) -> Dataset:
    header, rows = _read_cells(path)
    if target is None:
        raise _UserError(f"--target is required with {path}; its columns are {_list(header)}")
    if features is None:
        if "" in header:
            column = header.index("") + 1
            raise _UserError(
                f"{path}: column {column} has no name, so it may be a row number; "
                "choose columns with --features"
            )
        features = tuple(name for name in header if name != target)
    if target in features:
        raise _UserError(f"the target '{target}' cannot be one of the features")
    chosen = _positions((*features, target), header, path)
    table = np.array(
        [
            [_cell(path, line, header[column], cells[column]) for column in chosen]
            for line, cells in rows
        ]
    )
    return Dataset(
        X=table[:, :-1],
        y=table[:, -1],
        feature_names=features,
        target_name=target,
        description="",
        citation=path,
    )


def _read_text(path: str) -> str:
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise _UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _UserError(f"cannot read {path}: it is not UTF-8 text") from error


def _delimiter(lines: Iterable[str]) -> str:
    """Of comma, semicolon and tab the one that the header has most of, outside of quotes."""
    header = next((line for line in lines if line.strip()), "")
    return max(",;\t", key=re.sub('"[^"]*"', "", header).count)


def _read_cells(path: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and every row that is not blank with its line number."""
    lines = io.StringIO(_read_text(path), newline="")
    delimiter = _delimiter(lines)
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise _UserError(f"cannot read {path}: line {reader.line_num}: {error}") from error
    if not rows:
        raise _UserError(f"{path} is empty; it must have a header and rows of numbers")
    header = [name.strip() for name in rows.pop(0)[1]]
    if not rows:
        raise _UserError(f"{path} has a header, but no rows")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise _UserError(f"{path} has more than one column named {_list(twice)}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise _UserError(
                f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}"
            )
    return header, rows


def _cell(path: str, line: int, column: str, text: str) -> float:
    try:
        number = float(_TRUTHS.get(text.strip().lower(), text))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _UserError(f"{path}, line {line}, column '{column}': '{text}' is not a finite number")
    return number


def _positions(names: Sequence[str], header: Sequence[str], owner: str) -> list[int]:
    for name in names:
        if name not in header:
            raise _UserError(f"{owner} has no column '{name}'; its columns are {_list(header)}")
    return [header.index(name) for name in names]


def _names(text: str) -> tuple[str, ...]:
    """Read A,B; a name that contains a comma is put in double quotes, as in the table."""
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    if not names or "" in names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"must be different names with commas, but got '{text}'")
    return tuple(names)


def _adapt_or_number(text: str) -> float | str:
    if text == "adapt":
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise argparse.ArgumentTypeError(f"must be 'adapt' or a number, but got '{text}'")
    return number


def _positive(text: str) -> float:
    number = _adapt_or_number(text)
    if not isinstance(number, float) or not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, but got '{text}'")
    return number


def _join_numbers(argv: Sequence[str]) -> list[str]:
    """Spell `--alpha -inf` as `--alpha=-inf`: argparse takes -inf and -1e3 for options."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in _NUMERIC_OPTIONS and _is_number(word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _require_matplotlib(what: str) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise _UserError(f"{what} needs Matplotlib; install it with: pip install 'robloss[cli]'")


def _save(figure: Any, path: Path) -> None:
    """Write a Matplotlib figure; a file that is there is overwritten."""
    try:
        figure.savefig(path)
    except OSError as error:
        raise _UserError(f"cannot write {path}: {error.strerror or error}") from error
    except ValueError as error:  # a suffix that Matplotlib cannot write
        raise _UserError(f"cannot write {path}: {error}") from error


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _complain(kind: str, what: object) -> None:
    print(f"robloss: {kind}: {' '.join(str(what).split())}", file=sys.stderr)
