"""How a fit ended, in words."""

import math

from robloss._fit.loop import Outcome

MESSAGES = {
    "converged": "The Newton step is shorter than `tol` standard errors, or than rounding allows.",
    "max_iter": "`max_iter` steps were taken before the tolerance was met. Raise it.",
    "stalled": (
        "No step lowers the objective, although this is not a minimum. The derivatives may not be "
        "those of the residuals, the residuals may have kinks, or columns may be nearly collinear."
    ),
    "stopped": "`callback` ended the fit.",
    "no_weight": (
        "The weights of nearly all rows are 0: `scale` is too small for these residuals, and the "
        "objective is flat. Give `scale` a larger number."
    ),
    "scale_floor": (
        "The scale fell to the size of rounding errors: the model fits the data (or at least half "
        "of the rows) exactly, and the likelihood grows without bound. Give `scale` a number."
    ),
    "not_finite": (
        "The objective is not finite at the start. Give `scale` a larger number, or start from "
        "other parameters."
    ),
}


def flags(
    outcome: Outcome, rank: int, moves: float, beyond: int, holds_scale: bool
) -> tuple[str, ...]:
    """What a reader of the result must know.

    Parameters
    ----------
    outcome : Outcome
    rank : int
        How many parameters the data determine.
    moves : float
        How alpha moves with the logarithm of the truncation; NaN where it does not.
    beyond : int
        How many residuals lie beyond the truncation.
    holds_scale : bool
        Whether the scale was to be estimated, and is not for negative shapes.
    """
    found = []
    free, normaliser = outcome.likelihood.free, outcome.likelihood.normaliser
    alpha, size = outcome.local.point.alpha, len(outcome.likelihood.data.to_params)
    low, high = free.bounds
    if free.alpha and alpha in (low, high):
        end = "lower" if alpha == low else "upper"
        also = ": this is least squares" if alpha == 2 else ""
        found.append(f"alpha is on its {end} bound {alpha:g}{also}.")
    if alpha < normaliser.least_alpha:
        what = "no density" if normaliser.components == 1 else "no density of vectors to use"
        found.append(
            f"Below alpha = {normaliser.least_alpha:g} there is {what}: nll lacks log Z and cannot "
            "be compared with that of fits at other shapes."
        )
    if holds_scale:
        found.append(
            "The scale is held at that of the best fit with alpha >= 0: for negative alpha the "
            "likelihood has no maximum in the scale. Standard errors treat it as known."
        )
    truncation = normaliser.truncation
    if truncation is not None:
        by = "" if math.isnan(moves) else f": at a tenth more, alpha moves by {0.1 * moves:+.2g}"
        found.append(
            f"The distribution is cut off at {truncation:g} scales; alpha and nll depend on it{by}."
        )
    if beyond:
        found.append(
            f"{beyond} {'residual lies' if beyond == 1 else 'residuals lie'} beyond that, where "
            "the distribution has no probability: only their loss counts. Give `truncation` a "
            "larger number."
        )
    if rank < size and outcome.likelihood.data.is_linear:
        found.append(
            f"The design has rank {rank} but {size} coefficients: they are not determined by the "
            "data (collinear or constant columns, or too few rows); one solution is given."
        )
    elif rank < size:
        found.append(
            f"The derivatives have rank {rank} but there are {size} parameters: they are not "
            "determined by the data (one without influence on the residuals, several with the same "
            "influence, or too few rows); one solution is given."
        )
    return tuple(found)
