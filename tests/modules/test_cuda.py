"""torch's way to the CUDA kernels, on a card that is this machine's processor."""

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import cuda_host
import numpy as np
import pytest

import robloss
from robloss._backends.cuda import WANTED, Kernel, launch

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.backends(lambda library: library.option == "torch")
on_host = pytest.mark.skipif(bool(cuda_host.missing), reason=cuda_host.missing)

SEED = 2019
DTYPES = ("float64", "float32", "float16", "bfloat16")
SLOPES = ("influence", "grad_alpha", "grad_scale")
RTOL = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}


@pytest.fixture
def started(monkeypatch):
    """The kernels that are started, on tensors of the CPU that pass for such of a device."""
    found = []
    cuda_host.on_paper(monkeypatch, found)
    return found


def leaves(*shapes, dtype="float64"):
    rng = np.random.default_rng(SEED)
    given = [rng.standard_cauchy(shapes[0]), rng.uniform(0.1, 1.9, shapes[1]),
             rng.uniform(0.5, 2.0, shapes[2])]  # fmt: skip
    return [torch.tensor(one, dtype=getattr(torch, dtype)).requires_grad_() for one in given]


def names(kernels):
    return [kernel.name for kernel in kernels]


def close(found, expected, dtype):
    torch.testing.assert_close(found, expected, rtol=RTOL[dtype], atol=RTOL[dtype] * 1e-3)


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_and_backward_are_three_kernels_and_the_numbers_of_numpy(started, dtype):
    given = leaves((70, 3), (), (), dtype=dtype)
    loss = robloss.loss(*given)
    assert names(started) == ["derive", "dense"]
    assert loss.dtype == given[0].dtype
    loss.backward(torch.ones((), dtype=loss.dtype).expand(70, 3))
    assert names(started[2:]) == ["derive", "pullback"]
    arrays = [one.detach().double().numpy() for one in given]
    close(loss.detach().double(), torch.from_numpy(robloss.loss(*arrays)), dtype)
    for name, one in zip(SLOPES, given, strict=True):
        terms = torch.from_numpy(getattr(robloss, name)(*arrays)).sum_to_size(one.shape)
        assert one.grad.dtype == one.dtype
        close(one.grad.double(), terms, dtype)


@on_host
@pytest.mark.parametrize("name", WANTED)
def test_each_operation_is_a_kernel(started, name):
    given = [one.detach() for one in leaves((70, 3), (), ())]
    found = getattr(robloss, name)(*given)
    assert names(started) == ["derive", "dense"]
    close(
        found, torch.from_numpy(getattr(robloss, name)(*[one.numpy() for one in given])), "float64"
    )
    started.clear()
    (slope,) = torch.autograd.grad(
        getattr(robloss, name)(given[0].requires_grad_(), *given[1:]).sum(), given[0]
    )
    assert bool(torch.isfinite(slope).all())
    # These are differentiated as the formula that computes them.
    assert (started == []) == (name in ("weight", "curvature", "grad_alpha"))


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shapes", "kernels"),
    [(((70, 3), (), ()), ["derive", "dense"]), (((70, 3), (3,), (1,)), ["columns"])],
    ids=["numbers", "columns"],
)
def test_several_operations_are_one_kernel(started, shapes, kernels, dtype):
    given = [one.detach() for one in leaves(*shapes, dtype=dtype)]
    found = robloss.evaluate(*given, outputs=WANTED)
    assert names(started) == kernels
    arrays = [one.double().numpy() for one in given]
    for name, value in zip(WANTED, found, strict=True):
        assert value.dtype == given[0].dtype
        close(value.double(), torch.from_numpy(getattr(robloss, name)(*arrays)), dtype)


