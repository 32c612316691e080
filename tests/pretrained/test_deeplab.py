"""DeepLabV2: names, shapes and numbers of the published code (github.com/kazuto1011/deeplab-pytorch)."""

import pytest
import torch

from pocketgan.pretrained.deeplab import CLASSES, DeepLab

SHAPES = {
    "base.layer1.conv1.conv.weight": (64, 3, 7, 7),
    "base.layer1.conv1.bn.running_mean": (64,),
    "base.layer2.block1.reduce.conv.weight": (64, 64, 1, 1),
    "base.layer2.block1.shortcut.conv.weight": (256, 64, 1, 1),
    "base.layer2.block3.increase.bn.bias": (256,),
    "base.layer3.block1.shortcut.bn.weight": (512,),
    "base.layer3.block4.conv3x3.conv.weight": (128, 128, 3, 3),
    "base.layer4.block23.conv3x3.conv.weight": (256, 256, 3, 3),
    "base.layer5.block3.increase.conv.weight": (2048, 512, 1, 1),
    "base.aspp.c0.weight": (182, 2048, 3, 3),
    "base.aspp.c3.bias": (182,),
}
"""Some tensors of the published network."""

IMAGE = torch.linspace(-1, 1, 3 * 40 * 48).reshape(1, 3, 40, 48).sin().mul(7).cos()
PUBLISHED = (0.88734, 0.653, -0.03908, -0.01942, 0.33018, 0.35187)
"""Output of the published code for IMAGE with the weights of `draw_`: classes 0 to 5 at row 2, column 3."""


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        state = DeepLab().state_dict()
    assert len(state) == 632
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES
    assert not {name for name in state if "block2.shortcut" in name}


def test_the_number_of_parameters_is_that_of_a_resnet_101_and_its_classifiers() -> None:
    with torch.device("meta"):
        network = DeepLab()
    count = sum(weight.numel() for weight in network.parameters())
    classifiers = 4 * (182 * 2048 * 9 + 182)
    # He et al.'s ResNet-101 has 44,549,160 parameters, 2,049,000 of them in its last layer.
    assert count - classifiers == 44_549_160 - 2_049_000
    assert count == 55_919_384


def test_numbers_are_those_of_the_published_code(deeplab_network: DeepLab) -> None:
    with torch.inference_mode():
        scores = deeplab_network(IMAGE)
        full_size = deeplab_network.base(IMAGE)
    assert scores.shape == (1, CLASSES, 6, 7)  # both halvings round up
    assert scores[0, :6, 2, 3].tolist() == pytest.approx(PUBLISHED, abs=1e-4)
    assert scores.mean().item() == pytest.approx(0.20061, abs=1e-4)
    assert scores.std().item() == pytest.approx(0.49872, abs=1e-4)
    assert (scores >= full_size).all()  # the maximum over three sizes
    assert (scores > full_size).any()
