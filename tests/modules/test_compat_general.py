"""What robust_loss_pytorch tests of its `general`, at its tolerances or tighter.

Sizes, draws and tolerances are those of its repository's general_test.py, unless a line says more.
"""

import mpmath
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robloss.compat import general  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")

of_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EPS = {dtype: np.finfo(dtype).eps for dtype in (np.float32, np.float64)}
COUNT = 100_000


def evaluated(x, alpha, scale, device, **options):
    """Losses, and slopes in x, alpha and scale."""
    inputs = [torch.tensor(one, device=device, requires_grad=True) for one in (x, alpha, scale)]
    loss = general.lossfun(*inputs, **options)
    slopes = torch.autograd.grad(loss.sum(), inputs)
    return [one.detach().cpu().numpy() for one in (loss, *slopes)]


def shapes(rng, dtype):
    """Multiples of 0.1, so that 0 and 2 are among them."""
    return dtype(np.round(rng.uniform(-16, 3, COUNT) * 10) / 10)


def scales(rng, dtype):
    return dtype(np.exp(rng.normal(size=COUNT) * 4) + 1e-5)


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float32", "float64"])
def points(request, backend):
    """Random points with alpha up to ±inf: x, alpha, scale, loss and its three slopes."""
    dtype = request.param
    rng = np.random.RandomState(0)
    x = dtype(rng.normal(size=COUNT))
    alpha = shapes(rng, dtype)
    alpha[alpha == 3] = np.inf
    alpha[alpha == -16] = -np.inf
    scale = scales(rng, dtype)
    device = "cuda" if backend.option == "torch-cuda" else "cpu"
    return x, alpha, scale, *evaluated(x, alpha, scale, device)


@of_dtypes
def test_dtype_and_device_are_kept(dtype, device):
    rng = np.random.RandomState(0)
    x, alpha, scale = (torch.tensor(dtype(rng.normal(size=16)), device=device) for _ in range(3))
    loss = general.lossfun(x, alpha, scale.exp())
    assert loss.dtype == x.dtype
    assert loss.device.type == device


def test_the_loss_rises_with_the_size_of_x(points):
    x, alpha, _, _, slope, *_ = points
    seen = np.isfinite(alpha) & np.isfinite(slope) & (np.abs(slope) > 100 * EPS[x.dtype.type])
    assert np.array_equal(np.sign(slope[seen]), np.sign(x[seen]))


def test_the_loss_is_near_0_at_0(points):
    x, _, _, loss, *_ = points
    assert (np.abs(loss[np.abs(x) < 1e-5]) < 1e-5).all()


def test_the_loss_is_a_parabola_near_0(points):
    x, _, scale, loss, *_ = points
    near = np.abs(x) < 0.5 * scale
    parabola = 0.5 * np.square(x / scale)
    np.testing.assert_allclose(parabola[near], loss[near], rtol=1e-5, atol=1e-2)


def test_the_loss_is_bounded_below_alpha_0(points):
    _, alpha, _, loss, *_ = points
    below = alpha < 0
    finite = np.maximum(np.finfo(alpha.dtype).min, alpha[below])
    assert (loss[below] <= (finite - 2) / finite).all()


def test_the_slope_is_bounded(points):
    x, alpha, scale, _, slope, *_ = points
    room = 100 * EPS[x.dtype.type]
    convex = np.isfinite(alpha) & (alpha <= 2)
    most = (np.abs(x[convex]) + room) / scale[convex] ** 2
    assert (np.abs(slope[convex]) <= most).all()
    robust = np.isfinite(alpha) & (alpha <= 1)
    assert (np.abs(slope[robust]) <= (1 + room) / scale[robust]).all()


def test_the_loss_rises_with_alpha_and_falls_with_scale(points):
    _, alpha, _, _, _, in_alpha, in_scale = points
    finite = np.isfinite(alpha)
    # The reference's own slopes leave its signs: it allows −300 and +100 machine epsilons.
    assert (in_alpha[finite] >= 0).all()
    assert (in_scale[finite] <= 0).all()


def test_the_loss_does_not_depend_on_the_unit(points, device):
    x, alpha, scale, loss, *_ = points
    factor = np.maximum(0.2, np.exp(np.random.RandomState(1).normal(size=COUNT))).astype(x.dtype)
    given = (torch.tensor(one, device=device) for one in (factor * x, alpha, factor * scale))
    again = general.lossfun(*given).cpu().numpy()
    np.testing.assert_allclose(loss, again, rtol=1e-4, atol=1e-4)


