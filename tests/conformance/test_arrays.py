"""Shape, dtype, kind, device, memory layout and weak numbers: every function, every library."""

import math

import array_api_compat
import numpy as np
import pytest
from backends import Library
from cases import ALPHA, FUNCTIONS, SCALE_VALUES, X

COLUMNS = (X, ALPHA, SCALE_VALUES)


def call(name, x, alpha, scale):
    function = FUNCTIONS[name]
    return function.call(*function.arguments(x, alpha, scale))


def reference(name, x=X, alpha=ALPHA, scale=SCALE_VALUES):
    """NumPy's answer for contiguous arrays, whose values test_values.py judges."""
    return np.asarray(call(name, np.array(x), np.array(alpha), np.array(scale)))


def agree(backend, result, expected):
    # NumPy's kernels and the formula are both within the bound of docs/numerics.md: at these points
    # it is below 100 ulp, 2.2e-14. The limits are exact.
    np.testing.assert_allclose(backend.to_numpy(result), expected, rtol=2.2e-14, atol=1e-14)


everywhere = pytest.mark.parametrize("name", FUNCTIONS)
of_three = pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "log_partition"])
of_numpy = pytest.mark.backends(lambda library: library is Library.NUMPY)


@everywhere
def test_kind_device_dtype_and_shape_are_kept(name, backend):
    for dtype in backend.dtypes:
        columns = [backend.array(column.reshape(2, 4), dtype) for column in COLUMNS]
        result = call(name, *columns)
        assert backend.owns(result)
        assert result.dtype == columns[0].dtype
        assert tuple(result.shape) == (2, 4)
        assert array_api_compat.device(result) == array_api_compat.device(columns[0])


SHAPES = [
    ((8,), (), ()), ((), (8,), ()), ((), (), (8,)), ((3, 1), (1, 4), ()), ((4,), (3, 1), (2, 1, 1)),
    ((1,), (5,), (1, 1)), ((0,), (1,), ()), ((2, 0), (), (1,)), ((0, 3), (1, 3), (3,)),
]  # fmt: skip


@of_three
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_arguments_broadcast(name, shapes, backend):
    drawn = [np.resize(column, shape) for column, shape in zip(COLUMNS, shapes, strict=True)]
    result = call(name, *map(backend.array, drawn))
    assert tuple(result.shape) == np.broadcast_shapes(*shapes)
    agree(backend, result, reference(name, *drawn))


@of_three
def test_shapes_that_do_not_broadcast_are_an_error(name, backend):
    x, alpha = backend.array(np.ones((2, 3))), backend.array(np.ones(2))
    with pytest.raises(ValueError, match=r"broadcast together, but got `x` \(2, 3\), `alpha` \(2,"):
        call(name, x, alpha, 1.0)


@everywhere
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1)], ids=str)
def test_small_shapes(name, shape, backend):
    columns = [np.resize(column[4:5], shape) for column in COLUMNS]
    result = call(name, *map(backend.array, columns))
    assert tuple(result.shape) == shape
    assert backend.owns(result)
    agree(backend, result, reference(name, *columns))


@of_three
def test_python_numbers_never_change_the_dtype(name, backend):
    for dtype in backend.dtypes:
        array = backend.array([0.5, 1.0], dtype)
        for given in [(array, 1, 2), (array, 0.1, 1e-3), (2.0, array, 3), (1, 1.5, array)]:
            result = call(name, *given)
            assert result.dtype == array.dtype
            assert backend.owns(result)


@of_three
def test_a_python_number_counts_as_an_array_of_it(name, backend):
    x = backend.array(X)
    agree(backend, call(name, x, 1.25, 2), reference(name, X, np.full(8, 1.25), np.full(8, 2.0)))
    agree(backend, call(name, 0.5, x + 4, 2), reference(name, np.full(8, 0.5), X + 4, 2.0))


def test_the_comparison_can_fail(backend):
    result = call("loss", backend.array(X), 1.25, 2.0)
    with pytest.raises(AssertionError):
        agree(backend, result, reference("loss", X, 1.25 * (1 + 1e-12), 2.0))


