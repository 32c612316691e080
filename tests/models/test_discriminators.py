"""The discriminators against plain ones written from their published descriptions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketgan.metrics.cost import CostModel
from pocketgan.models import ms_image, multiscale, patchgan, pixel
from pocketgan.models.layers import folded
from zoo import randomized


def norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=kind == "instance_affine")


def published_patches(n: int, layers: int, kind: str, i: int) -> nn.Sequential:
    """pix2pix (Isola et al. 2017), appendix 6.1.2, as released."""
    stack: list[nn.Module] = [nn.Conv2d(i, n, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for k in range(1, layers + 1):
        a, b = n * min(2 ** (k - 1), 8), n * min(2**k, 8)
        conv = nn.Conv2d(a, b, 4, stride=2 if k < layers else 1, padding=1, bias=kind != "batch")
        stack += [conv, norm(kind, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*stack, nn.Conv2d(n * min(2**layers, 8), 1, 4, stride=1, padding=1))


def published_pixels(n: int, kind: str, i: int) -> nn.Sequential:
    bias = kind != "batch"
    return nn.Sequential(
        *(nn.Conv2d(i, n, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(n, 2 * n, 1, bias=bias), norm(kind, 2 * n), nn.LeakyReLU(0.2)),
        nn.Conv2d(2 * n, 1, 1, bias=bias),
    )


@pytest.mark.parametrize(
    ("kind", "layers"),
    [("instance", 3), ("instance_affine", 1), ("batch", 3), ("batch", 5), ("instance_affine", None), ("batch", None)],
)
def test_parity_with_the_published_network(kind: str, layers: int | None) -> None:
    if layers is None:
        ours, theirs = randomized(pixel(3, norm=kind, in_channels=6)), published_pixels(3, kind, 6).eval()  # type: ignore[arg-type]
    else:
        spec = patchgan(3, layers=layers, norm=kind, in_channels=6)  # type: ignore[arg-type]
        ours, theirs = randomized(spec), published_patches(3, layers, kind, 6).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 6, 96, 128)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-5)


def test_patches_of_an_image_of_256() -> None:
    """30 x 30 logits, after maps of 128, 64, 32 and 31 pixels (DMAD's release)."""
    model, x, sides = patchgan(2).build(device="meta"), torch.empty(1, 3, 256, 256, device="meta"), []
    for layer in model.children():
        x = layer(x)
        sides.append(x.shape[2])
    assert sides == [128, 64, 32, 31, 30]
    assert x.shape == (1, 1, 30, 30)


@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 9))
def test_sides_of_the_map_of_logits(layers: int, more_rows: int, more_columns: int) -> None:
    """Each strided layer halves (rounding down), each other one removes one pixel."""
    model = patchgan(1, layers=layers).build(device="meta")
    sides = [3 * 2**layers + more_rows, 3 * 2**layers + more_columns]
    expected = [(side >> layers) - 2 for side in sides]
    assert model(torch.empty(1, 3, *sides, device="meta")).shape == (1, 1, *expected)


