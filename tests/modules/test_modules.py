"""What holds of every module: what is saved, copied, converted; reductions; refusals."""

import copy
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robloss.compat import AdaptiveLossFunction, StudentsTLossFunction  # noqa: E402
from robloss.torch import AdaptiveImageLoss, AdaptiveLoss, GeneralLoss, StudentsTLoss  # noqa: E402
from robloss.torch._reduction import reduced  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")

# By name: how it is made, and how another one of the same kind is, with other numbers.
KINDS = {
    "general": (lambda: GeneralLoss(0.1, 2.5), lambda: GeneralLoss(1.0)),
    "adaptive": (
        lambda: AdaptiveLoss(3, (0.1, 1.7), 0.2, 1e-3, 2.0),
        lambda: AdaptiveLoss(3),
    ),
    "nonnegative": (
        lambda: AdaptiveLoss(3, (0.1, 1.7), nonnegative=True),
        lambda: AdaptiveLoss(3, nonnegative=True),
    ),
    "fixed alpha": (lambda: AdaptiveLoss(3, (0.3, 0.3)), lambda: AdaptiveLoss(3, (1.0, 1.0))),
    "fixed scale": (
        lambda: AdaptiveLoss(3, scale_min=0.7, scale_init=0.7),
        lambda: AdaptiveLoss(3, scale_min=2.0, scale_init=2.0),
    ),
    "students t": (lambda: StudentsTLoss(3, 0.1, 2.0), lambda: StudentsTLoss(3)),
    "compat": (
        lambda: AdaptiveLossFunction(3, np.float32, "cpu", 0.1, 1.7, 0.2, 1e-3, 2.0),
        lambda: AdaptiveLossFunction(3, np.float32, "cpu"),
    ),
    "compat students t": (
        lambda: StudentsTLossFunction(3, np.float32, "cpu", 0.1, 2.0),
        lambda: StudentsTLossFunction(3, np.float32, "cpu"),
    ),
}
of_kinds = pytest.mark.parametrize("kind", KINDS)


