"""A search by its command: against measured latency, on features, and what it leaves in the run."""

import json
from pathlib import Path

import pytest
from commands import TINY, command

pytestmark = pytest.mark.xdist_group("pipeline")


def test_a_search_against_latency_on_features(teacher: Path, features: Path, tmp_path: Path, quick_export: None) -> None:
    run = tmp_path / "run"
    command(
        *("compress", teacher / "generator.safetensors", "--data", "shapes", "--method", "gan-compression", "--budget", "3x"),
        *("--out", run, "--features", features, *TINY, "data.limit=12"),
        *("method_options.candidates=6", "method_options.images=4", "method_options.fitness=kernel"),
        *(
            "method_options.strategy=nsga2",
            'method_options.against=["macs","latency"]',
            "method_options.strategy_options.population=3",
        ),
    )
    log = [
        json.loads(line)["search"]["G"] for line in (run / "log.jsonl").read_text().splitlines() if "search" in json.loads(line)
    ]
    assert set(log[-1]) == {"largest", "smallest"}
    lines = [json.loads(line) for line in (run / "candidates.jsonl").read_text().splitlines()]
    assert [len(line["scores"]) for line in lines] == [3] * 6
    assert all(line["scores"][1] == line["cost"]["macs"] and 0 < line["scores"][2] < 1e4 for line in lines)
    assert {line["images"] for line in lines} == {3, 4}  # a kernel distance needs three
