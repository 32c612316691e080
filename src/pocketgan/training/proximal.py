"""Accelerated proximal gradient: an L1 term whose zeros are exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

DECAY = 0.99  # of the running mean square of the gradient


class AcceleratedProximal(torch.optim.Optimizer):
    """Minimises loss + strength * |x|_1 by steps of ``lr`` (Huang and Wang 2018, "Data-Driven Sparse Structure Selection",
    section 3.3): z = x - lr g; s = shrink(z, lr * strength); v = s - x + momentum v; x = s + momentum v.

    Where we deviate: g is measured in units of its own root mean square over all parameters, one running number, so that one
    setting serves losses of any scale; as it is one number, the proximal step remains exact. And a parameter that the
    momentum carries through 0 stops there.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, *, strength: Callable[[], Tensor], momentum: float = 0.9):
        """``strength`` is asked in every step, as it may be steered."""
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})
        self.strength = strength

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step for all parameters that have a gradient."""
        found = [(g, p) for g in self.param_groups for p in g["params"] if p.grad is not None]
        if not found:
            return
        mean = torch.cat([p.grad.flatten() for _, p in found]).square().mean()
        for group, p in found:
            state = self.state[p]
            if not state:
                state["velocity"], state["square"], state["count"] = torch.zeros_like(p), torch.zeros_like(mean), 0.0 * mean
            state["square"].lerp_(mean, 1 - DECAY)
            state["count"] += 1
            unit = (state["square"] / (1 - DECAY ** state["count"])).sqrt().clamp_min(1e-12)
            lr, momentum = group["lr"], group["momentum"]
            z = p - lr * p.grad / unit
            shrunk = z.sign() * (z.abs() - lr * self.strength()).clamp_min(0)
            state["velocity"].mul_(momentum).add_(shrunk - p)
            new = shrunk + momentum * state["velocity"]
            stopped = (shrunk == 0) | (new * p < 0)
            p.copy_(torch.where(stopped, torch.zeros_like(new), new))
            state["velocity"].masked_fill_(stopped, 0.0)
