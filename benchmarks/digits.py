"""Which law of the residuals models images best: a small autoencoder on scikit-learn's digits.

    python benchmarks/digits.py [--seeds 5] [--steps 2500] [--out docs/digits.json]

A variational autoencoder (Kingma, Welling, arXiv:1312.6114) is trained with every law on every
representation of the residual images, with a scale, and what else a law learns, per coefficient.
Kept is the evidence lower bound of images held out. Grey levels are whole numbers, of which a
density could be had as large as one likes; uniform noise between 0 and 1 is added to them, so that
the bound holds for the probability of the whole numbers (Theis, van den Oord, Bethge,
arXiv:1511.01844). Models of all seeds are trained side by side: their tensors have an axis of
seeds, and Adam does not mix elements.
"""

import argparse
import datetime as dt
import math
from pathlib import Path
from time import perf_counter

import record
import torch
from sklearn.datasets import load_digits
from torch import nn

import robloss
from robloss.torch import AdaptiveImageLoss

OUT = Path(__file__).parents[1] / "docs" / "digits.json"
LAWS = {
    "normal": {"alpha_range": (2.0, 2.0)},
    "Cauchy": {"alpha_range": (0.0, 0.0)},
    "Student's t": {"students_t": True},
    "adaptive": {},
}
REPRESENTATIONS = ("PIXEL", "DCT", "CDF9/7")
# `median_gain`: of the adaptive law over this one, in the middle image; `ahead`: the share of
# images of which it has the higher bound.
FIELDS = (
    "representation", "law", "seed", "elbo", "elbo_training", "kl", "median_gain", "ahead",
    "quartiles",
)  # fmt: skip
SIDE = 8
HELD_OUT = 360  # of 1797
HIDDEN, CODE = 128, 16
BATCH = 64
RATE, RATE_OF_LAW = 5e-3, 2e-2
MIDDLE, WIDTH = 8.5, 5.0  # of a grey level, about: units for the network alone
DRAWS = 32  # of noise and code, per image that is evaluated


