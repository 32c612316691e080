"""Weights as real files hold them: prefixes, keys, formats, stale statistics; and refusals with their messages."""

import numpy as np
import published
import published_cat
import published_gaugan
import pytest
import torch
from checkpoint_files import NETS, refused, same, spade_state, state_of
from safetensors.torch import save_file
from torch import nn

from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.checkpoints.convert import LAYOUTS
from pocketgan.core.artifact import save_artifact
from pocketgan.core.dims import widths_of
from pocketgan.models import mobile_resnet, resnet, unet


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
