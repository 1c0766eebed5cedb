"""The distribution on NumPy against quadrature of another kind, closed forms and identities."""

import functools
import itertools
import math

import array_api_compat.numpy as xnp
import mpmath
import numpy as np
import oracle
import pytest
from flint import arb, ctx
from mpmath import mp, mpf

import robloss
from robloss._distribution import integrals, legendre
from robloss._distribution.cumulative import cdf, ppf
from robloss._distribution.density import log_partition, nll, pdf
from robloss._distribution.integrals import expectation, inverse_loss
from robloss._distribution.moments import entropy, fisher_information, variance

INF = math.inf
# Both ends, both sides of 2, and as near to it as floats go.
SHAPES = (
    *(0.0, 1e-300, 1e-3, 0.5, 1.0, 1.99, 2 - 1e-6, 2 - 2.0**-52, 2.0),
    *(2 + 2.0**-51, 3.0, 1e10, INF),
)
TRUNCATED_SHAPES = (-INF, -1e6, -2.0, -0.01, *SHAPES[::3], 2.0)

# As the docstrings say: 1e-13 absolute for pdf and cdf; 1e-12 relative for tails and round trips.
ABSOLUTE, RELATIVE = 1e-13, 1e-12


# ---------------------------------------------------------------------------------- the oracle


def rho(x, alpha):
    """The loss of scale 1 by its textbook formula, in 30 digits and those that alpha - 2 costs."""
    s = x * x
    if alpha == 2:
        return s / 2
    if math.isinf(alpha):
        exponent, ratio = s / 2, 1
    else:
        b = abs(mpf(alpha) - 2)
        exponent, ratio = alpha * mpmath.log1p(s / b) / 2, b / alpha if alpha else 0
    if alpha == 0:
        return b * mpmath.log1p(s / b) / 2
    if alpha < 0 and math.isinf(alpha):
        return -mpmath.expm1(-min(exponent, 1000))
    # Past e^60 the density is nothing, and mpmath slow.
    return ratio * mpmath.expm1(min(exponent, 60))


@functools.cache
def integral(alpha, lower, upper=INF, power=0):
    """The integral of x**power e^-rho, by Gauss-Legendre in the logarithm of x - lower."""
    with mp.workdps(30):
        low = mpf(lower)
        start = rho(low, alpha)  # mpmath's quadrature aims at an absolute error
        last = mpmath.log(mpf(upper) - low) if upper < INF else mpmath.log(low + 1) + 95

        def integrand(v):
            x = low + mpmath.exp(v)
            return mpmath.exp(v + start - rho(x, alpha)) * x**power

        # Everything at once would miss a steep fall; e^-50 is where the digits asked for end.
        edges = [last - step for step in mpmath.arange(0, last + 50, 1)] + [mpf(-50)]
        total, largest = mpf(0), mpf(0)
        for left, right in itertools.pairwise(sorted(set(edges))):
            if integrand(left) + integrand(right) < 1e-32 * largest and total:
                continue
            part = mpmath.quad(integrand, [left, right], method="gauss-legendre", maxdegree=6)
            total, largest = total + part, max(largest, part)
        return total * mpmath.exp(-start)


def tail(alpha, x, upper=INF):
    with mp.workdps(30):
        return integral(alpha, x, upper) / (2 * integral(alpha, 0.0, upper))


def relative(computed, exact):
    return float(abs(mpf(float(computed)) / exact - 1))


def test_the_oracle_finds_closed_forms():
    assert relative(2 * mpmath.atan(mpf(1)), 4 * integral(0.0, 0.0) / mpmath.sqrt(2) / 4) < 1e-15
    assert relative(mpmath.sqrt(2 * mp.pi), 2 * integral(2.0, 0.0)) < 1e-15
    assert relative(mpmath.ncdf(-30), tail(2.0, 30.0)) < 1e-15
    assert relative(2 * mp.e * mpmath.besselk(1, 1), 2 * integral(1.0, 0.0)) < 1e-15


# ---------------------------------------------------------------------------- density and tails


def test_the_quadrature_rule():
    with ctx.workprec(120):
        for k, (node, share) in enumerate(zip(legendre.PLACES, legendre.SHARES, strict=True)):
            root, weight = arb.legendre_p_root(64, 63 - k, weight=True)
            assert abs(float((root + 1) / 2 - node)) <= 1.2e-16
            assert abs(float(weight / 2 / share - 1)) <= 2e-16


