"""Random numbers, on NumPy: the distribution they follow, and what rests on a proof."""

import math

import array_api_compat.numpy as xnp
import numpy as np
import oracle
import pytest
from distribution import SMALLEST_P, cdf, kolmogorov_smirnov, variance
from flint import arb

import robloss
from robloss._distribution import sampling as _sampling
from robloss._distribution.sampling import PROPOSALS, Proposal, sample

MILLION = 10**6
ALPHAS = [0.0, 0.1, 0.4, 0.5, 0.9, 1.0, 1.3, 1.5, 1.9, 2.0, 2.5, 4.0, 50.0, math.inf]
BETWEEN = [row for row in PROPOSALS if 0 < row.start < 2]


# -------------------------------------------------------------------------------- the proposals


def envelope_parameters(row):
    """k and m of e^(−T) = (1 + s/m)^(−k), s = x², as exact numbers."""
    eta, variance = arb(row.eta), arb(row.variance)
    return (1 + eta) / (2 * eta), variance / eta


def check_bound(row: Proposal) -> None:
    """Prove T <= ρ at the row's first alpha, for 0 < alpha < 2.

    With b = 2 − α and h(s) = (1 + s/b)^(α/2 − 1) (m + s), ρ − T has the slope
    (h(s) − 2k)/(2(m + s)) in s, and h the logarithmic slope of the sign of b(1 − m/2) + sα/2:
    h falls up to one point and rises from there on. So ρ − T, which is 0 at 0, has one more minimum
    at most, at the last root of h = 2k. On a bracket [left, right] of that root ρ − T is at least
    ρ(left) − T(right), since both increase.
    """
    k, m = envelope_parameters(row)
    alpha = arb(row.start)
    b = 2 - alpha

    def h(s):
        return (1 + s / b) ** (alpha / 2 - 1) * (m + s)

    assert m >= 2 * k  # ρ − T does not fall at 0
    left = float((b * (m / 2 - 1) / (alpha / 2)).mid()) + 1e-9  # from here on h rises
    right = 1e9
    assert h(arb(left)) < 2 * k < h(arb(right))
    while right > left * (1 + 1e-9):  # wide enough for the precision of the balls
        middle = math.sqrt(left * right)
        if h(arb(middle)) < 2 * k:
            left = middle
        else:
            right = middle
    assert h(arb(left)) < 2 * k < h(arb(right))
    loss = b / alpha * ((1 + arb(left) / b) ** (alpha / 2) - 1)
    assert loss >= k * (1 + arb(right) / m).log()


@pytest.mark.parametrize("row", BETWEEN, ids=lambda row: str(row.start))
def test_the_bound_is_proved(row):
    check_bound(row)


@pytest.mark.parametrize("row", BETWEEN, ids=lambda row: str(row.start))
@pytest.mark.parametrize("change", [{"eta": 0.98}, {"variance": 0.98}], ids=str)
def test_a_narrower_proposal_is_not_proved(row, change):
    ((field, factor),) = change.items()
    with pytest.raises(AssertionError):
        check_bound(row._replace(**{field: getattr(row, field) * factor}))


def test_the_ends_are_the_cauchy_and_the_normal_distribution():
    # T = log1p(s/2) and s/2: the losses at 0 and 2 themselves
    assert PROPOSALS[0] == (0.0, 1.0, 2.0)
    assert PROPOSALS[-1] == (2.0, 0.0, 1.0)
    assert [row.start for row in PROPOSALS] == sorted(row.start for row in PROPOSALS)


def proposals_mass(row):
    """∫ e^(−T) dx."""
    if row.eta == 0:
        return math.sqrt(2 * math.pi * row.variance)
    k, m = map(float, envelope_parameters(row))
    return math.sqrt(math.pi * m) * math.exp(math.lgamma(k - 0.5) - math.lgamma(k))


def test_acceptance():
    lowest = 1.0
    for row, after in zip(PROPOSALS, [*PROPOSALS[1:], None], strict=True):
        last = math.inf if after is None else math.nextafter(after.start, 0)
        for alpha in (row.start, last):  # Z falls with alpha
            acceptance = math.exp(float(oracle.log_partition(alpha))) / proposals_mass(row)
            assert acceptance <= 1 + 1e-15
            lowest = min(lowest, acceptance)
    assert 0.8076 < lowest < 0.8077  # at inf


