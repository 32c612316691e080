"""The U-Net generator against a nested one written from its published description."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.models import unet
from zoo import randomized


def norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=kind == "instance_affine")


class Skip(nn.Module):
    """A level around its inner level: LeakyReLU in place, down, inner, ReLU, up; then joined with the input.

    The LeakyReLU works in place, so the joined input is its result.
    """

    def __init__(self, outer: int, own: int, inner: nn.Module | None, kind: str, *, dropout: bool, feed: int | None = None):
        super().__init__()
        bias, outermost = kind != "batch", feed is not None
        down = nn.Conv2d(outer if feed is None else feed, own, 4, 2, 1, bias=bias)
        up = nn.ConvTranspose2d(own if inner is None else 2 * own, outer, 4, 2, 1, bias=bias or outermost)
        self.outermost = outermost
        self.layers = nn.Sequential(
            *([] if outermost else [nn.LeakyReLU(0.2, inplace=True)]),
            down,
            *([] if outermost or inner is None else [norm(kind, own)]),
            *([] if inner is None else [inner]),
            nn.ReLU(inplace=True),
            up,
            *([nn.Tanh()] if outermost else [norm(kind, outer)]),
            *([nn.Dropout(0.5)] if dropout else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return y if self.outermost else torch.cat([x, y], 1)


def published(n: int, depth: int, kind: str, i: int, o: int) -> nn.Module:
    """pix2pix (Isola et al. 2017), appendix 6.1.1, as released: 8n wide from level 4 on, dropout between 5 and the last."""
    wide = [n * min(2**k, 8) for k in range(depth)]
    level: nn.Module | None = None
    for k in range(depth, 1, -1):
        level = Skip(wide[k - 2], wide[k - 1], level, kind, dropout=5 <= k < depth)
    return Skip(o, wide[0], level, kind, dropout=False, feed=i)


@pytest.mark.parametrize(
    ("depth", "kind", "i", "o"), [(2, "batch", 1, 2), (4, "instance_affine", 3, 3), (5, "instance", 2, 1), (6, "batch", 3, 3)]
)
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_parity_with_the_published_network(depth: int, kind: str, i: int, o: int, training: bool) -> None:
    ours = randomized(unet(2, depth=depth, norm=kind, in_channels=i, out_channels=o)).train(training)  # type: ignore[arg-type]
    theirs = published(2, depth, kind, i, o).train(training)
    order = [f"down{k}" for k in range(1, depth + 1)] + [f"up{k}" for k in range(depth, 0, -1)]
    nested = [tensor for name in order for tensor in ours.get_submodule(name).state_dict().values()]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), nested, strict=True)))
    x = torch.randn(2, i, 2**depth, 2 ** (depth + 1))
    torch.manual_seed(0)
    image = ours(x)
    torch.manual_seed(0)
    torch.testing.assert_close(image, theirs(x), atol=1e-6, rtol=0)


@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(st.integers(2, 8), st.integers(0, 7), st.integers(1, 2), st.integers(1, 3))
def test_any_depth_with_any_present_levels_keeps_the_size_of_the_image(d: int, removed: int, h: int, w: int) -> None:
    spec = unet(2, depth=d, in_channels=1, out_channels=2)
    levels = max(1, d - removed)
    absent = {f"{side}{k}": 0 for k in range(max(2, levels + 1), d + 1) for side in ("down", "up")}
    model = spec.resized(absent).build(device="meta")
    assert model.stride == 2**levels
    assert [name for name, _ in model.named_children() if name.startswith("up")] == [f"up{k}" for k in range(1, levels + 1)]
    x = torch.empty(3, 1, h * 2**d, w * 2**d, device="meta")
    assert model(x).shape == (3, 2, *x.shape[2:])


@pytest.mark.parametrize(
    ("depth", "taps"),
    [(8, ("down2", "down4", "up5", "up3")), (4, ("down2", "up3")), (2, ("down2", "up2"))],  # DMAD's choice at depth 8
)
def test_default_taps(depth: int, taps: tuple[str, ...]) -> None:
    assert unet(4, depth=depth).taps == taps


def test_default_taps_of_absent_levels_are_left_out() -> None:
    spec = unet(4, depth=8)
    absent = {f"{side}{k}": 0 for k in range(5, 9) for side in ("down", "up")}
    assert spec.resized(absent).taps == ("down2", "down4", "up3")


def test_published_widths() -> None:
    widths = unet(64).widths
    assert [widths[f"down{k}"] for k in range(1, 9)] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [widths[f"up{k}"] for k in range(8, 1, -1)] == [512, 512, 512, 512, 256, 128, 64]


def test_dropout_sits_in_levels_five_to_the_last_but_one() -> None:
    model = unet(2, depth=8).build(device="meta")
    assert [name for name, module in model.named_modules() if isinstance(module, nn.Dropout)] == [
        "up5.drop",
        "up6.drop",
        "up7.drop",
    ]
