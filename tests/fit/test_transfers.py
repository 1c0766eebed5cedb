"""What crosses from a device to the host while a fit runs.

array-api-strict has devices whose arrays NumPy refuses, and lets every way out be watched.
"""

import numpy as np
import pytest
from backends import Library

import robloss

strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")

DEVICE = strict.Device("device1")
COLUMNS = 3
# What one iteration asks for: the sums of a step with those for alpha, once more for each try of
# it, and the parameters that a Jacobian is made at.
TRANSFERS = 8
NUMBERS = 120


class Guard:
    """Notes how many numbers leave the device, and at which of them an iteration ended."""

    def __init__(self):
        self.sizes = []
        self.iterations = [0]

    def ended(self, *_):
        self.iterations.append(len(self.sizes))

    @property
    def most(self):
        """Transfers, and numbers, of the iteration that has most."""
        ends = zip(self.iterations, self.iterations[1:], strict=False)
        parts = [self.sizes[start:stop] for start, stop in ends][1:]
        return max(map(len, parts)), max(map(sum, parts))


@pytest.fixture
def guard(monkeypatch):
    guard = Guard()
    array = type(strict.asarray(0.0))
    out = np.from_dlpack

    def from_dlpack(given, *args, **options):
        guard.sizes.append(int(np.prod(given.shape)))
        return out(given, *args, **options)

    def watch(name):
        way = getattr(array, name)

        def watched(self, *args):
            if self.device == DEVICE:
                guard.sizes.append(1)
            return way(self, *args)

        monkeypatch.setattr(array, name, watched)

    monkeypatch.setattr(np, "from_dlpack", from_dlpack)
    for name in ("__float__", "__int__", "__bool__", "__index__", "__complex__"):
        watch(name)
    return guard


def table(n):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((n, COLUMNS))
    y = X @ np.arange(1.0, COLUMNS + 1) + rng.standard_t(2, n)
    return strict.asarray(X, device=DEVICE), strict.asarray(y, device=DEVICE)


def linear(X, y, **options):
    return robloss.fit_linear(X, y, **options)


def location(X, y, **options):
    return robloss.fit_location(y, **options)


def residuals(X, y, **options):
    theta = strict.zeros(COLUMNS, dtype=strict.float64, device=DEVICE)
    return robloss.fit_residuals(lambda theta: y - X @ theta, theta, **options)


def residuals_with_jacobian(X, y, **options):
    theta = strict.zeros(COLUMNS, dtype=strict.float64, device=DEVICE)
    return robloss.fit_residuals(lambda theta: y - X @ theta, theta, jac=lambda _: -X, **options)


FITS = [linear, location, residuals, residuals_with_jacobian]


@pytest.mark.backends(lambda library: library is Library.STRICT)
@pytest.mark.parametrize("n", [300, 3_000])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("options", [{}, {"alpha": 1.0, "scale": 1.0}, {"method": "gradient"}])
def test_an_iteration_moves_few_numbers(fit, options, n, guard, backend):
    found = fit(*table(n), **options, callback=guard.ended)
    assert found.converged
    assert found.residuals.device == DEVICE
    transfers, numbers = guard.most
    assert transfers <= TRANSFERS
    assert numbers <= NUMBERS


@pytest.mark.backends(lambda library: library is Library.STRICT)
def test_guard_sees_what_leaves(guard, backend):
    X, y = table(300)
    float(y[0])
    np.from_dlpack(X)
    assert guard.sizes == [1, 300 * COLUMNS]
