"""The CUDA source, compiled for the processor and held to the oracle, and who starts it."""

import importlib
import math
import sys
from fractions import Fraction
from types import SimpleNamespace

import cuda_host
import numpy as np
import pytest
from accuracy import ELEMENTWISE, judge, sampled, truth
from cases import kernel_allowance
from cuda_host import Host
from samples import of_numbers

import robloss
from robloss._args import prepare
from robloss._backends import cuda
from robloss._backends.bends import bends
from robloss._backends.cuda import WANTED, Kernel, launch, layouts, parameters
from robloss._kernels.partition import at
from robloss._ops import OPERATIONS
from robloss._partition import table

SEED = 2019
POINTS = 1000
DTYPES = ("float64", "float32")
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
on_host = pytest.mark.skipif(bool(cuda_host.missing), reason=cuda_host.missing)


def evaluate(names, *given, card=None):
    arguments = prepare(OPERATIONS[names[0]].parameters, given, check=False)  # as on a device
    return launch.evaluate(names, arguments, card or Host())


def aligned(values, dtype):
    """A copy that begins where packs can be loaded, as all that CUDA allocates does."""
    size = np.size(values)
    room = np.empty(size * np.dtype(dtype).itemsize + launch.PACK, np.uint8)
    start = -room.ctypes.data % launch.PACK
    array = room[start : start + size * np.dtype(dtype).itemsize].view(dtype)
    array[:] = np.ravel(values)
    return array.reshape(np.shape(values))


def test_the_thresholds_of_the_exact_path_are_those_of_numbas():
    from robloss._kernels import exact

    names = {"HUGE_Z": "_HUGE", "FAR_Z": "_FAR", "QUADRATURE_REACH": "REACH"}
    theirs = {name: getattr(exact, names.get(name, f"_{name}")) for name in cuda._EXACT}
    assert theirs == cuda._EXACT


# ---------------------------------------------------------------------------------------- values


@on_host
@each_dtype
@pytest.mark.parametrize("sample", ["adversarial", "everyday", "thresholds"])
def test_host_code_per_element_is_as_exact_as_numpys_kernels(sample, dtype):
    for name in ELEMENTWISE:
        exact = sampled(name, sample, POINTS, SEED, dtype)
        values = evaluate(WANTED, *exact.points.astype(dtype).T)[WANTED.index(name)]
        row = judge("host", name, dtype, sample, exact, values.astype(float), kernel_allowance)
        assert row.ratio <= 1, row


# Both members, their ends, what a member takes for a number next to it, and what float32 rounds.
ALPHAS = (
    -math.inf,
    -60.0,
    -2.5,
    -2.0,
    -1e-300,
    0.0,
    0.7,
    1.0,
    2.0 - 1e-12,
    2.0,
    4.3,
    5.0,
    5.5,
    math.inf,
)


@on_host
@each_dtype
@pytest.mark.parametrize("alpha", ALPHAS)
def test_host_code_of_numbers_is_as_exact_as_numpys_kernels(alpha, dtype):
    for name in ELEMENTWISE:
        exact = truth(name, of_numbers(alpha, 1.3, 100, SEED, dtype), dtype)
        if len(exact.points) == 0:  # the slope at alpha = 2
            continue
        card = Host()
        x = aligned(exact.points[:, 0], dtype)
        values = evaluate(WANTED, x, alpha, 1.3, card=card)[WANTED.index(name)]
        assert [kernel.name for kernel in card.started] == ["dense"]
        row = judge("host", name, dtype, "", exact, values.astype(float), kernel_allowance)
        assert row.ratio <= 1, row


@on_host
@each_dtype
@pytest.mark.parametrize("where", ["host", "device"])
def test_host_code_of_a_saturating_loss_at_scales_that_only_exact_serves(where, dtype):
    far = {"float64": 1e155, "float32": 1e18}[dtype]
    for scale in (far, 1 / far, -1.0):
        numbers = -3.0, scale
        if where == "device":
            numbers = [aligned(one, dtype) for one in numbers]
        (values,) = evaluate(("loss",), aligned([0.0, 1e3 * scale], dtype), *numbers)
        expected = [math.nan] * 2 if scale < 0 else [0.0, robloss.loss(1e3, -3.0)]
        np.testing.assert_allclose(values, expected, rtol=4 * np.finfo(dtype).eps)


