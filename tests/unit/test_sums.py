"""Fused sums: against exactly added values, and bit by bit.

The values are those of the oracle where there are few of them. Of tens of thousands they are those
of the accurate kernels, which tests/test_accuracy.py holds to the oracle.
"""

import math

import numpy as np
import oracle
import pytest

from robloss._backends.totals import total
from robloss._kernels import constants, exact
from robloss._kernels.sums import BLOCK

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
ALPHAS = [-math.inf, -9.0, -2.0, -0.3, 0.0, 1e-30, 1e-3, -0.1, 0.7, 1.0, 1.999, 2.0, 3.0, 5.9, 40.0]
FUNCTIONS = ("loss", "grad_alpha", "grad_scale")
# One for each kernel.
KERNELS = [-math.inf, -9.0, -0.1, 0.0, 0.7, 2.0]
COUNT = 20_000  # two and a half blocks

# Relative errors: of sums of different terms, whose rounding errors are of both signs; and of any.
# The first is 10 times what was measured; the second what SHARE is for, and a few roundings.
USUAL = {"float64": 2e-14, "float32": 2e-7}
ALL_OF_ONE_SIGN = {
    "float64": 4 * 2.0**-53 / constants.FLOAT64["SHARE"],
    "float32": 4 * 2.0**-24 / constants.FLOAT32["SHARE"],
}


def _reference(x, alpha, scale, weights=None, of=exact):
    weights = np.ones(x.size) if weights is None else weights
    pairs = list(zip(weights.astype(float).tolist(), x.astype(float).tolist(), strict=True))
    functions = [getattr(of, name) for name in FUNCTIONS]
    return [math.fsum(w * float(f(at, alpha, scale)) for w, at in pairs if w) for f in functions]


def _samples(dtype):
    rng = np.random.default_rng(8)
    normal = rng.standard_normal(COUNT)
    cauchy = rng.standard_cauchy(COUNT)
    small = 1e-2 * normal
    mixed = normal * np.where(np.arange(COUNT) < COUNT // 2, 1e-3, 3)  # blocks of both kinds
    return {
        "normal": normal.astype(dtype),
        "cauchy": cauchy.astype(dtype),
        "small": small.astype(dtype),
        "tiny": (1e-4 * small).astype(dtype),
        "mixed": mixed.astype(dtype),
    }


def _check(found, expected, bound):
    for name, got, true in zip(found._fields, found, expected, strict=True):
        assert got == pytest.approx(true, rel=bound, abs=0), name


@each_dtype
@pytest.mark.parametrize("alpha", ALPHAS)
def test_sums(alpha, dtype):
    for name, x in _samples(dtype).items():
        if name == "cauchy" and alpha > 3:
            continue  # one element is all of the sum
        expected = _reference(x, alpha, 1.3)
        if dtype == "float32" and not max(map(abs, expected)) < 1e30:
            continue
        _check(total(x, alpha, 1.3), expected, USUAL[dtype])


@each_dtype
@pytest.mark.parametrize("alpha", KERNELS)
def test_sums_are_those_of_the_oracle(alpha, dtype):
    x = np.random.default_rng(11).standard_normal(2000).astype(dtype)
    # Of fewer terms less of the errors cancels: it goes with the root of the count.
    bound = USUAL[dtype] * math.sqrt(COUNT / x.size)
    _check(total(x, alpha, 1.3), _reference(x, alpha, 1.3, of=oracle), bound)


@each_dtype
@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.1, 0.7, 1.9, 4.0])
@pytest.mark.parametrize("value", [1e-3, 0.1, 0.5, 0.7, 1.0, 3.0])
def test_equal_terms_whose_errors_are_of_one_sign(value, alpha, dtype):
    x = np.full(3000, value, dtype)
    expected = [x.size * term for term in _reference(x[:1], alpha, 1.0, of=oracle)]
    _check(total(x, alpha, 1.0), expected, ALL_OF_ONE_SIGN[dtype])


def test_a_plain_sum_of_float32_is_not_good_enough():
    x = np.full(10**6, 0.7, "float32")
    term = float(oracle.loss(float(x[0]), 0.7, 1.0))
    one_by_one = np.cumsum(np.full(x.size, np.float32(term)))[-1]
    expected = x.size * term
    assert total(x, 0.7, 1.0).loss == pytest.approx(expected, rel=2e-7, abs=0)
    assert one_by_one != pytest.approx(expected, rel=1e-5, abs=0)


@each_dtype
@pytest.mark.parametrize("alpha", [-9.0, 0.0, 0.1, 0.7])
def test_adding_rounds_nothing_off(alpha, dtype):
    """So many equal terms one by one would lose some units of the last place."""
    for value in (0.3, 0.7, 1.1, 5.0):
        x = np.full(10 * BLOCK + 32, value, dtype)
        few, many = total(x[:32], alpha, 1.3), total(x, alpha, 1.3)
        times = x.size // 32
        assert many.loss == pytest.approx(times * few.loss, rel=2.3e-16, abs=0)
        assert many.grad_scale == pytest.approx(times * few.grad_scale, rel=2.3e-16, abs=0)


