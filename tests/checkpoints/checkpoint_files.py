"""State dicts of every published network, small, and their refusals."""

from functools import cache

import published
import published_cat
import published_gaugan
import published_munit
import pytest
import torch

from pocketgan.checkpoints import load_checkpoint, to_published

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
