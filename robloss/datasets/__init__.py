"""Small classical data sets of robust regression, with their sources.

Examples
--------
>>> from robloss import datasets
>>> data = datasets.load_phones()
>>> data.X.shape, data.feature_names, data.target_name
((24, 1), ('year',), 'calls')
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DATASETS", "Dataset", "load_phones", "load_stackloss", "load_stars"]

_ROUSSEEUW_LEROY = (
    "P. J. Rousseeuw and A. M. Leroy, Robust Regression and Outlier Detection, Wiley, 1987."
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table of numbers to regress a target on.

    Attributes
    ----------
    X : numpy.ndarray
        Features, shape (rows, features), float64.
    y : numpy.ndarray
        Target, shape (rows,), float64.
    feature_names : tuple of str
        One name per column of `X`.
    target_name : str
        Name of the target.
    description : str
        What the rows, the columns and their units are, and what is unusual in them.
    citation : str
        Where the numbers were published.
    """

    X: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    feature_names: tuple[str, ...]
    target_name: str
    description: str
    citation: str


def load_stackloss() -> Dataset:
    """Brownlee's stack loss: 21 days in a plant that oxidises ammonia to nitric acid.

    Returns
    -------
    Dataset
        Features ``Air.Flow``, ``Water.Temp`` and ``Acid.Conc.``; target ``stack.loss``. New arrays
        at every call.

    References
    ----------
    K. A. Brownlee, Statistical Theory and Methodology in Science and Engineering, 2nd edition,
    Wiley, 1965.

    Examples
    --------
    >>> from robloss.datasets import load_stackloss
    >>> data = load_stackloss()
    >>> data.X.shape
    (21, 3)
    >>> float(data.y[0])
    42.0
    """
    return _load(
        "stackloss.csv",
        description=(
            "21 days of a plant that oxidises ammonia to nitric acid. Air.Flow is the rate of "
            "operation, Water.Temp the temperature of the cooling water, Acid.Conc. the "
            "concentration of the circulating acid (per 1000, minus 500) and stack.loss ten times "
            "the percentage of ammonia that escapes. Days 1, 3, 4 and 21 are usually called "
            "outliers."
        ),
        citation=(
            "K. A. Brownlee, Statistical Theory and Methodology in Science and Engineering, "
            "2nd edition, Wiley, 1965."
        ),
    )


def load_phones() -> Dataset:
    """Belgian international phone calls in the years 1950 to 1973.

    Returns
    -------
    Dataset
        Feature ``year`` (1900 + year); target ``calls``, in millions. New arrays at every call.

    References
    ----------
    P. J. Rousseeuw and A. M. Leroy, Robust Regression and Outlier Detection, Wiley, 1987.

    Examples
    --------
    >>> from robloss.datasets import load_phones
    >>> load_phones().X.shape
    (24, 1)
    """
    return _load(
        "phones.csv",
        description=(
            "International phone calls from Belgium, in millions, by year (1900 + year). From 1964 "
            "to 1969 another system of recording was in use, which gave the total number of "
            "minutes; 1963 and 1970 are partly affected. A block of outliers in y."
        ),
        citation=_ROUSSEEUW_LEROY,
    )


def load_stars() -> Dataset:
    """Temperature and light of the 47 stars of the cluster CYG OB1.

    Returns
    -------
    Dataset
        Feature ``log.Te``, logarithm of the effective temperature; target ``log.light``, logarithm
        of the light intensity. New arrays at every call.

    Notes
    -----
    Four giants are leverage points. A loss bounds what a residual can do, not what a row of `X`
    can, so M-estimation does not withstand them: the maximum-likelihood shape is alpha = 2, which
    is ordinary least squares.

    References
    ----------
    P. J. Rousseeuw and A. M. Leroy, Robust Regression and Outlier Detection, Wiley, 1987.

    Examples
    --------
    >>> from robloss.datasets import load_stars
    >>> load_stars().X.shape
    (47, 1)
    """
    return _load(
        "stars.csv",
        description=(
            "The 47 stars of the cluster CYG OB1 in the direction of Cygnus: logarithms of the "
            "effective temperature at the surface (log.Te) and of the light intensity (log.light). "
            "Four giants, cool and bright, are leverage points."
        ),
        citation=_ROUSSEEUW_LEROY,
    )


DATASETS: Mapping[str, Callable[[], Dataset]] = MappingProxyType(
    {"stackloss": load_stackloss, "phones": load_phones, "stars": load_stars}
)
"""The loaders by name, as the command line knows them."""


def _load(filename: str, **about: Any) -> Dataset:
    """Read a table of this folder, whose last column is the target."""
    text = files(__name__).joinpath(filename).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    table = np.array(rows, dtype=np.float64)
    return Dataset(
        X=np.ascontiguousarray(table[:, :-1]),
        y=np.ascontiguousarray(table[:, -1]),
        feature_names=tuple(header[:-1]),
        target_name=header[-1],
        **about,
    )
