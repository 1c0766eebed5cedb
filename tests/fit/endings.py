"""What a fit of bad data ends in: each checks a call that fits."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import robloss


@dataclass(frozen=True)
class Refused:
    """An exception with these words."""

    error: Any
    words: str

    def check(self, run):
        with pytest.raises(self.error, match=self.words):
            run()


@dataclass(frozen=True)
class Warned:
    """A result of this status (or one of these), and a warning with these words."""

    status: str
    words: str

    def check(self, run):
        with pytest.warns(UserWarning, match=self.words):
            fit = run()
        assert fit.status in self.status.split(" or ")
        assert not fit.converged
        for one in [*fit] if isinstance(fit, robloss.LocationFits | robloss.LinearFits) else [fit]:
            assert one.scale > 0
            assert math.isfinite(one.nll)
            assert np.all(np.diff(one.history.nll) <= 0)


@dataclass(frozen=True)
class Flagged:
    """A result that has converged, with these words in a flag."""

    words: str

    def check(self, run):
        fit = run()
        assert fit.converged
        assert any(self.words in flag for flag in fit.flags)
        assert np.all(np.abs(np.asarray(fit.params)) < 1e3)  # of least norm, or near it


@dataclass(frozen=True)
class Plain:
    """A result that has converged, with nothing to say of the data."""

    def check(self, run):
        fit = run()
        assert fit.converged
        assert not any("rank" in flag for flag in fit.flags)
