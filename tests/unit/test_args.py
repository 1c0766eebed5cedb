"""Every sentence that the argument checks can say, and what they let pass."""

import math
from fractions import Fraction

import numpy as np
import pytest
from sentences import says

from robloss import AlphaMap, fit_location, log_partition, loss, nll
from robloss._args import prepare, values_of
from robloss._domains import ALPHA, DENSITY_ALPHA, RESIDUAL, SCALE

THREE = (RESIDUAL, ALPHA, SCALE)


def test_a_scalar_outside_its_domain():
    sentence = (
        "`scale` must lie in (0, inf), but got -1.0. "
        "A scale is a width in the unit of the residuals; pass a positive number."
    )
    with pytest.raises(ValueError, match=says(sentence)):
        loss(1.0, 1.0, -1.0)
    with pytest.raises(ValueError, match=says(sentence.replace("-1.0", "0.0"))):
        loss(np.ones(3), 1.0, 0)
    with pytest.raises(ValueError, match=says(sentence.replace("-1.0", "inf"))):
        loss(1.0, 1.0, math.inf)


def test_an_array_element_outside_its_domain():
    sentence = (
        "`scale` must lie in (0, inf), but got -1.0 at index (1, 0). "
        "A scale is a width in the unit of the residuals; pass a positive number."
    )
    with pytest.raises(ValueError, match=says(sentence)):
        loss(1.0, 1.0, np.array([[1.0, 2.0], [-1.0, 0.0]]))
    with pytest.raises(ValueError, match=says(sentence)):
        loss(1.0, 1.0, [[1, 2], [-1, 0]])
    with pytest.raises(ValueError, match=says(sentence.replace(" at index (1, 0)", ""))):
        loss(1.0, 1.0, np.array(-1.0))


def test_a_shape_without_a_density():
    sentence = (
        "`alpha` must lie in [0, inf], but got -0.5. "
        "Below 0 the density has no finite integral; use alpha >= 0, or a `truncation` where the "
        "function takes one."
    )
    with pytest.raises(ValueError, match=says(sentence)):
        nll(1.0, -0.5)
    with pytest.raises(ValueError, match=says(sentence.replace("-0.5", "-0.5 at index (0,)"))):
        nll(1.0, np.array([-0.5]))


def test_nan_passes_as_it_becomes_nan():
    assert math.isnan(loss(1.0, 1.0, math.nan))
    assert np.isnan(loss(1.0, 1.0, np.array([math.nan, 1.0]))).tolist() == [True, False]
    assert math.isnan(nll(1.0, math.nan))


def test_shapes_that_do_not_broadcast():
    sentence = (
        "Arguments must have shapes that broadcast together, "
        "but got `x` (3,), `alpha` (2, 1), `scale` (2, 2). "
        "Add axes of length 1 where they should be paired."
    )
    with pytest.raises(ValueError, match=says(sentence)):
        loss(np.ones(3), np.ones((2, 1)), np.ones((2, 2)))


def test_out_of_another_kind():
    with pytest.raises(
        TypeError,
        match=says("`out` must be a NumPy array, but got list. Leave it out to get a new array."),
    ):
        loss(np.ones(2), 1.0, out=[0.0, 0.0])


@pytest.mark.parametrize("value", [10**400, -(10**400), Fraction(10**400)])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("x", lambda value: loss(value, 1.0)),
        ("alpha", lambda value: loss(np.ones(3), value)),
        ("scale", lambda value: loss(np.ones(3), 1.0, value)),
        ("scale", lambda value: nll(np.ones(3), 1.0, value)),
        ("truncation", lambda value: log_partition(1.0, truncation=value)),
        ("high", lambda value: AlphaMap(0.0, value)),
        ("tol", lambda value: fit_location(np.ones(3), tol=value)),
        ("max_iter", lambda value: fit_location(np.ones(3), max_iter=value)),
        ("alpha_bounds", lambda value: fit_location(np.ones(3), alpha_bounds=(0, value))),
    ],
)
def test_a_number_too_large_for_floats(name, function, value):
    sentence = (
        f"`{name}` must lie in the range of float64, but got a number beyond it. "
        "Floats go up to 1.8e308; pass a smaller number."
    )
    with pytest.raises(ValueError, match=says(sentence)):
        function(value)


def test_the_largest_numbers_are_taken():
    largest = int(np.finfo(float).max)
    for number in (largest, largest + 1):  # which is rounded to it
        assert loss(np.ones(3), -number, 1.0).tolist() == loss(np.ones(3), -float(largest)).tolist()
        assert loss(np.ones(3), 2, number).tolist() == [0.0] * 3


def test_what_a_backend_gets():
    arguments = prepare(THREE, (np.float32([1, 2]), 1, np.array(2, "f2")))
    assert arguments.library == "numpy"
    assert arguments.dtype == arguments.compute == np.float32
    x, alpha, scale = values_of(arguments)
    assert type(alpha) is float
    assert x.dtype == scale.dtype == np.float32
    arguments = prepare(THREE, (np.float16([1, 2]), 1, 1.0))
    assert (arguments.compute, arguments.dtype) == (np.float32, np.float16)
    assert prepare((DENSITY_ALPHA,), (1,)).dtype == np.float64


def test_values_are_not_looked_at_without_check():
    values = values_of(prepare(THREE, (1.0, 1.0, np.array([-1.0])), check=False))
    assert values[2].tolist() == [-1.0]
