"""MUNIT's generator: published counts, a plain forward written from the published description, and its norms by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Dim
from pocketgan.core.inputs import Input, examples, input_shapes, inputs_of, run
from pocketgan.core.spec import MODELS, Preset
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_munit, munit, resnet
from pocketgan.models.munit import MunitSpec, assembled, without_style_encoder
from pocketgan.models.munit_layers import OPEN, AdaptiveNorm, LayerNorm
from pocketgan.pruning.gate import Gate, add_gates_, close_gates_
from pocketgan.pruning.scales import add_scales_, affine_norms, fold_scales_away_, scales
from zoo import randomized


@pytest.mark.parametrize(
    ("name", "style_encoder", "params", "macs", "macs_paper"),
    [
        ("munit", True, 15_026_187, 77_281_169_408, 77_305_286_656),
        ("munit", False, 12_261_251, 71_027_460_096, 71_051_577_344),
        ("mobile-munit", True, 5_705_483, 17_617_195_008, 17_670_672_384),
        ("mobile-munit", False, 2_940_547, 11_363_485_696, 11_416_963_072),
    ],
)
def test_published_counts(name: str, style_encoder: bool, params: int, macs: int, macs_paper: int) -> None:
    """15.026 M, 77.31 G and, without the style encoder, 71.05 G (GAN Compression); the others by our own count."""
    cost = CostModel(MODELS[name](style_encoder=style_encoder).build(device="meta"), 256)
    assert cost() == (params, macs, macs_paper)
    assert not cost.uncounted


Tensors = dict[str, Tensor]


class Published:
    """The forward from tensors alone (MUNIT, figure 3 and appendix B), with the released code's padding and norms."""

    def __init__(self, model: nn.Module):
        self.t, self.spec = model.state_dict(), model.spec

    def __call__(self, image: Tensor, style: Tensor) -> Tensor:
        x = image
        for name, pad, stride in (("stem", 3, 1), ("down1", 1, 2), ("down2", 1, 2)):
            x = self.instance(f"content.{name}.norm", self.conv(f"content.{name}.conv", x, pad, stride)).relu()
        blocks = range(self.spec.blocks)  # type: ignore[union-attr]
        for k in blocks:
            y = self.instance(f"content.block{k}.a.norm", self.mixed(f"content.block{k}.a.conv", x, 1)).relu()
            x = x + self.instance(f"content.block{k}.b.norm", self.mixed(f"content.block{k}.b.conv", y, 1))
        moments = self.moments(style if style.ndim == 2 else self.style(style))
        for k in blocks:
            a, b = f"decoder.block{k}.a", f"decoder.block{k}.b"
            y, moments = self.adaptive(a, self.mixed(f"{a}.conv", x, 1), moments)
            y, moments = self.adaptive(b, self.mixed(f"{b}.conv", y.relu(), 1), moments)
            x = x + y
        assert moments.shape[1] == 0
        for name in ("up1", "up2"):
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            x = self.layer(f"decoder.{name}.norm", self.mixed(f"decoder.{name}.conv", x, 2)).relu()
        return self.conv("decoder.head", x, 3).tanh()

    def style(self, output: Tensor) -> Tensor:
        x = self.conv("style.stem.conv", output, 3).relu()
        for k in range(1, 5):
            x = self.conv(f"style.down{k}.conv", x, 1, 2).relu()
        return x.mean((2, 3)) @ self.t["style.head.weight"][:, :, 0, 0].T + self.t["style.head.bias"]

    def moments(self, style: Tensor) -> Tensor:
        for name in ("first", "second", "last"):
            style = style @ self.t[f"mlp.{name}.weight"].T + self.t[f"mlp.{name}.bias"]
            style = style if name == "last" else style.relu()
        return style

    def adaptive(self, unit: str, x: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
        """The first C numbers are the mean, the next C the standard deviation; the rest is for the norms that follow."""
        c, scale = x.shape[1], self.t.get(f"{unit}.norm.weight", torch.ones(1))
        mean, std = (moments[:, part, None, None] for part in (slice(c), slice(c, 2 * c)))
        return (self.instance("", x) * std + mean) * scale[:, None, None], moments[:, 2 * c :]

    def conv(self, name: str, x: Tensor, pad: int, stride: int = 1) -> Tensor:
        weight = self.t[f"{name}.weight"]
        groups = x.shape[1] // weight.shape[1]
        padded = F.pad(x, (pad,) * 4, mode="reflect")
        return F.conv2d(padded, weight, self.t[f"{name}.bias"], stride=stride, groups=groups)

    def mixed(self, name: str, x: Tensor, pad: int) -> Tensor:
        if f"{name}.weight" in self.t:
            return self.conv(name, x, pad)
        return self.conv(f"{name}.pointwise", self.instance("", self.conv(f"{name}.depthwise", x, pad)), 0)

    def instance(self, name: str, x: Tensor) -> Tensor:
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
        return self.scaled(name, (x - mean) / (variance + 1e-5).sqrt())

    def layer(self, name: str, x: Tensor) -> Tensor:
        return self.scaled(name, torch.stack([(one - one.mean()) / (one.std() + 1e-5) for one in x]))

    def scaled(self, name: str, x: Tensor) -> Tensor:
        if f"{name}.weight" not in self.t:
            return x
        return x * self.t[f"{name}.weight"][:, None, None] + self.t[f"{name}.bias"][:, None, None]


@pytest.mark.parametrize(
    "spec",
    [
        munit(3, mlp=5),
        munit(2, mlp=3, blocks=2, in_channels=1, out_channels=2, style_dim=5, norm="instance_affine"),
        munit(3, mlp=4, blocks=1, style_encoder=False),
        mobile_munit(3, mlp=5),
    ],
    ids=["full", "affine", "latent-only", "mobile"],
)
def test_parity_with_a_plain_forward(spec: MunitSpec) -> None:
    model = randomized(spec, dtype=torch.float64)
    image, output = torch.randn(2, spec.in_channels, 20, 32).double(), torch.randn(2, spec.out_channels, 32, 48).double()
    styles = [torch.randn(2, spec.style_dim).double(), *([output] if spec.style_encoder else [])]
    with torch.no_grad():
        for style in styles:
            result = run(model, (image, style))
            assert result.shape == (2, spec.out_channels, 20, 32)
            torch.testing.assert_close(result, Published(model)(image, style), atol=1e-9, rtol=0)


def test_a_reference_image_is_encoded_to_a_style() -> None:
    model = randomized(munit(3, mlp=5, blocks=1))
    image, output = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        style = model.style_of(output)  # type: ignore[operator]
        assert style.shape == (2, 8)
        assert torch.equal(model(image, output), model(image, style))
        code = model.content(image)  # type: ignore[operator]
        assert code.shape == (2, 12, 4, 4)
        assert torch.equal(model(image, style), model.decode(code, style))  # type: ignore[operator]


def test_removing_the_style_encoder_changes_nothing_for_latent_styles() -> None:
    model = randomized(mobile_munit(3, mlp=5, blocks=2))
    bare, image, style = without_style_encoder(model), torch.randn(2, 3, 16, 16), torch.randn(2, 8)
    assert bare.spec == mobile_munit(3, mlp=5, blocks=2, style_encoder=False)
    assert bare.state_dict().keys() == bare.spec.build(device="meta").state_dict().keys()  # type: ignore[union-attr]
    assert torch.equal(bare(image, style), model(image, style))
    assert model.spec.style_encoder  # type: ignore[union-attr]
    assert model.style is not None
    with pytest.raises(ValueError, match=r"shape \(1, 3, 16, 16\) is an image, .* no style encoder: give it N x 8 numbers"):
        bare(image[:1], image[:1])
    assert without_style_encoder(bare).spec == bare.spec
    with pytest.raises(ValueError, match="this is a resnet: content and style encoders are parts of a munit"):
        without_style_encoder(resnet(2).build(device="meta"))


def test_assembled_translates_from_one_domain_to_the_other() -> None:
    narrow = munit(3, mlp=5, blocks=2, in_channels=1).resized({"stem": 2, "content1": 4, "decoder0": 9, "up1": 1})
    source, target = randomized(narrow, seed=1), randomized(munit(3, mlp=6, blocks=2), seed=2)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    model, image, output = assembled(source, target), torch.randn(2, 1, 16, 20), torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        generated = target.decode(source.content(image), target.style_of(output))  # type: ignore[operator]
        assert torch.equal(model(image, output), generated)
    built = model.spec.build(device="meta").state_dict()  # type: ignore[union-attr]
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == {n: t.shape for n, t in built.items()}
    assert model.in_channels == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
    for other, message in (
        (munit(4, blocks=2), "content encoder has trunk=16, the decoder 12"),
        (munit(3, blocks=3), "blocks=3, the decoder 2"),
        (mobile_munit(3, blocks=2), "separable=True, the decoder False"),
    ):
        with pytest.raises(ValueError, match=message):
            assembled(other.build(device="meta"), target)


def test_the_inputs() -> None:
    both, latent_only = munit(2, in_channels=1, style_dim=5), munit(2, style_encoder=False)
    assert both.inputs == (Input("input", 1), Input("style", 5, is_latent=True, reference_channels=3))
    assert latent_only.inputs == (Input("input", 3), Input("style", 8, is_latent=True))
    for spec, shapes in ((both, ((1, 1, 32, 48), (1, 3, 32, 48))), (latent_only, ((1, 3, 32, 48), (1, 8)))):
        model = spec.build(device="meta")
        assert inputs_of(model) == spec.inputs
        assert input_shapes(model, (32, 48)) == shapes
        assert run(model, examples(model, (32, 48), device="meta")).shape == (1, 3, 32, 48)


def test_the_tap_is_the_content_code() -> None:
    model = randomized(munit(3, mlp=5))
    (tap,), codes, image = munit(3).taps, [], torch.randn(1, 3, 16, 16)
    model.get_submodule(tap).register_forward_hook(lambda _, __, y: codes.append(y))
    model(image, torch.randn(1, 8))
    assert torch.equal(codes[0], model.content(image))  # type: ignore[operator]


def test_initial_weights() -> None:
    """Normal by fan-in (He), no biases; the layer norms' scales uniform."""
    model = munit(16, mlp=200).build()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert module.bias is not None
            assert not module.bias.any()
            fan_in = module.weight[0].numel()
            assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.15), name
    scale = model.get_submodule("decoder.up1.norm").weight.detach()  # type: ignore[operator, union-attr]
    assert 0 <= float(scale.min()) < 0.25 < 0.75 < float(scale.max()) <= 1


