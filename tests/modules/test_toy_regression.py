"""The article's programs, of docs/toy_regression.py: least squares fails, adapting finds."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import toy_regression  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.option == "torch")

NEAR, SEEDS = 0.02, 8


def distance(slope, intercept):
    """The larger of both errors, for each column."""
    errors = slope - toy_regression.SLOPE, intercept - toy_regression.INTERCEPT
    return torch.stack(errors).abs().amax(0)


def test_the_adaptive_fit_recovers_the_line_where_least_squares_does_not():
    # Columns are fitted independently of each other, so that one run has all seeds. Of 50 points,
    # as many as the article has, noise alone would move one line in six farther than 0.02.
    pairs = [toy_regression.data(n=200, seed=seed) for seed in range(SEEDS)]
    x, y = (torch.cat(part, dim=1) for part in zip(*pairs, strict=True))
    squares = toy_regression.least_squares(x, y)
    assert (distance(*squares) > NEAR).all()
    for seed in range(SEEDS):  # and it is least squares
        expected = np.polyfit(x[:, seed], y[:, seed], 1)
        np.testing.assert_allclose([one[seed] for one in squares], expected, atol=1e-3)
    slope, intercept, loss = toy_regression.adaptive(x, y)
    assert (distance(slope, intercept) < NEAR).all()
    assert (loss.alpha() < 0.5).all()
    assert (loss.scale() < 0.03).all()


def test_columns_are_fitted_independently():
    pairs = [toy_regression.data(seed=seed) for seed in range(2)]
    x, y = (torch.cat(part, dim=1) for part in zip(*pairs, strict=True))
    steps = 60
    together = toy_regression.fit(x, y, toy_regression.AdaptiveLoss(2), steps)
    for column, pair in enumerate(pairs):
        alone = toy_regression.fit(*pair, toy_regression.AdaptiveLoss(1), steps)
        for one, both in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], both[column], rtol=1e-4, atol=1e-5)
