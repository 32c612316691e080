"""Weights as real files hold them: prefixes, keys, formats, stale statistics; and refusals with their messages."""

import argparse
import os
from functools import cache

import numpy as np
import published
import published_cat
import published_gaugan
import published_munit
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.checkpoints.convert import LAYOUTS
from pocketgan.core.artifact import save_artifact
from pocketgan.core.dims import widths_of
from pocketgan.models import mobile_resnet, resnet, unet

NETS = {
    "ResNet generator": lambda: published.resnet(3, 5, 7, 5, 3, (7, 2)),
    "mobile ResNet generator": lambda: published.resnet(3, 5, 7, 5, 3, (7, 2), mobile=True),
    "U-Net generator": lambda: published.unet([2, 3, 5], [2, 7]),
    "PatchGAN discriminator": lambda: published.patchgan([3, 5, 7]),
    "pixel discriminator": lambda: published.pixel(3, 5),
    "SPADE generator": lambda: published_gaugan.spade(2, (3, 2, 3), [(2, 3)] * 4),
    "mobile SPADE generator": lambda: published_gaugan.spade(2, (3, 2, 3), [(2, 3)] * 4, mobile="instance"),
    "multi-scale discriminator": lambda: published_gaugan.multiscale([[3, 5, 7], [3, 5, 7]]),
    "AdaIN generator": lambda: published_munit.Munit([2] * 5, 3, 5, 7, (2, 3), (3, 2), (5, 3), (3, 2)),
    "mobile AdaIN generator": lambda: published_munit.Munit(None, 3, 5, 7, (2, 3), (3, 2), (5, 3), (3, 2), mobile=True),
    "image discriminator": lambda: published_munit.MetricAccumulator([[3, 5, 7], [3, 5, 7]]),
    "inception generator": lambda: published_cat.inception(3, 5, 7, 5, 3, [{"res": {1: 2, 3: 4}, "dw": {5: 3}}] * 2),
    "inception SPADE generator": lambda: published_cat.inception_spade(
        2, (3, 2, 3, 2), [({"res": {3: 2}, "dw": {1: 3}}, {"res": {}, "dw": {5: 2}})] * 7
    ),
}


@cache
def state_of(network):
    """Random weights under the published names; tests copy the dict before they change it."""
    return published.trained(NETS[network]()).state_dict()


@cache
def spade_state(spectral):
    return published_gaugan.spade(2, (3, 2, 3), [(2, 3)] * 4, spectral=spectral).state_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "latest_net_G.pth"


@pytest.fixture
def weights():
    return published.trained(NETS["ResNet generator"]()).state_dict()


def refused(path, data=None):
    """The one-line error of the file; ``data`` is saved into it first."""
    if data is not None:
        torch.save(data, path)
    with pytest.raises(ValueError) as error:
        load_checkpoint(path)
    line = str(error.value)
    assert "\n" not in line
    assert str(path) in line
    return line


def same(model, weights):
    state = to_published(model)
    return state.keys() == weights.keys() and all(torch.equal(state[name], weights[name]) for name in weights)


@pytest.mark.parametrize("network", NETS)
def test_each_network_is_recognized_as_itself_alone(network):
    state = state_of(network)
    assert [layout.network for layout in LAYOUTS if layout.recognize(state) is not None] == [network]


