"""Published networks against ours: the same widths, the same image bit by bit, the same file back."""

import published
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.models import patchgan, pixel, resnet

WIDTH = st.integers(1, 7)
NORM = st.sampled_from(["instance", "instance_affine", "batch"])
CHANNELS = st.tuples(st.integers(1, 4), st.integers(1, 4))


def check(net, path, in_channels, side):
    """Load what ``net`` saves; assert equal images and an equal file on the way back; return what was recognized."""
    net = published.trained(net)
    torch.save(net.state_dict(), path)
    loaded = load_checkpoint(path)
    image = torch.rand(2, in_channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        assert torch.equal(loaded.model(image), net(image.clone()))
    back = to_published(loaded.model)
    assert back.keys() == net.state_dict().keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in net.state_dict().items())
    assert not loaded.model.training
    return loaded


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("published") / "latest_net_G.pth"


@settings(max_examples=8, deadline=None)
@given(
    ends=st.tuples(WIDTH, WIDTH, WIDTH, WIDTH, WIDTH),
    hidden=st.lists(WIDTH, max_size=3),
    norm=NORM,
    dropout=st.booleans(),
    channels=CHANNELS,
)
def test_resnet(path, ends, hidden, norm, dropout, channels):
    loaded = check(published.resnet(*ends, hidden, norm, dropout, channels), path, channels[0], 12)
    spec = loaded.model.spec
    assert (spec.name, loaded.role, loaded.family) == ("resnet", "generator", "pytorch-CycleGAN-and-pix2pix")
    assert tuple(spec.widths.values()) == (*ends[:3], *hidden, *ends[3:])
    assert (spec.blocks, spec.norm, spec.separable) == (len(hidden), norm, False)
    assert (spec.in_channels, spec.out_channels) == channels
    assert spec.dropout == (0.5 if dropout and hidden else 0.0)


@settings(max_examples=5, deadline=None)
@given(
    ends=st.tuples(WIDTH, WIDTH, WIDTH, WIDTH, WIDTH),
    hidden=st.lists(WIDTH, min_size=1, max_size=3),
    norm=NORM,
    channels=CHANNELS,
)
def test_mobile_resnet(path, ends, hidden, norm, channels):
    loaded = check(published.resnet(*ends, hidden, norm, False, channels, mobile=True), path, channels[0], 12)
    spec = loaded.model.spec
    assert (spec.name, spec.separable, loaded.family) == ("resnet", True, "GAN Compression")
    assert tuple(spec.widths.values()) == (*ends[:3], *hidden, *ends[3:])
    assert (spec.blocks, spec.norm, spec.depthwise_norm) == (len(hidden), norm, "instance")


@settings(max_examples=8, deadline=None)
@given(data=st.data(), depth=st.integers(2, 6), norm=NORM, channels=CHANNELS)
def test_unet(path, data, depth, norm, channels):
    down = data.draw(st.lists(WIDTH, min_size=depth, max_size=depth))
    up = data.draw(st.lists(WIDTH, min_size=depth - 1, max_size=depth - 1))
    loaded = check(published.unet(down, up, norm, channels), path, channels[0], 2 ** (depth + 1))
    spec = loaded.model.spec
    assert (spec.name, spec.depth, spec.norm, loaded.role) == ("unet", depth, norm, "generator")
    assert [spec.widths[f"down{k}"] for k in range(1, depth + 1)] == down
    assert [spec.widths[f"up{k}"] for k in range(2, depth + 1)] == up
    assert (spec.in_channels, spec.out_channels) == channels


@settings(max_examples=5, deadline=None)
@given(widths=st.lists(st.integers(2, 7), min_size=2, max_size=5), norm=NORM, channels=st.integers(1, 6))
def test_patchgan(path, widths, norm, channels):
    loaded = check(published.patchgan(widths, norm, channels), path, channels, 96)
    spec = loaded.model.spec
    assert (spec.name, loaded.role, spec.layers) == ("patchgan", "discriminator", len(widths) - 1)
    assert (list(spec.widths.values()), spec.norm, spec.in_channels) == (widths, norm, channels)


@settings(max_examples=5, deadline=None)
@given(widths=st.tuples(WIDTH, WIDTH), norm=NORM, channels=st.integers(1, 6))
def test_pixel(path, widths, norm, channels):
    loaded = check(published.pixel(*widths, norm, channels), path, channels, 8)
    spec = loaded.model.spec
    assert (spec.name, loaded.role) == ("pixel", "discriminator")
    assert (tuple(spec.widths.values()), spec.norm, spec.in_channels) == (widths, norm, channels)


def test_stored_names():
    """Names of files in the wild, as literals: the plain networks above could repeat a mistake of ours."""
    nine = resnet(4, 9).build(device="meta")
    inside = [f"model.{i}.conv_block.{k}" for i in range(10, 19) for k in (1, 5)]
    layers = ["model.1", "model.4", "model.7", *inside, "model.19", "model.22", "model.26"]
    assert list(to_published(nine)) == [f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")]
    batch = to_published(resnet(4, 6, "batch", dropout=0.5).build(device="meta"))
    assert "model.15.conv_block.6.weight" in batch
    assert "model.15.conv_block.7.running_var" in batch
    assert "model.16.bias" not in batch
    assert "model.23.bias" in batch
    discriminator = to_published(patchgan(4, 3, "batch", 6).build(device="meta"))
    assert {name.rpartition(".")[0] for name in discriminator} == {f"model.{i}" for i in (0, 2, 3, 5, 6, 8, 9, 11)}
    assert {name.rpartition(".")[0] for name in to_published(pixel(4, "batch").build())} == {f"net.{i}" for i in (0, 2, 3, 5)}


def test_stored_names_of_a_unet(path):
    """The names of ``unet_256`` with batch norm: eight levels inside one another."""
    net = published.unet([1] * 8, [1] * 7)
    deep = "model.model.1.model" + 6 * ".3.model"
    names = net.state_dict().keys()
    assert {f"{deep}.1.weight", f"{deep}.3.weight", f"{deep}.4.running_mean"} <= names
    assert {"model.model.0.weight", "model.model.3.bias", "model.model.1.model.6.weight"} <= names
    assert f"{deep}.2.weight" not in names
    assert check(net, path, 3, 256).model.spec.depth == 8


def test_removed_block_is_closed_up(path):
    spec = resnet(2, 3).resized({"block1": 0})
    ours = published.trained(spec.build())
    theirs = published.resnet(2, 4, 8, 4, 2, (8, 8))
    theirs.load_state_dict(to_published(ours))
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(theirs.eval()(image), ours(image))
