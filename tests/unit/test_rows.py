"""The sums over rows against the same sums in extended precision, in every layout and split."""

import array_api_compat.numpy as xp
import numpy as np
import pytest

import robloss
from robloss._fit import host
from robloss._fit.arrays import ArrayData
from robloss._fit.linear_data import RowWeights, linear_data
from robloss._fit.sums import Wanted

ALL = Wanted(hessian=True, gram=True, shape=True, rows=True)
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "float32": lambda X: X.astype(np.float32),
    "read-only": lambda X: _read_only(X),
}


def _read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def problem(n, p, seed=0):
    rng = np.random.default_rng(seed)
    # Values that float32 holds, so that every layout is of the same numbers.
    X = rng.normal(size=(n, p)).astype(np.float32).astype(np.float64)
    y = (3 * rng.standard_t(2, n)).astype(np.float32).astype(np.float64)
    return X, y, rng.normal(size=p + 1) / (1 + p)


def density(z, alpha):
    """ρ, w and ψ' as plain expressions in extended precision."""
    s = z * z
    if alpha == 2:
        return s / 2, np.ones_like(s), np.ones_like(s)
    if alpha == -np.inf:
        return -np.expm1(-s / 2), np.exp(-s / 2), np.exp(-s / 2) * (1 - s)
    b = np.longdouble(abs(alpha - 2))
    log_u = np.log1p(s / b)
    loss = b / 2 * log_u if alpha == 0 else b / alpha * np.expm1(alpha / 2 * log_u)
    weight = np.exp((np.longdouble(alpha) / 2 - 1) * log_u)
    return loss, weight, weight * (1 + (alpha - 2) * (s / b) / (1 + s / b))


def reference(X, y, theta, alpha, scale, times=1.0):
    """The sums by name, in extended precision, and Σ of the sizes of what was added."""
    design = np.column_stack([np.ones(len(y)), X]).astype(np.longdouble)
    z = (y.astype(np.longdouble) - design @ theta.astype(np.longdouble)) / scale
    loss, weight, curvature = (times * part for part in density(z, alpha))
    psi = weight * z
    bend = psi + z * curvature

    def scalar(terms):
        return np.sum(terms), np.sum(np.abs(terms))

    def vector(terms):
        return design.T @ terms, np.abs(design).T @ np.abs(terms)

    def square(terms):
        size = np.abs(design)
        return design.T @ (terms[:, None] * design), size.T @ (np.abs(terms)[:, None] * size)

    return {
        "loss": scalar(loss),
        "pull": scalar(psi * z),
        "stretch": scalar(bend * z),
        "weight": scalar(weight),
        "slope": vector(psi),
        "cross": vector(bend),
        "squares": ((design**2).T @ weight, (design**2).T @ weight),
        "hessian": square(curvature),
        "gram": square(weight),
    }, (z, psi, design)


def check(sums, X, y, theta, alpha, scale, digits=1e-13, times=1.0):
    expected, _ = reference(X, y, theta, alpha, scale, times)
    for name, (value, size) in expected.items():
        error = np.abs(getattr(sums, name) - value)
        assert np.all(error <= digits * size), name
    of_y = np.sum(times * density((y - theta[0] - X @ theta[1:]) / scale, alpha)[1] * y**2)
    assert sums.size == pytest.approx(float(np.sqrt(of_y / expected["weight"][0])), rel=1e-10)


@pytest.mark.parametrize("p", [0, 1, 2, 3, 4, 7, 10, 11, 20, 33, 60])
@pytest.mark.parametrize("n", [1, 2, 31, 97, 1000])
def test_sizes(n, p):
    X, y, theta = problem(n, p)
    data = host.HostData(xp, X, y, True)
    check(data.sums(theta, 0.7, 1.3, ALL), X, y, theta, 0.7, 1.3)


@pytest.mark.parametrize("n", [8191, 8192, 8193, 30_000])
def test_chunks(n):
    X, y, theta = problem(n, 3)
    data = host.HostData(xp, X, y, True)
    check(data.sums(theta, 1.0, 0.8, ALL), X, y, theta, 1.0, 0.8)


@pytest.mark.parametrize("alpha", [-np.inf, -30.0, -2.0, 0.0, 1e-9, 0.7, 1.0, 1.999, 2.0, 4.0, 9.0])
def test_shapes(alpha):
    X, y, theta = problem(500, 4)
    data = host.HostData(xp, X, y, True)
    check(data.sums(theta, alpha, 9.0, Wanted(gram=True)), X, y, theta, alpha, 9.0)


