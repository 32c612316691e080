"""Figures on the pages are those of the result files."""

import sys
from pathlib import Path
from typing import Any

import pytest
from manual import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import fill_numbers
from fill_numbers import PAGES, filled


def measured(kernel: float) -> dict[str, Any]:
    quality = {"kernel[mobilenet-1a2b]": kernel, "precision[mobilenet-1a2b]": 0.5, "recall[mobilenet-1a2b]": 0.25}
    return {"params": 1_500_000, "macs": 40_000_000, "quality": quality}


def test_the_table_of_unconditional_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    small = measured(2.0)
    small["quality"]["psnr_to_teacher"] = 21.0
    results = {
        "cpu": "a processor",
        "threads": 1,
        "teacher_steps": 2500,
        "search_steps": 300,
        "steps": 700,
        "teacher": {"generator": measured(1.5)},
        "runs": [{"method": "dmad", "budget": {"asked": "4x"}, "student": small}],
    }
    monkeypatch.setattr(fill_numbers, "read", {"latents-cats64": results, "latents-cifar10": results}.__getitem__)
    for name in ("latents-cats64", "latents-cifar10"):
        _, _, teacher, student, *_, note = fill_numbers.BLOCKS[name]().splitlines()
        assert teacher == "| teacher | - | 1.50 M | 40.0 M | 1.50 | 0.500 | 0.250 | - |"
        assert student == "| dmad | 4x | 1.50 M | 40.0 M | 2.00 | 0.500 | 0.250 | 21.00 |"
        assert "a processor" in note


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_matches_its_result_file(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text
