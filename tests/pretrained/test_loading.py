"""A network is filled with exactly the tensors of a file, or the file is refused by what differs."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pocketgan.pretrained.loading import filled
from pocketgan.pretrained.weights import Published

WEIGHTS = Published(name="the net", file="net.pth", url=None, sha256="", page="https://example.org")


def make() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def state() -> dict[str, torch.Tensor]:
    return {name: tensor + 0.5 if tensor.is_floating_point() else tensor for name, tensor in make().state_dict().items()}


def fill(tensors: dict[str, torch.Tensor]) -> nn.Sequential:
    return filled(make, tensors, path=Path("net.pth"), weights=WEIGHTS)


def test_the_tensors_are_those_given_and_never_trained() -> None:
    given = state()
    network = fill(given)
    assert dict.fromkeys(given, True) == {name: torch.equal(network.state_dict()[name], given[name]) for name in given}
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


def test_old_files_have_no_counts_of_batches() -> None:
    given = state()
    del given["1.num_batches_tracked"]
    network = fill(given)
    assert network(torch.zeros(1, 3, 2, 2)).isfinite().all()


def test_halves_become_float32() -> None:
    network = fill({name: tensor.half() for name, tensor in state().items()})
    assert {tensor.dtype for name, tensor in network.state_dict().items() if "num" not in name} == {torch.float32}


def test_another_networks_file_is_told_by_its_differences() -> None:
    given = state() | {f"head.{i}": torch.zeros(1) for i in range(5)} | {"0.bias": torch.zeros(7)}
    del given["0.weight"]
    told = r"missing: 0\.weight; unknown: head\.0, head\.1, head\.2 and 2 more; of other shape: 0\.bias \(7,\) instead of \(4,"
    with pytest.raises(ValueError, match=rf"net\.pth does not hold the net: {told}.*; take https://example\.org"):
        fill(given)
