"""robloss.sklearn: scikit-learn's own checks, and that the estimator is `fit_linear`."""

import inspect
import pickle

import numpy as np
import pytest

import robloss
from robloss import datasets

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.metrics import r2_score  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from robloss.sklearn import RobustRegressor  # noqa: E402

STACKLOSS = datasets.load_stackloss()
X, Y = STACKLOSS.X, STACKLOSS.y
RENAMED = {"fit_intercept": "intercept", "random_state": "rng"}


@pytest.fixture(autouse=True)
def dispatching(monkeypatch):
    """Let scikit-learn take arrays of other libraries, where a test turns that on."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


# Some of their data are fitted exactly, others leave the method of first derivatives on a plateau.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        RobustRegressor(),
        RobustRegressor(alpha=1.0, l2=1.0, n_starts=2, warm_start=True),
        RobustRegressor(alpha=-2.0, scale=10.0, method="gradient"),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


# ------------------------------------------------------------------------- it is `fit_linear`


def test_it_has_the_options_and_defaults_of_fit_linear():
    ours = inspect.signature(RobustRegressor).parameters
    theirs = inspect.signature(robloss.fit_linear).parameters
    assert all(one.kind is one.KEYWORD_ONLY for one in ours.values())
    of_fit = {"X", "y", "sample_weight", "feature_names", "callback", "start"}
    assert {RENAMED.get(name, name) for name in ours} - {"warm_start"} == {*theirs} - of_fit
    for name in {*ours} - {"warm_start"}:
        assert ours[name].default == theirs[RENAMED.get(name, name)].default


OPTIONS = [
    {"alpha": 1.0}, {"scale": 2.0}, {"fit_intercept": False}, {"l2": 5.0},
    {"alpha_bounds": (0.5, 1.5)}, {"truncation": 10.0, "alpha_bounds": (-3.0, 2.0)},
    {"method": "gradient"}, {"anneal": "barron"}, {"tol": 0.1},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_reach_the_fit(options):
    model = RobustRegressor(**options).fit(X, Y)
    fit = robloss.fit_linear(X, Y, **{RENAMED.get(name, name): v for name, v in options.items()})
    np.testing.assert_array_equal(model.coef_, fit.coef)
    assert (model.nll_, model.n_iter_) == (fit.nll, fit.n_iter)
    plain = RobustRegressor().fit(X, Y)
    assert (model.nll_, model.n_iter_) != (plain.nll_, plain.n_iter_)


def test_verbose_reaches_the_fit(capsys):
    RobustRegressor(verbose=1).fit(X, Y)
    assert "converged" in capsys.readouterr().out


def test_attributes_are_those_of_the_fit():
    model = RobustRegressor().fit(X, Y)
    fit = robloss.fit_linear(X, Y)
    assert (model.intercept_, model.alpha_, model.scale_) == (fit.intercept, fit.alpha, fit.scale)
    assert (model.nll_, model.n_iter_, model.converged_) == (fit.nll, fit.n_iter, True)
    for name in ("coef", "weights", "outliers"):
        np.testing.assert_array_equal(getattr(model, f"{name}_"), getattr(fit, name))
    np.testing.assert_array_equal(model.history_.nll, fit.history.nll)
    assert model.fit_.summary() == fit.summary()
    np.testing.assert_array_equal(model.predict(X), fit.predict(X))
    assert model.score(X, Y) == r2_score(Y, fit.predict(X))
    assert model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")


def test_random_starts_are_those_of_the_seed():
    # Many lines through noise, where it takes luck to find the best.
    rng = np.random.default_rng(0)
    features, response = rng.normal(size=(40, 2)), rng.normal(size=40)
    model = RobustRegressor(alpha=-np.inf, scale=0.1, n_starts=2)

    def ends(kind):
        return [
            model.set_params(random_state=kind(seed)).fit(features, response).nll_
            for seed in range(10)
        ]

    assert ends(int) == ends(int)
    assert len({*ends(int)}) > 1
    assert ends(np.random.RandomState) == ends(np.random.RandomState)


def test_a_bad_option_is_refused_by_fit():
    model = RobustRegressor(alpha="huber")
    with pytest.raises(TypeError, match='`alpha` must be "adapt" or a number'):
        model.fit(X, Y)


# ----------------------------------------------------------------------- what scikit-learn adds


def test_weights_are_times():
    times = np.arange(21) % 4
    weighted = RobustRegressor().fit(X, Y, sample_weight=times)
    repeated = RobustRegressor().fit(np.repeat(X, times, axis=0), np.repeat(Y, times))
    # Two ways to the same optimum: each ends within 1e-8 standard errors of it.
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-7)
    np.testing.assert_allclose(weighted.scale_, repeated.scale_, rtol=1e-7)
    of_list = RobustRegressor().fit(X, Y, sample_weight=times.tolist())
    np.testing.assert_array_equal(of_list.coef_, weighted.coef_)


@pytest.mark.parametrize("weight", [3, np.float64(3.0)])
def test_one_weight_is_for_all_rows(weight):
    model = RobustRegressor().fit(X, Y, sample_weight=weight)
    assert model.fit_.observations == 63


def test_a_weight_too_large_for_floats():
    with pytest.raises(ValueError, match="`sample_weight` must lie in the range of float64"):
        RobustRegressor().fit(X, Y, sample_weight=10**400)


def test_a_fit_that_does_not_converge_warns_in_the_class_of_scikit_learn():
    with pytest.warns(ConvergenceWarning, match="The fit did not converge") as record:
        model = RobustRegressor(max_iter=1).fit(X, Y)
    assert [one.category for one in record] == [ConvergenceWarning]
    assert record[0].filename == __file__
    assert not model.converged_


def test_the_warning_is_at_the_line_that_called_scikit_learn():
    model = make_pipeline(StandardScaler(), RobustRegressor(max_iter=1))
    with pytest.warns(ConvergenceWarning) as record:
        GridSearchCV(model, {"robustregressor__l2": [0.0]}, cv=2).fit(X, Y)
    assert [one.filename for one in record] == [__file__] * 3


def test_a_warm_start_goes_on_from_where_the_fit_ended():
    model = RobustRegressor(warm_start=True).fit(X, Y)
    assert model.n_iter_ > 1
    nll = model.nll_
    assert model.fit(X, Y).n_iter_ <= 1
    assert model.nll_ <= nll
    model.set_params(warm_start=False)
    assert model.fit(X, Y).n_iter_ > 1


def test_a_warm_start_wants_the_same_columns():
    model = RobustRegressor(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="`start` must hold 3 parameters"):
        model.fit(X[:, :2], Y)


PAIR = np.column_stack([Y, np.sqrt(Y) + X[:, 0]])


@pytest.mark.parametrize("shared", [False, True])
def test_several_responses(shared):
    model = RobustRegressor(shared=shared).fit(X, PAIR, sample_weight=1 + Y % 2)
    fit = robloss.fit_linear(X, PAIR, shared=shared, sample_weight=1 + Y % 2)
    np.testing.assert_array_equal(model.coef_, np.transpose(fit.coef))
    for name in ("intercept", "alpha", "scale", "weights", "outliers", "nll", "n_iter"):
        np.testing.assert_array_equal(getattr(model, f"{name}_"), getattr(fit, name))
    assert model.coef_.shape == (2, 3)
    assert np.shape(model.alpha_) == (() if shared else (2,))
    np.testing.assert_array_equal(model.predict(X), fit.predict(X))
    assert model.score(X, PAIR) == r2_score(PAIR, fit.predict(X))
    histories = [model.history_] if shared else model.history_
    assert sum(history.nll[-1] for history in histories) == pytest.approx(model.nll_, rel=1e-14)


def test_several_responses_are_each_as_alone():
    model = RobustRegressor().fit(X, PAIR)
    for k, response in enumerate(PAIR.T):
        alone = RobustRegressor().fit(X, response)
        np.testing.assert_array_equal(model.coef_[k], alone.coef_)
        assert (model.intercept_[k], model.scale_[k]) == (alone.intercept_, alone.scale_)


def test_a_column_is_one_of_several_responses():
    model, plain = RobustRegressor().fit(X, Y[:, None]), RobustRegressor().fit(X, Y)
    np.testing.assert_array_equal(model.coef_, plain.coef_[None, :])
    np.testing.assert_array_equal(model.predict(X), plain.predict(X)[:, None])


def test_a_warm_start_of_several_responses():
    model = RobustRegressor(warm_start=True).fit(X, PAIR)
    assert model.n_iter_ > 1
    assert model.fit(X, PAIR).n_iter_ <= 1


def test_one_of_several_responses_that_does_not_converge():
    with pytest.warns(ConvergenceWarning, match="1 of 2 columns, the first of them 1"):
        model = RobustRegressor().fit(X, np.column_stack([Y, X @ [1.0, 2.0, 3.0]]))
    assert not model.converged_


def test_copies_predict_the_same():
    model = RobustRegressor(l2=0.5).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.fit_.summary() == model.fit_.summary()
    assert not hasattr(clone(model), "fit_")
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_names_of_a_data_frame_reach_the_summary(library):
    frames = pytest.importorskip(library, reason=f"{library} is not installed")
    frame = frames.DataFrame(dict(zip(STACKLOSS.feature_names, X.T, strict=True)))
    model = RobustRegressor().fit(frame, frames.Series(Y), sample_weight=frames.Series(1 + Y % 2))
    assert [*model.feature_names_in_] == [*model.fit_.feature_names] == [*STACKLOSS.feature_names]
    assert "Water.Temp" in model.fit_.summary()
    # The same numbers in another layout: products may be rounded in another order.
    np.testing.assert_allclose(model.predict(frame), model.fit_.predict(X), rtol=1e-12)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[[*STACKLOSS.feature_names[::-1]]])


def test_names_go_through_a_pipeline():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(X, columns=[*STACKLOSS.feature_names])
    scaler = StandardScaler().set_output(transform="pandas")
    model = make_pipeline(scaler, RobustRegressor()).fit(frame, Y)
    assert model[-1].fit_.feature_names == tuple(STACKLOSS.feature_names)
    # The law of the residuals does not depend on the unit of a feature.
    np.testing.assert_allclose(model.predict(frame), RobustRegressor().fit(X, Y).predict(X), 1e-6)


def test_a_grid_search_chooses_the_shape():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 2))
    response = features @ [1.0, 2.0] + 0.1 * rng.standard_cauchy(200)
    search = GridSearchCV(
        RobustRegressor(), {"alpha": [0.0, 2.0]}, scoring="neg_median_absolute_error", cv=4
    )
    assert search.fit(features, response).best_params_ == {"alpha": 0.0}


# --------------------------------------------------------------------------- other libraries


def of_library(library, values):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    if library == "jax":
        module.config.update("jax_enable_x64", True)
        module = module.numpy
    return module.asarray(values)


@pytest.mark.parametrize("library", ["torch", "array_api_strict", "jax"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_everything_follows_the_features(library, dtype):
    features = of_library(library, X.astype(dtype))
    plain = RobustRegressor(alpha=1.0).fit(X.astype(dtype), Y, sample_weight=1 + Y % 3)
    with sklearn.config_context(array_api_dispatch=True):
        model = RobustRegressor(alpha=1.0).fit(features, Y, sample_weight=1 + Y % 3)
        predicted = model.predict(features)
        score = model.score(features, of_library(library, Y.astype(dtype)))
    for array in (model.coef_, model.weights_, predicted):
        assert type(array) is type(features)
        assert array.dtype == features.dtype
    # Sums of float32 carry a rounding of 6e-8, and the columns are correlated.
    tol = 1e-7 if dtype is np.float64 else 1e-3
    np.testing.assert_allclose(np.asarray(model.coef_), plain.coef_, rtol=tol, atol=tol)
    assert score == pytest.approx(plain.score(X, Y), rel=tol)


@pytest.mark.parametrize("library", ["torch", "array_api_strict", "jax"])
@pytest.mark.parametrize("shared", [False, True])
def test_several_responses_follow_the_features(library, shared):
    features, responses = of_library(library, X), of_library(library, PAIR)
    plain = RobustRegressor(shared=shared).fit(X, PAIR)
    with sklearn.config_context(array_api_dispatch=True):
        model = RobustRegressor(shared=shared).fit(features, responses)
        predicted = model.predict(features)
        score = model.score(features, responses, sample_weight=1 + Y % 3)
    assert type(model.coef_) is type(predicted) is type(features)
    np.testing.assert_allclose(np.asarray(model.coef_), plain.coef_, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(predicted), plain.predict(X), rtol=1e-6)
    assert score == pytest.approx(plain.score(X, PAIR, sample_weight=1 + Y % 3), rel=1e-6)


def test_the_response_may_be_on_a_device():
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    there = strict.asarray(Y, device=strict.Device("device1"))
    with sklearn.config_context(array_api_dispatch=True):
        model = RobustRegressor().fit(X, there, sample_weight=there)
    same = RobustRegressor().fit(X, Y, sample_weight=Y)
    np.testing.assert_array_equal(model.coef_, same.coef_)


def test_predict_wants_the_library_of_the_fit():
    model = RobustRegressor()
    with sklearn.config_context(array_api_dispatch=True):
        model.fit(of_library("torch", X), Y)
        with pytest.raises(ValueError, match=r"Regressor.predict\(\) must use the same name"):
            model.predict(X)


def test_without_dispatch_tensors_are_fitted_by_numpy():
    model = RobustRegressor().fit(of_library("torch", X), of_library("torch", Y))
    assert type(model.coef_) is np.ndarray
    np.testing.assert_array_equal(model.coef_, RobustRegressor().fit(X, Y).coef_)
