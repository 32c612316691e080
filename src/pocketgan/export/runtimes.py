"""Engines that run a generator on a device, by name; a new one is a file that registers itself here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import nn

from pocketgan.core.inputs import ModelInputs
from pocketgan.core.registry import Registry

Runner = Callable[[], object]


class Runtime(Protocol):
    """What prepares a generator for one input."""

    def __call__(self, generator: nn.Module, given: ModelInputs, *, threads: int) -> Runner:
        """Give back a call that runs ``generator`` once on what is ``given`` (an image, or all that it reads) and then blocks.

        Whatever an engine needs (an exported file, a compiled graph) is made here, so that only running is timed.
        """


RUNTIMES: Registry[Runtime] = Registry("runtime")