class Counting(np.random.Generator):
    """A generator that counts what is drawn from it."""

    drawn = 0

    def random(self, size=None, dtype=np.float64, out=None):
        self.drawn += math.prod(size)
        return super().random(size, dtype, out)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.49, 1.0, 1.9, 2.0, math.inf])
def test_acceptance_is_what_is_counted(alpha):
    rng = Counting(np.random.PCG64(1))
    sample(alpha, shape=200_000, rng=rng)
    row = [row for row in PROPOSALS if row.start <= alpha][-1]
    expected = math.exp(float(oracle.log_partition(alpha))) / proposals_mass(row)
    acceptance = 200_000 * 5 / rng.drawn
    assert acceptance == pytest.approx(expected, abs=5 * math.sqrt(0.25 / 200_000))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_bound_holds_as_computed(dtype):
    """On a dense grid, also next to 0, 2 and each change of proposal."""
    near = [10.0**-k for k in (1, 2, 4, 8, 12, 15)]
    starts = [math.nextafter(row.start, 0) for row in PROPOSALS]
    points = [*np.linspace(0, 2, 201), *near, *[2 - n for n in near], *starts, 2.1, 10, 1e30]
    alpha = np.array(points, dtype=dtype)[:, None]
    x = np.concatenate([[0.0], np.logspace(-8, 8, 800)]).astype(dtype)
    eta, variance = _sampling._parameters(xnp, alpha)
    with np.errstate(over="ignore"):
        bound = _sampling._bound(xnp, x, eta, variance)
    assert bound.dtype == dtype
    excess = robloss.loss(x, alpha) - bound
    # A few roundings of T: what they do to the probability to accept is as small.
    assert np.all(excess >= -8 * np.finfo(dtype).eps * bound)


# -------------------------------------------------------------------------------- the draws


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_million_follow_the_distribution(alpha, dtype):
    values = sample(dtype(alpha), dtype(2.5), shape=MILLION, rng=20)
    assert values.dtype == dtype
    assert kolmogorov_smirnov(values, alpha, 2.5) > SMALLEST_P


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.5, 1.9, 2.0])
def test_a_neighbour_is_told_apart(alpha):
    values = sample(alpha, shape=MILLION, rng=20)
    assert kolmogorov_smirnov(values, alpha + 0.1) < SMALLEST_P / 100
    assert kolmogorov_smirnov(values, alpha, 1.02) < SMALLEST_P / 100


def test_the_tables_of_the_distribution_function():
    for x in (-3.0, -0.2, 0.0, 1.0, 2.7):
        assert cdf(x, 2.0) == pytest.approx(0.5 + 0.5 * math.erf(x / math.sqrt(2)), abs=1e-7)
    for alpha in (0.1, 0.5, 1.0, 1.9, 4.0):  # the density in the middle is 1/Z
        slope = (cdf(1e-2, alpha) - cdf(-1e-2, alpha)) / 2e-2
        partition = math.exp(float(oracle.log_partition(alpha)))
        assert slope == pytest.approx(1 / partition, rel=1e-4)
    assert variance(2.0) == pytest.approx(1, rel=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_array_of_shapes(dtype):
    alpha = np.array([0.0, 0.7, 1.2, 1.7, 2.0, 3.0], dtype=dtype)
    scale = np.array([[1.0], [3.0]], dtype=dtype)
    values = sample(alpha, scale, shape=(50, 2000), rng=5)
    assert values.shape == (50, 2000, 2, 6)
    assert values.dtype == dtype
    for i, c in enumerate(scale[:, 0]):
        for j, a in enumerate(alpha):
            p = kolmogorov_smirnov(values[..., i, j], round(float(a), 6), c)
            assert p > SMALLEST_P, (a, c)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 4.0])