@on_host
def test_several_operations_are_one_kernel_unless_torch_must_see_each(started):
    outputs = ("loss", "influence", "weight")
    given = leaves((70, 3), (), ())
    values = robloss.evaluate(*given, outputs=outputs)
    assert names(started) == 2 * ["derive", "dense"]  # of the weight torch records the formula
    assert all(one.requires_grad for one in values)
    with torch.no_grad():
        again = robloss.evaluate(*given, outputs=outputs)
    assert names(started[4:]) == ["derive", "dense"]
    for value, one in zip(values, again, strict=True):
        close(value.detach(), one, "float64")
    started.clear()
    x, alpha, scale = (one.detach() for one in given)
    mapped = torch.func.vmap(lambda row: robloss.evaluate(row, alpha, scale, outputs=outputs))(x)
    seen = []
    with _Watched(seen):
        robloss.evaluate(x, alpha, scale, outputs=outputs)
    assert seen.count("evaluate") == 3
    for value, one in zip(mapped, again, strict=True):
        close(value, one, "float64")


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", ["loss", "nll"])
def test_numbers_of_the_host_go_into_the_kernel(started, function, dtype):
    x = leaves((70, 3), (), (), dtype=dtype)[0].detach()
    function = getattr(robloss, function)
    for one in (x, x.T, x.reshape(7, 10, 3).transpose(0, 1), x[:, ::2], x[1:, 1:]):
        expected = torch.from_numpy(function(one.double().numpy(), 0.7, 1.3))
        close(function(one, 0.7, 1.3).double(), expected, dtype)
    assert names(started[:3]) == 3 * ["dense"]
    # Conversions to the dtype that is computed in fill gaps.
    assert {*names(started[3:])} <= ({"strided"} if dtype == "float64" else {"strided", "dense"})
    assert [one.member for one in started] == 5 * ["POWER"]


@on_host
def test_numbers_of_the_host_beside_tensors(started):
    x, alpha, scale = (one.detach() for one in leaves((70, 3), (3,), ()))
    for given in ((x, alpha, 1.3), (x, 0.7, scale), (x, scale, 1.3), (0.5, alpha, 1.3)):
        arrays = [one if isinstance(one, float) else one.numpy() for one in given]
        close(robloss.loss(*given), torch.from_numpy(robloss.loss(*arrays)), "float64")
    assert names(started) == ["columns", "columns", "columns", "strided"]


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("numbers", [(0.7001, 1.3001), (1.0, 1e-9), (1.0, 1e6)], ids=str)
def test_numbers_of_the_host_keep_their_digits_beside_a_narrow_x(started, numbers, dtype):
    size = min(numbers[1], 3e4)
    x = torch.linspace(-size, size, 7, dtype=getattr(torch, dtype)).requires_grad_()
    loss = robloss.loss(x, *numbers)
    (slope,) = torch.autograd.grad(loss.sum(), x)
    array = x.detach().double().numpy()
    for name, found in (("loss", loss.detach()), ("influence", slope)):
        assert found.dtype == x.dtype
        expected = torch.from_numpy(getattr(robloss, name)(array, *numbers))
        # One unit in the last place of 16 bits, normal or not.
        rtol = torch.finfo(x.dtype).eps if dtype in ("float16", "bfloat16") else RTOL[dtype]
        atol = torch.finfo(x.dtype).smallest_normal * rtol
        torch.testing.assert_close(found, expected.to(x.dtype), rtol=rtol, atol=atol)


@on_host
def test_a_gradient_for_each_element(started):
    given = leaves((40,), (), (1,))
    grad = torch.linspace(-1.0, 1.0, 40, dtype=torch.float64)
    found = torch.autograd.grad(robloss.loss(*given), given, grad)
    arrays = [one.detach().numpy() for one in given]
    for name, value in zip(SLOPES, found, strict=True):
        terms = grad * torch.from_numpy(getattr(robloss, name)(*arrays))
        close(value, terms.sum_to_size(value.shape), "float64")


@on_host
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shapes",
    [((70, 3), (3,), (3,)), ((2, 9, 4), (1, 4), ()), ((5, 4), (), (4,)), ((7,), (7,), (1,))],
    ids=str,
)
def test_the_backward_pass_by_columns_is_a_kernel(started, shapes, dtype):
    given = leaves(*shapes, dtype=dtype)
    loss = robloss.loss(*given)
    for grad in (torch.ones((), dtype=loss.dtype).expand(loss.shape), torch.rand_like(loss)):
        started.clear()
        found = torch.autograd.grad(loss, given, grad, retain_graph=True)
        assert names(started) == ["pullback_columns"]
        arrays = [one.detach().double().numpy() for one in given]
        for name, one, value in zip(SLOPES, given, found, strict=True):
            terms = grad.double() * torch.from_numpy(getattr(robloss, name)(*arrays))
            assert (value.dtype, value.shape) == (one.dtype, one.shape)
            assert value.is_contiguous()
            close(value.double(), terms.sum_to_size(one.shape), dtype)


