"""FID's Inception without its published weights: the table of its tensors, and what it computes with weights of a seed.

The table and the values are those of torch-fidelity 0.4.0 (and of pytorch-fid 0.3.0 on torchvision 0.29.2) with the same
weights; both agreed bit for bit when they were compared.
"""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from inception_weights import images
from pocketgan.pretrained.inception import WEIGHTS, Inception, average, maximum
from pocketgan.pretrained.vgg import WEIGHTS as VGG
from pocketgan.pretrained.weights import filled, load

COLUMNS = [0, 300, 700, 1200, 1700, 2047]
VALUES = [
    [0.0000e00, 2.9748e00, 2.4746e-01, 4.3088e-01, 4.0998e00, 1.3055e00],
    [1.8975e-03, 3.8632e00, 4.6841e-01, 5.3603e-01, 5.4509e00, 1.5509e00],
]
"""Another padding of the average pools moves them by up to 0.2, an average in the last block by 0.6."""


def test_the_tensors_are_those_of_the_published_file() -> None:
    with torch.device("meta"):
        network = Inception()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    weights = {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
    table = "\n".join(sorted(f"{name} {shape}" for name, shape in weights.items()))
    assert (len(shapes), len(weights)) == (566, 472)
    assert hashlib.sha256(table.encode()).hexdigest() == "d84f693f2abd7fea61cb31c87d3b2f268bf707c1bae1db219afdad3363959cb0"
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_850_960
    assert weights["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert weights["Mixed_6b.branch7x7_2.conv.weight"] == (128, 128, 1, 7)
    assert weights["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert weights["fc.weight"] == (1008, 2048)


def test_the_features_are_those_of_the_published_code(inception_network: nn.Module) -> None:
    network = inception_network
    with torch.inference_mode():
        features = network(images(2, (299, 299)))
    assert features.shape == (2, 2048)
    torch.testing.assert_close(features[:, COLUMNS], torch.tensor(VALUES), rtol=2e-4, atol=1e-5)
    assert features.mean().item() == pytest.approx(1.3279, rel=1e-4)
    assert features.std().item() == pytest.approx(1.8978, rel=1e-4)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def test_averages_exclude_the_padding() -> None:
    ones = torch.ones(1, 1, 5, 5)
    assert torch.equal(average(ones), ones)
    assert torch.equal(maximum(-ones), -ones)


def test_the_weights_of_other_networks_are_refused(inception_state: dict[str, Tensor], tmp_path: Path) -> None:
    state = inception_state | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}  # of ImageNet
    with pytest.raises(ValueError, match=r"imagenet\.pth does not hold the Inception .*of other shape: fc\.bias"):
        filled(Inception, state, path=Path("imagenet.pth"), weights=WEIGHTS)
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"missing: .*take https://github\.com/mseitzer/pytorch-fid/releases"):
        load(Inception, tmp_path / "other.pth", WEIGHTS)


def test_the_checksum_is_whole_and_begins_with_the_digits_in_the_files_name() -> None:
    for published in (WEIGHTS, VGG):
        assert len(bytes.fromhex(published.sha256)) == 32
        assert published.sha256.startswith(Path(published.file).stem.rpartition("-")[2])
    assert WEIGHTS.url is not None
    assert WEIGHTS.url.endswith(f"/{WEIGHTS.file}")
