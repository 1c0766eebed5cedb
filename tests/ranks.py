"""A model with an adaptive loss, trained by one process or by several: what the tests start."""

import datetime as dt

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from robloss.torch import AdaptiveLoss

ROWS, STEPS = 24, 30


class Whole(nn.Module):
    """The model and its loss in one module, as DistributedDataParallel needs them."""

    def __init__(self, loss):
        super().__init__()
        self.line = nn.Linear(2, 2).double()
        self.loss = loss

    def forward(self, x, y):
        return self.loss(self.line(x) - y)


def adaptive():
    return AdaptiveLoss(2, scale_init=2.0, dtype=torch.float64)


def fixed_alpha():
    return AdaptiveLoss(2, (0.5, 0.5), dtype=torch.float64)


# How the loss is made, and whether it is left outside of the wrapper.
CASES = {
    "adaptive": (adaptive, False),
    "fixed alpha": (fixed_alpha, False),
    "outside": (adaptive, True),
}


def data():
    generator = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(ROWS, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    y = x.flip(1) + 0.1 * noise
    # The halves differ: what is learned of one alone is not what is learned of both.
    y[: ROWS // 2] += 5 * noise[: ROWS // 2] ** 3
    return x, y


def train(module, parameters, forward, x, y):
    """Learn by Adam; return all values of shape and scale that there were."""
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    path = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        forward(x, y).backward()
        optimizer.step()
        path.append(torch.stack([module.loss.alpha(), module.loss.scale()]).detach())
    return torch.stack(path)


def alone(make):
    """The path of one process that has all rows."""
    torch.manual_seed(0)
    module = Whole(make())
    return train(module, module.parameters(), module, *data())


def in_one_of_several(own, count, make, outside):
    """The path of one process that has a part of the rows."""
    torch.manual_seed(own)  # DistributedDataParallel takes the start of rank 0
    module = Whole(make())
    x, y = (one.chunk(count)[own] for one in data())
    if not outside:
        return train(module, module.parameters(), DistributedDataParallel(module), x, y)
    line = DistributedDataParallel(module.line)
    return train(module, module.parameters(), lambda x, y: module.loss(line(x) - y), x, y)


def rank(own, count, folder):
    """One of several processes; it writes its paths to the folder."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=own,
        world_size=count,
        timeout=dt.timedelta(seconds=60),
    )
    paths = {name: in_one_of_several(own, count, *case) for name, case in CASES.items()}
    torch.save(paths, f"{folder}/{own}.pt")
    torch.distributed.destroy_process_group()