POINTS = (1e-3, 0.7, 3.0, 30.0, 1e5)


@pytest.mark.parametrize("alpha", SHAPES)
def test_tails_and_density(alpha, tables):
    worst = [0.0, 0.0, 0.0]
    for x in POINTS:
        if oracle.loss(x, alpha) > 660:
            continue
        exact = tail(alpha, x)
        with mp.workdps(30):
            density = mpmath.exp(-rho(mpf(x), alpha)) / (2 * integral(alpha, 0.0))
            errors = (
                abs(float(mpf(float(pdf(x, alpha))) - density)),
                relative(cdf(-x, alpha), exact),
                abs(float(mpf(float(cdf(x, alpha))) - (1 - exact))),
            )
        worst = [max(pair) for pair in zip(worst, errors, strict=True)]
    tables.append("alpha {:g}: pdf {:.0e}, tail {:.0e} relative, cdf {:.0e}".format(alpha, *worst))
    assert worst[0] <= ABSOLUTE
    assert worst[1] <= RELATIVE
    assert worst[2] <= ABSOLUTE


def test_a_wrong_weight_is_seen(monkeypatch):
    spoilt = list(legendre.SHARES)
    spoilt[20] *= 1 + 1e-9
    monkeypatch.setattr(integrals, "SHARES", tuple(spoilt))
    assert relative(cdf(-1.0, 1.0), tail(1.0, 1.0)) > RELATIVE


def test_named_laws_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    x = np.concatenate([-np.geomspace(1e-3, 36, 60), [0.0], np.geomspace(1e-3, 36, 60)])
    for alpha, law in [(0.0, stats.cauchy(scale=2 * math.sqrt(2))), (2.0, stats.norm(scale=2))]:
        np.testing.assert_allclose(pdf(x, alpha, 2.0), law.pdf(x), rtol=1e-12)
        np.testing.assert_allclose(cdf(x, alpha, 2.0), law.cdf(x), rtol=1e-12)
        q = np.concatenate([np.geomspace(1e-290, 0.4, 50), np.linspace(0.51, 0.99, 20)])
        np.testing.assert_allclose(ppf(q, alpha, 2.0), law.ppf(q), rtol=1e-12)


@pytest.mark.parametrize("alpha", SHAPES)
def test_quantiles_return_to_their_probabilities(alpha):
    q = np.concatenate([np.geomspace(1e-290, 0.1, 80), np.linspace(0.11, 0.9, 41), [1 - 1e-15]])
    if alpha == 1e-3:
        q = q[q > 1e-150]
    x = ppf(q, alpha, 3.0)
    back = cdf(x, alpha, 3.0)
    assert np.isfinite(x).all()
    assert (np.diff(x) > 0).all()
    # One rounding of x alone changes the tail by x psi(x) eps, 1e-12 where alpha is large.
    rounding = np.abs(x * robloss.influence(x, alpha, 3.0)) * 2.0**-53
    assert np.max(np.abs(back / q - 1) - rounding) <= RELATIVE
    # It can fail: a quantile that is off by 1e-11 is seen.
    assert np.max(np.abs(cdf(x * (1 + 1e-11), alpha, 3.0) / q - 1)) > RELATIVE


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_quantiles_next_to_the_middle(dtype):
    # log Z of the table and the search's own integral differ by rounding, which is as large as
    # what is asked for here: it must not send the search out of its bracket, to infinity.
    alpha = np.random.default_rng(1).uniform(0, 4, 200).astype(dtype)[:, None]
    eps = np.finfo(dtype).eps
    q = (0.5 + eps * np.array([-8.0, -1.0, -0.5, -0.25, 1.0, 8.0])).astype(dtype)
    back = cdf(ppf(q, alpha), alpha)
    np.testing.assert_allclose(back - q, 0 * back, atol=8 * eps)


