"""The generators of label maps: published counts, and a plain forward written from the published description."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.spec import MODELS, Spec
from pocketgan.metrics.cost import CostModel
from pocketgan.models import inception_spade, mobile_spade, multiscale, spade
from pocketgan.models.layers import folded, plain
from zoo import randomize_, randomized

STREETS, OBJECTS = (256, 512), (256, 256)
"""Heights and widths of Cityscapes and COCO in the published systems."""


@pytest.mark.parametrize(
    ("name", "options", "size", "params", "macs", "macs_paper"),
    [
        ("spade", {}, STREETS, 93_048_003, 281_277, 281_357),
        ("spade", {"in_channels": 184, "upsamplings": 5}, OBJECTS, 97_480_899, 191_140, 191_181),
        ("mobile-spade", {}, STREETS, 70_680_771, 118_603, 118_817),
        ("inception-spade", {}, STREETS, 55_592_325, 109_774, 109_894),
        ("inception-spade", {"ngf": 48}, STREETS, 33_058_197, 74_264, 74_363),
    ],
)
def test_published_counts(
    name: str, options: dict[str, int], size: tuple[int, int], params: int, macs: int, macs_paper: int
) -> None:
    """GAN Compression's 281.36 G, 191.18 G and 118.8 G count norms, CAT's 109.774 G and 74.264 G do not."""
    cost = CostModel(plain(MODELS[name](**options)).build(device="meta"), size)()
    assert (cost.params, round(cost.macs / 1e6), round(cost.macs_paper / 1e6)) == (params, macs, macs_paper)


def test_published_counts_of_the_blocks() -> None:
    """CAT's, 36 x 256 x 512, in G."""
    cost = CostModel(inception_spade().build(device="meta"), STREETS)
    parts: dict[str, int] = {}
    for term in cost.terms:
        part = term.layer.partition(".")[0]
        parts[part] = parts.get(part, 0) + term.at(cost.widths).macs
    blocks = {"head": 477, "middle0": 1_907, "middle1": 7_629, "up0": 14_648, "up1": 18_062, "up2": 25_493, "up3": 41_321}
    assert {part: round(macs / 1e6) for part, macs in parts.items()} == {"first": 11, **blocks, "head_conv": 226}


Tensors = dict[str, Tensor]


