"""The colour space of robloss.torch: its definition, its volume, its inverse."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robloss.torch._colors import rgb_to_yuv, yuv_to_rgb  # noqa: E402 - after what it needs

pytestmark = pytest.mark.backends(lambda library: library.option == "torch")

# As TensorFlow's `rgb_to_yuv` has it, to 8 decimals.
YUV = np.array([
    [0.299, 0.587, 0.114],
    [-0.14714119, -0.28886916, 0.43601035],
    [0.61497538, -0.51496512, -0.10001026],
])  # fmt: skip
SCALE = 1.580227820074  # of Barron's reference code: makes the determinant 1


def _colors(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(size=shape))


def test_yuv_is_scaled():
    rgb = _colors(5, 4, 3)
    # The matrix is given to 8 decimals.
    np.testing.assert_allclose(rgb_to_yuv(rgb, -1), SCALE * rgb.numpy() @ YUV.T, atol=3e-8)


def test_volume_is_kept_to_rounding():
    jacobian = torch.autograd.functional.jacobian(lambda one: rgb_to_yuv(one, 0), _colors(3))
    assert float(torch.linalg.det(jacobian)) == pytest.approx(1.0, abs=1e-15)
    assert abs(np.linalg.det(SCALE * YUV) - 1) > 1e-15  # what the rounded table reaches


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_yuv_to_rgb_undoes_rgb_to_yuv(axis):
    rgb = _colors(3, 3, 3)
    np.testing.assert_allclose(yuv_to_rgb(rgb_to_yuv(rgb, axis), axis), rgb, atol=1e-15)


def test_channels_lie_along_the_axis():
    rgb = _colors(2, 3, 4, 5)
    torch.testing.assert_close(
        rgb_to_yuv(rgb, 1), rgb_to_yuv(rgb.movedim(1, -1), -1).movedim(-1, 1)
    )
    assert (rgb_to_yuv(_colors(3, 3), 0) - rgb_to_yuv(_colors(3, 3), 1)).abs().max() > 0.1


def test_grey_has_no_colour():
    luma, u, v = rgb_to_yuv(torch.full((3,), 0.5, dtype=torch.float64), 0)
    assert (float(luma), float(u), float(v)) == pytest.approx((0.5 * SCALE, 0, 0), abs=2e-9)
