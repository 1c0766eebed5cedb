"""Fits of residual functions: linear ones end where fit_linear does, others at an optimum."""

import copy
import math
import pickle

import array_api_compat
import numpy as np
import pytest

import robloss
from fit.references import REFERENCES, synthetic

T = np.linspace(0.0, 4.0, 120)
TRUE = np.array([3.0, 0.7, 0.5])


def decay(xp, theta, t):
    return theta[0] * xp.exp(-theta[1] * t) + theta[2]


def slopes(xp, theta, t):
    fall = xp.exp(-theta[1] * t)
    return -xp.stack([fall, -theta[0] * t * fall, xp.ones_like(t)], axis=-1)


def spoilt(seed=0):
    noise = robloss.sample(0.6, 0.05, shape=(120,), rng=seed)
    return decay(np, TRUE, T) + noise + np.where(np.arange(120) % 9 == 0, 4.0, 0.0)


Y = spoilt()


def problem(backend, dtype="float64"):
    """Residuals, their derivatives and a start, with arrays of a library."""
    xp, t, y = backend.xp, backend.array(T, dtype), backend.array(Y, dtype)
    start = backend.array([1.0, 1.0, 0.0], dtype)
    return lambda theta: y - decay(xp, theta, t), lambda theta: slopes(xp, theta, t), start


def test_a_linear_function_ends_where_fit_linear_does(backend):
    X, y, _ = synthetic(0, "student")
    design = backend.array(np.column_stack([np.ones(len(y)), X]))
    response = backend.array(y)
    fit = robloss.fit_residuals(lambda theta: response - design @ theta, backend.array(np.zeros(4)))
    linear = robloss.fit_linear(X, y)
    assert fit.converged
    assert backend.owns(fit.params)
    np.testing.assert_allclose(backend.to_numpy(fit.params), linear.params, rtol=1e-7)
    assert fit.alpha == pytest.approx(linear.alpha, abs=1e-7)
    assert fit.scale == pytest.approx(linear.scale, rel=1e-7)
    assert fit.nll == pytest.approx(linear.nll, rel=1e-12)


@pytest.mark.parametrize("method", ["irls", "gradient"])
@pytest.mark.parametrize("given", [True, False], ids=["jac", "no-jac"])
def test_every_library_ends_at_the_same_optimum(backend, given, method):
    residuals, jac, start = problem(backend)
    fit = robloss.fit_residuals(residuals, start, jac=jac if given else None, method=method)
    host = np.array([1.0, 1.0, 0.0])
    plain = robloss.fit_residuals(
        lambda p: Y - decay(np, p, T), host, jac=lambda p: slopes(np, p, T)
    )
    assert fit.converged
    # Central differences are right to eps^(2/3), about 4e-11, in each slope.
    np.testing.assert_allclose(backend.to_numpy(fit.params), plain.params, rtol=1e-7)
    assert fit.alpha == pytest.approx(plain.alpha, abs=1e-6)
    assert np.all(np.diff(fit.history.nll) <= 0)
    assert backend.owns(fit.weights)


def test_float32(backend):
    residuals, jac, start = problem(backend, "float32")
    fit = robloss.fit_residuals(residuals, start, jac=jac)
    wide = robloss.fit_residuals(lambda p: Y - decay(np, p, T), [1.0, 1.0, 0.0])
    assert backend.dtype_name(fit.params) == "float32"
    np.testing.assert_allclose(backend.to_numpy(fit.params), wide.params, atol=1e-3)


def test_parameters_narrower_than_the_residuals(backend):
    """What a parameter can hold is where the fit ends, and no reason not to have converged."""
    residuals, _, start = problem(backend)
    exact = robloss.fit_residuals(residuals, start)
    fit = robloss.fit_residuals(residuals, backend.array([1.0, 1.0, 0.0], "float32"))
    assert fit.converged
    assert str(backend.to_numpy(fit.params).dtype) == "float32"
    # Roundings of the parameters, of 6e-8, in the Newton steps of three of them.
    np.testing.assert_allclose(
        backend.to_numpy(fit.params), backend.to_numpy(exact.params), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["float16", ">f4", ">f8"])
