"""The vector kernels: what they promise beside accuracy, which tests/test_accuracy.py measures."""

import itertools
import math

import numpy as np
import pytest

from robloss._kernels import constants, elementwise, exact, generate
from robloss._kernels.vector import BYTES

NAMES = ("loss", "influence", "weight", "curvature", "grad_alpha", "grad_scale")
# One per member of the family, and one for every way of getting alpha and scale.
CLOSED = [2.0, 1.0, 0.0, -2.0, -math.inf]
NUMBERS = [*CLOSED, 0.7, -30.0, -1e9, math.inf]

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


def _compute(names, x, alpha, scale, out=None):
    results = {name: np.full_like(x, 7) if out is None else out for name in names}
    elementwise.evaluate(x, alpha, scale, *(results.get(name) for name in NAMES))
    return results


def _points(dtype, count=1000, seed=3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(count) * 10 ** rng.uniform(-3, 3, count)
    special = [0.0, -0.0, math.nan, math.inf, -math.inf, 1e30, 1e-30, 1e-44]
    x[rng.integers(0, count, 5 * len(special))] = np.repeat(special, 5)
    alpha = np.where(rng.random(count) < 0.3, rng.choice(NUMBERS, count), rng.uniform(-9, 9, count))
    return x.astype(dtype), alpha.astype(dtype), (10 ** rng.uniform(-1, 1, count)).astype(dtype)


def _ways(dtype, count=1000):
    """Every kernel: x, alpha, scale."""
    x, alpha, scale = _points(dtype, count)
    for number in NUMBERS:
        yield x, number, 1.3
    yield x, alpha, 1.3
    yield x, alpha, scale
    yield x, 0.7, scale
    yield x, -30.0, scale


def _part(value, kept):
    return value if isinstance(value, float) else np.ascontiguousarray(value[kept])


@each_dtype
def test_results_do_not_depend_on_position_or_length(dtype):
    width = BYTES // np.dtype(dtype).itemsize
    for x, alpha, scale in _ways(dtype, 5 * width + 3):
        whole = _compute(NAMES, x, alpha, scale)
        slices = [
            slice(1, None),
            slice(width - 1, 2 * width + 5),
            slice(7, 8),
            slice(None, None, 3),
        ]
        for kept in slices:
            some = _compute(NAMES, _part(x, kept), _part(alpha, kept), _part(scale, kept))
            for name in NAMES:
                np.testing.assert_array_equal(some[name], whole[name][kept], err_msg=name)


@each_dtype
@pytest.mark.parametrize("shifts", [(0, 0, 0), (1, 1, 1), (3, 0, 7), (15, 14, 2)])
def test_large_outputs_are_those_of_pieces_wherever_they_lie(dtype, shifts):
    """They go past the caches where they fill lines of 64 bytes."""
    names, size = ("loss", "influence", "weight"), elementwise.LARGE + 1001
    x = _points(dtype, size)[0]
    room = np.full((len(names), size + 64), 7, dtype)
    results = {
        name: row[shift : shift + size]
        for name, row, shift in zip(names, room, shifts, strict=True)
    }
    elementwise.evaluate(x, 0.7, 1.3, *(results.get(name) for name in NAMES))
    for start in range(0, size, 5000):
        some = _compute(names, x[start : start + 5000], 0.7, 1.3)
        for name in names:
            np.testing.assert_array_equal(results[name][start : start + 5000], some[name])
    for row, shift in zip(room, shifts, strict=True):
        assert set(row[:shift]) | set(row[shift + size :]) == {7}


def test_nothing_is_done_to_no_elements():
    empty = np.empty(0)
    assert _compute(["loss"], empty, 0.7, 1.0)["loss"].size == 0


@each_dtype
def test_every_set_of_outputs_gives_the_same(dtype):
    sets = [*((name,) for name in NAMES), ("loss", "influence", "weight")]
    for x, alpha, scale in _ways(dtype, 200):
        whole = _compute(NAMES, x, alpha, scale)
        for names in sets:
            some = _compute(names, x, alpha, scale)
            for name in names:
                np.testing.assert_array_equal(some[name], whole[name], err_msg=f"{names} {alpha}")


@each_dtype
def test_an_output_may_be_the_input(dtype):
    for x, alpha, scale in _ways(dtype, 300):
        for name in ("loss", "influence", "weight"):
            expected = _compute([name], x, alpha, scale)[name]
            place = x.copy()
            _compute([name], place, alpha, scale, out=place)
            np.testing.assert_array_equal(place, expected)


@each_dtype
def test_signs_do_not_matter(dtype):
    for x, alpha, scale in _ways(dtype, 300):
        here, there = (_compute(NAMES, side, alpha, scale) for side in (x, -x))
        for name in NAMES:
            sign = -1 if name == "influence" else 1
            np.testing.assert_array_equal(here[name], sign * there[name])
        assert not np.any(np.signbit(here["loss"]))


def _exactly(name, x, alpha, scale, dtype):
    columns = np.broadcast_arrays(np.atleast_1d(x), alpha, scale)
    function = getattr(exact, name)
    points = zip(*(column.astype(float).tolist() for column in columns), strict=True)
    with np.errstate(all="ignore"):
        return np.array([function(*point) for point in points]).astype(dtype)


@each_dtype
@pytest.mark.parametrize("name", NAMES)
def test_vectors_agree_with_the_exact_path(dtype, name):
    tiny = np.finfo(dtype).tiny
    for x, alpha, scale in _ways(dtype):
        expected = _exactly(name, x, alpha, scale, dtype)
        values = _compute([name], x, alpha, scale)[name]
        size = abs(expected)
        if name == "curvature":
            size = np.fmax(size, abs(_exactly("weight", x, alpha, scale, dtype)))
        odd = ~np.isfinite(expected) | (abs(expected) < tiny)
        # Beyond the range of normal numbers the exact path gives the value itself.
        np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
        np.testing.assert_array_equal(values[np.isinf(expected)], expected[np.isinf(expected)])
        unit = np.spacing(np.where(odd, 1, size).astype(dtype))
        error = np.where(odd, 0, abs(np.where(odd, 0, values) - np.where(odd, 0, expected)) / unit)
        assert error.max() <= 14, (alpha, x[np.argmax(error)])


@each_dtype
@pytest.mark.parametrize("alpha", [2.0 - 1e-12, 2.0 + 1e-12, 2.0 - 1e-10])
def test_an_alpha_beside_2_that_no_float32_is(alpha, dtype):
    x = np.array([1e-3, 0.1, 1.0, 57.0, 1e6], dtype)
    for scale in (1.3, np.full(5, 1.3, dtype)):
        for name, values in _compute(NAMES, x, alpha, scale).items():
            true = [getattr(exact, name)(one, alpha, float(np.ravel(scale)[0])) for one in x]
            # 16 ulp, of which the rounding of scale takes at most one
            rtol = 16 * np.finfo(dtype).eps
            np.testing.assert_allclose(values, np.array(true), rtol=rtol, err_msg=name)


@each_dtype
def test_the_loss_at_alpha_1_is_good_where_a_root_minus_1_is_not(dtype):
    """Where it loses all digits, and about s = 3, from which on nothing is put back."""
    from mpmath import mp, mpf

    x = np.concatenate([np.geomspace(1e-18, 10, 400), np.linspace(1.7, 1.8, 400)]).astype(dtype)
    values = _compute(["loss"], x, 1.0, 1.0)["loss"]
    with mp.workprec(300):
        for point, value in zip(x.tolist(), values, strict=True):
            error = abs(mp.sqrt(1 + mpf(point) ** 2) - 1 - float(value)) / float(np.spacing(value))
            assert error <= 4, point


@each_dtype
@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_an_illegal_scale_is_nan(dtype, scale):
    x = np.array([0.0, 1.0, -2.0], dtype)
    for alpha in (*NUMBERS, np.array([0.7, 2.0, -30.0], dtype)):
        for width in (scale, np.full_like(x, scale)):
            for name, values in _compute(NAMES, x, alpha, width).items():
                assert np.all(np.isnan(values)), (name, alpha)


@each_dtype
def test_an_alpha_that_is_nan_gives_nan(dtype):
    x = np.array([0.0, 1.0, -2.0], dtype)
    for alpha, scale in itertools.product(
        (math.nan, np.full_like(x, math.nan)), (1.0, np.ones_like(x))
    ):
        for values in _compute(NAMES, x, alpha, scale).values():
            assert np.all(np.isnan(values))


@each_dtype
def test_a_lane_that_is_not_served_costs_others_nothing(dtype):
    """Neither their values, nor are they computed by the exact path."""
    x, alpha, _ = _points(dtype, 64)
    x = np.where(np.isfinite(x) & (abs(x) < 1e3), x, 1).astype(dtype)
    for shape in (0.7, alpha):
        calm = _compute(NAMES, x, shape, 1.3)
        for at in (0, 17, 63):
            rough = x.copy()
            rough[at] = np.finfo(dtype).max
            values = _compute(NAMES, rough, shape, 1.3)
            for name in NAMES:
                others = np.arange(64) != at
                np.testing.assert_array_equal(values[name][others], calm[name][others])
                shape_there = np.broadcast_to(shape, 64)[at]
                expected = _exactly(name, rough[at], shape_there, 1.3, dtype)
                np.testing.assert_array_equal(values[name][at], expected[0])


def test_the_stored_constants_are_those_of_the_program():
    assert generate.main(["--check"]) == 0


def test_a_changed_constant_is_found(tmp_path, monkeypatch, capsys):
    path = tmp_path / "constants.py"
    text = generate.CONSTANTS.read_text(encoding="utf-8")
    path.write_text(text.replace("0.0833", "0.0834", 1), encoding="utf-8")
    monkeypatch.setattr(generate, "CONSTANTS", path)
    assert generate.main(["--check"]) == 1
    assert "constants.py" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert path.read_text(encoding="utf-8") == text


def _polynomial(coefficients, x):
    return sum(coefficient * x**k for k, coefficient in enumerate(coefficients))


@pytest.mark.parametrize(
    ("numbers", "bits"), [(constants.FLOAT64, 53), (constants.FLOAT32, 24)], ids=["64", "32"]
)
def test_the_polynomials_are_log_and_exp(numbers, bits):
    """With what is cut off, and the rounding of coefficients, below a 64th of an ulp or so."""
    from mpmath import mp, mpf

    with mp.workdps(40):
        for step in range(-50, 51):
            f = mpf(step) / 200 if step < 0 else mpf(step) / 100
            q = 2 * f / (2 + f)
            log = q * (1 + q**2 * _polynomial(numbers["LOG"], q**2))
            assert abs(log - mp.log1p(f)) <= abs(mp.log1p(f)) * mpf(2) ** -(bits + 4)
            r = mp.log(2) / 2 * mpf(step) / 50
            exp = r + r**2 * (0.5 + r * _polynomial(numbers["EXP"], r))
            assert abs(exp - mp.expm1(r)) <= abs(mp.expm1(r)) * mpf(2) ** -(bits + 2)
        ln2 = mpf(numbers["LN2"]) + mpf(numbers["LN2_LO"])
        assert abs(ln2 - mp.log(2)) < mpf(2) ** -(bits + 12)


@each_dtype
@pytest.mark.parametrize("alpha", [-math.inf, -3.0, -2.0, 0.0, 0.7, 1.0, 1.4215, 2.0, 10.0])
def test_slopes_in_scale_at_any_scale(dtype, alpha):
    """s/c and W s/c leave the floating range where W/c² does not."""
    rng = np.random.default_rng(7)
    double = dtype == "float64"
    for scale in (1e-150, 2.6e-55, 1e-30, 1e40) if double else (1e-18, 1e-5, 1e14):
        sizes = 10 ** rng.uniform(-30, 80 if double else 18, 400)
        with np.errstate(over="ignore"):
            x = (scale * sizes).astype(dtype)
        got = _compute(["grad_scale"], x, alpha, scale)["grad_scale"]
        with np.errstate(over="ignore"):
            expected = np.array([exact.grad_scale(float(one), alpha, scale) for one in x])
            expected = expected.astype(dtype)
        normal = (np.abs(expected) >= np.finfo(dtype).tiny) | ~np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        near = np.isfinite(expected) & normal
        np.testing.assert_allclose(got[near], expected[near], rtol=12 * np.finfo(dtype).eps)
