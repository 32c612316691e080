"""File formats for devices, by name; a new one is a file that registers its exporter here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import nn

from pocketgan.core.registry import Registry
from pocketgan.core.shape import Size
from pocketgan.export.verify import Verification


@dataclass(frozen=True)
class Exported:
    """A file for a device.

    Attributes:
        path: where it lies.
        format: its name among ``FORMATS``.
        bytes: its size.
        verification: how far it is from eager PyTorch; None where that was not asked for.
    """

    path: Path
    format: str
    bytes: int
    verification: Verification | None

    def summary(self) -> dict[str, object]:
        """What ``result.json`` keeps of it."""
        checked = self.verification.summary() if self.verification else {}
        return {"file": self.path.name, "bytes": self.bytes, **checked}


class Exporter(Protocol):
    """What writes a generator to a file."""

    def __call__(self, generator: nn.Module, path: str | Path, *, size: Size, verify: bool = True) -> Exported:
        """Write ``path`` at once or not at all, for images of ``size`` (a side, or height and width)."""


FORMATS: Registry[Exporter] = Registry("export format")