@on_host
@pytest.mark.parametrize("turned", [False, True], ids=["x", "turned x"])
def test_a_step_of_an_adaptive_loss_is_four_kernels(started, turned):
    from robloss.torch import AdaptiveLoss

    x = torch.linspace(-3.0, 5.0, 40, dtype=torch.float64)
    x = x.reshape(4, 10).T if turned else x.reshape(10, 4)
    module = AdaptiveLoss(4, dtype=torch.float64)
    x.requires_grad_()
    module(x).backward()
    forward = "strided" if turned else "columns"
    assert sorted(names(started)) == sorted([forward, "partition", "partition", "pullback_columns"])
    found = [x.grad, *(one.grad for one in module.parameters())]
    started.clear()
    for one in (x, *module.parameters()):
        one.grad = None
    from robloss._backends import torch_operators

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_operators, "on_host", lambda tensors: True)
        module(x).backward()
    assert started == []
    for one, value in zip((x, *module.parameters()), found, strict=True):
        close(value, one.grad, "float64")


@on_host
def test_a_sign_that_torch_has_only_noted_counts(started):
    x = torch.imag(torch.complex(torch.zeros(5), torch.arange(1.0, 6.0)).conj())
    assert x.is_neg()
    expected = torch.from_numpy(robloss.influence(x.numpy(force=True), 1.0))
    for alpha in (1.0, torch.tensor(1.0)):
        close(robloss.influence(x, alpha), expected, "float32")
    assert len(names(started)) == 2


@on_host
def test_channels_that_lie_last_in_memory_are_columns(started):
    rng = np.random.default_rng(SEED)
    x = torch.tensor(rng.standard_cauchy((2, 3, 4, 5))).to(memory_format=torch.channels_last)
    alpha = torch.linspace(0.1, 1.9, 3, dtype=torch.float64).reshape(3, 1, 1)
    loss = robloss.loss(x, alpha, alpha)
    assert names(started) == ["columns"]
    assert loss.is_contiguous(memory_format=torch.channels_last)
    expected = robloss.loss(x.numpy(), alpha.numpy(), alpha.numpy())
    close(loss, torch.from_numpy(expected), "float64")


@on_host
@pytest.mark.parametrize(
    "shapes", [((6, 4), (4,), (4,)), ((6, 4), (6, 1), ()), ((), (5,), ()), ((0,), (), ())], ids=str
)
def test_parameters_of_any_shape(started, shapes):
    given = leaves(*shapes)
    loss = robloss.loss(*given)
    gradients = torch.autograd.grad(loss.sum(), given)
    arrays = [one.detach().numpy() for one in given]
    close(loss.detach(), torch.from_numpy(np.asarray(robloss.loss(*arrays))), "float64")
    for name, value in zip(SLOPES, gradients, strict=True):
        terms = torch.from_numpy(np.asarray(getattr(robloss, name)(*arrays)))
        close(value, terms.sum_to_size(value.shape), "float64")
    assert {*names(started)} <= {"strided", "columns", "dense", "derive", "pullback_columns"}


def _slope(alpha):
    from robloss._backends import evaluate

    return evaluate("log_partition_derivative", alpha)


@on_host
def test_log_partition_and_its_derivatives_are_kernels(started):
    alpha = torch.linspace(0.1, 6.1, 24, dtype=torch.float64).reshape(4, 6).T.requires_grad_()
    log_z = robloss.log_partition(alpha)
    (slope,) = torch.autograd.grad(log_z.sum(), alpha, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), alpha)
    assert names(started) == ["partition"] * 3
    assert log_z.stride() == torch.empty_like(alpha).stride()
    array, step = alpha.detach().numpy(), 1e-6
    close(log_z.detach(), torch.from_numpy(robloss.log_partition(array)), "float64")
    for one, of in ((slope, robloss.log_partition), (bend, _slope)):
        slopes = (of(array + step) - of(array - step)) / (2 * step)
        # Differences of numbers near 1, and the third derivative, where alpha passes 2.
        np.testing.assert_allclose(one.detach(), slopes, rtol=1e-5, atol=1e-5)


