"""The distribution on every array library: values, dtypes, laziness, NaN and derivatives."""

import math

import numpy as np
import pytest
from backends import Library

from robloss._distribution.cumulative import cdf, ppf
from robloss._distribution.density import log_partition, nll, pdf
from robloss._distribution.efficiency import efficiency, scale_for_efficiency
from robloss._distribution.moments import entropy, fisher_information, variance

INF, NAN = math.inf, math.nan
ALPHA = np.array([0.0, 0.5, 1.0, 2 - 1e-6, 2.0, 3.0, INF])
ANY_ALPHA = np.array([-INF, -2.0, -0.5, 0.0, 1.0, 2.0, 5.0])
X = np.linspace(-3, 3, 7)
Q = np.linspace(0.01, 0.95, 7)


def truncated(function):
    def call(first, alpha, scale, truncation):
        return function(first, alpha, scale, truncation=truncation)

    return call


def truncated_partition(alpha, truncation):
    return log_partition(alpha, truncation=truncation)


# name: function, arguments (arrays are converted, numbers stay numbers)
CASES = {
    "log_partition": (truncated_partition, ANY_ALPHA, 10.0),
    "nll": (truncated(nll), X, ANY_ALPHA, 2.0, np.full(7, 1.2)),
    "pdf": (pdf, X, ALPHA, 2.0),
    "truncated pdf": (truncated(pdf), X, ANY_ALPHA, 2.0, 1.2),
    "cdf": (cdf, X, ALPHA, 2.0),
    "truncated cdf": (truncated(cdf), X, ANY_ALPHA, 2.0, 1.2),
    "ppf": (ppf, Q, ALPHA, 2.0),
    "truncated ppf": (truncated(ppf), Q, ANY_ALPHA, 2.0, 1.2),
    "entropy": (entropy, ALPHA, 2.0),
    "variance": (variance, ALPHA, 2.0),
    "fisher_information": (fisher_information, ALPHA, 2.0),
    "efficiency": (efficiency, ANY_ALPHA, 1.5),
    "scale_for_efficiency": (scale_for_efficiency, np.array([-INF, -1.0, 0.5, 1.0]), 0.9),
}
every = pytest.mark.parametrize("name", CASES)
# 1e-12: what the docstrings say. Measured in float32: at most 4e-6 (the information).
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


def converted(backend, arguments, dtype):
    return [backend.array(one, dtype) if isinstance(one, np.ndarray) else one for one in arguments]


