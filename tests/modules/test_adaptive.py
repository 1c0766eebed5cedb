"""The adaptive loss: its values, its parameters, the shift, random numbers, learning."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import robloss  # noqa: E402
from robloss.torch import AdaptiveLoss  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")


def set_free(module, alpha, scale):
    with torch.no_grad():
        module.latent_alpha.copy_(torch.as_tensor(alpha))
        module.latent_scale.copy_(torch.as_tensor(scale))


def test_each_column_has_its_own_law(device):
    module = AdaptiveLoss(3, dtype=torch.float64, device=device)
    set_free(module, [-2.0, 0.0, 5.0], [-1.0, 0.0, 3.0])
    alpha = robloss.AlphaMap().forward(np.array([-2.0, 0.0, 5.0]))
    scale = robloss.ScaleMap().forward(np.array([-1.0, 0.0, 3.0]))
    x = np.linspace(-30, 30, 42).reshape(2, 7, 3)
    expected = robloss.nll(x, alpha, scale)
    # The generic formula is within a few ulp of the kernels' (tests/test_accuracy.py).
    values = module.nll(torch.from_numpy(x).to(device))
    np.testing.assert_allclose(values.detach().cpu(), expected, rtol=1e-13)
    np.testing.assert_allclose(module.alpha().detach().cpu(), alpha, rtol=1e-15)
    np.testing.assert_allclose(module.scale().detach().cpu(), scale, rtol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_starts_exactly_where_it_was_told(dtype, device):
    rng = np.random.default_rng(0)
    for _ in range(50):
        low, high, scale = (
            float(torch.tensor(v, dtype=dtype)) for v in (rng.random(), rng.random() + 1, 1.3)
        )
        start = float(torch.tensor(low + (high - low) * rng.uniform(0.01, 0.99), dtype=dtype))
        module = AdaptiveLoss(2, (low, high), start, scale_init=scale, dtype=dtype, device=device)
        # The free number is rounded: an ulp. Computed in float32, the map would add some.
        tolerance = torch.finfo(dtype).eps
        np.testing.assert_allclose(module.alpha().detach().cpu(), start, rtol=tolerance)
        assert (module.scale() == scale).all()
        middle = AdaptiveLoss(2, (low, high), dtype=dtype, device=device).alpha()
        expected = torch.tensor((low + high) / 2, dtype=dtype)
        np.testing.assert_allclose(middle.detach().cpu(), expected, rtol=2.3e-16)


def test_gradients_are_those_of_the_functions(device):
    module = AdaptiveLoss(2, dtype=torch.float64, device=device)
    set_free(module, [-2.0, 1.0], [-1.0, 2.0])
    x = torch.tensor([[0.3, -20.0], [1.0, 2.0]], dtype=torch.float64, device=device)
    x.requires_grad_()
    free = [*module.parameters()]

    def value(latent_alpha, latent_scale, x):
        parameters = {"latent_alpha": latent_alpha, "latent_scale": latent_scale}
        return torch.func.functional_call(module, parameters, (x,))

    assert torch.autograd.gradcheck(value, (*free, x))
    assert torch.autograd.gradgradcheck(value, (*free, x))


def test_fixed_values_are_buffers_and_nothing_is_learned(device):
    module = AdaptiveLoss(2, (0.5, 0.5), scale_min=3.0, scale_init=3.0, device=device)
    assert list(module.parameters()) == []
    assert module.latent_alpha is None
    assert module.latent_scale is None
    assert {name for name, _ in module.named_buffers()} == {"fixed_alpha", "fixed_scale"}
    assert module.alpha().tolist() == [0.5, 0.5]
    assert module.scale().tolist() == [3.0, 3.0]
    x = torch.randn(4, 2, device=device, requires_grad=True)
    torch.testing.assert_close(module(x), robloss.nll(x, 0.5, 3.0).mean())
    module(x).backward()
    assert x.grad.isfinite().all()
    half = AdaptiveLoss(2, (0.5, 0.5))
    assert [name for name, _ in half.named_parameters()] == ["latent_scale"]


def test_least_squares_is_alpha_two(device):
    """Also at exactly 2, where the slope of the loss in alpha is infinite, the rest is learned."""
    module = AdaptiveLoss(1, (2.0, 2.0), device=device)
    x = torch.tensor([[1.0], [2.0]], device=device, requires_grad=True)
    module(x).backward()
    torch.testing.assert_close(x.grad, x.detach() / 2)
    assert module.latent_scale.grad.isfinite().all()


# ------------------------------------------------------------------------------- shifted above 0


def test_the_shift_makes_every_value_nonnegative_and_keeps_gradients(device):
    plain, shifted = (
        AdaptiveLoss(2, scale_min=0.01, reduction="none", nonnegative=choice, device=device)
        for choice in (False, True)
    )
    x = torch.tensor([[0.0, 1e-3], [0.1, -50.0]], device=device)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        free = 20 * torch.randn(2, 2, generator=generator).to(device)
        for module in (plain, shifted):
            set_free(module, *free)
            module.zero_grad()
            module(x).sum().backward()
        constant = -math.log(0.01) - robloss.log_partition(1.999)
        torch.testing.assert_close(shifted(x), plain(x) + constant)
        assert (shifted(x) >= 0).all()
        assert torch.equal(shifted.nll(x), plain.nll(x))
        for one, other in zip(plain.parameters(), shifted.parameters(), strict=True):
            assert torch.equal(one.grad, other.grad)
    set_free(plain, [0.0, 0.0], [-10.0, -10.0])
    assert (plain(x) < 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_least_value_is_0_where_all_is_fixed(dtype, device):
    for alpha, scale in ((0.3, 0.7), (1.0, 1.1), (2.0, 3.3)):
        module = AdaptiveLoss(
            1, (alpha, alpha), scale_min=scale, scale_init=scale, nonnegative=True, dtype=dtype,
            device=device,
        )  # fmt: skip
        assert module(torch.zeros(1, dtype=dtype, device=device)) == 0


# --------------------------------------------------------------------------------- random numbers


def test_samples_are_of_every_column(device):
    module = AdaptiveLoss(2, (1.5, 1.5), scale_init=3.0, device=device)
    set_scale = torch.tensor([-1.0, 1.0])
    with torch.no_grad():
        module.latent_scale.copy_(set_scale)
    generator = torch.Generator(device).manual_seed(0)
    draws = module.sample((20_000,), generator)
    assert draws.shape == (20_000, 2)
    assert draws.dtype == torch.float32
    expected = robloss.variance(1.5, module.scale().detach().cpu().numpy()) ** 0.5
    # 20 000 draws give a standard deviation to half a percent; four times that.
    np.testing.assert_allclose(draws.std(0).detach().cpu(), expected, rtol=0.02)
    again = module.sample((20_000,), torch.Generator(device).manual_seed(0))
    assert torch.equal(draws, again)
    assert module.sample().shape == (2,)
    assert module.sample(4).shape == (4, 2)


def test_samples_carry_gradients_to_the_scale_alone(device):
    module = AdaptiveLoss(2, device=device)
    module.sample((5,)).sum().backward()
    assert module.latent_scale.grad.abs().sum() > 0
    assert module.latent_alpha.grad is None or not module.latent_alpha.grad.any()


# ---------------------------------------------------------------------------------------- learning


def quantiles(alpha, scale, count=200):
    """What a sample of the law would be, without its noise."""
    p = (np.arange(count) + 0.5) / count
    return robloss.ppf(p, alpha, scale)


def test_it_learns_shape_and_scale_of_each_column(device):
    laws = [(0.0, 0.4), (1.0, 3.0), (2.0, 1.0)]
    x = np.stack([quantiles(*law) for law in laws], axis=1)
    x = torch.from_numpy(x).float().to(device)
    module = AdaptiveLoss(3, device=device)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(750):
        optimizer.zero_grad()
        module(x).backward()
        optimizer.step()
    # Of 200 quantiles the extreme ones are missing, which moves the estimate.
    np.testing.assert_allclose(module.alpha().detach().cpu(), [0.0, 1.0, 2.0], atol=0.08)
    np.testing.assert_allclose(module.scale().detach().cpu(), [0.4, 3.0, 1.0], rtol=0.08)
    # It is the estimate of the fit, whose optimum is exact.
    fit = robloss.fit_location(quantiles(1.0, 3.0), alpha_bounds=(0.001, 1.999))
    assert module.alpha()[1].item() == pytest.approx(fit.alpha, abs=0.01)


def test_parameters_left_out_of_the_optimiser_stay(device):
    """What users of the reference code forgot; the documentation tells them."""
    module = AdaptiveLoss(1, device=device)
    mean = torch.zeros(1, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([mean], lr=0.1)
    module(torch.tensor([[3.0]], device=device) - mean).backward()
    optimizer.step()
    assert module.alpha().item() == pytest.approx(1.0)
    assert all(parameter.grad is not None for parameter in module.parameters())
