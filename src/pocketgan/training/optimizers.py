"""Optimizers: Adam, Muon for matrices, and a proximal one whose zeros are exact."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

SQUARE_DECAY = 0.99
"""Decay of the running mean square of the gradient in `AcceleratedProximal`."""


class Adam(torch.optim.Adam):
    """Fused Adam that does not import ``torch._dynamo``.

    Torch's wrappers around these methods exist for ``torch.compile`` and import its compiler at the first call, which costs
    more than all other preparations of a short training. The wrapped functions are the same arithmetic.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, betas: tuple[float, float], *, weight_decay: float = 0.0):
        super().__init__(parameters, lr, betas, weight_decay=weight_decay, fused=True)

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class Muon(torch.optim.Muon):
    """Torch's Muon for weights of any number of axes, each as the matrix of its first axis and all others.

    The step is a momentum whose singular values are brought near 1 (Jordan et al. 2024), scaled to the size of one of Adam
    (Liu et al. 2025, "Muon is scalable for LLM training", eq. 4), so that rates are comparable.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float):
        self._weights = list(parameters)
        matrices = [nn.Parameter(weight.data.flatten(1)) for weight in self._weights]
        assert all(m.data_ptr() == w.data_ptr() for m, w in zip(matrices, self._weights, strict=True)), "a copy, not a view"
        super().__init__(matrices, lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all weights that have a gradient."""
        matrices = self.param_groups[0]["params"]
        for weight, matrix in zip(self._weights, matrices, strict=True):
            matrix.grad = weight.grad.flatten(1) if weight.grad is not None else None
        inspect.unwrap(torch.optim.Muon.step)(self)
        for matrix in matrices:
            matrix.grad = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the weights."""
        for weight in self._weights:
            weight.grad = None

    @staticmethod
    def takes(weight: Tensor) -> bool:
        """Return True for the weight of a dense convolution or a linear layer; the filters of a depthwise one are no matrix."""
        return weight.ndim in (2, 4) and min(weight.shape[:2]) > 1


class AcceleratedProximal(torch.optim.Optimizer):
    """Accelerated proximal gradient for loss + strength * |x|_1, whose zeros are exact.

    Steps of ``lr`` (Huang and Wang 2018, "Data-Driven Sparse Structure Selection", section 3.3): z = x - lr g; s =
    shrink(z, lr * strength); v = s - x + momentum v; x = s + momentum v.

    Deviations: g is divided by its root mean square over all parameters, one running number, so that one setting serves
    losses of any scale; with one number for all parameters the proximal step remains exact. A parameter that momentum would
    carry through 0 stops there.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, *, strength: Callable[[], Tensor], momentum: float = 0.9):
        """``strength`` is called in every step and may change."""
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})
        self.strength = strength

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        pairs = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not pairs:
            return
        mean = torch.cat([p.grad.flatten() for _, p in pairs]).square().mean()
        for group, p in pairs:
            state = self.state[p]
            if not state:
                state["velocity"], state["square"], state["count"] = torch.zeros_like(p), torch.zeros_like(mean), 0.0 * mean
            state["square"].lerp_(mean, 1 - SQUARE_DECAY)
            state["count"] += 1
            unit = (state["square"] / (1 - SQUARE_DECAY ** state["count"])).sqrt().clamp_min(1e-12)
            lr, momentum = group["lr"], group["momentum"]
            z = p - lr * p.grad / unit
            shrunk = z.sign() * (z.abs() - lr * self.strength()).clamp_min(0)
            state["velocity"].mul_(momentum).add_(shrunk - p)
            moved = shrunk + momentum * state["velocity"]
            stopped = (shrunk == 0) | (moved * p < 0)
            p.copy_(moved.masked_fill(stopped, 0.0))
            state["velocity"].masked_fill_(stopped, 0.0)
