"""A fit as a text table."""

from typing import TYPE_CHECKING

import numpy as np

from robloss._fit.sums import to_host

if TYPE_CHECKING:
    from robloss._fit.result import Fit

_WIDTH = 72
_LISTED = 10  # outliers named in the table
_OUTLIER, _ORDINARY = 0.1, 0.9  # weights below and above which a row is called so


def _line(left: str, value: str, right: str = "", other: str = "") -> str:
    half = _WIDTH // 2 - 1
    first = f"{left}{value:>{half - len(left)}}"
    return f"{first}  {right}{other:>{half - len(right)}}" if right else first


def _how(fit: "Fit", name: str) -> str:
    return "adapted" if name in fit.adapted else "given"


def _parameters(fit: "Fit") -> list[str]:
    width = max(len(name) for name in ("intercept", *fit.names))
    rows = zip(fit.names, to_host(fit.params).tolist(), strict=True)
    return [f"{'':{width}}  {'coefficient':>14}"] + [
        f"{name:{width}}  {value:>14.7g}" for name, value in rows
    ]


def _weights(fit: "Fit") -> list[str]:
    weights = to_host(fit.weights)
    outliers = np.flatnonzero(weights < _OUTLIER)
    ordinary = int(np.count_nonzero(weights > _ORDINARY))
    lines = [
        f"{ordinary} of {len(weights)} rows have a weight above {_ORDINARY}; "
        f"{len(outliers)} have one below {_OUTLIER}" + (":" if len(outliers) else ".")
    ]
    worst = outliers[np.argsort(weights[outliers], kind="stable")][:_LISTED]
    lines += [f"  row {row:<8d} weight {weights[row]:.4g}" for row in worst]
    if len(outliers) > _LISTED:
        lines.append(f"  and {len(outliers) - _LISTED} more")
    return lines


def summary(fit: "Fit") -> str:
    """Write the estimates, how the fit ended, and which rows it trusts little."""
    rule = "-" * _WIDTH
    rows = len(to_host(fit.weights))
    low, high = fit.alpha_bounds
    bounds = f"  bounds [{low:g}, {high:g}]" if "alpha" in fit.adapted else ""
    lines = [
        fit.title,
        "=" * _WIDTH,
        _line("observations", str(rows), "nll", f"{fit.nll:.7g}"),
        *([] if fit.observations == rows else [_line("weighted", f"{fit.observations:.7g}")]),
        _line("iterations", str(fit.n_iter), "status", fit.status),
        rule,
        f"alpha  {fit.alpha:>12.6g}  ({_how(fit, 'alpha')}){bounds}",
        f"scale  {fit.scale:>12.6g}  ({_how(fit, 'scale')})",
        rule,
        *_parameters(fit),
        rule,
        "Robustness weights (1 at residual 0; rows are counted from 0)",
        *_weights(fit),
        "=" * _WIDTH,
    ]
    notes = [*fit.flags] if fit.converged else [fit.message, *fit.flags]
    return "\n".join(lines + [f"Note: {note}" for note in notes])
