"""Every estimator and every kind of bad input: an error that says what to do, or a flagged result.

`TABLE` has a row for each kind of bad input, and says for each estimator what it ends in.
"""

import importlib
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

import robloss
from fit.endings import Flagged, Plain, Refused, Warned
from fit.references import synthetic

X, Y, _ = synthetic(20, "student", n=30)
LINEAR = "linear several shared"
ARRAYS = f"location columns {LINEAR}"
RESIDUALS = "residuals vectors"
OURS = f"{ARRAYS} {RESIDUALS}"


# -------------------------------------------------------------------------------- the estimators


@dataclass(frozen=True)
class Data:
    """What a fit is given."""

    X: Any = field(default_factory=lambda: X)
    y: Any = field(default_factory=lambda: Y)
    options: dict = field(default_factory=dict)

    def on(self, backend):
        """The same in arrays of a library."""
        weights = self.options.get("sample_weight")
        more = {} if weights is None else {"sample_weight": backend.array(weights)}
        return replace(
            self, X=backend.array(self.X), y=backend.array(self.y), options={**self.options, **more}
        )


def twice(y):
    return array_namespace(y).stack([y, y], axis=-1)


def location(backend, data):
    return robloss.fit_location(data.y, **data.options)


def columns(backend, data):
    return robloss.fit_location(twice(data.y), **data.options)


def linear(backend, data):
    return robloss.fit_linear(data.X, data.y, **data.options)


def several(backend, data):
    return robloss.fit_linear(data.X, twice(data.y), **data.options)


def shared(backend, data):
    return robloss.fit_linear(data.X, twice(data.y), shared=True, **data.options)


def residuals(backend, data):
    return robloss.fit_residuals(
        lambda theta: data.y - data.X @ theta,
        backend.array(np.zeros(np.shape(data.X)[-1])),
        jac=lambda theta: -data.X,
        **data.options,
    )


def vectors(backend, data):
    """Of two components, each with coefficients of its own."""
    xp, p = backend.xp, np.shape(data.X)[-1]

    def slopes(theta):
        zero = xp.zeros_like(data.X)
        first, second = (xp.concat(pair, axis=-1) for pair in ((data.X, zero), (zero, data.X)))
        return -xp.stack([first, second], axis=1)

    return robloss.fit_residuals(
        lambda theta: xp.stack([data.y - data.X @ theta[:p], data.y - data.X @ theta[p:]], axis=-1),
        backend.array(np.zeros(2 * p)),
        jac=slopes,
        **data.options,
    )


def regressor(backend, data):
    reason = "scikit-learn is not installed"
    front = pytest.importorskip("sklearn", reason=reason) and robloss.sklearn
    options = dict(data.options)
    weights = options.pop("sample_weight", None)
    return front.RobustRegressor(**options).fit(data.X, data.y, sample_weight=weights).fit_


ESTIMATORS = {
    one.__name__: one
    for one in (location, columns, linear, several, shared, residuals, vectors, regressor)
}


# ------------------------------------------------------------------------------------- the table

FLOOR = Warned("scale_floor", "the model fits the data")
REAL = Refused(TypeError, "must have a real dtype of at most 64 bits")
FINITE = Refused(ValueError, "must be finite")
UNIT = Refused(ValueError, "neither overflow nor underflow|must be finite")
WEIGHTS = Refused(ValueError, r"`sample_weight` must lie in \[0, inf\)")
RANK = Flagged("they are not determined by the data")


def spoilt(array, index, value):
    changed = np.array(array, dtype=float)
    changed[index] = value
    return changed


def weighted(weights):
    return Data(options={"sample_weight": weights})


def with_column(column):
    return Data(X=np.column_stack([X, column]))


EXACT = X @ [1.0, 2.0, 3.0]
MOST_0 = np.where(np.arange(30) < 22, 0.0, Y)
FIXED = {"alpha": 1.0, "scale": 1.0}
WIDE = np.random.default_rng(0).normal(size=(30, 100))

