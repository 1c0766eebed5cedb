"""What robust_loss_pytorch tests of its `distribution`, at its tolerances or tighter."""

import functools
import math

import mpmath
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robloss.compat import distribution  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")

of_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
LAW = distribution.Distribution()


@functools.cache
def meijer(numer, denom):
    """Z by the closed form of the article, which the reference evaluates too."""
    alpha = mpmath.mpf(numer) / denom
    if alpha == 0:
        return float(mpmath.pi * mpmath.sqrt(2))
    if alpha == 2:
        return float(mpmath.sqrt(2 * mpmath.pi))
    lower = [mpmath.mpf(i) / numer for i in range(1, numer)]
    upper = [(mpmath.mpf(i) - 0.5) / numer for i in range(numer)]
    upper += [mpmath.mpf(i) / (2 * denom) for i in range(1, 2 * denom)]
    at = (mpmath.mpf(1) / numer - mpmath.mpf(1) / (2 * denom)) ** (2 * denom)
    size = abs(mpmath.mpf(2 * denom) / numer - 1)
    factor = mpmath.exp(size) * mpmath.sqrt(size) * (2 * mpmath.pi) ** (1 - denom)
    return float(factor * mpmath.meijerg([[], lower], [upper, []], at))


def test_the_partition_function_of_rational_shapes():
    for numer, denom in ((1, 7), (1, 4), (2, 5), (1, 2), (1, 1), (3, 2), (7, 4), (7, 3), (5, 1)):
        value = distribution.analytical_base_partition_function(numer, denom)
        assert isinstance(value, float)
        # The reference allows 1e-9.
        assert value == pytest.approx(meijer(numer, denom), rel=1e-13)
    assert distribution.analytical_base_partition_function(0, 3) == pytest.approx(
        math.pi * math.sqrt(2), rel=1e-15
    )
    for bad in ((0.5, 1), (-1, 1), (1, 0), (1, 1.0)):
        with pytest.raises(ValueError, match="must be an integer of at least"):
            distribution.analytical_base_partition_function(*bad)


def test_the_curve_and_its_slope_are_continuous():
    low = torch.linspace(0, 8, 10_000, dtype=torch.float64, requires_grad=True)
    high = (low.detach() + 1e-7).requires_grad_()
    values = [distribution.partition_spline_curve(one) for one in (low, high)]
    slopes = [
        torch.autograd.grad(value.sum(), one)[0]
        for value, one in zip(values, (low, high), strict=True)
    ]
    torch.testing.assert_close(*values, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-6)


def test_the_curve_and_its_inverse():
    pairs = [(0, 0), (1, 1.2), (2, 4), (3, 6.8), (4, 8)]
    for alpha, value in pairs:
        assert distribution.partition_spline_curve(float(alpha)).item() == pytest.approx(value)
    knots = np.arange(0, 16, 0.01)
    alpha = distribution.inv_partition_spline_curve(knots)
    again = distribution.partition_spline_curve(alpha)
    np.testing.assert_allclose(again, knots, rtol=1e-12, atol=1e-12)  # the reference: 1e-7
    with pytest.raises(AssertionError, match="`x` must be nonnegative"):
        distribution.inv_partition_spline_curve(-1.0)


@of_dtypes
def test_log_partition_at_infinity(dtype):
    log_z = LAW.log_base_partition_function(dtype(np.inf))
    assert log_z.numpy().dtype == dtype
    np.testing.assert_allclose(log_z, 0.70526025441756969, rtol=1e-7, atol=1e-7)


@of_dtypes
def test_log_partition_at_fractions(dtype, device):
    numers = np.arange(23)
    expected = [math.log(meijer(int(n), 11)) for n in numers]
    alpha = torch.tensor(dtype(numers) / dtype(11), device=device)
    log_z = LAW.log_base_partition_function(alpha).cpu()
    np.testing.assert_allclose(log_z, expected, rtol=1e-7, atol=1e-7)


