"""What a step of learning costs in torch: the loss, and its gradients in x, alpha and scale.

One alpha and one scale are learned, or one of each for every column. The peers are the formula of
robust_loss_pytorch written out, and the same under torch.compile; the sum of the loss is what is
differentiated.
"""

from collections.abc import Callable, Iterator
from typing import Any

import contestants
import numpy as np
import plans
import processes
from contest import Call, Contest, Contestant, MissingError, Result, WrongValueError
from contestants import Task, Way
from peers import reference_loss, textbook

import robloss

COLUMNS = 10
FEW = 1000
STEP = "loss and its gradients"


def problem(n: int, dtype: str, columns: int | None) -> Task:
    """Residuals in one row, or in so many columns."""
    x = plans.residuals(n, dtype)
    return Task((), x if columns is None else x.reshape(-1, columns), plans.ALPHA, plans.SCALE)


def _step(loss: Callable[..., Any], task: Task, columns: int | None) -> Call:
    import torch

    shape = () if columns is None else (columns,)
    x = torch.from_numpy(task.x.copy()).requires_grad_()
    alpha, scale = (
        torch.full(shape, one, dtype=x.dtype, requires_grad=True)
        for one in (task.alpha, task.scale)
    )

    def call() -> tuple:
        value = loss(x, alpha, scale).sum()
        return value.detach(), *torch.autograd.grad(value, (x, alpha, scale))

    return call


def ways(columns: int | None) -> dict[str, Way]:
    """Under the names that other tables have; the first is ours."""
    return {
        "robloss": lambda task: _step(robloss.loss, task, columns),
        "torch.compile": lambda task: _step(contestants.compiled_reference(), task, columns),
        "torch": lambda task: _step(reference_loss, task, columns),
    }


def check(task: Task) -> Callable[[object], None]:
    """Compare the sum and the gradients with those of the textbook formulas in float64."""
    dtype = task.x.dtype.name
    given = task.columns()
    down = tuple(range(task.x.ndim - 1)) if task.x.ndim > 1 else None
    value = np.sum(textbook("loss", *given))
    in_x = textbook("influence", *given)
    others = [np.sum(textbook(name, *given), axis=down) for name in ("grad_alpha", "grad_scale")]

    def look(values: object) -> None:
        total, slope, *slopes = (np.asarray(one) for one in values)
        if slope.dtype != task.x.dtype:
            raise WrongValueError(f"the gradient has dtype {slope.dtype}")
        contestants.same((total / value,), (1.0,), dtype)
        contestants.same(slope, (in_x,), dtype)
        # Relative to the size of each: an absolute difference says nothing about a sum.
        relative = tuple(one / wanted for one, wanted in zip(slopes, others, strict=True))
        contestants.same(relative, tuple(np.ones_like(one) for one in others), dtype)

    return look


def training(size: plans.Size) -> Iterator[plans.Planned]:
    """A step on few and on many elements, and with columns."""
    for dtype in plans.DTYPES:
        for n, columns in ((FEW, None), (size.medium, None), (size.medium, COLUMNS)):

            def make(dtype: str = dtype, n: int = n, columns: int | None = columns) -> Contest:
                task = problem(n, dtype, columns)
                about = {"table": "training", "what": STEP, "dtype": dtype, "n": n, "p": columns}
                invited = plans.invited(ways(columns), size, dtype)
                entries = tuple(
                    Contestant(name, lambda way=way: way(task)) for name, way in invited.items()
                )
                return Contest(about, entries, check(task), plans.copy_of(task.x))

            yield plans.Planned("training", make, size.step_rounds)


def weigh(who: str, n: int, dtype: str, columns: int | None) -> float:
    """The most memory that a step takes beyond what was there, in multiples of x."""
    task = problem(n, dtype, columns)
    return processes.peak(ways(columns)[who](task)) / task.x.nbytes


def memory(size: plans.Size) -> Result:
    """A row for each contestant, weighed in a process of its own; a quick run weighs ours alone."""
    result = Result()
    for columns in (None, COLUMNS):
        for dtype in plans.DTYPES:
            for who in ways(columns):
                if size is plans.QUICK and who != "robloss":
                    continue
                about = {"table": "training", "what": "memory", "dtype": dtype, "who": who}
                about |= {"n": size.medium, "p": columns}
                try:
                    weight = processes.apart(weigh, who, size.medium, dtype, columns)
                except (MissingError, ImportError) as reason:
                    result.missing.append(about | {"reason": str(reason)})
                    continue
                print(f"memory of training, {dtype}: {who} {weight:.3g}", flush=True)
                result.rows.append(about | {"memory": weight})
    return result
