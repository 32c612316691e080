"""Context managers that hook a network's forward or change its mode, and restore it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

Hook = Callable[..., Any]
"""``hook(module, inputs, output)``, or ``hook(module, inputs)`` before the forward."""


@contextmanager
def forward_hooks(hooks: Iterable[tuple[nn.Module, Hook]], *, before: bool = False) -> Iterator[None]:
    """Call each hook at every forward of its module, or ``before`` it, while the block runs."""
    with ExitStack() as stack:
        for module, hook in hooks:
            stack.enter_context(module.register_forward_pre_hook(hook) if before else module.register_forward_hook(hook))
        yield


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Put the network into evaluation mode for the block; every module has its own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, training in modes:
            module.training = training
