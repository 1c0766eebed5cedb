"""Pictures: what is drawn where, and that nothing of pyplot is touched."""

import sys
from dataclasses import replace
from itertools import pairwise
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
    assert mine.get_ylabel() == "y"
    assert replace(fit, target_names=("calls",)).plot().get_ylabel() == "calls"


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


def test_axes_must_be_as_many_as_panels(stackloss, own_axes):
    three = r"`axes` must be 3 Axes, one for each panel, but got 1. Pass .*subplots\({}\)."
    with pytest.raises(ValueError, match=three.format("1, 3")):
        stackloss[1].plot(ax=own_axes)
    with pytest.raises(ValueError, match=three.format("3, 1")):
        plot.convergence(stackloss[1], axes=own_axes)
    for draw in (plot.curves, plot.densities, plot.surface):
        with pytest.raises(ValueError, match="`axes` must be 2 Axes, one for each panel, but got"):
            draw(axes=Figure().subplots(3))


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


def test_densities_are_likelihood_and_density():
    left, right = plot.densities(alphas=(0.0, 1.5), scale=2.0)
    for ax, function in ((left, robloss.nll), (right, robloss.pdf)):
        for line, alpha in zip(ax.lines, (0.0, 1.5), strict=True):
            x = line.get_xdata()
            assert x[-1] == 12.0
            np.testing.assert_array_equal(line.get_ydata(), function(x, alpha, 2.0))


@pytest.mark.parametrize(("place", "unit"), [(0, 1.0), (1, 2.0)], ids=["loss", "influence"])
def test_surface_has_the_lines_of_equal_height(place, unit):
    ax = plot.surface(scale=2.0)[place]
    function = (robloss.loss, robloss.influence)[place]
    lines = next(one for one in ax.collections if not one.filled)
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        x, height = path.vertices.T
        inside = (np.abs(height) < 0.5) & (np.abs(x) > 0.2)
        alpha = 2 * height[inside] / (1 - np.abs(height[inside]))
        # Between the points of the grid lines are straight: a tenth of the step between levels.
        step = lines.levels[1] - lines.levels[0]
        np.testing.assert_allclose(unit * function(x[inside], alpha, 2.0), level, atol=0.1 * step)
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert (labels[0], labels[-1]) == ("−∞", "∞")
    assert ax.get_ylim() == (-1.0, 1.0)


def test_a_fit_with_more_features_draws_three_panels(stackloss):
    data, fit = stackloss
    left, middle, right = fit.plot(target_name="stack.loss")
    sizes = fit.residuals / fit.scale
    for ax in (left, middle, right):
        (points,) = ax.collections
        assert len(points.get_offsets()) == 21
    offsets = np.asarray(left.collections[0].get_offsets())
    np.testing.assert_allclose(offsets, np.column_stack([fit.predict(data.X), sizes]), rtol=1e-12)
    np.testing.assert_array_equal(
        middle.collections[0].get_offsets(), np.column_stack([sizes, fit.weights])
    )
    assert left.get_xlabel() == "fitted stack.loss"
    mine = Figure().subplots(1, 3)
    assert fit.plot(ax=mine) == tuple(mine)


def test_dotted_lines_part_outliers_from_the_others(stackloss):
    _, fit = stackloss
    ax = plot.residuals(fit)
    _, low, high = (line.get_ydata()[0] for line in ax.lines)
    drawn = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_array_equal(drawn[:, 0], np.arange(21))
    np.testing.assert_array_equal((drawn[:, 1] < low) | (drawn[:, 1] > high), fit.outliers)


def test_weights_lie_on_their_curve(stackloss):
    ax = plot.weights(stackloss[1])
    x, y = np.asarray(ax.collections[0].get_offsets()).T
    curve = ax.lines[0]
    # 801 points of the curve, with straight lines between them.
    np.testing.assert_allclose(np.interp(x, curve.get_xdata(), curve.get_ydata()), y, atol=1e-3)


@pytest.mark.parametrize("truncation", [None, 40.0])
def test_quantiles_are_those_of_the_fitted_law(stackloss, truncation):
    data, _ = stackloss
    fit = robloss.fit_linear(data.X, data.y, truncation=truncation)
    ax = plot.qq(fit)
    x, y = np.asarray(ax.collections[0].get_offsets()).T
    shares = robloss.cdf(x, fit.alpha, truncation=truncation)
    np.testing.assert_allclose(shares, (np.arange(21) + 0.5) / 21, atol=1e-12)
    np.testing.assert_array_equal(y, np.sort(fit.residuals) / fit.scale)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), ax.lines[0].get_ydata())
    assert ax.get_xlabel() == "quantile of the fitted distribution"