@pytest.mark.parametrize("alpha", [-np.inf, -30.0, -2.0, 0.0, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("extreme", [1e140, 1e-140])
def test_residuals_that_vectors_do_not_serve(alpha, extreme):
    """A few rows of extreme |z|: they are computed again, one by one."""
    X, y, _ = problem(500, 4)
    y[[0, 7, 499]] = extreme, -extreme, extreme
    data = host.HostData(xp, X, y, True)
    theta = np.zeros(5)
    sums = data.sums(theta, alpha, 1.0, Wanted(gram=True, rows=True))
    check(sums, X, y, theta, alpha, 1.0)
    expected = density(y.astype(np.longdouble), alpha)[1].astype(np.float64)
    np.testing.assert_allclose(sums.rows[1], expected, rtol=1e-12)


@pytest.mark.parametrize("alpha", [-np.inf, -30.0, -2.0, -0.5, 0.0, 0.7, 1.0, 2.0, 4.0])
def test_the_member_of_the_family_is_that_of_the_elementwise_functions(alpha):
    X, y, _ = problem(500, 1)
    sums = host.HostData(xp, X, y, True).sums(np.zeros(2), alpha, 1.0, Wanted(rows=True))
    np.testing.assert_array_equal(sums.rows[1], robloss.weight(y, alpha))


def test_the_check_can_fail():
    X, y, theta = problem(100, 3)
    data = host.HostData(xp, X, y, True)
    with pytest.raises(AssertionError):
        check(data.sums(theta, 0.7 + 1e-10, 1.3, ALL), X, y, theta, 0.7, 1.3)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(layout):
    X, y, theta = problem(700, 5)
    for response in (y, layout(np.column_stack([y, y]))[:, 0]):
        data = host.HostData(xp, layout(X), response, True)
        sums = data.sums(theta, 0.7, 1.3, ALL)
        check(sums, X, y, theta, 0.7, 1.3)
        residuals, weights = sums.rows
        assert residuals.dtype == weights.dtype == np.result_type(data.X, data.y)
        tolerance = 4 * np.finfo(residuals.dtype).eps
        exact = y - theta[0] - X @ theta[1:]
        np.testing.assert_allclose(residuals, exact, rtol=tolerance, atol=1e-14)
        expected = robloss.weight(exact / 1.3, 0.7)
        np.testing.assert_allclose(weights, expected, rtol=max(tolerance, 1e-13))


def test_centred_and_dropped_columns():
    X, y, theta = problem(400, 4)
    mean = np.array([0.5, -3.0, 100.0, 0.0])
    data = host.HostData(xp, X + mean, y, True).centered(mean)
    check(data.sums(theta, 0.7, 1.3, ALL), X, y, theta, 0.7, 1.3, digits=1e-11)
    dropped = np.array([False, True, False, False])
    without = np.where(dropped, 0.0, X)
    check(data.without(dropped).sums(theta, 0.7, 1.3, ALL), without, y, theta, 0.7, 1.3, 1e-11)


@pytest.mark.parametrize("alpha", [0.0, 1e-12, 0.3, 1.0, 1.5, 1.99999, 2.00001, 3.0, 7.0])
def test_derivatives_in_alpha(alpha):
    """First ones against the exact kernel, second ones against differences, on both paths."""
    X, y, theta = problem(2000, 3)
    scale = 4.0
    z = (y - theta[0] - X @ theta[1:]) / scale
    grad = robloss.grad_alpha(z, alpha)
    wide = z.astype(np.longdouble)
    step = np.longdouble(2e-4) * min(1.0, abs(alpha - 2))
    at = np.longdouble(alpha)
    high, middle, low = (density(wide, at + k * step)[0] for k in (1, 0, -1))
    bow = float(np.sum(high - 2 * middle + low) / step**2)
    psi_high, psi_low = (density(wide, at + k * step)[1] * wide for k in (1, -1))
    psi_alpha = ((psi_high - psi_low) / (2 * step)).astype(np.float64)
    design = np.column_stack([np.ones(len(y)), X])
    for kind in (host.HostData, ArrayData):
        shape = kind(xp, X, y, True).sums(theta, alpha, scale, ALL).shape
        assert shape.slope == pytest.approx(float(np.sum(grad)), rel=1e-12)
        assert shape.bow == pytest.approx(bow, rel=1e-5)
        assert shape.pull == pytest.approx(float(psi_alpha @ z), rel=1e-5)
        np.testing.assert_allclose(
            shape.tilt, design.T @ psi_alpha, atol=1e-5 * float(np.sum(np.abs(psi_alpha)))
        )


@pytest.mark.parametrize("kind", [host.HostData, ArrayData])
@pytest.mark.parametrize("n", [5, 96, 97, 9000])
def test_weights_of_rows(n, kind):
    X, y, theta = problem(n, 5)
    times = np.random.default_rng(1).integers(0, 4, n) / 3
    weights = RowWeights(times, float(times.sum()))
    sums = kind(xp, X, y, True, weights).sums(theta, 0.7, 1.3, ALL)
    check(sums, X, y, theta, 0.7, 1.3, times=times)
    residuals, robustness = sums.rows
    np.testing.assert_allclose(residuals, y - theta[0] - X @ theta[1:], atol=1e-14)
    np.testing.assert_allclose(robustness, robloss.weight(residuals / 1.3, 0.7), rtol=1e-13)
    with pytest.raises(AssertionError):
        check(sums, X, y, theta, 0.7, 1.3)


@pytest.mark.parametrize("kind", [host.HostData, ArrayData])
@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.5])
def test_weights_of_rows_are_repetitions(alpha, kind):
    """The derivatives in α too, what least squares asks for, and the spread."""
    X, y, theta = problem(1000, 3)
    times = np.random.default_rng(2).integers(0, 4, 1000)
    weights = RowWeights(times.astype(float), float(times.sum()))
    weighted = kind(xp, X, y, True, weights)
    repeated = kind(xp, np.repeat(X, times, axis=0), np.repeat(y, times), True)
    given, expected = (d.sums(theta, alpha, 1.3, ALL).shape for d in (weighted, repeated))
    size = float(np.sum(times * np.abs(y)))  # of what is added up
    for name in ("slope", "bow", "pull", "tilt"):
        error = getattr(given, name) - getattr(expected, name)
        assert np.all(np.abs(error) <= 1e-13 * size), name
    given, expected = weighted.moments(), repeated.moments()
    for name in ("largest_y", "mean_square_y", "gram", "slope"):
        np.testing.assert_allclose(
            getattr(given, name), getattr(expected, name), rtol=1e-12, atol=1e-13 * size
        )
    assert weighted.spread(theta) == pytest.approx(repeated.spread(theta), rel=1e-13)
    assert weighted.observations == repeated.observations == times.sum()


