"""What NumPy alone offers: `out=`, and kernels that threads may share."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from backends import Library
from cases import ALPHA, ELEMENTWISE, FUNCTIONS, SCALE_VALUES, X

pytestmark = pytest.mark.backends(lambda library: library is Library.NUMPY)
elementwise = pytest.mark.parametrize("name", ELEMENTWISE)
COLUMNS = (X, ALPHA, SCALE_VALUES)


@elementwise
def test_out_holds_the_result(name, backend):
    function = FUNCTIONS[name].call
    expected = function(*COLUMNS)
    out = np.full(8, np.nan)
    assert function(*COLUMNS, out=out) is out
    np.testing.assert_array_equal(out, expected)


@elementwise
def test_out_may_be_any_view(name, backend):
    function = FUNCTIONS[name].call
    expected = function(*COLUMNS)
    room = np.full((16, 2), np.nan)
    function(*COLUMNS, out=room[::-2, 1])
    np.testing.assert_array_equal(room[::-2, 1], expected)
    assert np.isnan(room[:, 0]).all()
    assert np.isnan(room[::2, 1]).all()
    swapped = np.zeros(8, ">f8")
    function(*COLUMNS, out=swapped)
    np.testing.assert_array_equal(swapped, expected)


@elementwise
def test_out_may_be_an_argument(name, backend):
    function = FUNCTIONS[name].call
    expected = function(*COLUMNS)
    for position in range(3):
        columns = [np.array(column) for column in COLUMNS]
        function(*columns, out=columns[position])
        np.testing.assert_array_equal(columns[position], expected)


@elementwise
def test_out_broadcasts_and_converts_as_ufuncs_do(name, backend):
    function = FUNCTIONS[name].call
    out = np.zeros((3, 8))
    function(*COLUMNS, out=out)
    np.testing.assert_array_equal(out, np.broadcast_to(function(*COLUMNS), (3, 8)))
    single = [column.astype("f4") for column in COLUMNS]
    wide = np.zeros(8)
    function(*single, out=wide)
    np.testing.assert_array_equal(wide, function(*single))
    half, out16 = [column.astype("f2") for column in COLUMNS], np.zeros(8, "f2")
    function(*half, out=out16)
    np.testing.assert_array_equal(out16, function(*half))


@elementwise
def test_out_that_does_not_fit_is_an_error(name, backend):
    function = FUNCTIONS[name].call
    with pytest.raises(TypeError, match="`out` must be a NumPy array, but got list"):
        function(*COLUMNS, out=[0.0] * 8)
    with pytest.raises(TypeError, match="`out` must be of a dtype that float64 can be cast to"):
        function(*COLUMNS, out=np.zeros(8, int))
    with pytest.raises(ValueError, match="broadcast"):
        function(*COLUMNS, out=np.zeros(7))
    readonly = np.zeros(8)
    readonly.flags.writeable = False
    with pytest.raises(ValueError, match="`out` must be writeable"):
        function(*COLUMNS, out=readonly)


@elementwise
def test_four_threads_get_the_same_numbers(name, backend):
    rng = np.random.default_rng(2)
    x = rng.standard_normal(20_000) * 10
    alpha = rng.uniform(-3, 5, x.size)
    function = FUNCTIONS[name].call
    expected = function(x, alpha, 1.5)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: function(x, alpha, 1.5), range(16)))
        state = list(pool.map(lambda _: np.geterr(), range(4)))
    for result in results:
        np.testing.assert_array_equal(result, expected)
    assert all(one == np.geterr() for one in state)


@elementwise
def test_the_error_state_of_numpy_is_not_touched(name, backend):
    with np.errstate(all="raise"):
        FUNCTIONS[name].call(np.array([1e300, np.inf, np.nan, 0.0]), np.array([np.inf, 2.0, 0, 1]))
        assert np.geterr()["over"] == "raise"
