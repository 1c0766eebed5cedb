"""`out=` where it has no meaning, and Dask's laziness."""

import numpy as np
import pytest
from backends import Library
from cases import ALPHA, ELEMENTWISE, FUNCTIONS, SCALE_VALUES, X


@pytest.mark.backends(lambda library: library is not Library.NUMPY)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_out_is_for_numpy_only(name, backend):
    x = backend.array(X)
    with pytest.raises(TypeError, match=r"`out` must be left out for .* arrays, but got ndarray"):
        FUNCTIONS[name].call(x, 1.0, out=np.zeros(8))
    with pytest.raises(TypeError, match=r"`out` must be a NumPy array|`out` must be left out"):
        FUNCTIONS[name].call(X, 1.0, out=x)


lazy = pytest.mark.backends(lambda library: library.lazy)


def refuse(*args, **kwargs):
    raise AssertionError("something computed a lazy array")


@lazy
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_is_computed_before_it_is_asked_for(name, backend):
    import dask

    columns = [backend.array(column) for column in (X, ALPHA, SCALE_VALUES)]
    function = FUNCTIONS[name]
    with dask.config.set(scheduler=refuse):
        results = [function.call(*function.arguments(*columns))]
        if name != "log_partition":
            results.append(function.call(columns[0], 1.0, 2.0))
            results.append(function.call(columns[0].reshape(8, 1), columns[1], 2.0))
        assert all(backend.owns(result) for result in results)
        # The twin: the scheduler that refuses is the one that would be used.
        with pytest.raises(AssertionError, match="computed a lazy array"):
            results[0].compute()
    assert results[0].numblocks == (2,)
    for result in results:
        assert result.compute().dtype == result.dtype == np.float64
        assert result.compute().shape == result.shape


@lazy
@pytest.mark.parametrize("name", FUNCTIONS)
def test_unknown_chunk_sizes_and_other_chunks(name, backend):
    import dask.array as da

    function = FUNCTIONS[name]
    columns = [backend.array(column) for column in (X, ALPHA, SCALE_VALUES)]
    expected = function.call(*function.arguments(X, ALPHA, SCALE_VALUES))
    keep = da.from_array(X >= 0, chunks=4)
    result = function.call(*function.arguments(*[column[keep] for column in columns]))
    np.testing.assert_array_equal(result.compute(), expected[X >= 0])
    chunks = [3, 5, 8]
    rechunked = [column.rechunk(size) for column, size in zip(columns, chunks, strict=True)]
    np.testing.assert_array_equal(
        function.call(*function.arguments(*rechunked)).compute(), expected
    )
