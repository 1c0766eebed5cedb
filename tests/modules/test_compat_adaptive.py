"""What robust_loss_pytorch tests of its `adaptive` but for images, at its tolerances or tighter."""

import inspect
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import robloss.compat as robust_loss_pytorch  # noqa: E402
from robloss.compat import AdaptiveLossFunction, StudentsTLossFunction  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")

of_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def on_host(tensor):
    return tensor.detach().cpu().numpy()


@of_dtypes
def test_shape_and_scale_start_as_given(dtype, device):
    rng = np.random.RandomState(0)
    for turn in range(8):
        low, high = dtype(rng.uniform()), dtype(rng.uniform() + 1)
        start = dtype(low + rng.uniform() * (high - low)) if turn % 2 == 0 else None
        scale, least = dtype(rng.uniform() + 0.5), dtype(rng.uniform() * 0.1)
        loss = AdaptiveLossFunction(10, dtype, device, low, high, start, least, scale)
        expected = (low + high) / 2 if start is None else start
        assert loss.alpha().shape == loss.scale().shape == (1, 10)
        # numpy.testing's default of 1e-7: in float32, less than an ulp
        np.testing.assert_allclose(on_host(loss.alpha()), np.full((1, 10), expected), rtol=1e-7)
        np.testing.assert_allclose(on_host(loss.scale()), np.full((1, 10), scale), rtol=1e-7)


@of_dtypes
def test_fixed_shape_and_scale(dtype, device):
    alpha, scale = 1.1, dtype(0.8)
    loss = AdaptiveLossFunction(10, dtype, device, alpha, alpha, None, scale, scale)
    assert len(torch.nn.ParameterList(loss.parameters())) == 0
    np.testing.assert_allclose(on_host(loss.alpha()), np.full((1, 10), alpha, dtype), rtol=1e-7)
    np.testing.assert_allclose(on_host(loss.scale()), np.full((1, 10), scale), rtol=1e-7)
    # A start is of no account then.
    assert AdaptiveLossFunction(1, dtype, device, 1, 1, 0.3).alpha().item() == 1


def mixed_data(count, columns, dtype):
    """Evenly spaced quantiles of Cauchy and normal laws, scaled and shifted, one in each column."""
    rng = np.random.RandomState(0)
    p = (np.arange(count) + 0.5) / count
    normal = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(p, dtype=torch.float64))
    laws = {0: math.sqrt(2) * np.tan(math.pi * (p - 0.5)), 2: normal.numpy()}
    mean = rng.normal(size=columns)
    alpha = (rng.uniform(size=columns) > 0.5) * 2
    scale = np.exp(np.clip(rng.normal(size=columns), -3, 3))
    samples = np.stack([laws[one] for one in alpha], axis=1) * scale + mean
    return [dtype(one) for one in (samples, mean, alpha, scale)]


