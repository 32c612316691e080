"""StyleGAN2 against its paper: demodulation, styles, truncation, filters, and the published sizes."""

import copy
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.inputs import inputs_of
from pocketgan.metrics.cost import CostModel
from pocketgan.models import stylegan2, stylegan2_discriminator
from pocketgan.models.stylegan2 import StyleGan2Spec
from pocketgan.models.stylegan2_layers import Blur, ModulatedConv2d, Upsample, binomial, demodulation
from pocketgan.pruning.gate import add_gates_, close_gates_, fold_, gate_sites
from pocketgan.pruning.scales import add_scales_, fold_scales_away_, scales
from pocketgan.pruning.selection import prefix, shrink
from zoo import SPECS, example_input, randomize_, randomized

SMALL = stylegan2(size=16, channel_base=128, channel_max=12, latent=7, style=9, mapping=2)
G = SPECS["stylegan2-skip"], SPECS["stylegan2-residual"]


def styled(style: int, reads: int, writes: int) -> int:
    """Parameters of a styled layer: 3x3 filters, affine layer, a bias a channel and one strength of the noise."""
    return 9 * reads * writes + (style + 1) * reads + writes + 1


def rgb(style: int, reads: int) -> int:
    """Parameters of a layer that makes red, green and blue."""
    return 3 * reads + 3 + (style + 1) * reads


def test_layers_have_the_published_counts() -> None:
    """As the release prints them (logs in issues 182 of NVlabs/stylegan2-ada-pytorch and 394 of open-mmlab/mmgeneration)."""
    model = stylegan2(size=256, channel_base=32768, mapping=2).build(device="meta")
    found = {name: sum(p.numel() for p in module.parameters()) for name, module in model.named_modules()}
    assert found["mapper.0"] == 262_656
    assert model.const.weight.numel() == 8_192
    assert found["b4"] == found["b8.conv0"] == found["b64.conv1"] == 2_622_465 == styled(512, 512, 512)
    assert (found["b128.conv0"], found["b128.conv1"]) == (1_442_561, 721_409)
    assert (found["b256.conv0"], found["b256.conv1"]) == (426_369, 213_249)
    assert (found["rgb4"], found["rgb128"], found["rgb256"]) == (264_195, 132_099, 66_051)