TABLE = {
    "complex y": (Data(y=Y * 1j), {OURS: REAL, "regressor": Refused(ValueError, "Complex data")}),
    "complex X": (
        Data(X=X * 1j),
        {
            LINEAR: REAL,
            # The user's own product may refuse it first.
            RESIDUALS: Refused((TypeError, RuntimeError), "dtype"),
            "regressor": Refused(ValueError, "Complex data"),
        },
    ),
    "complex weights": (weighted(np.ones(30) * 1j), {OURS: REAL}),
    "truths as y": (Data(y=Y > 0), {ARRAYS: REAL}),
    "truths as X": (Data(X=X > 0), {LINEAR: REAL}),
    "truths as weights": (weighted(Y > 0), {OURS: REAL}),
    "X of one dimension": (
        Data(X=X[:, 0]),
        {
            LINEAR: Refused(ValueError, r"`X` must have two dimensions .*X\[:, None\]"),
            "regressor": Refused(ValueError, "Expected 2D array"),
        },
    ),
    "y of three dimensions": (
        Data(y=Y[:, None, None]),
        {
            "linear": Refused(ValueError, r"^`y` must have one dimension, or two .*\(30, 1, 1\)"),
            "residuals": Refused(ValueError, "one dimension, or of two for vectors"),
        },
    ),
    "rows differ": (
        Data(y=Y[:-1]),
        {
            LINEAR: Refused(ValueError, r"same number of rows, .* 30 and 29\. Each"),
            "regressor": Refused(ValueError, "inconsistent numbers of samples"),
        },
    ),
    "no rows": (
        Data(X=X[:0], y=Y[:0]),
        {
            "location columns": Refused(ValueError, "`x` must not be empty"),
            LINEAR: Refused(ValueError, "same number of rows, at least 1"),
            RESIDUALS: Refused(ValueError, "one dimension, or of two for vectors"),
            "regressor": Refused(ValueError, "0 sample"),
        },
    ),
    "too few weights": (
        weighted(np.ones(29)),
        {f"{OURS} regressor": Refused(ValueError, r"`sample_weight` must have shape \(30,\)")},
    ),
    "NaN in y": (
        Data(y=spoilt(Y, 5, math.nan)),
        {OURS: FINITE, "regressor": Refused(ValueError, "y contains NaN")},
    ),
    "inf in y": (
        Data(y=spoilt(Y, 5, -math.inf)),
        {OURS: FINITE, "regressor": Refused(ValueError, "y contains infinity")},
    ),
    "NaN in X": (
        Data(X=spoilt(X, (3, 1), math.nan)),
        {f"{LINEAR} {RESIDUALS}": FINITE, "regressor": Refused(ValueError, "X contains NaN")},
    ),
    "inf in X": (
        Data(X=spoilt(X, (3, 1), math.inf)),
        {f"{LINEAR} {RESIDUALS}": FINITE, "regressor": Refused(ValueError, "X contains infinity")},
    ),
    "a NaN weight": (weighted(spoilt(np.ones(30), 7, math.nan)), {f"{OURS} regressor": WEIGHTS}),
    "an inf weight": (weighted(spoilt(np.ones(30), 7, math.inf)), {f"{OURS} regressor": WEIGHTS}),
    "a negative weight": (weighted(spoilt(np.ones(30), 7, -1)), {f"{OURS} regressor": WEIGHTS}),
    "weights that overflow": (weighted(np.full(30, 1e308)), {f"{OURS} regressor": WEIGHTS}),
    "weights of 0": (
        weighted(np.zeros(30)),
        {f"{OURS} regressor": Refused(ValueError, "must be positive for at least one row")},
    ),
    "a constant column": (
        with_column(np.full(30, 3.3)),
        {f"{LINEAR} regressor": RANK, RESIDUALS: Plain()},  # these have no constant of their own
    ),
    "a column of 0": (
        with_column(np.zeros(30)), {f"{LINEAR} {RESIDUALS} regressor": RANK}
    ),
    "a column twice": (with_column(X[:, 0]), {f"{LINEAR} {RESIDUALS} regressor": RANK}),
    "collinear columns": (
        with_column(X @ [1.0, -1.0, 0.5]), {f"{LINEAR} {RESIDUALS} regressor": RANK}
    ),
    "fewer rows than columns": (
        Data(X=X[:2], y=Y[:2]), {f"{LINEAR} {RESIDUALS} regressor": FLOOR}
    ),
    "fewer rows than columns, a scale": (
        Data(X=X[:2], y=Y[:2], options=FIXED),
        {"location columns": Plain(), f"{LINEAR} {RESIDUALS} regressor": RANK},
    ),
    "many more columns than rows": (
        Data(X=WIDE, options=FIXED), {f"{LINEAR} {RESIDUALS} regressor": RANK}
    ),
    "one row": (Data(X=X[:1], y=Y[:1]), {f"{OURS} regressor": FLOOR}),
    "a perfect fit": (Data(y=EXACT), {f"{LINEAR} {RESIDUALS} regressor": FLOOR}),
    "a perfect fit, a scale": (
        Data(y=EXACT, options=FIXED), {f"{LINEAR} {RESIDUALS} regressor": Plain()}
    ),
    "a constant y": (
        Data(y=np.full(30, 7.0)), {f"{ARRAYS} regressor": FLOOR, RESIDUALS: Plain()}
    ),
    "y is 0": (Data(y=np.zeros(30)), {f"{OURS} regressor": FLOOR}),
    "residuals of 0 in most rows": (
        Data(y=MOST_0),
        # The likelihood of vectors has a maximum at every shape that they are fitted with.
        {f"{ARRAYS} residuals regressor": FLOOR, "vectors": Flagged("on its lower bound 0.1")},
    ),
    "residuals of 0 in most rows, a scale": (
        Data(y=MOST_0, options=FIXED), {f"{OURS} regressor": Plain()}
    ),
    "y in units of 1e-150": (Data(y=1e150 * Y), {f"{OURS} regressor": Plain()}),
    "y in units of 1e150": (Data(y=1e-150 * Y), {f"{OURS} regressor": Plain()}),
    "X in units of 1e-150": (Data(X=1e150 * X), {f"{LINEAR} {RESIDUALS} regressor": Plain()}),
    "X in units of 1e150": (Data(X=1e-150 * X), {f"{LINEAR} {RESIDUALS} regressor": Plain()}),
    "y overflows": (Data(y=1e200 * Y), {f"{OURS} regressor": UNIT}),
    "y underflows": (Data(y=1e-200 * Y), {f"{OURS} regressor": UNIT}),
    "X overflows": (Data(X=1e200 * X), {f"{LINEAR} {RESIDUALS} regressor": UNIT}),
    "X underflows": (Data(X=1e-165 * X), {f"{LINEAR} {RESIDUALS} regressor": UNIT}),
    "X nearly underflows": (Data(X=1e-162 * X), {f"{LINEAR} regressor": UNIT}),
    "bounds reversed": (
        Data(options={"alpha_bounds": (2, 0)}),
        {f"{OURS} regressor": Refused(ValueError, "low < high")},
    ),
    "too few parameters to start from": (
        Data(options={"start": [1.0, 2.0]}),
        {
            "location": Refused(ValueError, r"`start` must hold 1 parameters, .* shape \(2,\)"),
            "linear": Refused(ValueError, r"`start` must hold 4 parameters, .* shape \(2,\)"),
            "several": Refused(ValueError, r"`start` must hold 4 times 2 .* shape \(2,\)"),
            "shared": Refused(ValueError, r"`start` must hold 8 parameters, .* shape \(2,\)"),
        },
    ),
}  # fmt: skip

