"""Files that hold no weights of a network, or more than weights, refused in one line."""

import argparse
import os

import published
import pytest
import torch
from checkpoint_files import refused, state_of
from safetensors.torch import save_file
from torch import nn


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
