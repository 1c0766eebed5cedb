"""torch.compile follows every module whole."""

import pytest

torch = pytest.importorskip("torch")

import robloss  # noqa: E402
from robloss.torch import AdaptiveImageLoss, AdaptiveLoss, GeneralLoss, StudentsTLoss  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")

MODULES = {
    "general": lambda: GeneralLoss(0.5, 2.0),
    "adaptive": lambda: AdaptiveLoss(3),
    "fixed alpha": lambda: AdaptiveLoss(3, (1.0, 1.0)),
    "nonnegative": lambda: AdaptiveLoss(3, nonnegative=True),
    "students t": lambda: StudentsTLoss(3),
}


@pytest.mark.parametrize("name", MODULES)
def test_one_graph_with_the_same_values_and_slopes(name, device):
    module = MODULES[name]().to(device)
    # aot_eager traces as every compiler does, forwards and backwards, without its minutes.
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x = torch.linspace(-4, 7, 15, device=device).reshape(5, 3).requires_grad_()
    inputs = [x, *module.parameters()]
    slopes = [torch.autograd.grad(one(x), inputs) for one in (module, compiled)]
    torch.testing.assert_close(compiled(x), module(x))
    torch.testing.assert_close(*slopes)


DYNAMIC = {
    **{name: (MODULES[name], (3,)) for name in ("general", "adaptive", "students t")},
    "images": (lambda: AdaptiveImageLoss((3, 4, 4)), (3, 4, 4)),
}


def _batch(count, shape, device):
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, *shape, generator=generator).to(device)


@pytest.mark.parametrize("name", DYNAMIC)
def test_batches_of_any_size_share_a_graph(name, device):
    make, shape = DYNAMIC[name]
    module, graphs = make().to(device), []

    def compiler(graph, _):
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend=compiler)
    for count in range(2, 10):  # also as many as there are columns
        x = _batch(count, shape, device)
        torch.testing.assert_close(compiled(x), module(x))
    assert len(graphs) <= 2


def test_shapes_in_a_tensor_share_a_graph(device):
    graphs = []

    def compiler(graph, _):
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    compiled = torch.compile(robloss.loss, fullgraph=True, backend=compiler)
    x = _batch(5, (3,), device)
    for alpha in torch.linspace(2, -2, 12, device=device):
        torch.testing.assert_close(compiled(x, alpha, 0.1), robloss.loss(x, alpha, 0.1))
    assert len(graphs) == 1


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", DYNAMIC)
def test_export_with_batches_of_any_size(name, strict, device):
    if name == "adaptive" and not strict and torch.__version__.startswith("2.7."):
        pytest.skip("torch 2.7 loses count of buffers that are None, where it exports unstrictly")
    make, shape = DYNAMIC[name]
    module = make().to(device)
    sizes = ({0: torch.export.Dim("batch")},)
    given = (_batch(4, shape, device),)
    exported = torch.export.export(module, given, dynamic_shapes=sizes, strict=strict).module()
    for count in (3, 9, 48):
        x = _batch(count, shape, device)
        torch.testing.assert_close(exported(x), module(x))
