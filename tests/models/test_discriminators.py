"""The discriminators against plain ones written from their published description."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketgan.models import patchgan, pixel
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


@pytest.mark.parametrize("kind", ["instance", "instance_affine", "batch"])
@pytest.mark.parametrize("layers", [1, 3, 5, None], ids=["1", "3", "5", "pixel"])
def test_parity_with_the_published_network(kind: str, layers: int | None) -> None:
    if layers is None:
        ours, theirs = randomized(pixel(3, norm=kind, in_channels=6)), published_pixels(3, kind, 6).eval()  # type: ignore[arg-type]
    else:
        spec = patchgan(3, layers=layers, norm=kind, in_channels=6)  # type: ignore[arg-type]
        ours, theirs = randomized(spec), published_patches(3, layers, kind, 6).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 6, 128, 160)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-5)


def test_patches_of_a_image_of_256() -> None:
    """30 x 30 logits, after maps of 128, 64, 32 and 31 pixels (DMAD's release)."""
    model, x, sides = patchgan(2).build(device="meta"), torch.empty(1, 3, 256, 256, device="meta"), []
    for layer in model.children():
        x = layer(x)
        sides.append(x.shape[2])
    assert sides == [128, 64, 32, 31, 30]
    assert x.shape == (1, 1, 30, 30)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 9))
def test_sides_of_the_map_of_logits(layers: int, more: int, still: int) -> None:
    """Each strided layer halves (rounding down), each other one takes one pixel away."""
    model = patchgan(1, layers=layers).build(device="meta")
    sides = [3 * 2**layers + more, 3 * 2**layers + still]
    wanted = [(side >> layers) - 2 for side in sides]
    assert model(torch.empty(1, 3, *sides, device="meta")).shape == (1, 1, *wanted)


def test_a_patch_sees_seventy_pixels() -> None:
    """pix2pix calls it the 70 x 70 discriminator: the gradient of one logit covers as many."""
    model = patchgan(2, norm="batch").build().double().eval()  # an instance norm would look at everything
    x = torch.randn(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    model(x)[0, 0, 7, 7].backward()
    seen = x.grad[0].abs().sum(0) > 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == 70


def test_default_taps_are_dmads() -> None:
    assert patchgan(4).taps == ("conv2", "conv4")
    assert patchgan(4, layers=1).taps == ("conv2",)
    assert pixel(4).taps == ("conv2",)


def test_published_widths() -> None:
    assert list(patchgan(64).widths.values()) == [64, 128, 256, 512]
    assert list(patchgan(64, layers=5).widths.values()) == [64, 128, 256, 512, 512, 512]
