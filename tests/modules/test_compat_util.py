"""What robust_loss_pytorch tests of its `util` but for images, and of its splines."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robloss.compat import cubic_spline, util  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")

# TensorFlow's assertAllClose, by which the reference compares, allows 1e-6 where nothing is said.
CLOSE = {"rtol": 1e-6, "atol": 1e-6}
ROUND_TRIP = {"rtol": 1e-3, "atol": 1e-5}
X = np.linspace(-10, 10, 1000, dtype=np.float32)
HUGE = np.finfo(np.float32).max * np.array([-1, 1], np.float32)


def bounds(seed, low, high):
    """Ten pairs of a lower bound below `low[1]` and another number."""
    rng = np.random.RandomState(seed)
    return [(rng.uniform(*low), rng.uniform(*high)) for _ in range(10)]


SIGMOIDS = bounds(0, (0, 0.3), (0.5, 4))
SOFTPLUSES = bounds(1, (0, 0.1), (0.2, 10))


def test_inv_softplus():
    y = np.float32(np.exp(np.linspace(-10, 10, 1000)))
    again = torch.nn.functional.softplus(util.inv_softplus(y).double())
    np.testing.assert_allclose(again, y, **CLOSE)


def test_logit():
    y = np.linspace(1e-5, 1 - 1e-5, 1000, dtype=np.float32)
    np.testing.assert_allclose(torch.sigmoid(util.logit(y)), y, **CLOSE)


@pytest.mark.parametrize(("lo", "hi"), SIGMOIDS)
def test_affine_sigmoid(lo, hi):
    np.testing.assert_allclose(util.affine_sigmoid(HUGE, lo=lo, hi=hi), [lo, hi], **CLOSE)
    middle = util.affine_sigmoid(np.array(0.0), lo=lo, hi=hi)
    assert middle.item() == pytest.approx((lo + hi) / 2, rel=1e-15)
    y = util.affine_sigmoid(X, lo=lo, hi=hi)
    np.testing.assert_allclose(util.inv_affine_sigmoid(y, lo=lo, hi=hi), X, **ROUND_TRIP)


@pytest.mark.parametrize(("lo", "ref"), [*SOFTPLUSES, (-3.0, -1.0)])
def test_affine_softplus(lo, ref):
    low, high = util.affine_softplus(HUGE, lo=lo, ref=ref).tolist()
    assert low == pytest.approx(lo, rel=1e-6)
    assert high > 1e10
    assert util.affine_softplus(np.array(0.0), lo=lo, ref=ref).item() == pytest.approx(ref)
    y = util.affine_softplus(X, lo=lo, ref=ref)
    np.testing.assert_allclose(util.inv_affine_softplus(y, lo=lo, ref=ref), X, **ROUND_TRIP)


def test_defaults():
    np.testing.assert_allclose(util.affine_sigmoid(X), torch.sigmoid(torch.tensor(X)), rtol=1e-6)
    np.testing.assert_allclose(util.inv_affine_sigmoid(util.affine_sigmoid(X)), X, **ROUND_TRIP)
    np.testing.assert_allclose(util.inv_affine_softplus(util.affine_softplus(X)), X, **ROUND_TRIP)


@pytest.mark.parametrize(
    "function",
    [
        util.affine_sigmoid,
        util.inv_affine_sigmoid,
        util.affine_softplus,
        util.inv_affine_softplus,
    ],
)
def test_bounds_in_the_wrong_order(function):
    with pytest.raises(ValueError, match=r"must be above `lo`, 1\.0, but got 1\.0"):
        function(X, 1.0, 1.0)


def test_students_t():
    rng = np.random.RandomState(0)
    for _ in range(10):
        x, df, scale = rng.normal(), np.exp(4 * rng.normal()), np.exp(4 * rng.normal())
        law = torch.distributions.StudentT(torch.tensor(df), torch.tensor(0.0), torch.tensor(scale))
        expected = -law.log_prob(torch.tensor(x))
        nll = util.students_t_nll(x, df, scale)
        assert nll.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)
        assert util.students_t_nll(x, df, -scale) == nll


def test_clamped_functions():
    huge = torch.tensor([1.0, torch.inf])
    assert util.log_safe(huge).isfinite().all()
    assert util.log1p_safe(huge).isfinite().all()
    assert util.exp_safe(huge).isfinite().all()
    assert util.expm1_safe(huge).isfinite().all()
    for safe, plain in (
        (util.log_safe, torch.log),
        (util.log1p_safe, torch.log1p),
        (util.exp_safe, torch.exp),
        (util.expm1_safe, torch.expm1),
    ):
        assert torch.equal(safe(np.float32([0.5, 3.0])), plain(torch.tensor([0.5, 3.0])))


def test_jacobian():
    matrix = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    jacobian = util.compute_jacobian(lambda x: (matrix @ x).T, np.float32([[1.0], [2.0]]))
    np.testing.assert_array_equal(jacobian, matrix.T)


# ---------------------------------------------------------------------------------------- splines

of_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
KNOTS = 32768


def interpolated(x, values, tangents, dtype, device):
    """Values and slopes."""
    x, values, tangents = (torch.tensor(dtype(one), device=device) for one in (x, values, tangents))
    y = cubic_spline.interpolate1d(x.requires_grad_(), values, tangents)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach().cpu().numpy(), slope.cpu().numpy()


@of_dtypes
def test_knots(dtype, device):
    rng = np.random.RandomState(0)
    values, tangents = rng.normal(size=(2, KNOTS))
    y, slope = interpolated(np.arange(KNOTS), values, tangents, dtype, device)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, values, rtol=1e-7)
    np.testing.assert_allclose(slope, tangents, rtol=1e-5, atol=1e-5)


@of_dtypes
def test_between_level_knots(dtype, device):
    rng = np.random.RandomState(0)
    values = dtype(rng.normal(size=KNOTS))
    level, rise = np.zeros_like(values), values[1:] - values[:-1]
    y, slope = interpolated(np.arange(KNOTS - 1) + 0.5, values, level, dtype, device)
    np.testing.assert_allclose(y, (values[:-1] + values[1:]) / 2, rtol=1e-7)
    np.testing.assert_allclose(slope, 1.5 * rise, rtol=1e-5, atol=1e-5)
    places = np.arange(KNOTS - 1, dtype=dtype) + dtype(rng.uniform(size=KNOTS - 1))
    y, slope = interpolated(places, values, level, dtype, device)
    assert (np.minimum(values[:-1], values[1:]) <= y).all()
    assert (y <= np.maximum(values[:-1], values[1:])).all()
    assert (slope * np.sign(rise) >= 0).all()
    assert (np.abs(slope) <= (1.5 + 1e-3) * np.abs(rise)).all()


@of_dtypes
def test_ramps_and_what_lies_beyond(dtype, device):
    rng = np.random.RandomState(0)
    knots = np.arange(256, dtype=dtype)
    places = dtype((rng.uniform(size=1024) * 2 - 0.5) * 255)
    for _ in range(8):
        slope, start = rng.normal(size=2)
        y, _ = interpolated(places, slope * knots + start, np.full(256, slope), dtype, device)
        np.testing.assert_allclose(y, slope * places + start, rtol=1e-5, atol=1e-5)
        values, tangents = dtype(rng.normal(size=(2, 256)))
        below = dtype(-rng.uniform(size=1024) * 255)
        above = dtype((rng.uniform(size=1024) + 1) * 255)
        y, _ = interpolated(below, values, tangents, dtype, device)
        np.testing.assert_allclose(y, tangents[0] * below + values[0], rtol=1e-7)
        y, _ = interpolated(above, values, tangents, dtype, device)
        np.testing.assert_allclose(y, tangents[-1] * (above - 255) + values[-1], rtol=1e-7)


def test_splines_refuse():
    x = torch.zeros(3)
    for given, kind, message in (
        ((np.zeros(3), x, x), TypeError, "`x` must be a torch.Tensor, but got ndarray"),
        ((x, x.double(), x), TypeError, "`values` must have the dtype of `x`"),
        ((x, x, x[:2]), ValueError, r"must be as many in one axis, two or more, but got .* \(2,\)"),
        ((x, x[:1], x[:1]), ValueError, "as many"),
        ((x, x[None], x[None]), ValueError, "as many"),
    ):
        for error in (kind, AssertionError):
            with pytest.raises(error, match=message):
                cubic_spline.interpolate1d(*given)
    assert cubic_spline.interpolate1d(torch.tensor([torch.nan, 1.0]), x, x).isnan().tolist() == [
        True,
        False,
    ]
