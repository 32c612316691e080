"""The ResNet generator against a plain one written from its published description, layer after layer."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.models import mobile_resnet, resnet
from zoo import randomized


def norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=kind == "instance_affine")


class Residual(nn.Module):
    """Reflection pad, convolution, norm, ReLU, reflection pad, convolution, norm, and the skip around them."""

    def __init__(self, width: int, kind: str, depthwise: str | None):
        super().__init__()

        def conv() -> list[nn.Module]:
            bias = kind != "batch"
            if depthwise is None:
                return [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=bias)]
            halves = nn.Conv2d(width, width, 3, groups=width, bias=bias), nn.Conv2d(width, width, 1, bias=bias)
            return [nn.ReflectionPad2d(1), halves[0], norm(depthwise, width), halves[1]]

        self.inner = nn.Sequential(*conv(), norm(kind, width), nn.ReLU(), *conv(), norm(kind, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def published(n: int, blocks: int, kind: str, depthwise: str | None, i: int, o: int) -> nn.Sequential:
    """CycleGAN (Zhu et al. 2017), appendix 7.2, as released; separable blocks: GAN Compression (Li et al. 2020)."""
    bias = kind != "batch"

    def down(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, stride=2, padding=1, bias=bias), norm(kind, b), nn.ReLU()]

    def up(a: int, b: int) -> list[nn.Module]:
        conv = nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1, bias=bias)
        return [conv, norm(kind, b), nn.ReLU()]

    return nn.Sequential(
        *(nn.ReflectionPad2d(3), nn.Conv2d(i, n, 7, bias=bias), norm(kind, n), nn.ReLU()),
        *down(n, 2 * n),
        *down(2 * n, 4 * n),
        *(Residual(4 * n, kind, depthwise) for _ in range(blocks)),
        *up(4 * n, 2 * n),
        *up(2 * n, n),
        *(nn.ReflectionPad2d(3), nn.Conv2d(n, o, 7), nn.Tanh()),
    )


CASES: list[dict[str, Any]] = [
    {"kind": "instance", "blocks": 3, "i": 3, "o": 3, "depthwise": None},
    {"kind": "batch", "blocks": 1, "i": 1, "o": 2, "depthwise": None},
    {"kind": "instance_affine", "blocks": 0, "i": 3, "o": 1, "depthwise": None},
    {"kind": "instance", "blocks": 2, "i": 3, "o": 3, "depthwise": "instance"},
    {"kind": "batch", "blocks": 2, "i": 2, "o": 3, "depthwise": "batch"},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}-{case['blocks']}-{case['depthwise']}")
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_parity_with_the_published_network(case: dict[str, Any], training: bool) -> None:
    choices = {"blocks": case["blocks"], "norm": case["kind"], "in_channels": case["i"], "out_channels": case["o"]}
    depthwise = case["depthwise"]
    spec = mobile_resnet(5, depthwise_norm=depthwise, **choices) if depthwise else resnet(5, **choices)
    ours, theirs = randomized(spec).train(training), published(5, **case).train(training)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, case["i"], 16, 24)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=0)
    for own, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other)  # the same running statistics


@settings(max_examples=5, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 11), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_any_number_of_blocks_keeps_the_size_of_the_image(b: int, i: int, o: int, height: int, width: int) -> None:
    model = resnet(2, blocks=b, in_channels=i, out_channels=o).build(device="meta")
    assert [name for name, _ in model.named_children() if name.startswith("block")] == [f"block{k}" for k in range(b)]
    x = torch.empty(2, i, 4 * (height + 1), 4 * (width + 1), device="meta")
    assert model(x).shape == (2, o, *x.shape[2:])


@pytest.mark.parametrize(
    ("blocks", "taps"),
    [
        (9, ("down2", "block2", "block5", "block8")),  # GAN Compression, section 3.1
        (6, ("down2", "block1", "block3", "block5")),
        (1, ("down2", "block0")),
        (0, ("down2",)),
    ],
)
def test_default_taps_are_after_each_third_of_the_blocks(blocks: int, taps: tuple[str, ...]) -> None:
    assert resnet(4, blocks=blocks).taps == taps


def test_published_widths() -> None:
    spec = resnet(64)
    assert spec.widths == {
        "stem": 64, "down1": 128, "trunk": 256, "up1": 128, "up2": 64, **{f"block{k}": 256 for k in range(9)}
    }  # fmt: skip
    assert mobile_resnet(64).widths == spec.widths


def test_dropout_acts_inside_the_blocks_and_in_training_only() -> None:
    model, x = randomized(resnet(4, blocks=1, dropout=0.5)), torch.randn(1, 3, 16, 16)
    assert torch.equal(model(x), model(x))
    trunk = model.down2(model.down1(model.stem(x)))
    model.train()
    assert torch.equal(model.down2(model.down1(model.stem(x))), trunk)
    assert not torch.equal(model(x), model(x))


def test_an_absent_block_passes_the_trunk_on() -> None:
    block = randomized(resnet(4, blocks=1).resized({"block0": 0})).block0
    x = torch.randn(1, 16, 5, 5)
    assert torch.equal(block(x), x)
    assert not list(block.state_dict())


def test_an_absent_block_with_an_affine_norm_keeps_its_constant() -> None:
    block = randomized(resnet(4, blocks=1, norm="batch").resized({"block0": 0})).block0
    x = torch.randn(1, 16, 5, 5)
    assert torch.equal(block(x), x + block.shift.value[None, :, None, None])
    assert list(block.state_dict()) == ["shift.value"]