def test_ends_middle_and_types():
    np.testing.assert_array_equal(ppf([0.0, 0.5, 1.0], 1.0, 2.0), [-INF, 0.0, INF])
    np.testing.assert_array_equal(ppf([0.0, 0.5, 1.0], -1.0, 2.0, truncation=3.0), [-6, 0, 6])
    np.testing.assert_array_equal(cdf([-INF, 0.0, INF], [0.0, 1.0, INF]), [0, 0.5, 1])
    np.testing.assert_array_equal(
        cdf([-7.0, -6.0, 6.0, 7.0], -1.0, 2.0, truncation=3.0), [0, 0, 1, 1]
    )
    np.testing.assert_array_equal(pdf([-7.0, 7.0, INF], -1.0, 2.0, truncation=3.0), 0)
    np.testing.assert_array_equal(nll([-7.0, 7.0, INF], -1.0, 2.0, truncation=3.0), INF)
    for function in (pdf, cdf, ppf):
        assert type(function(0.25, 1.0, 2)) is np.float64
        assert type(function(np.float32(0.25), 1.0)) is np.float32
        assert np.isnan(function(math.nan, 1.0))
        assert np.isnan(function(0.25, math.nan))
        assert np.isnan(function(0.25, 1.0, truncation=math.nan))
        assert function(np.full((3, 1), 0.2), np.ones(4), truncation=[2.0]).shape == (3, 4)


@pytest.mark.parametrize("alpha", SHAPES)
def test_the_density_integrates_to_1(alpha):
    y = np.arange(-90.0, 90.0, 0.01)
    total = np.sum(pdf(np.sinh(y), alpha) * np.cosh(y)) * 0.01
    assert abs(total - 1) < 1e-12
    x = np.array([-5.0, -1.0, 0.5, 2.0])
    slope = (cdf(x + 1e-4, alpha) - cdf(x - 1e-4, alpha)) / 2e-4
    np.testing.assert_allclose(slope, pdf(x, alpha), rtol=1e-6, atol=1e-12)


def test_the_inverse_of_the_loss():
    value = np.geomspace(1e-12, 100, 30)
    for alpha in (-INF, -1e20, -2.0, -1e-40, *SHAPES):
        reachable = value[value < (0.99 * (1 - 2 / alpha) if alpha < -1e-30 else INF)]
        x = inverse_loss(xnp, reachable, np.full(reachable.shape, alpha))
        inside = x < 1e300
        np.testing.assert_allclose(robloss.loss(x, alpha)[inside], reachable[inside], rtol=1e-11)


# ------------------------------------------------------------------------------- the truncation


def test_truncated_partition_of_the_theory():
    alpha = [2.0, 1.0, 0.0, -2.0, -10.0, -INF]
    expected = [2.50663, 3.27207, 4.04552, 5.73042, 7.72409, 8.71773]
    np.testing.assert_allclose(np.exp(log_partition(alpha, truncation=10.0)), expected, rtol=1e-6)


LARGEST = np.finfo(float).max


@pytest.mark.parametrize(
    ("alpha", "limit"),
    [
        *itertools.product(TRUNCATED_SHAPES, [1e-20, 1e-3, 1.0, 10.0, 1e5, 1e15]),
        *itertools.product([-0.1], [1e60, LARGEST]),
    ],
)
def test_truncated_partition(alpha, limit):
    with mp.workdps(30):
        # Below 1e-3 by the series 2 (x - x**3/6), which holds for every alpha.
        exact = mpmath.log(2 * integral(alpha, 0.0, limit) if limit >= 1e-3 else 2 * mpf(limit))
    # The bound of docs/numerics.md; where log Z is in the hundreds two of its own roundings.
    bound = 1e-14 if 1e-20 <= limit <= 1e15 else 2 * math.ulp(math.log(limit))
    value = float(log_partition(alpha, truncation=limit))
    assert abs(float(mpf(value) - exact)) <= bound
    assert abs(float(mpf(value) + 1e-12 - exact)) > bound  # it can fail


def test_truncated_partition_of_small_ranges():
    for limit in (1e-300, 1e-30, 1e-18):
        value = log_partition(np.array(TRUNCATED_SHAPES), truncation=limit)
        exact = mpmath.log(2 * mpf(limit))
        assert np.max(np.abs(value - float(exact))) <= 4 * math.ulp(math.log(limit))