@on_host
@each_dtype
@pytest.mark.parametrize("alpha", [-math.inf, -1e6, -60.0, -2.5, -2.0000002])
@pytest.mark.parametrize("scale", [1.3, 1e-12, 1e12])
def test_host_code_of_a_saturating_loss_alone(alpha, scale, dtype):
    points = of_numbers(alpha, scale, 300, SEED, dtype)
    points[:3, 0] = 0.0, math.inf, -math.inf
    exact = truth("loss", points, dtype)
    card = Host()
    (values,) = evaluate(("loss",), aligned(exact.points[:, 0], dtype), alpha, scale, card=card)
    assert card.started[0].member == "SATURATING"
    row = judge("host", "loss", dtype, "", exact, values.astype(float), kernel_allowance)
    assert row.ratio <= 1, row
    limit = robloss.loss(math.inf, alpha, 1.0)
    ends = aligned([0.0, math.inf, -math.inf, math.nan], dtype)
    (values,) = evaluate(("loss",), ends, alpha, scale)
    np.testing.assert_allclose(values, [0.0, limit, limit, math.nan], rtol=np.finfo(dtype).eps)


@on_host
@each_dtype
@pytest.mark.parametrize("alpha", [0.0, 1e-10, -1e-5])
@pytest.mark.parametrize("where", ["host", "device"])
def test_host_code_of_a_loss_alone_keeps_tiny_residuals(where, alpha, dtype):
    # Where alpha is small the exponent of the power is subnormal long before the loss is.
    x, alpha = np.logspace({"float64": -153, "float32": -18}[dtype], 0, 100), aligned(alpha, dtype)
    points = np.stack([x, np.full(100, alpha), np.full(100, 1.5)], axis=1)
    exact = truth("loss", points.astype(dtype).astype(float), dtype)
    numbers = (float(alpha), 1.5) if where == "host" else (alpha, aligned(1.5, dtype))
    (values,) = evaluate(("loss",), aligned(exact.points[:, 0], dtype), *numbers)
    row = judge("host", "loss", dtype, "", exact, values.astype(float), kernel_allowance)
    assert row.ratio <= 1, row


@on_host
def test_the_measurement_can_fail():
    exact = truth("loss", of_numbers(0.7, 1.3, 100, SEED, "float32"), "float32")
    (values,) = evaluate(("loss",), aligned(exact.points[:, 0], "float32"), 0.7001, 1.3)
    row = judge("host", "loss", "float32", "", exact, values.astype(float), kernel_allowance)
    assert row.ratio > 10


@on_host
@each_dtype
def test_limits_and_nan(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0], dtype)
    for alpha in (-math.inf, -3.0, 0.0, 1.0, 2.0, 3.0, math.inf, math.nan):
        for given in [(x, alpha, 0.5), (x, np.full(5, alpha, dtype), 0.5)]:
            for name, values in zip(WANTED, evaluate(WANTED, *given), strict=True):
                expected = getattr(robloss, name)(x, alpha, 0.5)
                np.testing.assert_allclose(values, expected, rtol=1e-6, err_msg=f"{name} {alpha}")
                assert not np.any(np.signbit(values) & (values == 0) & (np.abs(x) > 0)) or (
                    name in ("grad_scale", "influence")
                )


@on_host
@each_dtype
@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e30, 1e36])
def test_scales_of_any_size(scale, dtype):
    x = aligned(np.array([-3.0, 0.0, 0.5, 20.0]) * scale, dtype)
    for name, values in zip(WANTED, evaluate(WANTED, x, 0.5, scale), strict=True):
        with np.errstate(all="ignore"):
            expected = getattr(robloss, name)(x, 0.5, float(scale))
        np.testing.assert_allclose(values, expected, rtol=1e-5 if dtype == "float32" else 1e-13)


@on_host
def test_a_residual_whose_square_underflows_keeps_its_slope_in_scale():
    x = aligned([1e-30], "float32")
    (slope,) = evaluate(("grad_scale",), x, 1.0, 1e-9)
    np.testing.assert_allclose(slope, -(1e-30**2) / 1e-27, rtol=1e-6)


# --------------------------------------------------------------------------------------- layouts

X = np.linspace(-4.0, 9.0, 60)


def alike(results, given, names=WANTED):
    for name, values in zip(names, results, strict=True):
        expected = getattr(robloss, name)(*given)
        assert values.dtype == expected.dtype
        assert values.shape == np.shape(expected)
        rtol = {"float64": 1e-13, "float32": 1e-5, "float16": 2e-3}[str(values.dtype)]
        np.testing.assert_allclose(values, expected, rtol=rtol, atol=1e-7 * rtol, err_msg=name)


@on_host
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 33])
def test_arrays_of_any_length(size, dtype):
    x = aligned(X[:size], dtype)
    alike(evaluate(WANTED, x, 0.5, 2.0), (x, 0.5, 2.0))


