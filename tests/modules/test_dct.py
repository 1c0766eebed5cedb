"""The DCT of robloss.torch against its definition, summed in Python."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robloss.torch._dct import dct, idct  # noqa: E402 - after the library it needs

pytestmark = pytest.mark.backends(lambda library: library.option == "torch")

SIZES = [(1, 1), (1, 4), (2, 3), (8, 8), (5, 12)]


def _definition(image: np.ndarray) -> np.ndarray:
    """X[k, l] = c[k] c[l] Σ x[i, j] cos(π (2i + 1) k / 2h) cos(π (2j + 1) l / 2w)."""

    def along_last(x: np.ndarray) -> np.ndarray:
        n = x.shape[-1]
        rows = []
        for k in range(n):
            norm = math.sqrt((1 if k == 0 else 2) / n)
            cosines = [math.cos(math.pi * (2 * j + 1) * k / (2 * n)) for j in range(n)]
            rows.append(norm * x @ np.array(cosines))
        return np.stack(rows, axis=-1)

    return np.swapaxes(along_last(np.swapaxes(along_last(image), -1, -2)), -1, -2)


def _images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_dct_is_its_definition(size):
    images = _images(2, 3, *size)
    # Roundings of sums of at most 60 values of order 1.
    np.testing.assert_allclose(dct(images), _definition(images.numpy()), atol=1e-13)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_idct_undoes_dct(size):
    images = _images(3, *size)
    np.testing.assert_allclose(idct(dct(images)), images, atol=1e-13)


@pytest.mark.parametrize("size", [*SIZES, (300, 2)], ids=str)
def test_dct_keeps_inner_products(size):
    # Of 300 samples the arguments of the cosines reach 1000 turns: reduced, they cost no digits.
    basis = dct(torch.eye(math.prod(size), dtype=torch.float64).reshape(-1, *size)).flatten(1)
    np.testing.assert_allclose(basis @ basis.mT, np.eye(math.prod(size)), atol=1e-14)


def test_dct_is_no_other_transform():
    image = _images(4, 4)
    assert (dct(image) - idct(image)).abs().max() > 0.1
    assert (dct(image) - dct(image.mT)).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    assert dct(_images(4, 4).to(dtype)).dtype == dtype


def test_shapes_are_known_where_there_are_no_values():
    images = torch.empty(2, 3, 4, device="meta")
    assert dct(images).shape == idct(images).shape == images.shape
