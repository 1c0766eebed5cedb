"""The CUDA kernels under torch, where they run: on which stream, in graphs, without a wait."""

import numpy as np
import pytest
from backends import Library

import robloss

pytestmark = pytest.mark.backends(lambda library: library is Library.TORCH_CUDA)

X = np.linspace(-4.0, 9.0, 1000)
SLOPES = ("influence", "grad_alpha", "grad_scale")


@pytest.fixture
def torch(backend):
    return pytest.importorskip("torch")


@pytest.fixture
def started(torch, monkeypatch):
    """The kernels that are started, all of them built."""
    robloss.loss(torch.ones(1), 1.0)
    from robloss._backends import torch_cuda

    found = []
    start = torch_cuda.Card.start

    def noted(self, kernel, blocks, arguments):
        found.append(kernel)
        assert start(self, kernel, blocks, arguments)
        return True

    monkeypatch.setattr(torch_cuda.Card, "start", noted)
    return found


def leaves(backend, dtype="float64"):
    return [backend.array(one, dtype).requires_grad_() for one in (X, 0.7, 1.3)]


def step(given):
    """A forward and a backward pass."""
    for one in given:
        one.grad = None
    loss = robloss.loss(*given)
    loss.mean().backward()
    return loss


def expected_slopes():
    return [getattr(robloss, name)(X, 0.7, 1.3) / X.size for name in SLOPES]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_forward_and_backward_are_kernels(backend, started, dtype):
    given = leaves(backend, dtype)
    loss = step(given)
    names = [kernel.name for kernel in started]
    assert names == ["derive", "dense", "derive", "pullback"]
    rtol = {"float64": 1e-12, "float32": 1e-5}[dtype]
    np.testing.assert_allclose(backend.to_numpy(loss), robloss.loss(X, 0.7, 1.3), rtol=rtol)
    for one, terms in zip(given, expected_slopes(), strict=True):
        wanted = terms if one.ndim else terms.sum()
        np.testing.assert_allclose(backend.to_numpy(one.grad), wanted, rtol=rtol, atol=1e-9)


def adaptive(torch, backend, dtype="float64"):
    """A module of ten columns, each elsewhere, and its residuals."""
    from robloss.torch import AdaptiveLoss

    module = AdaptiveLoss(10, device="cuda", dtype=getattr(torch, dtype))
    with torch.no_grad():
        for latent in module.parameters():
            latent.copy_(torch.linspace(-1.0, 1.0, 10))
    return module, backend.array(X.reshape(-1, 10), dtype).requires_grad_()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_columns_are_one_kernel(torch, backend, started, dtype):
    shapes = [X.reshape(-1, 10), np.linspace(0.1, 3.0, 10), np.linspace(0.5, 2.0, 10)]
    given = [backend.array(one, dtype).requires_grad_() for one in shapes]
    loss = robloss.loss(*given)
    loss.mean().backward()
    assert [kernel.name for kernel in started] == ["columns", "pullback_columns"]
    first = [one.grad for one in given]
    again = torch.autograd.grad(robloss.loss(*given).mean(), given)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)  # sums in the same order
    arrays = [backend.to_numpy(one).astype(float) for one in given]
    rtol = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}[dtype]
    for name, one, value in zip(SLOPES, given, first, strict=True):
        terms = getattr(robloss, name)(*arrays) / X.size
        wanted = terms if one.ndim == 2 else terms.sum(axis=0)
        found = backend.to_numpy(value).astype(float)
        size = np.abs(terms) if one.ndim == 2 else np.abs(terms).sum(axis=0)
        assert np.all(np.abs(found - wanted) <= rtol * size + 1e-7 * (dtype == "float16"))


