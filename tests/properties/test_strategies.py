"""The draws reach what they promise: a property is only as good as its examples."""

import math

import pytest
from hypothesis import find
from hypothesis.errors import NoSuchExample
from strategies import alphas, points, scales

from robloss._domains import DENSITY_ALPHA

REACHED = {
    "within 1e-12 of 0": lambda a: 0 < abs(a) < 1e-12,
    "within 1e-16 of 0": lambda a: 0 < abs(a) < 1e-16,
    "within 1e-12 below 2": lambda a: 0 < 2 - a < 1e-12,
    "within 1e-12 above 2": lambda a: 0 < a - 2 < 1e-12,
    "next to 2": lambda a: a == math.nextafter(2, 0),
    "-inf": lambda a: a == -math.inf,
    "inf": lambda a: a == math.inf,
    "huge": lambda a: 1e290 < a < math.inf,
    "hugely negative": lambda a: -math.inf < a < -1e290,
}


@pytest.mark.parametrize("region", REACHED)
def test_alphas_reach(region):
    find(alphas(), REACHED[region])


@pytest.mark.parametrize(("low", "high"), [(1e-150, 1e-140), (1e140, 1e150)])
def test_points_reach(low, high):
    find(points(), lambda point: low <= abs(point[0]) / point[2] <= high)


def test_draws_stay_in_their_domain():
    with pytest.raises(NoSuchExample):
        find(alphas(domain=DENSITY_ALPHA), lambda a: a < 0)
    with pytest.raises(NoSuchExample):
        find(scales(), lambda c: c <= 0)
