"""Who computes the loss and its derivatives element by element, or sums of them.

A way takes a task and returns the call that is timed. Whatever a user does once (to convert the
data to the library's own arrays, to compile) is done before.
"""

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from contest import Call, MissingError, WrongValueError
from peers import reference_loss, textbook

import robloss
from robloss._backends.totals import total

# The textbook formulas lose digits to cancellation (`power - 1`); agreement to this, relative and
# absolute, is enough to know that the same quantity is timed.
SAME = {"float64": 1e-8, "float32": 1e-3}
SAMPLE = 10_000  # elements of a result that are compared


@dataclass(frozen=True)
class Task:
    """The operations to compute, and of what. Alpha is a number or an array of x's dtype."""

    outputs: tuple[str, ...]
    x: np.ndarray
    alpha: float | np.ndarray
    scale: float

    def columns(self, places: Any = slice(None)) -> list[np.ndarray]:
        """Arguments as arrays of float64, at some places."""
        shape = self.x.shape
        return [np.broadcast_to(one, shape)[places].astype(float) for one in self.arguments]

    @property
    def arguments(self) -> tuple[np.ndarray, float | np.ndarray, float]:
        """Arguments of an elementwise operation."""
        return self.x, self.alpha, self.scale


Way = Callable[[Task], Call]


# ----------------------------------------------------------------------------------------- checks


def same(values: object, expected: tuple, dtype: str) -> None:
    """Refuse values that are not what is expected."""
    values = values if isinstance(values, tuple) else (values,)
    if len(values) != len(expected):
        raise WrongValueError(f"{len(values)} values, but {len(expected)} are expected")
    for place, (value, wanted) in enumerate(zip(values, expected, strict=True)):
        got = np.asarray(value, dtype=float)
        close = np.isclose(got, wanted, rtol=SAME[dtype], atol=SAME[dtype])
        if got.shape != np.shape(wanted) or not np.all(close):
            worst = np.max(np.abs(got - wanted)) if got.shape == np.shape(wanted) else got.shape
            raise WrongValueError(f"output {place} differs by up to {worst}")


def elementwise_check(task: Task) -> Callable[[object], None]:
    """Compare a result with the textbook formulas in float64, at elements from end to end."""
    n = task.x.size
    places = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(int))
    columns = task.columns(places)
    expected = tuple(textbook(name, *columns) for name in task.outputs)

    def check(values: object) -> None:
        arrays = values if isinstance(values, tuple) else (values,)
        for array in arrays:
            dtype = str(array.dtype).removeprefix("torch.")
            if dtype != task.x.dtype.name or tuple(array.shape) != task.x.shape:
                raise WrongValueError(f"the result has dtype {dtype} and shape {array.shape}")
        same(tuple(np.asarray(array)[places] for array in arrays), expected, task.x.dtype.name)

    return check


def sums_check(task: Task) -> Callable[[object], None]:
    """Compare sums with those of the textbook formulas in float64."""
    columns = task.columns()
    expected = tuple(float(np.sum(textbook(name, *columns))) for name in task.outputs)
    # Relative to the size of each: an absolute difference says nothing about a sum.
    units = tuple(1.0 for _ in expected)

    def check(values: object) -> None:
        relative = tuple(float(a) / b for a, b in zip(values, expected, strict=True))
        same(relative, units, task.x.dtype.name)

    return check


def log_partition(alpha: float) -> float:
    """log Z by the trapezoidal rule in x = sinh t: for checks only, good to 1e-10."""
    step = 1 / 64
    t = np.arange(-50, 50, step)
    with np.errstate(over="ignore"):
        density = np.exp(-textbook("loss", np.sinh(t), np.full_like(t, alpha), 1.0))
    return math.log(step * math.fsum(density * np.cosh(t)))


# ---------------------------------------------------------------------------------------- robloss


def robloss_into(task: Task) -> Call:
    """Into arrays that are there."""
    targets = tuple(np.empty_like(task.x) for _ in task.outputs)
    x, alpha, scale = task.arguments
    if len(targets) == 1:
        operation, target = getattr(robloss, task.outputs[0]), targets[0]
        return lambda: operation(x, alpha, scale, out=target)
    evaluate = _evaluate()
    return lambda: evaluate(x, alpha, scale, outputs=task.outputs, out=targets)


def robloss_new(task: Task) -> Call:
    """Into new arrays."""
    x, alpha, scale = task.arguments
    if len(task.outputs) == 1:
        operation = getattr(robloss, task.outputs[0])
        return lambda: operation(x, alpha, scale)
    evaluate = _evaluate()
    return lambda: evaluate(x, alpha, scale, outputs=task.outputs)


def robloss_in_turn(task: Task) -> Call:
    """Operation after operation, into arrays that are there."""
    targets = tuple(np.empty_like(task.x) for _ in task.outputs)
    jobs = [(getattr(robloss, name), target) for name, target in zip(task.outputs, targets)]  # noqa: B905
    x, alpha, scale = task.arguments
    return lambda: tuple(job(x, alpha, scale, out=target) for job, target in jobs)