@pytest.mark.parametrize(("rows", "columns"), [(1_000_003, 3), (3001, 4096), (1, 100_003)])
def test_columns_of_any_width(torch, backend, rows, columns):
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(rows, columns, generator=generator, device="cuda", dtype=torch.float64)
    alpha = torch.linspace(0.1, 3.0, columns, dtype=torch.float64, device="cuda")
    scale = torch.linspace(0.5, 2.0, columns, dtype=torch.float64, device="cuda")
    given = [one.requires_grad_() for one in (x, alpha, scale)]
    above = torch.randn(rows, columns, generator=generator, device="cuda", dtype=torch.float64)
    found = torch.autograd.grad(robloss.loss(*given), given, above)
    for name, value in zip(SLOPES, found, strict=True):
        terms = above * getattr(robloss, name)(*[one.detach() for one in given])
        size = terms.abs().sum_to_size(value.shape)
        assert bool(((value - terms.sum_to_size(value.shape)).abs() <= 1e-13 * size).all())


def test_log_partition_and_its_slope_are_kernels(backend, started):
    alpha = backend.array(np.linspace(0.0, 6.0, 61)).requires_grad_()
    log_z = robloss.log_partition(alpha)
    log_z.sum().backward()
    assert [kernel.name for kernel in started] == ["partition", "partition"]
    wanted = robloss.log_partition(backend.to_numpy(alpha))
    np.testing.assert_allclose(backend.to_numpy(log_z), wanted, rtol=1e-14)


