"""The discriminators of several scales against plain ones written from their published descriptions."""

import pytest
import torch
from torch import nn

from pocketgan.metrics.cost import CostModel
from pocketgan.models import ms_image, multiscale
from pocketgan.models.spectral import folded
from zoo import randomized


@pytest.mark.parametrize(("channels", "params"), [(36 + 3, 5_601_410), (184 + 3, 5_904_514)], ids=["cityscapes", "coco"])
def test_published_counts(channels: int, params: int) -> None:
    """5.60 M and 5.90 M (GAN Compression)."""
    assert CostModel(multiscale(in_channels=channels, spectral=False).build(device="meta"), 256)().params == params


def published(n: int, layers: int, i: int) -> nn.Sequential:
    """One scale: 4 x 4 convolutions padded by 2, the last hidden one of stride 1, instance norm between."""
    stack: list[nn.Module] = [nn.Conv2d(i, n, 4, stride=2 if layers > 1 else 1, padding=2), nn.LeakyReLU(0.2)]
    for k in range(1, layers):
        a, b = n * min(2 ** (k - 1), 8), n * min(2**k, 8)
        conv = nn.Conv2d(a, b, 4, stride=2 if k < layers - 1 else 1, padding=2, bias=False)
        stack += [conv, nn.InstanceNorm2d(b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*stack, nn.Conv2d(n * min(2 ** (layers - 1), 8), 1, 4, padding=2))


@pytest.mark.parametrize(("scales", "layers"), [(2, 4), (3, 2), (1, 1)])
def test_parity_with_the_published_network(scales: int, layers: int) -> None:
    ours = randomized(multiscale(3, scales=scales, layers=layers, in_channels=5, spectral=False))
    x = torch.randn(2, 5, 40, 64)
    given = ours(x)
    assert len(given) == scales
    for k in range(scales):
        theirs, own = published(3, layers, 5).eval(), ours.get_submodule(f"scale{k}").state_dict()
        theirs.load_state_dict(dict(zip(theirs.state_dict(), own.values(), strict=True)))
        torch.testing.assert_close(given[k], theirs(x), atol=1e-5, rtol=1e-5)
        x = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)(x)


def test_the_border_of_a_coarser_scale_is_a_mean_of_pixels_alone() -> None:
    """Of an image of ones, every scale sees ones: padding is not counted."""
    model, seen = multiscale(2, layers=1, in_channels=1, spectral=False).build(), []
    model.scale1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.ones(1, 1, 9, 14))
    assert torch.equal(seen[0], torch.ones(1, 1, 5, 7))


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


def test_published_widths() -> None:
    assert list(multiscale(64).widths.values()) == [64, 128, 256, 512] * 2
    assert list(multiscale(64, scales=1, layers=6).widths.values()) == [64, 128, 256, 512, 512, 512]


@pytest.mark.parametrize("field", ["scales", "layers"])
def test_specs_that_cannot_be(field: str) -> None:
    with pytest.raises(ValueError, match=f"multiscale {field}=0: the least is 1"):
        multiscale(4, **{field: 0})
    with pytest.raises(ValueError, match=f"ms-image {field}=0: the least is 1"):
        ms_image(4, **{field: 0})


def test_published_counts_of_munits() -> None:
    """8.27 M (GAN Compression); the multiplications by our own count, which are the literature's, as there are no norms."""
    cost = CostModel(ms_image().build(device="meta"), 256)()
    assert cost == (8_271_171, 2_180_161_536, 2_180_161_536)


def published_of_munit(n: int, layers: int, i: int) -> nn.Sequential:
    """One scale: strided 4 x 4 convolutions on reflected borders, then 1 x 1."""
    stack: list[nn.Module] = []
    for k in range(layers):
        a, b = n * 2 ** (k - 1) if k else i, n * 2**k
        stack += [nn.ReflectionPad2d(1), nn.Conv2d(a, b, 4, stride=2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*stack, nn.Conv2d(n * 2 ** (layers - 1), 1, 1))


def test_parity_with_munits() -> None:
    ours, x = randomized(ms_image(3, layers=3, in_channels=5)), torch.randn(2, 5, 40, 64)
    given = ours(x)
    assert [tuple(logits.shape) for logits in given] == [(2, 1, 5, 8), (2, 1, 2, 4), (2, 1, 1, 2)]
    for k in range(3):
        theirs, own = published_of_munit(3, 3, 5), ours.get_submodule(f"scale{k}").state_dict()
        theirs.load_state_dict(dict(zip(theirs.state_dict(), own.values(), strict=True)))
        torch.testing.assert_close(given[k], theirs(x), atol=1e-5, rtol=1e-5)
        x = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)(x)


def test_munits_begins_at_small_weights() -> None:
    """N(0, 0.02), as its paper and GAN Compression have it."""
    model = ms_image(16, scales=1).build()
    assert float(model.get_submodule("scale0.conv3.conv").weight.detach().std()) == pytest.approx(0.02, rel=0.05)  # type: ignore[arg-type]