def test_residuals_and_derivatives_of_any_floating_dtype(dtype):
    X, y, _ = synthetic(0, "student")
    design = np.column_stack([np.ones(len(y)), X]).astype(dtype)
    fit = robloss.fit_residuals(
        lambda theta: (y - design @ theta).astype(dtype),
        np.zeros(4, dtype),
        jac=lambda theta: -design,
    )
    exact = robloss.fit_residuals(lambda theta: y - design @ theta, np.zeros(4))
    # float16 residuals, of up to 30, are rounded by 0.01.
    np.testing.assert_allclose(fit.params, exact.params, atol=0.01 if dtype == "float16" else 1e-6)


def test_derivatives_may_be_whole_numbers():
    rows = np.column_stack([np.ones(120, dtype=int), np.arange(120)])

    def residuals(theta):
        return Y - rows @ theta

    whole = robloss.fit_residuals(residuals, np.zeros(2), jac=lambda theta: -rows)
    floats = robloss.fit_residuals(residuals, np.zeros(2), jac=lambda theta: -rows.astype(float))
    np.testing.assert_array_equal(whole.params, floats.params)


def test_it_is_an_optimum():
    fit = robloss.fit_residuals(lambda p: Y - decay(np, p, T), [1.0, 1.0, 0.0])
    np.testing.assert_allclose(fit.params, TRUE, atol=0.05)
    np.testing.assert_allclose(fit.residuals, Y - decay(np, fit.params, T), atol=1e-12)
    psi = robloss.influence(fit.residuals, fit.alpha, fit.scale)
    derivatives = slopes(np, fit.params, T)
    size = np.abs(derivatives).T @ np.abs(psi)
    assert np.all(np.abs(derivatives.T @ psi) <= 1e-7 * size)
    assert float(fit.residuals @ psi) == pytest.approx(len(T), rel=1e-7)


def test_least_squares_is_not_that_optimum():
    """The twin of the test above: at the least-squares parameters the gradient is far from 0."""
    fit = robloss.fit_residuals(lambda p: Y - decay(np, p, T), [1.0, 1.0, 0.0])
    squares = robloss.fit_residuals(lambda p: Y - decay(np, p, T), [1.0, 1.0, 0.0], alpha=2.0)
    psi = robloss.influence(squares.residuals, fit.alpha, fit.scale)
    derivatives = slopes(np, squares.params, T)
    assert np.any(np.abs(derivatives.T @ psi) > 1e-2 * (np.abs(derivatives).T @ np.abs(psi)))


TIMES = np.random.default_rng(5).integers(0, 4, 120)


@pytest.mark.parametrize("options", [{}, {"scale": 0.1}, {"method": "gradient"}], ids=str)
def test_a_weight_is_a_repetition(options, backend):
    xp, (t, y) = backend.xp, (backend.array(np.repeat(one, TIMES)) for one in (T, Y))
    residuals, _, start = problem(backend)
    fit = robloss.fit_residuals(
        residuals, start, sample_weight=backend.array(1.0 * TIMES), **options
    )
    repeated = robloss.fit_residuals(lambda p: y - decay(xp, p, t), start, **options)
    assert fit.converged
    assert fit.observations == TIMES.sum()
    assert fit.nll == pytest.approx(repeated.nll, rel=1e-10)
    assert fit.alpha == pytest.approx(repeated.alpha, abs=1e-6)
    params, errors = backend.to_numpy(repeated.params), backend.to_numpy(repeated.standard_errors)
    np.testing.assert_allclose(backend.to_numpy(fit.params), params, rtol=1e-6)
    np.testing.assert_allclose(backend.to_numpy(fit.standard_errors), errors, rtol=1e-4)


