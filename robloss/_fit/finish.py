"""From the outcome of the loop to the attributes that all fits return."""

import math
import warnings
from typing import Any

import numpy as np

from robloss._callers import level_of_caller
from robloss._fit.data import Data
from robloss._fit.inference import Optimum
from robloss._fit.loop import Outcome
from robloss._fit.progress import report
from robloss._fit.result import ConvergenceWarning, History
from robloss._fit.search import Found, Search
from robloss._fit.sums import count
from robloss._fit.symmetric import solve
from robloss._fit.words import MESSAGES, flags
from robloss._typing import Array


def finished(search: Search, found: Found[Data], unit: float = 1.0) -> dict[str, Any]:
    """The attributes that fits of all models share, by name; warns if the fit did not converge.

    Parameters
    ----------
    search : Search
    found : Found
    unit : float, default 1.0
        The sample weight that the sums counted as one observation.
    """
    data, outcome = found.data, found.outcome
    point, trace = outcome.local.point, outcome.trace
    likelihood, options = outcome.likelihood, search.options
    free = likelihood.free
    message = MESSAGES[outcome.status]
    if outcome.status != "converged":
        warning = f"The fit did not converge: {message}"
        warnings.warn(warning, ConvergenceWarning, stacklevel=level_of_caller())
    residuals, weights = likelihood.rows(outcome.local)
    objective = unit * np.asarray(trace.nll)
    nll, n_iter = unit * (trace.nll[-1] - likelihood.penalty(point)), trace.steps
    report(options, outcome.status, n_iter, float(objective[-1]))
    rank = len(data.to_params) if search.l2 else found.rank
    moves, beyond = alpha_by_truncation(outcome), beyond_truncation(outcome, residuals)
    holds_scale = options.scale is None and not free.scale
    return {
        "alpha": point.alpha,
        "scale": point.scale,
        "nll": nll,
        "weights": weights,
        "residuals": residuals,
        "n_iter": n_iter,
        "converged": outcome.status == "converged",
        "status": outcome.status,
        "message": message,
        "flags": flags(outcome, rank, moves, beyond, holds_scale),
        "observations": unit * data.observations,
        "history": History(objective, np.asarray(trace.alpha), np.asarray(trace.scale)),
        "adapted": tuple(name for name in ("alpha", "scale") if getattr(free, name)),
        "alpha_bounds": options.bounds,
        "truncation": options.truncation,
        "alpha_by_truncation": moves,
        "beyond_truncation": beyond,
        "_optimum": Optimum(likelihood, point, residuals, unit),
    }


def beyond_truncation(outcome: Outcome, residuals: Array) -> int:
    """How many residuals, of rows with a positive weight, lie beyond the truncation."""
    likelihood, scale = outcome.likelihood, outcome.local.point.scale
    data, truncation = likelihood.data, likelihood.normaliser.truncation
    if truncation is None:
        return 0
    xp, weights = data.xp, data.row_weights
    beyond = xp.abs(residuals) > truncation * scale
    if weights is not None:
        counts = weights.values > 0
        beyond = beyond & (counts if beyond.ndim == 1 else counts[:, None])
    return count(xp, beyond)


def alpha_by_truncation(outcome: Outcome) -> float:
    """dα/d log τ along the optimum as τ changes; NaN where α does not depend on τ."""
    likelihood, local = outcome.likelihood, outcome.local
    free, alpha = likelihood.free, local.point.alpha
    moves = free.alpha and alpha not in free.bounds and math.isfinite(local.nll)
    if likelihood.normaliser.truncation is None or not moves:
        return math.nan
    if not local.hessian.size:
        local = likelihood.at(local.point)
    # F's slope in α changes by this; a Newton step gives the shift of the optimum.
    slope = np.zeros(len(local.hessian))
    by_truncation = likelihood.normaliser.slope_by_truncation(alpha)
    slope[likelihood.data.size] = likelihood.data.observations * by_truncation
    step = solve(local.hessian, -slope, likelihood.eps).solution
    return float(step[likelihood.data.size])
