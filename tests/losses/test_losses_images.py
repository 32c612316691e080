"""Wavelets, structural similarity and total variation: closed forms, torchmetrics, and what must not change them."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from pocketgan.losses.images import haar, mean_norm, structural_similarity, total_variation, wavelet_distance

few = settings(max_examples=10, deadline=None)
ZEROS = torch.zeros(1, 1, 4, 4)


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_an_impulse_has_a_quarter_of_its_energy_in_each_band() -> None:
    """Bands of 1/2 in 1 of 4 places; at the second level of 1/4 in the only place."""
    impulse = ZEROS.clone()
    impulse[0, 0, 0, 0] = 1
    assert wavelet_distance(ZEROS, impulse, levels=1).item() == pytest.approx(0.125)
    assert wavelet_distance(impulse, ZEROS, levels=2).item() == pytest.approx(0.125 + 0.25)
    assert wavelet_distance(impulse, ZEROS, levels=2, norm="l2").item() == pytest.approx(3 * 0.25 / 12 + 0.0625)


def test_a_checkerboard_is_one_band_alone() -> None:
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2 * 2.0 - 1
    assert wavelet_distance(board[None, None], ZEROS, levels=1).item() == pytest.approx(2 / 3)


@few
@given(shift=st.floats(-1, 1), seed=st.integers(0, 99), levels=st.integers(1, 4))
def test_a_shift_of_all_colors_does_not_matter(shift: float, seed: int, levels: int) -> None:
    image, other = images(2, 3, 16, 16, seed=seed), images(2, 3, 16, 16, seed=seed + 1)
    assert wavelet_distance(image + shift, image, levels=levels).item() == pytest.approx(0, abs=1e-5)
    expected = wavelet_distance(image, other, levels=levels)
    torch.testing.assert_close(wavelet_distance(image + shift, other, levels=levels), expected, rtol=1e-4, atol=1e-5)


@few
@given(height=st.integers(1, 9), width=st.integers(1, 9))
def test_the_transform_is_orthonormal(height: int, width: int) -> None:
    """Energy is kept, also of odd sizes, whose padding adds none."""
    image = images(2, 3, height, width)
    low, high = haar(image)
    assert low.shape == (2, 3, (height + 1) // 2, (width + 1) // 2)
    torch.testing.assert_close(low.square().sum() + high.square().sum(), image.square().sum())


@pytest.mark.parametrize("size", [(24, 17), (8, 9)])
def test_similarity_is_that_of_torchmetrics_between_zeros(size: tuple[int, int]) -> None:
    """torchmetrics reflects at the border: images within five zeros have the same windows around every pixel."""
    x, y = images(2, 3, *size), (images(2, 3, *size) + 0.3 * images(2, 3, *size, seed=1)).clamp(-1, 1)
    padded = (F.pad(image, [5] * 4) for image in (x, y))
    _, places = structural_similarity_index_measure(*padded, data_range=1.0, sigma=1.5, return_full_image=True)
    torch.testing.assert_close(structural_similarity(x, y), places[..., 5:-5, 5:-5].mean(), rtol=1e-4, atol=1e-5)
    assert structural_similarity(x, x).item() == pytest.approx(1)


def test_variation_counts_every_edge_of_an_image_once() -> None:
    board = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    assert total_variation(board).item() == 4
    assert total_variation(board.repeat(3, 2, 1, 1)).item() == 8  # channels are summed, images averaged
    stripes = torch.tensor([[[[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]]]])  # edges of 1 and 2 in both rows, none in columns
    assert total_variation(stripes).item() == total_variation(stripes.mT).item() == 6


def test_norms_are_torchs() -> None:
    x, y = images(2, 3, 4, 4), images(2, 3, 4, 4, seed=1)
    torch.testing.assert_close(mean_norm(x - y, "l1"), F.l1_loss(x, y))
    torch.testing.assert_close(mean_norm(x - y, "l2"), F.mse_loss(x, y))
