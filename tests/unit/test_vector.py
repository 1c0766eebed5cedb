"""The vector type: every operator and function, lane by lane, and its memory."""

from fractions import Fraction

import numpy as np
import pytest
from numba import njit

from robloss._kernels import vector as v
from robloss._kernels.memory import lanes_of, load, store

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@njit
def _arithmetic(x, y, out):
    a, b = load(x, 0, lanes_of(x)), load(y, 0, lanes_of(x))
    n = lanes_of(x)
    store(out, 0, n, a + b)
    store(out, n, n, a - b)
    store(out, 2 * n, n, a * b)
    store(out, 3 * n, n, a / b)
    store(out, 4 * n, n, -a)
    store(out, 5 * n, n, v.absolute(a))
    store(out, 6 * n, n, v.root(v.absolute(a)))
    store(out, 7 * n, n, v.fma(a, b, -(a * b)))
    store(out, 8 * n, n, 2 * a + 1.5)
    store(out, 9 * n, n, v.from_bits(v.to_bits(a)))


@each_dtype
def test_arithmetic_is_numpys(dtype):
    n = v.BYTES // np.dtype(dtype).itemsize
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    out = np.zeros(10 * n, dtype)
    _arithmetic(a, b, out)
    # A product of two floats has a remainder that is a float.
    exact = (a.astype(np.longdouble) * b - a * b).astype(dtype)
    if dtype == "float64":
        split = [_two_product(one, two) for one, two in zip(a.tolist(), b.tolist(), strict=True)]
        exact = np.array(split)
    expected = [a + b, a - b, a * b, a / b, -a, abs(a), np.sqrt(abs(a)), exact, 2 * a + 1.5, a]
    np.testing.assert_array_equal(out.reshape(10, n), np.array(expected, dtype))


def _two_product(a, b):
    return float(Fraction(a) * Fraction(b) - Fraction(a * b))


@njit
def _compare(x, y, out):
    n = lanes_of(x)
    a, b = load(x, 0, n), load(y, 0, n)
    store(out, 0, n, v.where(a < b, 1.0, a * 0.0 + 2.0))
    store(out, n, n, v.where(a <= b, a * 0.0 + 1.0, 0.0))
    store(out, 2 * n, n, v.where((a > b) | (a >= b), b * 0.0 + 1.0, 0.0))
    store(out, 3 * n, n, v.where((a == b) & ~(a != b), b * 0.0 + 1.0, 0.0))


@each_dtype
def test_comparisons_are_numpys(dtype):
    n = v.BYTES // np.dtype(dtype).itemsize
    a = np.resize(np.array([1, 2, 3, np.inf, -np.inf], dtype), n)
    b = np.resize(np.array([2, 2, 1], dtype), n)
    out = np.zeros(4 * n, dtype)
    finite = np.isfinite(a)
    _compare(a, b, out)
    expected = np.array([np.where(a < b, 1, 2), a <= b, a >= b, a == b])
    np.testing.assert_array_equal(out.reshape(4, n)[:, finite], expected[:, finite])


@njit
def _is_nan(x):
    a = load(x, 0, lanes_of(x))
    return v.any_of(a == a), v.any_of(a != a), v.any_of((a < 1.0) | (a >= 1.0)), v.any_of(~(a < 1))


@each_dtype
def test_comparisons_with_nan_are_false_but_for_unequal(dtype):
    n = v.BYTES // np.dtype(dtype).itemsize
    assert _is_nan(np.full(n, np.nan, dtype)) == (False, True, False, True)
    assert _is_nan(np.zeros(n, dtype)) == (True, False, True, False)


@njit
def _copy(x, start, count, out):
    store(out, start, count, load(x, start, count))


@each_dtype
def test_part_of_a_vector_touches_nothing_else(dtype):
    n = v.BYTES // np.dtype(dtype).itemsize
    x = np.arange(2 * n, dtype=dtype)
    for start, count in [(0, n), (0, 0), (3, 1), (1, n - 1), (n, n), (n + 5, n - 5)]:
        out = np.full(2 * n, -1, dtype)
        _copy(x, start, count, out)
        expected = np.full(2 * n, -1, dtype)
        expected[start : start + count] = x[start : start + count]
        np.testing.assert_array_equal(out, expected)


@njit
def _lanes_of(x, index):
    a = load(x, 0, 3)
    return v.lane(a, index), v.lane(a > 1.0, index), v.lane(2.5, index)


@each_dtype
def test_lanes_past_the_count_are_zero(dtype):
    x = np.array([1, 2, 3, 4, 5], dtype)
    assert [_lanes_of(x, index)[0] for index in range(5)] == [1, 2, 3, 0, 0]
    assert [_lanes_of(x, index)[1] for index in range(4)] == [False, True, True, False]
    assert _lanes_of(x, 0)[2] == 2.5


@njit
def _roots(x, out):
    store(out, 0, lanes_of(x), v.root(load(x, 0, lanes_of(x))))


def test_what_is_stored_nowhere_is_not_computed():
    x = np.full(v.BYTES // 8, 4.0)
    out = np.zeros_like(x)
    _roots(x, out)
    _roots(x, None)
    assert out.tolist() == [2.0] * len(x)
    stored, left_out = _roots.inspect_asm().values()
    assert "sqrt" in stored
    assert "sqrt" not in left_out


@njit
def _narrow(x, value):
    return v.rounded(x, value), v.lost(x, value)


def test_what_rounding_takes():
    third = 1 / 3
    narrow = float(np.float32(third))
    assert _narrow(np.zeros(1), third) == (third, None)
    assert _narrow(np.zeros(1, np.float32), third) == (narrow, third - narrow)