CELLS = [
    pytest.param(name, data, expected, id=f"{kind}: {name}")
    for kind, (data, row) in TABLE.items()
    for names, expected in row.items()
    for name in names.split()
]


# Squares of float32 sums, and what is 0 to their rounding, depend on the order of a library's sums.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "data", "expected"), CELLS)
def test_table(name, data, expected, backend):
    if name == "regressor" and not backend.is_host:
        pytest.skip("the front for scikit-learn is tested with NumPy")
    if name == "vectors" and backend.lazy:
        pytest.skip("the integrals of vectors' losses take Dask's graphs a minute for each fit")
    expected.check(lambda: ESTIMATORS[name](backend, data.on(backend)))


# --------------------------------------------------------------------------------------- options


OPTION_ERRORS = {
    "scale zero": ({"scale": 0.0}, ValueError, r"`scale` must lie in \(0, inf\), but got 0.0"),
    "scale negative": ({"scale": -1}, ValueError, r"`scale` .* but got -1.0"),
    "scale NaN": ({"scale": math.nan}, ValueError, "`scale` .* but got nan"),
    "scale infinite": ({"scale": math.inf}, ValueError, "`scale` .* but got inf"),
    "scale a word": ({"scale": "auto"}, TypeError, '`scale` must be "adapt" or a number'),
    "scale an array": ({"scale": [1.0]}, TypeError, '`scale` must be "adapt" or a number'),
    "alpha NaN": ({"alpha": math.nan}, ValueError, "`alpha` .* but got nan"),
    "alpha a truth": ({"alpha": True}, TypeError, '`alpha` must be "adapt" or a number'),
    "alpha below 0": ({"alpha": -1}, ValueError, "where the scale .*is adapted"),
    "bounds reversed": ({"alpha_bounds": (2, 0)}, ValueError, "low < high"),
    "bounds below 0": ({"alpha_bounds": (-1, 2)}, ValueError, "0 <= low"),
    "bounds infinite": ({"alpha_bounds": (0, math.inf)}, ValueError, "high < inf"),
    "bounds of three": ({"alpha_bounds": (0, 1, 2)}, TypeError, "two numbers"),
    "tolerance": ({"tol": 0.0}, ValueError, "`tol` must lie in"),
    "steps": ({"max_iter": -1}, ValueError, "`max_iter` must be a whole number"),
    "scale none": ({"scale": None}, TypeError, '`scale` must be "adapt" or a number'),
    "tolerance a word": ({"tol": "a"}, TypeError, "`tol` must be a number"),
    "steps not whole": ({"max_iter": math.inf}, ValueError, "`max_iter` must be a whole"),
    "bounds words": ({"alpha_bounds": ("a", "b")}, TypeError, "must be two numbers"),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(
    ("options", "error", "sentence"), OPTION_ERRORS.values(), ids=OPTION_ERRORS
)
@pytest.mark.backends(lambda library: library.is_host)
def test_errors_of_options(options, error, sentence, name, backend):
    with pytest.raises(error, match=sentence):
        ESTIMATORS[name](backend, Data(options=options))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.backends(lambda library: library.is_host)
def test_too_few_steps(name, backend):
    with pytest.warns(UserWarning, match="`max_iter` steps"):
        found = ESTIMATORS[name](backend, Data(options={"max_iter": 1}))
    assert (found.status, found.converged, found.n_iter) == ("max_iter", False, 1)
    assert "`max_iter` steps" in found.summary()


# ---------------------------------------------------------------- several libraries, and devices

OTHER = r"must come from one array library|the library of `theta0`"
MIXED = {
    "X": (LINEAR, lambda backend, data: replace(data, X=X)),
    "y": (LINEAR, lambda backend, data: replace(data, y=Y)),
    "weights": (OURS, lambda backend, data: replace(data, options={"sample_weight": np.ones(30)})),
}


@pytest.mark.parametrize(
    ("name", "mixed"),
    [(name, mixed) for names, mixed in MIXED.values() for name in names.split()],
)
@pytest.mark.backends(lambda library: not library.is_host)
def test_mixed_libraries(name, mixed, backend):
    with pytest.raises(TypeError, match=OTHER):
        ESTIMATORS[name](backend, mixed(backend, Data().on(backend)))


def elsewhere(backend, array):
    """An array of ones on another device, of those libraries that have two on any machine."""
    if backend.module == "torch":
        return backend.xp.ones(array.shape, dtype=array.dtype, device="meta")
    return backend.xp.ones(
        array.shape, device=importlib.import_module("array_api_strict").Device("device1")
    )


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, part) for name in LINEAR.split() for part in ("X", "y", "weights")),
        *((name, part) for name in OURS.split() for part in ["weights"]),
    ],
)
@pytest.mark.backends(lambda library: library.module in ("torch", "array_api_strict"))
def test_mixed_devices(name, part, backend):
    data = Data().on(backend)
    if part == "weights":
        data = replace(data, options={"sample_weight": elsewhere(backend, data.y)})
    else:
        data = replace(data, **{part: elsewhere(backend, getattr(data, part))})
    with pytest.raises(ValueError, match=r"must be on one device, but got .+ and .+\. Move"):
        ESTIMATORS[name](backend, data)


