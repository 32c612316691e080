"""The maps64 protocol: map -> aerial photo at 64 x 64, every method at a tenth of the teacher's exact MACs, several seeds.

python benchmarks/maps64.py TEACHER.pth MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--search 2000] [--steps 4000] [--seeds 3]
    [--methods uniform,magnitude,slimming,sss,dmad] [--out FILE]

TEACHER.pth: a pix2pix ResNet-9 of ngf 32 for 64 x 64, its discriminator beside it. All methods have the same total of steps:
those that do not learn where to cut recover for as long as the others search and recover. Resumable: the same command goes on.
Beside the methods stands the same small network (uniform widths) with fresh weights and no teacher (``untaught``).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from _common import figures, maps64_arguments, publish, seed_table
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.methods import METHODS
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.config import CompressConfig
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.progress import ConsoleReporter

UNTAUGHT = "untaught"


def settings(arguments: argparse.Namespace, method: str) -> CompareConfig:
    """Batch 4, hinge, L1 weight 10 (the teacher's own)."""
    learns = method in METHODS and METHODS[method].learns
    steps = arguments.steps if learns else arguments.search + arguments.steps
    fit = TrainingConfig(steps=steps, batch=4, weights={"l1": 10.0}, sample_every=0)
    base = CompressConfig(
        teacher=arguments.teacher,
        data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=0),
        recovery=fit,
        search=replace(fit, steps=arguments.search),
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )
    if method == UNTAUGHT:
        base = replace(base, objective="none", weights="fresh")
    name = "uniform" if method == UNTAUGHT else method
    return CompareConfig(base=base, methods=(name,), budgets=("10x",), seeds=arguments.seeds)


def landing(run: Path) -> float:
    """The part of the budget that a student uses."""
    budget = json.loads((run / "result.json").read_text())["budget"]
    return float(budget["reached"] / budget["limit"])


def main() -> None:
    """Run what is not yet done, seed after seed, and publish all of it."""
    parser = maps64_arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", default="uniform,magnitude,slimming,sss,dmad,untaught")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    root, done, failures = Path(arguments.runs), list[Path](), list[str]()
    for seeds in range(1, arguments.seeds + 1):
        done, failures = [], []
        for method in arguments.methods.split(","):
            config = replace(settings(arguments, method), seeds=seeds)
            out = root / method
            runs, failed = compare(config, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())
            done += runs
            failures += failed
    publish(
        "maps64",
        {
            "search_steps": arguments.search,
            "steps": arguments.steps,
            "seeds": arguments.seeds,
            "over_seeds": seed_table(done),
            "failures": failures,
            "landings": {f"{run.parent.name}/{run.name}": landing(run) for run in done},
            "runs": [figures(run) for run in done],
        },
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