class Published:
    """The forward of a generator in evaluation mode, from its tensors alone (SPADE, figures 3 and 4; CAT, section 3.1)."""

    def __init__(self, model: nn.Module):
        self.t, self.spec, self.kind = model.state_dict(), model.spec, model.spec.name  # type: ignore[union-attr]

    def __call__(self, labels: Tensor) -> Tensor:
        height, width = labels.shape[2:]
        factor = 2**self.spec.upsamplings
        x = self.conv("first.conv", F.interpolate(labels, (height // factor, width // factor), mode="nearest"))
        if self.kind == "inception-spade":
            x = self.norm("first.norm", x)
        for block in self.spec.blocks:
            if block != "head" and not (block == "middle1" and self.spec.upsamplings == 5):
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = (self.inception if self.kind == "inception-spade" else self.residual)(block, x, labels)
        assert x.shape[2:] == labels.shape[2:]
        return self.conv("head_conv", F.leaky_relu(x, 0.2)).tanh()

    def residual(self, name: str, x: Tensor, labels: Tensor) -> Tensor:
        shortcut = x
        if f"{name}.convs.weight" in self.t:
            shortcut = self.conv(f"{name}.convs", self.modulated(f"{name}.spades", x, labels))
        y = self.conv(f"{name}.conv0", F.leaky_relu(self.modulated(f"{name}.spade0", x, labels), 0.2))
        return shortcut + self.conv(f"{name}.conv1", F.leaky_relu(self.modulated(f"{name}.spade1", y, labels), 0.2))

    def inception(self, name: str, x: Tensor, labels: Tensor) -> Tensor:
        shortcut = x
        if f"{name}.shortcut.conv.weight" in self.t:
            shortcut = self.conv(f"{name}.shortcut.conv", self.norm(f"{name}.shortcut.norm", x))
        return shortcut + self.branches(f"{name}.branches", self.modulated(f"{name}.spade", x, labels).relu())

    def modulated(self, name: str, x: Tensor, labels: Tensor) -> Tensor:
        resized = F.interpolate(labels, x.shape[2:], mode="nearest")
        if self.kind == "inception-spade":
            gamma, beta = self.branches(f"{name}.modulation.branches", resized).split(x.shape[1], 1)
        else:
            hidden = self.conv(f"{name}.modulation.shared.conv", resized).relu()
            gamma, beta = (self.separable(f"{name}.modulation.{part}", hidden) for part in ("gamma", "beta"))
        return self.norm(f"{name}.norm", x) * (1 + gamma) + beta

    def branches(self, name: str, x: Tensor) -> Tensor:
        total = []
        for k in self.spec.kernels:
            y = self.norm(f"{name}.res{k}.first.norm", self.conv(f"{name}.res{k}.first.conv", x)).relu()
            total.append(self.conv(f"{name}.res{k}.last", y))
            y = self.norm(f"{name}.dw{k}.first.norm", self.conv(f"{name}.dw{k}.first.conv", x)).relu()
            y = self.norm(f"{name}.dw{k}.depthwise.norm", self.conv(f"{name}.dw{k}.depthwise.conv", y)).relu()
            total.append(self.conv(f"{name}.dw{k}.last", y))
        return torch.stack(total).sum(0)

    def separable(self, name: str, x: Tensor) -> Tensor:
        if f"{name}.weight" in self.t:
            return self.conv(name, x)
        return self.conv(f"{name}.pointwise", self.norm(f"{name}.norm", self.conv(f"{name}.depthwise", x)))

    def conv(self, name: str, x: Tensor) -> Tensor:
        weight = self.t[f"{name}.weight"]
        depthwise = weight.shape[1] == 1 != x.shape[1]
        groups = x.shape[1] if depthwise else 1
        return F.conv2d(x, weight, self.t.get(f"{name}.bias"), padding=weight.shape[2] // 2, groups=groups)

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, variance = self.t.get(f"{name}.running_mean"), self.t.get(f"{name}.running_var")
        if mean is None or variance is None:
            mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
        else:
            mean, variance = mean[:, None, None], variance[:, None, None]
        y = (x - mean) / (variance + 1e-5).sqrt()
        scale, shift = self.t.get(f"{name}.weight"), self.t.get(f"{name}.bias")
        return y if scale is None or shift is None else y * scale[:, None, None] + shift[:, None, None]


@pytest.mark.parametrize(
    "spec",
    [
        spade(4, in_channels=3, upsamplings=6, spectral=False),
        spade(4, in_channels=2, upsamplings=5, spade_norm="instance", spectral=False),
        mobile_spade(4, in_channels=3, upsamplings=5, spectral=False),
        inception_spade(3, in_channels=3, upsamplings=5, factor=20),
        inception_spade(4, in_channels=2, upsamplings=7, kernels=(3,), factor=30),
    ],
    ids=["spade-6", "spade-5-instance", "mobile-5", "inception-5", "inception-7"],
)
def test_parity_with_a_plain_forward(spec: Spec) -> None:
    """Against label maps resized to the nearest pixel, where the model takes every step-th one."""
    model = randomized(spec, dtype=torch.float64)
    step = 2**spec.upsamplings  # type: ignore[attr-defined]
    labels = torch.randn(1, spec.in_channels, step, 2 * step, dtype=torch.float64)  # type: ignore[attr-defined]
    with torch.no_grad():
        torch.testing.assert_close(model(labels), Published(model)(labels), atol=1e-9, rtol=0)


MOST = {"head": 1, "middle0": 2, "middle1": 4, "up0": 8, "up1": 16, "up2": 32, "up3": 64, "up4": 128}


@pytest.mark.parametrize(
    ("make", "upsamplings", "heights"),
    [
        (spade, 5, {"head": 4, "middle0": 8, "middle1": 8, "up0": 16, "up1": 32, "up2": 64, "up3": 128}),
        (spade, 6, {"head": 2, "middle0": 4, "middle1": 8, "up0": 16, "up1": 32, "up2": 64, "up3": 128}),
        (spade, 7, MOST),
        (inception_spade, 7, MOST),
    ],
    ids=["spade-5", "spade-6", "spade-7", "inception-7"],
)
def test_resolutions(make: Any, upsamplings: int, heights: dict[str, int]) -> None:
    """SPADE, figure 11: "normal" keeps one size in the middle, "most" has one block more, of half its width."""
    kernels = {"kernels": (1,)} if make is inception_spade else {}
    spec = make(4, in_channels=2, upsamplings=upsamplings, **kernels)
    model, shapes = plain(spec).build(device="meta"), {}
    for block in spec.blocks:
        model.get_submodule(block).register_forward_hook(lambda _, __, y, block=block: shapes.update({block: tuple(y.shape)}))
    assert model(torch.empty(1, 2, 128, 256, device="meta")).shape == (1, 3, 128, 256)
    widths = dict(zip(spec.blocks, (64, 64, 64, 32, 16, 8, 4, 2), strict=False))
    assert shapes == {block: (1, widths[block], height, 2 * height) for block, height in heights.items()}
    assert model.stride == 2**upsamplings


def test_without_branches_a_block_is_its_shortcut() -> None:
    spec = inception_spade(2, in_channels=2, upsamplings=5, kernels=(1,))
    model = spec.resized({group: 0 for group in spec.optional() if group.startswith(("head_", "up0_"))}).build().eval()
    x, labels = torch.randn(1, 32, 4, 4), torch.randn(1, 2, 4, 4)
    assert torch.equal(model.head(x, labels), x)
    assert torch.equal(model.up0(x, labels), model.up0.shortcut.conv(model.up0.shortcut.norm(x)))
    assert [name for name in model.head.state_dict() if not name.endswith("shift.value")] == []


def test_without_branches_in_the_modulation_only_the_norm_is_left() -> None:
    spec = inception_spade(2, in_channels=2, upsamplings=5, kernels=(1,))
    model = spec.resized({group: 0 for group in spec.optional() if group.startswith("head_spade")}).build().eval()
    x, labels = torch.randn(1, 32, 4, 4), torch.randn(1, 2, 4, 4)
    assert torch.equal(model.head.spade(x, labels), model.head.spade.norm(x))


NETS = {
    "spade": spade(2, in_channels=2, upsamplings=5),
    "mobile": mobile_spade(2, in_channels=2, upsamplings=5),
    "discriminator": multiscale(4, layers=2, in_channels=3),
}


@pytest.mark.parametrize("name", NETS)
def test_spectral_norm_is_folded_away_and_the_image_stays(name: str) -> None:
    spec = NETS[name]
    model, x = spec.build(), torch.randn(1, spec.in_channels, 32, 64)  # type: ignore[attr-defined]
    model(x)  # another step of the power iteration
    bare, before = folded(model), list(model.state_dict())
    assert list(model.state_dict()) == before
    assert model.training
    assert bare.training
    assert any("parametrizations" in key for key in before)
    assert not any("parametrizations" in key for key in bare.state_dict())
    assert not any(hasattr(module, "parametrizations") for module in bare.modules())
    assert not bare.spec.spectral  # type: ignore[union-attr]
    assert all(torch.equal(a, b) for a, b in zip(logits(bare.eval(), x), logits(model.eval(), x), strict=True))
    assert folded(bare) is bare


def logits(model: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    output = model(x)
    return output if isinstance(output, tuple) else (output,)


def test_folded_filters_have_the_largest_singular_value_1() -> None:
    """On the convolutions of the blocks alone; all other tensors are unchanged."""
    model = randomize_(NETS["spade"].build())
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(1, 2, 32, 64))
    bare, own = folded(model).state_dict(), model.state_dict()
    normed = {name for name in bare if name not in own}
    assert normed == {name for name in bare if name.split(".")[1] in ("conv0", "conv1", "convs") and name.endswith("weight")}
    for name in normed:
        assert torch.linalg.matrix_norm(bare[name].flatten(1), 2).item() == pytest.approx(1, abs=0.03), name
    assert all(torch.equal(bare[name], own[name]) for name in bare if name in own)


def test_initial_weights_are_xaviers() -> None:
    """Normal, of deviation 0.02 sqrt(2 / (fan in + fan out)); biases 0."""
    for spec, name in (
        (spade(8, upsamplings=5, spectral=False), "middle0.conv0"),
        (multiscale(16, spectral=False), "scale0.conv4.conv"),
    ):
        weight = spec.build().get_submodule(name).weight.detach()
        expected = 0.02 * (2 / ((weight.shape[0] + weight.shape[1]) * weight[0, 0].numel())) ** 0.5
        assert weight.std().item() == pytest.approx(expected, rel=0.02)
        assert abs(weight.mean().item()) < expected / 50
    model = inception_spade(2, upsamplings=5).build()
    assert all(not p.any() for n, p in model.named_parameters() if n.endswith(("conv.bias", "last.bias")))
    assert model.first.norm.weight.std().item() == pytest.approx(0.02, rel=0.6)


def test_published_widths_and_taps() -> None:
    outputs = {"trunk": 1024, "up0": 512, "up1": 256, "up2": 128, "up3": 64}
    for make in (spade, mobile_spade, inception_spade):
        spec = make()
        assert {group: spec.widths[group] for group in outputs} == outputs
        assert spec.taps == ("head", "middle1", "up1")
    hidden = {group: width for group, width in spade().widths.items() if "spade" in group}
    assert set(hidden.values()) == {128}
    assert len(hidden) == 3 * 2 + 4 * 3
    branches = inception_spade().widths
    assert [branches[f"{block}_dw5"] for block in ("head", "up0", "up1", "up2", "up3")] == [170, 85, 42, 21, 10]
    assert {width for group, width in branches.items() if "_spade_" in group} == {21}


def test_invalid_specs() -> None:
    for make in (spade, inception_spade):
        with pytest.raises(ValueError, match=r"spade upsamplings=4: allowed are 5 \(normal\), 6 \(more\) and 7 \(most\)"):
            make(4, upsamplings=4)
    spec = inception_spade(4, upsamplings=5, kernels=(1,))
    with pytest.raises(
        ValueError, match=r"inception-spade up1 has no branches, so these must be 0 too: up1_spade_res1, up1_spade_dw1"
    ):
        spec.resized({"up1_res1": 0, "up1_dw1": 0})