@pytest.mark.parametrize("name", ["residuals", "jac"])
@pytest.mark.backends(lambda library: library.module in ("torch", "array_api_strict"))
def test_functions_on_another_device(name, backend):
    data = Data().on(backend)
    functions = {"residuals": lambda theta: data.y - data.X @ theta, "jac": lambda theta: -data.X}
    functions[name] = lambda theta: elsewhere(backend, data.y if name == "residuals" else data.X)
    with pytest.raises(ValueError, match=f"`{name}` must return an array on the device of"):
        robloss.fit_residuals(theta0=backend.array(np.zeros(3)), **functions)


@pytest.mark.backends(lambda library: library.option == "dask")
def test_unknown_shapes(backend):
    """Dask does not know how many rows a mask leaves."""
    data = Data().on(backend)
    kept = data.y > 0.0
    some = replace(data, X=data.X[kept], y=data.y[kept])
    unknown = r"known shapes?, but got \(nan.*\)\. Call compute_chunk_sizes\(\) first"
    for fit in (location, linear):
        with pytest.raises(ValueError, match=unknown):
            fit(backend, some)


# --------------------------------------------------------------------- what only some of them have


class Sparse:
    """What one of SciPy is to us; NumPy would make one object of it."""

    shape, ndim = X.shape, 2

    def toarray(self):
        return X


