"""Weights of a seed for FID's Inception, equal on every machine."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pocketgan.pretrained import extractors
from pocketgan.pretrained.inception import WEIGHTS, Inception
from pocketgan.pretrained.weights import HOME, Published
from pocketgan.utils.files import digest


def seeded() -> dict[str, Tensor]:
    """Tensors drawn in the order of the modules, of a scale that keeps activations finite; no counts of batches."""
    draw = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Inception().state_dict().items()}
    state = {}
    for name, shape in shapes.items():
        if name.endswith(("running_var", "bn.weight")):
            state[name] = torch.rand(shape, generator=draw) + 0.5
        elif len(shape) == 4:
            state[name] = torch.randn(shape, generator=draw) * (2 / shape[1:].numel()) ** 0.5
        elif not name.endswith("num_batches_tracked"):
            state[name] = torch.randn(shape, generator=draw) * 0.1
    return state


def images(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Large soft spots, as 8-bit images in [-1, 1]."""
    coarse = torch.rand(count, 3, 5, 4, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=True)
    return (smooth * 255).round() / 127.5 - 1


class Quick(nn.Module):
    """Substitute for Inception: the means of the four quarters of an image, padded to 2048 features."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1), (0, 2036))


def pretend(home: Path, patch: pytest.MonkeyPatch) -> Published:
    """Fill a cache with a file that counts as the published weights of `Quick`, and cut the connection to the web."""
    home.mkdir()
    file = home / WEIGHTS.file
    file.write_bytes(b"published")
    weights = replace(WEIGHTS, url=None, sha256=digest(file))
    patch.setenv(HOME, str(home))
    patch.setattr(extractors, "WEIGHTS", weights)
    patch.setattr(extractors, "load", lambda *_: Quick())
    return weights
