"""Functions of residuals that turn bad: midway, beside the start, or in another form."""

import itertools
import math

import numpy as np
import pytest

import robloss
from fit.endings import Refused, Warned
from fit.references import synthetic

X, Y, _ = synthetic(20, "student", n=30)


def steps_of(function, later, calls):
    """A function that returns something else after some calls."""
    count = itertools.count(1)
    return lambda theta: later(function(theta)) if next(count) > calls else function(theta)


def model(theta):
    return Y - X @ theta


def pair(theta):
    return np.stack([model(theta), model(theta)], axis=-1)


def beyond(function):
    """NaN but around the start."""
    return lambda theta: (
        function(theta) if np.all(np.abs(theta) < 0.1) else math.nan * function(theta)
    )


FUNCTIONS = {"residuals": model, "vectors": pair}
LATER = {
    "NaN around the start": (
        beyond, Warned("stalled or max_iter", "No step lowers|`max_iter` steps")
    ),
    "NaN beside the start": (
        lambda one: lambda theta: math.nan * one(theta) if np.any(theta) else one(theta),
        Refused(ValueError, "The derivatives of `residuals` must be finite at `theta0`"),
    ),
    "a shape": (
        lambda one: steps_of(one, lambda r: r[:-1], 8),
        Refused(ValueError, r"`residuals` must return arrays of one shape .*\(29"),
    ),
    "a dtype": (
        lambda one: steps_of(one, lambda r: r.astype("float32"), 8),
        Refused(ValueError, "one shape and dtype, but got float32 .* after float64"),
    ),
    "nothing": (
        lambda one: steps_of(one, lambda r: None, 8),
        Refused(ValueError, "one shape and dtype, but got NoneType after"),
    ),
    "an exception": (
        lambda one: steps_of(one, lambda r: 1 / 0, 8), Refused(ZeroDivisionError, "division")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("later", "expected"), LATER.values(), ids=LATER)
def test_a_function_that_turns_bad(name, later, expected):
    expected.check(lambda: robloss.fit_residuals(later(FUNCTIONS[name]), np.zeros(3)))


def test_it_would_have_converged():
    """The twin of the test above."""
    for function in FUNCTIONS.values():
        assert robloss.fit_residuals(function, np.zeros(3)).converged


@pytest.mark.filterwarnings("ignore::robloss.ConvergenceWarning")
def test_a_function_that_forgets_what_it_returned():
    """Some of these calls are for numbers that were finite before."""
    sentences = set()
    for calls in range(3, 16):
        function = steps_of(model, lambda r: math.nan * r, calls)
        try:
            robloss.fit_residuals(function, np.zeros(3), jac=lambda theta: -X)
        except ValueError as error:
            sentences.add(str(error))
    (sentence,) = sentences
    assert sentence.startswith("`residuals` must return the same numbers whenever it is called")


DERIVATIVES = {
    "complex": (lambda theta: -1j * X, TypeError, "`jac` must have a real dtype"),
    "NaN": (lambda theta: math.nan * X, ValueError, "derivatives of `residuals` must be finite at"),
    "overflow": (lambda theta: -1e200 * X, ValueError, "neither overflow nor underflow"),
    "a shape": (
        steps_of(lambda theta: -X, lambda one: one.T, 3), ValueError, "`jac` must return arrays of",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("jac", "error", "sentence"), DERIVATIVES.values(), ids=DERIVATIVES)
def test_derivatives_that_are_bad(jac, error, sentence):
    with pytest.raises(error, match=sentence):
        robloss.fit_residuals(model, np.zeros(3), jac=jac)


def test_derivatives_that_are_nan_elsewhere():
    Warned("stalled", "No step lowers").check(
        lambda: robloss.fit_residuals(
            model, np.zeros(3), jac=lambda theta: math.nan * X if np.any(theta) else -X
        )
    )


def test_differences_that_rounding_hides_are_flagged():
    """Steps of 1e-5 from 0 where a parameter is of the size of 1e150."""
    fit = robloss.fit_residuals(lambda theta: 1e150 * Y - X @ theta, np.zeros(3))
    assert any("rank 0 but there are 3 parameters" in flag for flag in fit.flags)