def fitted(loss, samples, device, steps=1000):
    mean = torch.zeros(samples.shape[1], dtype=loss.float_dtype, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([*loss.parameters(), mean], lr=0.1)
    samples = torch.as_tensor(samples, device=device)
    for _ in range(steps):
        optimizer.zero_grad()
        loss.lossfun(samples - mean[np.newaxis, :]).sum().backward(retain_graph=True)
        optimizer.step()
    return mean


@of_dtypes
def test_the_adaptive_loss_finds_each_law(dtype, device):
    samples, mean, alpha, scale = mixed_data(100, 8, dtype)
    loss = AdaptiveLossFunction(8, dtype, device)
    found = fitted(loss, samples, device)
    for value, truth in ((loss.alpha()[0, :], alpha), (loss.scale()[0, :], scale), (found, mean)):
        np.testing.assert_allclose(on_host(value), truth, rtol=0.1, atol=0.1)


@of_dtypes
def test_students_t_finds_each_law(dtype, device):
    samples, mean, alpha, scale = mixed_data(100, 8, dtype)
    loss = StudentsTLossFunction(8, dtype, device)
    found = fitted(loss, samples, device)
    log_df = on_host(loss.log_df[0, :])
    np.testing.assert_allclose(log_df[alpha == 0], 0, atol=0.1)
    assert (log_df[alpha == 2] > 4).all()
    width = on_host(loss.scale()[0, :]) / np.sqrt(2 - alpha / 2)
    np.testing.assert_allclose(width, scale, rtol=0.1, atol=0.1)
    np.testing.assert_allclose(on_host(found), mean, rtol=0.1, atol=0.1)


@of_dtypes
@pytest.mark.parametrize("kind", [AdaptiveLossFunction, StudentsTLossFunction])
def test_dtypes_are_kept(dtype, kind, device):
    loss = kind(3, dtype, device)
    assert (
        on_host(loss.lossfun(torch.zeros(4, 3, device=device, dtype=loss.float_dtype))).dtype
        == dtype
    )
    assert on_host(loss.scale()).dtype == dtype
    assert loss.device.type == device
    same = kind(3, loss.float_dtype, device)
    assert same.float_dtype == loss.float_dtype


# ----------------------------------------------------------- what else programs written for it need


@pytest.mark.parametrize("kind", [AdaptiveLossFunction, StudentsTLossFunction])
def test_parameters_come_in_its_order_and_its_states_load(kind, device):
    loss = kind(2, np.float32, device)
    names = [name for name, _ in loss.named_parameters()]
    first = "latent_alpha" if kind is AdaptiveLossFunction else "log_df"
    assert names == [first, "latent_scale"]
    # As it saves them: parameters of shape (1, num_dims) and nothing else.
    saved = {name: torch.tensor([[0.1, -0.3]]) for name in names}
    whole = torch.nn.ModuleDict({"loss": loss})
    whole.load_state_dict({f"loss.{name}": one for name, one in saved.items()})
    for name, parameter in loss.named_parameters():
        assert torch.equal(parameter.cpu(), saved[name])
    with pytest.raises(RuntimeError, match="latent_scale"):
        loss.load_state_dict({first: saved[first]})
    fixed = AdaptiveLossFunction(2, np.float32, device, 1, 1)
    fixed.load_state_dict({"latent_scale": saved["latent_scale"]})
    assert fixed.alpha().tolist() == [[1, 1]]


def test_calling_the_module_is_its_lossfun(device):
    x = torch.tensor([[1.0], [-30.0]], device=device)
    for kind in (AdaptiveLossFunction, StudentsTLossFunction):
        loss = kind(1, np.float32, device)
        assert torch.equal(loss(x), loss.lossfun(x))
        assert torch.equal(loss.lossfun(x.cpu().numpy()), loss.lossfun(x.cpu())) or device != "cpu"


SIGNATURES = {
    "AdaptiveLossFunction": "num_dims, float_dtype, device, alpha_lo=0.001, alpha_hi=1.999, "
    "alpha_init=None, scale_lo=1e-05, scale_init=1.0",
    "StudentsTLossFunction": "num_dims, float_dtype, device, scale_lo=1e-05, scale_init=1.0",
    "lossfun": "x, alpha, scale, approximate=False, epsilon=1e-06",
    "general.lossfun": "x, alpha, scale, approximate=False, epsilon=1e-06",
    "adaptive.AdaptiveLossFunction.lossfun": "self, x, **kwargs",
    "adaptive.AdaptiveLossFunction.alpha": "self",
    "adaptive.AdaptiveLossFunction.scale": "self",
    "adaptive.StudentsTLossFunction.lossfun": "self, x",
    "adaptive.StudentsTLossFunction.df": "self",
    "distribution.analytical_base_partition_function": "numer, denom",
    "distribution.partition_spline_curve": "alpha",
    "distribution.inv_partition_spline_curve": "x",
    "distribution.Distribution": "",
    "distribution.Distribution.log_base_partition_function": "self, alpha",
    "distribution.Distribution.nllfun": "self, x, alpha, scale",
    "distribution.Distribution.draw_samples": "self, alpha, scale",
    "cubic_spline.interpolate1d": "x, values, tangents",
    "util.log_safe": "x",
    "util.log1p_safe": "x",
    "util.exp_safe": "x",
    "util.expm1_safe": "x",
    "util.inv_softplus": "y",
    "util.logit": "y",
    "util.affine_sigmoid": "logits, lo=0, hi=1",
    "util.inv_affine_sigmoid": "probs, lo=0, hi=1",
    "util.affine_softplus": "x, lo=0, ref=1",
    "util.inv_affine_softplus": "y, lo=0, ref=1",
    "util.students_t_nll": "x, df, scale",
    "util.compute_jacobian": "f, x",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name, device):
    found = robust_loss_pytorch
    for part in name.split("."):
        found = getattr(found, part)
    parameters = inspect.signature(found).parameters.values()
    plain = [str(one.replace(annotation=inspect.Parameter.empty)) for one in parameters]
    assert ", ".join(plain) == SIGNATURES[name]


REFUSALS = [
    ({"alpha_lo": np.zeros(2)}, "`alpha_lo` must be a scalar"),
    ({"alpha_hi": np.zeros(2)}, "`alpha_hi` must be a scalar"),
    ({"alpha_init": np.zeros(2)}, "`alpha_init` must be a scalar"),
    ({"alpha_lo": -0.1}, "`alpha_lo` must be nonnegative"),
    ({"alpha_lo": 1.0, "alpha_hi": 0.5}, "`alpha_hi` must be at least `alpha_lo`, 1.0"),
    ({"alpha_init": 1.999}, "`alpha_init` must be strictly between 0.001 and 1.999"),
    ({"scale_lo": np.zeros(2)}, "`scale_lo` must be a scalar"),
    ({"scale_init": np.zeros(2)}, "`scale_init` must be a scalar"),
    ({"scale_lo": 0.0}, "`scale_lo` must be positive"),
    ({"scale_lo": 2.0}, "`scale_init` must be at least `scale_lo`, 2.0"),
]


@pytest.mark.parametrize(("options", "message"), REFUSALS)
def test_numbers_out_of_range_are_value_errors(options, message, device):
    kinds = [AdaptiveLossFunction]
    if all(name.startswith("scale") for name in options):
        kinds.append(StudentsTLossFunction)
    for kind in kinds:
        with pytest.raises(ValueError, match=message):
            kind(2, np.float32, device, **options)


@pytest.mark.parametrize("kind", [AdaptiveLossFunction, StudentsTLossFunction])
def test_where_it_asserts_an_assertion_error_is_raised(kind, device):
    loss = kind(2, np.float32, device)
    for shape in ((2,), (3, 1), (4, 3, 2)):
        for error in (AssertionError, ValueError):
            with pytest.raises(error, match=r"`x` must have the shape \(batch, 2\), but got"):
                loss.lossfun(torch.zeros(shape, device=device))
    for error in (AssertionError, TypeError):
        with pytest.raises(
            error, match=r"`x` must have the dtype torch\.float32, but got .* torch\.as"
        ):
            loss.lossfun(torch.zeros(3, 2, device=device, dtype=torch.float64))
    with pytest.raises(TypeError, match="unexpected keyword"):
        loss.lossfun(torch.zeros(3, 2, device=device), no_such_option=1)