@on_host
def test_more_axes_than_a_kernel_has_room_for(started):
    x = torch.linspace(-3.0, 4.0, 2**10, dtype=torch.float64).reshape((2,) * 10)
    x = x.permute(*range(1, 10, 2), *range(0, 10, 2))
    alpha = torch.linspace(0.1, 1.9, 2, dtype=torch.float64)
    found = robloss.loss(x, alpha, alpha)
    assert names(started) == ["strided"]
    close(found, torch.from_numpy(robloss.loss(x.numpy(), alpha.numpy(), alpha.numpy())), "float64")


@on_host
@pytest.mark.parametrize("alpha", [(), (5,)], ids=["one alpha", "an alpha per column"])
def test_gradcheck(started, alpha):
    given = leaves((4, 5), alpha, ())
    assert torch.autograd.gradcheck(robloss.loss, given)
    assert torch.autograd.gradgradcheck(robloss.loss, given)


@on_host
def test_results_lie_in_memory_as_compilers_foresee(started):
    base = torch.linspace(-3.0, 4.0, 120, dtype=torch.float64).reshape(2, 3, 4, 5)
    alpha = torch.tensor(0.7, dtype=torch.float64)
    for x in (base, base.permute(0, 2, 3, 1), base.transpose(0, 3), base[:, ::2], base[..., :1]):
        for others in ((alpha, alpha), (torch.full(x.shape[-1:], 0.7, dtype=torch.float64), alpha)):
            found = robloss.loss(x, *others)
            assert found.stride() == torch.empty_like(x).stride()
            close(found, torch.from_numpy(robloss.loss(x.numpy(), 0.7, 0.7)), "float64")
    assert "dense" in names(started)
    assert "strided" in names(started)


@on_host
@pytest.mark.parametrize("function", ["loss", "nll"])
def test_results_may_be_written_into_whatever_their_layout(started, function):
    x, alpha, scale = leaves((5, 3), (5,), ())
    given = x.T, alpha, scale
    value = getattr(robloss, function)(*given)
    with torch.no_grad():
        unrecorded = getattr(robloss, function)(*given)
    terms = getattr(robloss, function)(*[one.detach().numpy() for one in given])
    for one in (value, unrecorded):
        assert one.stride() == given[0].stride()
        one *= scale
        close(one.detach(), torch.from_numpy(terms) * scale.detach(), "float64")


@on_host
def test_operators_are_sound(started):
    for name, columns in (("loss", ()), ("smooth_loss", ()), ("smooth_loss", (3,))):
        given = leaves((5, 3), columns, columns)
        torch.library.opcheck(torch.ops.robloss.evaluate.default, (name, torch.float64, *given))
        constants = [one.detach() for one in given]
        sample = (name, torch.float64, [True] * 3, torch.ones(5, 3).double(), *constants)
        torch.library.opcheck(torch.ops.robloss.gradients.default, sample)
    assert {"pullback", "pullback_columns"} <= {*names(started)}


class _Watched(torch.utils._python_dispatch.TorchDispatchMode):
    """Raises where a host would read a value of a device."""

    # The last is what is made of numbers, or of an array, in the memory of the host.
    WAIT = (
        "_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "item",
        "lift_fresh",
    )  # fmt: skip

    def __init__(self, seen=None):
        super().__init__()
        self.seen = [] if seen is None else seen

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        self.seen.append(name)
        if name in self.WAIT or ((kwargs or {}).get("device") is not None and name == "_to_copy"):
            raise AssertionError(f"the host waits in {name}")
        return function(*args, **(kwargs or {}))


@on_host
@pytest.mark.parametrize("name", ["loss", "smooth_loss"])
@pytest.mark.parametrize("alpha", [(), (3,)], ids=["one alpha", "an alpha per column"])
def test_the_host_reads_no_value(started, name, alpha):
    from robloss._backends import torch_operators as operators

    given = [one.detach() for one in leaves((7, 3), alpha, ())]
    with _Watched():
        operators.values(name, torch.float64, given)
        for grad in (torch.ones(7, 3).double(), torch.ones(()).double().expand(7, 3)):
            operators.slopes(name, torch.float64, [True] * 3, grad, given)
        for of_alpha in ("log_partition", "log_partition_derivative_beside_two"):
            operators.values(of_alpha, torch.float64, given[1:2])
        robloss.nll(given[0], 0.5, 2.0)
        with pytest.raises(AssertionError, match="the host waits"):
            given[2].item()