@everywhere
@pytest.mark.parametrize("kind", ["int64", "int32", "uint8"])
def test_integers_become_the_default_float(name, kind, backend):
    integers = np.array([1, 2, 3])
    result = call(name, *[backend.array(integers, kind) for _ in range(3)])
    defaults = backend.xp.__array_namespace_info__().default_dtypes()
    assert result.dtype == defaults["real floating"]
    expected = reference(name, *[integers.astype(float)] * 3)
    # torch's default is float32.
    rtol = 1e-5 if backend.dtype_name(result) == "float32" else 2.2e-14
    np.testing.assert_allclose(backend.to_numpy(result), expected, rtol=rtol, atol=rtol)


@of_three
def test_integers_beside_floats_take_part_as_the_default_float(name, backend):
    integer, floating = backend.array([1, 2], "int64"), backend.array([1.0, 2.0], "float32")
    default = backend.xp.__array_namespace_info__().default_dtypes()["real floating"]
    assert call(name, floating, integer, 1.0).dtype == default


@of_three
def test_integers_without_axes(name, backend):
    for kind in ("int64", "float32", "float64"):
        one = backend.array(np.array(1), "int64")
        result = call(name, backend.array([1, 2, 3], kind), one, one)
        expected = reference(name, [1.0, 2.0, 3.0], 1.0, 1.0)
        np.testing.assert_allclose(backend.to_numpy(result), expected, rtol=1e-5)


def test_integers_keep_their_digits_beside_float64(backend):
    whole = 2**24 + 1  # no number of float32
    two = backend.array([2.0], "float64")
    result = call("loss", backend.array([whole], "int64"), two, 1.0)
    np.testing.assert_allclose(backend.to_numpy(result), [whole * whole / 2], rtol=1e-15)


@of_three
def test_dtypes_promote(name, backend):
    single, double = backend.array([1.0], "float32"), backend.array([1.0], "float64")
    assert call(name, single, double, 1.0).dtype == double.dtype
    assert call(name, double, single, 1.0).dtype == double.dtype
    assert call(name, single, 1.0, double).dtype == double.dtype
    if "float16" in backend.dtypes:
        half = backend.array([1.0], "float16")
        assert call(name, half, half, half).dtype == half.dtype
        assert call(name, half, single, 1.0).dtype == single.dtype


@everywhere
def test_sixteen_bit_floats_are_computed_in_float32(name, backend):
    for dtype in set(backend.dtypes) & {"float16", "bfloat16"}:
        narrow = [backend.array(column, dtype) for column in COLUMNS]
        wide = [backend.array(backend.to_numpy(column), "float32") for column in narrow]
        expected = backend.array(backend.to_numpy(call(name, *wide)), dtype)
        result = call(name, *narrow)
        assert result.dtype == narrow[0].dtype
        np.testing.assert_array_equal(backend.to_numpy(result), backend.to_numpy(expected))


def test_a_narrow_float_would_overflow_or_lose_if_computed_in_itself(backend):
    if "float16" in backend.dtypes:  # s = 1e6 is past float16's 65504
        result = call("loss", backend.array([1000.0], "float16"), 1.0, 1.0)
        assert backend.to_numpy(result).tolist() == [999.0]


@pytest.mark.parametrize("name", ["loss", "influence", "weight", "nll"])
def test_a_shape_beyond_the_range_of_a_dtype_is_infinite(name, backend, floating):
    x = backend.array([-1.5, 0.0, 0.5], floating)
    for alpha in (1e300, -1e300)[: 1 if name == "nll" else 2]:
        expected = backend.to_numpy(call(name, x, math.copysign(math.inf, alpha), 1.0))
        np.testing.assert_array_equal(backend.to_numpy(call(name, x, alpha, 1.0)), expected)


@everywhere
def test_arguments_are_not_modified(name, backend):
    columns = [backend.array(np.array(column)) for column in COLUMNS]
    backend.to_numpy(call(name, *columns))
    for column, original in zip(columns, COLUMNS, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(column), original)


