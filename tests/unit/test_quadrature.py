"""The quadrature rule of grad_alpha, recomputed: its digits, and how far it reaches."""

import functools
import math

import pytest
from flint import arb, arb_poly, ctx

from robloss._quadrature import NODES, REACH, WEIGHTS

COUNT = len(NODES)


@pytest.fixture(autouse=True)
def eighty_digits():
    with ctx.workprec(270):
        yield


def moment(degree: int) -> arb:
    """∫₀¹ v(1 - v) v^degree dv."""
    return 1 / (arb(degree + 2) * (degree + 3))


def polished(node: float) -> arb:
    """The root of the Jacobi polynomial P^(1,1) next to a stored node, by Newton's method."""
    t = 2 * arb(node) - 1
    for _ in range(6):
        slope = t.jacobi_p(COUNT - 1, 2, 2) * (COUNT + 3) / 2
        t = arb((t - t.jacobi_p(COUNT, 1, 1) / slope).mid())
    return (t + 1) / 2


@functools.cache
def rule() -> tuple[tuple[arb, ...], tuple[arb, ...]]:
    """Nodes and weights of Gauss-Jacobi for v(1 - v) on [0, 1], to some 70 digits."""
    with ctx.workprec(270):
        nodes = tuple(map(polished, NODES))
        weights = []
        for node in nodes:
            lagrange = arb_poly([1])
            for other in nodes:
                if other is not node:
                    lagrange = lagrange * arb_poly([-other, 1]) * (1 / (node - other))
            terms = enumerate(lagrange.coeffs())
            weights.append(sum((arb(c) * moment(degree) for degree, c in terms), arb(0)))
        return nodes, tuple(weights)


def test_nodes_and_weights_to_the_last_digit():
    nodes, weights = rule()
    assert [float(node) for node in nodes] == list(NODES)
    assert [float(weight) for weight in weights] == list(WEIGHTS)
    assert len(set(NODES)) == COUNT  # each root was found once


def by_rule(function) -> arb:
    return sum((w * function(v) for v, w in zip(*rule(), strict=True)), arb(0))


def relative_error(computed: arb, exact: arb) -> float:
    return float(abs(arb((computed / exact - 1).mid())))


def test_polynomials_up_to_degree_19_are_exact():
    def error(degree: int) -> float:
        return relative_error(by_rule(lambda v: v**degree), moment(degree))

    assert max(error(degree) for degree in range(2 * COUNT)) < 1e-60
    assert error(2 * COUNT) > 1e-16  # the twin: degree 20 is not


def integral(exponent: float, tilt: float) -> arb:
    """∫₀¹ v(1 - v) e^(E(1 - v)) expm1(v τ)/(v τ) dv by its double power series in E and τ."""
    total = arb(0)
    for j in range(80):
        for k in range(80):
            beta = arb(math.factorial(k + 1) * math.factorial(j + 1)) / math.factorial(k + j + 3)
            term = arb(exponent) ** j * arb(tilt) ** k * beta
            total += term / (math.factorial(j) * math.factorial(k + 1))
    return total


def truncation(reach: float) -> float:
    """The worst relative error of the rule over |E| <= reach, 0 < |τ| <= reach."""
    worst = 0.0
    # The integrand's high derivatives are largest on the border of the square.
    for exponent in (-reach, -reach / 2, 0.0, reach / 2, reach):
        for tilt in (-reach, -reach / 2, reach / 2, reach):
            e, t = arb(exponent), arb(tilt)
            approximate = by_rule(
                lambda v, e=e, t=t: (e * (1 - v)).exp() * (v * t).expm1() / (v * t)
            )
            worst = max(worst, relative_error(approximate, integral(exponent, tilt)))
    return worst


def test_the_truncation_error_within_reach():
    assert truncation(REACH) < 1e-16


def test_the_truncation_error_beyond_reach():
    assert truncation(1.5 * REACH) > 1e-16


def test_the_rule_is_symmetric():
    assert [1 - node for node in reversed(NODES)] == pytest.approx(NODES, abs=2**-53)
    assert tuple(reversed(WEIGHTS)) == WEIGHTS
    assert math.fsum(WEIGHTS) == pytest.approx(1 / 6, abs=2**-54)