DENSITIES = ("nll", "pdf", "cdf", "ppf")


@pytest.fixture
def copied(monkeypatch):
    """What is kept of copies to a device."""
    from robloss._backends import torch as backend

    found = {}
    monkeypatch.setattr(backend, "_copied", found)
    return found


def _densities(x, alpha, scale, truncation):
    q = torch.sigmoid(x)
    return [
        getattr(robloss, name)(q if name == "ppf" else x, alpha, scale, truncation=truncation)
        for name in DENSITIES
    ]


@on_host
@pytest.mark.parametrize(
    ("alpha", "scale", "truncation"),
    [((3,), (), ()), ((3,), 1.3, 5.0), (-0.5, 1.3, 5.0), ((3,), (), None), (0.5, 1.3, None)],
    ids=str,
)
def test_nodes_of_a_quadrature_are_copied_once(started, copied, alpha, scale, truncation):
    rng = np.random.default_rng(SEED)

    def on_device(one):
        return torch.tensor(rng.uniform(0.5, 1.5, one)) if isinstance(one, tuple) else one

    given = on_device((7, 3)), on_device(alpha), on_device(scale), on_device(truncation)
    first = _densities(*given)
    kept = dict(copied)
    assert len(kept) == 2  # nodes and weights
    with _Watched():
        again = _densities(*given)
    assert copied == kept
    arrays = [one.numpy() if isinstance(one, torch.Tensor) else one for one in given]
    for name, one, other in zip(DENSITIES, first, again, strict=True):
        assert torch.equal(one, other)
        x = 1 / (1 + np.exp(-arrays[0])) if name == "ppf" else arrays[0]
        wanted = getattr(robloss, name)(x, *arrays[1:3], truncation=arrays[3])
        np.testing.assert_allclose(one, wanted, rtol=1e-10)


@on_host
def test_the_host_waits_for_nodes_that_were_not_copied(started, copied):
    x = torch.ones(3).double()
    with _Watched(), pytest.raises(AssertionError, match="the host waits in lift_fresh"):
        robloss.nll(x, 0.5, 1.3, truncation=5.0)
    assert not copied  # what a mode observes is not kept


@on_host
def test_nodes_are_kept_for_each_dtype_and_for_all_modes(started, copied):
    with torch.inference_mode():
        inferred = robloss.cdf(torch.ones(3).double(), 0.5)
    assert inferred.is_inference()
    assert {key[1] for key in copied} == {torch.float64}
    assert not any(one.is_inference() for one in copied.values())
    alpha = torch.tensor(0.5).double().requires_grad_()
    robloss.cdf(torch.ones(3).double(), alpha).sum().backward()
    assert bool(torch.isfinite(alpha.grad))
    mapped = torch.func.vmap(lambda x: robloss.cdf(x, 0.5))(torch.ones(3))
    assert {key[1] for key in copied} == {torch.float64}  # not in a transform
    close(mapped, robloss.cdf(torch.ones(3), 0.5), "float32")
    assert {key[1] for key in copied} == {torch.float64, torch.float32}


@on_host
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_the_slope_in_alpha_at_two(started):
    x, scale = torch.tensor([0.5, -2.0]).double(), torch.tensor(1.0).double()
    for name, is_finite in (("nll", True), ("loss", False)):
        alpha = torch.tensor(2.0).double().requires_grad_()
        getattr(robloss, name)(x, alpha, scale).sum().backward()
        assert bool(torch.isfinite(alpha.grad)) == is_finite
    assert [kernel.is_smooth for kernel in started if kernel.name == "pullback"] == [True, False]


# --------------------------------------------------------------------------- NVIDIA's bindings


