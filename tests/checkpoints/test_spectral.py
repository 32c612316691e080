"""Spectral norm in files: kept if our network has it, so that training can continue; else folded, with the same images."""

import published
import published_cat
import published_gaugan
import torch
from torch import nn
from torch.nn.utils import spectral_norm

from pocketgan.checkpoints import load_checkpoint
from pocketgan.models.layers import folded


def spectral_spade(seed=0):
    torch.manual_seed(seed)
    return published_gaugan.spade(2, (3, 2, 3), [(2, 3)] * 4, spectral=True)


def labels():
    return torch.rand(2, 4, 32, 32, generator=torch.Generator().manual_seed(1))


def test_training_continues(tmp_path):
    """A further step of power iteration, and the gradients through it, from vectors that are exact."""
    theirs = spectral_spade()
    for layer in theirs.modules():
        if hasattr(layer, "weight_orig"):
            u, _, v = torch.linalg.svd(layer.weight_orig.detach().flatten(1))
            layer.weight_u.copy_(u[:, 0])
            layer.weight_v.copy_(v[0])
    torch.save(theirs.state_dict(), tmp_path / "latest_net_G.pth")
    ours = load_checkpoint(tmp_path / "latest_net_G.pth").model
    assert ours.spec.spectral
    for net in (ours, theirs):
        net.double().train()(labels().double()).square().mean().backward()
    layer = ours.up1.conv0.parametrizations.weight
    torch.testing.assert_close(layer.original.grad, theirs.up_1.conv_0.weight_orig.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(layer[0]._u, theirs.up_1.conv_0.weight_u, rtol=1e-4, atol=1e-6)


def test_the_folded_network_makes_the_same_image(tmp_path):
    theirs = spectral_spade().eval()
    torch.save(theirs.state_dict(), tmp_path / "latest_net_G.pth")
    for_export = folded(load_checkpoint(tmp_path / "latest_net_G.pth").model)
    with torch.no_grad():
        torch.testing.assert_close(for_export(labels()), theirs(labels()), rtol=0, atol=1e-6)


def test_files_without_vector_v(tmp_path):
    """PyTorch before 1.1 stored the plain weight beside."""
    theirs = spectral_spade().eval()
    theirs(labels())  # makes the plain weights
    layers = {name: module for name, module in theirs.named_modules() if hasattr(module, "weight_orig")}
    state, plain = theirs.state_dict(), {f"{name}.weight": layer.weight.detach() for name, layer in layers.items()}
    old = {name: tensor for name, tensor in state.items() if not name.endswith("weight_v")} | plain
    torch.save(old, tmp_path / "latest_net_G.pth")
    loaded = load_checkpoint(tmp_path / "latest_net_G.pth")
    assert not loaded.model.spec.spectral
    assert "spectral norm folded into the weights, as PyTorch before 1.1 stored it" in loaded.message
    with torch.no_grad():
        assert torch.equal(loaded.model(labels()), theirs(labels()))


def test_spectral_norm_is_folded_if_our_network_has_none(tmp_path):
    """CAT's ``spectralspadesyncbatch3x3``, which its scripts never use."""
    torch.manual_seed(0)
    theirs = published_cat.inception_spade(2, (3, 2, 3, 2), [({"res": {3: 2}, "dw": {1: 3}}, {"res": {3: 1}, "dw": {}})] * 7)
    published.trained(theirs)
    for module in theirs.modules():
        if isinstance(module, published_cat.Conv | published_cat.ConvNorm):
            spectral_norm(module.conv)
    theirs.eval()
    torch.save(theirs.state_dict(), tmp_path / "latest_net_G.pth")
    loaded = load_checkpoint(tmp_path / "latest_net_G.pth")
    assert "; spectral norm folded into the weights" in loaded.message
    assert not any(isinstance(module, nn.utils.parametrize.ParametrizationList) for module in loaded.model.modules())
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(labels()), theirs(labels()), rtol=0, atol=1e-6)
