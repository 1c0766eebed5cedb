"""The legal set of each parameter, as data: checks and test draws read it here."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Domain:
    """An interval of real numbers that a parameter must lie in.

    Attributes
    ----------
    name : str
        The argument's name.
    low, high : float
        The ends of the interval.
    closed : bool
        Whether the ends belong to it.
    remedy : str
        What to tell a user whose value lies outside.
    with_high : bool
        Whether the upper end belongs to it although it is not `closed`.
    """

    name: str
    low: float
    high: float
    closed: bool
    remedy: str
    with_high: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether every real number and ±inf is legal."""
        return self.closed and self.low == -math.inf and self.high == math.inf

    def __contains__(self, value: float) -> bool:
        """Tell whether a number is legal; NaN counts as legal, since it passes through."""
        if self.low < value < self.high or math.isnan(value):
            return True
        if value == self.high:
            return self.closed or self.with_high
        return self.closed and value == self.low

    def __str__(self) -> str:
        """Write the interval as in a formula, for example ``(0, inf)``."""
        left = "[" if self.closed else "("
        right = "]" if self.closed or self.with_high else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


RESIDUAL = Domain("x", -math.inf, math.inf, True, "")
ALPHA = Domain("alpha", -math.inf, math.inf, True, "")
SCALE = Domain(
    "scale",
    0.0,
    math.inf,
    False,
    "A scale is a width in the unit of the residuals; pass a positive number.",
)
DENSITY_ALPHA = Domain(
    "alpha",
    0.0,
    math.inf,
    True,
    "Below 0 the density has no finite integral; use alpha >= 0, or a `truncation` where the "
    "function takes one.",
)
TRUNCATION = Domain(
    "truncation",
    0.0,
    math.inf,
    False,
    "A truncation is the largest |x|/scale that can occur; pass a positive number.",
    with_high=True,
)
PROBABILITY = Domain("q", 0.0, 1.0, True, "Pass the probability of a value not above x.")
EFFICIENCY = Domain(
    "efficiency",
    0.0,
    1.0,
    False,
    "An efficiency is a fraction of that of the mean, such as 0.95.",
)
