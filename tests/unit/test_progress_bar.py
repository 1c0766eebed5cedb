"""The progress bar: what it shows, and that it ends."""

import io
import sys

import numpy as np
import pytest

import robloss
from robloss import datasets


class Screen(io.StringIO):
    """What tqdm has written."""

    @property
    def ended(self) -> bool:
        # tqdm leaves its line with a line break.
        return self.getvalue().endswith("\n")

    def last(self) -> str:
        return self.getvalue().rstrip("\n").rpartition("\r")[2]


@pytest.fixture
def screen():
    pytest.importorskip("tqdm", reason="tqdm is the extra `progress`")
    return Screen()


def test_it_shows_the_last_iterate_and_ends(screen):
    data = datasets.load_stackloss()
    count = []

    def both(iterate):
        bar(iterate)
        count.append(iterate)

    with robloss.progress_bar(file=screen) as bar:
        fit = robloss.fit_linear(data.X, data.y, callback=both)
        assert not screen.ended
    assert screen.ended
    line = screen.last()
    assert f"{len(count)} iterations" in line
    for text in (f"nll={fit.nll:.6g}", f"alpha={fit.alpha:.4g}", f"scale={fit.scale:.4g}"):
        assert text in line


def test_it_ends_without_with(screen):
    data = datasets.load_stackloss()
    robloss.fit_linear(data.X, data.y, callback=robloss.progress_bar(file=screen))
    assert screen.ended


def test_it_ends_where_the_fit_raises(screen):
    def residuals(theta):
        if theta[0] != 1.0:
            raise ZeroDivisionError
        return np.arange(5.0) - theta[0]

    with pytest.raises(ZeroDivisionError), robloss.progress_bar(file=screen) as bar:
        robloss.fit_residuals(residuals, [1.0], jac=lambda _: -np.ones((5, 1)), callback=bar)
    assert screen.ended


def test_options_are_those_of_tqdm(screen):
    with robloss.progress_bar(file=screen, desc="mine"):
        pass
    assert "mine" in screen.last()


def test_missing_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"needs tqdm; .* 'robloss\[progress\]'"):
        robloss.progress_bar()