@each_dtype
@pytest.mark.parametrize("alpha", [-9.0, 0.0, 0.1, 0.7, 2.0])
def test_weights(alpha, dtype):
    rng = np.random.default_rng(9)
    x, weights = rng.standard_normal(COUNT).astype(dtype), rng.random(COUNT).astype(dtype)
    weights[::7] = 0
    found = total(x, alpha, 1.3, weights)
    _check(found, _reference(x, alpha, 1.3, weights), USUAL[dtype])
    assert total(x, alpha, 1.3, 2 * weights) == tuple(2 * value for value in found)
    x[::7] = np.resize([math.nan, math.inf, 1e30, -3.0], x[::7].size)
    assert total(x, alpha, 1.3, weights) == found


@each_dtype
@pytest.mark.parametrize("alpha", [-9.0, 0.0, 0.1, 0.7])
def test_lanes_that_vectors_do_not_serve(alpha, dtype):
    x = _samples(dtype)["normal"]
    x[:: COUNT // 5] = np.array([1e37, -1e-37, 1e30, 0.0, 1e-30], dtype)
    _check(total(x, alpha, 1.3), _reference(x, alpha, 1.3), USUAL[dtype])


def test_terms_that_pass_the_range_of_float32():
    x = np.full(256, math.sqrt(2 * math.expm1(40.5)), "float32")
    weights = np.full_like(x, 100)
    expected = _reference(x, 4.0, 1.0, weights)
    assert np.isfinite(expected).all()
    _check(total(x, 4.0, 1.0, weights), expected, 1e-5)


@each_dtype
def test_limits(dtype):
    one = np.array([1.0, 2.0], dtype)
    assert total(one[:0], 0.7, 1.0) == (0, 0, 0)
    assert total(0 * one, 0.7, 1.0) == (0, 0, 0)
    assert total(0 * one, 2.0, 1.0) == (0, 0, 0)
    assert total(one, 2.0, 1.0).grad_alpha == math.inf
    assert total(one, -math.inf, 1.0).grad_alpha == 0
    assert total(one * math.inf, 0.7, 1.0) == (math.inf, math.inf, -math.inf)
    assert np.isnan(total(one * math.nan, 0.7, 1.0)).all()
    assert np.isnan(total(one * math.nan, 2.0, 1.0)).all()


@each_dtype
@pytest.mark.parametrize("alpha", [-9.0, 0.0, 0.1, 0.7])
def test_the_bits_do_not_depend_on_the_number_of_threads(alpha, dtype, monkeypatch):
    rng = np.random.default_rng(10)
    x = (rng.standard_cauchy(300_001) * np.repeat([1e-3, 1.0, 5.0], 100_001)[:300_001]).astype(
        dtype
    )
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setenv("ROBLOSS_NUM_THREADS", str(threads))
        found.append(total(x, alpha, 1.3))
    assert found[0] == found[1] == found[2]


# ------------------------------------------------------------------------- elements beside the sums


def _with_extremes(dtype):
    x = np.random.default_rng(9).standard_cauchy(300).astype(dtype)
    x[:9] = [0.0, 1e-30, -1e-40, 3e38, -3e38, 1e19, np.inf, -np.inf, np.nan]
    return x


def _assert_near(found, exactly, dtype):
    true = np.array([oracle.rounded(one, dtype) for one in exactly], dtype)
    same = (found == true) | (np.isnan(found) & np.isnan(true))
    # docs/numerics.md: 6 ulp of normal numbers. Smaller ones may be up to twice the least of those.
    room = np.maximum(6 * np.spacing(np.abs(true)), 2 * np.finfo(dtype).smallest_normal)
    with np.errstate(invalid="ignore"):
        assert np.all(same | (np.abs(found - true) <= room))


@each_dtype
@pytest.mark.parametrize("alpha", KERNELS)
def test_losses_and_slopes_of_elements(alpha, dtype):
    x = _with_extremes(dtype)
    losses, slopes = np.full_like(x, 7.0), np.full_like(x, 7.0)
    total(x, alpha, 1.3, losses=losses, slopes=slopes)
    for found, function in ((losses, oracle.loss), (slopes, oracle.influence)):
        _assert_near(found, [function(at, alpha, 1.3) for at in x.astype(float)], dtype)


@each_dtype
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_slopes_are_weighted(sign, dtype):
    x = _with_extremes(dtype)
    weights = (sign * np.random.default_rng(10).uniform(0.0, 1.0, x.size)).astype(dtype)
    weights[3:12] = 0.0
    slopes = np.full_like(x, 7.0)
    total(x, 0.7, 1.3, weights, slopes=slopes)
    pairs = zip(weights.astype(float), x.astype(float), strict=True)
    expected = [w * oracle.influence(at, 0.7, 1.3) if w else oracle.arb(0) for w, at in pairs]
    _assert_near(slopes, expected, dtype)