def robloss_first(task: Task) -> Call:
    """The first output alone: what the whole set is compared with."""
    return robloss_into(Task(task.outputs[:1], *task.arguments))


def robloss_alpha(task: Task) -> Call:
    """A function of alpha alone."""
    operation = getattr(robloss, task.outputs[0])
    return lambda: operation(task.alpha)


def _evaluate() -> Callable[..., tuple]:
    if not hasattr(robloss, "evaluate"):
        raise MissingError("this robloss has no `evaluate`")
    return robloss.evaluate


def robloss_sums(task: Task) -> Call:
    """Sums with nothing materialised."""
    x, alpha, scale = task.arguments

    def call() -> tuple:
        found = total(x, alpha, scale)
        return tuple(getattr(found, name) for name in task.outputs)

    return call


def robloss_then_sum(task: Task) -> Call:
    """Arrays in one pass, then their sums."""
    targets = tuple(np.empty_like(task.x) for _ in task.outputs)
    x, alpha, scale = task.arguments
    evaluate = _evaluate()

    def call() -> tuple:
        arrays = evaluate(x, alpha, scale, outputs=task.outputs, out=targets)
        return tuple(np.sum(array) for array in arrays)

    return call


# ---------------------------------------------------------- the plain formulas, in any namespace

CLOSED: dict[float, Callable[[Any, Any], Any]] = {
    2.0: lambda xp, s: s / 2,  # noqa: ARG005
    1.0: lambda xp, s: xp.sqrt(s + 1) - 1,
    0.0: lambda xp, s: xp.log(s / 2 + 1),
    -2.0: lambda xp, s: 2 * s / (s + 4),  # noqa: ARG005
    -math.inf: lambda xp, s: 1 - xp.exp(-s / 2),
}


def plain_loss(xp: Any, x: Any, alpha: Any, scale: Any) -> Any:
    """As it stands in the article; for a special alpha what a user writes who knows it."""
    s = (x / scale) ** 2
    if isinstance(alpha, float) and alpha in CLOSED:
        return CLOSED[alpha](xp, s)
    b = abs(alpha - 2)
    return b / alpha * ((s / b + 1) ** (alpha / 2) - 1)


def plain_weight(xp: Any, x: Any, alpha: Any, scale: Any) -> Any:  # noqa: ARG001
    s, b = (x / scale) ** 2, abs(alpha - 2)
    return (s / b + 1) ** (alpha / 2 - 1) / scale**2


def plain_influence(xp: Any, x: Any, alpha: Any, scale: Any) -> Any:
    return x * plain_weight(xp, x, alpha, scale)


def plain_curvature(xp: Any, x: Any, alpha: Any, scale: Any) -> Any:
    u = (x / scale) ** 2 / abs(alpha - 2)
    return plain_weight(xp, x, alpha, scale) * (1 + (alpha - 2) * u / (1 + u))


def plain_grad_alpha(xp: Any, x: Any, alpha: Any, scale: Any) -> Any:
    """Written out for alpha < 2."""
    b = abs(alpha - 2)
    u = (x / scale) ** 2 / b
    power = (1 + u) ** (alpha / 2)
    slope = b * xp.log(1 + u) / (2 * alpha) + u / (2 * (1 + u))
    return -2 / alpha**2 * (power - 1) + power * slope


def plain_grad_scale(xp: Any, x: Any, alpha: Any, scale: Any) -> Any:
    return -x * x * plain_weight(xp, x, alpha, scale) / scale


PLAIN = {
    "loss": plain_loss,
    "influence": plain_influence,
    "weight": plain_weight,
    "curvature": plain_curvature,
    "grad_alpha": plain_grad_alpha,
    "grad_scale": plain_grad_scale,
}
# ψ and ψ/x share the power where somebody wants both.
TOGETHER = ("loss", "influence", "weight")


def _plain(xp: Any, outputs: tuple[str, ...], x: Any, alpha: Any, scale: Any) -> tuple:
    if outputs == TOGETHER:
        weight = plain_weight(xp, x, alpha, scale)
        return plain_loss(xp, x, alpha, scale), x * weight, weight
    return tuple(PLAIN[name](xp, x, alpha, scale) for name in outputs)


def plain_numpy(task: Task) -> Call:
    return lambda: _plain(np, task.outputs, *task.arguments)


def plain_numpy_sums(task: Task) -> Call:
    return lambda: tuple(np.sum(one) for one in _plain(np, task.outputs, *task.arguments))


def numexpr_loss(task: Task) -> Call:
    """The plain formula of the loss in one expression, into an array that is there."""
    import numexpr

    given = dict(zip(("x", "a", "c"), (np.asarray(one, task.x.dtype) for one in task.arguments)))  # noqa: B905
    target = np.empty_like(task.x)
    given |= {"b": abs(given["a"] - 2)}
    formula = "b / a * (((x / c)**2 / b + 1)**(a / 2) - 1)"
    return lambda: numexpr.evaluate(formula, local_dict=given, out=target)