def test_moments(alpha):
    values = sample(alpha, 3.0, shape=MILLION, rng=3)
    for power, expected in ((1, 0.0), (2, 9 * variance(alpha)), (3, 0.0)):
        moment = values**power
        error = moment.std() / math.sqrt(MILLION)
        assert abs(moment.mean() - expected) < 5 * error


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
def test_symmetric_about_zero(alpha):
    values = sample(alpha, shape=MILLION, rng=11)
    assert abs(np.sign(values).mean()) < 5 / math.sqrt(MILLION)
    assert (values != 0).all()
    # positive and negative draws have the same sizes
    low, high = np.sort(-values[values < 0]), np.sort(values[values > 0])
    middle = [0.1, 0.5, 0.9]
    np.testing.assert_allclose(np.quantile(low, middle), np.quantile(high, middle), rtol=0.02)


def dependence(values, alpha, lag):
    """Pairs of draws `lag` apart on a 10 by 10 board: chi-square in units of its deviation."""
    rank = (10 * cdf(values.ravel(), alpha)).astype(int).clip(0, 9)
    board = np.bincount(10 * rank[:-lag] + rank[lag:], minlength=100)
    expected = (rank.size - lag) / 100
    return (np.sum((board - expected) ** 2) / expected - 99) / math.sqrt(2 * 99)


@pytest.mark.parametrize("alpha", [0.4, 1.4, math.inf])
def test_draws_do_not_depend_on_those_before(alpha):
    values = sample(alpha, shape=MILLION, rng=8)
    for lag in (1, 2, 5, 100, _sampling._BLOCK["numpy"]):
        assert abs(dependence(values, alpha, lag)) < 4.5
    assert dependence(np.repeat(values[::2], 2), alpha, 1) > 1000


@pytest.mark.parametrize("alpha", [0.3, 1.4, math.inf])
def test_what_was_drawn_again_is_like_the_rest(alpha, monkeypatch):
    """Elements whose first proposal was rejected follow the same distribution."""
    first = []
    propose = _sampling._propose

    def spy(xp, uniforms, part):
        drawn, accepted = propose(xp, uniforms, part)
        if not first or uniforms.shape[1] == first[0].size:
            first.append(accepted.copy())
        return drawn, accepted

    monkeypatch.setattr(_sampling, "_propose", spy)
    values = sample(alpha, shape=_sampling._BLOCK["numpy"], rng=4)
    again = values[~first[0]]
    assert again.size > 1000
    assert kolmogorov_smirnov(again, alpha) > SMALLEST_P


def test_the_far_tail_of_float32():
    """24 bits of one uniform would end at 2**24; 3 of 5e7 Cauchy draws lie beyond 1.5e7 here."""
    coarse = np.full(4, 2.0**-9, dtype=np.float32)
    fine = np.float32([0.0, 0.5, 1 - 2.0**-12, 1 - 2.0**-24])
    energy = _sampling._exponential(xnp, coarse, fine)
    assert energy.dtype == np.float32
    expected = [8 * math.log(2), 9 * math.log(2), 20 * math.log(2), 32 * math.log(2)]
    np.testing.assert_allclose(energy, expected, rtol=1e-6)
    zero = _sampling._exponential(xnp, np.float32([0.0]), np.float32([0.0]))
    np.testing.assert_allclose(zero, 8 * math.log(2), rtol=1e-6)


def test_exponential_variates():
    rng = np.random.default_rng(2)
    energy = _sampling._exponential(xnp, rng.random(MILLION), rng.random(MILLION))
    assert energy.mean() == pytest.approx(1, abs=5e-3)
    for level in (0.1, 1.0, 5.5, 6.0, 8.0):
        count, expected = np.sum(energy > level), MILLION * math.exp(-level)
        assert abs(count - expected) < 5 * math.sqrt(expected)


# ------------------------------------------------------------------------- seeds and generators


