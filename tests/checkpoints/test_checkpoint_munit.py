"""Networks of MUNIT by NVlabs and GAN Compression: published against ours."""

import published
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from published_munit import MetricAccumulator, Munit

from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact
from pocketgan.models import mobile_munit, ms_image, munit
from pocketgan.pruning.selection import prefix, shrink
from pocketgan.search.published import parse_configuration

WIDTH = st.integers(2, 5)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("munit") / "latest_net_G_B.pth"


def uniform(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1


def agree(ours, theirs, *given):
    with torch.no_grad():
        torch.testing.assert_close(ours.double()(*given), theirs.double()(*given), rtol=0, atol=1e-9)


def small(**options):
    """A narrow network of which no two widths are equal."""
    widths = {"style": (2, 3, 4, 5, 6), "stem": 3, "down1": 4, "trunk": 5, "content": (6, 2), "decoder": (3, 7)}
    return published.trained(Munit(**{**widths, "ups": (4, 2), "mlp": (6, 9), **options}))


@settings(max_examples=4, deadline=None)
@given(
    style=st.none() | st.tuples(*[WIDTH] * 5),
    ends=st.tuples(WIDTH, WIDTH, WIDTH),
    hidden=st.lists(st.tuples(WIDTH, WIDTH), min_size=1, max_size=4),
    ups=st.tuples(WIDTH, WIDTH),
    mlp=st.tuples(WIDTH, WIDTH),
    mobile=st.booleans(),
)
def test_generators(path, style, ends, hidden, ups, mlp, mobile):
    content, decoder = zip(*hidden, strict=True)
    net = published.trained(Munit(style, *ends, content, decoder, ups, mlp, mobile=mobile, style_dim=6))
    torch.save(state := {name: tensor.clone() for name, tensor in net.state_dict().items()}, path)
    loaded = load_checkpoint(path)
    assert (loaded.family, loaded.role) == ("GAN Compression" if mobile else "MUNIT", "generator")
    spec = loaded.model.spec
    assert (spec.separable, spec.style_encoder, spec.style_dim, spec.blocks) == (mobile, style is not None, 6, len(hidden))
    assert list(spec.widths.values()) == [*(style or ()), *ends, *content, *decoder, *ups, *mlp]
    back = to_published(loaded.model)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
    agree(loaded.model, net, uniform(2, 3, 16, 20), uniform(2, 6))
    if style:
        agree(loaded.model, net, uniform(2, 3, 16, 20), uniform(2, 3, 32, 32))


def test_stored_statistics_that_are_never_used(path):
    """NVlabs' files: two networks, and statistics of norms that have none."""
    nets = {domain: small(old=True) for domain in "ab"}
    torch.save({domain: net.state_dict() for domain, net in nets.items()}, path)
    with pytest.raises(ValueError, match="holds 2 networks, under 'a', 'b'"):
        load_checkpoint(path)
    loaded = load_checkpoint(path, network="b")
    assert (
        "MUNIT AdaIN generator, 2 blocks on either side, own widths (2 to 9), styles of 8 numbers, with its style encoder"
        in loaded.message
    )
    assert "dropped 22 stale instance-norm statistics" in loaded.message  # of 7 norms in the content encoder, 4 adaptive ones
    agree(loaded.model, nets["b"], uniform(1, 3, 16, 16), uniform(1, 8))


def test_a_supernet_is_cut_by_its_ten_numbers(path):
    """The rows of the MLP's last layer are gathered: of each adaptive norm the leading means, then the leading deviations."""
    full = published.trained(Munit([2, 4, 8, 8, 8], 2, 4, 8, [8] * 4, [8] * 4, (4, 2), (5, 5), mobile=True))
    torch.save(full.state_dict(), path)
    model = load_checkpoint(path).model
    text = "1_1_2_1_2_1_1_2_1_1"
    cut = shrink(model, prefix(parse_configuration(text, model)))
    slim = Munit([1, 2, 4, 4, 4], 1, 4, 4, [8, 8, 4, 4], [4, 4, 8, 8], (2, 1), (5, 5), mobile=True)
    whole, rows, start = full.state_dict(), [], 0
    for wide, narrow in zip(full.adaptive, slim.adaptive, strict=True):
        for _ in ("mean", "deviation"):
            rows += range(start, start + narrow.channels)
            start += wide.channels
    state = {name: whole[name][tuple(map(slice, own.shape))] for name, own in slim.state_dict().items()}
    state |= {f"mlp.model.2.fc.{leaf}": whole[f"mlp.model.2.fc.{leaf}"][rows] for leaf in ("weight", "bias")}
    slim.load_state_dict(state)
    agree(cut, slim, uniform(2, 3, 16, 16), uniform(2, 8))


def test_two_domains_are_assembled(tmp_path, capsys):
    """The content encoder of one, all else of the other: ``assemble.py`` of GAN Compression."""
    a, b, out = tmp_path / "latest_net_G_A.pth", tmp_path / "latest_net_G_B.pth", tmp_path / "AtoB.safetensors"
    shoes, edges = small(), small(stem=2, content=(4, 3), style=None)
    torch.save(edges.state_dict(), a)
    torch.save(shoes.state_dict(), b)
    assert main(["convert", str(b), "--content", str(a), "--size", "32", "--out", str(out)]) == 0
    assert f"with the content encoder of {a}" in capsys.readouterr().out
    shoes.enc_content = edges.enc_content
    agree(load_artifact(out).model, shoes, uniform(2, 3, 16, 16), uniform(2, 3, 16, 32))
    torch.save(small(trunk=7).state_dict(), a)
    assert main(["convert", str(b), "--content", str(a), "--out", str(out), "--replace"]) == 2
    assert "the content encoder has trunk=7, the decoder 5" in capsys.readouterr().err


def test_a_content_encoder_is_for_a_munit(tmp_path, capsys):
    resnet, out = tmp_path / "latest_net_G.pth", tmp_path / "new.safetensors"
    torch.save(published.trained(published.resnet(3, 5, 7, 5, 3, (7, 2))).state_dict(), resnet)
    assert main(["convert", str(resnet), "--content", str(resnet), "--out", str(out)]) == 2
    assert "this is a resnet: content and style encoders are parts of a munit" in capsys.readouterr().err


@settings(max_examples=3, deadline=None)
@given(widths=st.lists(st.lists(WIDTH, min_size=3, max_size=3), min_size=1, max_size=3))
def test_discriminator(path, widths):
    net = published.trained(MetricAccumulator(widths, 4))
    torch.save(state := net.state_dict(), path)
    loaded = load_checkpoint(path)
    spec = loaded.model.spec
    assert (spec.name, loaded.family, loaded.role) == ("ms-image", "MUNIT", "discriminator")
    assert (spec.scales, spec.layers, spec.in_channels) == (len(widths), 3, 4)
    back, image = to_published(loaded.model), uniform(2, 4, 40, 48).float()
    assert back.keys() == state.keys()
    with torch.no_grad():
        for ours, theirs in zip(loaded.model(image), net(image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_stored_names():
    """Names of files in the wild, as literals: the plain networks could repeat a mistake of ours."""
    full, mobile = (to_published(make(4, mlp=6).build(device="meta")) for make in (munit, mobile_munit))
    assert {f"enc_style.model.{k}.conv.weight" for k in range(5)} | {"enc_style.model.6.weight"} <= full.keys()
    assert {f"enc_content.model.{k}.conv.bias" for k in range(3)} <= full.keys()
    blocks = ("enc_content.model.3", "dec.model.0")
    named = {f"{at}.model.{k}.model.{half}.conv" for at in blocks for k in range(4) for half in (0, 1)}
    assert {f"{name}.weight" for name in named} <= full.keys()
    assert {f"{name}.conv.{part}.weight" for name in named for part in (0, 2)} <= mobile.keys()
    ups = {f"dec.model.{k}.{tensor}" for k in (2, 4) for tensor in ("norm.gamma", "norm.beta")}
    assert ups | {"dec.model.2.conv.weight", "dec.model.5.conv.weight"} <= full.keys()
    assert ups | {"dec.model.4.conv.conv.0.weight", "dec.model.5.conv.weight"} <= mobile.keys()
    assert {f"mlp.model.{k}.fc.{leaf}" for k in range(3) for leaf in ("weight", "bias")} <= full.keys()
    assert full["mlp.model.2.fc.weight"].shape == (2 * 2 * 4 * 16, 6)
    discriminator = to_published(ms_image(2).build(device="meta"))
    layers = {f"cnns.{scale}.{layer}" for scale in range(3) for layer in ("0.conv", "1.conv", "2.conv", "3.conv", "4")}
    assert discriminator.keys() == {f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")}