def test_same_bits_however_the_chunks_are_shared_out(monkeypatch):
    X, y, theta = problem(200_001, 3)
    data = host.HostData(xp, X, y, True)

    def bits():
        sums = data.sums(theta, 0.7, 1.3, ALL)
        parts = [sums.loss, sums.pull, sums.stretch, sums.weight, sums.size, sums.shape.slope]
        parts += [sums.shape.bow, *sums.slope, *sums.cross, *sums.squares, *sums.shape.tilt]
        return np.array([*parts, *sums.hessian.ravel(), *sums.gram.ravel()]).tobytes()

    found = set()
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("ROBLOSS_NUM_THREADS", threads)
        for call in (1, 20_000, 10**9):
            monkeypatch.setattr(host, "_CALL", call)
            found.add(bits())
    monkeypatch.setattr(host, "_CALL", 1)

    def backwards(work, n, chunk):
        for start in reversed(range(0, n, chunk)):
            work(start, min(start + chunk, n))

    monkeypatch.setattr(host, "map_chunks", backwards)
    found.add(bits())
    assert len(found) == 1


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("alpha", [2.0, 1.0, 0.9])
def test_the_same_rows_always_have_the_same_sums(order, alpha):
    """Of both layouts in turn: Numba 0.60 took a named tuple of one for one of the other."""
    rng = np.random.default_rng(55)
    values, theta = rng.normal(size=(5000, 12)), np.eye(13)[1]
    noise = rng.standard_t(2, 5000)
    found = set()
    for _ in range(100):
        X = np.asarray(values, dtype="float32", order=order)
        y = (X[:, 0] + noise).astype("float32")
        around = [rng.random(rng.integers(1, 3000)) for _ in range(20)]
        sums = linear_data(np, X, y, True).sums(theta, alpha, 1.1, Wanted(gram=True))
        found.add((sums.loss, sums.pull, sums.slope.tobytes(), sums.gram.tobytes()))
        assert len(around) == 20
    assert len(found) == 1