NAMED = {
    -np.inf: lambda s: -mpmath.expm1(-s / 2),
    -2.0: lambda s: 2 * s / (s + 4),
    0.0: lambda s: mpmath.log1p(s / 2),
    1.0: lambda s: mpmath.sqrt(s + 1) - 1,
    2.0: lambda s: s / 2,
    4.0: lambda s: s**2 / 8 + s / 2,
    np.inf: lambda s: mpmath.expm1(s / 2),
}


@of_dtypes
@pytest.mark.parametrize("alpha", NAMED)
def test_named_losses(dtype, alpha, device):
    x = np.arange(-20, 20, 0.1, dtype)
    given = (torch.tensor(one, device=device) for one in (x, dtype(alpha), dtype(2)))
    loss = general.lossfun(*given).cpu().numpy()
    expected = [float(NAMED[alpha]((mpmath.mpf(float(one)) / 2) ** 2)) for one in x]
    tolerance = {np.float32: 1e-6, np.float64: 1e-15}[dtype]
    # e^(s/2) magnifies a rounding of s/2 = 50: where no kernel serves, two ulp for each of these
    # (tests/accuracy.py). The formula that the reference compares itself with errs by as much.
    relative = (8 + 2 * 50) * EPS[dtype] if alpha == np.inf else tolerance
    np.testing.assert_allclose(loss, expected, rtol=relative, atol=tolerance)


@of_dtypes
def test_the_approximation_is_near_the_loss(dtype, device):
    x = torch.tensor(np.arange(-10, 10, 0.1, dtype), device=device)
    for alpha in (-4, -2, -0.2, -0.01, 0.01, 0.2, 1, 1.99, 2, 2.01, 4):
        given = (x, x.new_tensor(alpha), x.new_tensor(1.7))
        exact = general.lossfun(*given)
        assert torch.equal(general.lossfun(*given, approximate=True), exact)
        b = abs(alpha - 2) + 1e-6
        d = alpha + 1e-6 if alpha >= 0 else alpha - 1e-6
        formula = (b / d) * (((x.double() / 1.7) ** 2 / b + 1) ** (d / 2) - 1)
        torch.testing.assert_close(exact.double(), formula, rtol=1e-5, atol=1e-4)


@of_dtypes
@pytest.mark.parametrize("approximate", [False, True])
def test_losses_and_slopes_are_finite(dtype, approximate, device):
    rng = np.random.RandomState(0)
    x = dtype(rng.normal(size=COUNT))
    for one in evaluated(
        x, shapes(rng, dtype), scales(rng, dtype), device, approximate=approximate
    ):
        assert np.isfinite(one).all()


@of_dtypes
def test_slopes_are_those_of_differences(dtype, device):
    rng = np.random.RandomState(0)
    point = [dtype(rng.normal(size=COUNT)), shapes(rng, dtype), dtype(rng.uniform(0.5, 1.5, COUNT))]
    loss, *slopes = evaluated(*point, device)
    step = dtype(1e-3)
    for place, slope in enumerate(slopes):
        moved = [one + step if place == at else one for at, one in enumerate(point)]
        difference = (evaluated(*moved, device)[0] - loss) / step
        assert np.percentile(np.abs(difference - slope), 95) <= 1e-2


# --------------------------------------------------------------------------- signature and refusals


def test_numbers_are_taken_too(device):
    x = torch.tensor([1.0, 2.0], device=device, dtype=torch.float64)
    expected = general.lossfun(x, torch.ones_like(x), 3 * torch.ones_like(x))
    torch.testing.assert_close(general.lossfun(x, 1.0, 3), expected)
    torch.testing.assert_close(general.lossfun(x, alpha=x.new_tensor([1.0]), scale=3.0), expected)


def test_refusals(device):
    x, one = torch.zeros(2, device=device), torch.ones(1, device=device)
    for refused, kind, message in (
        ((x, one, one.double()), TypeError, "`scale` must have the dtype of `x`, torch.float32"),
        ((x, one.double(), one), TypeError, "`alpha` must have the dtype of `x`"),
        # It holds for arrays, which have no `to`.
        (
            (x.cpu().numpy(), np.ones(1), 1.0),
            TypeError,
            r"torch.as_tensor\(alpha, dtype=torch.float",
        ),
        ((x, one, one, True, 1e-9), ValueError, "`epsilon` must be above"),
    ):
        for expected in (kind, AssertionError):
            with pytest.raises(expected, match=message):
                general.lossfun(*refused)
    with pytest.raises(ValueError, match="`scale` must lie in"):
        general.lossfun(x, one, -1.0)
    assert general.lossfun(x, one, -one).isnan().all()