LINEAR_ERRORS = {
    "words": ((X.astype(str), Y), {}, TypeError, "`X` must have a real dtype"),
    "objects": ((X, Y.astype(object)), {}, TypeError, "`y` must have a real dtype"),
    "intercept a word": (
        (X, Y),
        {"intercept": "yes"},
        TypeError,
        "`intercept` must be True or False, but got 'yes'",
    ),
    "intercept a number": ((X, Y), {"intercept": 2}, TypeError, "`intercept` must be True or"),
    "a mask": ((np.ma.array(X, mask=X > 1), Y), {}, TypeError, "without a mask"),
    "sparse": (
        (Sparse(), Y),
        {},
        TypeError,
        r"`X` must be a dense array, but got Sparse\. .*toarray",
    ),
    "inf in one of several": (
        (X, np.column_stack([Y, spoilt(Y, 5, -math.inf)])),
        {},
        ValueError,
        r"`y` must be finite, but got -inf at index \(5, 1\)",
    ),
    "NaN in one that shares": (
        (X, np.column_stack([Y, spoilt(Y, 5, math.nan)])),
        {"shared": True},
        ValueError,
        r"`y` must be finite, but got nan at index \(5, 1\)",
    ),
    "one name": ((X, Y), {"feature_names": "abc"}, TypeError, "must be a list of names"),
    "names": ((X, Y), {"feature_names": ["a"]}, ValueError, "one name per column"),
    "NaN": ((spoilt(X, (3, 1), math.nan), Y), {}, ValueError, r"nan at index \(3, 1\)"),
    "inf": ((X, spoilt(Y, 5, -math.inf)), {}, ValueError, r"`y` .* -inf at index \(5,\)"),
    "X underflows beside no constant": (
        (X * 1e-165, Y),
        {"intercept": False},
        ValueError,
        "change the unit",
    ),
}


@pytest.mark.parametrize(
    ("data", "options", "error", "sentence"), LINEAR_ERRORS.values(), ids=LINEAR_ERRORS
)
def test_errors_of_linear_fits(data, options, error, sentence):
    with pytest.raises(error, match=sentence):
        robloss.fit_linear(*data, **options)


@pytest.mark.parametrize("intercept", [True, False])
def test_the_truths_of_numpy(intercept):
    fit = robloss.fit_linear(X, Y, intercept=np.bool_(intercept))
    assert fit.fitted_intercept is intercept


def test_predict_refuses_other_columns():
    fit = robloss.fit_linear(X, Y)
    with pytest.raises(ValueError, match=r"`X` must have shape \(m, 3\), but got \(2, 4\)"):
        fit.predict(np.zeros((2, 4)))
    with pytest.raises(TypeError, match="real dtype"):
        fit.predict(np.zeros((2, 3), dtype=complex))
    np.testing.assert_array_equal(
        fit.predict([[1, 2, 3]]), fit.predict(np.array([[1.0, 2.0, 3.0]]))
    )
