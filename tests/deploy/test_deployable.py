from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.core.inputs import Input
from pocketgan.deploy import Deployable, frozen


class Pixels(nn.Module):
    """Means of blocks, repeated: accepts only multiples of its stride, and reflects the means by ``pad``."""

    in_channels = 3

    def __init__(self, stride: int = 4, pad: int = 0):
        super().__init__()
        self.stride, self.pad = stride, pad

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] % self.stride == x.shape[-2] % self.stride == 0
        blocks = nn.functional.avg_pool2d(x, self.stride)
        if self.pad:
            reflected = nn.functional.pad(blocks, [self.pad] * 4, mode="reflect")
            blocks = reflected[..., self.pad : -self.pad, self.pad : -self.pad]
        return blocks.repeat_interleave(self.stride, -1).repeat_interleave(self.stride, -2)


def image(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(height * width)) * 2 - 1


@given(rows=st.integers(2, 6), columns=st.integers(2, 6))
@settings(max_examples=4, deadline=None)
def test_multiples_of_the_stride_pass_untouched(resnet: nn.Module, rows: int, columns: int) -> None:
    model = frozen(resnet)
    x = image(4 * rows, 4 * columns)
    assert torch.equal(Deployable(model)(x), model(x))


@given(stride=st.integers(1, 9), height=st.integers(0, 30), width=st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_other_sizes_are_padded_as_by_numpy_and_cropped(stride: int, height: int, width: int) -> None:
    model = Deployable(Pixels(stride))
    x = image(height + model.min_side, width + model.min_side)
    missing = [(0, 0), (0, 0), *((0, -side % stride) for side in x.shape[2:])]
    padded = torch.from_numpy(np.pad(x.numpy(), missing, mode="reflect"))
    expected = Pixels(stride)(padded)[..., : x.shape[2], : x.shape[3]]
    assert torch.equal(model(x), expected)


@pytest.mark.parametrize(
    ("stride", "pad", "units", "least"),
    [(1, 0, 1, 1), (2, 0, 1, 2), (4, 0, 1, 3), (9, 0, 1, 5), (4, 1, 2, 5), (4, 10, 11, 41), (1, 3, 4, 4)],
)
def test_the_smallest_side_is_the_networks_or_that_of_the_reflection(stride: int, pad: int, units: int, least: int) -> None:
    model = Deployable(Pixels(stride, pad))
    assert (model.units, model.min_side) == (units, least)
    assert model(image(least, least + 1)).shape[2:] == (least, least + 1)
    if least > 1:
        with pytest.raises(ValueError, match=f"{least + 3}x{least - 1} pixels is too small.*{least} or more"):
            model(image(least + 3, least - 1))


def test_stride_and_channels_may_come_from_the_spec() -> None:
    """The spec comes first: in a foreign network an attribute of that name may mean anything."""
    generator = Pixels(4)
    generator.forward = lambda x: x
    generator.spec = SimpleNamespace(stride=6, in_channels=9)
    assert (Deployable(generator).stride, Deployable(generator).in_channels) == (6, 9)
    generator.spec = SimpleNamespace(in_channels=9)
    assert Deployable(generator).stride == 4


@pytest.mark.parametrize("name", ["stride", "in_channels"])
@pytest.mark.parametrize("value", [None, 0, 2.0])
def test_a_missing_attribute_is_named(name: str, value: object) -> None:
    generator = Pixels()
    setattr(generator, name, value)
    with pytest.raises(ValueError, match=f"Pixels.{name} is {value}.*whole number"):
        Deployable(generator)


def test_a_network_that_changes_the_size_is_refused() -> None:
    generator = nn.Sequential(nn.Conv2d(3, 3, 3))
    generator.in_channels, generator.stride = 3, 4
    with pytest.raises(ValueError, match=r"makes 2x2 of 4x4 pixels.*stride of 4"):
        Deployable(generator)


def test_a_network_that_accepts_no_image_is_refused_with_its_own_error() -> None:
    generator = nn.Sequential(nn.Conv2d(5, 3, 3, padding=1))
    generator.in_channels, generator.stride = 3, 4
    with pytest.raises(ValueError, match=r"no square of 3 channels and up to 256 pixels.*expected input.*5 channels"):
        Deployable(generator)


def test_the_search_for_the_smallest_side_does_not_change_the_generator(unet: nn.Module) -> None:
    generator = copy.deepcopy(unet).train()
    before = copy.deepcopy(generator.state_dict())
    random = torch.get_rng_state()
    Deployable(generator)
    assert generator.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())


def test_frozen_is_a_float32_copy_for_evaluation() -> None:
    original = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout()).double().train()
    model = frozen(original)
    assert not model.training
    assert {(p.dtype, p.requires_grad) for p in model.parameters()} == {(torch.float32, False)}
    assert original.training
    assert {(p.dtype, p.requires_grad) for p in original.parameters()} == {(torch.float64, True)}


def test_images_made_from_a_latent_are_clamped_and_have_one_size() -> None:
    generator = nn.Sequential(nn.Unflatten(1, (3, 2, 2)))
    generator.spec = SimpleNamespace(inputs=(Input("input", 12, is_latent=True),))
    model = Deployable(generator)
    latent = torch.linspace(-2, 2, 24).view(2, 12)
    assert torch.equal(model(latent), latent.view(2, 3, 2, 2).clamp(-1, 1))
    assert (model.stride, model.in_channels, model.traced) == (1, 12, model)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda x: (x, x), "makes tuple of an image"),
        (lambda x: x[0], "makes 3x1x1 of an image"),
        (lambda x: x.missing, "accepts no square of 3 channels and up to 64 pixels .*: 'Tensor' object has no attribute"),
        (lambda x: {}["key"], "accepts no square of 3 channels and up to 64 pixels .*: 'key'"),
        (lambda x: next(iter([])), "accepts no square of 3 channels and up to 64 pixels .*: StopIteration"),
    ],
)
def test_a_network_that_makes_no_image_is_refused(made: Callable[[Tensor], Any], text: str) -> None:
    class Strange(nn.Module):
        stride, in_channels = 1, 3

        def forward(self, x: Tensor) -> Any:
            return made(x)

    with pytest.raises(ValueError, match=text):
        Deployable(Strange())