def test_weights_matter_and_those_of_0_are_no_rows():
    weights = np.where(TIMES > 0, 0.5, 0.0)
    spoilt = np.where(TIMES > 0, Y, 1e150)
    fit = robloss.fit_residuals(
        lambda p: spoilt - decay(np, p, T),
        [1.0, 1.0, 0.0],
        sample_weight=weights,
        n_starts=3,
        rng=0,
    )
    kept = TIMES > 0
    alone = robloss.fit_residuals(lambda p: Y[kept] - decay(np, p, T[kept]), [1.0, 1.0, 0.0])
    np.testing.assert_allclose(fit.params, alone.params, rtol=1e-7)
    assert fit.nll == pytest.approx(0.5 * alone.nll, rel=1e-10)
    whole = robloss.fit_residuals(plain, [1.0, 1.0, 0.0])
    assert np.max(np.abs(fit.params - whole.params)) > 1e-4


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (TIMES[:-1], r"shape \(120,\)"),
        (-TIMES, r"\[0, inf\), but got -"),
        (0 * TIMES, "at least one"),
    ],
    ids=["too few", "negative", "all 0"],
)
def test_errors_of_weights(weights, sentence):
    with pytest.raises(ValueError, match=f"`sample_weight` .*{sentence}"):
        robloss.fit_residuals(plain, [1.0] * 3, sample_weight=weights)


def test_an_earlier_fit_is_a_start(backend):
    residuals, jac, start = problem(backend)
    fit = robloss.fit_residuals(residuals, start, jac=jac)
    again = robloss.fit_residuals(residuals, fit, jac=jac)
    assert again.n_iter <= 1 < fit.n_iter
    assert again.nll == pytest.approx(fit.nll, rel=1e-12)
    of_parameters = robloss.fit_residuals(residuals, fit.params, jac=jac)
    assert of_parameters.n_iter > 1  # shape and scale are not known to it


@pytest.mark.parametrize("name", ["stackloss", "stackloss-alpha1", "phones"])
def test_published_fits(name):
    reference = REFERENCES[name]
    data = reference.data()
    design = np.column_stack([np.ones(len(data.y)), data.X])
    start = np.linalg.lstsq(design, data.y, rcond=None)[0]
    fit = robloss.fit_residuals(lambda p: data.y - design @ p, start, **reference.options)
    assert fit.nll == pytest.approx(reference.nll, abs=1e-6)
    np.testing.assert_allclose(fit.params, reference.coefficients, rtol=2e-5)


def test_a_step_to_where_there_is_no_value_is_not_taken():
    """The first step from 1 leads to the root of a negative number."""
    y = 0.1 + 0.01 * np.cos(np.arange(30))
    visited = []

    def residuals(p):
        visited.append(float(p[0]))
        with np.errstate(invalid="ignore"):
            return y - np.sqrt(p) * np.ones(30)

    fit = robloss.fit_residuals(residuals, [1.0], alpha=1.0, scale=0.1)
    assert min(visited) < 0
    assert fit.converged
    assert fit.params[0] == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("method", ["irls", "gradient"])
def test_steps_that_are_refused_take_no_derivatives(method):
    calls = {"residuals": 0, "jac": 0}

    def residuals(theta):
        calls["residuals"] += 1
        return plain(theta)

    def jac(theta):
        calls["jac"] += 1
        return slopes(np, theta, T)

    fit = robloss.fit_residuals(residuals, [-5.0, 8.0, 0.0], jac=jac, method=method, alpha=0.5)
    assert fit.converged
    refused = calls["residuals"] - calls["jac"]
    assert refused >= 5  # or this tells nothing
    # Beside those of the steps: two at the start, and one whose gain rounding hides.
    assert calls["jac"] <= fit.n_iter + 3
    before = dict(calls)
    assert np.isfinite(fit.standard_errors).all()
    assert calls == before  # the last derivatives are remembered


class Decay:
    """Residuals that can be pickled."""

    def __init__(self, t, y, columns=0):
        self.t, self.y, self.columns = t, y, columns

    def __call__(self, theta):
        xp = array_api_compat.array_namespace(theta)
        value = self.y - decay(xp, theta, self.t)
        return value[:, None] if self.columns else value


@pytest.mark.parametrize("columns", [0, 1])
def test_it_can_be_pickled_if_its_functions_can(columns, backend):
    t, y = backend.array(T), backend.array(Y)
    fit = robloss.fit_residuals(Decay(t, y, columns), backend.array([1.0, 1.0, 0.0]))
    again = pickle.loads(pickle.dumps(fit))
    assert again.summary() == fit.summary()
    grid = [0.2, 0.8]
    np.testing.assert_allclose(again.profile_alpha(grid).nll, fit.profile_alpha(grid).nll)