def test_the_mobile_form() -> None:
    teacher = munit(
        8, mlp=20, blocks=3, in_channels=1, out_channels=2, style_dim=5, style_encoder=False, norm="instance_affine"
    )
    preset = teacher.mobile(4)
    assert isinstance(preset, Preset)
    mobile = preset.spec()
    assert isinstance(mobile, MunitSpec)
    assert (mobile.separable, mobile.widths["trunk"], mobile.widths["mlp2"], mobile.style_encoder) == (True, 16, 20, False)
    assert (mobile.blocks, mobile.in_channels, mobile.out_channels) == (3, 1, 2)
    assert (mobile.style_dim, mobile.norm) == (5, "instance_affine")
    assert mobile.mobile() is None


@pytest.mark.parametrize("field", ["blocks", "style_dim"])
def test_invalid_specs(field: str) -> None:
    with pytest.raises(ValueError, match=f"munit {field}=0: the least is 1"):
        munit(4, **{field: 0})


def test_an_adaptive_norm_gives_the_moments_of_the_style() -> None:
    mean, std = torch.randn(2, 3).double(), torch.rand(2, 3).double() + 0.5
    y = AdaptiveNorm(3)(torch.randn(2, 3, 20, 30).double(), mean, std)
    torch.testing.assert_close(y.mean((2, 3)), mean)
    torch.testing.assert_close(y.var((2, 3), unbiased=False), std.square(), rtol=1e-4, atol=0)