@on_host
@pytest.mark.parametrize("alpha", [0.5, np.array([[0.5], [1.5], [-1.0]]), np.float64(1.0)])
def test_views_of_any_layout(alpha):
    square = aligned(X[:54], "float64").reshape(3, 18)
    deep = aligned(X[:36], "float64").reshape(3, 2, 6).transpose(0, 2, 1).reshape(3, 12)
    for x in (square, square[:, ::2], square[:, ::-1], square[::2], deep, square[:, 3:]):
        some = alpha[: len(x)] if np.ndim(alpha) else alpha
        alike(evaluate(WANTED, x, some, 2.0), (x, some, 2.0))


@on_host
def test_broadcasting():
    alphas, scales = np.array([0.5, 1.0, -2.0]), np.array([[1.0], [2.0]])
    for given in [
        (X[:6].reshape(2, 3), alphas, 2.0),
        (X[:6].reshape(2, 3), alphas, scales),
        (X[:12].reshape(2, 2, 3), 0.5, scales),
        (0.5, alphas, scales),
        (np.array(0.5), np.array(1.5), 1.0),
        (X[:3], np.array(1.5), np.array(2.0)),
        (np.empty((0, 3)), alphas, 1.0),
    ]:
        alike(evaluate(WANTED, *given), given)


@on_host
def test_more_axes_than_a_kernel_has_room_for():
    x = (
        np.random.default_rng(SEED)
        .normal(size=(2,) * 10)
        .transpose(*range(1, 10, 2), *range(0, 10, 2))
    )
    alike(evaluate(("loss",), x, 0.5, 2.0), (x, 0.5, 2.0), ("loss",))


@on_host
def test_dtypes_promote():
    x = X.astype("float32")
    alike(evaluate(WANTED, x, np.full(60, 0.5), 1.0), (x, np.full(60, 0.5), 1.0))
    alike(evaluate(WANTED, np.arange(5), 0.5, 1.0), (np.arange(5), 0.5, 1.0))


@on_host
def test_fields_of_records_lie_where_no_element_of_an_array_could():
    records = np.zeros(5, np.dtype([("tag", "i2"), ("x", "f4")]))
    records["x"] = X[:5]
    alike(evaluate(("loss",), records["x"], 0.5, 1.0), (records["x"], 0.5, 1.0), ("loss",))


@on_host
def test_which_kernel_is_started():
    x = aligned(X, "float32").reshape(6, 10)
    turned = x.reshape(3, 2, 10).transpose(1, 0, 2)
    cases = [(x, "dense"), (x.T, "dense"), (x[:, 1:], "strided"), (x[:1], "dense"),
             (turned, "strided"), (x.ravel()[1:], "strided")]  # fmt: skip
    for array, name in cases:
        card = Host()
        evaluate(("weight", "loss"), array, 0.5, 1.0, card=card)
        assert card.started == [Kernel(name, "float32", ("loss", "weight"), "POWER")]
    for alpha, names in [(-2.5, ("loss", "weight")), (5.5, ("loss",)), (math.inf, ("loss",))]:
        card = Host()
        evaluate(names, x, alpha, 1.0, card=card)
        assert card.started[0].member == "STEEP_POWER"


@on_host
@each_dtype
@pytest.mark.parametrize("member", ["DERIVED", "LANES"])
def test_host_code_by_columns_is_as_exact_as_numpys_kernels(dtype, member, monkeypatch):
    if member == "LANES":
        monkeypatch.setattr(launch, "ELEMENTS_OF_LANE", 10**9)
    scale = float(aligned(1.3, dtype))
    for name in ELEMENTWISE:
        of = [of_numbers(float(one), scale, 100, SEED, dtype) for one in aligned(ALPHAS, dtype)]
        exact = [truth(name, points, dtype) for points in of]
        exact = [one for one in exact if len(one.points)]  # not the slope at alpha = 2
        x = aligned(np.ones((100, len(exact))), dtype)
        for column, one in zip(x.T, exact, strict=True):
            column[: len(one.points)] = one.points[:, 0]
        alpha = aligned([one.points[0, 1] for one in exact], dtype)
        card = Host()
        values = evaluate(WANTED, x, alpha, aligned([scale], dtype), card=card)[WANTED.index(name)]
        assert [(kernel.name, kernel.member) for kernel in card.started] == [("columns", member)]
        for column, one in zip(values.T, exact, strict=True):
            some = column[: len(one.points)].astype(float)
            row = judge("host", name, dtype, "", one, some, kernel_allowance)
            assert row.ratio <= 1, row


COLUMNS = np.linspace(-2.5, 5.0, 5), np.linspace(0.5, 2.0, 5)


