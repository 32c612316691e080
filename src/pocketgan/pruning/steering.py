"""Steering a sparsity's strength so that what it leaves open comes to the budget, without a constant to be tuned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GAIN = 0.5  # how much the log of the strength changes in a tick when scores move at full speed and should stand still
AHEAD = 10  # in how many ticks the threshold shall be back on its path
RANGE = (1e-6, 1e3)


class Steering(nn.Module):
    """A controller of the strength; its state lies in buffers, so that checkpoints have it.

    It watches the threshold: the score above which the channels meet the budget (`threshold_at`). Where closed means a score
    of 0 or below, the threshold must come to 0 by the end of the search. The threshold tells ahead of time what the cost tells
    only once channels have closed, all at once: steered by the cost, a search overshoots.
    """

    def __init__(self, strength: float):
        super().__init__()
        self.register_buffer("strength", torch.tensor(strength))
        self.register_buffer("first", torch.tensor(math.nan))
        self.register_buffer("last", torch.tensor(math.nan))
        self.strength: Tensor
        self.first: Tensor
        """The threshold at the start."""
        self.last: Tensor
        """The same at the last tick."""

    @torch.no_grad()
    def adapt_(self, threshold: float, *, left: float, full: float) -> None:
        """Set the strength of the next tick.

        ``left`` goes from 1 to 0 over the search: the part of its first value that the threshold should have now. ``full`` is
        the most that a score can move in a tick: speeds are measured in it.
        """
        if not bool(self.first.isfinite()):
            self.first.fill_(threshold)
            self.last.fill_(threshold)
        speed = (float(self.last) - threshold) / full
        wanted = (threshold - float(self.first) * left) / (AHEAD * full)
        error = max(-1.0, min(1.0, wanted)) - max(-1.0, min(1.0, speed))
        self.strength.mul_(math.exp(GAIN * error)).clamp_(*RANGE)
        self.last.fill_(threshold)