@pytest.mark.parametrize(("size", "base", "mapping"), [(256, 16384, 8), (32, 32768, 2), (256, 32768, 8)])
def test_counts_by_hand(size: int, base: int, mapping: int) -> None:
    at = {side: min(base // side, 512) for side in (4, 8, 16, 32, 64, 128, 256) if side <= size}
    expected = mapping * (512 * 512 + 512) + 16 * at[4] + styled(512, at[4], at[4]) + rgb(512, at[4])
    for small, side in zip(at, list(at)[1:], strict=False):
        expected += styled(512, at[small], at[side]) + styled(512, at[side], at[side]) + rgb(512, at[side])
    model = stylegan2(size=size, channel_base=base, mapping=mapping).build(device="meta")
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
    if (base, size) == (16384, 256):
        assert expected == 24_767_458


@pytest.mark.parametrize("residual", [True, False])
def test_counts_of_the_discriminator_by_hand(residual: bool) -> None:
    model = stylegan2_discriminator(size=32, channel_base=32768, residual=residual).build(device="meta")
    block = 2 * (9 * 512 * 512 + 512) + residual * 512 * 512
    expected = (3 * 512 + 512) + 3 * block + (9 * 513 * 512 + 512) + (16 * 512 * 512 + 512) + 513
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_multiplications_by_hand() -> None:
    """Layers, demodulation and filters of the smallest network of one width."""
    c, s, z = 5, 7, 3
    spec = stylegan2(size=8, channel_base=8 * c, channel_max=c, latent=z, style=s, mapping=1)
    affine, demodulated = 5 * s * c, 3 * c * c
    convolutions = 9 * c * c * (16 + 16 + 64) + 3 * c * (16 + 64)  # the second, transposed, by what it reads
    filters = 16 * c * 64 + 16 * 3 * 16
    assert CostModel(spec.build(device="meta"), 8)().macs == z * s + affine + demodulated + convolutions + filters


def naive(layer: ModulatedConv2d, x: Tensor, w: Tensor, *, up: bool) -> Tensor:
    """Equations 1 to 3 as they stand: filters of its own for every image, by one grouped convolution."""
    style = F.linear(w * layer.affine.gain, layer.affine.weight, layer.affine.bias)
    weight = layer.conv.weight * layer.conv.gain
    weight = weight.transpose(0, 1) if up else weight
    modulated = weight[None] * style[:, None, :, None, None]
    filters = modulated * (modulated.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    n, out = filters.shape[:2]
    if up:
        filters = filters.transpose(1, 2).flatten(0, 1)
        y = F.conv_transpose2d(x.flatten(0, 1)[None], filters, stride=2, groups=n)
    else:
        y = F.conv2d(x.flatten(0, 1)[None], filters.flatten(0, 1), padding=1, groups=n)
    return y.view(n, out, *y.shape[2:])


@pytest.mark.parametrize("up", [False, True])
def test_modulation_is_one_filter_bank_an_image(up: bool) -> None:
    layer = randomize_(ModulatedConv2d(6, 5, 4, 3, up=up)).double()
    x, w = torch.randn(3, 5, 8, 8, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    assert isinstance(layer, ModulatedConv2d)
    torch.testing.assert_close(layer(x, w), naive(layer, x, w, up=up), atol=1e-10, rtol=0)


def test_demodulated_outputs_have_unit_variance() -> None:
    """For normal inputs and styles of any norm (section 2.2)."""
    torch.manual_seed(0)
    layer = ModulatedConv2d(6, 16, 8, 3)
    with torch.no_grad():
        for scale in (0.1, 1.0, 30.0):
            y = layer(torch.randn(64, 16, 18, 18), torch.randn(64, 6) * scale)[..., 1:-1, 1:-1]
            assert y.std().item() == pytest.approx(1.0, abs=0.02)
    style, energy = torch.rand(2, 3, dtype=torch.float64) + 1, torch.rand(3, 4, dtype=torch.float64)
    torch.testing.assert_close(demodulation(style * 7, energy), demodulation(style, energy) / 7, rtol=1e-6, atol=0)


def test_a_fresh_network_begins_at_unit_variance() -> None:
    """The gains compensate weights of unit variance, and the scaled activation its own loss of variance."""
    torch.manual_seed(0)
    model, outputs = stylegan2(size=8, channel_base=1024, channel_max=128, latent=128, style=128).build(), []
    model.b4.register_forward_hook(lambda _, __, y: outputs.append(y))
    with torch.no_grad():
        w = model.mapping(torch.randn(64, 128))
        model.synthesis(w)
    assert 0.5 < w.square().mean() < 2
    assert 0.5 < outputs[0].square().mean() < 2


def test_filters_against_scipy() -> None:
    x = torch.randn(2, 3, 8, 10, dtype=torch.float64)
    line = np.outer([1, 3, 3, 1], [1, 3, 3, 1])
    assert torch.equal(binomial(64.0), torch.from_numpy(line).float())

    def expected(images: np.ndarray, gain: float, before: int, after: int) -> Tensor:
        padded = np.pad(images, ((0, 0), (0, 0), (before, after), (before, after)))
        planes = [[scipy.signal.convolve2d(plane, line * gain / 64, mode="valid") for plane in image] for image in padded]
        return torch.from_numpy(np.array(planes))

    between = np.zeros((2, 3, 16, 20))
    between[..., ::2, ::2] = x.numpy()
    torch.testing.assert_close(Upsample().double()(x), expected(between, 4, 2, 1))
    torch.testing.assert_close(Blur(padding=2).double()(x), expected(x.numpy(), 1, 2, 2))
    torch.testing.assert_close(Blur(padding=1, stride=2).double()(x), expected(x.numpy(), 1, 1, 1)[..., ::2, ::2])


def test_upsampling_keeps_a_constant_image() -> None:
    flat = Upsample()(torch.ones(1, 2, 8, 8))
    torch.testing.assert_close(flat[..., 1:-1, 1:-1], torch.ones(1, 2, 14, 14))


@pytest.mark.parametrize("spec", G, ids=["skip", "residual"])
def test_truncation(spec: StyleGan2Spec) -> None:
    model, (z,) = randomized(spec, dtype=torch.float64), example_input(spec, dtype=torch.float64)
    w = model.mapping(z)
    average = model.synthesis(model.w_avg[None])
    torch.testing.assert_close(model.synthesis(model.truncated(w, 0.0)), average.expand(len(z), -1, -1, -1))
    assert torch.equal(model.truncated(w, 1.0), w)
    torch.testing.assert_close(model.truncated(w, 0.25), model.w_avg + 0.25 * (w - model.w_avg))


@pytest.mark.parametrize("spec", G, ids=["skip", "residual"])
def test_styles_may_differ_by_layer(spec: StyleGan2Spec) -> None:
    model, (z,) = randomized(spec), example_input(spec)
    a, b = model.mapping(z).unbind(0)
    layers = model.num_style_layers
    assert layers == {8: 4, 16: 6}[spec.size]
    same = a[None, None].expand(1, layers, -1)
    assert torch.equal(model.synthesis(same), model.synthesis(a[None]))
    torch.testing.assert_close(model.synthesis(same), model(z)[:1], atol=1e-4, rtol=1e-4)
    features: dict[str, list[Tensor]] = {"b4": [], f"b{spec.size}": []}
    for name, outputs in features.items():
        model.get_submodule(name).register_forward_hook(lambda _, __, y, outputs=outputs: outputs.append(y))
    for crossover in (1, layers - 1):  # only the last RGB layer uses the last style
        model.synthesis(torch.cat([same[:, :crossover], b.expand(1, layers - crossover, -1)], 1))
    model.synthesis(same)
    (early, late, whole), (early_last, late_last, whole_last) = features.values()
    assert torch.equal(early, whole)
    assert torch.equal(late, whole)
    assert not torch.equal(early_last, whole_last)
    assert torch.equal(late_last, whole_last)
    with pytest.raises(ValueError, match=f"one for each of {layers} layers"):
        model.synthesis(same[:, :2])


def test_noise_in_one_vector_is_the_noise_of_the_layers() -> None:
    model, (z,) = randomized(SMALL), example_input(SMALL)
    latent, noise = inputs_of(model)
    assert (latent.channels, noise.channels) == (7, 16 + 2 * 64 + 2 * 256)
    own = torch.cat([module.noise.flatten() for module in model.modules() if hasattr(module, "strength")])
    assert torch.equal(model(z, own.expand(len(z), -1)), model(z))
    assert not torch.equal(model(z, torch.randn(len(z), noise.channels)), model(z))


def test_the_norm_of_a_latent_does_not_matter() -> None:
    model, (z,) = randomized(SMALL), example_input(SMALL)
    torch.testing.assert_close(model(5 * z), model(z), atol=1e-3, rtol=1e-3)


def test_small_constants_of_the_released_code() -> None:
    """1e-8 under both roots: the norm of a latent, and the deviation of equal images."""
    model = randomized(SMALL, dtype=torch.float64)
    z = torch.full((1, 7), 1e-4, dtype=torch.float64)
    torch.testing.assert_close(model.mapping(z), model.mapper(torch.full_like(z, 0.5**0.5)), rtol=1e-9, atol=0)
    discriminator = stylegan2_discriminator(size=8, channel_base=64, channel_max=8).build().double()
    deviation_of_zeros = discriminator.compare(torch.zeros(2, 8, 4, 4, dtype=torch.float64))[:, 8]
    torch.testing.assert_close(deviation_of_zeros, torch.full_like(deviation_of_zeros, 1e-4), rtol=1e-6, atol=0)


def test_gains_stay_when_channels_are_removed(tmp_path: Path) -> None:
    model = SMALL.build()
    small = shrink(model, prefix(dict.fromkeys(SMALL.widths, 4)))
    save_artifact(tmp_path / "s.safetensors", small, size=16)
    before = {name: value for name, value in model.state_dict().items() if name.endswith("gain")}
    after = load_artifact(tmp_path / "s.safetensors").model.state_dict()
    assert before
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert before["b8.conv0.modulated.conv.gain"].item() == pytest.approx((9 * 12) ** -0.5)


@pytest.mark.parametrize("name", ["stylegan2-skip", "stylegan2-residual", "stylegan2-discriminator-residual"])
def test_gates_can_be_folded(name: str) -> None:
    """Also after a demodulation, which cancels the scale of a filter."""
    spec = SPECS[name]
    gated, x = randomized(spec, dtype=torch.float64), example_input(spec, dtype=torch.float64)
    folded, carried = copy.deepcopy(gated), {seat.module for seat in gate_sites(gated) if seat.pass_through}
    for seat, gate in add_gates_(gated).items():
        if seat not in carried:
            gate.mask.uniform_(0.5, 2)
            fold_(folded.get_submodule(seat), gate.mask)
    x = x if isinstance(x, tuple) else (x,)
    torch.testing.assert_close(folded(*x), gated(*x), atol=1e-9, rtol=1e-9)


def test_every_group_of_the_generator_has_scales_that_fold_away() -> None:
    model, (z,) = randomized(SMALL, dtype=torch.float64), example_input(SMALL, dtype=torch.float64)
    names = list(model.state_dict())
    add_scales_(model)
    assert set(scales(model)) == set(SMALL.widths)
    with torch.no_grad():
        for own in scales(model).values():
            for scale in own:
                scale.uniform_(0.5, 2)
        scaled = model(z)
        fold_scales_away_(model)
        torch.testing.assert_close(model(z), scaled, atol=1e-9, rtol=1e-9)
    assert list(model.state_dict()) == names


def test_a_closed_channel_does_not_count_in_demodulation() -> None:
    model = SMALL.build()
    close_gates_(model, {"b4": torch.arange(5)})
    assert [seat.producer for seat in gate_sites(model) if seat.pass_through and seat.dim.groups == ("b4",)] == [
        "b8.conv0.modulated.affine",
        "rgb4.affine",
    ]
    assert not model.b8.conv0.modulated.affine(torch.randn(2, 9))[:, 5:].any()


def deviation(x: Tensor, group: int) -> Tensor:
    """The published statistic: one number for each group, whose members lie batch / group apart."""
    n = len(x)
    numbers = [x[k :: n // group].std(0, correction=0).mean() for k in range(n // group)]
    return torch.stack([numbers[k % (n // group)] for k in range(n)])


@pytest.mark.parametrize(("batch", "group"), [(8, 4), (4, 4), (6, 3), (2, 2), (5, 1), (1, 1)])
def test_images_are_compared_within_groups(batch: int, group: int) -> None:
    model, x = stylegan2_discriminator(size=8, channel_base=64, channel_max=8).build(), torch.randn(batch, 8, 4, 4)
    compared = model.compare(x)
    assert torch.equal(compared[:, :8], x)
    torch.testing.assert_close(compared[:, 8], deviation(x, group)[:, None, None].expand(-1, 4, 4), atol=2e-4, rtol=0)


def test_layers_and_taps_by_name() -> None:
    spec = stylegan2_discriminator(size=32, channel_base=128)
    model = spec.build()
    assert model.layers == (("from_rgb", "b32", "b16", "b8", "last", "fc", "head"),)
    assert spec.taps == ("b32", "b8")
    assert model(torch.randn(3, 3, 32, 32)).shape == (3, 1)
    assert SMALL.taps == ("b4", "b8", "b16")
    assert SMALL.output_shape == (16, 16)


def test_both_networks_can_be_differentiated_twice() -> None:
    """For the gradient penalties."""
    g, d = SMALL.build(), stylegan2_discriminator(size=16, channel_base=64).build()
    w = g.mapping(torch.randn(2, 7))
    logits = d(g.synthesis(w))
    (gradient,) = torch.autograd.grad(logits.sum(), w, create_graph=True)
    gradient.square().sum().backward()
    reached = [p.grad is not None for p in g.b8.parameters()] + [p.grad is not None for p in d.b16.conv0.parameters()]
    assert sum(reached) >= len(reached) - 1  # a bias before a piecewise linear activation has no second derivative


def test_invalid_specs() -> None:
    for size in (4, 12):
        with pytest.raises(ValueError, match=f"stylegan2 size={size}: allowed are powers of two from 8"):
            stylegan2(size=size)
        with pytest.raises(ValueError, match=f"discriminator size={size}"):
            stylegan2_discriminator(size=size)
    with pytest.raises(ValueError, match="mapping=0"):
        stylegan2(mapping=0)
    with pytest.raises(ValueError, match="batch_group=0"):
        stylegan2_discriminator(batch_group=0)


def test_the_average_style_loses_the_channels_of_its_width() -> None:
    model = randomized(SMALL)
    kept = torch.tensor([4, 0, 7])
    assert torch.equal(shrink(model, {"style": kept}).w_avg, model.w_avg[kept])
