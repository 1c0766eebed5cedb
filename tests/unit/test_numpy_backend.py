"""How NumPy arrays reach the kernels: any layout, shared memory, no copies, several outputs."""

import tracemalloc
from importlib import import_module
from inspect import signature

import numpy as np
import pytest
from cases import ELEMENTWISE, EPS, kernel_allowance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import robloss
from robloss._args import SMALL
from robloss._backends import numpy as backend
from robloss._ops import OPERATIONS

RNG = np.random.default_rng(4)
POOL = RNG.standard_normal(4000) * 5


def one_by_one(x, *others):
    """ρ of each element, by a call of its own on dense arrays."""
    x, *spread = np.broadcast_arrays(x, *others)
    result = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        # A number, and an array of one element, has a kernel of its own.
        columns = [
            float(value[index]) if np.size(given) == 1 else np.full(2, value[index], float)
            for value, given in zip(spread, others, strict=True)
        ]
        result[index] = robloss.loss(np.full(2, x[index], float), *columns)[0]
    return result


@pytest.fixture(autouse=True, params=["one thread", "two threads, small pieces"])
def setting(request, monkeypatch):
    """As it is; and so that small arrays are treated as large ones are."""
    monkeypatch.setenv("ROBLOSS_NUM_THREADS", "1")
    if request.param != "one thread":
        monkeypatch.setenv("ROBLOSS_NUM_THREADS", "2")
        monkeypatch.setattr(backend, "PIECE", 16)
        monkeypatch.setattr(backend, "ALONE", 20)
        monkeypatch.setattr(backend, "CHUNK", 16)


# --------------------------------------------------------------------------------------- layouts

# The fixture is the same for all examples.
of_setting = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def layouts(draw, largest=5):
    """Three arrays that broadcast, in any order of axes, with steps forwards and backwards."""
    shape = draw(st.lists(st.integers(0, largest), max_size=3).map(tuple))
    arrays = []
    for number in range(3):
        own = [1 if draw(st.booleans()) and number else side for side in shape]
        own = own[draw(st.integers(0, len(own))) :] if number else own
        steps = [draw(st.sampled_from([1, -1, 2, -3])) for _ in own]
        order = draw(st.permutations(range(len(own))))
        room = [own[axis] * abs(steps[axis]) for axis in order]
        size = int(np.prod(room))
        start = draw(st.integers(0, 50))
        block = POOL[start : start + size].reshape(room).copy()
        kind = draw(st.sampled_from(["f8", "f8", ">f8", "i4"]))
        array = np.abs(block).astype(kind) + 1 if number == 2 else block.astype(kind)
        array = array.transpose(np.argsort(order))[tuple(slice(None, None, k) for k in steps)]
        array = np.asarray(array)
        array.flags.writeable = draw(st.booleans())
        arrays.append(array)
    return arrays


@of_setting
@given(layouts())
def test_any_layout_gives_what_single_elements_give(setting, arrays):
    expected = one_by_one(*arrays)
    result = robloss.loss(*arrays)
    assert result.shape == expected.shape
    assert result.dtype == np.float64
    assert np.asarray(result).flags.writeable
    np.testing.assert_array_equal(result, expected)


@of_setting
@given(layouts(), st.data())
def test_out_of_any_layout(setting, arrays, data):
    expected = one_by_one(*arrays)
    steps = [data.draw(st.sampled_from([1, -1, 2])) for _ in expected.shape]
    room = [side * abs(step) for side, step in zip(expected.shape, steps, strict=True)]
    order = data.draw(st.permutations(range(len(room))))
    block = np.full(
        [room[axis] for axis in order], np.nan, data.draw(st.sampled_from(["f8", "f4"]))
    )
    whole = block.transpose(np.argsort(order))
    out = whole[(*(slice(None, None, step) for step in steps), ...)]
    assert robloss.loss(*arrays, out=out) is out
    np.testing.assert_array_equal(out, expected.astype(out.dtype))
    # NaN arguments there are none: what was not written is NaN still.
    assert np.isnan(block).sum() == block.size - out.size


