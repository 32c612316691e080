"""Run directories as a compression leaves them, with small random images, and pages parsed for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quick import quick_plots


def measured(*, params: int, macs: int, torch_ms: float, psnr: float, onnx_ms: float = 0.0, **quality: float) -> dict[str, Any]:
    def latency(median: float) -> dict[str, float]:
        return {"median": median, "p10": median * 0.97, "p90": median * 1.07, "threads": 2, "batch": 1}

    return {
        "params": params,
        "macs": macs,
        "macs_paper": macs + 4321,
        "bytes": 4 * params + 1234,
        "latency_ms": {"torch": latency(torch_ms)} | ({"onnxruntime": latency(onnx_ms)} if onnx_ms else {}),
        "quality": {"psnr": psnr, **quality},
        "size": 64,
    }


def image(path: Path, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """``make_run(name, **changes of result.json)`` writes a finished run and returns its directory."""

    def make(name: str = "dmad-10x", *, steps: int = 30, loss: str = "G/l1", directory: str = "", **changes: Any) -> Path:
        run = tmp_path / (directory or name)
        run.mkdir()
        teacher = measured(params=2_860_123, macs=1_210_456_789, torch_ms=21.43, onnx_ms=12.9, psnr=28.41, ssim=0.9312)
        student = measured(
            params=305_812, macs=119_845_672, torch_ms=6.91, onnx_ms=3.217, psnr=27.934, ssim=0.9279, psnr_to_teacher=30.1
        )
        result = {
            "name": name,
            "method": "dmad",
            "objective": "features",
            "seed": 0,
            "teacher": teacher,
            "student": student,
            "budget": {"asked": "10x", "kind": "macs", "limit": 121_045_678, "reached": 119_845_672, "floor": 2_100_000},
            "widths": {"teacher": {"stem": 32, "trunk": 128, "block0": 64}, "student": {"stem": 8, "trunk": 37}},
            "export": {"onnx": {"max_abs_diff": 1.19e-06, "sizes": [[64, 64], [65, 71]]}},
            "seconds": {"search": 41.2, "recover": 101.4},
            "versions": {"pocketgan": "0.1.0", "torch": "2.13.0"},
            "machine": {"cpu": "a processor", "threads": 2},
            "notes": ["one thing to know"],
        } | changes
        (run / "result.json").write_text(json.dumps(result))
        config = {"method": result["method"], "seed": result["seed"], "budget": "10x", "data": {"size": 64, "path": "shapes"}}
        (run / "config.json").write_text(json.dumps(config))
        lines = [{"stage": "recover", "step": i, "seconds": 0.1 * i, "losses": {loss: 1 / (i + 1)}} for i in range(steps)]
        (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for i in range(2):
            for seed, role in enumerate(("input", "target", "teacher", "student")):
                own = sum(name.encode()) if role == "student" else 0
                image(run / "images" / f"{i:03d}_{role}.png", 10 * i + seed + 100 * own)
        image(run / "samples" / "recover_000010.png", 99)
        (run / "student.safetensors").write_bytes(b"weights")
        return run

    return make


@pytest.fixture
def without_plots() -> Iterator[None]:
    """Pages without plots, for tests of their other content."""
    with quick_plots():
        yield
