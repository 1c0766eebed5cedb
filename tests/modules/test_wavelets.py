"""Wavelets of robloss.torch against filters of the literature on padded signals, in NumPy."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robloss.torch import _wavelets as wavelets  # noqa: E402 - after the library it needs

pytestmark = pytest.mark.backends(lambda library: library.option == "torch")

# Analysis filters from their middle outwards, those of Cohen, Daubechies, Feauveau (1992) to 12
# digits, as PyWavelets lists them for bior4.4 and bior2.2.
FILTERS = {
    "CDF9/7": (
        (0.852698679009, 0.377402855613, -0.110624404418, -0.023849465020, 0.037828455507),
        (0.788485616406, -0.418092273222, -0.040689417609, 0.064538882629),
    ),
    "LeGall5/3": (
        tuple(math.sqrt(2) * value for value in (6 / 8, 2 / 8, -1 / 8)),
        tuple(math.sqrt(0.5) * value for value in (1, -1 / 2)),
    ),
}
# Half of the last digit of nine filter values, times the sum of |samples| < 1.
TOLERANCE = 1e-11
NAMES = list(FILTERS)
SIZES = list(itertools.product((2, 3, 4, 5, 8, 13), (2, 3, 7, 16)))


def _filtered(signal: np.ndarray, half: tuple[float, ...], first: int) -> np.ndarray:
    """Every second value, from `first` on, of a signal filtered along its last axis."""
    reach = len(half) - 1
    # As NumPy reflects: about the end samples, as often as needed.
    padded = np.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(reach, reach)], mode="reflect")
    kernel = np.array([*half[:0:-1], *half])
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.size, axis=-1)
    return (windows @ kernel)[..., first::2]


def _flat(image: np.ndarray, levels: int, name: str) -> np.ndarray:
    """The flat transform, by padded filters, level by level on the low corner."""
    result = image.copy()
    height, width = image.shape[-2:]
    for _ in range(levels):
        corner = result[..., :height, :width]
        for _ in range(2):  # along the columns, then along the rows
            corner = np.swapaxes(corner, -1, -2)
            bands = [_filtered(corner, half, k) for k, half in enumerate(FILTERS[name])]
            corner = np.concatenate(bands, axis=-1)
        result[..., :height, :width] = corner
        height, width = (height + 1) // 2, (width + 1) // 2
    return result


def _image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, shape))


def _jacobian_volume(function, *shape: int) -> float:
    jacobian = torch.autograd.functional.jacobian(function, _image(*shape))
    n = math.prod(shape)
    return float(torch.linalg.slogdet(jacobian.reshape(n, n)).logabsdet)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_flat_pyramid_is_that_of_padded_filters(name, size):
    image = _image(2, *size)
    for levels in range(wavelets.max_levels(*size) + 1):
        found = wavelets.flatten(wavelets.analyse(image, levels, name))
        np.testing.assert_allclose(found, _flat(image.numpy(), levels, name), atol=TOLERANCE)


def test_filters_tell_the_wavelets_apart():
    image = _image(8, 8)
    found = wavelets.flatten(wavelets.analyse(image, 1, "CDF9/7"))
    assert np.abs(found.numpy() - _flat(image.numpy(), 1, "LeGall5/3")).max() > 0.01


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [*SIZES, (1, 5), (0, 0), (0, 3)], ids=str)
def test_synthesis_undoes_analysis(name, size):
    image = _image(2, 3, *size)
    for levels in range(wavelets.max_levels(*size) + 1):
        again = wavelets.synthesise(wavelets.analyse(image, levels, name), name)
        # Each level rounds a few times at a size that the gain can double.
        np.testing.assert_allclose(again, image, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("base", [1.0, 0.5])
@pytest.mark.parametrize("size", [(2, 2), (4, 4), (3, 4), (4, 3), (5, 7)], ids=str)
def test_log_volume_is_that_of_the_jacobian(name, base, size):
    for levels in range(wavelets.max_levels(*size) + 1):

        def flat(image, levels=levels):
            pyramid = wavelets.analyse(image, levels, name)
            return wavelets.flatten(wavelets.rescale(pyramid, base))

        volume = wavelets.log_volume(*size, levels, name, base)
        assert _jacobian_volume(flat, *size) == pytest.approx(volume, abs=1e-12)


def test_volumes_are_kept_where_sides_are_even_and_only_there():
    assert wavelets.log_volume(32, 16, 4, "CDF9/7") == 0.0
    assert wavelets.log_volume(24, 40, 3, "LeGall5/3") == 0.0
    assert wavelets.log_volume(24, 40, 4, "LeGall5/3") == pytest.approx(0.5 * math.log(2) * 8)
    assert wavelets.log_volume(33, 32, 1, "LeGall5/3") > 1.0
    assert wavelets.log_volume(32, 32, 1, "LeGall5/3", 0.5) < -100.0


@pytest.mark.parametrize("name", NAMES)
def test_polynomials_leave_no_trace_in_the_high_bands(name):
    # Zeros of the high-pass filter at frequency 0: four of CDF 9/7, two of LeGall 5/3. One degree
    # more leaves one. Away from the edges, where the mirror image has a kink.
    zeros = 4 if name == "CDF9/7" else 2
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)
    sizes = []
    for degree in range(zeros + 1):
        ((_, rows, _),), _ = wavelets.analyse((x**degree).expand(4, 40), 1, name)
        sizes.append(float(rows[:, 4:-4].abs().max()))
    assert max(sizes[:-1]) < 1e-14
    assert sizes[-1] > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_stays_one_in_the_rest_at_base_one_half(name):
    pyramid = wavelets.analyse(torch.full((16, 16), 0.3, dtype=torch.float64), 4, name)
    # The mirror image of a constant is one: low bands grow by 2 per level, and others vanish.
    np.testing.assert_allclose(wavelets.rescale(pyramid, 0.5).rest, 0.3, rtol=1e-13)
    assert all(float(band.abs().max()) < 1e-13 for bands in pyramid.levels for band in bands)


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_coefficient_comes_back(name):
    levels, rest = wavelets.analyse(_image(9, 14), 3, name)
    levels[1][2][1, 2] = 7.0
    changed = wavelets.Pyramid(levels, rest)
    again = wavelets.analyse(wavelets.synthesise(changed, name), 3, name)
    np.testing.assert_allclose(wavelets.flatten(again), wavelets.flatten(changed), atol=1e-13)


def test_levels_are_counted_until_the_shorter_side_is_one():
    counts = [wavelets.max_levels(n, 100) for n in (0, 1, 2, 3, 4, 5, 8, 9, 16, 17)]
    assert counts == [0, 0, 1, 2, 2, 3, 3, 4, 4, 5]
    # Powers of two exactly, where a quotient of rounded logarithms may miss them.
    assert [wavelets.max_levels(2**k, 2**k) for k in range(60)] == list(range(60))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    flat = wavelets.flatten(wavelets.analyse(_image(3, 16, 16).to(dtype), 3, "CDF9/7"))
    assert flat.dtype == dtype


@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivatives_and_vmap(name):
    def energy(image):
        flat = wavelets.flatten(wavelets.analyse(image, 2, name))
        return wavelets.synthesise(wavelets.analyse(flat.sin(), 2, name), name)

    image = _image(3, 5).requires_grad_()
    assert torch.autograd.gradcheck(energy, image)
    assert torch.autograd.gradgradcheck(energy, image)
    batch = _image(4, 3, 5)
    torch.testing.assert_close(torch.func.vmap(energy)(batch), energy(batch))