@pytest.mark.parametrize(("largest", "bound"), [(1e40, ABSOLUTE), (1e300, 1e-8)])
def test_quantiles_beside_a_plateau(largest, bound):
    rng = np.random.default_rng(5)
    alpha = -(10.0 ** rng.uniform(-3, 2, 10_000))
    limit = largest ** rng.uniform(0, 1, alpha.size)
    q = 0.5 - 10.0 ** rng.uniform(-15, -0.4, alpha.size)
    back = cdf(ppf(q, alpha, truncation=limit), alpha, truncation=limit)
    np.testing.assert_allclose(back, q, rtol=0, atol=bound)


def test_quantiles_within_enormous_truncations():
    """The plateau of alpha = -1 fills all of it: the law is uniform there."""
    for dtype, limits in [(np.float64, (1e303, 1e306, LARGEST)), (np.float32, (1e35, 3.4e38))]:
        for limit in limits:
            q = np.array([1e-3, 0.25, 0.5, 0.75, 1 - 1e-3], dtype)
            end = dtype(limit)
            x = ppf(q, dtype(-1.0), truncation=end) / end
            bound = math.log(limit) * np.finfo(dtype).eps  # roundings of log Z
            np.testing.assert_allclose(x, 2 * q - 1, rtol=0, atol=bound)
    for alpha in (-INF, -1.0, -0.1, -1e-3, 0.0, 0.5, 2.0):
        for limit in (1e-3, 2.17, 1e10, LARGEST):
            q = np.concatenate([np.geomspace(1e-300, 0.4, 40), 1 - np.geomspace(1e-16, 0.4, 40)])
            assert (np.abs(ppf(q, alpha, truncation=limit)) <= limit).all()


def test_no_law_below_0_without_an_end():
    for q in (0.0, 0.1, 0.5, 1.0):
        assert np.isnan(ppf(q, -1.0, truncation=INF))
    for x in (-INF, -3.0, 0.0, 3.0, INF):
        assert np.isnan(cdf(x, -1.0, truncation=INF))
        assert pdf(x, -1.0, truncation=INF) == 0
        assert nll(x, -1.0, truncation=INF) == INF


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cauchy_quantiles_to_the_end_of_the_range(dtype):
    """-√2/(π q), as large as numbers are."""
    information = np.finfo(dtype)
    q = np.geomspace(4 * information.smallest_normal, 1e-20, 60).astype(dtype)
    exact = -math.sqrt(2) / (math.pi * q.astype(float))
    bound = 1e-12 if dtype is np.float64 else 2e-5
    np.testing.assert_allclose(ppf(q, dtype(0.0)), exact, rtol=bound)
    np.testing.assert_allclose(cdf(exact.astype(dtype), dtype(0.0)), q, rtol=bound)


def test_the_last_digit_before_the_edge():
    """A quantile next to the truncation is right, although one rounding of it moves its `cdf`."""
    q, limit = 4.4e-10, 2.17
    x = float(ppf(q, 2.0, truncation=limit))
    with mp.workdps(30):
        mass = mpmath.erf(limit / mpmath.sqrt(2))
        exact = mpmath.findroot(
            lambda z: (mpmath.erf(z / mpmath.sqrt(2)) / mass + 1) / 2 - mpf(q), -2.17
        )
        assert abs(mpf(x) - exact) <= 2 * math.ulp(x)


@pytest.mark.parametrize("alpha", TRUNCATED_SHAPES)
def test_truncated_law(alpha):
    limit = 10.0
    for x in (0.3, 3.0, 10 - 1e-9):
        if oracle.loss(x, alpha) > 600:
            continue
        exact = tail(alpha, x, limit)
        # 10 - x is exact to 1e-15/1e-9.
        assert relative(cdf(-2 * x, alpha, 2.0, truncation=limit), exact) <= RELATIVE
    q = np.concatenate([np.geomspace(1e-12, 0.1, 20), np.linspace(0.1, 0.999, 31)])
    x = ppf(q, alpha, 2.0, truncation=limit)
    assert (np.abs(x) < 20).all()
    np.testing.assert_allclose(cdf(x, alpha, 2.0, truncation=limit), q, atol=RELATIVE, rtol=0)
    inside = np.linspace(-19, 19, 5)
    expected = robloss.loss(inside, alpha, 2.0) + math.log(2)
    expected += log_partition(alpha, truncation=limit)
    np.testing.assert_allclose(nll(inside, alpha, 2.0, truncation=limit), expected, rtol=1e-15)
    np.testing.assert_allclose(
        pdf(inside, alpha, 2.0, truncation=limit), np.exp(-expected), rtol=1e-13
    )


