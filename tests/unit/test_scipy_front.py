"""robloss.scipy: the rows against ball arithmetic, and SciPy's minimisers against our own."""

import math
import pickle

import numpy as np
import oracle
import pytest
from cases import ulp

import robloss
from robloss import datasets
from robloss.scipy import f_scale, least_squares_loss

optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")

ALPHAS = [
    -math.inf, -1e300, -1e10 / 3, math.nextafter(-1024, 0), -1000.0, -32.5, -2.0, -1.0, -1e-16,
    0.0, 5e-324, 1e-16, 0.3, 1.0, 1.999, math.nextafter(2, 0), 2.0, math.nextafter(2, 3), 2.001,
    3.0, 4.0, 5.7, 1000.0, 1e10 / 3, 1e300, math.inf,
]  # fmt: skip
SMALLEST, LARGEST = 2.0**-1022, float(np.finfo(float).max)


# ------------------------------------------------------------------------------------- the rows


def _formulas(z, alpha):
    """Definitions of ρ, ρ', ρ'' in ball arithmetic; None where no float can hold w."""
    z = oracle.arb(z)
    if alpha == 2:
        return [z, oracle.arb(1), oracle.arb(0)]
    if math.isinf(alpha):
        sign = oracle.arb(math.copysign(1, alpha))
        if z > oracle.EXPONENT_CAP:
            return None
        return [(sign * z).expm1() * sign, (sign * z).exp(), sign * (sign * z).exp()]
    alpha, log = oracle.arb(alpha), z.log1p()
    power = alpha / 2 - 1
    if abs(power * log) > oracle.EXPONENT_CAP:
        return None
    loss = log if alpha == 0 else 2 / alpha * (alpha * log / 2).expm1()
    return [loss, (power * log).exp(), power * ((power - 1) * log).exp()]


def exact_rows(z, alpha):
    if _formulas(z, alpha) is None:
        return None
    return [oracle._refined(lambda row=row: _formulas(z, alpha)[row]) for row in range(3)]


def errors(rows, z, alpha):
    """(row, z, error in ulp) wherever the docstring promises something."""
    half = 1.0 if math.isinf(alpha) else abs(alpha / 2 - 1)
    for place, one in enumerate(z.tolist()):
        exact = exact_rows(one, alpha)
        for row, true in enumerate(exact or []):
            finite = [true * half, true, exact[1]][row] <= LARGEST
            if not (finite and SMALLEST <= abs(true) <= LARGEST):
                continue
            with oracle.ctx.workprec(4 * oracle.BITS):
                distance = abs(oracle.arb(float(rows[row, place])) - true)
                yield row, one, float(distance) / ulp(true, "float64")


def points(alpha):
    """Random z of every size, and many where exponents are large and rounding is magnified."""
    rng = np.random.default_rng(1)
    everywhere = 10 ** rng.uniform(-300, 300, 40)
    ordinary = 10 ** rng.uniform(-8, 8, 60)
    exponent = rng.uniform(0, 700, 60)  # of w
    half = 1.0 if math.isinf(alpha) else abs(alpha / 2 - 1) or 1.0
    steep = exponent if math.isinf(alpha) else np.expm1(np.minimum(exponent / half, 700.0))
    return np.concatenate([[5e-324, 3e-308, 1.7e308], everywhere, ordinary, steep])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_rows_are_exact_to_a_few_ulp(alpha):
    z = points(alpha)
    found = list(errors(least_squares_loss(alpha)(z), z, alpha))
    assert len(found) >= 120
    assert max(error for _, _, error in found) <= 6  # the docstring's figure; 4.1 was measured


def test_textbook_rows_are_not():
    z = points(-1000.0)
    with np.errstate(all="ignore"):
        rows = np.stack([(1 - (1 + z) ** -500) / 500, (1 + z) ** -501, -501 * (1 + z) ** -502])
    assert max(error for _, _, error in errors(rows, z, -1000.0)) > 100
    # the rounding of √(b z) alone, which the front takes back
    rows[1] = robloss.weight(np.sqrt(1002.0) * np.sqrt(z), -1000.0)
    assert max(error for row, _, error in errors(rows, z, -1000.0) if row == 1) > 100


@pytest.mark.parametrize("alpha", ALPHAS)
def test_overflow_and_underflow_keep_signs(alpha):
    z = np.concatenate([points(alpha), 10 ** np.linspace(0, 308, 200)])
    loss, slope, bend = least_squares_loss(alpha)(z)
    assert np.all(loss >= 0)
    assert np.all(slope >= 0)
    assert np.all((bend >= 0) if alpha > 2 else (bend <= 0))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_rows_at_zero(alpha):
    bend = math.copysign(1, alpha) if math.isinf(alpha) else alpha / 2 - 1
    np.testing.assert_array_equal(least_squares_loss(alpha)([0.0])[:, 0], [0.0, 1.0, bend])


