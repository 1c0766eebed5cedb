"""Every sentence that the argument checks can say, and what they let pass."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from robloss import AlphaMap, fit_location, log_partition, loss, nll
from robloss._args import (
    common_library,
    compute_dtype,
    is_number,
    library_of,
    prepare,
    values_of,
)
from robloss._domains import ALPHA, DENSITY_ALPHA, RESIDUAL, SCALE

THREE = (RESIDUAL, ALPHA, SCALE)


def says(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


class Foreign:
    """Enough of an array for `array_api_compat` to take it as another library's."""

    dtype, shape = np.dtype("f8"), ()

    def __array_namespace__(self, api_version=None):
        import types

        return types.ModuleType("foreign")


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


@pytest.mark.parametrize(
    ("name", "value", "kind", "how"),
    [
        ("x", np.array([1 + 2j]), "complex128", ""),
        ("x", [True, False], "bool", ", e.g. x.astype(float)"),
        ("x", True, "bool", ", e.g. float(x)"),
        ("x", np.array([1.0], dtype=object), "object", ", e.g. x.astype(float)"),
        ("x", "1.0", "<U3", ", e.g. x.astype(float)"),
        ("x", None, "object", ", e.g. x.astype(float)"),
        ("alpha", 1j, "complex128", ""),
        ("scale", np.bool_(True), "bool", ", e.g. scale.astype(float)"),
    ],
    ids=lambda value: str(value).replace("\n", " "),
)
def test_what_is_not_real(name, value, kind, how):
    given = {"x": 1.0, "alpha": 1.0, "scale": 1.0, name: value}
    sentence = (
        f"`{name}` must have a real dtype of at most 64 bits, but got {kind}. "
        f"Convert it first{how}."
    )
    with pytest.raises(TypeError, match=says(sentence)):
        loss(**given)


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="long double is float64 here")
def test_long_doubles():
    with pytest.raises(TypeError, match="`x` must have a real dtype of at most 64 bits, but got"):
        loss(np.ones(2, np.longdouble), 1.0)


def test_shapes_that_do_not_broadcast():
    sentence = (
        "Arguments must have shapes that broadcast together, "
        "but got `x` (3,), `alpha` (2, 1), `scale` (2, 2). "
        "Add axes of length 1 where they should be paired."
    )
    with pytest.raises(ValueError, match=says(sentence)):
        loss(np.ones(3), np.ones((2, 1)), np.ones((2, 2)))


def test_two_libraries():
    sentence = (
        "`x` and `scale` must come from one array library, but got numpy and foreign. "
        "Convert one of them first."
    )
    with pytest.raises(TypeError, match=says(sentence)):
        loss(np.ones(2), 1.0, Foreign())


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


@pytest.mark.parametrize("value", [1, 1.5, math.inf, 10**400])
def test_plain_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [True, 1j, "1", None, [1.0], np.float64(1), np.int8(1)])
def test_what_is_not_a_plain_number(value):
    assert not is_number(value)


def test_libraries_by_name():
    assert library_of(np.ones(1)) == "numpy"
    assert library_of(np.float32(1)) == "numpy"
    assert library_of([1.0]) is None
    assert library_of(Foreign()) == "foreign"
    assert common_library({"x": 1.0, "alpha": 2})[0] == "numpy"
    assert common_library({"x": [1.0], "alpha": np.float32(1)})[0] == "numpy"


def test_16_bit_floats_are_computed_in_32(backend, floating):
    dtype = backend.array([1.0], floating).dtype
    wanted = {"float16": "float32", "bfloat16": "float32"}.get(floating, floating)
    assert compute_dtype(backend.xp, dtype) == backend.dtype(wanted)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_the_dtype_to_compute_in_has_the_byte_order_here(kind):
    dtype = compute_dtype(np, np.dtype(kind).newbyteorder())
    assert dtype.isnative
    assert dtype == ("f8" if kind == "f8" else "f4")


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
