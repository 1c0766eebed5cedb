"""Kernels of a backward pass: whether an array is one number, and its multiples."""

import numpy as np
import pytest

from robloss._kernels.multiples import is_constant, multiply

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
# Beside the lengths of vectors: 32 or 64 numbers.
LENGTHS = [1, 2, 31, 32, 33, 64, 65, 200]


@each_dtype
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("value", [0.0, -1.5, np.inf])
def test_one_number_everywhere(n, dtype, value):
    assert is_constant(np.full(n, value, dtype))


@each_dtype
@pytest.mark.parametrize("n", LENGTHS[1:])
def test_another_number_anywhere(n, dtype):
    array = np.full(n, 0.1, dtype)
    for place in range(n):
        kept, array[place] = array[place], np.nextafter(array[place], array.dtype.type(1))
        assert not is_constant(array)
        array[place] = kept
    assert is_constant(array)


@each_dtype
@pytest.mark.parametrize("n", LENGTHS)
def test_nan_is_no_number(n, dtype):
    array = np.ones(n, dtype)
    for place in range(n):
        array[place] = np.nan
        assert not is_constant(array)
        array[place] = 1.0


@each_dtype
@pytest.mark.parametrize("n", [0, *LENGTHS])
@pytest.mark.parametrize("factor", [0.1, -3.0, 1e-30])
def test_products_are_those_of_numpy(n, dtype, factor):
    factor = float(np.dtype(dtype).type(factor))  # as what comes in an array of the dtype
    array = np.random.default_rng(1).standard_cauchy(n).astype(dtype)
    expected = array * factor
    multiply(array, factor)
    np.testing.assert_array_equal(array, expected)


@each_dtype
def test_products_overflow_in_silence(dtype):
    array = np.full(40, np.finfo(dtype).max)
    multiply(array, 4.0)
    assert np.isposinf(array).all()
