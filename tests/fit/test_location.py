"""Robust means: the linear model with nothing but a constant, column by column."""

import copy
import math
import pickle

import numpy as np
import oracle
import pytest

import robloss
from fit.references import NOISES, synthetic

COLUMNS = np.column_stack([synthetic(seed, noise)[1] for seed, noise in enumerate(NOISES)])
# Two fits of one objective differ by 1e-8 standard errors and rounding.
CLOSE = 1e-7


@pytest.mark.parametrize("options", [{}, {"alpha": 1.0}, {"scale": 2.0}, {"method": "gradient"}])
@pytest.mark.parametrize("noise", ["student", "outliers", "normal"])
def test_it_is_the_linear_fit_of_no_features(noise, options, backend):
    x = synthetic(0, noise)[1]
    linear = robloss.fit_linear(np.empty((len(x), 0)), x, **options)
    fit = robloss.fit_location(backend.array(x), **options)
    assert fit.converged
    assert isinstance(fit.location, float)
    assert fit.location == pytest.approx(linear.intercept, abs=CLOSE)
    assert fit.alpha == pytest.approx(linear.alpha, abs=CLOSE)
    assert fit.nll == pytest.approx(linear.nll, rel=1e-12)
    assert backend.owns(fit.weights)


@pytest.mark.parametrize("noise", NOISES)
def test_it_is_an_optimum_by_the_oracle(noise):
    x = synthetic(1, noise)[1]
    fit = robloss.fit_location(x)

    def nll(location, alpha, scale):
        total = sum(float(oracle.loss(float(r), alpha, scale)) for r in x - location)
        return total + len(x) * (math.log(scale) + float(oracle.log_partition(alpha)))

    lowest = nll(fit.location, fit.alpha, fit.scale)
    assert fit.nll == pytest.approx(lowest, rel=1e-12)
    for moved in (-0.05, 0.05):
        alpha = min(2.0, max(0.0, fit.alpha + moved))
        assert nll(fit.location + moved * fit.scale, fit.alpha, fit.scale) > lowest
        assert nll(fit.location, alpha, fit.scale) >= lowest
        assert nll(fit.location, fit.alpha, fit.scale * math.exp(moved)) > lowest


def test_columns_are_fits_of_their_own(backend):
    x = COLUMNS[:, :3]
    fits = robloss.fit_location(backend.array(x))
    assert isinstance(fits, robloss.LocationFits)
    assert (len(fits), fits.shape, fits.converged) == (3, (3,), True)
    assert backend.owns(fits.location)
    singles = [robloss.fit_location(backend.array(column)) for column in x.T]
    np.testing.assert_array_equal(
        backend.to_numpy(fits.location), [fit.location for fit in singles]
    )
    for name in ("alpha", "scale"):
        np.testing.assert_array_equal(getattr(fits, name), [getattr(fit, name) for fit in singles])
    for name in ("weights", "residuals", "outliers"):
        expected = np.stack([backend.to_numpy(getattr(fit, name)) for fit in singles], axis=-1)
        np.testing.assert_array_equal(backend.to_numpy(getattr(fits, name)), expected)
    assert fits.nll == pytest.approx(sum(fit.nll for fit in singles), rel=1e-15)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, np.int64(-2)])
def test_three_dimensions(axis, backend):
    x = np.moveaxis(np.stack([COLUMNS[:, :3], COLUMNS[:, 3:6]], axis=-1), 0, axis)
    fits = robloss.fit_location(backend.array(x), axis=axis)
    assert (fits.alpha.shape, tuple(fits.location.shape)) == ((3, 2), (3, 2))
    assert tuple(fits.weights.shape) == (len(COLUMNS), 3, 2)
    # Inside they may lie in memory in another order, and be added up in it.
    expected = robloss.fit_location(COLUMNS[:, 4]).location
    assert float(backend.to_numpy(fits.location)[1, 1]) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("noise", ["student", "outliers", "laplace"])
def test_equivariance(noise):
    x = synthetic(2, noise)[1]
    fit, moved = robloss.fit_location(x), robloss.fit_location(7.0 - 1e3 * x)
    assert moved.location == pytest.approx(7.0 - 1e3 * fit.location, abs=1e3 * CLOSE)
    assert moved.scale == pytest.approx(1e3 * fit.scale, rel=CLOSE)
    assert moved.alpha == pytest.approx(fit.alpha, abs=CLOSE)
    np.testing.assert_allclose(moved.weights, fit.weights, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "kept"), [("int64", "float64"), ("float32", "float32"), ("float16", "float32")]
)
def test_dtypes(dtype, kept):
    x = (50.0 * synthetic(3, "student")[1]).astype(dtype)
    fit, wide = robloss.fit_location(x), robloss.fit_location(x.astype("float64"))
    assert fit.converged
    assert fit.params.dtype == fit.weights.dtype == kept
    # Sums are of float64 on the host; only what float32 cannot tell apart ends a fit earlier.
    assert fit.location == pytest.approx(wide.location, rel=1e-6)