class Layers(nn.Module):
    """Two dense layers for each seed: (seeds, batch, width in) → (seeds, batch, width out)."""

    def __init__(self, seeds: int, width: int, width_out: int) -> None:
        super().__init__()
        self.first, self.first_bias = _dense(seeds, width, HIDDEN)
        self.second, self.second_bias = _dense(seeds, HIDDEN, width_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both, with a rectifier between them."""
        hidden = torch.relu(torch.baddbmm(self.first_bias, x, self.first))
        return torch.baddbmm(self.second_bias, hidden, self.second)


def _dense(seeds: int, width: int, width_out: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights and biases, of a seed the same whatever is trained beside it."""
    weights = [
        torch.randn(width, width_out, generator=torch.Generator().manual_seed(seed))
        for seed in range(seeds)
    ]
    return (
        nn.Parameter(torch.stack(weights) * math.sqrt(1 / width)),
        nn.Parameter(torch.zeros(seeds, 1, width_out)),
    )


class Autoencoder(nn.Module):
    """An image to the law of its code, and a code to an image: one of each per seed."""

    def __init__(self, seeds: int, law: dict, representation: str) -> None:
        super().__init__()
        self.encoder = Layers(seeds, SIDE * SIDE, 2 * CODE)
        self.decoder = Layers(seeds, CODE, SIDE * SIDE)
        # A channel per seed: each is transformed alone and has parameters of its own.
        self.loss = AdaptiveImageLoss(
            (seeds, SIDE, SIDE), "RGB", representation, scale_init=WIDTH, reduction="none", **law
        )

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of images (seeds, batch, pixels): log p(x|code), and what the code costs, in nats."""
        mean, log_deviation = self.encoder((x - MIDDLE) / WIDTH).chunk(2, -1)
        deviation = log_deviation.exp()
        residual = x - (MIDDLE + WIDTH * self.decoder(mean + deviation * noise))
        values = self.loss(residual.movedim(0, 1).unflatten(-1, (SIDE, SIDE)))
        divergence = 0.5 * (mean**2 + deviation**2 - 1) - log_deviation
        return -values.flatten(2).sum(-1).mT, divergence.sum(-1)


def split(seeds: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images to train with and images held out, (seeds, images, pixels): each seed its own."""
    images = torch.tensor(load_digits().data, dtype=torch.float32)
    orders = [
        torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        for seed in range(seeds)
    ]
    mixed = images[torch.stack(orders)]
    return mixed[:, HELD_OUT:], mixed[:, :HELD_OUT]


def drawn(images: torch.Tensor, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with uniform noise, and normal noise for their codes."""
    return (
        images + torch.rand(images.shape, generator=random),
        torch.randn(*images.shape[:-1], CODE, generator=random),
    )


def train(model: Autoencoder, images: torch.Tensor, steps: int) -> None:
    """Steps of Adam with a rate that falls to 0 along a quarter of a cosine wave."""
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    groups = [{"params": networks}, {"params": [*model.loss.parameters()], "lr": RATE_OF_LAW}]
    optimizer = torch.optim.Adam(groups, lr=RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    random = torch.Generator().manual_seed(1)
    rows = torch.arange(len(images))[:, None]
    for _ in range(steps):
        chosen = torch.randint(images.shape[1], (len(images), BATCH), generator=random)
        fit, divergence = model(*drawn(images[rows, chosen], random))
        optimizer.zero_grad()
        (divergence - fit).mean(1).sum().backward()
        optimizer.step()
        rates.step()


@torch.no_grad()
def evaluate(
    model: Autoencoder, images: torch.Tensor, draws: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The bound and the divergence of each image, (seeds, images), in nats."""
    random = torch.Generator().manual_seed(2)
    found = [model(*drawn(images, random)) for _ in range(draws)]
    fits, divergences = (torch.stack(one).mean(0) for one in zip(*found, strict=True))
    return fits - divergences, divergences


@torch.no_grad()
def learned(loss: AdaptiveImageLoss) -> torch.Tensor:
    """Of each seed, quartiles over coefficients of what the law has learned beside the scale."""
    values = (loss.df() if hasattr(loss.law, "log_df") else loss.alpha()).flatten(1)
    return torch.quantile(values, torch.tensor([0.25, 0.5, 0.75]), dim=1).mT


def measured(representation: str, seeds: int, steps: int) -> list[list]:
    """A row per law and seed."""
    training, held_out = split(seeds)
    found = {}
    for name, law in LAWS.items():
        start = perf_counter()
        model = Autoencoder(seeds, law, representation)
        train(model, training, steps)
        bounds, divergences = evaluate(model, held_out, DRAWS)
        in_training = evaluate(model, training, 4)[0]
        found[name] = bounds, in_training, divergences, learned(model.loss)
        seconds = perf_counter() - start
        print(f"{representation} {name}: {float(bounds.mean()):.2f} in {seconds:.0f} s")
    rows = []
    for name, (bounds, in_training, divergences, quartiles) in found.items():
        gains = found["adaptive"][0] - bounds
        columns = [one.mean(1) for one in (bounds, in_training, divergences)]
        columns += [gains.median(1).values, (gains > 0).float().mean(1)]
        for seed, numbers in enumerate(torch.stack(columns, 1).tolist()):
            of_law = [round(one, 3) for one in quartiles[seed].tolist()]
            rows.append([representation, name, seed, *(round(one, 3) for one in numbers), of_law])
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure everything, and write the record that docs/digits.py makes its page of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args(arguments)
    start = perf_counter()
    rows = [
        row
        for representation in REPRESENTATIONS
        for row in measured(representation, given.seeds, given.steps)
    ]
    head = {
        "machine": record.processor(),
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "minutes": round((perf_counter() - start) / 60, 1),
        "versions": {"robloss": robloss.__version__}
        | record.versions(["torch", "scikit-learn"]),
        "threads": torch.get_num_threads(),
        "settings": {
            "seeds": given.seeds, "steps": given.steps, "held_out": HELD_OUT, "batch": BATCH,
            "hidden": HIDDEN, "code": CODE, "rate": RATE, "rate_of_law": RATE_OF_LAW,
            "draws": DRAWS,
        },
    }  # fmt: skip
    record.write(head, FIELDS, rows, given.out)


if __name__ == "__main__":
    main()