def test_it_can_be_copied():
    fit = robloss.fit_residuals(lambda p: np.sin(np.arange(9.0)) - p[0], [0.0])
    np.testing.assert_array_equal(copy.deepcopy(fit).standard_errors, fit.standard_errors)


def test_a_function_may_reuse_its_memory_and_write_to_its_argument():
    t, buffer = np.linspace(0, 4, 50), np.empty(50)
    y = 3 * np.exp(-0.7 * t) + 0.01 * np.cos(40 * t)

    def residuals(theta):
        buffer[:] = y - theta[0] * np.exp(-theta[1] * t)
        theta[:] = 0.0
        return buffer

    def plain(theta):
        return y - theta[0] * np.exp(-theta[1] * t)

    found, expected = (robloss.fit_residuals(one, [1.0, 1.0]) for one in (residuals, plain))
    np.testing.assert_array_equal(found.params, expected.params)
    np.testing.assert_array_equal(found.standard_errors, expected.standard_errors)


@pytest.mark.parametrize("unit", [1.0, 1e-8, 1e8])
def test_differences_are_of_any_unit(unit):
    t = np.linspace(0, 4, 50)
    y = 3 * np.exp(-0.7 * t) + 0.01 * np.cos(40 * t)
    fit = robloss.fit_residuals(
        lambda p: y - p[0] * np.exp(-p[1] / unit * t), [1.0, unit], alpha=1.0
    )
    # Steps of one rounding's cube root leave derivatives right to its square, about 1e-10.
    np.testing.assert_allclose(fit.params, [3.0, 0.7 * unit], rtol=5e-3)
    assert fit.converged


def test_an_exception_of_the_model_comes_through_with_a_note():
    calls = 0

    def residuals(p):
        nonlocal calls
        calls += 1
        if calls > 6:
            raise ZeroDivisionError("model out of range")
        return Y - decay(np, p, T)

    with pytest.raises(ZeroDivisionError, match="model out of range") as caught:
        robloss.fit_residuals(residuals, [1.0, 1.0, 0.0])
    assert "robloss called `residuals` with theta = [" in caught.value.__notes__[0]


def plain(p):
    return Y - decay(np, p, T)


class Column:
    """What the column of a data frame is to us: something that NumPy makes an array of."""

    def __init__(self, values):
        self.values = values
        self.dtype, self.shape, self.ndim = values.dtype, values.shape, values.ndim

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


def column(library):
    if library == "plain":
        return Column
    return pytest.importorskip(library, reason=f"{library} is not installed").Series


@pytest.mark.parametrize("library", ["plain", "pandas", "polars"])
def test_residuals_may_be_a_column_of_a_data_frame(library):
    make = column(library)
    fit = robloss.fit_residuals(lambda p: make(plain(p)), [1.0, 1.0, 0.0])
    same = robloss.fit_residuals(plain, [1.0, 1.0, 0.0])
    np.testing.assert_array_equal(fit.params, same.params)
    assert type(fit.residuals) is np.ndarray