@on_host
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("rows", [4, 5, 15, 16, 47, 300])
@pytest.mark.parametrize("which", ["both", "alpha", "scale", "numbers"])
def test_columns_of_any_length(rows, which, dtype, monkeypatch):
    monkeypatch.setattr(launch, "LANES", 23)  # 4 threads for each of 5 columns
    x = aligned(np.resize(X, (rows, 5)), dtype)
    alpha, scale = (aligned(one, dtype) for one in COLUMNS)
    given = {
        "both": (x, alpha, scale),
        "alpha": (x, alpha, 0.7),
        "scale": (x, 1.5, scale),
        "numbers": (x, aligned(1.5, dtype), 0.7),
    }[which]
    card = Host()
    alike(evaluate(WANTED, *given, card=card), given)
    assert [kernel.name for kernel in card.started] == ["columns"]


@on_host
def test_columns_of_any_layout():
    x = aligned(np.resize(X, 1200), "float64")
    wide, deep = x.reshape(120, 10), x.reshape(4, 30, 10)
    alpha, scale = np.linspace(-2.5, 5.0, 20), np.linspace(0.5, 2.0, 10)
    cases = [
        ((wide, alpha[::2], scale[::-1]), "columns"),
        ((wide, alpha[None, :10], scale), "columns"),
        ((deep, alpha[:10], 1.0), "columns"),
        ((deep, aligned(np.resize(alpha, 300), "float64").reshape(30, 10), scale[:1]), "columns"),
        ((wide[:, :1], alpha[:1], 1.0), "strided"),  # x has gaps
        ((wide.T, alpha[:10, None], 1.0), "strided"),
        ((wide, np.resize(alpha, 120)[:, None], 1.0), "strided"),  # an alpha for each row
        ((wide, np.resize(alpha, 120)[:, None], scale), "strided"),
        ((deep, alpha[:4, None, None], scale), "strided"),
        ((wide[:3], alpha[:10], 1.0), "strided"),  # too few rows
        ((x, np.resize(alpha, 1200), 1.0), "strided"),
        ((0.5, alpha, 1.0), "strided"),
    ]
    for given, name in cases:
        card = Host()
        alike(evaluate(WANTED, *given, card=card), given)
        assert [kernel.name for kernel in card.started] == [name]


@on_host
def test_columns_of_x_anywhere_in_memory():
    x = aligned(np.resize(X, 401), "float32")[1:].reshape(80, 5)
    card = Host()
    given = x, *(aligned(one, "float32") for one in COLUMNS)
    alike(evaluate(("loss",), *given, card=card), given, ("loss",))
    assert [kernel.name for kernel in card.started] == ["columns"]


@on_host
@pytest.mark.parametrize("large", [100, 10**9])
def test_places_in_large_arrays_are_counted_in_64_bits(large, monkeypatch):
    monkeypatch.setattr(launch, "LARGE", large)
    x = aligned(np.resize(X, 5000), "float32")
    alpha, scale = (aligned(one, "float32") for one in COLUMNS)
    cases = [
        ((x[:200].reshape(40, 5), alpha, scale), "columns", 200),
        ((x[:60].reshape(12, 5), alpha, scale), "columns", 60),
        ((x[:200].reshape(5, 40), alpha[:, None], 1.5), "strided", 200),
        ((x[:60].reshape(5, 12), alpha[:, None], 1.5), "strided", 60),
        ((x[:60:-90], alpha[:1], 1.5), "strided", 4860),  # of few elements, far apart
    ]
    for given, name, reach in cases:
        card = Host()
        alike(evaluate(WANTED, *given, card=card), given)
        assert [(one.name, one.is_large) for one in card.started] == [(name, reach >= large)]
    grad = aligned(np.cos(np.arange(200.0)), "float32").reshape(40, 5)
    card = Host()
    given = grad, cases[0][0][0], alpha, scale, SLOPES
    found = pulled(*given, card=card)
    assert [one.is_large for one in card.started] == [large <= 200]
    monkeypatch.setattr(launch, "LARGE", 10**9)
    for one, again in zip(found, pulled(*given), strict=True):
        np.testing.assert_array_equal(one, again)


def test_axes_that_lie_in_one_row_are_one():
    assert layouts.merged((2, 3, 4), [(96, 32, 8)]) == [(24, (8,))]
    assert layouts.merged((2, 3, 4), [(96, 32, 8), (0, 0, 8)]) == [(4, (8, 8)), (6, (32, 0))]
    assert layouts.merged((4, 1, 3), [(24, 999, 8)]) == [(12, (8,))]
    assert layouts.merged((), [()]) == []


