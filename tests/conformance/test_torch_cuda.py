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


def test_the_host_does_not_wait(torch, backend, started):
    given = leaves(backend)
    step(given)  # builds the kernels
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(given)
        robloss.nll(*given).sum().backward()
        robloss.loss(given[0].detach(), 0.5)
    finally:
        torch.cuda.set_sync_debug_mode("default")


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


def test_what_is_not_built_is_refused_in_a_graph(torch, backend, monkeypatch):
    from robloss._backends import torch_cuda

    x, alpha, scale = (one.detach() for one in leaves(backend))
    monkeypatch.setattr(torch_cuda, "_kernels", {})
    with (
        pytest.raises(RuntimeError, match="must be built before a graph is captured"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        robloss.loss(x, alpha, scale)


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
