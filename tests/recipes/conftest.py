from pathlib import Path

import pytest
import torch

from pocketgan.export import Exported
from pocketgan.pipeline import compress as stages


@pytest.fixture
def quick_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes seconds and is tested elsewhere."""

    def export(generator: torch.nn.Module, path: Path, *, size: int) -> Exported:
        path.write_bytes(b"onnx")
        return Exported(path, "onnx", 4, None)

    monkeypatch.setattr(stages, "export_onnx", export)