def test_how_far_apart_elements_lie():
    assert layouts.extent([]) == 1
    assert layouts.extent([(3, (1, 0, 0))]) == 3
    assert layouts.extent([(3, (1, -50, 0)), (4, (6, 0, 7))]) == 100


@on_host
def test_sets_of_operations_give_what_each_gives_alone():
    x = aligned(X, "float64")
    whole = dict(zip(WANTED, evaluate(WANTED, x, 1.5, 2.0), strict=True))
    for names in [("loss",), ("weight", "loss"), ("grad_scale", "influence", "grad_alpha")]:
        for name, values in zip(names, evaluate(names, x, 1.5, 2.0), strict=True):
            np.testing.assert_array_equal(values, whole[name])


# ----------------------------------------------------------------------------------------- log Z

# Every piece with its ends, and what is no alpha of a density.
SHAPES = [*table.STARTS, *np.nextafter(table.STARTS, -1.0), 0.3, 1.2, 1.9, 2 + 1e-10, 3.0, 50.0,
          1e300, math.inf, -0.0, -0.5, -math.inf, math.nan]  # fmt: skip


@on_host
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", cuda.PARTITION)
def test_host_code_of_log_partition(name, dtype):
    with np.errstate(over="ignore"):
        alpha = np.array(SHAPES).astype(dtype)
    card = Host()
    (values,) = evaluate((name,), np.stack([alpha, alpha]).T[:, 1:], card=card)
    assert [kernel.name for kernel in card.started] == ["partition"]
    assert values.dtype == dtype
    with np.errstate(all="ignore"):
        expected = np.array([at(float(one)) for one in alpha])[:, [*cuda.PARTITION].index(name)]
        # What both are rounded to, and another order of operations in float64.
        rtol = max(np.finfo(dtype).eps, 1e-15)
        np.testing.assert_allclose(values[:, 0], expected.astype(dtype), rtol=rtol)


@on_host
def test_log_partition_of_no_and_of_one_alpha():
    (values,) = evaluate(("log_partition",), np.empty((0, 3)))
    assert values.shape == (0, 3)
    (value,) = evaluate(("log_partition",), np.array(1.0))
    np.testing.assert_allclose(value, robloss.log_partition(1.0), rtol=1e-15)


# ------------------------------------------------------------------------------------------ sums


@on_host
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("size", [0, 1, 13, 60])
def test_host_code_of_sums(size, dtype):
    names = ("loss", "weight", "grad_alpha", "grad_scale")
    x, weights = aligned(X[:size], dtype), aligned(np.arange(float(size)), dtype)
    x[:1] = np.nan  # weighs nothing
    arguments = prepare(OPERATIONS["loss"].parameters, (x, 0.5, 2.0))
    sums = launch.total(names, arguments, weights, Host()).sum(axis=1)
    for name, found in zip(names, sums, strict=True):
        terms = getattr(robloss, name)(x.astype(float), 0.5, 2.0)
        expected = math.fsum((weights * terms)[1:].tolist())
        np.testing.assert_allclose(found, expected, rtol=1e-13 if dtype == "float64" else 1e-6)


@on_host
@pytest.mark.parametrize("size", [13, 60])
def test_host_code_of_sums_without_weights(size):
    x = aligned(X[:size], "float64")
    arguments = prepare(OPERATIONS["loss"].parameters, (x, 0.5, 2.0))
    sums = launch.total(("loss", "weight"), arguments, None, Host()).sum(axis=1)
    expected = [math.fsum(robloss.loss(x, 0.5, 2.0)), math.fsum(robloss.weight(x, 0.5, 2.0))]
    np.testing.assert_allclose(sums, expected, rtol=1e-14)
    stepped = prepare(OPERATIONS["loss"].parameters, (x[::2], 0.5, 2.0))
    assert launch.total(("loss",), stepped, None, Host()) is None


# ------------------------------------------------------------------------------- Newton's step


@on_host
# What they are made of cancels where residuals are small: errors of up to 2e-13, and 1e-4 in
# float32, of Cauchy's residuals.
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-3)])
@pytest.mark.parametrize("alpha", [-7.0, -2.0, 0.0, 0.5, 1.0, 1.7, 2.5])
@pytest.mark.parametrize("size", [0, 1, 60])
def test_host_code_of_second_derivatives_in_alpha(size, alpha, dtype, rtol):
    z = aligned(X[:size], dtype)
    found = launch.bends(z, alpha, Host())
    expected = bends(np, z.astype(float), alpha)
    for values, wanted in zip(found, expected, strict=True):
        assert values.dtype == dtype
        np.testing.assert_allclose(values, wanted, rtol=rtol, atol=1e-5 * rtol)
    assert launch.bends(np.zeros((4, 4))[:, ::2], alpha, Host()) is None


