"""What docs/compat.md says of robust_loss_pytorch's numbers, by its formulas written out."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import peers  # noqa: E402

from robloss.compat import general, util  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.option == "torch")


def both(dtype, *point):
    """For the reference's formula and for ours: the loss, and its slopes in x, alpha and scale."""
    found = []
    for function in (peers.reference_loss, general.lossfun):
        inputs = [torch.tensor(one, dtype=dtype, requires_grad=True) for one in point]
        loss = function(*inputs)
        found.append([loss.item(), *(one.item() for one in torch.autograd.grad(loss, inputs))])
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_near_0(dtype):
    (theirs, *_), (ours, *_) = both(dtype, 1.0, 1e-9, 1.0)
    assert ours == pytest.approx(math.log(1.5))
    assert theirs < 0.1 * ours


@pytest.mark.parametrize("x", [1e-4, 3e-4])
def test_small_residuals_in_float32(x):
    (theirs, *_), (ours, *_) = both(torch.float32, x, 1.0, 1.0)
    assert theirs == 0
    assert ours == pytest.approx(x * x / 2, rel=1e-6)


def test_slopes_in_alpha_at_0_and_2():
    at_0, at_2 = (both(torch.float64, 1.0, alpha, 1.0) for alpha in (0.0, 2.0))
    assert at_0[0][2] == at_2[0][2] == 0
    assert at_0[1][2] == pytest.approx(0.005035, abs=1e-6)  # t²/4 − t/2 + u/(2(1 + u))
    # (s/4) log(1/d) + …, d = 2.2e-16 below 2
    assert at_2[1][2] == pytest.approx(0.25 * math.log(1 / 2.2e-16), rel=0.1)


def test_the_sign_of_the_slope_in_alpha():
    rng = np.random.default_rng(0)
    x = np.float32(10 ** rng.uniform(-4, -2, 5000))
    alpha = np.float32(rng.uniform(-2, 1.9, 5000))
    slopes = []
    for function in (peers.reference_loss, general.lossfun):
        inputs = torch.tensor(x), torch.tensor(alpha, requires_grad=True), torch.ones(5000)
        (slope,) = torch.autograd.grad(function(*inputs).sum(), inputs[1])
        slopes.append(slope.numpy())
    assert 0.3 < np.mean(slopes[0] < 0) < 0.5
    assert (slopes[1] >= 0).all()


@pytest.mark.parametrize("alpha", [-math.inf, math.inf])
def test_infinite_shapes(alpha):
    theirs, ours = both(torch.float64, 1.0, alpha, 1.0)
    assert np.isnan(theirs[1:]).all()
    assert np.isfinite(ours).all()


def test_residuals_whose_square_overflows():
    theirs, ours = both(torch.float32, 2e19, 1.0, 1.0)
    assert theirs[0] == math.inf
    assert np.isnan(theirs[1:]).any()
    assert ours[0] == pytest.approx(2e19, rel=1e-6)
    assert ours[1] == pytest.approx(1)
    assert np.isfinite(ours).all()


def test_students_t_of_many_degrees_of_freedom():
    x, df, scale = (torch.tensor(one) for one in (0.5, 1e6, 1.0))
    gammas = torch.lgamma(0.5 * df) - torch.lgamma(0.5 * df + 0.5) + 0.5 * torch.log(df)
    tail = 0.5 * (df + 1) * torch.log1p(x * x / df)
    theirs = tail + gammas + 0.5 * math.log(math.pi)
    normal = 0.5**2 / 2 + 0.5 * math.log(2 * math.pi)
    assert abs(theirs.item() - normal) > 0.05
    assert util.students_t_nll(x, df, scale).item() == pytest.approx(normal, abs=2e-6)
