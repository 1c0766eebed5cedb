"""From the end of the loop to what all fits return."""

import warnings
from typing import Any

import numpy as np

from robloss._fit.least_squares import Problem
from robloss._fit.loop import Outcome
from robloss._fit.progress import report
from robloss._fit.result import ConvergenceWarning, History
from robloss._fit.search import Search
from robloss._fit.sums import Data
from robloss._fit.words import MESSAGES, flags


def finished(search: Search, problem: Problem[Data], outcome: Outcome) -> dict[str, Any]:
    """What fits of all models have in common, by the names of `Fit`; warns where it must.

    Parameters
    ----------
    search : Search
    problem : Problem
    outcome : Outcome
    """
    data, point, trace = problem.data, outcome.local.point, outcome.trace
    likelihood, options = outcome.likelihood, search.options
    free = likelihood.free
    message = MESSAGES[outcome.status]
    if outcome.status != "converged":
        warning = f"The fit did not converge: {message}"
        warnings.warn(warning, ConvergenceWarning, stacklevel=3)
    residuals, weights = likelihood.rows(outcome.local)
    nll, n_iter = trace.nll[-1] - likelihood.penalty(point), len(trace.nll) - 1
    report(options, outcome.status, n_iter, nll)
    rank = data.size if search.l2 else problem.rank
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
        "flags": flags(outcome, free, rank, options.truncation),
        "history": History(*(np.asarray(part) for part in (trace.nll, trace.alpha, trace.scale))),
        "adapted": tuple(name for name in ("alpha", "scale") if getattr(free, name)),
        "alpha_bounds": free.bounds,
        "truncation": options.truncation,
    }