@every
def test_values_and_dtypes(name, backend):
    function, *arguments = CASES[name]
    for dtype in set(backend.dtypes) & set(TOLERANCE):
        given = [
            one.astype(dtype).astype(float) if isinstance(one, np.ndarray) else one
            for one in arguments
        ]
        expected = function(*given)
        result = function(*converted(backend, arguments, dtype))
        assert backend.owns(result)
        assert backend.dtype_name(result) == dtype
        values = backend.to_numpy(result)
        np.testing.assert_allclose(values, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        # The comparison can fail.
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(
                values * (1 + 1e-3), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
            )


@every
def test_narrow_floats_keep_their_dtype(name, backend):
    function, *arguments = CASES[name]
    for dtype in set(backend.dtypes) & {"float16", "bfloat16"}:
        result = function(*converted(backend, arguments, dtype))
        assert backend.dtype_name(result) == dtype


@every
def test_arrays_without_axes_and_without_elements(name, backend):
    function, *arguments = CASES[name]
    tail = (2, 2) if name == "fisher_information" else ()
    for shape in [(), (0,)]:
        given = [np.resize(one[2:3], shape) if np.ndim(one) else one for one in arguments]
        result = function(*converted(backend, given, "float64"))
        assert tuple(result.shape) == shape + tail


@pytest.mark.backends(lambda library: not library.is_host and not library.lazy)
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (truncated_partition, ([1.0, 1.0, NAN], [-1.0, 0.0, 3.0])),
        (cdf, ([1.0, 1.0, NAN, 1.0], [1.0, -1.0, 1.0, NAN], [-1.0, 1.0, 1.0, 1.0])),
        (truncated(cdf), ([9.0, 9.0, 0.1], [1.0, NAN, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, -1.0])),
        (ppf, ([-0.1, 1.1, NAN, 0.5, 0.5], [1.0, 1.0, 1.0, -1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 0.0])),
        (entropy, ([-1.0, 1.0, NAN], [1.0, 0.0, 1.0])),
        (variance, ([-1.0, 1.0, NAN, 0.0], [1.0, 0.0, 1.0, -1.0])),
        (fisher_information, ([-1.0, 1.0, NAN], [1.0, -1.0, 1.0])),
        (efficiency, ([NAN, 1.0, 1.0], [1.0, 0.0, INF])),
        (scale_for_efficiency, ([NAN, 1.0, 1.0, 2.0, 1.5], [0.9, 0.0, 1.0, 0.95, 0.85])),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_illegal_values_become_nan(function, arguments, backend):
    result = backend.to_numpy(function(*[backend.array(one) for one in arguments]))
    assert np.isnan(result).all()


@pytest.mark.backends(lambda library: library.lazy)
@every
def test_lazy(name, backend):
    import dask

    def refuse(*_, **__):
        raise AssertionError("computed a lazy array")

    function, *arguments = CASES[name]
    with dask.config.set(scheduler=refuse):
        result = function(*converted(backend, arguments, "float64"))
        with pytest.raises(AssertionError, match="computed a lazy array"):
            result.compute()
    expected = function(*arguments)
    np.testing.assert_array_equal(result.compute(), expected)
    assert result.dtype == np.float64


# ---------------------------------------------------------------------------------- derivatives

differentiating = pytest.mark.backends(lambda library: library.differentiates)


def gradient(backend, function, *points):
    """First derivatives of a function of numbers, one row per argument, over arrays of points."""
    columns = [backend.array(np.asarray(one, dtype=float)) for one in points]
    if backend is Library.JAX:
        import jax

        parts = jax.vmap(jax.grad(function, argnums=tuple(range(len(points)))))(*columns)
    else:
        import torch

        columns = [column.requires_grad_() for column in columns]
        parts = torch.autograd.grad(function(*columns).sum(), columns)
    return [backend.to_numpy(part) for part in parts]


@differentiating
def test_slopes_of_the_truncated_partition(backend):
    oracle = pytest.importorskip("oracle")
    from flint import acb

    alpha = [-5.0, -1.0, 0.0, 0.5, 1.0, 1.999, 2.5]
    limit = [3.0, 10.0, 10.0, 2.0, 40.0, 3.0, 1.5]
    in_alpha, in_limit = gradient(backend, truncated_partition, alpha, limit)
    for a, end, by_alpha, by_limit in zip(alpha, limit, in_alpha, in_limit, strict=True):

        def mass(slope, a=a, end=end):
            if a < 0:  # the oracle's integrand knows its series for small alpha only above 0
                return acb.integral(lambda x, _: _negative(a, x, slope), 0, end).real
            return acb.integral(
                lambda x, analytic: oracle._integrand(x, a, slope, analytic), 0, end
            ).real

        whole = float(mass(False))
        assert abs(by_alpha + float(mass(True)) / whole) <= 1e-12 * (1 + abs(by_alpha))
        edge = float((-oracle.loss(end, a)).exp()) / whole
        assert abs(by_limit - edge) <= 1e-13 * (1 + edge)


def _negative(alpha, x, slope):
    """e^-rho, times d rho/d alpha if `slope`, by the textbook formulas for alpha < 0."""
    b = 2 - alpha
    u = x * x / b
    power = (alpha / 2 * (1 + u).log()).exp()
    density = (-(b / alpha) * (power - 1)).exp()
    if not slope:
        return density
    bracket = b * (1 + u).log() / (2 * alpha) + u / (2 * (1 + u))
    return density * (-(2 / alpha**2) * (power - 1) + power * bracket)


@differentiating
def test_slopes_at_the_limits_of_alpha(backend):
    in_alpha, in_limit = gradient(
        backend, truncated_partition, [-INF, 2.0, INF, 2 - 1e-15, 0.0], [3.0, 3.0, 3.0, 3.0, INF]
    )
    assert in_alpha[[0, 2]].tolist() == [0.0, 0.0]
    # ~ log|alpha - 2|/4 times the share of s that is inside: finite, and steep; at exactly 2, where
    # it is infinite, that beside it.
    assert -10 < in_alpha[1] < in_alpha[3] < -5
    # The whole law's slope at 0.
    expected = -(0.25 - math.log(2) + math.log(2) ** 2 + math.pi**2 / 12)
    np.testing.assert_allclose(in_alpha[4], expected, rtol=1e-13)
    assert np.isfinite(in_limit).all()
    assert in_limit[4] == 0


@differentiating
def test_slopes_of_the_truncated_nll(backend):
    import robloss

    x, alpha, scale = [0.0, 1.0, 5.0, -2.0], [-2.0, 0.0, 1.0, 0.5], [1.5, 1.5, 2.0, 1.5]

    def function(x, alpha, scale):
        return nll(x, alpha, scale, truncation=2.0)

    in_x, in_alpha, in_scale = gradient(backend, function, x, alpha, scale)
    inside = np.array([True, True, False, True])
    assert all((np.asarray(one)[~inside] == 0).all() for one in (in_x, in_alpha, in_scale))
    of_log_z, _ = gradient(backend, truncated_partition, alpha, np.full(4, 2.0))
    slopes = robloss.grad_alpha(x, alpha, scale) + of_log_z
    np.testing.assert_allclose(in_x[inside], robloss.influence(x, alpha, scale)[inside], rtol=1e-13)
    np.testing.assert_allclose(in_alpha[inside], slopes[inside], rtol=1e-12)
    expected = robloss.grad_scale(x, alpha, scale) + 1 / np.asarray(scale)
    np.testing.assert_allclose(in_scale[inside], expected[inside], rtol=1e-13)


@differentiating
@pytest.mark.parametrize("limit", [None, 3.0])
def test_slopes_of_cdf_and_ppf(limit, backend):
    alpha, scale = [0.5, 1.0, 1.9], [1.0, 2.0, 0.7]
    x, q = [-0.2, 0.3, 1.6], [0.2, 0.3, 0.9]
    for function, first in [(cdf, x), (ppf, q)]:

        def call(*given, function=function):
            return function(*given, truncation=limit)

        points = [np.array(one) for one in (first, alpha, scale)]
        parts = gradient(backend, call, *points)
        for number, part in enumerate(parts):
            step = 1e-5 * np.eye(3)[number][:, None]
            above, below = (call(*(np.stack(points) + sign * step)) for sign in (1, -1))
            np.testing.assert_allclose(part, (above - below) / 2e-5, rtol=1e-7, atol=1e-9)


# What torch 2.13 says of its own decompositions when forward mode is first used.
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@pytest.mark.backends(lambda library: library is Library.TORCH)
def test_torch_transforms(backend):
    torch = pytest.importorskip("torch")
    alpha = backend.array([-2.0, 0.0, 1.0, 2.0])
    mapped = torch.func.vmap(lambda a: log_partition(a, truncation=3.0))(alpha)
    torch.testing.assert_close(mapped, log_partition(alpha, truncation=3.0))
    slopes = torch.func.vmap(torch.func.grad(lambda a: log_partition(a, truncation=3.0)))(alpha)
    (expected,) = gradient(backend, lambda a: log_partition(a, truncation=3.0), alpha)
    np.testing.assert_allclose(slopes.numpy(), expected, rtol=1e-14)
    directions = (torch.ones_like(alpha),)
    _, forward = torch.func.jvp(lambda a: log_partition(a, truncation=3.0), (alpha,), directions)
    np.testing.assert_allclose(forward.numpy(), expected, rtol=1e-14)
    inputs = [backend.array([0.5, -1.0]).requires_grad_() for _ in range(2)]
    limit = backend.array([2.0, 3.0]).requires_grad_()
    assert torch.autograd.gradcheck(truncated_partition, (inputs[0], limit))


@pytest.mark.backends(lambda library: library is Library.JAX)
def test_jax_transforms(backend):
    jax = pytest.importorskip("jax")
    for name in ("nll", "cdf", "ppf", "entropy", "efficiency"):
        function, *arguments = CASES[name]
        given = converted(backend, arguments, "float64")
        result = jax.jit(function)(*given)
        np.testing.assert_allclose(result, function(*arguments), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 4.0, 100.0, INF])
def test_cdf_far_out_is_0_and_1(backend, alpha):
    """Where the density underflows, ρ overflows, or x is lost beside its own tail."""
    for dtype, most in (("float64", 303), ("float32", 34)):
        if dtype not in backend.dtypes:
            continue
        below = -np.logspace(0, most, 300)
        lower = backend.to_numpy(cdf(backend.array(below, dtype), alpha, 2.5))
        upper = backend.to_numpy(cdf(backend.array(-below, dtype), alpha, 2.5))
        assert (np.diff(lower) <= 0).all()
        assert ((lower >= 0) & (lower < 0.5)).all()
        assert (np.abs(lower + upper - 1) <= 1e-6).all()
        assert lower[-1] < 1e-30


@differentiating
def test_slope_of_cdf_far_out_is_the_density(backend):
    x = -np.logspace(0, 20, 41)
    slope, _ = gradient(backend, lambda x, alpha: cdf(x, alpha, 2.5), x, np.full(41, 1.5))
    np.testing.assert_allclose(slope, pdf(x, 1.5, 2.5), rtol=1e-12)
