"""A fit as a text table, in the manner of statsmodels; the weights as R's lmrob shows them."""

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from robloss._fit.sums import HostArray, lengths, to_host

if TYPE_CHECKING:
    from robloss._fit.result import Fit

_WIDTH = 78
_LEFT = 13  # of a row's name
_LISTED = 10  # outliers named in the table
_ORDINARY = 0.9  # the weight above which a row is called so
_LEVEL = 0.95
_HEADINGS = ("coef", "std err", "z", "P>|z|", "[0.025", "0.975]")
_FORMATS = ("13.6g", "11.4g", "10.3g", "7.3f", "12.5g", "12.5g")
_WIDTHS = tuple(int(style.partition(".")[0]) for style in _FORMATS)


def _pair(left: str, value: str, right: str = "", other: str = "") -> str:
    half = _WIDTH // 2 - 1
    return f"{left}{value:>{half - len(left)}}  {right}{other:>{half - len(right)}}".rstrip()


def _row(name: str, numbers: tuple[float | str, ...]) -> list[str]:
    """A row of the table; a name too long for its column has a line of its own."""
    cells = [
        f"{number:>{width}}" if isinstance(number, str) else f"{number:{style}}"
        for number, width, style in zip(numbers, _WIDTHS, _FORMATS, strict=False)
    ]
    line = f"{name:{_LEFT}}{''.join(cells)}".rstrip()
    return [line] if len(name) <= _LEFT else [name, line.replace(name, " " * _LEFT, 1)]


def _p_value(z: float) -> float:
    """How likely a normal number is this far from 0, on either side."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def _parameters(fit: "Fit") -> list[str]:
    """The rows of the coefficients, then those of shape and scale."""
    inference = fit.inference()
    values, errors, ends = (
        to_host(array).tolist()
        for array in (inference.estimates, inference.standard_errors, inference.conf_int(_LEVEL))
    )
    columns = list(zip(inference.parameter_names, values, errors, ends, strict=True))
    coefficients = len(columns) - len(fit.adapted)
    lines = []
    for name, value, error, (low, high) in columns[:coefficients]:
        z = value / error if error else math.nan
        lines += _row(name, (value, error, z, _p_value(z), low, high))
    lines.append("-" * _WIDTH)
    adapted = {
        name: (value, error, "", "", *ends) for name, value, error, ends in columns[coefficients:]
    }
    for name, value in (("alpha", fit.alpha), ("scale", fit.scale)):
        lines += _row(name, adapted.get(name, (value, "(fixed)")))
    return lines


def _quantiles(weights: HostArray) -> list[str]:
    names = ("min", "1st quartile", "median", "3rd quartile", "max")
    values = np.quantile(weights, [0.0, 0.25, 0.5, 0.75, 1.0])
    return [
        "  " + "".join(f"{name:>14}" for name in names),
        "  " + "".join(f"{value:>14.4g}" for value in values),
    ]


def _place(index: tuple[int, ...], targets: tuple[str, ...]) -> str:
    """Which row, and of several responses which."""
    row, *response = index
    return f"{row} of {targets[response[0]]}" if response else str(row)


def _weights(fit: "Fit") -> list[str]:
    weights, residuals = to_host(fit.weights), to_host(fit.residuals)
    components = residuals.shape[-1] if residuals.ndim > weights.ndim else 1
    residuals = lengths(np, residuals, components).reshape(weights.shape)
    is_outlier = to_host(fit.outliers) > 0
    is_ordinary = ~is_outlier & (weights > _ORDINARY)
    outliers, rest = np.argwhere(is_outlier), weights[~is_outlier & ~is_ordinary]
    count = f"{len(outliers)} {'is an outlier' if len(outliers) == 1 else 'are outliers'}"
    lines = [
        f"{np.count_nonzero(is_ordinary)} of {weights.size} rows have a weight above {_ORDINARY}; "
        f"{count}, farther than {fit.outlier_distance:.4g}" + (":" if len(outliers) else ".")
    ]
    targets: tuple[str, ...] = getattr(fit, "target_names", ())
    order = np.argsort(-np.abs(residuals[is_outlier]), kind="stable")[:_LISTED]
    lines += [
        f"  row {_place(index, targets):<10} residual {residuals[index]:<12.4g} "
        f"weight {weights[index]:.4g}"
        for index in map(tuple, outliers[order])
    ]
    if len(outliers) > _LISTED:
        lines.append(f"  and {len(outliers) - _LISTED} more")
    if len(rest):
        lines += [f"Weights of the other {len(rest)}:", *_quantiles(rest)]
    return lines


def _notes(fit: "Fit") -> list[str]:
    ending = (
        () if fit.converged else (fit.message, "Standard errors are those where the fit stopped.")
    )
    return [
        textwrap.fill(f"Note: {note}", _WIDTH, subsequent_indent=" " * len("Note: "))
        for note in (*ending, *fit.flags, *fit.inference().flags)
    ]


def _subject(fit: "Fit") -> list[str]:
    """What was fitted, where that has a name."""
    column = getattr(fit, "column_name", None)
    if column is not None:
        return [_pair("column", column)]
    targets = getattr(fit, "target_names", ("y",))
    return [_pair("response", targets[0])] if len(targets) == 1 and targets != ("y",) else []


def summary(fit: "Fit") -> str:
    """Write the estimates, how sure they are, and which rows the fit trusts little."""
    thick, thin = "=" * _WIDTH, "-" * _WIDTH
    low, high = fit.alpha_bounds
    bounds = ("bounds of alpha", f"[{low:g}, {high:g}]") if "alpha" in fit.adapted else ()
    rows = math.prod(fit.residuals.shape)
    counted = [] if fit.observations == rows else [_pair("weighted", f"{fit.observations:.7g}")]
    return "\n".join(
        [
            fit.title,
            thick,
            *_subject(fit),
            _pair("observations", str(rows), "nll", f"{fit.nll:.7g}"),
            *counted,
            _pair("iterations", str(fit.n_iter), "status", fit.status),
            _pair("covariance", "sandwich", *bounds),
            thick,
            *_row("", _HEADINGS),
            thin,
            *_parameters(fit),
            thick,
            "Robustness weights (1 at residual 0; rows are counted from 0)",
            *_weights(fit),
            thick,
            *_notes(fit),
        ]
    )