@everywhere
@pytest.mark.backends(lambda library: library.has_strides)
def test_views_of_any_layout(name, backend):
    square = [np.resize(column, (4, 6)) for column in COLUMNS]
    expected = reference(name, *[np.ascontiguousarray(one.T) for one in square])
    agree(backend, call(name, *[backend.array(one).T for one in square]), expected)
    stepped = [backend.array(one)[1:, ::2] for one in square]
    agree(backend, call(name, *stepped), reference(name, *[one[1:, ::2] for one in square]))
    mixed = [backend.array(square[0]).T, *[backend.array(one.T.copy()) for one in square[1:]]]
    agree(backend, call(name, *mixed), expected)


@everywhere
@of_numpy
def test_numpy_layouts_and_byte_orders(name, backend):
    expected = reference(name)
    agree(backend, call(name, *[one[::-1] for one in COLUMNS]), expected[::-1])
    for kind in (">f8", "<f8"):
        result = call(name, *[one.astype(kind) for one in COLUMNS])
        assert result.dtype == np.float64
        agree(backend, result, expected)
    result = call(name, *[one.astype(">f4") for one in COLUMNS])
    assert result.dtype == np.float32
    fortran = [np.asfortranarray(np.resize(one, (4, 2))) for one in COLUMNS]
    agree(
        backend, call(name, *fortran), reference(name, *[np.resize(one, (4, 2)) for one in COLUMNS])
    )
    readonly = [np.array(one) for one in COLUMNS]
    for one in readonly:
        one.flags.writeable = False
    result = call(name, *readonly)
    assert result.flags.writeable
    agree(backend, result, expected)
    repeated = np.broadcast_to(1.5, (3,))
    agree(backend, call(name, repeated, repeated, repeated), reference(name, *[[1.5] * 3] * 3))


@everywhere
@of_numpy
def test_numpy_scalars_lists_and_numbers(name, backend):
    for kind in (np.float16, np.float32, np.float64):
        result = call(name, kind(0.5), kind(1.5), kind(2.0))
        assert type(result) is kind
    result = call(name, 0.5, 1.5, 2)
    assert type(result) is np.float64
    assert type(call(name, 1, 1, 1)) is np.float64
    assert type(call(name, np.float32(1), np.float32(0.5), 2.0)) is np.float32
    assert type(call(name, np.int64(1), np.int64(1), np.int64(1))) is np.float64
    result = call(name, [0.5, 1.0], [1.5, 0.5], (2, 3))
    assert isinstance(result, np.ndarray)
    agree(backend, result, reference(name, [0.5, 1.0], [1.5, 0.5], [2.0, 3.0]))
    nested = call(name, [[0.5], [1.0]], [[1.5], [0.5]], [[2.0], [3.0]])
    assert nested.shape == (2, 1)


@of_three
@pytest.mark.backends(lambda library: library is not Library.NUMPY)
def test_numpy_scalars_are_numbers_to_other_libraries(name, backend):
    result = call(name, backend.array([0.5], "float32"), np.float64(1.5), np.float64(2.0))
    assert backend.owns(result)
    assert backend.dtype_name(result) == "float32"


@of_three
@pytest.mark.backends(lambda library: library is not Library.NUMPY)
def test_libraries_do_not_mix(name, backend):
    foreign = np.ones(2)
    with pytest.raises(TypeError, match="`x` and `alpha` must come from one array library"):
        call(name, backend.array(np.ones(2)), foreign, 1.0)
    with pytest.raises(TypeError, match="`x` and `scale` must come from one array library"):
        call(name, foreign, 1.0, backend.array(np.ones(2)))


@everywhere
def test_what_is_not_real_is_an_error(name, backend):
    for kind in ("bool", "complex128"):
        values = backend.xp.astype(backend.array([1.0, 2.0]), getattr(backend.xp, kind))
        with pytest.raises(TypeError, match="must have a real dtype of at most 64 bits, but got"):
            call(name, values, values, values)