@pytest.fixture
def driver(monkeypatch):
    """Bindings that note what they are called with."""
    calls = []

    def noted(name, *results):
        return lambda *given: (calls.append((name, *given)), (0, *results))[1]

    module = SimpleNamespace(
        cuDeviceGet=noted("get", 0),
        cuDevicePrimaryCtxRetain=noted("retain", "context"),
        cuCtxPushCurrent=noted("push"),
        cuCtxPopCurrent=noted("pop", "context"),
        cuModuleLoadData=noted("load", "module"),
        cuModuleGetFunction=noted("function", "function"),
    )
    bindings = ModuleType("cuda.bindings")
    bindings.driver = module
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    from robloss._backends import torch_cuda

    torch_cuda._context.cache_clear()
    yield SimpleNamespace(module=module, calls=calls)
    torch_cuda._context.cache_clear()


def test_arguments_are_passed_by_their_addresses(driver):
    from robloss._backends import torch_cuda

    by = np.array([(1.5, 2)], [("a", "f8"), ("b", "i8")])
    seen = []

    def start(function, *given):
        *_, shared, stream, addresses, extra = given
        pointers = (ctypes.c_void_p * 2).from_address(addresses)
        seen.append(ctypes.c_longlong.from_address(pointers[0]).value)
        seen.append(ctypes.c_double.from_address(pointers[1]).value)
        seen.append((function, given[:6], shared, stream, extra))
        return (0,)

    driver.module.cuLaunchKernel = start
    torch_cuda._start("function", 0, 7, 123, (2**40, by))
    assert seen == [2**40, 1.5, ("function", (7, 1, 1, launch.THREADS, 1, 1), 0, 123, 0)]
    assert [call[0] for call in driver.calls] == ["get", "retain", "push", "pop"]
    driver.module.cuLaunchKernel = lambda *given: (700,)
    with pytest.raises(RuntimeError, match="700"):
        torch_cuda._start("function", 0, 7, 123, ())
    assert [call[0] for call in driver.calls][-2:] == ["push", "pop"]


def test_the_formula_serves_where_kernels_cannot_be_built(monkeypatch):
    robloss.loss(torch.ones(1), 1.0)
    from robloss._backends import torch as backend
    from robloss._backends import torch_cuda, torch_operators

    class Paper(torch_cuda.Card):
        def start(self, kernel, blocks, arguments):
            return torch_cuda._built(kernel, -1) is not None

    def fails(*given):
        raise OSError("no compiler for torch")

    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch_cuda, "compiled", fails)
    monkeypatch.setattr(torch_cuda, "_kernels", {})
    monkeypatch.setattr(torch_cuda, "card_of", Paper)
    monkeypatch.setattr(torch_operators, "on_host", lambda tensors: False)
    monkeypatch.setattr(backend, "_are_plain", lambda inputs: False)
    given = leaves((9,), (), ())
    with pytest.warns(RuntimeWarning, match="cannot be built .OSError: no compiler for torch"):
        loss = robloss.loss(*given)
    gradients = torch.autograd.grad(loss.sum(), given)  # warnings are errors: there is no second
    arrays = [one.detach().numpy() for one in given]
    np.testing.assert_allclose(loss.detach(), robloss.loss(*arrays), rtol=1e-12)
    np.testing.assert_allclose(gradients[0], robloss.influence(*arrays), rtol=1e-12)


def test_nothing_is_built_while_a_graph_is_captured(monkeypatch):
    robloss.loss(torch.ones(1), 1.0)
    from robloss._backends import torch_cuda

    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match="must be built before a graph is captured, but got 'd"):
        torch_cuda._built(Kernel("dense", "float32", ("loss",), "DERIVED"), -1)


@on_host
def test_an_adapted_fit_takes_its_second_derivatives_from_one_kernel(started):
    rng = np.random.default_rng(SEED)
    X, noise = rng.normal(size=(3000, 2)), rng.standard_t(2.0, 3000)
    y = X @ [1.0, -2.0] + noise
    fit = robloss.fit_linear(torch.tensor(X), torch.tensor(y))
    assert names(started).count("bends") >= fit.n_iter
    by_numpy = robloss.fit_linear(X, y)
    assert fit.alpha == pytest.approx(by_numpy.alpha, abs=1e-7)
    np.testing.assert_allclose(fit.coef, by_numpy.coef, rtol=1e-8)
