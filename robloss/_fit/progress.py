"""What a fit shows while it runs."""

from collections.abc import Callable
from dataclasses import dataclass

from robloss._fit.likelihood import Local, Point
from robloss._fit.loop import Watch
from robloss._fit.options import Options
from robloss._fit.sums import HostArray
from robloss._typing import Array


@dataclass(frozen=True, eq=False)
class Iterate:
    """The state of a fit after a step, as passed to `callback`.

    Attributes
    ----------
    n_iter : int
        The number of steps so far; each further start counts from 0 again.
    params : array (q,)
        The parameters, the intercept first if there is one, in the library of the data.
    alpha, scale : float
    nll : float
        The objective: what `history.nll` of the fit holds.
    """

    n_iter: int
    params: Array
    alpha: float
    scale: float
    nll: float


def watch(
    options: Options, params: Callable[[HostArray], Array], unit: float = 1.0
) -> Watch | None:
    """Show iterates to the callback of a fit, and print them where it is verbose.

    Once the callback has ended the fit it is not called again, whatever is still to be tried.

    Parameters
    ----------
    options : Options
    params : callable
        Turns the parameters of the loop into those of the user.
    unit : float, default 1.0
        What the sums count as one observation.
    """
    if options.callback is None and options.verbose < 2:
        return None

    stopped = False

    def shown(step: int, local: Local) -> bool:
        nonlocal stopped
        if stopped:
            return True
        point, nll = local.point, unit * local.nll
        if options.verbose >= 2:
            _print(step, nll, point)
        if options.callback is not None:
            try:
                options.callback(Iterate(step, params(point.theta), point.alpha, point.scale, nll))
            except StopIteration:
                stopped = True
        return stopped

    return shown


def _print(step: int, nll: float, point: Point) -> None:
    if step == 0:
        print(f"{'iteration':>9}  {'nll':>15}  {'alpha':>10}  {'scale':>12}")  # noqa: T201
    print(f"{step:>9}  {nll:>15.8g}  {point.alpha:>10.5g}  {point.scale:>12.5g}")  # noqa: T201


def report(options: Options, status: str, n_iter: int, nll: float) -> None:
    """Print how a fit ended, where it is verbose."""
    if options.verbose >= 1:
        print(f"{status} after {n_iter} iterations, nll {nll:.8g}")  # noqa: T201
