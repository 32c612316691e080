"""Sizes of images (one number for a square, height and width for others), and inputs of networks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketgan.core.inputs import as_shape, as_size, examples, image_channels, latent_from_seed, shape_of, size_text
from pocketgan.models import patchgan, resnet, sagan

side = st.integers(2, 4096)


@settings(max_examples=30)
@given(side, side)
def test_shape_and_size_round_trips(height: int, width: int) -> None:
    assert shape_of(width, width / height) == (height, width)
    assert as_shape(as_size((height, width))) == (height, width)
    assert as_size((height, height)) == height


def test_size_text_puts_the_width_first() -> None:
    assert size_text((256, 512)) == "512 x 256"


@pytest.mark.parametrize("aspect", [0.0, -1.0, float("inf"), float("nan"), 45.0])
def test_impossible_aspects_are_refused(aspect: float) -> None:
    with pytest.raises(ValueError, match="is width over height: with size=64 it must be above 0 and at most 32"):
        shape_of(64, aspect)


@pytest.mark.parametrize(("width", "aspect"), [(16_385, 1.0), (10**400, 1.0), (10**60, 1e50), (64, 1e-3), (64, 5e-324)])
def test_a_side_has_an_upper_bound(width: int, aspect: float) -> None:
    with pytest.raises(ValueError, match=r"^size=\S+, aspect=\S+: images have at most 16,384 pixels a side"):
        shape_of(width, aspect)
    assert shape_of(16_384, 1.0) == (16_384, 16_384)


def test_image_channels_are_those_of_the_spec_or_of_the_first_convolution() -> None:
    assert image_channels(patchgan(4, in_channels=6).build(device="meta")) == 6
    assert image_channels(nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(5, 2, 1), nn.Conv2d(2, 3, 1))) == 5
    with pytest.raises(ValueError, match="Sequential has no convolution: say how many channels"):
        image_channels(nn.Sequential(nn.Linear(2, 2)))


def test_a_seed_gives_the_same_latent_whatever_the_length() -> None:
    assert torch.equal(latent_from_seed(3, 8)[:, :5], latent_from_seed(3, 5))
    assert not torch.equal(latent_from_seed(4, 5), latent_from_seed(3, 5))


def test_examples_are_images_between_black_and_white_and_normal_latents() -> None:
    torch.manual_seed(0)
    (image,) = examples(resnet(2, blocks=1).build(), (64, 48), batch=2)
    assert image.shape == (2, 3, 64, 48)
    assert -1 <= image.min() < -0.99
    assert 0.99 < image.max() <= 1
    (latent,) = examples(sagan(2, 32, latent=64).build(), (32, 32), batch=100)
    assert latent.shape == (100, 64)
    assert abs(latent.mean()) < 0.1
    assert abs(latent.std() - 1) < 0.1
