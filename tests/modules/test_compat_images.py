"""The image part of `robloss.compat`: what the tests of robust_loss_pytorch ask of it."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import robloss.compat as robust_loss_pytorch  # noqa: E402 - after the library it needs
from robloss.compat import util, wavelet  # noqa: E402
from robloss.compat.adaptive import AdaptiveImageLossFunction  # noqa: E402
from robloss.torch import AdaptiveImageLoss  # noqa: E402

pytestmark = pytest.mark.backends(lambda library: library.option == "torch")

NAMES = ("CDF9/7", "LeGall5/3")
DTYPES = (np.float32, np.float64)


def _uniform(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape)


def _close(one, other, tolerance: float) -> None:
    """Pyramids of the same build and numbers."""
    assert len(one) == len(other)
    for mine, its in zip(one, other, strict=True):
        if isinstance(mine, list | tuple):
            _close(mine, its, tolerance)
        else:
            np.testing.assert_allclose(mine, its, rtol=tolerance, atol=tolerance, strict=True)


# ----------------------------------------------------------------------------------------- padding


@pytest.mark.parametrize("n", range(1, 9))
def test_one_reflection_is_that_of_numpy(n):
    x = _uniform(n, n, n, seed=n)
    below, above = (n - 1) // 2, n - 1
    for axis in range(3):
        pads = [(below, above) if one == axis else (0, 0) for one in range(3)]
        found = wavelet.pad_reflecting(x, below, above, axis)
        np.testing.assert_array_equal(found, np.pad(x, pads, mode="reflect"), strict=True)


@pytest.mark.parametrize("n", range(1, 9))
def test_many_reflections_are_several_of_one(n):
    padded = x = _uniform(n, seed=n)
    for times in (1, 2, 3):
        padded = np.pad(padded, n - 1, mode="reflect")
        found = wavelet.pad_reflecting(x, times * (n - 1), times * (n - 1), 0)
        np.testing.assert_array_equal(found, padded, strict=True)


def test_reflections_of_a_ramp():
    found = wavelet.pad_reflecting(np.arange(4), 7, 5, 0)
    assert found.tolist() == [1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert wavelet.pad_reflecting([5.0], 2, 1, 0).tolist() == [5.0] * 4


# ----------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize("name", NAMES)
def test_filters(name):
    filters = wavelet.generate_filters(name)
    lengths = {"CDF9/7": [9, 7, 7, 9], "LeGall5/3": [5, 3, 3, 5]}
    assert [one.size for one in filters] == lengths[name]
    for one in filters:
        np.testing.assert_allclose(one, one[::-1], rtol=1e-12)
    # Low-pass doubles what is constant in two dimensions; the high-pass filter sees nothing.
    assert filters.analysis_lo.sum() ** 2 == pytest.approx(2, rel=1e-14)
    assert filters.analysis_hi.sum() == pytest.approx(0, abs=1e-14)
    # Synthesis is the other band's analysis with alternating signs, as of every biorthogonal pair.
    signs = np.resize([1, -1], 9)
    for mine, other in ((filters.synthesis_lo, filters.analysis_hi),
                        (filters.synthesis_hi, filters.analysis_lo)):  # fmt: skip
        middle = other.size // 2
        np.testing.assert_allclose(mine, other * signs[: other.size] * signs[middle], rtol=1e-12)


def test_filters_are_those_of_the_literature():
    assert wavelet.generate_filters() == list(NAMES)
    # Cohen, Daubechies, Feauveau (1992), to 12 digits.
    half = [0.852698679009, 0.377402855613, -0.110624404418, -0.023849465020, 0.037828455507]
    np.testing.assert_allclose(wavelet.generate_filters("CDF9/7")[0][4:], half, atol=6e-13)
    half = [0.788485616406, -0.418092273222, -0.040689417609, 0.064538882629]
    np.testing.assert_allclose(wavelet.generate_filters("CDF9/7")[1][3:], half, atol=6e-13)
    half = math.sqrt(2) * np.array([0.75, 0.25, -0.125])
    np.testing.assert_allclose(wavelet.generate_filters("LeGall5/3")[0][2:], half, rtol=1e-15)
    half = np.array([1, -0.5]) / math.sqrt(2)
    np.testing.assert_allclose(wavelet.generate_filters("LeGall5/3")[1][1:], half, rtol=1e-15)


# ---------------------------------------------------------------------------------------- pyramids


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(5, 6), (8, 8), (3, 2)], ids=str)
def test_bands_are_filtered_reflected_images(name, size):
    filters = wavelet.generate_filters(name)
    image = _uniform(2, *size)

    def band(x, axis, high):
        kernel = filters.analysis_hi if high else filters.analysis_lo
        reach = kernel.size // 2
        padded = wavelet.pad_reflecting(x, reach, reach, axis).numpy()
        filtered = np.apply_along_axis(np.convolve, axis, padded, kernel, mode="valid")
        return filtered[(slice(None),) * axis + (slice(int(high), None, 2),)]

    low, high = (band(image, 1, one) for one in (False, True))
    bands = [band(high, 2, True), band(low, 2, True), band(high, 2, False)]
    _close(wavelet.construct(image, 1, name), (bands, band(low, 2, False)), 1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", range(5))
def test_small_images_come_back(name, side):
    image = _uniform(1, side, side)
    levels = wavelet.get_max_num_levels(image.shape)
    again = wavelet.collapse(wavelet.construct(image, levels, name), name)
    np.testing.assert_allclose(again, image, rtol=1e-14, atol=1e-14, strict=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_large_images_come_back_and_changed_coefficients_too(name, seed):
    rng = np.random.default_rng(seed)
    levels = int(rng.integers(1, 5))
    image = rng.uniform(size=(2, *rng.integers(2 ** (levels - 1) + 1, 33, size=2)))
    pyramid = wavelet.construct(image, levels, name)
    np.testing.assert_allclose(wavelet.collapse(pyramid, name), image, rtol=1e-13, atol=1e-13)
    band = pyramid[int(rng.integers(levels))][int(rng.integers(3))]
    if band.numel():
        band[tuple(int(rng.integers(side)) for side in band.shape)] = rng.uniform()
    pyramid[-1][1, 0, 0] = rng.uniform()
    again = wavelet.construct(wavelet.collapse(pyramid, name), levels, name)
    _close(again, pyramid, 1e-12)
    assert np.abs(wavelet.collapse(pyramid, name).numpy() - image).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_volume_is_kept(name):
    jacobian = util.compute_jacobian(
        lambda x: wavelet.flatten(wavelet.construct(x, 2, name)), _uniform(1, 4, 4)
    )
    assert abs(np.linalg.det(jacobian)) == pytest.approx(1, rel=1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_are_kept(name, dtype):
    pyramid = wavelet.construct(_uniform(3, 16, 16).astype(dtype), 3, name)
    assert wavelet.flatten(pyramid).numpy().dtype == dtype
    arrays = [[one.numpy() for one in bands] for bands in pyramid[:-1]] + [pyramid[-1].numpy()]
    assert wavelet.collapse(arrays, name).numpy().dtype == dtype


def test_rescaling():
    pyramid = wavelet.construct(_uniform(2, 32, 32), 4, "LeGall5/3")
    _close(wavelet.rescale(pyramid, 1.0), pyramid, 0)
    changed = wavelet.rescale(pyramid, 1.7)
    _close(changed[:1], pyramid[:1], 0)
    np.testing.assert_allclose(changed[2][1], 1.7**2 * pyramid[2][1], rtol=1e-15)
    _close(wavelet.rescale(changed, 1 / 1.7), pyramid, 1e-14)


@pytest.mark.parametrize("levels", range(5))
def test_constants_stay_at_base_one_half(levels):
    pyramid = wavelet.construct(np.full((2, 32, 32), 0.7), levels, "LeGall5/3")
    rest = wavelet.rescale(pyramid, 0.5)[-1]
    np.testing.assert_allclose(rest, np.full(rest.shape, 0.7), rtol=1e-13)


def test_flat_pyramids_have_the_bands_in_their_places():
    pyramid = wavelet.construct(_uniform(2, 5, 6), 2, "CDF9/7")
    flat = wavelet.flatten(pyramid)
    (both, last, before), (coarse, _, _), rest = pyramid
    np.testing.assert_array_equal(flat[:, 3:, 3:], both)
    np.testing.assert_array_equal(flat[:, :3, 3:], last)
    np.testing.assert_array_equal(flat[:, 3:, :3], before)
    np.testing.assert_array_equal(flat[:, 2:3, 2:3], coarse)
    np.testing.assert_array_equal(flat[:, :2, :2], rest)


def test_pictures_of_pyramids():
    pyramid = wavelet.construct(_uniform(3, 16, 16), 2, "CDF9/7")
    picture = wavelet.visualize(pyramid, percentile=100.0)
    assert (picture.shape, picture.dtype) == ((16, 16, 3), torch.uint8)
    flat = wavelet.flatten(pyramid).permute(1, 2, 0)
    for rows, columns in ((slice(8, 16), slice(8, 16)), (slice(0, 8), slice(8, 16))):
        band = flat[rows, columns]
        shades = 127.5 * (1 + band / band.abs().max())
        np.testing.assert_allclose(picture[rows, columns], shades, atol=0.5)
    rest = flat[:4, :4]
    shades = 255 * (rest - rest.min()) / (rest.max() - rest.min())
    np.testing.assert_allclose(picture[:4, :4], shades, atol=0.5)
    # At 99 % some are cut off; in an image of one colour there is nothing to divide by.
    assert (wavelet.visualize(pyramid) != picture).any()
    grey = wavelet.visualize(wavelet.construct(torch.zeros(1, 8, 8), 1, "CDF9/7"))
    assert grey.unique().tolist() == [128]


def test_levels_are_counted():
    shapes = [(7, 1, 9), (7, 2, 2), (7, 3, 40), (7, 64, 65), (7, 66, 65), (7, 0, 3)]
    assert [wavelet.get_max_num_levels(one) for one in shapes] == [0, 1, 2, 6, 7, 0]


# ------------------------------------------------------------------------- colours and cosine waves


def test_syuv():
    image = _uniform(32, 32, 3)
    np.testing.assert_allclose(util.syuv_to_rgb(util.rgb_to_syuv(image)), image, atol=1e-15)
    jacobian = util.compute_jacobian(util.rgb_to_syuv, image[:1, :1])
    assert np.linalg.det(jacobian) == pytest.approx(1, rel=1e-14)
    # Luma and a scale, of the third column of the Jacobian (rows are inputs).
    assert jacobian[:, 0] / jacobian[:, 0].sum() == pytest.approx([0.299, 0.587, 0.114], rel=1e-12)
    assert jacobian[:, 0].sum() == pytest.approx(1.580227820074, abs=3e-9)
    assert util.rgb_to_syuv(image.astype(np.float32)).dtype == torch.float32


def test_image_dct():
    one, other = _uniform(2, 3, 8, 8)
    np.testing.assert_allclose(util.image_idct(util.image_dct(one)), one, atol=1e-14)
    inner = (util.image_dct(one) * util.image_dct(other)).sum()
    assert float(inner) == pytest.approx(float((one * other).sum()), rel=1e-13)
    jacobian = util.compute_jacobian(util.image_dct, _uniform(4, 4, 2))
    assert np.linalg.det(jacobian) == pytest.approx(1, rel=1e-13)
    # The first axis holds images: each mean is in a corner.
    np.testing.assert_allclose(util.image_dct(one)[:, 0, 0], one.sum((1, 2)) / 8, rtol=1e-13)


# ---------------------------------------------------------------------------------------- the loss


@pytest.mark.parametrize("dtype", DTYPES)
def test_image_loss_keeps_dtype(dtype):
    loss = AdaptiveImageLossFunction((64, 64, 3), dtype, "cpu")
    for one in (loss.lossfun(_uniform(2, 64, 64, 3).astype(dtype)), loss.alpha(), loss.scale()):
        assert one.detach().numpy().dtype == dtype


@pytest.mark.parametrize("students_t", [False, True])
def test_image_loss_keeps_size(students_t):
    size = (73, 67, 3)
    loss = AdaptiveImageLossFunction(
        size, np.float32, "cpu", use_students_t=students_t, alpha_lo=0.5, scale_init=2.0
    )
    assert loss.lossfun(_uniform(2, *size).astype(np.float32)).shape == (2, *size)
    assert loss.scale().shape == size
    assert (loss.df() if students_t else loss.alpha()).shape == size
    with pytest.raises(ValueError, match="`use_students_t` must be") as found:
        loss.alpha() if students_t else loss.df()
    assert isinstance(found.value, AssertionError)


@pytest.mark.parametrize("representation", [*NAMES, "DCT", "PIXEL"])
@pytest.mark.parametrize("space", ["YUV", "RGB"])
def test_image_loss_is_that_of_coefficients(space, representation):
    size = (5, 6, 3)
    loss = AdaptiveImageLossFunction(
        size, np.float64, "cpu", space, representation, wavelet_num_levels=2, wavelet_scale_base=0.5
    )
    x = _uniform(4, *size)
    planes = np.moveaxis(np.asarray(util.rgb_to_syuv(x) if space == "YUV" else x), -1, 1)
    planes = planes.reshape(-1, 5, 6)
    if representation == "DCT":
        planes = util.image_dct(planes)
    elif representation in NAMES:
        pyramid = wavelet.construct(planes, 2, representation)
        planes = wavelet.flatten(wavelet.rescale(pyramid, 0.5))
    rows = np.moveaxis(np.asarray(planes).reshape(4, 3, 5, 6), 1, -1).reshape(4, -1)
    np.testing.assert_allclose(loss.transform_to_mat(x), rows, atol=1e-15)
    with torch.no_grad():
        loss.adaptive_lossfun.latent_alpha.copy_(torch.linspace(-3, 3, loss.num_dims))
        values = loss.adaptive_lossfun.lossfun(torch.from_numpy(rows)).reshape(4, *size)
    np.testing.assert_allclose(loss.lossfun(x).detach(), values, rtol=1e-13)


def test_image_loss_of_robloss_adds_the_determinant_alone():
    its = AdaptiveImageLossFunction((5, 6, 3), np.float64, "cpu", wavelet_num_levels=2)
    ours = AdaptiveImageLoss(
        (5, 6, 3), num_levels=2, layout="channels_last", reduction="none", dtype=torch.float64
    )
    x = torch.from_numpy(_uniform(2, 5, 6, 3))
    difference = (its.lossfun(x) - ours(x)).detach()
    assert float(difference.min()) == pytest.approx(float(difference.max()), abs=1e-14)
    assert float(difference.min()) > 0.01
    # What one has learned the other goes on with, but for the shape of the parameters.
    assert its.adaptive_lossfun.latent_alpha.numel() == ours.law.latent_alpha.numel()


@pytest.mark.parametrize(("space", "representation"), [("YUV", "CDF9/7"), ("RGB", "PIXEL")])
def test_image_loss_finds_the_mean(space, representation):
    # Normal images, and the normal law: the mean of the coefficients is the best prediction.
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.uniform(size=(4, 4, 3)) + rng.normal(size=(10, 4, 4, 3)))
    prediction = torch.zeros(4, 4, 3, dtype=torch.float64, requires_grad=True)
    loss = AdaptiveImageLossFunction(
        (4, 4, 3), np.float64, "cpu", space, representation, wavelet_num_levels=2,
        alpha_lo=2, alpha_hi=2,
    )  # fmt: skip
    optimizer = torch.optim.LBFGS(
        [*loss.parameters(), prediction], line_search_fn="strong_wolfe", max_iter=200
    )

    def value():
        optimizer.zero_grad()
        total = loss.lossfun(x - prediction).sum()
        total.backward()
        return total

    optimizer.step(value)
    np.testing.assert_allclose(prediction.detach(), x.mean(0), atol=1e-3)


def test_names():
    assert robust_loss_pytorch.AdaptiveImageLossFunction is AdaptiveImageLossFunction
    assert robust_loss_pytorch.wavelet is wavelet


# ---------------------------------------------------------------------------------------- refusals

IMAGE = np.zeros((1, 8, 8))
REFUSED = [
    (lambda: wavelet.generate_filters("Haar"), "`wavelet_type` must be one of 'CDF9/7', 'LeGall"),
    (lambda: wavelet.construct(IMAGE[0], 1, "CDF9/7"), "`im` must have three axes, but got the sh"),
    (lambda: wavelet.construct(IMAGE, 4, "CDF9/7"), "`num_levels` must be at most 3 for images of"),
    (lambda: wavelet.construct(IMAGE, 1, "cdf97"), "`wavelet_type` must be one of"),
    (lambda: wavelet.collapse(IMAGE, "CDF9/7"), "`pyr` must be a list or tuple"),
    (lambda: wavelet.flatten([[IMAGE], IMAGE]), r"`pyr\[0\]` must be a list or tuple of three"),
    (lambda: wavelet.pad_reflecting(IMAGE, 1.0, 1, 0), "`padding_below` must be an int"),
    (lambda: wavelet.pad_reflecting(IMAGE, 1, 1.0, 0), "`padding_above` must be an int"),
    (lambda: wavelet.pad_reflecting(IMAGE, 1, 1, 3), r"`axis` must be in \[0, 2\], but got 3"),
    (lambda: _loss((8, 8)), r"`image_size` must be \(width, height, channels\), but got \(8, 8\)"),
    (lambda: _loss((8, 8, 3)), "`wavelet_num_levels` must be at most 3 for images of 8 x 8, but"),
    (lambda: _loss((8, 8, 1), representation="PIXEL"), "must have 3 channels in YUV, but got 1"),
    (lambda: _loss((8, 8, 3), color_space="LAB"), "`color_space` must be one of 'YUV', 'RGB'"),
    (lambda: _loss((8, 8, 3), representation="Haar"), "`representation` must be one of"),
    (lambda: _loss((32, 32, 3)).lossfun(IMAGE), r"shape \(batch, 32, 32, 3\), but got \(1, 8, 8\)"),
]


def _loss(size, **options):
    return AdaptiveImageLossFunction(size, np.float64, "cpu", **options)


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_shape_without_all_sides_is_refused():
    with pytest.raises(ValueError, match=r"`sz` must be \(batch, width, height\), but got \(8,\)"):
        wavelet.get_max_num_levels((8,))


def test_half_filters_have_their_names():
    assert wavelet.HalfFilters._fields == ("lo", "hi")