@pytest.mark.parametrize("alpha", [-0.3, -0.1, -0.01, -1e-4, 0.0, 0.1, 2.0])
@pytest.mark.parametrize("limit", [1e4, 1e10, 1e40])
def test_quantiles_of_laws_with_two_humps(alpha, limit):
    q = np.concatenate([np.geomspace(1e-60, 0.1, 100), np.linspace(0.1, 0.9, 33)])
    back = cdf(ppf(q, alpha, truncation=limit), alpha, truncation=limit)
    np.testing.assert_allclose(back, q, atol=RELATIVE, rtol=0)


def test_a_wide_truncation_is_none():
    alpha = np.array([shape for shape in SHAPES if shape > 0.04])
    expected = log_partition(alpha)
    np.testing.assert_allclose(log_partition(alpha, truncation=1e120), expected, atol=1e-14)
    np.testing.assert_array_equal(log_partition(alpha, truncation=INF), expected)
    assert log_partition(-1.0, truncation=INF) == INF
    # Cauchy: what lies beyond is known.
    for limit in (1e2, 1e8, 1e30):
        expected = math.log(2 * math.sqrt(2) * math.atan(limit / math.sqrt(2)))
        assert abs(log_partition(0.0, truncation=limit) - expected) < 1e-14
    np.testing.assert_allclose(
        cdf(-3.0, alpha, truncation=1e120), cdf(-3.0, alpha), rtol=1e-13, atol=1e-300
    )


def test_extreme_truncations():
    """The plateau of alpha < 0 times the range, whatever its size."""
    limits = np.array([1e20, 1e100, 1e150])
    plateau = math.log(2) - (2 + 1e-2) / 1e-2
    value = log_partition(-50.0, truncation=limits)
    np.testing.assert_allclose(value, math.log(2) - 52 / 50 + np.log(limits), rtol=1e-11)
    value = log_partition(-0.01, truncation=1e300)
    # (1 + s/b)^(alpha/2) is still e^-6.9 of 1 there.
    slow = 201 * math.exp(-0.01 * (300 * math.log(10) - 0.5 * math.log(2.01)))
    assert abs(value - (plateau + slow + 300 * math.log(10))) < slow
    with pytest.raises(ValueError, match=r"`truncation` must lie in \(0, inf\], but got 0.0"):
        log_partition(1.0, truncation=0.0)
    with pytest.raises(ValueError, match=r"`truncation` must lie in \(0, inf\], but got -1.0"):
        nll(1.0, 1.0, truncation=[1.0, -1.0])


# ------------------------------------------------------------------- moments and the information

# By another program, with the trapezoidal rule in 36 digits: alpha, entropy, variance, I_cc, I_aa,
# I_ac.
TABLE = """
0 2.8775978372492634 inf .5 8.92869929208 -.81814718056
.1 2.5883174655600929 84.4218062844 .596485046113 2.5685857476 -.675366350515
.5 2.1484295443780025 5.59126400093 .904593439082 .525401191961 -.519651046219
1 1.8849791679429653 2.69948393559 1.24489436049 .282732874391 -.508432968202
1.5 1.6837349467547180 1.7179982013 1.59013505089 .29118952349 -.626790624266
1.9 1.5002524930796554 1.17714413263 1.90626763607 .739191364809 -1.15206960982
2 1.4189385332046727 1 2 inf -inf
2.1 1.3444221001392206 .861874059018 2.09252579174 .540724448389 -1.03258622484
3 1.1827430900011835 .6296442534 2.58555780736 .0169152830543 -.192415962358
4 1.1376718717999917 .579204772638 2.84159045472 .00289040203923 -.0821007031041
10 1.0863807788590316 .528368026356 3.26359806237 3.24304849768e-5 -.00916985850478
100 1.0656000297439338 .509618059119 3.49824230007 2.18380665924e-9 -7.74748837895e-5
inf 1.0635965736447109 .507863847277 3.52359154183 0 0
"""
ROWS = [[float(value) for value in line.split()] for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]:g}")
def test_moments_of_the_table(row):
    alpha, entropy_value, variance_value, i_cc, i_aa, i_ac = row
    assert abs(entropy(alpha, 3.0) - math.log(3) - entropy_value) <= ABSOLUTE
    np.testing.assert_allclose(variance(alpha, 3.0), 9 * variance_value, rtol=1e-11)
    expected = [[i_aa, i_ac / 3], [i_ac / 3, i_cc / 9]]
    np.testing.assert_allclose(fisher_information(alpha, 3.0), expected, rtol=1e-11)