def test_without_a_law_quantiles_are_normal_and_the_label_says_so():
    x = robloss.ppf((np.arange(400) + 0.5) / 400, 2.0, 3.0)
    fit = robloss.fit_location(x, alpha=-2.0, scale=3.0)
    ax = plot.qq(fit)
    assert ax.get_xlabel() == "normal quantile (no law for α < 0)"
    drawn = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1], atol=1e-6)
    line = ax.lines[0]
    # The line goes through quartiles between two of the 400 values.
    np.testing.assert_allclose(line.get_xdata(), line.get_ydata(), atol=1e-2)


def test_a_row_that_counts_twice_is_two_in_the_quantiles(stackloss):
    data, _ = stackloss
    times = np.arange(21) % 3
    fit = robloss.fit_linear(data.X, data.y, sample_weight=times)
    x, _ = np.asarray(fit.plot()[2].collections[0].get_offsets()).T
    counts = times[np.argsort(fit.residuals)]
    counts = counts[counts > 0]
    shares = (np.cumsum(counts) - counts / 2) / 21
    np.testing.assert_allclose(robloss.cdf(x, fit.alpha), shares, atol=1e-12)


def test_of_many_rows_the_tails_are_drawn_whole():
    x = np.random.default_rng(0).standard_cauchy(5000)
    fit = robloss.fit_location(x)
    ax = plot.qq(fit)
    drawn = np.asarray(ax.collections[0].get_offsets())[:, 1]
    everything = np.sort(fit.residuals) / fit.scale
    assert len(drawn) == 1000
    np.testing.assert_array_equal(drawn[:100], everything[:100])
    np.testing.assert_array_equal(drawn[-100:], everything[-100:])
    assert np.all(np.diff(drawn) > 0)
    assert (ax.get_xscale(), ax.get_yscale()) == ("asinh", "asinh")


def test_other_fits_draw_residuals_by_row():
    x = np.array([1.0, 2.0, 3.0, 4.0, 30.0])
    location = robloss.fit_location(x)
    model = robloss.fit_residuals(lambda theta: x - theta[0], [2.0])
    for fit in (location, model):
        left, *_ = fit.plot()
        assert left.get_xlabel() == "row"
        np.testing.assert_array_equal(left.collections[0].get_offsets()[:, 0], np.arange(5))


