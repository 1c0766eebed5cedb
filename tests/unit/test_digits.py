"""docs/digits.md: what measures it, and what makes the page of it."""

import importlib.util
from pathlib import Path

import pytest
from record import read

pytest.importorskip("torch", reason="the models are PyTorch's")
pytest.importorskip("sklearn", reason="the images are scikit-learn's")

DOCS = Path(__file__).parents[2] / "docs"


def _module(path):
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = _module(DOCS / "digits.py")
benchmark = _module(DOCS.parent / "benchmarks" / "digits.py")


def _record(**elbo):
    """Two seeds on pixels, with the given bounds of each law."""
    rows = [
        {
            "representation": "PIXEL", "law": law, "seed": seed, "elbo": value,
            "elbo_training": -1.0, "kl": 2.0, "median_gain": 0.5, "ahead": 0.75,
            "quartiles": [0.5, 1.0, 1.5],
        }
        for law, values in elbo.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip
    return {"rows": rows}


def test_a_quick_measurement_and_its_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "DRAWS", 1)
    monkeypatch.setattr(benchmark, "REPRESENTATIONS", ("DCT",))
    benchmark.main(["--seeds", "2", "--steps", "2", "--out", str(tmp_path / "d.json")])
    assert "DCT adaptive" in capsys.readouterr().out
    record = read(tmp_path / "d.json")
    assert len(record["rows"]) == 2 * len(benchmark.LAWS)
    text = maker.page(record)
    assert "Mean over 2 seeds" in text
    assert "| normal |" in text
    assert "2\n  steps of 64 images" in text


def test_the_committed_page_is_of_the_committed_record():
    committed = read(DOCS / "digits.json")
    assert (DOCS / "digits.md").read_text(encoding="utf-8") == maker.page(committed)
    assert committed["settings"]["seeds"] >= 5


@pytest.mark.parametrize(
    ("adaptive", "word"), [((-2.0, -4.0), "above"), ((-7.0, -9.0), "**below**")]
)
def test_the_verdict_is_of_the_means(adaptive, word):
    record = _record(normal=[-9.0, -9.0], Cauchy=[-3.0, -7.0], adaptive=adaptive)
    found = abs(sum(adaptive) / 2 + 5.0)
    expected = (
        f"* pixels: the adaptive law is {word} the best of the others, Cauchy, by {found:.2f}"
    )
    assert maker.verdict(record).startswith(expected)


def test_gains_are_taken_seed_by_seed():
    record = _record(Cauchy=[-3.0, -7.0], adaptive=[-4.0, -5.0])
    assert "| Cauchy | +0.50 (-1.00 to +2.00; 1 of 2) |" in maker.gains(record)


def test_models_of_several_seeds_do_not_touch():
    # The model of seed 0 learns the same whatever is trained beside it, but for its own noise.
    import torch

    training, _ = benchmark.split(2)
    model = benchmark.Autoencoder(2, benchmark.LAWS["adaptive"], "DCT")
    alone = benchmark.Autoencoder(1, benchmark.LAWS["adaptive"], "DCT")
    random = torch.Generator().manual_seed(0)
    x, noise = benchmark.drawn(training[:, :8], random)
    fit, divergence = model(x, noise)
    fit_alone, divergence_alone = alone(x[:1], noise[:1])
    torch.testing.assert_close(fit[0], fit_alone[0], rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(divergence[0], divergence_alone[0], rtol=1e-5, atol=1e-5)
    fit[0].sum().backward()
    assert all((weight.grad[1] == 0).all() for weight in model.encoder.parameters())


def test_the_bound_counts_noise_and_code():
    # By hand, of a normal law of scale 5 about the decoder's mean, whatever the networks are.
    import torch

    training, _ = benchmark.split(1)
    model = benchmark.Autoencoder(1, benchmark.LAWS["normal"], "PIXEL")
    x, noise = benchmark.drawn(training[:, :4], torch.Generator().manual_seed(0))
    fit, divergence = model(x, noise)
    mean, log_deviation = model.encoder((x - 8.5) / 5).chunk(2, -1)
    code = torch.distributions.Normal(mean, log_deviation.exp())
    standard = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    expected = torch.distributions.kl_divergence(code, standard).sum(-1)
    torch.testing.assert_close(divergence, expected, rtol=1e-4, atol=1e-4)
    image = 8.5 + 5 * model.decoder(mean + log_deviation.exp() * noise)
    expected = torch.distributions.Normal(image, 5.0).log_prob(x).sum(-1)
    torch.testing.assert_close(fit, expected, rtol=1e-4, atol=1e-3)