# ---------------------------------------------------------------------- numbers on the device


@on_host
@each_dtype
@pytest.mark.parametrize("alpha", [*ALPHAS, -1e300, 1e-300, 0.3, 60.0, math.nan])
@pytest.mark.parametrize("scale", [1.3, 1e-30, 1e15, 0.0, -1.0, math.inf, math.nan])
def test_what_the_device_derives_of_numbers_is_what_the_host_does(alpha, scale, dtype):
    with np.errstate(over="ignore"):
        alpha, scale = aligned(alpha, dtype), aligned(scale, dtype)
    (room,) = launch.derive(alpha, scale, np.uint8, dtype, Host())
    found = room.view(parameters.layout(dtype))
    beside = np.where(alpha == 2, np.nextafter(alpha, alpha.dtype.type(0)), alpha)
    for numbers, one in zip(found, (alpha, beside), strict=True):
        expected = parameters.numbers(float(one), float(scale), dtype)[0]
        np.testing.assert_array_equal(numbers["of"], expected["of"])
        values, wanted = (row["derived"].astype(np.longdouble) for row in (numbers, expected))
        eps = np.longdouble(np.finfo(dtype).eps)
        for place in (0, 2, 4, 6, 8, 11, 13, 16, 20):  # pairs
            pair, sure = (row[place] + row[place + 1] for row in (values, wanted))
            # What a pair leaves off, and what np.longdouble does of its sum.
            tolerance = max(4 * eps**2, 4 * np.finfo(np.longdouble).eps)
            tiny = np.finfo(dtype).smallest_normal * eps
            np.testing.assert_allclose(pair, sure, rtol=tolerance, atol=tiny)
        for place in (10, 15, 18, 19):  # limits, which need not be exact
            np.testing.assert_allclose(values[place], wanted[place], rtol=8 * eps)


@on_host
@each_dtype
@pytest.mark.parametrize("alpha", ALPHAS)
def test_host_code_of_numbers_on_the_device_is_as_exact(alpha, dtype):
    alpha, scale = aligned(alpha, dtype), aligned(1.3, dtype)
    for name in ELEMENTWISE:
        exact = truth(name, of_numbers(float(alpha), float(scale), 100, SEED, dtype), dtype)
        if len(exact.points) == 0:  # the slope at alpha = 2
            continue
        card = Host()
        x = aligned(exact.points[:, 0], dtype)
        values = evaluate(WANTED, x, alpha, scale, card=card)[WANTED.index(name)]
        assert [kernel.name for kernel in card.started] == ["derive", "dense"]
        row = judge("host", name, dtype, "", exact, values.astype(float), kernel_allowance)
        assert row.ratio <= 1, row


def pulled(grad, x, alpha, scale, names, *, is_constant=False, is_smooth=False, card=None):
    arguments = prepare(OPERATIONS["loss"].parameters, (x, alpha, scale))
    found = launch.pullback(grad, arguments, names, is_constant, is_smooth, card or Host())
    sums = [] if found.partial is None else found.partial.sum(axis=1)
    return found.in_x, *sums


SLOPES = ("influence", "grad_alpha", "grad_scale")


@on_host
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("alpha", [0.5, 2.0, -5.0, 1.9])
@pytest.mark.parametrize("is_constant", [False, True])
def test_host_code_of_the_backward_pass(dtype, alpha, is_constant):
    x = aligned(X[:51], dtype)
    grad = aligned(0.5 if is_constant else np.cos(np.arange(51.0)), dtype)
    numbers = aligned(alpha, dtype), aligned(1.5, dtype)
    given = [one.astype(float) for one in (x, *numbers)]
    found = pulled(grad, x, *numbers, SLOPES, is_constant=is_constant, is_smooth=True)
    if alpha == 2.0:
        beside = given[1] - np.finfo("float64" if dtype == "float64" else "float32").eps
    rtol = {"float64": 1e-13, "float32": 1e-6, "float16": 1e-3}[dtype]
    for name, value in zip(SLOPES, found, strict=True):
        if name == "grad_alpha" and alpha == 2.0:
            terms = grad * robloss.grad_alpha(given[0], beside, given[2])
        else:
            terms = grad.astype(float) * getattr(robloss, name)(*given)
        if name == "influence":
            assert value.dtype == x.dtype
            np.testing.assert_allclose(value, terms, rtol=rtol, atol=1e-7 * rtol)
        else:
            size = float(np.sum(np.abs(terms)))
            np.testing.assert_allclose(value, math.fsum(terms), atol=max(rtol, 1e-13) * size)
    for some in [("influence",), ("grad_alpha",), ("influence", "grad_scale")]:
        alone = pulled(grad, x, *numbers, some, is_constant=is_constant, is_smooth=True)
        for name, value in zip(some, [one for one in alone if one is not None], strict=True):
            # At alpha = 2 another set of operations leaves other elements to `exact`.
            np.testing.assert_allclose(value, found[SLOPES.index(name)], rtol=rtol)