def kolmogorov(draws, cdf):
    """The largest distance between the distribution of the draws and the law's."""
    expected = cdf(np.sort(draws.astype(np.float64)))
    steps = np.arange(len(draws) + 1) / len(draws)
    return max(np.max(steps[1:] - expected), np.max(expected - steps[:-1]))


LAWS = {
    0.0: lambda x: 0.5 + np.arctan(x / (1.7 * math.sqrt(2))) / math.pi,
    2.0: lambda x: np.array([0.5 * math.erfc(-one / (1.7 * math.sqrt(2))) for one in x]),
}


@of_dtypes
@pytest.mark.parametrize("alpha", LAWS)
def test_samples_are_of_the_law(dtype, alpha, device):
    torch.manual_seed(0)
    count = 16384
    given = (np.full(count, one, dtype) for one in (alpha, 1.7))
    draws = LAW.draw_samples(*(torch.tensor(one, device=device) for one in given)).cpu().numpy()
    assert draws.dtype == dtype
    # A perfect sampler exceeds it with one seed in fourteen.
    assert kolmogorov(draws, LAWS[alpha]) < 0.01
    assert kolmogorov(draws * dtype(1.1), LAWS[alpha]) > 0.01


def test_draws_take_one_number_of_the_global_generator():
    torch.manual_seed(0)
    first = LAW.draw_samples(torch.ones(1000), torch.ones(1000))
    after = torch.rand(())
    torch.manual_seed(0)
    assert torch.equal(LAW.draw_samples(torch.ones(1000), torch.ones(1000)), first)
    torch.manual_seed(0)
    LAW.draw_samples(torch.ones(3), torch.ones(3))
    assert torch.rand(()) == after


@of_dtypes
def test_nll_is_that_of_named_laws(dtype, device):
    x = np.linspace(-10, 10, 1000, dtype=dtype)
    exact, width = x.astype(np.float64), float(dtype(1.7))
    cauchy = np.log(math.pi * math.sqrt(2) * width * (1 + (exact / width) ** 2 / 2))
    normal = (exact / width) ** 2 / 2 + math.log(width * math.sqrt(2 * math.pi))
    for alpha, expected in ((0.0, cauchy), (2.0, normal)):
        given = (torch.tensor(one, device=device) for one in (x, dtype(alpha), dtype(1.7)))
        nll = LAW.nllfun(*given).cpu()
        np.testing.assert_allclose(nll, expected, rtol=1e-6, atol=1e-6)


@of_dtypes
def test_the_density_integrates_to_one(dtype):
    scale = dtype(1.7)
    x = np.arange(-128, 128, 1 / 256, dtype=dtype) * scale
    for alpha in np.exp(np.linspace(-4, 8, 8, dtype=dtype)):
        nll = LAW.nllfun(x, np.array(alpha), np.array(scale)).numpy()
        assert np.sum(np.exp(-nll)) * (x[1] - x[0]) == pytest.approx(1, abs=0.005)


@of_dtypes
def test_dtypes_are_kept(dtype):
    rng = np.random.RandomState(0)
    x, alpha, scale = (dtype(np.exp(rng.normal(size=16))) for _ in range(3))
    assert LAW.nllfun(x, alpha, scale).numpy().dtype == dtype
    assert LAW.draw_samples(alpha, scale).numpy().dtype == dtype


def test_mixed_dtypes_are_refused():
    one = torch.ones(2)
    for function, given in ((LAW.nllfun, (one, one, one.double())),
                            (LAW.draw_samples, (one, one.double()))):  # fmt: skip
        for kind in (TypeError, AssertionError):
            with pytest.raises(kind, match="must have the dtype of"):
                function(*given)


def test_scalars_are_drawn_too():
    """In the reference a 0-d shape is a TypeError."""
    assert LAW.draw_samples(1.0, 2.0).shape == ()
