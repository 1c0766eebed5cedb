"""`robloss.torch.AdaptiveImageLoss`: what it computes, its shapes, volumes, state and refusals."""

import copy
import io
import itertools
import math
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robloss import nll  # noqa: E402 - after the library it needs
from robloss.torch import AdaptiveImageLoss  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.module == "torch")

FIRST = (3, 5, 6)
LAST = (5, 6, 3)
REPRESENTATIONS = ("CDF9/7", "LeGall5/3", "DCT", "PIXEL")
SPACES = ("YUV", "RGB")


@pytest.fixture(autouse=True)
def _on_device(device):
    with torch.device(device):
        yield


def _images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def _learned(loss: AdaptiveImageLoss, seed: int = 0) -> AdaptiveImageLoss:
    """With different parameters in every place."""
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.copy_(_images(*parameter.shape, seed=seed))
    return loss


def _of(size=FIRST, **options) -> AdaptiveImageLoss:
    return _learned(AdaptiveImageLoss(size, dtype=torch.float64, reduction="none", **options))


# -------------------------------------------------------------------------------------- the values


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("space", SPACES)
def test_values_are_those_of_the_coefficients(space, representation):
    loss = _of(color_space=space, representation=representation)
    x = _images(2, *FIRST)
    y = loss.transform(x)
    jacobian = torch.autograd.functional.jacobian(loss.transform, x[0])
    n = math.prod(FIRST)
    log_volume = torch.linalg.slogdet(jacobian.reshape(n, n)).logabsdet
    expected = nll(y, loss.alpha(), loss.scale()) - log_volume / n
    torch.testing.assert_close(loss(x), expected, rtol=0, atol=1e-13)
    # What the test would not see if images were taken for each other.
    assert (loss(x) - loss(x.flip(0))).abs().min() > 0


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("size", [(1, 2, 2), (1, 3, 2), (2, 5, 3), (1, 4, 4)], ids=str)
@pytest.mark.parametrize("base", [1.0, 0.5])
def test_sums_are_densities_of_pixels(size, base, representation):
    # A normal law of scale 1 in y, seen in x: N(0, (JᵀJ)⁻¹). Its logarithm from the matrix alone.
    loss = AdaptiveImageLoss(
        size, "RGB", representation, scale_base=base, alpha_range=(2, 2), scale_min=1.0,
        reduction="sum", dtype=torch.float64,
    )  # fmt: skip
    x, n = _images(*size), math.prod(size)
    jacobian = torch.autograd.functional.jacobian(loss.transform, x).reshape(n, n)
    law = torch.distributions.MultivariateNormal(
        torch.zeros(n, dtype=torch.float64), precision_matrix=jacobian.mT @ jacobian
    )
    assert float(loss(x)) == pytest.approx(-float(law.log_prob(x.flatten())), rel=1e-12)


def test_volumes_are_kept_but_where_the_notes_say():
    def share(size=(3, 8, 8), **options):
        return AdaptiveImageLoss(size, **options)._transform.log_volume

    even = [share(color_space=c, representation=r) for c in SPACES for r in REPRESENTATIONS]
    assert even == [0.0] * 8
    assert share((3, 9, 8), representation="DCT") == share((3, 9, 8), representation="PIXEL") == 0
    assert share((3, 9, 8)) > 0.01
    assert share((3, 9, 8), num_levels=0) == 0
    assert share(scale_base=0.5) < -0.1


def test_channels_last_is_the_same_loss():
    first = _of(FIRST, num_levels=2)
    last = _of(LAST, num_levels=2, layout="channels_last")
    x = _images(2, 4, *FIRST)
    to_last = x.movedim(-3, -1)
    torch.testing.assert_close(last(to_last), first(x).movedim(-3, -1))
    torch.testing.assert_close(last.alpha(), first.alpha().movedim(-3, -1))
    torch.testing.assert_close(last.transform(to_last), first.transform(x).movedim(-3, -1))
    # One order of parameters for both, so that what was learned can be carried over.
    assert (last.image_size, first.image_size) == (LAST, FIRST)
    last.load_state_dict(first.state_dict())