def test_the_comparison_can_fail(setting):
    x = POOL[:60].reshape(6, 10).T
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(robloss.loss(x, POOL[:6]), one_by_one(x, POOL[1:7], 1.0))


def test_one_element_counts_as_a_number(setting):
    x = POOL[:50]
    expected = robloss.loss(x, 0.0, 2.0)  # the closed form of the Cauchy loss
    for alpha, scale in [
        (np.zeros(1), np.full((1, 1), 2.0)),
        (np.array(0.0), np.float64(2.0)),
        (np.array([0]), 2),
    ]:
        result = robloss.loss(x, alpha, scale)
        np.testing.assert_array_equal(result.reshape(-1), expected)
        assert result.shape == np.broadcast_shapes(x.shape, np.shape(alpha), np.shape(scale))


def test_what_broadcast_arrays_gives_brings_no_warning(setting):
    for size in (5, 700):  # small ones have a way of their own
        x, alpha = np.broadcast_arrays(POOL[: 2 * size].reshape(2, size), POOL[:size])
        np.testing.assert_array_equal(robloss.loss(x, 0.7), robloss.loss(x.copy(), 0.7))
        np.testing.assert_array_equal(robloss.loss(x, alpha), robloss.loss(x.copy(), alpha.copy()))


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_result_lies_in_memory_as_x_does(order, setting):
    x = np.asarray(POOL[:24].reshape(2, 3, 4), order=order)
    assert robloss.loss(x, 0.7).strides == x.strides
    turned = x.transpose(1, 0, 2)
    assert robloss.loss(turned, 0.7).strides == turned.strides


def test_small_arrays_give_what_large_ones_give(setting):
    x = RNG.standard_normal(4 * SMALL)
    whole = robloss.loss(x, 0.7, 1.3)
    for size in (0, 1, 10, SMALL, SMALL + 1):
        for part in (x[:size], np.float32(x[:size])):
            result = robloss.loss(part, 0.7, 1.3)
            assert result.dtype == part.dtype
            assert result.shape == part.shape
        np.testing.assert_array_equal(robloss.loss(x[:size], 0.7, 1.3), whole[:size])
    square = x[:16].reshape(4, 4)
    np.testing.assert_array_equal(robloss.loss(square, 0.7, 1.3), whole[:16].reshape(4, 4))


def test_out_of_a_small_array(setting):
    room = RNG.standard_normal(60)
    for start in (0, 3, 30):  # in the memory of x, partly, beside it
        here = room.copy()
        x, out = here[:30], here[start : start + 30]
        expected = robloss.loss(x, 0.7, 1.3)
        assert robloss.loss(x, 0.7, 1.3, out=out) is out
        np.testing.assert_array_equal(out, expected)
    itself = room.copy()
    assert robloss.loss(itself, 0.7, 1.3, out=itself) is itself
    np.testing.assert_array_equal(itself, robloss.loss(room, 0.7, 1.3))
    single = np.zeros(60, np.float32)
    robloss.loss(room, 0.7, 1.3, out=single)
    np.testing.assert_array_equal(single, np.float32(robloss.loss(room, 0.7, 1.3)))
    rows = np.zeros((2, 60))
    robloss.loss(room, 0.7, 1.3, out=rows)
    np.testing.assert_array_equal(rows, [robloss.loss(room, 0.7, 1.3)] * 2)


def test_each_operation_with_a_kernel_is_an_output_of_it():
    for row in OPERATIONS.values():
        assert not row.public or row.kernel is not None
        if row.kernel is not None:
            compute = import_module(f"robloss._kernels.{row.kernel}").evaluate
            inputs = [one.name for one in row.parameters]
            assert [*signature(compute).parameters][: len(inputs)] == inputs
            assert row.name in signature(compute).parameters


# --------------------------------------------------------------------------------- shared memory


