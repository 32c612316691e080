"""A file to write, and weights to write to it."""

import published
import pytest
from checkpoint_files import NETS


@pytest.fixture
def path(tmp_path):
    return tmp_path / "latest_net_G.pth"


@pytest.fixture
def weights():
    return published.trained(NETS["ResNet generator"]()).state_dict()
