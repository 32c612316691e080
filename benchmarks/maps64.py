"""Quality of methods at a tenth of the teacher's exact MACs: map -> aerial photo at 64 x 64 (maps64 protocol), several seeds.

python benchmarks/maps64.py TEACHER.pth MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--search 2000] [--steps 4000] [--seeds 3]
    [--methods uniform,magnitude,slimming,sss,dmad,scratch] [--threads 2] [--out FILE]

14 runs of 250 + 350 steps took 174 minutes on one core. TEACHER.pth: a pix2pix ResNet-9 of ngf 32 for 64 x 64, its
discriminator beside it. All methods have the same total of steps: those without a search recover for as long as the others
search and recover. ``scratch`` is the network of ``uniform`` with fresh weights and without a teacher. The same command
resumes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from _common import PACKAGES, compare_runs, figures, parse, publish, seed_table
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.methods import METHODS
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.pipeline.config import CompressConfig
from pocketgan.training.config import TrainingConfig

SCRATCH = "scratch"


def settings(arguments: argparse.Namespace, method: str) -> CompareConfig:
    """Configuration of one method: batch 4, hinge, L1 weight 10, as for the teacher."""
    learns = method in METHODS and METHODS[method].learns
    steps = arguments.steps if learns else arguments.search + arguments.steps
    recovery = TrainingConfig(steps=steps, batch=4, weights={"l1": 10.0}, sample_every=0)
    base = CompressConfig(
        teacher=arguments.teacher,
        data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=0),
        recovery=recovery,
        search=replace(recovery, steps=arguments.search),
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )
    if method == SCRATCH:
        base = replace(base, objective="none", weights="fresh")
    name = "uniform" if method == SCRATCH else method
    return CompareConfig(base=base, methods=(name,), budgets=("10x",), seeds=arguments.seeds)


def budget_used(run: Path) -> float:
    """Part of the budget that a student uses."""
    budget = json.loads((run / "result.json").read_text())["budget"]
    return float(budget["reached"] / budget["limit"])


def main() -> None:
    methods = "uniform,magnitude,slimming,sss,dmad,scratch"
    arguments = parse(
        __doc__, "teacher", "data", "features", "runs", threads=2, search=2000, steps=4000, seeds=3, methods=methods
    )
    root, done, failures = Path(arguments.runs), list[Path](), list[str]()
    for seeds in range(1, arguments.seeds + 1):
        done, failures = [], []
        for method in arguments.methods.split(","):
            config = replace(settings(arguments, method), seeds=seeds)
            runs, failed = compare_runs(config, root / method)
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
            "landings": {f"{run.parent.name}/{run.name}": budget_used(run) for run in done},
            "runs": [figures(run) for run in done],
        },
        arguments.out,
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main()
