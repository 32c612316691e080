"""What the benchmark scripts share: interleaved timing, and where and with what a figure was made."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pocketgan.pipeline.common import processor
from pocketgan.report.comparison import over_seeds
from pocketgan.report.read import read_runs


def interleaved(runs: Mapping[str, Callable[[], object]], *, rounds: int, warmup: int = 3) -> dict[str, float]:
    """Median seconds of each, all run in turn round after round, so that noise hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(warmup + rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if index >= warmup:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def maps64_arguments(description: str) -> argparse.ArgumentParser:
    """What every script on the maps64 protocol is told; the steps are the protocol's."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    for name in ("teacher", "data", "features", "runs"):
        parser.add_argument(name)
    parser.add_argument("--search", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    return parser


def publish(benchmark: str, figures: Mapping[str, Any], *, packages: tuple[str, ...] = ("torch", "numpy")) -> None:
    """Print one JSON object with the figures, the machine and the versions; with ``--out FILE`` write it too."""
    found = {
        "benchmark": benchmark,
        "cpu": processor(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        **figures,
    }
    text = json.dumps(found, indent=2)
    print(text)
    if "--out" in sys.argv:
        Path(sys.argv[sys.argv.index("--out") + 1]).write_text(text + "\n")


def figures(run: Path) -> dict[str, Any]:
    """What is kept of a run of `train` or `compress`: figures and settings, no images and no paths."""
    result = json.loads((run / "result.json").read_text())
    config = json.loads((run / "config.json").read_text())
    kept = {
        key: result[key] for key in ("method", "variant", "objective", "seed", "budget", "export", "seconds") if key in result
    }
    chosen = (
        "task",
        "arch",
        "arch_options",
        "training",
        "recovery",
        "search",
        "method_options",
        "objective_options",
        "weights",
    )
    kept |= {key: config[key] for key in chosen if key in config}
    for name in ("generator", "teacher", "student"):
        if name in result:
            kept[name] = {key: result[name][key] for key in ("params", "macs", "macs_paper", "quality", "spread", "latency_ms")}
    widths = {"widths": result["widths"]["student"]} if "widths" in result else {}
    return kept | widths | {name: result[name] for name in ("input", "real") if name in result}


def seed_table(runs: Sequence[Path]) -> dict[str, Any]:
    """Mean and spread over the seeds, as the report shows them."""
    table = over_seeds(list(read_runs(runs)))
    return {"columns": list(table.columns), "rows": [[c.text for c in row] for row in table.rows]} if table else {}
