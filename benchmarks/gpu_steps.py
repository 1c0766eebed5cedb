"""What a GPU is wanted for besides arrays: a step of learning in torch, and a fit."""

import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import contestants
import numpy as np
from contest import Call, Contest, Contestant, MissingError, WrongValueError
from contestants import PLAIN, SAMPLE
from peers import reference_loss

import robloss

DTYPES = ("float32", "float64")
ALPHA, SCALE = 0.7, 1.3
STEP = "loss and its gradients"
BY_COLUMNS = "loss and its gradients, by columns"
OURS, BY_FORMULA, COMPILED, REFERENCE = (
    "robloss", "generic path", "torch.compile", "reference formula",
)  # fmt: skip
ON_TWO_CORES = "robloss, two cores"
COLUMNS = 10
LOSS_COLUMNS = 64  # of an `AdaptiveLoss`, say: its log Z is of as many numbers
# A step must read x twice and write losses and slopes; their sum reads the losses: in copies of x.
TRAFFIC = 5 / 2
SEED = 0

ClockOf = Callable[[Call], Callable[[Call, int], float]]


def on_host(value: Any) -> Any:
    """An array of CuPy or torch as NumPy's."""
    if hasattr(value, "get"):
        return value.get()
    return value.cpu().numpy() if hasattr(value, "cpu") else np.asarray(value)


def entering(name: str, way: Callable[[], Call], wait: Call | None = None) -> Contestant:
    """A contestant that fails takes no part: one library must not keep the others from running."""

    def prepared() -> Call:
        try:
            call = way()
            call()
            if wait:
                wait()
        except Exception as error:
            if name == OURS:
                raise
            raise MissingError(f"{type(error).__name__}: {error}") from error
        return call

    return Contestant(name, prepared)


def _torch(device: str) -> Any:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError("torch finds no GPU")
    return torch


def residuals(device: str, n: int, dtype: str) -> Any:
    """Cauchy's, in a torch tensor."""
    torch = _torch(device)
    generator = torch.Generator(device).manual_seed(SEED)
    one, other = torch.randn(2, n, generator=generator, device=device, dtype=torch.float64)
    return (SCALE * one / other).to(getattr(torch, dtype))


def step(loss: Callable[..., Any], x: Any) -> Call:
    """The sum of the loss, and its gradients in x, and in an alpha and a scale for each column."""
    import torch

    x = x.detach().requires_grad_()
    alpha, scale = (
        torch.full(x.shape[1:], one, dtype=x.dtype, device=x.device, requires_grad=True)
        for one in (ALPHA, SCALE)
    )

    def call() -> tuple:
        value = loss(x, alpha, scale).sum()
        return value.detach(), *torch.autograd.grad(value, (x, alpha, scale))

    return call


def by_formula(x: Any) -> Call:
    """Our step where no kernel can be built."""
    from robloss._backends import torch_cuda

    call = step(robloss.loss, x)

    def without_kernels() -> tuple:
        with patch.object(torch_cuda, "card_of", lambda _: None):
            return call()

    return without_kernels


def check(x: Any) -> Callable[[Any], None]:
    """Compare sums, and some slopes, with the article's formulas in float64."""
    import torch

    some = slice(None, None, max(len(x) // SAMPLE, 1))
    dtype = str(x.dtype).removeprefix("torch.")
    names = ("loss", "grad_alpha", "grad_scale")
    sums = [PLAIN[name](torch, x.double(), ALPHA, SCALE).sum(0).cpu().numpy() for name in names]
    sums[0] = sums[0].sum()
    ones = [np.ones_like(one) for one in sums]
    slopes = PLAIN["influence"](torch, x[some].double(), ALPHA, SCALE).cpu().numpy()

    def look(values: Any) -> None:
        total, in_x, *others = values
        if in_x.dtype != x.dtype:
            raise WrongValueError(f"the gradient has dtype {in_x.dtype}")
        given = [on_host(one) for one in (total, *others)]
        found = [one / wanted for one, wanted in zip(given, sums, strict=True)]
        contestants.same((on_host(in_x[some]), *found), (slopes, *ones), dtype)

    return look


def training(
    clock_of: ClockOf, n: int, dtype: str, device: str, columns: int | None = None
) -> Contest:
    """A step on n elements, or on the rows of so many columns, by the device's clock."""
    import contest

    x = residuals(device, n, dtype)
    if columns is not None:
        x = x[: n - n % columns].reshape(-1, columns)
    target = x.clone()
    contest.CLOCKS["device"] = clock_of(lambda: target.copy_(x))
    ways = {
        OURS: lambda: step(robloss.loss, x),
        BY_FORMULA: lambda: by_formula(x),
        COMPILED: lambda: step(contestants.compiled_reference(), x),
        REFERENCE: lambda: step(reference_loss, x),
    }
    what = STEP if columns is None else BY_COLUMNS
    about = {"table": "training", "what": what, "dtype": dtype, "alpha": f"{ALPHA:g}"}
    return Contest(
        about | {"traffic": TRAFFIC, "n": x.numel()},
        tuple(entering(name, way) for name, way in ways.items()),
        check(x),
        lambda: target.copy_(x),
        clock="device",
    )


def fit(cp: Any, n: int, device: str) -> Contest:
    """A linear fit that adapts everything, by the clock on the wall: on the device and off it."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((n, COLUMNS))
    coef = np.arange(1.0, COLUMNS + 1)
    y = X @ coef + rng.standard_t(2, n)

    def here() -> Any:
        with patch.dict(os.environ, {"ROBLOSS_NUM_THREADS": "2"}):
            return robloss.fit_linear(X, y).coef

    def by_cupy() -> Call:
        there = cp.asarray(X), cp.asarray(y)
        return lambda: robloss.fit_linear(*there).coef

    def by_torch() -> Call:
        torch = _torch(device)
        there = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
        return lambda: robloss.fit_linear(*there).coef

    def look(found: Any) -> None:
        found = on_host(found)
        # Ten standard errors of a coefficient, at t residuals of 2 degrees of freedom.
        if not np.all(np.abs(found - coef) < 20 / np.sqrt(n)):
            raise WrongValueError(f"coefficients {found}")

    ways = {
        OURS: by_cupy,
        "robloss, torch": by_torch,
        ON_TWO_CORES: lambda: here,
    }
    about = {"table": "fit", "what": "fit_linear", "dtype": "float64", "alpha": "adapted"}
    people = tuple(entering(name, way) for name, way in ways.items())
    return Contest(about | {"traffic": None, "n": n, "p": COLUMNS}, people, look, clock="wall")


def contests(cp: Any, clock_of: ClockOf, n: int, device: str = "cuda") -> Iterator[Contest]:
    """All of them, made when it is their turn."""
    for dtype in DTYPES:
        yield training(clock_of, n, dtype, device)
        yield training(clock_of, n, dtype, device, LOSS_COLUMNS)
    yield fit(cp, n // 10, device)
