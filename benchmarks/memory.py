"""The most memory that a call takes beyond what was there, in multiples of its input.

Every contestant is weighed in a process of its own: in one that had run all contests before,
everybody came out at 0, plain NumPy with its temporary arrays too.
"""

from collections.abc import Callable

import plans
import processes
import regressions
from contest import Call, MissingError, Result
from contestants import LOSS_PEERS, OURS, PEERS, SUMS, TOGETHER, Task, Way

WAYS: dict[tuple[str, ...], dict[str, Way]] = {
    ("loss",): OURS | LOSS_PEERS,
    TOGETHER: OURS | PEERS,
    plans.SUMMED: SUMS,
}
FITS: dict[str, Callable[[regressions.Regression], Call]] = {
    "robloss": regressions.of_robloss,
    "NumPy IRLS": regressions.of_numpy,
    "scipy least_squares": regressions.of_scipy,
    "statsmodels RLM": regressions.of_statsmodels,
    "HuberRegressor": regressions.of_sklearn,
}


def weigh_way(outputs: tuple[str, ...], who: str, size: plans.Size) -> float:
    """Of an elementwise task, in multiples of x."""
    task = Task(outputs, plans.residuals(size.large, "float64"), plans.ALPHA, plans.SCALE)
    return processes.peak(WAYS[outputs][who](task)) / task.x.nbytes


def weigh_fit(who: str, size: plans.Size) -> float:
    """Of a regression, in multiples of X."""
    given = regressions.regression(size.rows, size.columns)
    return processes.peak(FITS[who](given)) / given.X.nbytes


def measure(size: plans.Size) -> Result:
    """A row for each task and contestant; a quick run weighs the first of each task alone."""
    result = Result()
    jobs = [
        (" + ".join(outputs), who, weigh_way, (outputs, who, size))
        for outputs, ways in WAYS.items()
        for who in ways
    ]
    jobs += [("fit", who, weigh_fit, (who, size)) for who in FITS]
    if size is plans.QUICK:
        jobs = list({job[0]: job for job in reversed(jobs)}.values())
    for what, who, weigh, arguments in jobs:
        about = {"table": "memory", "what": what, "who": who}
        try:
            weight = processes.apart(weigh, *arguments)
        except (MissingError, ImportError) as reason:
            result.missing.append(about | {"reason": str(reason)})
            continue
        print(f"memory {what}: {who} {weight:.3g}", flush=True)
        result.rows.append(about | {"memory": weight})
    return result