def test_coarse_coefficients_come_first():
    loss = AdaptiveImageLoss((1, 8, 8), "RGB", reduction="none", dtype=torch.float64)
    flat = loss.transform(torch.ones(1, 8, 8, dtype=torch.float64))
    assert float(flat[0, 0, 0]) == pytest.approx(8.0)
    assert float(flat.abs().sum()) == pytest.approx(8.0)
    assert float(loss.transform(2 * torch.ones(1, 8, 8))[0, 0, 0]) == pytest.approx(16.0, rel=1e-6)


def test_scale_base_weighs_the_levels():
    plain, halved = (
        AdaptiveImageLoss((1, 8, 8), "RGB", scale_base=base).transform(_images(1, 8, 8))[0]
        for base in (1.0, 0.5)
    )
    assert float(halved[0, 0] / plain[0, 0]) == pytest.approx(1 / 8)
    assert float(halved[0, 3] / plain[0, 3]) == pytest.approx(1 / 2)
    torch.testing.assert_close(halved[4:], plain[4:])


def test_any_axes_before_the_image():
    loss = _of()
    x = _images(2, 3, *FIRST)
    torch.testing.assert_close(loss(x)[1, 2], loss(x[1, 2]))
    assert loss(x[:0]).shape == (0, 3, *FIRST)


@pytest.mark.parametrize("size", list(itertools.product((1, 2, 3, 7), (1, 4, 9))), ids=str)
def test_any_size(size):
    for representation in REPRESENTATIONS:
        loss = _of((3, *size), representation=representation)
        values = loss(_images(2, 3, *size))
        assert values.shape == (2, 3, *size)
        assert values.isfinite().all()


def test_students_t():
    loss = _of(students_t=True, representation="DCT")
    x = _images(2, *FIRST)
    law = torch.distributions.StudentT(loss.df(), torch.zeros(()), loss.scale())
    torch.testing.assert_close(loss(x), -law.log_prob(loss.transform(x)))