def test_a_patch_has_seventy_pixels() -> None:
    """pix2pix calls it the 70 x 70 discriminator: the gradient of one logit covers as many."""
    model = patchgan(2, norm="batch").build().double().eval()  # the statistics of an instance norm depend on all pixels
    x = torch.randn(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    model(x)[0, 0, 7, 7].backward()
    covered = x.grad[0].abs().sum(0) > 0
    assert int(covered.any(0).sum()) == int(covered.any(1).sum()) == 70


def test_default_taps_are_dmads() -> None:
    assert patchgan(4).taps == ("conv2", "conv4")
    assert patchgan(4, layers=1).taps == ("conv2",)
    assert pixel(4).taps == ("conv2",)


def test_published_widths() -> None:
    assert list(patchgan(64).widths.values()) == [64, 128, 256, 512]
    assert list(patchgan(64, layers=5).widths.values()) == [64, 128, 256, 512, 512, 512]


@pytest.mark.parametrize(("channels", "params"), [(36 + 3, 5_601_410), (184 + 3, 5_904_514)], ids=["cityscapes", "coco"])
def test_published_counts_of_multiscale(channels: int, params: int) -> None:
    """5.60 M and 5.90 M (GAN Compression)."""
    assert CostModel(multiscale(in_channels=channels, spectral=False).build(device="meta"), 256)().params == params


def published_scale(n: int, layers: int, i: int) -> nn.Sequential:
    """Layers of a scale: 4 x 4 convolutions padded by 2, the last hidden one of stride 1, instance norm between."""
    stack: list[nn.Module] = [nn.Conv2d(i, n, 4, stride=2 if layers > 1 else 1, padding=2), nn.LeakyReLU(0.2)]
    for k in range(1, layers):
        a, b = n * min(2 ** (k - 1), 8), n * min(2**k, 8)
        conv = nn.Conv2d(a, b, 4, stride=2 if k < layers - 1 else 1, padding=2, bias=False)
        stack += [conv, nn.InstanceNorm2d(b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*stack, nn.Conv2d(n * min(2 ** (layers - 1), 8), 1, 4, padding=2))


@pytest.mark.parametrize(("scales", "layers"), [(2, 4), (3, 2), (1, 1)])
def test_parity_of_multiscale(scales: int, layers: int) -> None:
    ours = randomized(multiscale(3, scales=scales, layers=layers, in_channels=5, spectral=False))
    x = torch.randn(2, 5, 40, 64)
    logits = ours(x)
    assert len(logits) == scales
    for k in range(scales):
        theirs, own = published_scale(3, layers, 5).eval(), ours.get_submodule(f"scale{k}").state_dict()
        theirs.load_state_dict(dict(zip(theirs.state_dict(), own.values(), strict=True)))
        torch.testing.assert_close(logits[k], theirs(x), atol=1e-5, rtol=1e-5)
        x = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)(x)


def test_the_border_of_a_coarser_scale_is_a_mean_of_pixels_alone() -> None:
    """The input of every scale of an image of ones is ones: padding does not count."""
    model, inputs = multiscale(2, layers=1, in_channels=1, spectral=False).build(), []
    model.scale1.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    model(torch.ones(1, 1, 9, 14))
    assert torch.equal(inputs[0], torch.ones(1, 1, 5, 7))


def test_spectral_norm_is_on_the_layers_between_the_first_and_the_logits() -> None:
    model = multiscale(2, layers=4, in_channels=4).build()
    normed = {name for name, module in model.named_modules() if hasattr(module, "parametrizations")}
    assert normed == {f"scale{k}.conv{j}.conv" for k in (0, 1) for j in (2, 3, 4)}
    assert set(folded(model).state_dict()) == set(multiscale(2, layers=4, in_channels=4, spectral=False).build().state_dict())


def test_layers_and_taps_by_name() -> None:
    spec = multiscale(2, layers=3, in_channels=4)
    layers = spec.build(device="meta").layers
    assert layers == tuple(tuple(f"scale{k}.{layer}" for layer in ("conv1", "conv2", "conv3", "head")) for k in (0, 1))
    assert spec.taps == ("scale0.conv2", "scale0.conv3")
    assert multiscale(2, layers=1, in_channels=4).taps == ("scale0.conv1",)


def test_published_widths_of_multiscale() -> None:
    assert list(multiscale(64).widths.values()) == [64, 128, 256, 512] * 2
    assert list(multiscale(64, scales=1, layers=6).widths.values()) == [64, 128, 256, 512, 512, 512]


@pytest.mark.parametrize("field", ["scales", "layers"])
def test_invalid_specs(field: str) -> None:
    with pytest.raises(ValueError, match=f"multiscale {field}=0: the least is 1"):
        multiscale(4, **{field: 0})
    with pytest.raises(ValueError, match=f"ms-image {field}=0: the least is 1"):
        ms_image(4, **{field: 0})


def test_published_counts_of_munits() -> None:
    """8.27 M (GAN Compression); the multiplications by our own count, which are the literature's, as there are no norms."""
    cost = CostModel(ms_image().build(device="meta"), 256)()
    assert cost == (8_271_171, 2_180_161_536, 2_180_161_536)


def published_of_munit(n: int, layers: int, i: int) -> nn.Sequential:
    """Layers of a scale: strided 4 x 4 convolutions on reflected borders, then 1 x 1."""
    stack: list[nn.Module] = []
    for k in range(layers):
        a, b = n * 2 ** (k - 1) if k else i, n * 2**k
        stack += [nn.ReflectionPad2d(1), nn.Conv2d(a, b, 4, stride=2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*stack, nn.Conv2d(n * 2 ** (layers - 1), 1, 1))


def test_parity_with_munits() -> None:
    ours, x = randomized(ms_image(3, layers=3, in_channels=5)), torch.randn(2, 5, 40, 64)
    logits = ours(x)
    assert [tuple(scale.shape) for scale in logits] == [(2, 1, 5, 8), (2, 1, 2, 4), (2, 1, 1, 2)]
    for k in range(3):
        theirs, own = published_of_munit(3, 3, 5), ours.get_submodule(f"scale{k}").state_dict()
        theirs.load_state_dict(dict(zip(theirs.state_dict(), own.values(), strict=True)))
        torch.testing.assert_close(logits[k], theirs(x), atol=1e-5, rtol=1e-5)
        x = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)(x)


def test_initial_weights_of_munits() -> None:
    """N(0, 0.02), as in MUNIT's paper and GAN Compression."""
    model = ms_image(16, scales=1).build()
    assert float(model.get_submodule("scale0.conv3.conv").weight.detach().std()) == pytest.approx(0.02, rel=0.05)  # type: ignore[arg-type]