def test_message(path):
    torch.save(published.resnet(4, 8, 16, 8, 4, [16] * 9).state_dict(), path)
    assert load_checkpoint(path).message == (
        "pytorch-CycleGAN-and-pix2pix ResNet generator, 9 blocks, ngf 4, instance norm, 3 -> 3 channels, from 48 tensors"
    )
    torch.save(published.patchgan([8, 16, 32, 64], "batch", 6).state_dict(), path)
    assert load_checkpoint(path).message == (
        "pytorch-CycleGAN-and-pix2pix PatchGAN discriminator, 3 layers, ndf 8, batch norm, 6 channels, from 22 tensors"
    )
    torch.save(published.unet([2, 3, 5], [2, 7], "instance_affine").state_dict(), path)
    assert "3 levels, own widths (2 to 7), affine instance norm" in load_checkpoint(path).message
    torch.save(state_of("inception generator"), path)
    assert load_checkpoint(path).message == (
        "CAT inception generator, 2 blocks, 6 of 12 branches of kernels 1/3/5, own widths (2 to 7), affine instance norm, "
        "3 -> 3 channels, from 70 tensors"
    )
    torch.save(spade_state(True), path)
    assert load_checkpoint(path).message == (
        "GauGAN SPADE generator, 5 upsamplings (5 and 6 have the same names), own widths (2 to 6), modulated batch norm, "
        "spectral norm, 4 -> 3 channels, from 234 tensors"
    )


PREFIXES = ["_orig_mod.", "module.module.", "netG_A."]


@pytest.mark.parametrize(
    ("network", "prefix"), [*((network, "module.") for network in NETS), *(("ResNet generator", prefix) for prefix in PREFIXES)]
)
def test_prefix(path, network, prefix):
    state = state_of(network)
    torch.save({f"{prefix}{name}": tensor for name, tensor in state.items()}, path)
    loaded = load_checkpoint(path)
    assert same(loaded.model, state)
    assert loaded.message.endswith(f"; without the prefix '{prefix}'")


@pytest.mark.parametrize("key", ["state_dict", "model", "netG", "nets.G_A"])
def test_training_checkpoint(path, weights, key):
    *outer, inner = key.split(".")
    data = {inner: weights}
    for name in outer:
        data = {name: data}
    net = nn.Conv2d(3, 4, 3)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.zeros(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 200, "optimizer": optimizer.state_dict(), **data}, path)
    loaded = load_checkpoint(path)
    assert same(loaded.model, weights)
    assert loaded.message.endswith(f"; found under '{key}'")


def test_training_checkpoint_with_several_networks(path, weights):
    line = refused(path, {"netG_A": weights, "netG_B": weights, "epoch": 3})
    assert "holds 2 networks, under 'netG_A', 'netG_B': take one out by pocketgan convert" in line
    assert same(load_checkpoint(path, network="netG_B").model, weights)
    with pytest.raises(ValueError, match=r"no network named 'netG_C'\. Did you mean 'netG_[AB]'\? There is: netG_A, netG_B"):
        load_checkpoint(path, network="netG_C")


def test_scores_beside_the_weights_may_be_numbers_of_numpy(path, weights):
    torch.save({"G": weights, "fid": (np.float64(61.5), np.float32(3)), "best": np.int64(7)}, path)
    assert same(load_checkpoint(path).model, weights)
    assert "is more than weights (numpy" in refused(path, {"G": weights, "table": np.array([{}], dtype=object)})


def test_counters_of_a_profiler_are_dropped(path, weights):
    counted = weights | {f"model.{i}.{what}": torch.zeros(1).double() for i in (1, 4) for what in ("total_ops", "total_params")}
    torch.save(counted, path)
    loaded = load_checkpoint(path)
    assert same(loaded.model, weights)
    assert "dropped 4 counters of a profiler" in loaded.message


def test_adaptors_are_named_and_refused(path):
    line = refused(path, nn.Conv2d(32, 256, 1).state_dict())
    assert "is an adaptor, a 1x1 convolution by which the distillation of GAN Compression and CAT holds 32 channels" in line


@pytest.mark.parametrize("network", ["ResNet generator", "mobile ResNet generator", "PatchGAN discriminator"])
def test_stale_statistics_are_dropped(path, network):
    net = published.trained(NETS[network]())
    clean = dict(net.state_dict())
    for module in net.modules():
        if isinstance(module, nn.InstanceNorm2d):  # what PyTorch before 0.4 stored
            module.register_buffer("running_mean", torch.full((module.num_features,), 9.0))
            module.register_buffer("running_var", torch.full((module.num_features,), 9.0))
            module.register_buffer("num_batches_tracked", torch.tensor(3))
    stale = net.state_dict()
    torch.save(stale, path)
    loaded = load_checkpoint(path)
    assert same(loaded.model, clean)
    assert f"dropped {len(stale) - len(clean)} stale instance-norm statistics" in loaded.message