def by_columns(grad, x, alpha, scale):
    """The same with NumPy's kernels: of float64, summed to the shapes of alpha and scale."""
    given = [np.asarray(one, float) for one in (x, alpha, scale)]
    slopes = [getattr(robloss, name)(*given) for name in ("influence", "grad_scale")]
    eps = np.finfo("float64" if x.dtype == "float64" else "float32").eps
    beside = given[1] - (given[1] == 2.0) * eps
    slopes.insert(1, robloss.grad_alpha(given[0], beside, given[2]))
    for one, slope in zip(given, slopes, strict=True):
        terms = np.broadcast_to(grad, x.shape).astype(float) * slope
        lost = tuple(range(x.ndim - one.ndim)) if one.ndim else None
        size = np.abs(terms)
        yield (terms, size) if one is given[0] else (terms.sum(lost), size.sum(lost))


@on_host
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("shape", [(17, 3), (1, 1), (5,), (3, 2, 7), (40, 64)], ids=str)
@pytest.mark.parametrize("per_column", [(True, True), (True, False), (False, True)])
def test_host_code_of_the_backward_pass_by_columns(dtype, shape, per_column, monkeypatch):
    monkeypatch.setattr(launch, "ELEMENTS_OF_LANE", 5)  # more than one are ahead of a thread
    rng = np.random.default_rng(SEED)
    width = shape[-1]
    alpha, scale = (
        aligned(rng.choice(some, width) if many else some[0], dtype)
        for some, many in zip(([2.0, -5.0, 0.0, 1.9, 3.0], [1.5, 0.25]), per_column, strict=True)
    )
    x = aligned(3.0 * rng.normal(size=shape), dtype)
    for grad, is_constant in (
        (aligned(0.5, dtype), True),
        (aligned(rng.normal(size=shape), dtype), False),
    ):
        card = Host()
        found = pulled(
            grad, x, alpha, scale, SLOPES, is_constant=is_constant, is_smooth=True, card=card
        )
        name = "pullback" if width == 1 else "pullback_columns"
        assert [one.name for one in card.started][-1] == name
        # Of float16: half of a unit, and half of the smallest number.
        rtol, atol = {
            "float64": (1e-13, 1e-20),
            "float32": (2e-6, 1e-13),
            "float16": (2.0**-11, 2.0**-25),
        }[dtype]
        expected = by_columns(grad, x, alpha, scale)
        for value, one, (wanted, size) in zip(found, (x, alpha, scale), expected, strict=True):
            value = value if value.shape == one.shape else value.sum()
            assert np.all(np.abs(value - wanted) <= 1.01 * rtol * size + atol)


@on_host
def test_columns_are_summed_in_the_same_order_again(monkeypatch):
    monkeypatch.setattr(launch, "LANES", 7)  # 2 rows of 3 columns
    rng = np.random.default_rng(SEED)
    x, alpha = aligned(rng.normal(size=(50, 3)), "float32"), aligned([0.5, 1.0, 1.5], "float32")
    given = aligned(1.0, "float32"), x, alpha, alpha, SLOPES
    arguments = prepare(OPERATIONS["loss"].parameters, (x, alpha, alpha))
    found = launch.pullback(aligned(1.0, "float32"), arguments, SLOPES, True, False, Host())
    assert found.partial.shape == (2, 2, 3)
    for one, again in zip(
        pulled(*given, is_constant=True), pulled(*given, is_constant=True), strict=True
    ):
        np.testing.assert_array_equal(one, again)


@on_host
@each_dtype
@pytest.mark.parametrize("alpha", [1.5, [1.5, 0.5]], ids=["numbers", "columns"])
def test_host_code_leaves_out_what_weighs_nothing(alpha, dtype):
    x = aligned([[np.nan, np.inf], [3.0, -1.0]], dtype)
    grad = aligned([[0.0, 0.0], [-2.0, 1.0]], dtype)
    numbers = aligned(alpha, dtype), aligned(1.0, dtype)
    found = pulled(grad, x, *numbers, SLOPES)
    some = pulled(aligned(grad[1:], dtype), aligned(x[1:], dtype), *numbers, SLOPES)
    np.testing.assert_array_equal(found[0], [[0.0, 0.0], *some[0]])
    np.testing.assert_array_equal(found[1:], some[1:])