# -------------------------------------------------------------------------------------------- jax


def _jax() -> tuple[ModuleType, ModuleType]:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax, jax.numpy


def _jax_arrays(task: Task) -> list[Any]:
    _, xp = _jax()
    return [one if isinstance(one, float) else xp.asarray(one) for one in task.arguments]


def jax_jit(task: Task) -> Call:
    jax, xp = _jax()
    compiled = jax.jit(lambda *arguments: _plain(xp, task.outputs, *arguments))
    arguments = _jax_arrays(task)
    return lambda: jax.block_until_ready(compiled(*arguments))


def jax_sums(task: Task) -> Call:
    """The sum of the loss and its derivatives towards alpha and scale."""
    jax, xp = _jax()
    compiled = jax.jit(
        jax.value_and_grad(
            lambda x, alpha, scale: xp.sum(plain_loss(xp, x, alpha, scale)), argnums=(1, 2)
        )
    )
    x, *numbers = _jax_arrays(task)
    numbers = [xp.asarray(number, dtype=x.dtype) for number in numbers]

    def call() -> tuple:
        value, slopes = jax.block_until_ready(compiled(x, *numbers))
        return value, *slopes

    return call


# ------------------------------------------------------------------------------------------ torch


def _torch_arguments(task: Task) -> list[Any]:
    import torch

    return [torch.as_tensor(np.asarray(one, task.x.dtype)) for one in task.arguments]


def _torch_call(loss: Callable[..., Any], task: Task) -> Call:
    """The loss, or the loss with what follows from one derivative by autograd."""
    import torch

    x, alpha, scale = _torch_arguments(task)
    if task.outputs == ("loss",):
        return lambda: loss(x, alpha, scale)
    if task.outputs != TOGETHER:
        raise MissingError(f"no peer for {', '.join(task.outputs)}")
    x.requires_grad_()
    ones = torch.ones_like(x)

    def call() -> tuple:
        value = loss(x, alpha, scale)
        (slope,) = torch.autograd.grad(value, x, ones)
        return value.detach(), slope, slope / x.detach()

    return call


def _torch_sums(loss: Callable[..., Any], task: Task) -> Call:
    import torch

    x, alpha, scale = _torch_arguments(task)
    alpha.requires_grad_()
    scale.requires_grad_()

    def call() -> tuple:
        value = loss(x, alpha, scale).sum()
        return value.detach(), *torch.autograd.grad(value, (alpha, scale))

    return call


def compiled_reference() -> Callable[..., Any]:
    """The formula of robust_loss_pytorch under torch.compile."""
    import torch

    compilers = (os.environ.get("CXX", "g++"), "clang++")
    if not any(shutil.which(name) for name in compilers):
        raise MissingError("torch.compile needs a C++ compiler")
    torch.compiler.reset()  # else the eighth size or dtype falls back to eager without a word
    return torch.compile(reference_loss)


def torch_eager(task: Task) -> Call:
    return _torch_call(reference_loss, task)


def torch_compile(task: Task) -> Call:
    return _torch_call(compiled_reference(), task)


def torch_eager_sums(task: Task) -> Call:
    return _torch_sums(reference_loss, task)


def torch_compile_sums(task: Task) -> Call:
    return _torch_sums(compiled_reference(), task)


# The names under which they stand in the record; the first is ours.
OURS: dict[str, Way] = {"robloss, out=": robloss_into, "robloss": robloss_new}
NUMPY: dict[str, Way] = {"NumPy": plain_numpy}
PEERS: dict[str, Way] = {
    **NUMPY,
    "jax.jit": jax_jit,
    "torch.compile": torch_compile,
    "torch": torch_eager,
}
LOSS_PEERS: dict[str, Way] = {"numexpr": numexpr_loss, **PEERS}
SUMS: dict[str, Way] = {
    "robloss": robloss_sums,
    "robloss, then np.sum": robloss_then_sum,
    "NumPy": plain_numpy_sums,
    "jax.jit": jax_sums,
    "torch.compile": torch_compile_sums,
    "torch": torch_eager_sums,
}
NOTES = {
    "robloss, out=": "into arrays that are there",
    "robloss": "into new arrays, whose pages the system first has to hand out (so for every peer "
    "that returns new arrays)",
    "NumPy": "the article's formula in plain NumPy, `|α-2|/α * ((s/|α-2| + 1)**(α/2) - 1)` with "
    "s = (x/c)²; for α in {2, 1, 0, −2, −∞} the closed form; derivatives by hand",
    "numexpr": "the same formula in one expression, into an array that is there",
    "jax.jit": "the same formula under `jax.jit`; sums by `jax.value_and_grad`",
    "torch": "the formula of robust_loss_pytorch written out, eager; derivatives by autograd",
    "torch.compile": "the same under `torch.compile`",
}