def layer_norm(channels: int) -> LayerNorm:
    norm = LayerNorm(Dim.of("up1", channels)).double()
    nn.init.normal_(norm.bias)
    return norm


def gated(norm: LayerNorm, factors: list[float]) -> nn.Module:
    """The norm in a module with a gate on its output."""
    outer = nn.Sequential(norm)
    outer.GATES = {"0": "0"}  # type: ignore[assignment]
    (gate,) = add_gates_(outer).values()
    assert isinstance(gate, Gate)
    gate.mask.copy_(torch.tensor(factors))
    return outer


def test_a_layer_norm_by_its_formula() -> None:
    norm, x = layer_norm(4), torch.randn(3, 4, 5, 7).double() * 3 + 2
    for one, y in zip(x, norm(x), strict=True):
        expected = (one - one.mean()) / (one.std() + 1e-5) * norm.weight[:, None, None] + norm.bias[:, None, None]
        torch.testing.assert_close(y, expected)


def test_a_closed_channel_does_not_count_in_the_statistics() -> None:
    norm, x = layer_norm(4), torch.randn(2, 4, 5, 7).double()
    expected, kept = layer_norm(3), [0, 1, 3]
    with torch.no_grad():
        expected.weight.copy_(norm.weight[kept])
        expected.bias.copy_(norm.bias[kept])
    found = gated(norm, [1, 1, 0, 1])(x)
    torch.testing.assert_close(found[:, kept], expected(x[:, kept]))
    assert not found[:, 2].any()
    almost = gated(norm, [1, 1, 1e-10, 1])(x)  # continuous in the gate
    torch.testing.assert_close(almost, found, atol=1e-7, rtol=0)