ERRORS = {
    "no parameters": ((plain, []), {}, ValueError, "`theta0` must have one dimension"),
    "a matrix": ((plain, np.ones((1, 3))), {}, ValueError, "`theta0` must have one dimension"),
    "words": ((plain, ["a", "b"]), {}, TypeError, "`theta0` must have a real dtype"),
    "NaN": (
        (plain, [1.0, math.nan, 0.0]),
        {},
        ValueError,
        r"`theta0` must be finite, but got nan at index \(1,\)",
    ),
    "a list": ((lambda p: list(plain(p)), [1.0, 1.0, 0.0]), {}, TypeError, "must return an array"),
    "a number": ((lambda p: 1.0, [1.0]), {}, TypeError, "must return an array"),
    "three axes": (
        (lambda p: plain(p)[:, None, None], [1.0] * 3),
        {},
        ValueError,
        "one dimension, or of two",
    ),
    "whole numbers": (
        (lambda p: plain(p).astype(int), [1.0] * 3),
        {},
        TypeError,
        "`residuals` must return numbers of a floating dtype, but got int64",
    ),
    "complex": ((lambda p: plain(p) * 1j, [1.0] * 3), {}, TypeError, "real dtype"),
    "NaN at the start": (
        (lambda p: np.where(np.arange(120) == 7, math.nan, plain(p)), [1.0] * 3),
        {},
        ValueError,
        r"finite at `theta0`, but got nan at index \(7,\)\. Start .*, or drop such rows",
    ),
    "an infinite slope": (
        (plain, [1.0] * 3),
        {"jac": lambda p: slopes(np, p, T) / (np.arange(120) != 7)[:, None]},
        ValueError,
        r"derivatives of `residuals` .* but got -inf at index \(7, 0\)\. Start",
    ),
    "no function": ((Y, [1.0] * 3), {}, TypeError, "`residuals` must be callable, but got ndarray"),
    "no jac": (
        (plain, [1.0] * 3),
        {"jac": "2-point"},
        TypeError,
        "`jac` must be None or callable, but got '2-point'",
    ),
    "a column of words": (
        (lambda p: Column(plain(p).astype(str)), [1.0] * 3),
        {},
        TypeError,
        "real dtype",
    ),
    "jac transposed": (
        (plain, [1.0] * 3),
        {"jac": lambda p: slopes(np, p, T).T},
        ValueError,
        r"`jac` must return an array of shape \(120, 3\), .*, but got .*\. Put the",
    ),
    "jac a list": ((plain, [1.0] * 3), {"jac": lambda p: [1.0]}, TypeError, "`jac` must return"),
    "method": ((plain, [1.0] * 3), {"method": "newton"}, ValueError, '"irls" or "gradient"'),
    "scale": ((plain, [1.0] * 3), {"scale": -1.0}, ValueError, "`scale` must lie in"),
}


@pytest.mark.parametrize(("given", "options", "error", "sentence"), ERRORS.values(), ids=ERRORS)
def test_errors(given, options, error, sentence):
    with pytest.raises(error, match=sentence):
        robloss.fit_residuals(*given, **options)


@pytest.mark.backends(lambda library: not library.is_host)
def test_another_library_than_that_of_the_start(backend):
    with pytest.raises(TypeError, match="of the library of `theta0`"):
        robloss.fit_residuals(lambda p: Y, backend.array([1.0, 1.0, 0.0]))


@pytest.mark.backends(lambda library: library.module == "torch")
@pytest.mark.parametrize("given", [True, False], ids=["jac", "no-jac"])
@pytest.mark.parametrize("method", ["irls", "gradient"])
def test_nothing_records_what_a_closure_could_be_differentiated_by(backend, given, method):
    xp, start = backend.xp, backend.array([1.0, 1.0, 0.0])
    t, y = (backend.array(values).requires_grad_() for values in (T, Y))
    seen = []

    def pairs(theta):
        return xp.stack([y - decay(xp, theta, t), t - theta[1] * y], axis=-1)

    for function in (lambda theta: y - decay(xp, theta, t), pairs):
        fit = robloss.fit_residuals(
            function,
            start,
            jac=(lambda theta: slopes(xp, theta, t)) if given and function is not pairs else None,
            method=method,
            callback=lambda at: seen.append(at.params),
        )
        found = (fit.params, fit.residuals, fit.weights, fit.standard_errors, *seen)
        assert not any(array.requires_grad for array in found)


@pytest.mark.backends(lambda library: library.module == "torch")
def test_a_parameter_that_torch_does_not_see_is_flagged(backend):
    """The flag is all that tells: where the others end, nothing is left to gain by derivatives."""
    t, y = backend.array(T), backend.array(Y)
    start = backend.array([1.0, 1.0, 0.3])
    fit = robloss.fit_residuals(
        lambda theta: y - theta[0] * backend.xp.exp(-theta[1] * t) - theta[2].item(), start
    )
    assert any("rank 2 but there are 3 parameters" in flag for flag in fit.flags)
    assert float(fit.params[2]) == pytest.approx(0.3)