def test_batch_norm_before_there_were_counters(path):
    net = published.trained(published.resnet(3, 5, 7, 5, 3, (7,), "batch"))
    old = {name: tensor for name, tensor in net.state_dict().items() if "num_batches_tracked" not in name}
    torch.save(old, path)
    model = load_checkpoint(path).model
    image = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(model(image), net(image))
    assert model.stem.norm.num_batches_tracked == 0


def test_formats(tmp_path, path, weights):
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    assert same(load_checkpoint(path).model, weights)
    save_file(dict(weights), tmp_path / "latest_net_G.safetensors")
    assert same(load_checkpoint(str(tmp_path / "latest_net_G.safetensors")).model, weights)
    half = {name: tensor.half() for name, tensor in weights.items()}
    torch.save(half, path)
    assert same(load_checkpoint(path).model, {name: tensor.float() for name, tensor in half.items()})


def test_model_is_an_ordinary_network_of_ours(tmp_path, path, weights):
    torch.save(weights, path)
    model = load_checkpoint(path).model
    assert widths_of(model) == dict(model.spec.widths)
    save_artifact(tmp_path / "mine.safetensors", model, size=64)
    assert "use pocketgan.load" in refused(tmp_path / "mine.safetensors")


def test_files_that_are_no_checkpoints(tmp_path, path):
    assert "there is no file" in refused(path)
    assert "is a folder: name the file in it" in refused(tmp_path)
    path.write_bytes(b"")
    assert "is empty (0 bytes)" in refused(path)
    path.write_text("<!DOCTYPE html><title>404</title>")
    assert "is not a checkpoint: no torch.save file begins with b'<!DO'" in refused(path)
    path.write_bytes(b"\x80\x02" + bytes(range(7, 90)))
    assert "is not a checkpoint: it is no pickle that torch.save writes" in refused(path)
    assert "holds a dict of mean, std, not a state dict" in refused(path, {"mean": torch.zeros(3), "std": torch.ones(3)})
    assert "holds an empty dict, not a state dict" in refused(path, {})
    assert "holds one list, not a state dict" in refused(path, [torch.zeros(3)])


def test_weights_that_cannot_be_used(path, weights):
    line = refused(path, {name: tensor.to(torch.int8) for name, tensor in weights.items()})
    assert "has model.1.weight as strided int8: only dense floating-point weights are read" in line
    assert "as sparse_coo float32" in refused(path, {**weights, "model.4.bias": weights["model.4.bias"].to_sparse()})
    weights["model.4.bias"][1] = float("nan")
    assert "has numbers in model.4.bias that are not finite" in refused(path, weights)


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("part", [0.2, 0.6, 0.99])
def test_cut_short(path, weights, modern, part):
    torch.save(weights, path, _use_new_zipfile_serialization=modern)
    os.truncate(path, int(path.stat().st_size * part))
    assert "is cut short or damaged" in refused(path)


def test_cut_short_safetensors(tmp_path, weights):
    path = tmp_path / "latest_net_G.safetensors"
    save_file(dict(weights), path)
    os.truncate(path, path.stat().st_size // 2)
    assert "is not a whole safetensors file" in refused(path)


@pytest.mark.parametrize("modern", [True, False])
def test_code_is_never_run(path, modern):
    torch.save(published.pixel(3, 5), path, _use_new_zipfile_serialization=modern)
    assert "is more than weights (published.Net): loading it would run code" in refused(path)


def test_code_is_never_run_beside_weights_or_compiled(path, weights):
    line = refused(path, {"model": weights, "opt": argparse.Namespace(ngf=64)})
    assert "is more than weights (argparse.Namespace)" in line
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8)).save(str(path))
    assert "is more than weights (TorchScript)" in refused(path)