def test_reductions_and_nonnegative():
    x = _images(2, *FIRST)
    each = AdaptiveImageLoss(FIRST, reduction="none")(x)
    torch.testing.assert_close(AdaptiveImageLoss(FIRST)(x), each.mean())
    torch.testing.assert_close(AdaptiveImageLoss(FIRST, reduction="sum")(x), each.sum())
    loss = AdaptiveImageLoss(FIRST, reduction="none", nonnegative=True)
    assert (loss(0 * x) >= 0).all()
    shift = loss(x) - loss.nll(x)
    torch.testing.assert_close(shift, shift.mean().expand_as(shift))
    assert shift.mean() > 10  # -log(scale_min), and more


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_the_inverse_undoes_the_transform(layout, representation):
    sizes = [(3, 1, 2), (3, 7, 4), (3, 5, 6)] if layout == "channels_first" else [(5, 6, 3)]
    for size, space in itertools.product(sizes, SPACES):
        loss = _of(
            size, color_space=space, representation=representation, layout=layout, scale_base=0.5
        )
        x = _images(2, *size)
        torch.testing.assert_close(loss.inverse(loss.transform(x)), x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("students_t", [False, True])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_samples_are_images_of_coefficients_of_the_law(layout, students_t, device):
    size = FIRST if layout == "channels_first" else LAST
    loss = _of(size, layout=layout, students_t=students_t)
    first, again = (
        loss.sample((2, 3), torch.Generator(device).manual_seed(0)).detach() for _ in range(2)
    )
    assert first.shape == (2, 3, *size)
    assert torch.equal(first, again)
    law = loss.law.sample((2, 3), torch.Generator(device).manual_seed(0)).detach()
    columns = law.reshape(2, 3, *LAST)
    expected = columns if layout == "channels_last" else columns.movedim(-1, -3)
    torch.testing.assert_close(loss.transform(first), expected)
    assert loss.sample().shape == size


# ------------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_derivatives_in_images_and_parameters(representation):
    loss = _of((3, 2, 3), representation=representation)
    names = [name for name, _ in loss.named_parameters()]

    def function(x, *values):
        return torch.func.functional_call(loss, dict(zip(names, values, strict=True)), (x,))

    inputs = [_images(3, 2, 3), *(parameter.detach() for parameter in loss.parameters())]
    assert torch.autograd.gradcheck(function, [one.requires_grad_() for one in inputs])


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_it_learns_the_normal_law_of_each_coefficient(representation):
    loss = AdaptiveImageLoss(
        (1, 4, 4), "RGB", representation, alpha_range=(2, 2), dtype=torch.float64
    )
    x = _images(50, 1, 4, 4)
    x[:, :, 0] *= 3
    optimizer = torch.optim.LBFGS(loss.parameters(), line_search_fn="strong_wolfe", max_iter=30)

    def value():
        optimizer.zero_grad()
        result = loss(x)
        result.backward()
        return result

    optimizer.step(value)
    deviation = loss.transform(x).square().mean(0).sqrt()
    torch.testing.assert_close(loss.scale(), deviation, rtol=1e-3, atol=0)


def test_vmap():
    loss = _of()
    x = _images(4, *FIRST)
    torch.testing.assert_close(torch.func.vmap(loss)(x), loss(x))


@pytest.mark.parametrize("representation", ["CDF9/7", "DCT"])
def test_one_graph_with_the_same_values_and_slopes(representation):
    loss = AdaptiveImageLoss(FIRST, representation=representation, dtype=torch.float64)
    # Traced as by every compiler, forwards and backwards, without its minutes.
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    x = _images(2, *FIRST).requires_grad_()
    inputs = [x, *loss.parameters()]
    slopes = [torch.autograd.grad(one(x), inputs) for one in (loss, compiled)]
    torch.testing.assert_close(compiled(x), loss(x))
    torch.testing.assert_close(*slopes)


# ----------------------------------------------------------------------------------- dtype, states


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_dtypes(representation):
    loss = AdaptiveImageLoss(FIRST, representation=representation, reduction="none")
    x = _images(2, *FIRST)
    assert loss(x.float()).dtype == torch.float32
    assert loss(x.half()).dtype == torch.float32
    assert loss.half()(x.half()).dtype == torch.float16
    loss.double()
    assert loss(x).dtype == torch.float64
    again = _of(representation=representation).float()
    torch.testing.assert_close(again.double()(x).float(), again.float()(x.float()))


def test_half_images_are_transformed_in_single_precision():
    loss = AdaptiveImageLoss(FIRST, representation="DCT")
    x = _images(*FIRST).half()
    torch.testing.assert_close(loss.transform(x), loss.transform(x.float()).half(), rtol=0, atol=0)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_autocast_takes_no_digits(representation, device):
    loss = AdaptiveImageLoss(FIRST, representation=representation, reduction="none")
    x = _images(2, *FIRST).float()
    expected = loss(x)
    with torch.autocast(device, dtype=torch.bfloat16):
        found = loss(x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("students_t", [False, True])
def test_copies_and_states(students_t):
    options = {"students_t": students_t, "representation": "LeGall5/3", "num_levels": 2}
    loss = _of(**options)
    x = _images(2, *FIRST)
    expected = loss(x).detach().clone()
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    fresh = AdaptiveImageLoss(FIRST, dtype=torch.float64, reduction="none", **options)
    fresh.load_state_dict(torch.load(file))
    twin = copy.deepcopy(loss)
    _learned(loss, seed=1)
    for one in (fresh, twin, pickle.loads(pickle.dumps(twin))):
        torch.testing.assert_close(one(x), expected, rtol=0, atol=0)
    assert (loss(x) - expected).abs().max() > 0.1
    loss.reset_parameters()
    fresh = AdaptiveImageLoss(FIRST, dtype=torch.float64, reduction="none", **options)
    torch.testing.assert_close(loss(x), fresh(x), rtol=0, atol=0)


def test_fixed_values_are_in_the_state():
    loss = AdaptiveImageLoss(FIRST, alpha_range=(1, 1), scale_min=2.0, scale_init=2.0)
    assert not list(loss.parameters())
    assert {"law.fixed_alpha", "law.fixed_scale"} <= set(loss.state_dict())


@pytest.mark.parametrize(
    ("options", "other"),
    [
        ({}, {"representation": "LeGall5/3"}),
        ({}, {"color_space": "RGB"}),
        ({"num_levels": 2}, {"num_levels": 1}),
        ({}, {"scale_base": 0.5}),
        ({"image_size": (3, 6, 5)}, {}),
        ({"image_size": (3, 5, 4)}, {}),
    ],
)
def test_states_of_other_coefficients_are_refused(options, other):
    loss = AdaptiveImageLoss(**{"image_size": FIRST, **options})
    fresh = AdaptiveImageLoss(FIRST, **other)
    with pytest.raises(
        ValueError, match=r"must be of images of 5 x 6 x 3 in .*, but got . x . x 3"
    ):
        fresh.load_state_dict(loss.state_dict())


def test_what_has_no_effect_on_coefficients_does_not_matter():
    loss = AdaptiveImageLoss(FIRST, representation="DCT", num_levels=1, scale_base=0.5)
    AdaptiveImageLoss(FIRST, representation="DCT").load_state_dict(loss.state_dict())
    levels = AdaptiveImageLoss(FIRST).state_dict()
    AdaptiveImageLoss(FIRST, num_levels=3).load_state_dict(levels)


def test_repr_tells_what_it_is():
    text = repr(AdaptiveImageLoss((3, 8, 8), num_levels=2))
    assert "(3, 8, 8), 'YUV', 'CDF9/7', num_levels=2, scale_base=1.0" in text
    assert "num_levels" not in repr(AdaptiveImageLoss((3, 8, 8), representation="DCT"))


@pytest.mark.parametrize("representation", ["CDF9/7", "DCT", "PIXEL"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64])
def test_whole_numbers_are_floats(kind, representation):
    images = torch.arange(180).reshape(2, *FIRST).to(kind)
    loss = AdaptiveImageLoss(FIRST, representation=representation)
    for method in (loss, loss.nll, loss.transform, loss.inverse):
        torch.testing.assert_close(method(images), method(images.float()), rtol=0, atol=0)


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ([(8, 8)], {}, TypeError, r"`image_size` must be three integers, but got \(8, 8\)"),
        ([8], {}, TypeError, "`image_size` must be three integers, but got 8"),
        ([(3, 8.0, 8)], {}, TypeError, "`image_size` must be three integers"),
        ([(3, 0, 8)], {}, ValueError, "`image_size` must be three positive integers"),
        ([(1, 8, 8)], {}, ValueError, "`image_size` must have 3 channels in YUV, but got 1"),
        ([LAST], {}, ValueError, "must have 3 channels in YUV, but got 5"),
        ([FIRST], {"color_space": "yuv"}, ValueError, "`color_space` must be one of 'YUV', 'RGB'"),
        ([FIRST], {"representation": "Haar"}, ValueError, "must be one of 'CDF9/7', 'LeGall5/3', "),
        ([FIRST], {"num_levels": 4}, ValueError, r"in \[0, 3\] for images of 5 x 6, but got 4"),
        ([FIRST], {"num_levels": -1}, ValueError, r"`num_levels` must lie in \[0, 3\]"),
        ([FIRST], {"num_levels": 1.5}, TypeError, "`num_levels` must be an integer, but got 1.5"),
        ([FIRST], {"scale_base": 0.0}, ValueError, r"`scale_base` must lie in \(0, inf\), but"),
        ([FIRST], {"scale_base": "1"}, TypeError, "`scale_base` must be a number"),
        ([FIRST], {"layout": "NCHW"}, ValueError, "`layout` must be 'channels_first' or"),
        ([FIRST], {"reduction": "max"}, ValueError, "`reduction` must be 'none', 'mean' or 'sum'"),
    ],
)  # fmt: skip
def test_refused_settings(arguments, options, error, message):
    with pytest.raises(error, match=message):
        AdaptiveImageLoss(*arguments, **options)


def test_refused_images():
    loss = AdaptiveImageLoss(FIRST)
    with pytest.raises(
        ValueError, match=r"shape \(..., 3, 5, 6\), but got \(2, 5, 6, 3\). The lay"
    ):
        loss(_images(2, *LAST))
    with pytest.raises(ValueError, match=r"shape \(..., 3, 5, 6\), but got \(5, 6\)"):
        loss(_images(5, 6))
    with pytest.raises(TypeError, match=r"must be a torch.Tensor, but got ndarray"):
        loss(np.zeros(FIRST))
    with pytest.raises(TypeError, match=r"`x` must have a real dtype .* but got torch\.bool"):
        loss(torch.zeros(FIRST, dtype=torch.bool))
    with pytest.raises(
        TypeError, match=r"`coefficients` must have a real dtype .* but got torch\.complex64"
    ):
        loss.inverse(torch.zeros(FIRST, dtype=torch.complex64))
    with pytest.raises(AttributeError, match="`students_t` must be True for `df`, but got False"):
        loss.df()
    with pytest.raises(AttributeError, match="`students_t` must be False for `alpha`, but got Tr"):
        AdaptiveImageLoss(FIRST, students_t=True).alpha()
