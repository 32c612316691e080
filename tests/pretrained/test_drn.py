"""DRN-D-105: names, shapes and numbers of the published code (github.com/fyu/drn)."""

import pytest
import torch

from pocketgan.pretrained.drn import CLASSES, Drn, bilinear

SHAPES = {
    "base.0.0.weight": (16, 3, 7, 7),
    "base.0.1.running_var": (16,),
    "base.1.0.weight": (16, 16, 3, 3),
    "base.2.0.weight": (32, 16, 3, 3),
    "base.3.0.conv1.weight": (64, 32, 1, 1),
    "base.3.0.downsample.0.weight": (256, 32, 1, 1),
    "base.3.2.bn3.bias": (256,),
    "base.4.3.conv2.weight": (128, 128, 3, 3),
    "base.5.0.downsample.1.running_mean": (1024,),
    "base.5.22.conv3.weight": (1024, 256, 1, 1),
    "base.6.2.conv2.weight": (512, 512, 3, 3),
    "base.7.0.weight": (512, 2048, 3, 3),
    "base.8.1.weight": (512,),
    "seg.weight": (19, 512, 1, 1),
    "seg.bias": (19,),
    "up.weight": (19, 1, 16, 16),
}
"""Some tensors of the published network."""

IMAGE = torch.linspace(-1, 1, 3 * 40 * 48).reshape(1, 3, 40, 48).sin().mul(7).cos()
PUBLISHED = (-3.03582, -2.83015, -2.99182, -3.01274, -2.92261, -2.92698)
"""Output of the published code for IMAGE with the weights of `draw_`: classes 0 to 5 at row 2, column 3."""


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        state = Drn().state_dict()
    assert len(state) == 651
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES
    assert sum(name.endswith("num_batches_tracked") for name in state) == 108
    assert not {name for name in state if name.startswith(("base.7.1.downsample", "base.5.1.downsample"))}


def test_the_number_of_parameters_is_the_published_one() -> None:
    with torch.device("meta"):
        network = Drn()
    count = sum(weight.numel() for weight in network.parameters())
    assert count == 54_302_915
    # The authors count 54.8 million, with the 1000 classes of ImageNet in place of these 19 and their filter.
    imagenet = count - 19 * (512 + 1) - 19 * 256 + 1000 * (512 + 1)
    assert round(imagenet / 1e6, 1) == 54.8


def test_numbers_are_those_of_the_published_code(drn_network: Drn) -> None:
    with torch.inference_mode():
        scores = drn_network(IMAGE)
    assert scores.shape == (1, CLASSES, 40, 48)
    assert scores[0, :6, 2, 3].tolist() == pytest.approx(PUBLISHED, abs=1e-4)
    assert scores.mean().item() == pytest.approx(-2.95993, abs=1e-4)
    assert scores.std().item() == pytest.approx(0.17522, abs=1e-4)
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(1, 40, 48))


def test_the_filter_interpolates() -> None:
    kernel = bilinear(8)
    assert kernel[0, 0].item() == (1 / 16) ** 2
    assert torch.equal(kernel, kernel.T)
    assert torch.equal(kernel, kernel.flip(0))
    x = torch.randn(1, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    up = torch.nn.functional.conv_transpose2d(x, kernel[None, None], stride=8, padding=4)
    expected = torch.nn.functional.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)
    torch.testing.assert_close(up[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])  # it fades to 0 at the border