@pytest.mark.parametrize(
    ("alpha", "limits"),
    [
        (-math.inf, [1, 0, 0]), (-2.0, [1, 0, 0]), (0.0, [math.inf, 0, 0]),
        (1.5, [math.inf, 0, 0]), (2.0, [math.inf, 1, 0]), (3.0, [math.inf, math.inf, 0]),
        (4.0, [math.inf, math.inf, 1]), (5.0, 3 * [math.inf]), (math.inf, 3 * [math.inf]),
    ],
)  # fmt: skip
def test_rows_at_infinity(alpha, limits):
    np.testing.assert_array_equal(least_squares_loss(alpha)([math.inf])[:, 0], limits)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_rows_keep_nan_to_itself(alpha):
    rows = least_squares_loss(alpha)(np.array([1.0, math.nan, 2.0]))
    assert np.isnan(rows[0]).tolist() == [False, True, False]
    assert rows.shape == (3, 3)
    assert rows.dtype == np.float64


@pytest.mark.parametrize("alpha", [1.0, 2.0, math.inf])
def test_the_callable_survives_pickle(alpha):
    first = least_squares_loss(alpha)
    second = pickle.loads(pickle.dumps(first))
    assert second == first != least_squares_loss(0.5)
    np.testing.assert_array_equal(second(np.arange(3.0)), first(np.arange(3.0)))


def test_z_is_left_alone_and_rows_are_new():
    z = np.array([0.5, 2.0])
    z.flags.writeable = False
    loss = least_squares_loss(0.5)
    first = loss(z)
    first *= 0  # as SciPy writes to them
    assert (loss(z) > 0).any()


@pytest.mark.parametrize("alpha", [0.5, 2.0, -math.inf])
def test_long_arrays_are_done_in_pieces(alpha):
    z = np.random.default_rng(2).exponential(size=40_001)
    loss = least_squares_loss(alpha)
    rows = loss(z)
    for place in (0, 16_383, 16_384, 32_768, 40_000):
        # Vectors and what is left over after them may differ in the last places.
        np.testing.assert_allclose(rows[:, place], loss(z[place : place + 1])[:, 0], rtol=2e-15)
    np.testing.assert_array_equal(loss(z[::2].reshape(-1, 3)).shape, (3, 6667, 3))


def test_empty():
    assert least_squares_loss(0.5)(np.empty(0)).shape == (3, 0)


# ---------------------------------------------------------------------------------- conventions


@pytest.mark.parametrize(
    ("alpha", "factor"),
    [(1.0, 1.0), (0.0, math.sqrt(2)), (-2.0, 2.0), (-math.inf, math.sqrt(2)),
     (math.inf, math.sqrt(2)), (2.0, 1.0), (3, 1.0), (-7.0, 3.0)],
)  # fmt: skip
def test_f_scale(alpha, factor):
    assert f_scale(alpha, 3) == pytest.approx(3 * factor, rel=3e-16)  # two roundings
    assert f_scale(alpha) == f_scale(alpha, 1.0)
    assert type(f_scale(np.float64(alpha), np.float32(1))) is float


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_cost_is_scale_squared_times_the_sum(alpha):
    f, scale = np.array([0.1, -1.0, 2.0, 3.0]), 0.7
    if alpha > 1000:
        f = f / np.sqrt(alpha if alpha < math.inf else 1)
    width = f_scale(alpha, scale)
    cost = 0.5 * width**2 * least_squares_loss(alpha)((f / width) ** 2)[0].sum()
    ours = scale**2 * robloss.loss(f, alpha, scale).sum()
    # z has 3 roundings; exponents here are below 50
    assert cost == pytest.approx(ours, rel=1e-13)


@pytest.mark.parametrize(("name", "alpha"), [("linear", 2.0), ("soft_l1", 1.0), ("cauchy", 0.0)])
def test_the_named_losses_of_scipy_are_members(name, alpha):
    residuals = np.array([0.3, -1.0, 20.0, 0.0])
    results = [
        optimize.least_squares(
            lambda theta: residuals - theta, 1.0, jac=lambda theta: -np.ones((4, 1)),
            loss=loss, f_scale=f_scale(alpha, 0.5), max_nfev=4,
        )
        for loss in (name, least_squares_loss(alpha))
    ]  # fmt: skip
    theirs, ours = results
    assert ours.nfev == theirs.nfev
    # 4 steps, the same but for the rounding of each row; SciPy's soft_l1 cancels near z = 0
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-13)
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-13)


