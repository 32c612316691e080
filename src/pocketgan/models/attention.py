"""Self-attention over the places of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """``gamma o + x``: each place adds what it gathers from all places (Zhang et al. 2019, "SAGAN", eqs. 1 to 3).

    As in the released PyTorch networks the values have all channels at once, where eq. 2 goes through fewer and back. ``gamma``
    starts at 0. Query and key have one width between them; the values belong to the group of ``x``.
    """

    AXES = {"gamma": (None,)}  # noqa: RUF012
    GATES = {"query": "query", "key": "key", "value": "value"}  # noqa: RUF012
    QK_PAIRS = {"query": "key"}  # noqa: RUF012

    def __init__(self, channels: int, keys: int):
        super().__init__()
        self.query = nn.Conv2d(channels, keys, 1)
        self.key = nn.Conv2d(channels, keys, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x H x W -> the same shape."""
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        share = (query.transpose(1, 2) @ key).softmax(-1)  # N x places x places: of every key in what a query gathers
        return x + self.gamma * (value @ share.transpose(1, 2)).view_as(x)  # type: ignore[no-any-return]
