"""The toy regression of Barron's article: a line through data of which a tenth is wrong.

Fitted with alpha fixed at 2 it is least squares; with an adaptive loss the line is found, and with
it the shape and the scale of the noise.
"""

import numpy as np
import torch

from robloss.torch import AdaptiveLoss, GeneralLoss

SLOPE, INTERCEPT = 0.7, 0.15


def data(n=50, seed=1):
    """Points of a line with noise, and a tenth of them elsewhere: two columns."""
    rng = np.random.RandomState(seed)
    x = rng.uniform(size=n)
    y = SLOPE * x + INTERCEPT + rng.normal(scale=0.025, size=n)
    wrong = rng.uniform(size=n) > 0.9
    y = np.where(wrong, 0.05 + 0.4 * (1 - np.sign(y - 0.5)), y)
    return torch.tensor(x[:, None]).float(), torch.tensor(y[:, None]).float()


def fit(x, y, loss, steps=2000):
    """Learn the line and the parameters of the loss together; return slope and intercept."""
    slope, intercept = (torch.zeros(x.shape[-1], requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([slope, intercept, *loss.parameters()], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(slope * x + intercept - y).backward()
        optimizer.step()
    return slope.detach(), intercept.detach()


def least_squares(x, y):
    """With alpha fixed at 2: half the squares of residuals in units of 0.1."""
    return fit(x, y, GeneralLoss(alpha=2.0, scale=0.1))


def adaptive(x, y):
    """With one alpha and one scale for every column, and the loss that has them."""
    loss = AdaptiveLoss(num_dims=x.shape[-1])
    return *fit(x, y, loss), loss


def picture(x, y, line, title):
    """The data, the true line in black and the fitted one."""
    from matplotlib.figure import Figure

    axes = Figure(figsize=(4.2, 4.0), dpi=150, layout="constrained").subplots()
    ends = np.array([0.0, 1.0])
    axes.scatter(x, y, s=14, color="C0")
    axes.plot(ends, SLOPE * ends + INTERCEPT, color="black", label="true")
    axes.plot(ends, float(line[0]) * ends + float(line[1]), color="C3", label="fitted")
    axes.set(title=title, xlabel="x", ylabel="y")
    axes.legend()
    return axes


def pictures():
    """Both fits, by name."""
    x, y = data()
    slope, intercept, loss = adaptive(x, y)
    found = f"adaptive: α = {loss.alpha().item():.3f}, scale = {loss.scale().item():.4f}"
    return {
        "toy-squares": picture(x, y, least_squares(x, y), "α = 2, fixed"),
        "toy-adaptive": picture(x, y, (slope, intercept), found),
    }