def test_a_weight_is_a_repetition(backend):
    times = np.random.default_rng(4).integers(0, 4, len(COLUMNS))
    fits = robloss.fit_location(
        backend.array(COLUMNS[:, :2]), sample_weight=backend.array(1.0 * times)
    )
    expected = robloss.fit_location(np.repeat(COLUMNS[:, :2], times, axis=0))
    np.testing.assert_allclose(backend.to_numpy(fits.location), expected.location, atol=CLOSE)
    np.testing.assert_allclose(fits.scale, expected.scale, rtol=CLOSE)
    assert fits.nll == pytest.approx(expected.nll, rel=1e-12)
    assert fits.observations == times.sum()


def test_an_earlier_fit_is_a_start(backend):
    x = backend.array(COLUMNS[:, 2])
    fit = robloss.fit_location(x)
    again = robloss.fit_location(x, start=fit)
    assert again.n_iter <= 1 < fit.n_iter
    assert again.nll == pytest.approx(fit.nll, rel=1e-12)
    table = backend.array(COLUMNS[:, 1:4])
    fits = robloss.fit_location(table)
    again = robloss.fit_location(table, start=fits)
    assert again.n_iter <= 1 < fits.n_iter


def test_locations_are_a_start(backend):
    """Two heaps of values: a fit that lets go of far ones ends in the one that it starts in."""
    x = np.concatenate([COLUMNS[:60, 2], 1e3 + COLUMNS[60:, 2]])
    table = np.stack([[x, x, x], [-x, -x, -x]], axis=1)
    options = {"axis": -1, "alpha": -2.0, "scale": 1.0}
    starts = np.array([[0.0, -1e3], [1e3, 0.0], [0.0, 0.0]])
    fits = robloss.fit_location(backend.array(table), start=backend.array(starts), **options)
    np.testing.assert_allclose(backend.to_numpy(fits.location), starts, atol=1.0)
    of_list = robloss.fit_location(table, start=starts.tolist(), **options)
    np.testing.assert_allclose(of_list.location, backend.to_numpy(fits.location), atol=CLOSE)
    for start in (1e3, [1e3]):
        fit = robloss.fit_location(backend.array(x), start=start, alpha=-2.0, scale=1.0)
        assert fit.location == pytest.approx(1e3, abs=1.0)


def test_callback_tells_the_objective_of_weighted_values():
    seen, weights = [], np.full(len(COLUMNS), 0.25)
    fit = robloss.fit_location(COLUMNS[:, 0], sample_weight=weights, callback=seen.append)
    assert [one.nll for one in seen][-1] == pytest.approx(fit.nll, rel=1e-12)


def test_what_all_columns_have_at_once():
    fits = robloss.fit_location(COLUMNS[:, :3])
    for k, fit in enumerate(fits):
        np.testing.assert_array_equal(fits.standard_errors[:, k], fit.standard_errors)
        np.testing.assert_array_equal(fits.conf_int(0.5)[..., k], fit.conf_int(0.5))
        assert fits.outlier_distance[k] == fit.outlier_distance
        assert f"Column {k}\n{fit.summary()}" in fits.summary()
    assert fits.parameter_names == ("location", "alpha", "scale")
    assert repr(fits) == "<LocationFits of 3 columns, 3 converged>"
    for again in (pickle.loads(pickle.dumps(fits)), copy.deepcopy(fits)):
        np.testing.assert_array_equal(again.location, fits.location)
        np.testing.assert_array_equal(again.standard_errors, fits.standard_errors)


def test_a_column_that_does_not_converge_is_named():
    x = np.column_stack([COLUMNS[:, 0], np.zeros(len(COLUMNS))])
    with pytest.warns(robloss.ConvergenceWarning, match="the model fits the data"):
        fits = robloss.fit_location(x)
    assert (fits.converged, fits.status) == (False, "scale_floor")
    assert fits.message.startswith("1 of 2 columns, the first of them 1: The scale fell")


def test_a_column_is_found_by_all_axes():
    fits = robloss.fit_location(COLUMNS[:, :6].reshape(-1, 3, 2))
    for place in np.ndindex(3, 2):
        assert fits[place] is fits[2 * place[0] + place[1]]
    assert fits[-1, -1] is fits[5]
    assert fits[1, :] == fits[2:4]
    with pytest.raises(IndexError, match="out of bounds"):
        fits[3, 0]


