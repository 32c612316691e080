"""Pretrained networks with weights of a seed, each made once."""

from pathlib import Path

import pytest
import torch
from random_weights import draw_
from torch import Tensor, nn

from inception_weights import seeded
from pocketgan.pretrained import deeplab, drn, inception
from pocketgan.pretrained.weights import filled, load


@pytest.fixture(scope="session")
def inception_state() -> dict[str, Tensor]:
    return seeded()


@pytest.fixture(scope="session")
def file(inception_state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "seeded.pth"
    torch.save(inception_state, path)
    return path


@pytest.fixture(scope="session")
def inception_network(file: Path) -> nn.Module:
    return load(inception.Inception, file, inception.WEIGHTS)


@pytest.fixture(scope="session")
def drn_network() -> drn.Drn:
    state = draw_(drn.Drn().state_dict(), fixed=("up.weight",))
    return filled(drn.Drn, state, path=Path("drawn"), weights=drn.WEIGHTS)


@pytest.fixture(scope="session")
def deeplab_network() -> deeplab.DeepLab:
    with torch.device("meta"):
        empty = deeplab.DeepLab().state_dict()
    state = draw_({name: torch.empty(tensor.shape, dtype=tensor.dtype) for name, tensor in empty.items()})
    return filled(deeplab.DeepLab, state, path=Path("drawn"), weights=deeplab.WEIGHTS)
