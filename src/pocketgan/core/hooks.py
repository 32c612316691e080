"""Context managers that hook a network's forward or change its mode, and restore it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from pocketgan.utils.registry import unknown

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
def capture_outputs(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """``{name: output of the latest forward}`` of the named modules, filled while the block runs.

    Raises ``ValueError`` for an unknown name.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Hook:
        return lambda module, inputs, output: outputs.update({name: output})

    with forward_hooks([(submodule(model, name), keep(name)) for name in names]):
        yield outputs


def submodule(model: nn.Module, name: str) -> nn.Module:
    """Module of that name. Raises ``ValueError`` with the nearest name for an unknown one."""
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name not in modules:
        raise unknown("layer", name, [key for key in modules if key and key.count(".") < 2])
    return modules[name]


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