NAMES = {
    "ResNet generator": ("model.10.conv_block.1.weight", "model.{}.conv_block.1.weight"),
    "PatchGAN discriminator": ("model.2.weight", "model.{}.weight"),
    "multi-scale discriminator": ("discriminator_0.model0.0.weight", "discriminator_{}.model0.0.weight"),
    "AdaIN generator": ("enc_content.model.3.model.0.model.0.conv.weight", "enc_content.model.3.model.{}.model.0.conv.weight"),
    "image discriminator": ("cnns.0.0.conv.weight", "cnns.{}.0.conv.weight"),
    "inception generator": ("features.0.res_ops.0.4.weight", "features.{}.res_ops.0.4.weight"),
}


@pytest.mark.parametrize("network", NAMES)
def test_a_number_in_a_name_builds_no_giant(path, network):
    old, new = NAMES[network]
    for number in (999, 9 * 10**9, "9" * 5000):
        state = dict(state_of(network))
        state[new.format(number)] = state.pop(old)
        assert "tensors have layers numbered up to 9" in refused(path, state)


def test_levels_and_prefixes_without_end(path, weights):
    deep = {"model.model.1.model" + ".3.model" * 500 + ".1.weight": torch.ones(3, 3, 4, 4)}
    assert "it has 500 levels" in refused(path, dict(state_of("U-Net generator")) | deep)
    assert "is of no known family" in refused(path, {"module." * 5000 + name: tensor for name, tensor in weights.items()})


def test_names_are_shown_in_one_short_line(path, weights):
    line = refused(path, weights | {"x" * 10**6 + ".weight": torch.ones(2), "a\n\x1b[2Jb.weight": torch.ones(2)})
    assert len(line) < 1000
    assert "a??[2Jb.weight" in line


def test_tensors_without_numbers_are_refused(path, weights):
    line = refused(path, weights | {"model.1.weight": torch.zeros(7, 0, 2**40, 7)})
    assert "has model.1.weight as 7x0x1099511627776x7: it holds no number" in line


def test_counts_of_batches_are_integers(path):
    state = published.trained(published.resnet(3, 5, 7, 5, 3, (7,), "batch")).state_dict()
    state["model.2.num_batches_tracked"] = torch.tensor(torch.nan)
    assert "has model.2.num_batches_tracked as strided float32: only int64 fits there" in refused(path, state)


def test_unknown_family(path):
    line = refused(path, {"conv1.weight": torch.zeros(4, 3, 3, 3), "fc.bias": torch.zeros(2)})
    assert "is of no known family: it has conv1.weight, fc.bias. There is: pytorch-CycleGAN-and-pix2pix ResNet" in line
    assert "file.py:factory" in line


@pytest.mark.parametrize("gone", ["model.1", "model.4", "model.11", "model.12", "model.19"])
def test_incomplete_resnet_says_what_is_missing(path, weights, gone):
    part = {name: tensor for name, tensor in weights.items() if not name.startswith(f"{gone}.")}
    missing = [name for name in weights if name not in part]
    line = refused(path, part)
    assert "2 blocks" in line
    assert f". {len(missing)} missing: {', '.join(missing)}. It is incomplete" in line


@pytest.mark.parametrize("inside", [".3.model", ".3.model.3.model"])
def test_incomplete_unet_says_what_is_missing(path, inside):
    state = published.unet([2, 3, 5, 3], [2, 7, 2], "instance").state_dict()
    level = f"model.model.1.model{inside}."
    part = {name: t for name, t in state.items() if not (name.startswith(level) and ".model" not in name[len(level) :])}
    line = refused(path, part)
    assert "4 levels" in line
    assert f". {len(state) - len(part)} missing: {level}1.weight" in line