def test_a_gate_can_be_folded_into_a_layer_norm() -> None:
    norm, x = layer_norm(4), torch.randn(2, 4, 5, 7).double()
    factors = torch.tensor([1, 0.5, -2, OPEN])
    expected = norm(x) * factors.double()[:, None, None]
    torch.testing.assert_close(gated(norm, factors.tolist())(x), expected)


@pytest.mark.parametrize("spec", [munit(4, mlp=6, blocks=2), mobile_munit(4, mlp=6, blocks=2)], ids=["full", "mobile"])
def test_every_channel_has_a_scale_for_ranking(spec: MunitSpec) -> None:
    """Scales of norms or gates; trained scales fold into the weights without a change of the output."""
    model = randomized(spec, dtype=torch.float64)
    inputs = (torch.randn(1, 3, 16, 16).double(), torch.randn(1, 3, 16, 16).double())
    scaled = affine_norms(model).double()
    add_scales_(scaled)
    assert set(scales(scaled)) == set(spec.groups())
    with torch.no_grad():
        torch.testing.assert_close(run(scaled, inputs), run(model, inputs), atol=1e-5, rtol=0)  # scales are built in float32
        for own in scales(scaled).values():
            for scale in own:
                nn.init.uniform_(scale, 0.1, 2)
        trained = run(scaled, inputs)
        fold_scales_away_(scaled)
        torch.testing.assert_close(run(scaled, inputs), trained)


@pytest.mark.parametrize("factor", [0.5, 2**-10])
def test_equal_gates_are_a_scale(factor: float) -> None:
    norm, x = layer_norm(4), torch.randn(2, 4, 5, 7).double()
    expected = norm(x) * factor
    torch.testing.assert_close(gated(norm, [factor] * 4)(x), expected, rtol=1e-6, atol=1e-12)


def test_closed_gates_give_zero_outputs_and_finite_gradients() -> None:
    norm, x = layer_norm(3), torch.randn(2, 3, 5, 7).double().requires_grad_()
    y = gated(norm, [0, 0, 0])(x)
    assert not y.any()
    y.sum().backward()
    assert x.grad is not None
    assert not x.grad.any()
    assert all(parameter.grad is not None and bool(parameter.grad.isfinite().all()) for parameter in norm.parameters())


def test_images_of_a_batch_do_not_depend_on_each_other() -> None:
    """Every image has its own style and statistics: generated alone, the image is the same."""
    model = randomized(munit(3, mlp=5, blocks=1), dtype=torch.float64)
    close_gates_(model, {"up1": torch.tensor([0, 2])})
    images, styles = torch.randn(3, 3, 16, 16).double(), torch.randn(3, 8).double()
    with torch.no_grad():
        alone = [model(images[k : k + 1], styles[k : k + 1]) for k in range(3)]
        torch.testing.assert_close(model(images, styles), torch.cat(alone), atol=1e-12, rtol=0)
