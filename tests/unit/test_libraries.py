"""Libraries by name, what counts as a real number, and the dtypes to compute in."""

import math
import types

import numpy as np
import pytest
from sentences import says

from robloss import loss
from robloss._libraries import common_library, compute_dtype, is_number, library_of


class Foreign:
    """Enough of an array for `array_api_compat` to take it as another library's."""

    dtype, shape = np.dtype("f8"), ()

    def __array_namespace__(self, api_version=None):
        return types.ModuleType("foreign")


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


def test_two_libraries():
    sentence = (
        "`x` and `scale` must come from one array library, but got numpy and foreign. "
        "Convert one of them first."
    )
    with pytest.raises(TypeError, match=says(sentence)):
        loss(np.ones(2), 1.0, Foreign())


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


def test_8_bit_floats_are_computed_in_32(backend):
    kind = getattr(backend.xp, "float8_e4m3fn", None)
    if kind is None:
        pytest.skip("this library has no floats of 8 bits")
    x = backend.xp.astype(backend.array([0.5, -2.0], "float32"), kind)
    values = loss(x, 1.0)
    assert values.dtype == kind
    # Three bits after the leading one.
    np.testing.assert_allclose(
        backend.to_numpy(backend.xp.astype(values, backend.xp.float32)),
        loss(np.array([0.5, -2.0]), 1.0),
        rtol=2.0**-4,
    )


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_the_dtype_to_compute_in_has_the_byte_order_here(kind):
    dtype = compute_dtype(np, np.dtype(kind).newbyteorder())
    assert dtype.isnative
    assert dtype == ("f8" if kind == "f8" else "f4")