def test_incomplete_patchgan_says_what_is_missing(path):
    state = published.patchgan([3, 5, 7, 9]).state_dict()
    line = refused(path, {name: tensor for name, tensor in state.items() if not name.startswith("model.11.")})
    assert ". 2 missing: model.11.weight, model.11.bias. It" in line


@pytest.mark.parametrize("gone", ["head_0.norm_1.mlp_gamma", "up_3.conv_s", "fc", "up_0.norm_s.param_free_norm"])
def test_incomplete_spade_says_what_is_missing(path, gone):
    state = spade_state(gone == "up_3.conv_s")
    lost = [name for name in state if name.startswith(f"{gone}.") and "num_batches" not in name]
    line = refused(path, {name: tensor for name, tensor in state.items() if not name.startswith(f"{gone}.")})
    assert "looks like GauGAN SPADE generator, 5 upsamplings" in line
    assert f". {len(lost)} missing: " in line
    assert all(name in line for name in lost[:4])


@pytest.mark.parametrize(
    "gone", ["down_sampling.1", "features.1.res_ops.1.1.0", "features.0.dw_ops.0.2.0", "features.1.pw_bn", "up_sampling.3"]
)
def test_incomplete_inception_says_what_is_missing(path, gone):
    branches = {"res": {1: 2, 3: 4, 5: 2}, "dw": {1: 3, 3: 2, 5: 1}}
    state = published_cat.inception(3, 5, 7, 5, 3, [branches] * 2).state_dict()
    lost = [name for name in state if name.startswith(f"{gone}.")]
    line = refused(path, {name: tensor for name, tensor in state.items() if name not in lost})
    assert f". {len(lost)} missing: {', '.join(lost)}. It is incomplete" in line


@pytest.mark.parametrize("gone", ["discriminator_1.model1.0.0", "discriminator_0.model2.0", "discriminator_0.model0.0"])
def test_incomplete_multiscale_says_what_is_missing(path, gone):
    state = published_gaugan.multiscale([[3, 5], [3, 5]]).state_dict()
    lost = [name for name in state if name.startswith(f"{gone}.")]
    line = refused(path, {name: tensor for name, tensor in state.items() if name not in lost})
    assert f". {len(lost)} missing: " in line
    assert all(name in line for name in lost)


def test_foreign_and_misshapen_tensors_are_named(path, weights):
    extra = {f"model.{i}.extra": torch.zeros(1) for i in range(6)}
    line = refused(path, {**weights, **extra, "model.12.weight": torch.zeros(7, 4, 3, 3)})
    assert "6 unknown: model.0.extra, model.1.extra, model.2.extra, model.3.extra and 2 more" in line
    assert "1 of another shape: model.12.weight is 7x4x3x3 instead of 7x5x3x3" in line


def test_norms_that_are_none_of_ours(path, weights):
    bare = {name: tensor for name, tensor in weights.items() if name.endswith("weight") or name == "model.19.bias"}
    assert "trained without norm (--norm none)" in refused(path, bare)
    mixed = published.resnet(3, 5, 7, 5, 3, (7,), "batch").state_dict()
    assert "neither published batch norm" in refused(path, {**mixed, "model.1.bias": torch.zeros(3)})


def test_networks_without_published_names():
    with pytest.raises(ValueError, match=r"has a norm, theirs never has"):
        to_published(unet(2, 3).resized({"up3": 0, "down3": 0}).build())
    left = resnet(2, 3, "batch").resized({"block1": 0}).build()
    assert to_published(left).keys() == to_published(resnet(2, 2, "batch").build()).keys()
    left.block1.shift.value[3] = 0.5
    with pytest.raises(ValueError, match=r"no published name for block1\.shift"):
        to_published(left)
    with pytest.raises(ValueError, match=r"no published network is like this resnet\. There is: pytorch-CycleGAN"):
        to_published(mobile_resnet(2, 1, depthwise_norm="batch").build())
    with pytest.raises(ValueError, match=r"not built from a spec"):
        to_published(nn.Conv2d(3, 4, 3))
