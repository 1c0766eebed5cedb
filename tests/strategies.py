"""Hypothesis draws made from the library's own domains, dense where its formulas change form."""

import math

import numpy as np
from hypothesis import strategies as st

from robloss._domains import ALPHA, RESIDUAL, SCALE, Domain

# Powers of ten that alpha and |x/scale| reach. float32: |alpha| to 1e30, |x/scale| to 1e18.
SIZE = {"float64": 300.0, "float32": 30.0}
RATIO = {"float64": (-150.0, 150.0), "float32": (-15.0, 18.0)}

# Where the loss has a name, or a formula a removable point.
NAMED = (-math.inf, -2.0, 0.0, 1.0, 2.0, 4.0, math.inf)


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    """10**e, e uniform."""
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


def signed(sizes: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    return st.tuples(st.sampled_from([-1.0, 1.0]), sizes).map(math.prod)


def _inside(domain: Domain, strategy: st.SearchStrategy[float], dtype: str) -> st.SearchStrategy:
    rounded = strategy.map(lambda value: float(np.dtype(dtype).type(value)))
    return rounded.filter(lambda value: value in domain)


def alphas(
    dtype: str = "float64", domain: Domain = ALPHA, low: float = -math.inf, high: float = math.inf
) -> st.SearchStrategy[float]:
    """Shapes in a domain and [low, high]: named, moderate, huge, and next to 0, 1 and 2."""
    near = signed(powers(-17.0, -1.0))
    everywhere = st.one_of(
        st.sampled_from([one for one in NAMED if low <= one <= high]),
        st.floats(-12.0, 12.0),
        near,
        near.map(lambda distance: 1.0 + distance),
        near.map(lambda distance: 2.0 + distance),
        signed(powers(0.0, SIZE[dtype])),
    )
    if low > -math.inf or high < math.inf:
        ends = [max(low, -1e6), min(high, 1e6)]
        everywhere = st.one_of(everywhere.filter(lambda one: low <= one <= high), st.floats(*ends))
    inside = _inside(domain, everywhere, dtype)
    return inside.filter(lambda value: low <= value <= high)


def scales(dtype: str = "float64", domain: Domain = SCALE) -> st.SearchStrategy[float]:
    """Widths from 1e-3 to 1e3, so that x = ratio * scale keeps the range of the ratio."""
    return _inside(domain, powers(-3.0, 3.0), dtype)


def ratios(dtype: str = "float64") -> st.SearchStrategy[float]:
    """x/scale, of either sign, ordinary or of any size."""
    return signed(st.one_of(powers(*RATIO[dtype]), powers(-3.0, 2.0), st.floats(0.0, 10.0)))


@st.composite
def points(draw, dtype: str = "float64", low: float = -math.inf, high: float = math.inf):
    """(x, alpha, scale), exact in a dtype; x is also drawn around sqrt|alpha - 2| widths."""
    alpha = draw(alphas(dtype, low=low, high=high))
    scale = draw(scales(dtype))
    ratio = draw(ratios(dtype))
    if draw(st.booleans()):
        bend = math.sqrt(abs(alpha - 2.0))
        if 0.0 < bend < math.inf:
            ratio = math.copysign(bend * 10.0 ** draw(st.floats(-4.0, 4.0)), ratio)
    least, most = (10.0**exponent for exponent in RATIO[dtype])
    if ratio:
        ratio = math.copysign(min(max(abs(ratio), least), most), ratio)
    x = float(np.dtype(dtype).type(ratio * scale))
    assert x in RESIDUAL
    return x, alpha, scale
