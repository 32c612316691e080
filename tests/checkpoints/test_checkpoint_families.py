"""Networks of GauGAN, GAN Compression and CAT: published against ours, as in `test_parity`."""

import published
import published_cat
import published_gaugan
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.models import inception, inception_spade, mobile_spade, multiscale, spade

WIDTH = st.integers(1, 5)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("families") / "latest_net_G.pth"


def source(channels, height, width):
    return torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1


def trained(net):
    """`published.trained`, with vectors of length 1 for spectral norm."""
    published.trained(net)
    for name, tensor in net.state_dict().items():
        if name.endswith(("weight_u", "weight_v")):
            tensor.copy_(torch.nn.functional.normalize(tensor, dim=0))
    return net.eval()


def agree(ours, theirs, image):
    """Equal in double precision but for the order in which branches are added."""
    with torch.no_grad():
        outputs = ours.double()(image), theirs.double()(image.clone())
    for a, b in zip(*((value,) if isinstance(value, torch.Tensor) else value for value in outputs), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def same(back, state):
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


def check(net, path, image, **how):
    """Load what ``net`` saves; assert an equal file on the way back and equal images; return what was recognized."""
    state = {name: tensor.clone() for name, tensor in trained(net).state_dict().items()}
    torch.save(state, path)
    loaded = load_checkpoint(path, **how)
    same(to_published(loaded.model), state)
    spec = loaded.model.spec
    agree(loaded.model, net, image)
    assert not loaded.model.training
    return loaded, spec


@settings(max_examples=3, deadline=None)
@given(
    trunk=WIDTH,
    hidden=st.tuples(WIDTH, WIDTH, WIDTH),
    ups=st.lists(st.tuples(WIDTH, WIDTH), min_size=4, max_size=4),
    norm=st.sampled_from(["batch", "instance"]),
    spectral=st.booleans(),
    mobile=st.sampled_from([None, "instance", "batch"]),
)
def test_spade(path, trunk, hidden, ups, norm, spectral, mobile):
    net = published_gaugan.spade(trunk, hidden, ups, norm=norm, spectral=spectral, mobile=mobile)
    loaded, spec = check(net, path, source(4, 32, 64))
    assert (spec.name, loaded.role, spec.separable) == ("spade", "generator", mobile is not None)
    assert loaded.family == ("GauGAN" if mobile is None else "GAN Compression")
    assert (spec.in_channels, spec.out_channels, spec.upsamplings, spec.spectral) == (4, 3, 5, spectral)
    assert spec.spade_norm == ("batch_plain" if norm == "batch" else "instance")
    assert mobile is None or spec.depthwise_norm == mobile
    assert [spec.widths[group] for group in ("trunk", "head", "middle0", "middle1")] == [trunk, *hidden]
    assert [(spec.widths[f"up{k}_hidden"], spec.widths[f"up{k}"]) for k in range(4)] == ups


def test_spade_of_most_upsamplings(path):
    net = published_gaugan.spade(3, (2, 3, 4), [(2, 5), (3, 4), (4, 3), (5, 2), (1, 3)], upsamplings=7, spectral=True)
    spec = check(net, path, source(4, 128, 128))[1]
    assert (spec.upsamplings, spec.widths["up4_hidden"], spec.widths["up4"]) == (7, 1, 3)


def test_cityscapes_is_doubled_six_times_and_another_number_can_be_given(path):
    net = published_gaugan.spade(3, (2, 2, 2), [(2, 2)] * 4, labels=36, upsamplings=6)
    assert check(net, path, source(36, 64, 64))[1].upsamplings == 6
    net = published_gaugan.spade(3, (2, 2, 2), [(2, 2)] * 4, labels=4, upsamplings=6)
    assert check(net, path, source(4, 64, 64), upsamplings=6)[1].upsamplings == 6
    with pytest.raises(ValueError, match=r"upsamplings=7: by its names .* has 5 or 6"):
        load_checkpoint(path, upsamplings=7)
    torch.save(published.pixel(2, 3).state_dict(), path)
    with pytest.raises(ValueError, match=r"upsamplings=6: .* is a pixel, which has none"):
        load_checkpoint(path, upsamplings=6)


def test_sub_mobile_spade_has_the_statistics_of_its_supernet(path):
    net = trained(published_gaugan.sub_mobile_spade((1, 2, 1, 2, 1, 2, 1, 2), 3))
    torch.save(net.state_dict(), path)
    loaded = load_checkpoint(path, upsamplings=6)
    assert "of 36 running statistics the leading ones taken, as they are a supernet's" in loaded.message
    back, state = to_published(loaded.model), net.state_dict()
    same(back, {name: tensor[: len(back[name])] if tensor.ndim == 1 else tensor for name, tensor in state.items()})
    assert state["up_3.norm_1.param_free_norm.running_mean"].shape == (3,)
    assert back["up_3.norm_1.param_free_norm.running_mean"].shape == (2,)
    agree(loaded.model, net, source(4, 64, 128))


@settings(max_examples=4, deadline=None)
@given(
    widths=st.lists(st.lists(st.integers(2, 5), min_size=3, max_size=3), min_size=1, max_size=3),
    norm=st.sampled_from(["instance", "instance_affine", "batch"]),
    spectral=st.booleans(),
)
def test_multiscale(path, widths, norm, spectral):
    loaded, spec = check(published_gaugan.multiscale(widths, 5, norm, spectral), path, source(5, 32, 40))
    assert (spec.name, loaded.role, spec.scales, spec.layers) == ("multiscale", "discriminator", len(widths), 3)
    assert (spec.norm, spec.spectral, spec.in_channels) == (norm, spectral, 5)
    assert list(spec.widths.values()) == [width for own in widths for width in own]


BRANCHES = ("res1", "res3", "res5", "dw1", "dw3", "dw5")
SOME = st.dictionaries(st.sampled_from(BRANCHES), WIDTH, max_size=6).map(
    lambda loaded: {name: loaded[name] for name in BRANCHES if name in loaded}
)


@settings(max_examples=6, deadline=None)
@given(
    ends=st.tuples(WIDTH, WIDTH, WIDTH, WIDTH, WIDTH),
    blocks=st.lists(SOME, min_size=1, max_size=3),
    norm=st.sampled_from(["instance", "instance_affine", "batch"]),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_inception(path, ends, blocks, norm, channels):
    net = published.trained(published_cat.inception(*ends, [published_cat.draw(block) for block in blocks], norm, channels))
    for i, block in enumerate(blocks):
        if not block:  # the published code makes this norm and never runs it: what it holds is not kept
            net.features[i].pw_bn.load_state_dict(published_cat.make(norm, ends[2]).state_dict())
    while norm == "instance" and blocks and not blocks[-1]:  # of these nothing is in the file
        blocks = blocks[:-1]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.save(state, path)
    loaded = load_checkpoint(path)
    same(to_published(loaded.model), state)
    spec = loaded.model.spec
    agree(loaded.model, net, source(channels[0], 16, 20))
    assert (spec.name, loaded.family, loaded.role, spec.norm) == ("inception", "CAT", "generator", norm)
    assert (spec.blocks, spec.in_channels, spec.out_channels) == (len(blocks), *channels)
    assert [spec.widths[group] for group in ("stem", "down1", "trunk", "up1", "up2")] == list(ends)
    for i, block in enumerate(blocks):
        assert {name: w for name in BRANCHES if (w := spec.widths.get(f"block{i}_{name}"))} == block


def test_inception_without_statistics(path):
    """CAT's zebra2horse: on single images its batch norms are affine instance norms."""
    blocks = [{"res": {1: 2, 3: 3}, "dw": {5: 2}}]
    net = published.trained(published_cat.inception(3, 4, 5, 4, 3, blocks, "untracked"))
    torch.save(net.state_dict(), path)
    loaded = load_checkpoint(path)
    assert loaded.model.spec.norm == "instance_affine"
    assert "batch norms without statistics taken as instance norms, which for one image at a time they are" in loaded.message
    image = source(3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.model.double()(image), published_cat.one_image(net.double(), image), rtol=0, atol=1e-12
        )


@settings(max_examples=2, deadline=None)
@given(trunk=WIDTH, ups=st.lists(WIDTH, min_size=4, max_size=4), blocks=st.lists(st.tuples(SOME, SOME), min_size=7, max_size=7))
def test_inception_spade(path, trunk, ups, blocks):
    blocks = [(own, modulating if own else {}) for own, modulating in blocks]
    net = published_cat.inception_spade(trunk, ups, [tuple(map(published_cat.draw, block)) for block in blocks])
    published.trained(net)
    names = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3"]
    for name, (own, _) in zip(names, blocks, strict=True):
        if not own:
            net.get_submodule(name).spade.param_free_norm.reset_running_stats()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.save(state, path)
    loaded = load_checkpoint(path)
    same(to_published(loaded.model), state)
    spec = loaded.model.spec
    agree(loaded.model, net, source(4, 32, 64))
    assert (spec.name, loaded.family, spec.upsamplings, spec.in_channels) == ("inception-spade", "CAT", 5, 4)
    assert [spec.widths[group] for group in ("trunk", "up0", "up1", "up2", "up3")] == [trunk, *ups]
    for block, (own, modulating) in zip(spec.blocks, blocks, strict=True):
        assert {name: w for name in BRANCHES if (w := spec.widths.get(f"{block}_{name}"))} == own
        assert {name: w for name in BRANCHES if (w := spec.widths.get(f"{block}_spade_{name}"))} == modulating


def layers(spec):
    """The published names without those of the tensors in a layer."""
    return {name.rpartition(".")[0] for name in to_published(spec.build(device="meta"))}


def test_stored_names_of_gaugan():
    """Names of files in the wild, as literals: the plain networks could repeat a mistake of ours."""
    small = {"in_channels": 36, "upsamplings": 6}
    head = {
        f"head_0.norm_{end}.{part}" for end in "01" for part in ("param_free_norm", "mlp_shared.0", "mlp_gamma", "mlp_beta")
    }
    names = to_published(spade(2, **small).build(device="meta"))
    assert head <= {name.rpartition(".")[0] for name in names}
    assert {"up_0.conv_s.weight_orig", "up_0.conv_s.weight_u", "up_0.conv_s.weight_v", "up_0.conv_1.bias"} <= names.keys()
    assert {"fc.weight", "conv_img.bias", "G_middle_1.norm_0.param_free_norm.num_batches_tracked"} <= names.keys()
    assert not {"up_0.conv_s.bias", "up_0.conv_s.weight", "head_0.conv_s.weight_orig", "up_4.conv_0.weight_orig"} & names.keys()
    mobile = to_published(mobile_spade(2, spectral=False, **small).build(device="meta"))
    assert {f"up_3.norm_s.mlp_gamma.conv.{index}.weight" for index in (0, 2)} <= mobile.keys()
    assert {"up_3.conv_s.weight", "up_3.norm_s.mlp_beta.conv.2.bias"} <= mobile.keys()
    discriminator = to_published(multiscale(2).build(device="meta"))
    one = {"model0.0.weight", "model0.0.bias", "model4.0.weight", "model4.0.bias"}
    one |= {f"model{layer}.0.0.weight_{leaf}" for layer in (1, 2, 3) for leaf in ("orig", "u", "v")}
    assert discriminator.keys() == {f"discriminator_{scale}.{name}" for scale in (0, 1) for name in one}


def test_stored_names_of_cat():
    loaded = layers(inception(6, 9))
    assert {f"down_sampling.{i}" for i in (1, 2, 4, 5, 7, 8)} | {f"up_sampling.{i}" for i in (0, 1, 3, 4, 7)} <= loaded
    assert {f"features.8.res_ops.2.{at}" for at in ("1.0", "1.1", "4")} | {"features.8.pw_bn"} <= loaded
    assert {f"features.8.dw_ops.2.{at}" for at in ("0.0", "0.1", "2.0", "2.1", "4")} <= loaded
    labels = layers(inception_spade(6, in_channels=36))
    assert {"fc", "fc_norm", "conv_img", "up_0.shortcut.0", "up_0.shortcut.1.conv"} <= labels
    assert {f"up_3.dw_ops.1.{at}" for at in ("0.conv", "0.norm", "1.conv", "1.norm", "2.conv")} <= labels
    assert {f"up_3.spade.dw_ops.1.{at}" for at in ("0.conv", "0.norm", "1.conv", "1.norm", "2")} <= labels
    assert {"up_3.res_ops.0.1.conv", "up_3.spade.res_ops.0.1", "up_3.spade.param_free_norm"} <= labels
    assert "head_0.shortcut.0" not in labels
