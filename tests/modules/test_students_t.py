"""Student's t distribution: values against mpmath, slopes, limits."""

import math

import mpmath
import pytest

torch = pytest.importorskip("torch")

from robloss.torch import StudentsTLoss  # noqa: E402
from robloss.torch._students_t import students_t_nll  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")

DF = [1e-3, 0.1, 1.0, 2.0, 5.0, 23.9, 24.0, 24.1, 50.0, 1e3, 1e6, 1e12]
X = [0.0, 1e-8, 0.5, -3.0, 100.0, 1e17]


def exact(x, df, scale):
    with mpmath.workdps(40):
        x, df, scale = (mpmath.mpf(float(one)) for one in (x, df, scale))
        tail = (df + 1) / 2 * mpmath.log1p((x / scale) ** 2 / df)
        gammas = mpmath.loggamma(df / 2) - mpmath.loggamma((df + 1) / 2)
        return tail + mpmath.log(scale) + mpmath.log(mpmath.pi * df) / 2 + gammas


def naive(x, df, scale):
    gammas = torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2)
    tail = (df + 1) / 2 * torch.log1p((x / scale) ** 2 / df)
    return tail + torch.log(scale) + 0.5 * torch.log(math.pi * df) + gammas


def worst(function, dtype, device):
    """The largest error in machine epsilons of max(1, |value|)."""
    found = 0.0
    for df in DF:
        for x in X:
            given = [torch.tensor(one, dtype=dtype, device=device) for one in (x, df, 1.7)]
            value, truth = function(*given).item(), exact(*given)
            found = max(found, float(abs(value - truth) / max(1, abs(truth))))
    return found / torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values(dtype, device):
    # Largest found: 6.5, where ν nears 24 and two log Γ of size 14 are subtracted.
    assert worst(students_t_nll, dtype, device) < 8
    assert worst(naive, dtype, device) > 1e3


def test_a_residual_whose_square_overflows(device):
    x = torch.tensor([1e30, -1e30], device=device, requires_grad=True)
    one = torch.ones((), device=device)
    value = students_t_nll(x, one, one)
    torch.testing.assert_close(
        value.detach().cpu().double(),
        torch.full((2,), 139.29990),
        rtol=1e-6,
        atol=0,
        check_dtype=False,
    )
    value.sum().backward()
    torch.testing.assert_close(x.grad, 2 / x.detach())


def test_the_ends_of_the_family(device):
    x = torch.linspace(-5, 5, 11, dtype=torch.float64, device=device)
    one = torch.ones((), dtype=torch.float64, device=device)
    cauchy = torch.distributions.Cauchy(0.0, 2.0).log_prob(x.cpu())
    torch.testing.assert_close(students_t_nll(x, one, 2 * one).cpu(), -cauchy)
    normal = torch.distributions.Normal(0.0, 2.0).log_prob(x.cpu())
    for df in (torch.inf, 1e20):
        torch.testing.assert_close(students_t_nll(x, df * one, 2 * one).cpu(), -normal)


def test_slopes(device):
    def leaf(*values):
        return torch.tensor(values, dtype=torch.float64, device=device, requires_grad=True)

    x, df, scale = leaf(0.0, 0.5, 3.0, 40.0), leaf(0.3, 5.0, 25.0, 1e3), leaf(1.0, 2.0, 0.5, 3.0)
    assert torch.autograd.gradcheck(students_t_nll, (x, df, scale))
    assert torch.autograd.gradgradcheck(students_t_nll, (x, df, scale))


def test_a_fixed_scale(device):
    module = StudentsTLoss(2, 3.0, 3.0, device=device)
    assert [name for name, _ in module.named_parameters()] == ["log_df"]
    assert module.scale().tolist() == [3.0, 3.0]
    assert module.df().tolist() == [1.0, 1.0]
    module(torch.ones(2, device=device)).backward()
    assert module.log_df.grad.abs().sum() > 0


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_masked_residuals_add_nothing(bad, device):
    module = StudentsTLoss(1, reduction="none", device=device)
    x = torch.tensor([[1.0], [bad]], device=device, requires_grad=True)
    inputs = [x, *module.parameters()]
    found = torch.autograd.grad(module(x)[:1].sum(), inputs)
    only = torch.autograd.grad(module(x[:1]).sum(), inputs)
    torch.testing.assert_close(found, only)


def test_residuals_that_are_not_finite(device):
    module = StudentsTLoss(2, reduction="none", device=device)
    x = torch.tensor([torch.inf, torch.nan], device=device, requires_grad=True)
    values = module(x)
    values.sum().backward()
    assert values[0] == torch.inf
    assert values[1].isnan()
    assert x.grad[0] == 0
    assert x.grad[1].isnan()
    # The slope in the logarithm of the scale tends to −ν, here times that of softplus.
    assert module.latent_scale.grad[0] == pytest.approx(-(1 - 1e-5) * (1 - math.exp(-1)))
    assert module.latent_scale.grad[1].isnan()
    assert module.log_df.grad[1].isnan()


def test_samples_are_of_every_column(device):
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    df = torch.tensor([0.5, 1.0, 4.0, torch.inf])
    module = StudentsTLoss(4, scale_init=3.0, device=device)
    with torch.no_grad():
        module.log_df.copy_(df.log())
    count = 20_000
    draws = module.sample(count, torch.Generator(device).manual_seed(0))
    assert draws.shape == (count, 4)
    assert draws.dtype == torch.float32
    for column, number in zip(draws.detach().cpu().T.double(), df.tolist(), strict=True):
        law = stats.norm(0, 3) if number == math.inf else stats.t(number, 0, 3)
        # Its p value is uniform on (0, 1) for each of the four.
        assert stats.kstest(column.numpy(), law.cdf).pvalue > 1e-3
    other = stats.t(1.5, 0, 3)
    assert stats.kstest(draws[:, 1].detach().cpu().numpy(), other.cdf).pvalue < 1e-3
    draws[:, :3].sum().backward()
    assert (module.log_df.grad[:3] != 0).all()
    assert (module.latent_scale.grad[:3] != 0).all()
    assert module.sample().shape == (4,)
    with pytest.raises(ValueError, match="`shape` must have no negative side"):
        module.sample(-1)
