"""Data frames of any library as `X`, and their series as `y`."""

import numpy as np
import pytest

import robloss
from robloss import datasets

STACKLOSS = datasets.load_stackloss()
COLUMNS = dict(zip(STACKLOSS.feature_names, STACKLOSS.X.T, strict=True))


class Plain:
    """What a data frame is to us: names, columns by name, and a conversion to one array."""

    def __init__(self, columns):
        self.columns = list(columns)
        self._values = {name: np.asarray(values) for name, values in columns.items()}

    def __getitem__(self, name):
        return self._values[name]

    def __array__(self, dtype=None, copy=None):
        rows = zip(*(values.tolist() for values in self._values.values()), strict=True)
        kinds = {values.dtype.kind for values in self._values.values()}
        return np.array([*rows], dtype=dtype or (float if kinds == {"f"} else object))


class Arrow(Plain):
    """A table of Arrow, whose columns are arrays, beside their names."""

    def __init__(self, columns):
        super().__init__(columns)
        self.column_names = self.columns
        self.columns = [self[name] for name in self.column_names]


def frame(library, columns):
    if library in ("plain", "arrow"):
        return {"plain": Plain, "arrow": Arrow}[library](columns)
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    return module.DataFrame(columns)


@pytest.fixture(params=["plain", "arrow", "pandas", "polars"])
def library(request):
    return request.param


def test_a_frame_is_its_columns_with_their_names(library):
    X = frame(library, {**COLUMNS, "y": STACKLOSS.y})
    y = X["y"]
    fit = robloss.fit_linear(frame(library, COLUMNS), y)
    same = robloss.fit_linear(STACKLOSS.X, STACKLOSS.y)
    assert fit.feature_names == tuple(COLUMNS)
    assert "Water.Temp" in fit.summary()
    # The same numbers in another layout: sums may be rounded in another order.
    np.testing.assert_allclose(fit.coef, same.coef, rtol=1e-12)
    fitted = fit.predict(frame(library, COLUMNS))
    np.testing.assert_allclose(fitted, same.predict(STACKLOSS.X), rtol=1e-12)


def test_responses_have_the_names_of_their_columns(library):
    y = frame(library, {"loss": STACKLOSS.y, "share": STACKLOSS.y[::-1].copy()})
    each = robloss.fit_linear(STACKLOSS.X, y)
    assert [fit.target_names for fit in each] == [("loss",), ("share",)]
    for name in ("loss", "share"):
        assert f"response{name:>30}" in each.summary()
    shared = robloss.fit_linear(STACKLOSS.X, y, shared=True)
    assert shared.target_names == ("loss", "share")
    assert shared.names[4] == "share: intercept"
    assert " of share " in shared.summary()


@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_a_response_has_the_name_of_its_series(module):
    module = pytest.importorskip(module, reason=f"{module} is not installed")
    fit = robloss.fit_linear(STACKLOSS.X, module.DataFrame({"loss": STACKLOSS.y})["loss"])
    assert fit.target_names == ("loss",)
    assert f"response{'loss':>30}" in fit.summary()


@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_a_series_need_not_have_a_name(module):
    module = pytest.importorskip(module, reason=f"{module} is not installed")
    response = module.Series(STACKLOSS.y)
    assert robloss.fit_linear(STACKLOSS.X, response).target_names == ("y",)
    fit = robloss.fit_location(response)
    assert fit.column_name is None
    assert "\ncolumn" not in fit.summary()


def test_locations_have_the_names_of_their_columns(library):
    fits = robloss.fit_location(frame(library, COLUMNS))
    assert [fit.column_name for fit in fits] == [*COLUMNS]
    same = robloss.fit_location(STACKLOSS.X)
    np.testing.assert_allclose(fits.location, same.location, rtol=1e-12)
    for name in COLUMNS:
        assert f"column{name:>32}" in fits.summary()
    assert [fit.column_name for fit in same] == [None] * 3
    assert "\ncolumn" not in same.summary()


def test_locations_of_the_rows_of_a_frame_have_no_names(library):
    options = {"alpha": 2.0, "scale": 1.0}
    fits = robloss.fit_location(frame(library, COLUMNS), axis=1, **options)
    assert [fit.column_name for fit in fits] == [None] * 21


