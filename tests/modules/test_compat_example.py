"""The program of robust_loss_pytorch's example.ipynb runs on compat, to the numbers it prints."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import toy_regression  # noqa: E402

# The one line to change.
import robloss.compat as robust_loss_pytorch  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.option == "torch")


class Regression(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x[:, None])[:, 0]


@pytest.fixture
def program():
    """A model, its data, and a function that trains it."""
    torch.manual_seed(0)
    x, y = (one[:, 0] for one in toy_regression.data())
    model = Regression()

    def train(parameters, objective):
        optimizer = torch.optim.Adam(parameters, lr=0.01)
        for _ in range(2000):
            loss = objective(model(x) - y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    return model, train


def test_least_squares(program):
    model, train = program

    def objective(residuals):
        alpha, scale = torch.Tensor([2.0]), torch.Tensor([0.1])
        return torch.mean(robust_loss_pytorch.general.lossfun(residuals, alpha=alpha, scale=scale))

    assert train(model.parameters(), objective) == pytest.approx(1.673694, abs=1e-5)


def test_adaptive(program):
    model, train = program
    adaptive = robust_loss_pytorch.adaptive.AdaptiveLossFunction(
        num_dims=1, float_dtype=np.float32, device="cpu"
    )
    parameters = list(model.parameters()) + list(adaptive.parameters())
    loss = train(parameters, lambda residuals: torch.mean(adaptive.lossfun(residuals[:, None])))
    # At step 1900 it prints -1.514423, 0.011832 and 0.012073, from another start, still moving.
    assert loss == pytest.approx(-1.5146, abs=5e-4)
    assert adaptive.alpha()[0, 0].data == pytest.approx(0.0113, abs=1e-3)
    assert adaptive.scale()[0, 0].data == pytest.approx(0.01206, abs=5e-5)
    assert f"alpha={adaptive.alpha()[0, 0].data:03f}".startswith("alpha=0.01")