def test_a_seed_gives_the_same_draws():
    first, again, other = (sample(1.0, shape=100, rng=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)
    np.testing.assert_array_equal(sample(1.0, shape=100, rng=np.int64(7)), first)


def test_a_large_seed_is_not_squeezed():
    draws = [sample(1.0, shape=10, rng=seed) for seed in (1, 1 + 2**32, 1 + 2**64, 1 + 2**200)]
    assert len({tuple(values) for values in draws}) == 4


def test_without_a_seed_draws_differ():
    assert not np.any(sample(1.0, shape=100) == sample(1.0, shape=100))


def test_a_generator_is_advanced():
    rng = np.random.default_rng(7)
    first, second = sample(1.0, shape=100, rng=rng), sample(1.0, shape=100, rng=rng)
    np.testing.assert_array_equal(first, sample(1.0, shape=100, rng=7))
    assert not np.any(first == second)


def test_the_scale_multiplies():
    unit = sample(1.0, shape=100, rng=7)
    np.testing.assert_array_equal(sample(1.0, 4.0, shape=100, rng=7), 4 * unit)


@pytest.mark.parametrize(
    "rng",
    [True, 1.0, "1", np.random.RandomState(0), (1, 2)],
    ids=lambda one: type(one).__name__,
)
def test_what_is_no_generator(rng):
    match = "`rng` must be None, a seed or a numpy.random.Generator for numpy arrays, but got"
    with pytest.raises(TypeError, match=match):
        sample(1.0, rng=rng)


def test_a_negative_seed():
    with pytest.raises(ValueError, match="`rng` must be a seed of at least 0, but got -1"):
        sample(1.0, rng=-1)


# ------------------------------------------------------------------------- shapes and arguments


def test_shapes():
    assert type(sample(1.0, rng=0)) is np.float64
    assert type(sample(np.float32(1.0), rng=0)) is np.float32
    assert sample(1, 2, shape=3, rng=0).shape == (3,)
    assert sample(1.0, shape=[2, 3], rng=0).shape == (2, 3)
    assert sample(1.0, shape=(0, 3), rng=0).shape == (0, 3)
    assert sample(np.ones((2, 0)), np.ones(1), shape=4, rng=0).shape == (4, 2, 0)
    assert sample([1.0, 2.0], shape=4, rng=0).shape == (4, 2)
    assert sample(1.0, np.ones((3, 1)), shape=(), rng=0).shape == (3, 1)
    assert np.unique(sample(1.0, np.ones((3, 5)), rng=0)).size == 15


@pytest.mark.parametrize("shape", [1.5, "3", (2, 1.0), None], ids=repr)
def test_a_shape_of_what_is_no_integer(shape):
    with pytest.raises(TypeError, match="`shape` must be an integer or a tuple of them, but got"):
        sample(1.0, shape=shape)


@pytest.mark.parametrize("shape", [-1, (2, -3)], ids=repr)
def test_a_negative_shape(shape):
    with pytest.raises(ValueError, match="`shape` must have no negative side, but got"):
        sample(1.0, shape=shape)


def test_illegal_values():
    with pytest.raises(ValueError, match=r"`alpha` must lie in \[0, inf\], but got -0.5\."):
        sample(-0.5)
    with pytest.raises(ValueError, match=r"`scale` must lie in \(0, inf\), but got 0.0 at index"):
        sample(1.0, np.zeros(2))
    with pytest.raises(ValueError, match="broadcast together, but got `alpha`"):
        sample(np.ones(2), np.ones(3))


def test_nan_gives_nan():
    values = sample(np.array([1.0, math.nan]), np.array([[1.0], [math.nan]]), shape=50, rng=0)
    assert np.isfinite(values[:, 0, 0]).all()
    assert np.isnan(values[:, :, 1]).all()
    assert np.isnan(values[:, 1, :]).all()


def test_numbers_that_leave_the_range_are_no_warning():
    with np.errstate(all="raise"):
        narrow = sample(np.float16(0.0), 1000.0, shape=1000, rng=0)
        wide = sample(0.0, 1e308, shape=100, rng=0)
        small = sample(2.0, 5e-324, shape=100, rng=0)
    assert np.isinf(narrow).any()
    assert np.isinf(wide).any()
    assert (small == 0).any()


def test_other_byte_orders_and_layouts():
    alpha = np.linspace(0, 3, 12).reshape(3, 4)
    expected = sample(alpha, shape=2, rng=1)
    for other in (alpha.astype(">f8"), np.asfortranarray(alpha), np.repeat(alpha, 2, 1)[:, ::2]):
        values = sample(other, shape=2, rng=1)
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, expected)
    assert sample(np.ones(3, dtype=">f4"), rng=1).dtype == np.float32