def test_locations_of_columns_of_several_dtypes(library):
    columns = {"air": STACKLOSS.X[:, 0], "acid": STACKLOSS.X[:, 2].astype(int)}
    fits = robloss.fit_location(frame(library, columns))
    same = robloss.fit_location(STACKLOSS.X[:, [0, 2]])
    np.testing.assert_allclose(fits.location, same.location, rtol=1e-12)


@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_a_location_has_the_name_of_its_series(module):
    module = pytest.importorskip(module, reason=f"{module} is not installed")
    fit = robloss.fit_location(module.DataFrame({"loss": STACKLOSS.y})["loss"])
    assert fit.column_name == "loss"
    assert f"column{'loss':>32}" in fit.summary()


def test_what_is_no_frame_has_no_name(library):
    fit = robloss.fit_linear(frame(library, COLUMNS), STACKLOSS.y)
    assert fit.target_names == ("y",)
    assert "response" not in fit.summary()


def test_names_that_are_given_go_first(library):
    fit = robloss.fit_linear(frame(library, COLUMNS), STACKLOSS.y, feature_names=["a", "b", "c"])
    assert fit.feature_names == ("a", "b", "c")


def test_columns_may_differ_in_dtype(library):
    warm = STACKLOSS.X[:, 1] > 20
    air, acid = STACKLOSS.X[:, 0], STACKLOSS.X[:, 2].astype(int)
    X = frame(library, {"air": air, "acid": acid, "warm": warm})
    fit = robloss.fit_linear(X, STACKLOSS.y)
    same = robloss.fit_linear(np.column_stack([air, acid, warm]), STACKLOSS.y)
    np.testing.assert_allclose(fit.coef, same.coef, rtol=1e-12)


def test_a_column_of_words_is_named(library):
    X = frame(library, {**COLUMNS, "plant": ["a"] * 21})
    with pytest.raises(TypeError, match=r"`X` must have columns of numbers, but got .* in 'plant'"):
        robloss.fit_linear(X, STACKLOSS.y)


def test_a_frame_that_is_not_in_memory_is_refused():
    lazy = pytest.importorskip("polars", reason="polars is not installed").LazyFrame(COLUMNS)
    fit, message = robloss.fit_linear(STACKLOSS.X, STACKLOSS.y), "`{}` must be a data frame in mem"
    with pytest.raises(TypeError, match=message.format("X")):
        robloss.fit_linear(lazy, STACKLOSS.y)
    with pytest.raises(TypeError, match=message.format("X")):
        fit.predict(lazy)
    with pytest.raises(TypeError, match=message.format("x")):
        robloss.fit_location(lazy)


def test_an_array_has_no_names():
    assert robloss.fit_linear(STACKLOSS.X, STACKLOSS.y).feature_names == ("x0", "x1", "x2")


@pytest.mark.parametrize("targets", [1, 2])
def test_columns_in_another_order_are_refused(library, targets):
    y = STACKLOSS.y if targets == 1 else np.column_stack([STACKLOSS.y, STACKLOSS.y**2])
    fit = robloss.fit_linear(frame(library, COLUMNS), y)
    reversed_ = frame(library, dict(reversed(COLUMNS.items())))
    message = r"`X` must have the columns of the fit, in their order, but got 'Acid.Conc.' in the"
    for method in (fit.predict, fit.predict_interval):
        with pytest.raises(ValueError, match=message):
            method(reversed_)
    # An array is taken by position: it has no names.
    assert fit.predict(STACKLOSS.X[:, ::-1]).shape == y.shape


def test_columns_of_other_names_are_refused_where_names_are_known(library):
    other = frame(library, dict(zip("abc", STACKLOSS.X.T, strict=True)))
    named = robloss.fit_linear(STACKLOSS.X, STACKLOSS.y, feature_names=STACKLOSS.feature_names)
    for fit in (named, robloss.fit_linear(frame(library, COLUMNS), STACKLOSS.y)):
        with pytest.raises(ValueError, match=r"but got 'a' in the place of 'Air.Flow'"):
            fit.predict(other)
    unnamed = robloss.fit_linear(STACKLOSS.X, STACKLOSS.y)
    np.testing.assert_allclose(unnamed.predict(other), unnamed.predict(STACKLOSS.X), rtol=1e-12)


def test_names_for_the_summary_do_not_rename_the_frame(library):
    X = frame(library, COLUMNS)
    fit = robloss.fit_linear(X, STACKLOSS.y, feature_names=["a", "b", "c"])
    np.testing.assert_allclose(fit.predict(X), fit.predict(STACKLOSS.X), rtol=1e-12)
