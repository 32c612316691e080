"""Shared parts of the benchmark scripts: arguments, resumable runs, interleaved timing, and figures with their machine."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from pocketgan.pipeline.common import processor
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.load_generator import load
from pocketgan.pipeline.train import train
from pocketgan.pruning.elastic import Elastic
from pocketgan.report.comparison import over_seeds
from pocketgan.report.read import read_runs
from pocketgan.utils.progress import ConsoleReporter

PACKAGES = ("pocketgan", "torch", "numpy", "onnxruntime")
"""Packages whose versions matter to runs of training and evaluation."""
SETTINGS = (
    *("task", "arch", "arch_options", "training", "recovery", "search"),
    *("method_options", "objective_options", "weights"),
)
"""Fields of a configuration that are published."""


def parse(description: str | None, *paths: str, threads: int = 1, **options: str | int | float | None) -> argparse.Namespace:
    """Command-line arguments: ``paths`` (with ``...`` several), ``options`` with their defaults, ``--threads`` and ``--out``.

    The number of threads is set. The help is ``description``, the docstring of the script.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for path in paths:
        parser.add_argument(path.removesuffix("..."), nargs="+" if path.endswith("...") else None)
    for name, default in {**options, "threads": threads}.items():
        parser.add_argument(f"--{name}", type=str if default is None else type(default), default=default)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    return arguments


def train_run(config: TrainConfig, out: Path) -> Path:
    """Train, or resume or skip a training that was begun; the folder of the run."""
    train(config, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())
    return out


def compare_runs(config: CompareConfig, out: Path) -> tuple[list[Path], list[str]]:
    """Run a comparison, or resume or skip it; folders of the finished runs, and the failures."""
    return compare(config, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())


def load_supernet(run: Path, config: CompressConfig) -> Elastic:
    """Supernet with the shared weights of a run that has searched."""
    elastic = Elastic(load(config.teacher).model)
    tensors = load_file(run / "searched.safetensors")
    elastic.load_state_dict({key.removeprefix("G/"): value for key, value in tensors.items() if key.startswith("G/")})
    return elastic.requires_grad_(False)


def interleaved(runs: Mapping[str, Callable[[], object]], *, rounds: int, warmup: int = 3) -> dict[str, float]:
    """Median seconds of each function; every round calls all of them, so that noise affects all alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(warmup + rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if index >= warmup:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def sqrtm_distance(a: NDArray[Any], s: NDArray[Any], b: NDArray[Any], t: NDArray[Any]) -> float:
    """Fréchet distance as published, of means ``a``, ``b`` and covariances ``s``, ``t``, by scipy's root of their product."""
    import scipy.linalg

    gap, root = a - b, scipy.linalg.sqrtm(s @ t).real
    return float(gap @ gap + np.trace(s) + np.trace(t) - 2 * np.trace(root))


def publish(
    benchmark: str, figures: Mapping[str, Any], out: Path | None, *, packages: tuple[str, ...] = ("torch", "numpy")
) -> None:
    """Print one JSON object with the figures, the machine and the versions, and write it to ``out``."""
    facts = {
        "benchmark": benchmark,
        "cpu": processor(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        **figures,
    }
    text = json.dumps(facts, indent=2)
    print(text)
    if out:
        out.write_text(text + "\n")


def figures(run: Path) -> dict[str, Any]:
    """Figures and settings of a run of `train` or `compress`, without images and paths."""
    result = json.loads((run / "result.json").read_text())
    config = json.loads((run / "config.json").read_text())
    kept = {
        key: result[key] for key in ("method", "variant", "objective", "seed", "budget", "export", "seconds") if key in result
    }
    kept |= {key: config[key] for key in SETTINGS if key in config}
    for name in ("generator", "teacher", "student"):
        if name in result:
            kept[name] = {key: result[name][key] for key in ("params", "macs", "macs_paper", "quality", "spread", "latency_ms")}
    widths = {"widths": result["widths"]["student"]} if "widths" in result else {}
    return kept | widths | {name: result[name] for name in ("input", "real") if name in result}


def seed_table(runs: Sequence[Path]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds, as in the report."""
    table = over_seeds(list(read_runs(runs)))
    return {"columns": list(table.columns), "rows": [[c.text for c in row] for row in table.rows]} if table else {}
