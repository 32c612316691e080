"""SAGAN: published counts, a published miscount, and plain forwards written from the published description."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import Input
from pocketgan.metrics.cost import PRODUCTS, Cost, CostModel
from pocketgan.models import sagan, sagan_discriminator
from pocketgan.models.layers import folded
from pocketgan.models.sagan import SelfAttention
from zoo import randomize_, randomized

PIXELS = {"16": 16 * 16, "32": 32 * 32}
"""Pixels of the two maps with attention at 64 x 64."""


def test_published_counts() -> None:
    """Layers without norms; each product of attention, query by key and value by weight, is P x P x channels more."""
    spec = sagan(64, spectral=False)
    cost = CostModel(spec.build(device="meta"), 64)
    products = sum(pixels**2 * (spec.widths[f"attention{side}"] + spec.widths[f"map{side}"]) for side, pixels in PIXELS.items())
    norms = sum(spec.widths[f"map{side}"] * side**2 for side in (4, 8, 16, 32))
    assert cost() == Cost(3_832_885, 115_343_360 + products, 442_499_072 + norms + products)
    assert sum(term.at(cost.widths).macs for term in cost.terms if term.layer == PRODUCTS) == products


@pytest.mark.parametrize(("ngf", "macs", "params"), [(64, 23_449_600, 30_835), (48, 15_624_192, 18_327)])
def test_the_published_count_misses_most_layers(ngf: int, macs: int, params: int) -> None:
    """23.45 M MACs and 30.8 K parameters (GCC; 15.6 M and 18.3 K of 0.75 ngf).

    GCC's spectral norm calls the forward of the layer that it wraps, so that thop's hooks on the four transposed convolutions
    never fire; products outside of layers have no hook. For the rest, thop counts one for a bias and two for a norm an output.
    """
    model, counts = sagan(ngf, spectral=False).build(device="meta"), [0, 0]

    def fire(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts[1] += sum(parameter.numel() for parameter in module.parameters())
        if isinstance(module, nn.BatchNorm2d):
            counts[0] += 2 * output.numel()
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            counts[0] += output.numel() * (int(module.in_channels) * module.kernel_size[0] ** 2 + 1)

    wrapped = {module.conv for name, module in model.named_children() if name.startswith("map")}
    for module in model.modules():
        if not list(module.children()) and module not in wrapped:
            module.register_forward_hook(fire)
    model(torch.empty(1, 128, device="meta"))
    assert counts == [macs, params]


def attended(x: Tensor, t: dict[str, Tensor], name: str) -> Tensor:
    """SAGAN, eqs. 1 to 3, sum by sum: f are the keys, g the queries, h the values."""
    pixels = x.flatten(2).transpose(1, 2)  # N x pixels x C

    def linear(part: str) -> Tensor:
        return pixels @ t[f"{name}.{part}.weight"][:, :, 0, 0].T + t[f"{name}.{part}.bias"]

    s = torch.einsum("nic,njc->nij", linear("key"), linear("query"))
    beta = s.exp() / s.exp().sum(1, keepdim=True)  # over i, for every j
    o = torch.einsum("nij,nic->njc", beta, linear("value"))
    return t[f"{name}.gamma"] * o.transpose(1, 2).unflatten(2, x.shape[2:]) + x


def generated(t: dict[str, Tensor], latent: Tensor, order: str) -> Tensor:
    x = latent.view(*latent.shape, 1, 1)
    for name in order.split():
        if name.startswith("attention"):
            x = attended(x, t, name)
            continue
        stride, padding = (1, 0) if name == "map4" else (2, 1)
        x = F.conv_transpose2d(x, t[f"{name}.conv.weight"], t[f"{name}.conv.bias"], stride, padding)
        norm = [t[f"{name}.norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = F.batch_norm(x, *norm).relu()  # type: ignore[arg-type]
    return F.conv_transpose2d(x, t["head.weight"], t["head.bias"], 2, 1).tanh()


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({"size": 32}, "map4 map8 attention8 map16 attention16"),
        ({"size": 64}, "map4 map8 map16 attention16 map32 attention32"),
        ({"size": 64, "attention": (4,)}, "map4 attention4 map8 map16 map32"),
        ({"size": 32, "attention": ()}, "map4 map8 map16"),
    ],
)
def test_parity_with_a_plain_generator(options: dict[str, Any], order: str) -> None:
    model = randomized(sagan(8, latent=5, spectral=False, **options), dtype=torch.float64)
    latent = torch.randn(2, 5, dtype=torch.float64)
    with torch.no_grad():
        image = model(latent)
        torch.testing.assert_close(image, generated(model.state_dict(), latent, order), atol=1e-10, rtol=0)
    assert image.shape == (2, 3, options["size"], options["size"])


def discriminated(t: dict[str, Tensor], x: Tensor, order: str) -> Tensor:
    for name in order.split():
        if name.startswith("attention"):
            x = attended(x, t, name)
        else:
            x = F.leaky_relu(F.conv2d(x, t[f"{name}.conv.weight"], t[f"{name}.conv.bias"], 2, 1), 0.1)
    return F.conv2d(x, t["head.weight"], t["head.bias"])


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({"size": 64}, "map32 map16 map8 attention8 map4 attention4"),
        ({"size": 32, "attention": (16,)}, "map16 attention16 map8 map4"),
    ],
)
def test_parity_with_a_plain_discriminator(options: dict[str, Any], order: str) -> None:
    model = randomized(sagan_discriminator(8, spectral=False, **options), dtype=torch.float64)
    image = torch.rand(2, 3, options["size"], options["size"], dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        logits = model(image)
        torch.testing.assert_close(logits, discriminated(model.state_dict(), image, order), atol=1e-10, rtol=0)
    assert logits.shape == (2, 1, 1, 1)
    assert model.layers == ((*order.split(), "head"),)


def test_attention_is_zero_at_first_and_a_mean_where_all_keys_are_equal() -> None:
    attend, x = SelfAttention(5, 2), torch.randn(2, 5, 3, 4)
    assert torch.equal(attend(x), x)
    with torch.no_grad():
        attend.gamma.fill_(0.5)
        attend.key.weight.zero_()
        mean = attend.value(x).mean((2, 3), keepdim=True)
        torch.testing.assert_close(attend(x), x + 0.5 * mean)


def test_modules_that_a_search_adds_are_not_layers() -> None:
    model, x = folded(sagan(2, size=32, latent=3).build()).eval(), torch.randn(2, 3)
    before = model(x)
    model.search = nn.Dropout(1.0).train()
    assert torch.equal(model(x), before)


def test_published_widths_and_names() -> None:
    spec = sagan()
    assert spec.widths == {"map4": 512, "map8": 256, "map16": 128, "attention16": 16, "map32": 64, "attention32": 8}
    assert spec.taps == ("map8", "attention32")  # l2 and attn2 of GCC
    assert spec.inputs == (Input("input", 128, is_latent=True),)
    assert spec.output_shape == (64, 64)
    assert spec.tied_groups == {"attention16": "map16", "attention32": "map32"}
    discriminator = sagan_discriminator()
    assert discriminator.widths == {"map32": 64, "map16": 128, "map8": 256, "attention8": 32, "map4": 512, "attention4": 64}
    assert discriminator.taps == ("map16", "attention4")
    assert list(discriminator.widths) == [name for name in discriminator.build(device="meta").layers[0] if name != "head"]


def test_other_sizes_have_more_maps_or_fewer() -> None:
    assert sagan(64, 32).widths == {"map4": 256, "map8": 128, "attention8": 16, "map16": 64, "attention16": 8}
    assert [width for name, width in sagan(64, 256).widths.items() if "map" in name] == [2048, 1024, 512, 256, 128, 64]
    assert sagan(64, 256, attention=(32, 64)).attention == (32, 64)
    assert set(sagan(2).widths.values()) == {16, 8, 4, 2, 1}  # an eighth of 4, but at least one


SPECTRAL = {"generator": sagan(2, size=32, latent=3), "discriminator": sagan_discriminator(2, size=32)}


@pytest.mark.parametrize("name", SPECTRAL)
def test_spectral_norm_is_on_the_maps_and_folded_away(name: str) -> None:
    model = randomize_(SPECTRAL[name].build())
    x = torch.randn(2, 3) if name == "generator" else torch.randn(2, 3, 32, 32)
    normed = {path for path, module in model.named_modules() if hasattr(module, "parametrizations")}
    assert normed == {"map4.conv", "map8.conv", "map16.conv"}
    with torch.no_grad():
        for _ in range(100):
            model(x)
    bare = folded(model)
    for path in normed:
        filters = bare.get_submodule(path).weight.transpose(0, 1 if name == "generator" else 0).flatten(1)
        assert torch.linalg.matrix_norm(filters, 2).item() == pytest.approx(1, abs=0.02)
    assert torch.equal(bare.eval()(x), model.eval()(x))


def test_initial_weights_are_torchs_own() -> None:
    spec = sagan(8, size=32, spectral=False)
    torch.manual_seed(0)
    expected = spec.module().state_dict()
    torch.manual_seed(0)
    assert all(torch.equal(expected[name], tensor) for name, tensor in spec.build().state_dict().items())


@pytest.mark.parametrize(("make", "name"), [(sagan, "sagan"), (sagan_discriminator, "sagan-discriminator")])
def test_invalid_specs(make: Any, name: str) -> None:
    for size in (16, 48, 0):
        with pytest.raises(ValueError, match=f"{name} size={size}: allowed are powers of two from 32"):
            make(4, size=size)
    with pytest.raises(ValueError, match=rf"{name} attention=\(32,\): no map has side 32; allowed are 4, 8, 16"):
        make(4, size=32, attention=(32,))


def test_a_latent_has_at_least_one_number() -> None:
    with pytest.raises(ValueError, match="sagan latent=0: the least is 1"):
        sagan(4, latent=0)