@pytest.mark.parametrize("size", [50, 3000])
@pytest.mark.parametrize("shift", [0, 1, -1, 7, 30])
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_out_may_overlap_an_argument(argument, shift, size, setting):
    columns = [POOL[:size].copy(), POOL[1 : size + 1].copy(), np.abs(POOL[2 : size + 2]) + 0.5]
    expected = robloss.loss(*columns)
    room = np.zeros(size + 60)
    inside, out = room[30 : 30 + size], room[30 + shift : 30 + shift + size]
    inside[:] = columns[argument]
    columns[argument] = inside
    robloss.loss(*columns, out=out)
    np.testing.assert_array_equal(out, expected)


def test_out_may_be_an_argument_backwards(setting):
    x = POOL[:100].copy()
    expected = robloss.loss(x, 0.7, 1.3)
    robloss.loss(x, 0.7, 1.3, out=x[::-1])
    np.testing.assert_array_equal(x[::-1], expected)


def test_out_may_be_an_argument_turned(setting):
    x = POOL[:100].reshape(10, 10).copy()
    expected = robloss.loss(x, 0.7, 1.3)
    robloss.loss(x, 0.7, 1.3, out=x.T)
    np.testing.assert_array_equal(x.T, expected)


def test_every_argument_may_be_an_out(setting):
    columns = [POOL[:100].copy(), POOL[1:101].copy(), np.abs(POOL[2:102]) + 0.5]
    expected = robloss.evaluate(*columns)
    robloss.evaluate(*columns, out=columns)
    for column, result in zip(columns, expected, strict=True):
        np.testing.assert_array_equal(column, result)


def overlapping():
    room = np.zeros(200)
    yield "one array", (room[:40], room[:40])
    yield "one array backwards", (room[:40], room[39::-1])
    yield "in part", (room[:40], room[39:79])
    yield "interleaved", (room[:160:4], room[4:204:5])


@pytest.mark.parametrize(
    "pair", [row[1] for row in overlapping()], ids=[row[0] for row in overlapping()]
)
def test_results_may_not_overlap(pair, setting):
    sentence = (
        r"^`out` must be arrays that share no memory, but got overlapping ones at 0 and 2\. "
        r"Pass None for a new array\.$"
    )
    with pytest.raises(ValueError, match=sentence):
        robloss.evaluate(POOL[:40], 0.7, out=(pair[0], None, pair[1]))


def test_results_may_lie_between_each_other(setting):
    room = np.zeros((40, 3))
    robloss.evaluate(POOL[:40], 0.7, out=list(room.T))
    for column, expected in zip(room.T, robloss.evaluate(POOL[:40], 0.7), strict=True):
        np.testing.assert_array_equal(column, expected)


# -------------------------------------------------------------------------------- several outputs


def agree(name, result, alone):
    # Both are within the bound of docs/numerics.md: what is shared may be rounded in another way.
    ulps = 2 * kernel_allowance(name)
    np.testing.assert_allclose(result, alone, rtol=ulps * EPS["float64"], atol=ulps * 1e-16)


def test_evaluate_gives_what_the_functions_give(setting):
    x, alpha, scale = POOL[:90].reshape(9, 10), POOL[:10], np.abs(POOL[:9, None]) + 0.5
    results = robloss.evaluate(x, alpha, scale, outputs=ELEMENTWISE)
    for name, result in zip(ELEMENTWISE, results, strict=True):
        agree(name, result, getattr(robloss, name)(x, alpha, scale))


def test_evaluate_keeps_the_order_and_the_out(setting):
    x = POOL[:40]
    out = (None, np.empty(40), None)
    names = ("weight", "loss", "influence")
    results = robloss.evaluate(x, 0.7, outputs=names, out=out)
    assert results[1] is out[1]
    for name, result in zip(names, results, strict=True):
        agree(name, result, getattr(robloss, name)(x, 0.7))


def test_evaluate_of_scalars_and_of_half_floats(setting):
    assert all(type(one) is np.float64 for one in robloss.evaluate(1.0, 0.7))
    half = np.float16([0.5, 1000.0])
    for name, result in zip(("loss", "influence"), robloss.evaluate(half, 1.0), strict=False):
        assert result.dtype == np.float16
        np.testing.assert_array_equal(result, getattr(robloss, name)(half, 1.0))


