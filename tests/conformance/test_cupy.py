"""The CUDA kernels where they run: which serve, on which stream and device, how exactly."""

import math

import numpy as np
import pytest
from accuracy import ELEMENTWISE, judge, table, truth
from backends import Library
from cases import allowance
from samples import of_numbers

import robloss
from robloss._backends.cuda import WANTED

pytestmark = pytest.mark.backends(lambda library: library is Library.CUPY)

SEED = 2019
X = np.linspace(-4.0, 9.0, 60)
# Both members of the family, and their ends.
ALPHAS = (-math.inf, -60.0, -2.0, 0.0, 0.7, 1.0, 2.0 - 1e-12, 2.0, 4.0, 5.0, math.inf)


@pytest.fixture
def cp(backend):
    import cupy

    return cupy


@pytest.fixture
def started(backend, monkeypatch):
    """The kernels that are started."""
    from robloss._backends import cupy

    found = []
    start = cupy._CuPy.start

    def noted(self, kernel, blocks, arguments):
        found.append(kernel)
        return start(self, kernel, blocks, arguments)

    monkeypatch.setattr(cupy._CuPy, "start", noted)
    return found


def test_one_kernel_serves_any_set_of_operations(cp, started):
    x = cp.asarray(X)
    whole = robloss.evaluate(x, 0.5, 2.0, outputs=WANTED)
    assert [kernel.name for kernel in started] == ["dense"]
    for name, values in zip(WANTED, whole, strict=True):
        np.testing.assert_array_equal(values.get(), getattr(robloss, name)(x, 0.5, 2.0).get())
        np.testing.assert_allclose(values.get(), getattr(robloss, name)(X, 0.5, 2.0), rtol=1e-13)
    assert len(started) == 1 + len(WANTED)


def test_which_kernel_serves(cp, started):
    x = cp.asarray(X, dtype="float32").reshape(6, 10)
    for array in (x, x.T, x[:1], x[:, 1:], x.ravel()[1:]):
        robloss.loss(array, 0.5)
    assert [kernel.name for kernel in started] == ["dense"] * 3 + ["strided"] * 2
    robloss.loss(x, cp.asarray(0.5, dtype="float32"))
    assert [kernel.name for kernel in started[5:]] == ["derive", "dense"]
    alpha = cp.full((10,), 0.5, dtype="float32")
    for given in ((x, alpha), (x, alpha, 2.0), (x, 0.5, alpha), (x, alpha[:1], 2.0)):
        robloss.loss(*given)
        assert started[-1].name == "columns"
    robloss.loss(x.T, alpha[:, None])
    assert started[-1].name == "strided"


@pytest.mark.parametrize(("rows", "columns"), [(1_000_003, 3), (3001, 4096), (9, 100_003)])
def test_columns_of_any_width(cp, rows, columns):
    x = cp.asarray(np.resize(X, (rows, columns)))
    alpha, scale = np.linspace(-3.0, 5.0, columns), np.linspace(0.5, 2.0, columns)
    values = robloss.evaluate(x, cp.asarray(alpha), cp.asarray(scale), outputs=WANTED)
    for name, one in zip(WANTED, values, strict=True):
        for some in (np.s_[:7], np.s_[-7:]):
            expected = getattr(robloss, name)(x[some].get(), alpha, scale)
            # The curvature has zeros.
            np.testing.assert_allclose(one[some].get(), expected, rtol=1e-12, atol=1e-14)


def test_log_partition_is_a_kernel(cp, started):
    alpha = np.linspace(0.0, 6.0, 60).reshape(6, 10)
    wanted, there = robloss.log_partition(alpha), cp.asarray(alpha)
    for cut in (np.s_[:], np.s_[:, ::-2], np.s_[:, 3], np.s_[2, 3], np.s_[:0]):
        found = robloss.log_partition(there[cut])
        np.testing.assert_allclose(found.get(), wanted[cut], rtol=1e-14)
    assert {kernel.name for kernel in started} == {"partition"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_numbers_are_as_exact_as_arrays(cp, alpha, dtype, tables):
    rows = []
    for name in ELEMENTWISE:
        exact = truth(name, of_numbers(alpha, 1.3, 500, SEED, dtype), dtype)
        if len(exact.points):  # the slope at alpha = 2 is infinite
            x = cp.asarray(exact.points[:, 0].astype(dtype))
            values = getattr(robloss, name)(x, alpha, 1.3).get().astype(float)
            rows.append(judge("cupy", name, dtype, "numbers", exact, values, allowance))
    tables.append(table(rows))
    assert [row for row in rows if not row.ratio <= 1] == []


def test_any_stream(cp):
    x = cp.asarray(np.tile(X, 100_000))
    cp.cuda.Device().synchronize()
    with cp.cuda.Stream(non_blocking=True) as stream:
        values = robloss.loss(x * 2, 0.5, 2.0)
        stream.synchronize()
    np.testing.assert_allclose(values.get()[:60], robloss.loss(X * 2, 0.5, 2.0), rtol=1e-13)


def test_any_device(cp):
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("one GPU alone")
    with cp.cuda.Device(1):
        x = cp.asarray(X)
    for values in (robloss.loss(x, 0.5), robloss.loss(x[::2], 0.5)):
        assert values.device.id == 1
    np.testing.assert_allclose(robloss.loss(x, 0.5).get(), robloss.loss(X, 0.5), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("size", [0, 1, 60, 1_000_003])
def test_sums(cp, dtype, size, started):
    from robloss._args import prepare
    from robloss._backends.cupy import total
    from robloss._ops import OPERATIONS

    names = ("loss", "weight", "grad_alpha", "grad_scale")
    host = np.resize(X, size).astype(dtype)
    weights = np.resize([0.0, 1.0, 2.0], size).astype(dtype)
    host[:1] = np.nan  # weighs nothing
    arguments = prepare(OPERATIONS["loss"].parameters, (cp.asarray(host), 0.5, 2.0))
    sums = total(names, arguments, cp.asarray(weights))
    assert [kernel.name for kernel in started] == ["sums"]
    again = total(names, arguments, cp.asarray(weights))
    np.testing.assert_array_equal(sums.get(), again.get())
    for name, found in zip(names, sums.get(), strict=True):
        terms = getattr(robloss, name)(host.astype(float), 0.5, 2.0)
        expected = math.fsum((weights * terms)[1:].tolist())
        # The terms' own errors; what is added up is added in float64.
        np.testing.assert_allclose(found, expected, rtol=1e-12 if dtype == "float64" else 1e-6)


def test_sums_of_a_view_are_those_of_arrays(cp):
    from robloss._args import prepare
    from robloss._backends.cupy import total
    from robloss._ops import OPERATIONS

    arguments = prepare(OPERATIONS["loss"].parameters, (cp.asarray(X)[::2], 0.5, 2.0))
    (found,) = total(("loss",), arguments).get()
    np.testing.assert_allclose(found, math.fsum(robloss.loss(X[::2], 0.5, 2.0)), rtol=1e-13)


def test_more_elements_than_32_bits_count(cp):
    size = 2**31 + 5
    if cp.cuda.runtime.memGetInfo()[0] < 6 * size:
        pytest.skip("too little memory on the GPU")
    x = cp.zeros(size, dtype="float16")
    x[-3:] = cp.asarray([1.0, 2.0, 3.0])
    values = robloss.loss(x, 0.5)
    assert float(values[:-3].max()) == 0.0
    expected = robloss.loss(np.array([1.0, 2.0, 3.0], "float16"), 0.5)
    np.testing.assert_allclose(values[-3:].get(), expected, rtol=2e-3)
