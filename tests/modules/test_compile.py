"""torch.compile follows every module whole."""

import pytest

torch = pytest.importorskip("torch")

from robloss.torch import AdaptiveLoss, GeneralLoss, StudentsTLoss  # noqa: E402

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
