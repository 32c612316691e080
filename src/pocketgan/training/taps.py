"""Intermediate features by module name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from pocketgan.utils.errors import unknown


class Taps:
    """Catches what the named modules give in each forward, until `close`."""

    def __init__(self, model: nn.Module, names: Iterable[str]):
        modules = dict(model.named_modules())
        self._caught: dict[str, Tensor] = {}
        self._handles = []
        for name in names:
            if name not in modules:
                raise unknown("layer", name, [key for key in modules if key and key.count(".") < 2])
            self._handles.append(modules[name].register_forward_hook(self._catch(name)))

    def take(self) -> dict[str, Tensor]:
        """``{name: features}`` of the last forward; they are let go of here."""
        caught, self._caught = self._caught, {}
        return caught

    def close(self) -> None:
        """Stop catching."""
        for handle in self._handles:
            handle.remove()

    def _catch(self, name: str) -> Any:
        def catch(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._caught[name] = output

        return catch
