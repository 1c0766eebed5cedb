"""The legal sets: what they hold, and how they are written."""

import math

import pytest

from robloss._domains import ALPHA, DENSITY_ALPHA, RESIDUAL, SCALE, Domain

ALL = [RESIDUAL, ALPHA, SCALE, DENSITY_ALPHA]


@pytest.mark.parametrize("domain", [RESIDUAL, ALPHA], ids=lambda domain: domain.name)
@pytest.mark.parametrize("value", [-math.inf, -1e308, 0.0, 5e-324, math.inf, math.nan])
def test_residual_and_shape_are_everything(domain, value):
    assert value in domain
    assert domain.is_everything


@pytest.mark.parametrize("value", [5e-324, 1.0, 1.7e308, math.nan])
def test_scales(value):
    assert value in SCALE
    assert -value not in SCALE or math.isnan(value)


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, math.inf, -math.inf])
def test_no_scales(value):
    assert value not in SCALE
    assert not SCALE.is_everything


def test_a_density_needs_alpha_from_zero():
    assert all(alpha in DENSITY_ALPHA for alpha in (0.0, -0.0, 1e-300, 2.0, math.inf, math.nan))
    assert all(alpha not in DENSITY_ALPHA for alpha in (-5e-324, -1.0, -math.inf))
    assert not DENSITY_ALPHA.is_everything


@pytest.mark.parametrize(
    ("domain", "text"),
    [(ALPHA, "[-inf, inf]"), (SCALE, "(0, inf)"), (DENSITY_ALPHA, "[0, inf]")],
    ids=["alpha", "scale", "density"],
)
def test_intervals_are_written_as_in_a_formula(domain, text):
    assert str(domain) == text


@pytest.mark.parametrize("domain", ALL, ids=lambda domain: f"{domain.name}{domain}")
def test_every_restricted_domain_has_a_remedy(domain):
    assert domain.is_everything or domain.remedy.endswith(".")
    assert domain.low < domain.high


def test_ends_belong_where_closed():
    closed, opened = (Domain("x", 0.0, 1.0, kind, "") for kind in (True, False))
    assert 0.0 in closed
    assert 1.0 in closed
    assert 0.0 not in opened
    assert 1.0 not in opened
    assert 0.5 in opened