def cloud(alpha, **options):
    """A fit of vectors of three components whose parameter is their middle."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_t(4, size=(300, 3))
    slopes = -np.broadcast_to(np.eye(3), (300, 3, 3))
    functions = {"residuals": lambda theta: vectors - theta, "jac": lambda theta: slopes}
    return robloss.fit_residuals(theta0=np.zeros(3), alpha=alpha, **functions, **options)


@pytest.mark.parametrize("alpha", [1.0, -2.0])
def test_of_vectors_lengths_are_drawn(alpha):
    fit = cloud(alpha, scale=0.9)
    sizes = np.linalg.norm(fit.residuals, axis=1) / 0.9
    left, middle, right = fit.plot()
    drawn = np.column_stack([np.arange(300), sizes])
    np.testing.assert_allclose(left.collections[0].get_offsets(), drawn, rtol=1e-12)
    mode, far = (line.get_ydata()[0] for line in left.lines)
    assert mode == pytest.approx(np.sqrt(2.0))
    np.testing.assert_array_equal(sizes > far, fit.outliers)
    x, y = np.asarray(middle.collections[0].get_offsets()).T
    np.testing.assert_array_equal(y, fit.weights)
    curve = middle.lines[0]
    # 801 points of the curve, with straight lines between them.
    np.testing.assert_allclose(np.interp(x, curve.get_xdata(), curve.get_ydata()), y, atol=1e-3)
    np.testing.assert_allclose(right.collections[0].get_offsets()[:, 1], np.sort(sizes), rtol=1e-12)
    assert left.get_ylabel() == middle.get_xlabel() == right.get_ylabel() == "length / scale"
    assert ("no law" in right.get_xlabel()) == (alpha < 0)


def test_lengths_of_normal_vectors_are_those_of_chi():
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    x = plot.qq(cloud(2.0, scale=1.0)).collections[0].get_offsets()[:, 0]
    np.testing.assert_allclose(x, stats.chi.ppf((np.arange(300) + 0.5) / 300, 3), rtol=1e-4)


def test_quantiles_of_lengths_are_those_of_the_fitted_law():
    """By the trapezoidal rule, over a grid of its own."""
    x = np.asarray(plot.qq(cloud(0.8, scale=1.0)).collections[0].get_offsets()[:, 0])
    grid = np.concatenate([np.linspace(0.0, 40.0, 40_001), np.geomspace(40.001, 1e6, 40_001)])
    slope = grid * robloss.weight(np.maximum(grid - np.sqrt(2.0), 0.0), 0.8)

    def below(values):
        steps = 0.5 * (values[1:] + values[:-1]) * np.diff(grid)
        return np.concatenate([[0.0], np.cumsum(steps)])

    shares = below(grid**2 * np.exp(-below(slope)))
    found = np.interp(x, grid, shares / shares[-1])
    np.testing.assert_allclose(found, (np.arange(300) + 0.5) / 300, atol=1e-4)


def test_vectors_of_one_component_are_numbers():
    x = np.array([1.0, 2.0, 3.0, 4.0, 30.0])
    left, middle, right = robloss.fit_residuals(lambda p: (x - p[0])[:, None], [2.0]).plot()
    numbers = robloss.fit_residuals(lambda p: x - p[0], [2.0]).plot()
    for one, other in zip((left, middle, right), numbers, strict=True):
        np.testing.assert_array_equal(*(a.collections[0].get_offsets() for a in (one, other)))


def test_several_responses_that_share_are_refused(stackloss):
    data, _ = stackloss
    fit = robloss.fit_linear(data.X, np.column_stack([data.y, 2 * data.y]), shared=True)
    for draw in (plot.residuals, plot.weights, plot.qq):
        with pytest.raises(ValueError, match="`fit` must be of one response, but got 2"):
            draw(fit)


def test_several_columns_are_refused():
    fits = robloss.fit_location(np.arange(12.0).reshape(6, 2))
    with pytest.raises(TypeError, match=r"`plot` must be asked of one fit, but got 2 columns"):
        fits.plot()


@pytest.fixture(scope="module")
def iterates():
    data = datasets.load_phones()
    shown = []
    robloss.fit_linear(data.X, data.y, callback=shown.append)
    return shown


def test_an_animation_moves(phones, iterates, tmp_path):
    from PIL import Image

    data, _ = phones
    path = tmp_path / "phones.gif"
    plot.animate(iterates[::6], data.X, data.y, path=path)
    with Image.open(path) as film:
        frames = []
        for place in range(film.n_frames):
            film.seek(place)
            frames.append(np.asarray(film.convert("RGB"), dtype=float))
    assert len(frames) >= len(iterates[::6])
    for before, after in pairwise(frames[: len(iterates[::6])]):
        assert np.mean(before != after) > 0.001
    # The last stays, whatever a GIF makes of equal frames.
    np.testing.assert_array_equal(frames[-1], frames[len(iterates[::6]) - 1])


def test_an_animation_shows_each_iterate(phones, iterates, tmp_path):
    data, fit = phones
    film = plot.animate(iterates, data.X, data.y, path=tmp_path / "film.gif", fps=1)
    left, right = (ax for ax in film._fig.axes if ax.get_label() != "<colorbar>")
    ends = np.array([[50.0], [73.0]])
    np.testing.assert_allclose(left.lines[0].get_ydata(), fit.predict(ends), rtol=1e-6)
    np.testing.assert_allclose(left.collections[0].get_array(), fit.weights, rtol=1e-5)
    losses = np.asarray(right.collections[0].get_offsets())
    np.testing.assert_allclose(losses[:, 0], fit.residuals, atol=1e-6)
    np.testing.assert_allclose(losses[:, 1], robloss.loss(losses[:, 0], fit.alpha, fit.scale))


def test_a_line_through_the_origin_moves_too(phones, tmp_path):
    data, _ = phones
    shown = []
    fit = robloss.fit_linear(data.X, data.y, intercept=False, callback=shown.append)
    slopes = []
    for iterate in (shown[0], shown[-1]):
        film = plot.animate([iterate], data.X[:, 0], data.y, path=tmp_path / "film.gif")
        low, high = film._fig.axes[0].lines[0].get_ydata() / np.array([50.0, 73.0])
        assert low == pytest.approx(high, rel=1e-12)
        slopes.append(low)
    assert slopes[1] == pytest.approx(fit.coef[0], rel=1e-6)
    assert slopes[0] > 1.1 * slopes[1]


def test_what_cannot_be_animated_is_refused(phones, stackloss, iterates, monkeypatch, tmp_path):
    data, _ = phones
    with pytest.raises(ValueError, match="`iterates` must hold at least one iterate, but got none"):
        plot.animate([], data.X, data.y)
    with pytest.raises(ValueError, match=r"`X` must have one column, but got shape \(21, 3\)"):
        plot.animate(iterates, stackloss[0].X, stackloss[0].y)
    from matplotlib.animation import FFMpegWriter

    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(ValueError, match=r"`path` must end with \.gif where ffmpeg is not instal"):
        plot.animate(iterates, data.X, data.y, path=tmp_path / "film.mp4")