def moved(module, seed=0):
    """The module, with its parameters somewhere."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += torch.randn(parameter.shape, generator=generator).to(parameter)
    return module


def residuals(device="cpu", dtype=torch.float32):
    values = torch.linspace(-4, 7, 15, dtype=torch.float64).reshape(5, 3)
    return values.to(device=device, dtype=dtype)


@of_kinds
def test_the_state_is_complete(kind, device):
    make, make_other = KINDS[kind]
    module, other = moved(make()).to(device), make_other().to(device)
    x = residuals(device)
    assert not torch.equal(module(x), other(x))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(module(x), other(x))
    assert repr(other) == repr(module)


@of_kinds
@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch.save"])
def test_a_copy_is_a_module_of_its_own(kind, way, device):
    module = moved(KINDS[kind][0]()).to(device)
    if way == "deepcopy":
        twin = copy.deepcopy(module)
    elif way == "pickle":
        twin = pickle.loads(pickle.dumps(module))
    else:
        file = io.BytesIO()
        torch.save(module, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    x = residuals(device)
    before = module(x)
    assert torch.equal(twin(x), before)
    moved(module, seed=1)
    # It reads its own parameters, and learns them.
    assert torch.equal(twin(x), before)
    if list(twin.parameters()):
        assert not torch.equal(module(x), before)
        twin(x).sum().backward()
        assert all(one.grad is not None for one in twin.parameters())
        assert all(one.grad is None for one in module.parameters())


@of_kinds
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_dtypes(kind, dtype, device):
    module = moved(KINDS[kind][0]()).to(device=device, dtype=dtype)
    value = module(residuals(device, dtype))
    assert value.dtype == dtype
    assert value.device.type == device
    exact = copy.deepcopy(module).double()(residuals(device, dtype).double())
    # Values are of order 10; parameters are rounded to the dtype, which these slopes magnify.
    tolerance = 40 * torch.finfo(dtype).eps
    torch.testing.assert_close(value.double(), exact, rtol=tolerance, atol=tolerance)


def test_residuals_and_parameters_are_promoted(device):
    for module in (AdaptiveLoss(3), StudentsTLoss(3)):
        module.to(device)
        assert module(residuals(device, torch.float64)).dtype == torch.float64
        assert module(residuals(device, torch.float16)).dtype == torch.float32
        assert module.double()(residuals(device)).dtype == torch.float64


@pytest.mark.parametrize(
    "make",
    [
        lambda reduction: GeneralLoss(0.5, reduction=reduction),
        lambda reduction: AdaptiveLoss(3, reduction=reduction),
        lambda reduction: AdaptiveLoss(3, nonnegative=True, reduction=reduction),
        lambda reduction: StudentsTLoss(3, reduction=reduction),
    ],
)
def test_reductions(make, device):
    x = residuals(device)
    each, mean, total = (make(name).to(device)(x) for name in ("none", "mean", "sum"))
    assert each.shape == x.shape
    assert torch.equal(mean, each.mean())
    assert torch.equal(total, each.sum())


def test_the_gradient_of_a_mean_is_not_laid_out(device):
    if device != "cpu":
        pytest.skip("torch's mean serves elsewhere")
    values = torch.rand(10, 3, requires_grad=True)
    seen = []
    values.register_hook(seen.append)
    for result in (reduced(values, "mean"), values.mean()):
        torch.autograd.grad(result, values)
    assert torch.equal(*seen)
    assert seen[0].stride() == (0, 0)
    assert seen[1].stride() != (0, 0)


def test_means_of_narrow_floats_pass_through_no_narrow_sum(device):
    ones = torch.ones(100_000, dtype=torch.float16, device=device)
    assert reduced(ones, "mean") == 1.0
    assert torch.isinf(ones.sum())


@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 3), (2, 4, 5, 3), (0, 3)])
def test_any_leading_shape(shape, device):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    for module in (AdaptiveLoss(3), StudentsTLoss(3)):
        values = moved(module).to(device).nll(x)
        assert values.shape == x.shape
        rows = module.nll(x.reshape(-1, 3))
        assert torch.equal(values.reshape(-1, 3), rows)


def test_reset_parameters(device):
    for make in (lambda: AdaptiveLoss(2, alpha_init=0.3, scale_init=3.0), lambda: StudentsTLoss(2)):
        module = moved(make())
        module.reset_parameters()
        for one, other in zip(module.parameters(), make().parameters(), strict=True):
            assert torch.equal(one, other)


def test_a_module_made_without_memory_is_filled_later(device):
    module = AdaptiveLoss(2, alpha_init=0.3, device="meta").to_empty(device=device)
    module.reset_parameters()
    torch.testing.assert_close(module.alpha(), torch.full((2,), 0.3, device=device))


def test_general_loss_is_the_function(device):
    import robloss

    x = residuals(device)
    loss = GeneralLoss(0.5, 2.0, reduction="none")
    assert torch.equal(loss(x), robloss.loss(x, 0.5, 2.0))
    loss.alpha = -torch.inf  # a schedule lowers it
    assert torch.equal(loss(x), robloss.loss(x, -torch.inf, 2.0))


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("alpha", "a", TypeError),
        ("alpha", float("nan"), ValueError),
        ("scale", None, TypeError),
        ("scale", 0.0, ValueError),
        ("alpha", torch.nn.Parameter(torch.tensor(1.0)), TypeError),
        ("scale", torch.tensor(1.0, requires_grad=True), TypeError),
    ],
)
def test_what_is_set_on_general_loss_is_checked(name, value, kind):
    loss = GeneralLoss(0.5, 2.0)
    with pytest.raises(kind, match=f"`{name}` must"):
        setattr(loss, name, value)
    assert (loss.alpha, loss.scale) == (0.5, 2.0)


@of_kinds
def test_a_reduction_that_is_set_is_checked(kind):
    module = KINDS[kind][0]()
    with pytest.raises(ValueError, match="`reduction` must be 'none', 'mean' or 'sum', but got 'M"):
        module.reduction = "Mean"
    module.reduction = "sum"
    assert module(residuals()).ndim == 0


REFUSALS = [
    (lambda: GeneralLoss("2"), TypeError, "`alpha` must be a number, but got '2'"),
    (lambda: GeneralLoss(torch.zeros(2)), TypeError, "`alpha` must be a number"),
    (
        lambda: GeneralLoss(torch.nn.Parameter(torch.tensor(1.0))),
        TypeError,
        "`alpha` must be a number, but got a tensor that requires gradients. AdaptiveLoss learns",
    ),
    (lambda: GeneralLoss(1.0)(np.zeros(3)), TypeError, "`x` must be a torch.Tensor, but got nd"),
    (lambda: GeneralLoss(1.0)([1.0]), TypeError, "`x` must be a torch.Tensor, but got list"),
    (
        lambda: AdaptiveLoss(1, dtype=torch.int32),
        TypeError,
        "`dtype` must be a floating dtype, but got torch.int32",
    ),
    (lambda: StudentsTLoss(1, 1.0, 1.0, dtype=torch.int64), TypeError, "`dtype` must be a float"),
    (lambda: GeneralLoss(float("nan")), ValueError, "`alpha` must lie in .* but got nan"),
    (lambda: GeneralLoss(1.0, 0.0), ValueError, r"`scale` must lie in \(0, inf\), but got 0.0"),
    (
        lambda: GeneralLoss(1.0, reduction="avg"),
        ValueError,
        "`reduction` must be 'none', 'mean' or 'sum', but got 'avg'",
    ),
    (lambda: AdaptiveLoss(1.5), TypeError, "`num_dims` must be an integer, but got 1.5"),
    (lambda: AdaptiveLoss(0), ValueError, "`num_dims` must be at least 1, but got 0"),
    (lambda: AdaptiveLoss(1, 1.0), TypeError, "`alpha_range` must be two numbers, but got 1.0"),
    (lambda: AdaptiveLoss(1, (1.0, 0.5)), ValueError, "`alpha_range` must be finite and rise"),
    (lambda: AdaptiveLoss(1, (0.0, torch.inf)), ValueError, "`alpha_range` must be finite"),
    (
        lambda: AdaptiveLoss(1, (-1.0, 1.0)),
        ValueError,
        r"`alpha_range` must lie in \[0, inf\], but got -1.0. The density",
    ),
    (
        lambda: AdaptiveLoss(1, alpha_init=2.0),
        ValueError,
        r"`alpha_init` must lie in \(0.001, 1.999\), but got 2.0. Start strictly inside",
    ),
    (lambda: AdaptiveLoss(1, alpha_init=0.001), ValueError, "`alpha_init` must lie in"),
    (lambda: AdaptiveLoss(1, (1.0, 1.0), 0.5), ValueError, r"`alpha_init` must lie in \[1, 1\]"),
    (lambda: AdaptiveLoss(1, scale_min=0.0), ValueError, r"`scale_min` must lie in \(0, inf\)"),
    (
        lambda: AdaptiveLoss(1, scale_init=torch.inf),
        ValueError,
        r"`scale_init` must lie in \(0, inf\)",
    ),
    (
        lambda: AdaptiveLoss(1, scale_init=1e300),
        ValueError,
        r"`scale_init` must lie in the range of torch\.float32, but got 1e\+300\. Change the",
    ),
    (
        lambda: StudentsTLoss(1, 1e-60, 1e-50),
        ValueError,
        r"`scale_init` must lie in the range of torch\.float32, but got 1e-50",
    ),
    (
        lambda: AdaptiveImageLoss((3, 4, 4), scale_init=1e5, dtype=torch.float16),
        ValueError,
        r"`scale_init` must lie in the range of torch\.float16, but got 100000\.0",
    ),
    (lambda: AdaptiveLoss(1, scale_min=1e39, scale_init=1e39), ValueError, "in the range of"),
    (
        lambda: StudentsTLoss(1, 2.0, 1.0),
        ValueError,
        "`scale_init` must not be below `scale_min`, but got 1.0 and 2.0",
    ),
    (
        lambda: AdaptiveLoss(3)(np.zeros(3)),
        TypeError,
        "`x` must be a torch.Tensor, but got ndarray",
    ),
    (
        lambda: AdaptiveLoss(3)(torch.zeros(3, 2)),
        ValueError,
        r"`x` must have the shape \(..., 3\), but got \(3, 2\). Its last axis holds the columns",
    ),
    (
        lambda: StudentsTLoss(1)(torch.zeros(5)),
        ValueError,
        r"`x` must have the shape \(..., 1\), but got \(5,\). Add an axis .* x\[..., None\]",
    ),
    (lambda: AdaptiveLoss(1)(torch.tensor(1.0)), ValueError, r"but got \(\)"),
    *(
        (lambda one=one, kind=kind: one(torch.zeros(2, 1, dtype=kind)), TypeError, "real dtype")
        for one in (GeneralLoss(1.0), AdaptiveLoss(1), StudentsTLoss(1))
        for kind in (torch.bool, torch.complex64)
    ),
]


@pytest.mark.parametrize(("do", "kind", "message"), REFUSALS)
def test_refusals(do, kind, message, device):
    with pytest.raises(kind, match=message):
        do()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_scales_at_the_ends_of_the_range_are_held(dtype):
    info = torch.finfo(dtype)
    for scale in (info.tiny * info.eps, info.max):
        fixed = AdaptiveLoss(1, scale_min=scale, scale_init=scale, dtype=dtype)
        assert fixed.scale().item() == scale


def test_fixed_and_learned_do_not_mix(device):
    with pytest.raises(RuntimeError, match="fixed_alpha"):
        AdaptiveLoss(2).load_state_dict(AdaptiveLoss(2, (1.0, 1.0)).state_dict())


# ------------------------------------------------------------------------------- torch's machinery


@pytest.mark.parametrize("kind", ["adaptive", "nonnegative", "students t"])
def test_an_ensemble_is_mapped(kind, device):
    members = [moved(KINDS[kind][0](), seed).to(device) for seed in range(3)]
    parameters, buffers = torch.func.stack_module_state(members)

    def one(parameters, buffers, x):
        return torch.func.functional_call(members[0], (parameters, buffers), (x,))

    x = residuals(device)
    values = torch.func.vmap(one, in_dims=(0, 0, None))(parameters, buffers, x)
    torch.testing.assert_close(values, torch.stack([member(x) for member in members]))


# But for those of compat, which take residuals of their own dtype.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("compat")])
def test_under_autocast(kind, device):
    module = moved(KINDS[kind][0]()).to(device)
    line = torch.nn.Linear(3, 3).to(device)
    with torch.autocast(device, dtype=torch.bfloat16):
        x = line(residuals(device))
        assert x.dtype == torch.bfloat16
        value = module(x)
    # Parameters are float32.
    assert value.dtype == torch.float32 or kind == "general"
    torch.testing.assert_close(value, module(x.to(value.dtype)), rtol=1e-2, atol=1e-2)
    value.backward()
    assert all(one.grad.isfinite().all() for one in line.parameters())