@pytest.mark.parametrize("alpha", [4e-4, 1e-3, 0.01, 0.1, 0.499, 0.5, 0.9, 1.7, 2.0, 2.2, 7.0, INF])
def test_variance(alpha):
    if alpha >= 0.1:
        with mp.workdps(30):
            exact = integral(alpha, 0.0, INF, 2) / integral(alpha, 0.0)
    else:
        exact = _heavy_variance(alpha)
    assert relative(variance(alpha), exact) <= RELATIVE


def _heavy_variance(alpha):
    """In v = log x: the integrand is largest at v = log(3/b)/alpha, some 1/sqrt(3 alpha) wide."""
    with mp.workdps(30):
        a = mpf(alpha)
        peak, spread = mpmath.log(3 / (2 - a)) / a, 1 / mpmath.sqrt(3 * a)
        edges = [mpf(-30), *mpmath.arange(-20, 40, 2)]
        edges = [edges[0]] + [peak + one * spread for one in edges[1:] if peak + one * spread > -30]

        def integrand(v):
            return mpmath.exp(3 * v - rho(mpmath.exp(v), alpha))

        return mpmath.quad(integrand, edges, method="gauss-legendre") / integral(alpha, 0.0)


def test_variance_at_the_ends():
    assert variance(0.0) == INF
    assert variance(1e-5) == INF
    assert variance(5e-324) == INF
    bessel = mpmath.besselk(2, 1) / mpmath.besselk(1, 1)
    assert relative(variance(1.0), bessel) <= 1e-14


@pytest.mark.parametrize("alpha", SHAPES)
def test_identities_of_expectations(alpha):
    shape = np.asarray(alpha)
    pull, square, bend = expectation(
        xnp,
        shape,
        lambda x, a: x * robloss.influence(x, a),
        lambda x, a: robloss.influence(x, a) ** 2,
        robloss.curvature,
    )
    assert abs(pull - 1) < 1e-13
    assert abs(square / bend - 1) < 1e-12
    if alpha == 2:
        assert fisher_information(2.0)[0, 0] == INF
        return
    (slope,) = expectation(xnp, shape, robloss.grad_alpha)
    exact = -float(oracle.log_partition_derivative(alpha))
    assert abs(slope - exact) <= 1e-12 * abs(exact)


def test_entropy_is_the_mean_of_nll():
    alpha = np.array([0.3, 1.0, 2.0, 5.0])
    y = np.arange(-60.0, 60.0, 0.01)[:, None]
    x = np.sinh(y)
    value = nll(x, alpha, 0.7)
    mean = np.sum(np.exp(-value) * value * np.cosh(y), axis=0) * 0.01
    np.testing.assert_allclose(entropy(alpha, 0.7), mean, rtol=1e-12)


def test_the_information_left_after_scale_is_continuous_at_2():
    for b in (1e-9, 1e-12):
        for alpha in (2 - b, 2 + b):
            matrix = fisher_information(alpha)
            left = matrix[0, 0] - matrix[0, 1] ** 2 / matrix[1, 1]
            assert abs(left - 0.0502754126021273) < 1e-8


def test_shapes_of_the_information():
    matrix = fisher_information(np.full((3, 1), 1.0), np.array([1.0, 2.0]))
    assert matrix.shape == (3, 2, 2, 2)
    np.testing.assert_array_equal(matrix[..., 0, 1], matrix[..., 1, 0])
    assert (np.linalg.eigvalsh(matrix) > 0).all()
    assert fisher_information(np.float32(1.0)).dtype == np.float32
    assert np.isnan(fisher_information(math.nan)).all()


def test_probabilities_outside_0_to_1():
    with pytest.raises(ValueError, match=r"`q` must lie in \[0, 1\], but got 1.5 at index \(1,\)"):
        ppf([0.5, 1.5], 1.0)
    with pytest.raises(ValueError, match=r"`alpha` must lie in \[0, inf\], but got -1.0"):
        cdf(0.5, -1.0)