@pytest.mark.parametrize("truncation", [None, 10.0])
def test_outliers_of_all_columns_are_those_of_each(truncation, backend):
    options = {} if truncation is None else {"alpha_bounds": (-2.0, 2.0), "truncation": truncation}
    weights = np.full(len(COLUMNS), 1e-3)
    fits = robloss.fit_location(
        backend.array(COLUMNS), sample_weight=backend.array(weights), **options
    )
    expected = np.stack([backend.to_numpy(fit.outliers) for fit in fits], axis=1)
    np.testing.assert_array_equal(backend.to_numpy(fits.outliers), expected)
    assert 0 < np.sum(expected) < expected.size / 4
    distances = [fit.outlier_distance for fit in fits]
    np.testing.assert_allclose(fits.outlier_distance, distances, rtol=1e-14)


def test_flags_that_are_the_same_are_one_with_all_columns():
    x = np.tile(COLUMNS[:, [NOISES.index("normal"), NOISES.index("laplace")]], (1, 12))
    one, two, both = (robloss.fit_location(x[:, :k]).flags for k in (1, 3, 24))
    about = "alpha is on its upper bound 2: this is least squares."
    assert one == (f"Column 0: {about}",)
    assert two == (f"Columns 0, 2: {about}",)
    assert both == (f"Columns 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 and 2 more: {about}",)
    placed = robloss.fit_location(x[:, :4].reshape(-1, 2, 2))
    assert placed.flags == (f"Columns (0, 0), (1, 0): {about}",)
    headings = [line for line in placed.summary().splitlines() if line.startswith("Column")]
    assert headings == ["Column (0, 0)", "Column (0, 1)", "Column (1, 0)", "Column (1, 1)"]


def test_columns_whose_scale_is_held_have_no_error_of_it():
    """Of a truncated law below alpha = 0 the scale is held, of one above it is estimated."""
    x = COLUMNS[:, [NOISES.index("cauchy"), NOISES.index("normal")]]
    fits = robloss.fit_location(x, alpha_bounds=(-2.0, 2.0), truncation=10.0)
    assert [fit.adapted for fit in fits] == [("alpha",), ("alpha", "scale")]
    assert fits.parameter_names == ("location", "alpha", "scale")
    assert np.isnan(fits.standard_errors[2, 0])
    np.testing.assert_array_equal(fits.standard_errors[:2, 0], fits[0].standard_errors)


X = COLUMNS[:, :2]
ERRORS = {
    "no axis": (X, {"axis": 2}, ValueError, r"`axis` must be an axis of `x`, but got 2 for shape"),
    "axis a word": (X, {"axis": "rows"}, TypeError, "`axis` must be a whole number"),
    "axis a truth": (X, {"axis": True}, TypeError, "`axis` must be a whole number"),
    "two axes": (X, {"axis": (0, 1)}, TypeError, "`axis` must be a whole number"),
    "a number": (np.float64(3.0), {}, ValueError, "`axis` must be an axis of `x`"),
    "no values": (X[:0], {}, ValueError, r"`x` must not be empty, but got shape \(0, 2\)\. Pass"),
    "too few locations": (X, {"start": [1.0]}, ValueError, r"`start` must hold 2 param.* \(1,\)"),
    "too many": (X[:, 0], {"start": X[0]}, ValueError, r"`start` must hold 1 param.* \(2,\)"),
    "no number": (
        X,
        {"start": [0.0, math.nan]},
        ValueError,
        r"`start` must be finite, but got nan at index \(1,\)",
    ),
    "a word": (X, {"start": "mean"}, TypeError, "`start` must be an array of parameters or an"),
    "too large": (X, {"start": [10**400]}, TypeError, "`start` must be an array of parameters or"),
    "no columns": (X[:, :0], {}, ValueError, r"`x` must not be empty, but got shape"),
}


@pytest.mark.parametrize(("x", "options", "error", "sentence"), ERRORS.values(), ids=ERRORS)
def test_errors(x, options, error, sentence):
    with pytest.raises(error, match=sentence):
        robloss.fit_location(x, **options)


def test_squares_that_overflow_are_of_a_column():
    with pytest.raises(ValueError, match="change the unit") as caught:
        robloss.fit_location(X * [1.0, 1e200])
    assert caught.value.__notes__ == ["It was met in the fit of column 1 of `x`."]


def test_what_only_each_fit_has_is_said_to_be_there():
    fits = robloss.fit_location(X)
    with pytest.raises(
        AttributeError, match=r"no attribute 'covariance'\. .* fits\[k\]\.covariance"
    ):
        _ = fits.covariance
    with pytest.raises(AttributeError, match=r"fits\[k\]\.history"):
        _ = fits.history
    with pytest.raises(AttributeError, match=r"'LocationFits' has no attribute 'nothing'\.$"):
        _ = fits.nothing
    assert copy.deepcopy(fits)[1].alpha == pickle.loads(pickle.dumps(fits))[1].alpha
