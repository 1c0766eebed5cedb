"""Pictures: what is drawn where, and that nothing of pyplot is touched."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import robloss
from robloss import datasets

pytest.importorskip("matplotlib", reason="Matplotlib is the extra `plot`")
from matplotlib.figure import Figure

from robloss import plot


@pytest.fixture(scope="module")
def phones():
    data = datasets.load_phones()
    return data, robloss.fit_linear(data.X, data.y, feature_names=data.feature_names)


@pytest.fixture(scope="module")
def stackloss():
    data = datasets.load_stackloss()
    return data, robloss.fit_linear(data.X, data.y, feature_names=data.feature_names)


@pytest.fixture
def own_axes():
    return Figure().subplots()


def test_curves_are_loss_and_influence():
    left, right = plot.curves(alphas=(-np.inf, 0.0, 3.5), scale=1.1)
    for ax, function in ((left, robloss.loss), (right, robloss.influence)):
        assert [line.get_label() for line in ax.lines] == ["α = −∞", "α = 0", "α = 3.5"]
        for line, alpha in zip(ax.lines, (-np.inf, 0.0, 3.5), strict=True):
            x = line.get_xdata()
            assert x[0] == -x[-1] == pytest.approx(-6.6)
            np.testing.assert_array_equal(line.get_ydata(), function(x, alpha, 1.1))
    assert left.get_legend() is not None


def test_curves_draw_on_axes_of_the_caller():
    mine = Figure().subplots(1, 2)
    assert plot.curves(axes=mine) == tuple(mine)
    assert len(mine[0].lines) == len(mine[1].lines) == 5


def test_fit_with_one_feature_is_data_and_line(phones):
    data, fit = phones
    ax = plot.fit(fit, data.X, data.y, target_name="calls")
    (points,) = ax.collections
    np.testing.assert_array_equal(points.get_offsets(), np.column_stack([data.X[:, 0], data.y]))
    np.testing.assert_array_equal(points.get_array(), fit.weights)
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_ydata(), fit.predict(np.array([[50.0], [73.0]])))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("year", "calls")


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_fit_draws_itself(phones, library, offset):
    xp = pytest.importorskip(library, reason=f"{library} is not installed")
    data, _ = phones
    fit = robloss.fit_linear(xp.asarray(data.X + offset), xp.asarray(data.y))
    ax = fit.plot(target_name="calls")
    (points,) = ax.collections
    drawn = np.column_stack([data.X[:, 0] + offset, data.y])
    np.testing.assert_allclose(points.get_offsets(), drawn, rtol=1e-15)
    assert ax.get_ylabel() == "calls"
    mine = Figure().subplots()
    assert fit.plot(ax=mine) is mine


def test_the_less_a_point_weighs_the_larger_it_is(phones):
    data, fit = phones
    sizes = plot.fit(fit, data.X, data.y).collections[0].get_sizes()
    order = np.argsort(fit.weights)
    assert np.all(np.diff(sizes[order]) <= 0)
    assert sizes[order[0]] > sizes[order[-1]]


def test_fit_with_more_features_is_residuals_over_fitted_values(stackloss):
    data, fit = stackloss
    ax = plot.fit(fit, data.X, data.y, target_name="stack.loss")
    (points,) = ax.collections
    fitted, standardised = np.asarray(points.get_offsets()).T
    np.testing.assert_allclose(fitted, fit.predict(data.X), rtol=1e-13)
    np.testing.assert_allclose(standardised, (data.y - fitted) / fit.scale, atol=1e-11)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("fitted stack.loss", "residual / scale")


def test_fit_draws_on_axes_of_the_caller(phones, own_axes):
    data, fit = phones
    assert plot.fit(fit, data.X, data.y, ax=own_axes) is own_axes


def test_convergence_is_the_history(stackloss):
    _, fit = stackloss
    top, middle, bottom = plot.convergence(fit)
    drawn = top.lines[0].get_ydata()
    excess = fit.history.nll - fit.history.nll[-1]
    np.testing.assert_array_equal(drawn, excess[excess > 0])
    assert top.get_yscale() == "log"
    np.testing.assert_array_equal(middle.lines[0].get_ydata(), fit.history.alpha)
    np.testing.assert_array_equal(bottom.lines[0].get_ydata(), fit.history.scale)


def test_convergence_of_one_iteration_has_no_logarithm_of_zero():
    one = np.array([1.5])
    history = SimpleNamespace(nll=one, alpha=one, scale=one)
    top, *_ = plot.convergence(SimpleNamespace(history=history))
    assert top.get_yscale() == "linear"
    top.figure.savefig("/dev/null", format="png")


def test_convergence_draws_on_axes_of_the_caller(stackloss):
    mine = Figure().subplots(3, 1)
    assert plot.convergence(stackloss[1], axes=mine) == tuple(mine)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures_can_be_saved_without_a_screen(phones, tmp_path, suffix):
    data, fit = phones
    for number, ax in enumerate(
        [plot.fit(fit, data.X, data.y), plot.curves()[0], plot.convergence(fit)[0]]
    ):
        path = tmp_path / f"{number}.{suffix}"
        ax.figure.savefig(path)
        assert path.stat().st_size > 1000


def test_pyplot_is_never_imported():
    import subprocess

    code = (
        "import sys, robloss.plot as plot; assert 'matplotlib' not in sys.modules; "
        "plot.curves(); assert 'matplotlib' in sys.modules; "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("library", ["torch", "dask.array"])
def test_arrays_of_other_libraries_are_drawn_too(library):
    xp = pytest.importorskip(library, reason=f"{library} is not installed")
    data = datasets.load_phones()
    X, y = xp.asarray(data.X), xp.asarray(data.y)
    fit = robloss.fit_linear(X, y)
    if library == "torch":
        X.requires_grad_()
    (points,) = plot.fit(fit, X, y).collections
    np.testing.assert_allclose(points.get_offsets()[:, 1], data.y, rtol=1e-6)