@on_host
def test_the_slope_in_alpha_at_two_is_infinite_unless_it_is_made_smooth():
    x, one = aligned([1.0], "float64"), aligned(1.0, "float64")
    given = one, x, aligned(2.0, "float64"), one, ("grad_alpha",)
    assert pulled(*given)[1] == math.inf
    assert 0 < pulled(*given, is_smooth=True)[1] < math.inf


# ------------------------------------------------------------------------------------ parameters


@pytest.mark.parametrize("real", DTYPES)
@pytest.mark.parametrize("alpha", [-3.7, 0.3, 1.9999999])
def test_pairs_of_numbers_hold_twice_the_digits(alpha, real):
    (_, derived), c = parameters.numbers(alpha, 0.3, real)[0], Fraction(0.3)
    a = Fraction(alpha)
    exact = [a / 2, (a - 2) / 2, abs(a - 2), abs(a - 2) / a, a - 1]
    pairs = [*derived[:10].reshape(5, 2).tolist(), *derived[11:15].reshape(2, 2).tolist()]
    for (value, lo), true in zip(pairs, [*exact, 1 / c, 1 / c**2], strict=True):
        assert (
            abs(Fraction(value) + Fraction(lo) - true)
            <= abs(true) * 2 * Fraction(float(np.finfo(real).eps)) ** 2
        )
    k = Fraction(float(derived[16])) + Fraction(float(derived[17]))
    assert abs(k * k * c * c * abs(a - 2) - 1) < 4 * float(np.finfo(real).eps) ** 2


@pytest.mark.parametrize(("alpha", "scale"), [(math.nan, 1.0), (1.0, math.nan), (1.0, 0.0),
                                              (1.0, math.inf), (1.0, -1.0)])  # fmt: skip
def test_illegal_numbers_serve_nothing(alpha, scale):
    assert np.all(np.isnan(parameters.numbers(alpha, scale, "float32")["derived"]))


# ------------------------------------------------------------------------------------------ CuPy


class _Device(str):
    """A device as CuPy has them, in the word that NumPy knows."""

    __slots__ = ()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


class _OnNoDevice(np.ndarray):
    device = _Device("cpu")


def test_a_kernel_that_cannot_be_built_keeps_no_other_from_it(monkeypatch):
    device = [0]

    class RawKernel:
        def __init__(self, source, name, **options):
            self.name = name

        def compile(self):
            if device == [1] or self.name == "sums":
                raise OSError(f"nothing for {device[0]}")

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(RawKernel=RawKernel))
    monkeypatch.delitem(sys.modules, "robloss._backends.cupy", raising=False)
    built = importlib.import_module("robloss._backends.cupy")._built
    dense, sums = (Kernel(name, "float32", ("loss",), "POWER") for name in ("dense", "sums"))
    with pytest.warns(RuntimeWarning, match="nothing for 0"):
        assert built(sums, 0) is None
    assert built(sums, 0) is None  # warnings are errors: there is no second
    assert built(dense, 0).name == "dense"
    device[0] = 1
    with pytest.warns(RuntimeWarning, match="nothing for 1"):
        assert built(dense, 1) is None
    monkeypatch.delitem(sys.modules, "robloss._backends.cupy")


def test_cupys_own_functions_serve_where_kernels_cannot_be_built(monkeypatch):
    class RawKernel:
        def __init__(self, *given, **options):
            pass

        def compile(self):
            raise OSError("no compiler")

    runtime = SimpleNamespace(getDevice=lambda: 0)
    cuda = SimpleNamespace(runtime=runtime)
    cupy = SimpleNamespace(RawKernel=RawKernel, cuda=cuda, empty=np.empty)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.delitem(sys.modules, "robloss._backends.cupy", raising=False)
    backend = importlib.import_module("robloss._backends.cupy")
    monkeypatch.setattr(backend._CuPy, "pointer", lambda self, array: 0)
    x = X.view(_OnNoDevice)
    arguments = prepare(OPERATIONS["loss"].parameters, (x, 0.5, 2.0))
    arguments = arguments._replace(given=(x, 0.5, 2.0))
    with pytest.warns(RuntimeWarning, match="cannot be built .OSError: no compiler.") as told:
        (values,) = backend.evaluate(("loss",), arguments)
    assert told[0].filename == __file__
    np.testing.assert_allclose(values, robloss.loss(X, 0.5, 2.0), rtol=1e-13)
    backend.evaluate(("loss", "weight"), arguments)  # warnings are errors: there is no second
    monkeypatch.delitem(sys.modules, "robloss._backends.cupy")
