"""The options that every fit has, checked."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robloss._args import as_number, number_in
from robloss._domains import ALPHA, DENSITY_ALPHA, SCALE, TRUNCATION, Domain
from robloss._fit.anneal import SCHEDULES, SHRINKING

METHODS = ("irls", "gradient")

# What fits do where an option is left out; the other options are then None, 0 or "adapt".
ALPHA_BOUNDS = (0.0, 2.0)
METHOD = METHODS[0]
N_STARTS = 1
TOL = 1e-8
MAX_ITER = 200


@dataclass(frozen=True)
class Options:
    """What is to be estimated, from where, and how long to try.

    Attributes
    ----------
    alpha, scale : float, or None
        Fixed, or to be estimated.
    bounds : (float, float)
        Of α.
    truncation : float, or None
    n_starts : int
    rng : numpy.random.Generator
    method : str
    anneal : str, tuple of float, or None
    tol : float
    max_iter : int
    callback : callable, or None
    verbose : int
    """

    alpha: float | None
    scale: float | None
    bounds: tuple[float, float]
    truncation: float | None
    n_starts: int
    rng: "np.random.Generator"  # quoted: to name it loads numpy.random
    method: str
    anneal: str | tuple[float, ...] | None
    tol: float
    max_iter: int
    callback: Callable[[Any], object] | None
    verbose: int


def whole_number(name: str, value: Any, least: int) -> int:
    """A whole number as int."""
    given = as_number(name, value)
    if not (given >= least and given.is_integer()):
        raise ValueError(
            f"`{name}` must be a whole number from {least} on, but got {value!r}. "
            "Leave it out for its default."
        )
    return int(given)


def _is_truth(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def truth(name: str, value: Any) -> bool:
    """A Python or NumPy truth value as bool."""
    if not _is_truth(value):
        raise TypeError(f"`{name}` must be True or False, but got {value!r}. Pass one of these.")
    return bool(value)


def _given(domain: Domain, value: Any) -> float | None:
    """The number an option was given, or None for "adapt"."""
    if isinstance(value, str) and value == "adapt":
        return None
    return number_in(domain, value, '"adapt" or a number')


def _bounds(bounds: Any, truncated: bool) -> tuple[float, float]:
    if isinstance(bounds, str) or np.shape(bounds) != (2,):
        raise TypeError(
            f"`alpha_bounds` must be two numbers, but got {bounds!r}. Pass (low, high)."
        )
    low, high = (as_number("alpha_bounds", bound, "two numbers") for bound in bounds)
    if not -math.inf < low < high < math.inf:
        raise ValueError(
            f"`alpha_bounds` must be two numbers -inf < low < high < inf, but got {bounds!r}. "
            "Give `alpha` a number to fix it."
        )
    if low < 0 and not truncated:
        raise ValueError(
            f"`alpha_bounds` must be two numbers 0 <= low < high, but got {bounds!r}. Below 0 the "
            "density has no integral; give `truncation` a number to cut it off."
        )
    return low, high


def _truncation(value: Any) -> float | None:
    if value is None:
        return None
    given = number_in(TRUNCATION, value, "None or a number")
    return None if math.isinf(given) else given


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if not (isinstance(value, str) and value in choices):
        listed = " or ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f"`{name}` must be {listed}, but got {value!r}. Pass one of these.")
    return value


def _anneal(value: Any) -> str | tuple[float, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _choice("anneal", value, SCHEDULES)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence) or not value:
        raise TypeError(
            f"`anneal` must be None, the name of a schedule or a list of alphas, but got "
            f"{value!r}. Pass one of these."
        )
    alphas = tuple(as_number("anneal", one, "a list of numbers") for one in value)
    if any(math.isnan(alpha) for alpha in alphas):
        raise ValueError(f"`anneal` must hold no nan, but got {value!r}. Drop it.")
    return alphas


def _generator(rng: Any) -> "np.random.Generator":
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`rng` must be None, a seed or a numpy.random.Generator, but got {rng!r}. "
            "Pass a whole number."
        ) from error


def for_numbers(options: Options) -> Options:
    """The options, refused where residuals that are numbers have no likelihood to fit them by."""
    is_below_0 = options.bounds[1] <= 0 if options.alpha is None else options.alpha < 0
    if options.scale is None and is_below_0:
        raise ValueError(
            f"`alpha` must lie in {DENSITY_ALPHA} where the scale is adapted, but got "
            f"{options.bounds if options.alpha is None else options.alpha!r}. Below 0 there is no "
            "likelihood to choose a scale by; give `scale` a number."
        )
    return options


def checked(**given: Any) -> Options:
    """Refuse options out of range, for residuals that are numbers."""
    return for_numbers(parsed(**given))


def parsed(
    *,
    alpha: Any,
    scale: Any,
    alpha_bounds: Any,
    truncation: Any,
    n_starts: Any,
    rng: Any,
    method: Any,
    anneal: Any,
    tol: Any,
    max_iter: Any,
    callback: Any,
    verbose: Any,
) -> Options:
    """Refuse options out of range whatever residuals are."""
    fixed_alpha, fixed_scale = _given(ALPHA, alpha), _given(SCALE, scale)
    cut = _truncation(truncation)
    bounds = _bounds(alpha_bounds, cut is not None)
    schedule = _anneal(anneal)
    if schedule == SHRINKING and (fixed_alpha is None or fixed_scale is None):
        raise ValueError(
            f"`anneal` must be another where alpha or scale is adapted, but got {schedule!r}, "
            "a way through scales. Fix both, or choose another."
        )
    if not 0 < as_number("tol", tol) < math.inf:
        raise ValueError(
            f"`tol` must lie in (0, inf), but got {tol!r}. Leave it out for its default."
        )
    if not (callback is None or callable(callback)):
        raise TypeError(
            f"`callback` must be None or callable, but got {callback!r}. Pass a function of one "
            "argument."
        )
    return Options(
        alpha=fixed_alpha,
        scale=fixed_scale,
        bounds=bounds,
        truncation=cut,
        n_starts=whole_number("n_starts", n_starts, 1),
        rng=_generator(rng),
        method=_choice("method", method, METHODS),
        anneal=schedule,
        tol=float(tol),
        max_iter=whole_number("max_iter", max_iter, 0),
        callback=callback,
        verbose=whole_number("verbose", int(verbose) if _is_truth(verbose) else verbose, 0),
    )