@pytest.mark.parametrize("call", [f_scale, least_squares_loss])
def test_alpha_is_a_number(call):
    with pytest.raises(ValueError, match=r"`alpha` must lie in \[-inf, inf\], but got nan"):
        call(math.nan)
    with pytest.raises(TypeError, match=r"`alpha` must be a number, but got 'cauchy'"):
        call("cauchy")
    with pytest.raises(TypeError, match=r"`alpha` must be a number, but got array"):
        call(np.array([1.0, 2.0]))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf])
def test_scale_is_positive(scale):
    with pytest.raises(ValueError, match=rf"`scale` must lie in \(0, inf\), but got {scale}"):
        f_scale(1.0, scale)


# ----------------------------------------------------------------------------------- minimisers

SHAPES = [(-math.inf, 3.0), (-2.0, 1.5), (0.0, 0.7), (0.5, 1.0), (1.0, 1.0), (1.7, 0.4), (2.0, 1.0)]
EXACT = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "max_nfev": 2000}


class Problem:
    """A data set, our fit of it with a scale in units of its spread, and a start beside it."""

    def __init__(self, name, alpha, scale):
        data = getattr(datasets, f"load_{name}")()
        self.y, self.design = data.y, np.column_stack([np.ones(len(data.y)), data.X])
        self.alpha = alpha
        self.scale = scale * float(np.median(np.abs(data.y - np.median(data.y))))
        fit = robloss.fit_linear(data.X, data.y, alpha=alpha, scale=self.scale, tol=1e-13)
        assert fit.converged
        self.best = np.array([fit.intercept, *fit.coef])
        self.start = self.best * 1.01 + 1e-3
        residuals = self.y - self.design @ self.best
        self.cost = self.scale**2 * robloss.loss(residuals, alpha, self.scale).sum()
        curvature = self.scale**2 * robloss.curvature(residuals, alpha, self.scale)
        self.covariance = np.linalg.inv(self.design.T @ (self.design * curvature[:, None]))

    @property
    def resolution(self):
        """How far from the minimum the cost can be told from it: TRF gets no nearer."""
        return np.sqrt(2 * np.finfo(float).eps * self.cost * np.diag(self.covariance))

    def solve(self, start, **options):
        """SciPy's result."""
        return optimize.least_squares(
            lambda theta: self.design @ theta - self.y, start, jac=lambda theta: self.design,
            loss=least_squares_loss(self.alpha), f_scale=f_scale(self.alpha, self.scale),
            x_scale="jac", **options,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["stackloss", "phones", "stars"])
@pytest.mark.parametrize(("alpha", "scale"), SHAPES)
def test_least_squares_has_our_minimiser(name, alpha, scale):
    problem = Problem(name, alpha, scale)
    found = problem.solve(problem.start, **EXACT)
    # It stopped within 0.9 of these.
    assert np.all(np.abs(found.x - problem.best) <= 3 * problem.resolution)
    np.testing.assert_allclose(found.cost, problem.cost, rtol=1e-13)
    # Where SciPy's own gradient would step from our minimiser.
    step = problem.covariance @ problem.solve(problem.best, max_nfev=1).grad
    assert np.all(np.abs(step) <= 1e-10 * np.abs(problem.best))


@pytest.mark.parametrize(("alpha", "scale"), SHAPES)
def test_curve_fit_has_our_minimiser(alpha, scale):
    problem = Problem("phones", alpha, scale)
    found, _ = optimize.curve_fit(
        lambda year, one, two: one + two * year, problem.design[:, 1], problem.y, problem.start,
        jac=lambda year, one, two: np.column_stack([np.ones_like(year), year]), x_scale="jac",
        method="trf", loss=least_squares_loss(alpha), f_scale=f_scale(alpha, problem.scale),
        **EXACT,
    )  # fmt: skip
    assert np.all(np.abs(found - problem.best) <= 3 * problem.resolution)


def test_another_width_has_another_minimiser():
    """What the tests above would see if f_scale were wrong."""
    problem = Problem("phones", 0.0, 0.7)
    right, problem.scale = problem.scale, problem.scale / math.sqrt(2)
    found = problem.solve(problem.start, **EXACT)
    assert np.any(np.abs(found.x - problem.best) > 1e3 * problem.resolution)
    problem.scale = right
    step = problem.covariance @ problem.solve(found.x, max_nfev=1).grad
    assert np.any(np.abs(step) > 1e-3 * np.abs(problem.best))
