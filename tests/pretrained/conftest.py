"""One file of weights for all tests of what loads it."""

from pathlib import Path

import pytest
import torch

from inception_weights import seeded


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "seeded.pth"
    torch.save(seeded(), path)
    return path