def test_the_host_does_not_wait(torch, backend, started):
    given = leaves(backend)
    module, x = adaptive(torch, backend)
    robloss.nll(*given, truncation=5.0)  # what it copies is kept
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(given)
        robloss.nll(*given).sum().backward()
        robloss.nll(given[0].detach(), 0.5, 2.0)
        robloss.loss(given[0].detach(), 0.5)
        robloss.nll(*given, truncation=5.0).sum().backward()
        module(x).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_an_adaptive_loss_in_a_graph(torch, backend):
    module, x = adaptive(torch, backend)
    leaves = [x, *module.parameters()]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            torch.autograd.grad(module(x), leaves)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = module(x)
        found = torch.autograd.grad(loss, leaves)
    with torch.no_grad():
        x.mul_(2.0)
        module.latent_alpha.add_(0.5)
    graph.replay()
    wanted_loss = module(x)
    wanted = torch.autograd.grad(wanted_loss, leaves)
    for one, other in zip((loss, *found), (wanted_loss, *wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.filterwarnings("ignore")  # inductor warns of what it is, by version
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_an_adaptive_loss_compiled(torch, backend, mode):
    torch.compiler.reset()
    module, x = adaptive(torch, backend)
    leaves = [x, *module.parameters()]
    compiled = torch.compile(module, fullgraph=True, mode=mode)
    wanted = torch.autograd.grad(module(x), leaves)
    for _ in range(4):  # warm-up, recording and replays
        found = torch.autograd.grad(compiled(x), leaves)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)
    torch.compiler.reset()


def test_any_stream(torch, backend):
    x = backend.array(np.tile(X, 10_000))
    alpha = backend.array(0.7)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        found = robloss.loss(x * 2, alpha, alpha)
    stream.synchronize()
    np.testing.assert_allclose(
        backend.to_numpy(found[: X.size]), robloss.loss(2 * X, 0.7, 0.7), rtol=1e-12
    )


def test_any_device(torch, backend):
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU alone")
    given = [one.detach().to("cuda:1").requires_grad_() for one in leaves(backend)]
    step(given)
    np.testing.assert_allclose(
        backend.to_numpy(given[0].grad), expected_slopes()[0], rtol=1e-12, atol=1e-15
    )


def test_a_graph_is_captured_and_replayed(torch, backend):
    given = leaves(backend)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # as torch asks: what is built is built before
        for _ in range(3):
            step(given)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    for one in given:
        one.grad = None
    with torch.cuda.graph(graph):
        loss = robloss.loss(*given)
        loss.mean().backward()
    with torch.no_grad():  # a graph takes what lies in the same memory when it is replayed
        given[0].mul_(2.0)
        given[1].fill_(-0.5)
    graph.replay()
    torch.cuda.synchronize()
    np.testing.assert_allclose(backend.to_numpy(loss), robloss.loss(2 * X, -0.5, 1.3), rtol=1e-12)
    wanted = robloss.grad_alpha(2 * X, -0.5, 1.3).mean()
    np.testing.assert_allclose(backend.to_numpy(given[1].grad), wanted, rtol=1e-12)


def test_numbers_of_the_host_in_a_graph(torch, backend, started):
    x = backend.array(X)
    outputs = ("loss", "influence", "weight")
    wanted = robloss.evaluate(2 * X, 0.7, 1.3, outputs=outputs)
    robloss.evaluate(x, 0.7, 1.3, outputs=outputs)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = robloss.evaluate(x, 0.7, 1.3, outputs=outputs)
    assert [kernel.name for kernel in started] == ["dense", "dense"]
    x.mul_(2.0)
    graph.replay()
    for one, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(backend.to_numpy(one), expected, rtol=1e-12)


def test_a_truncated_density_in_a_graph(torch, backend):
    x, alpha, scale = (one.detach() for one in leaves(backend))
    robloss.nll(x, alpha, scale, truncation=5.0)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = robloss.nll(x, alpha, scale, truncation=5.0)
    alpha.fill_(-0.5)
    graph.replay()
    wanted = robloss.nll(X, -0.5, 1.3, truncation=5.0)
    np.testing.assert_allclose(backend.to_numpy(found), wanted, rtol=1e-12)


def test_what_is_not_built_is_refused_in_a_graph(torch, backend, monkeypatch):
    from robloss._backends import torch_cuda

    x, alpha, scale = (one.detach() for one in leaves(backend))
    monkeypatch.setattr(torch_cuda, "_kernels", {})
    with (
        pytest.raises(RuntimeError, match="must be built before a graph is captured"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        robloss.loss(x + 1.0, alpha, scale)  # of a graph with nothing in it torch warns


@pytest.mark.filterwarnings("ignore")  # inductor warns of what it is, by version
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_in_one_graph(torch, backend, started, mode):
    torch.compiler.reset()
    compiled = torch.compile(lambda *given: robloss.loss(*given).mean(), fullgraph=True, mode=mode)
    given = leaves(backend)
    for _ in range(4):  # warm-up, recording and replays
        for one in given:
            one.grad = None
        compiled(*given).backward()
    for one, terms in zip(given, expected_slopes(), strict=True):
        wanted = terms if one.ndim else terms.sum()
        np.testing.assert_allclose(backend.to_numpy(one.grad), wanted, rtol=1e-12, atol=1e-12)
    assert "pullback" in {kernel.name for kernel in started}
    torch.compiler.reset()


def test_subnormal_residuals_count(torch, backend, started):
    x = backend.array([1e-40, 0.0], "float32")
    found = robloss.influence(x, backend.array(1.0, "float32"), backend.array(1.0, "float32"))
    np.testing.assert_allclose(backend.to_numpy(found), [1e-40, 0.0], rtol=1e-4)


def test_more_elements_than_32_bits_count(torch, backend):
    size = 2**31 + 5
    if torch.cuda.mem_get_info()[0] < 8 * size:
        pytest.skip("too little memory on the GPU")
    x = torch.zeros(size, dtype=torch.float16, device="cuda")
    x[-3:] = 1.0
    alpha = torch.tensor(0.5, device="cuda", dtype=torch.float16)
    found = robloss.loss(x, alpha, alpha)[-3:]
    expected = robloss.loss(np.ones(3, "float16"), 0.5, 0.5)
    np.testing.assert_allclose(backend.to_numpy(found), expected, rtol=2e-3)


def test_columns_of_more_elements_than_32_bits_count(torch, backend):
    rows = 2**25 + 1
    if torch.cuda.mem_get_info()[0] < 10 * rows * 64:
        pytest.skip("too little memory on the GPU")
    x = torch.zeros(rows, 64, dtype=torch.float16, device="cuda")
    x[-1] = 1.0
    alpha = torch.full((64,), 0.5, device="cuda", dtype=torch.float16, requires_grad=True)
    x.requires_grad_()
    in_x, in_alpha = torch.autograd.grad(robloss.loss(x, alpha).sum(), (x, alpha))
    expected = [robloss.influence(1.0, 0.5), robloss.grad_alpha(1.0, 0.5)]
    for found, wanted in zip((in_x[-1], in_alpha), expected, strict=True):
        np.testing.assert_allclose(backend.to_numpy(found), np.full(64, wanted), rtol=2e-3)
    assert float(in_x[:-1].abs().max()) == 0.0
