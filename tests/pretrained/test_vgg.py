"""VGG16 up to relu4_3, VGG19 up to relu5_1: torchvision's names, the layers' closed form, gradients for the image alone."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from random_weights import draw_
from torch import Tensor

from pocketgan.pretrained.vgg import Vgg16, Vgg19, load_vgg16, load_vgg19

CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
"""Indices of the convolutions in torchvision's ``vgg19().features``, up to conv5_1; a pooling follows 2, 7, 16 and 25."""
POOLED = (2, 7, 16, 25)
TAPPED = (0, 5, 10, 19, 28)
CONVOLUTIONS_16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)
"""Those of ``vgg16().features`` up to conv4_3; a pooling follows 2, 7 and 14."""
NAMES_16 = [f"relu{block}_{number}" for block, count in ((1, 2), (2, 2), (3, 3), (4, 3)) for number in range(1, count + 1)]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A file like torchvision's, with layers that are not needed, in halves to be small."""
    state = {name: tensor.half() for name, tensor in draw_(Vgg19().state_dict()).items()}
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(state | {"features.30.weight": torch.zeros(2), "classifier.0.weight": torch.zeros(3)}, path)
    return path, state


def test_names_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        state = Vgg19().state_dict()
    assert list(state) == [f"features.{index}.{part}" for index in CONVOLUTIONS for part in ("weight", "bias")]
    widths = [state[f"features.{index}.bias"].shape[0] for index in CONVOLUTIONS]
    assert widths == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 5
    # All 16 convolutions have 20,024,384 numbers; the last three, 512 to 512, are not here.
    assert sum(tensor.numel() for tensor in state.values()) == 20_024_384 - 3 * (512 * 512 * 9 + 512)


def test_names_and_shapes_of_vgg16_are_torchvisions() -> None:
    with torch.device("meta"):
        state = Vgg16().state_dict()
    assert list(state) == [f"features.{index}.{part}" for index in CONVOLUTIONS_16 for part in ("weight", "bias")]
    assert [state[f"features.{index}.bias"].shape[0] for index in CONVOLUTIONS_16] == [64] * 2 + [128] * 2 + [256] * 3 + [
        512
    ] * 3
    # All 13 convolutions have 14,714,688 numbers; the last three, 512 to 512, are not here.
    assert sum(tensor.numel() for tensor in state.values()) == 14_714_688 - 3 * (512 * 512 * 9 + 512)


def test_layers_of_vgg16_go_by_the_names_of_the_literature(tmp_path: Path) -> None:
    """From a file with layers that are not needed."""
    state = {name: tensor.half() for name, tensor in draw_(Vgg16().state_dict()).items()}
    torch.save(state | {"features.24.weight": torch.zeros(2), "classifier.0.bias": torch.zeros(3)}, tmp_path / "vgg16.pth")
    network = load_vgg16(tmp_path / "vgg16.pth")
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    assert list(network.indices) == NAMES_16
    expected, x = {}, image
    for name, index in zip(NAMES_16, CONVOLUTIONS_16, strict=True):
        weight, bias = (state[f"features.{index}.{part}"].float() for part in ("weight", "bias"))
        expected[name] = x = F.conv2d(x, weight, bias, padding=1).clamp(min=0)
        if index in (2, 7, 14):
            x = F.max_pool2d(x, 2)
    found = network.activations(image, ("relu3_3", "relu1_2", "relu4_3"))
    assert found.keys() == {"relu1_2", "relu3_3", "relu4_3"}
    for name, features in found.items():
        torch.testing.assert_close(features, expected[name])


def test_the_features_are_the_five_layers_of_the_paper(published: tuple[Path, dict[str, Tensor]]) -> None:
    path, state = published
    network = load_vgg19(path)
    image = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = network(image)
    expected, x = [], image
    for index in CONVOLUTIONS:
        weight, bias = (state[f"features.{index}.{part}"].float() for part in ("weight", "bias"))
        x = F.conv2d(x, weight, bias, padding=1).clamp(min=0)
        if index in TAPPED:
            expected.append(x)
        if index in POOLED:
            x = F.max_pool2d(x, 2)
    for one, other, scale in zip(found, expected, (1, 2, 4, 8, 16), strict=True):
        assert one.shape[-2:] == (32 // scale, 48 // scale)
        torch.testing.assert_close(one, other)


def test_gradients_reach_the_image_and_no_weight(published: tuple[Path, dict[str, Tensor]]) -> None:
    network = load_vgg19(published[0])
    image = torch.zeros(1, 3, 16, 16, requires_grad=True)
    sum(x.mean() for x in network(image)).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in network.parameters())


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3), "features.1.weight": torch.zeros(64)}, tmp_path / "bn.pth")
    with pytest.raises(ValueError, match=r"bn\.pth does not hold the VGG19 of torchvision: missing: .* unknown: features\.1"):
        load_vgg19(tmp_path / "bn.pth")