@pytest.mark.parametrize("outputs", ["loss", (), ("loss", "loss"), ("nll",), ("loss", "rho")])
def test_outputs_of_another_kind(outputs):
    with pytest.raises(
        ValueError, match=r"^`outputs` must be distinct names out of loss, influence"
    ):
        robloss.evaluate(1.0, 1.0, outputs=outputs)


@pytest.mark.parametrize(("out", "got"), [((None,), "1"), (np.empty((3, 4)), "ndarray")])
def test_out_of_evaluate_of_another_kind(out, got):
    sentence = (
        f"^`out` must be a tuple or list with an array or None for each of 3 outputs, but got {got}"
    )
    with pytest.raises(ValueError, match=sentence):
        robloss.evaluate(np.ones(4), 1.0, out=out)


# ------------------------------------------------------------------------------------ extra memory

MIB = 2**20


def peak(function) -> float:
    """Most bytes that a call has allocated at a time."""
    function()  # compiles
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def cases():
    x = RNG.standard_normal(MIB)  # 8 MiB
    out = np.empty(MIB)
    columns = x.reshape(1024, 1024)
    single = x.astype(np.float32)
    positive = np.abs(x) + 0.5
    yield "dense", (x, 0.7, 1.3), out
    yield "F-ordered", (columns.T, 0.7, 1.3), out.reshape(1024, 1024).T
    yield "all arrays", (x, x, positive), out
    yield "stepped", (x[::2], 0.7, 1.3), out[::2]
    yield "stepped backwards", (x[::-1], 0.7, 1.3), out
    yield "broadcast", (columns[:, :1], columns[:1, :], 1.3), out.reshape(1024, 1024)
    yield "broadcast number", (np.float64(0.5), x, 1.3), out
    yield "mixed orders", (columns, columns.T, 1.3), out.reshape(1024, 1024)
    yield "single in double", (single, x, 1.3), out
    yield "integers", (np.arange(MIB), 0.7, 1.3), out
    yield "half", (x.astype(np.float16), 0.7, 1.3), out.view(np.float16)[:MIB]
    yield "out in x", (x, 0.7, 1.3), x


@pytest.mark.parametrize(
    ("arguments", "out"), [row[1:] for row in cases()], ids=[r[0] for r in cases()]
)
def test_no_memory_but_the_result(arguments, out, setting, monkeypatch):
    if backend.PIECE == 16:
        pytest.skip("a million elements in pieces of 16 take long")
    for threads in "13":
        monkeypatch.setenv("ROBLOSS_NUM_THREADS", threads)
        assert peak(lambda: robloss.loss(*arguments, out=out)) < 0.6 * MIB
        assert peak(lambda: robloss.loss(*arguments)) < out.nbytes + 0.6 * MIB


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_nll_takes_no_memory_but_the_result(dtype, setting):
    if backend.PIECE == 16:
        pytest.skip("a million elements in pieces of 16 take long")
    x = RNG.standard_normal(MIB).astype(dtype)
    for alpha, scale in [(0.7, 1.3), (np.array(0.7, dtype), np.full(1, 1.3, dtype))]:
        assert peak(lambda alpha=alpha, scale=scale: robloss.nll(x, alpha, scale)) < (
            x.nbytes + 0.6 * MIB
        )


def test_the_ceiling_sees_a_copy():
    x = np.ones(MIB)
    assert peak(lambda: robloss.loss(x + 0.0, 0.7)) > 2 * x.nbytes - 1


def test_a_dense_read_only_argument_is_not_copied():
    x = np.linspace(-3, 3, 2**20)
    locked = x.copy()
    locked.flags.writeable = False
    expected, out = robloss.loss(x, 0.7), np.empty_like(x)
    tracemalloc.start()
    robloss.loss(locked, 0.7, out=out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**15  # a piece of the iterator's alone is 2**15 bytes
    assert not locked.flags.writeable
    np.testing.assert_array_equal(out, expected)


def test_arrays_without_axes_give_scalars():
    assert type(robloss.loss(np.ones(()), 0.7)) is np.float64
    assert type(robloss.loss(np.ones((), np.float32), 0.7)) is np.float32
