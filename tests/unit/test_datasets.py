"""The bundled tables hold the published numbers, and belong to whoever loads them."""

import dataclasses

import numpy as np
import pytest

from robloss import datasets

# features, target, rows, and a checksum of each column, features first
TABLES = {
    "stackloss": (
        ("Air.Flow", "Water.Temp", "Acid.Conc."),
        "stack.loss",
        21,
        [1269.0, 443.0, 1812.0, 368.0],
    ),
    "phones": (("year",), "calls", 24, [1476.0, 1199.8]),
    "stars": (("log.Te",), "log.light", 47, [202.57, 235.57]),
}


@pytest.mark.parametrize("name", TABLES)
def test_table_is_the_published_one(name):
    features, target, rows, sums = TABLES[name]
    data = datasets.DATASETS[name]()
    assert data.feature_names == features
    assert data.target_name == target
    assert data.X.shape == (rows, len(features))
    assert data.y.shape == (rows,)
    assert data.X.dtype == data.y.dtype == np.float64
    np.testing.assert_allclose([*data.X.sum(axis=0), data.y.sum()], sums, rtol=1e-13)


# Ordinary least squares to the digits that R's lm prints: a swapped cell would show.
@pytest.mark.parametrize(
    ("name", "coefficients"),
    [
        ("stackloss", [-39.9197, 0.7156, 1.2953, -0.1521]),
        ("phones", [-260.059, 5.0415]),
        ("stars", [6.7935, -0.4133]),
    ],
)
def test_least_squares_is_the_published_one(name, coefficients):
    data = datasets.DATASETS[name]()
    design = np.column_stack([np.ones(len(data.y)), data.X])
    found = np.linalg.lstsq(design, data.y)[0]
    # half a unit of the fourth decimal, of the third where R prints three
    atol = 5e-4 if name == "phones" else 5e-5
    np.testing.assert_allclose(found, coefficients, rtol=0, atol=atol)


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_says_what_it_is_and_where_it_is_from(name):
    data = datasets.DATASETS[name]()
    assert data.target_name in data.description or "calls" in data.description
    assert any(year in data.citation for year in ("1965", "1987"))


def test_names_are_those_of_the_functions():
    assert {name: load.__name__ for name, load in datasets.DATASETS.items()} == {
        "stackloss": "load_stackloss",
        "phones": "load_phones",
        "stars": "load_stars",
    }


def test_arrays_are_new_at_every_call():
    first = datasets.load_phones()
    first.X[:] = 0.0
    first.y[:] = 0.0
    assert datasets.load_phones().X.min() == 50.0
    assert datasets.load_phones().y.min() > 0.0


def test_is_frozen():
    data = datasets.load_phones()
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.y = data.y + 1.0
