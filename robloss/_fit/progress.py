"""What a fit shows while it runs."""

from collections.abc import Callable
from dataclasses import dataclass

from robloss._fit.likelihood import Local
from robloss._fit.loop import Watch
from robloss._fit.options import Options
from robloss._fit.sums import HostArray
from robloss._typing import Array


@dataclass(frozen=True, eq=False)
class Iterate:
    """A point that a fit has come to, as `callback` is shown it.

    Attributes
    ----------
    n_iter : int
        Steps before it. From each further start they count from 0.
    params : array (q,)
        The parameters, the intercept first if there is one, in the library of the data.
    alpha, scale : float
    nll : float
        The objective.
    """

    n_iter: int
    params: Array
    alpha: float
    scale: float
    nll: float


def watch(options: Options, params: Callable[[HostArray], Array]) -> Watch | None:
    """Show iterates to the callback of a fit, and print them where it is verbose.

    Parameters
    ----------
    options : Options
    params : callable
        Turns the parameters of the loop into those of the user.
    """
    if options.callback is None and options.verbose < 2:
        return None

    def shown(step: int, local: Local) -> bool:
        point = local.point
        if options.verbose >= 2:
            _print(step, local)
        if options.callback is None:
            return False
        try:
            options.callback(
                Iterate(step, params(point.theta), point.alpha, point.scale, local.nll)
            )
        except StopIteration:
            return True
        return False

    return shown


def _print(step: int, local: Local) -> None:
    point = local.point
    if step == 0:
        print(f"{'iteration':>9}  {'nll':>15}  {'alpha':>10}  {'scale':>12}")  # noqa: T201
    print(f"{step:>9}  {local.nll:>15.8g}  {point.alpha:>10.5g}  {point.scale:>12.5g}")  # noqa: T201


def report(options: Options, status: str, n_iter: int, nll: float) -> None:
    """Print how a fit ended, where it is verbose."""
    if options.verbose >= 1:
        print(f"{status} after {n_iter} iterations, nll {nll:.8g}")  # noqa: T201
