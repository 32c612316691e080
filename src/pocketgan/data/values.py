"""The one contract on pixel values: NCHW, float32, RGB, in [-1, 1]; and the way there and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]
"""One image as decoded: H x W x 3, RGB, 0 to 255."""


def to_float(bytes_NHWC: Tensor) -> Tensor:
    """Bytes (N, H, W, 3) to the contract: (N, 3, H, W), float32, ``x / 127.5 - 1``."""
    return bytes_NHWC.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1.0)


def to_bytes(images_NCHW: Tensor) -> Tensor:
    """The contract back to bytes (N, H, W, 3): clipped to [-1, 1] and rounded, so that it undoes ``to_float``."""
    scaled = images_NCHW.detach().to(torch.float32).clamp(-1.0, 1.0).add(1.0).mul_(127.5).round_()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
