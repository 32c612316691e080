"""Quality and latency of a foreign generator at a tenth of its exact MACs by several methods (johnson128 protocol).

python benchmarks/johnson128.py FILE.py:FACTORY WEIGHTS[,WEIGHTS...] HORSE2ZEBRA_FOLDER FEATURES.onnx RUNS_FOLDER
    [--search 100] [--steps 250] [--methods uniform,magnitude,dmad,gan-compression,cat] [--threads 1] [--out FILE]

The five methods took 55 minutes for each of WEIGHTS on one core, with 100 + 300 steps. The teacher is a style-transfer network
(Johnson et al. 2016) in plain PyTorch. Students are trained on trainA at 128 x 128 by the teacher's images alone, and
evaluated on testA against the teacher's images. All methods have the same total of steps. Latency is measured in ONNX Runtime
and in PyTorch, teacher and student interleaved. The same command resumes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from _common import PACKAGES, compare_runs, figures, parse, publish
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.methods import METHODS
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.pipeline.config import CompressConfig
from pocketgan.training.config import TrainingConfig


def settings(arguments: argparse.Namespace, weights: str, method: str) -> CompareConfig:
    """Configuration of one method: batch 4; the losses are distances to the teacher's images and features."""
    learns = METHODS[method].learns and method != "cat"  # cat needs no search for this teacher, whose norms have scales
    steps = arguments.steps if learns else arguments.search + arguments.steps
    recovery = TrainingConfig(steps=steps, batch=4, lr=arguments.lr, sample_every=0)
    base = CompressConfig(
        teacher=f"{arguments.factory}@{weights}",
        data=DataConfig(path=arguments.data, size=128, workers=0),
        task="inputs",
        recovery=recovery,
        search=replace(recovery, steps=arguments.search),
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )
    return CompareConfig(base=base, methods=(method,), budgets=("10x",), seeds=1)


def main() -> None:
    methods = "uniform,magnitude,dmad,gan-compression,cat"
    arguments = parse(
        __doc__, "factory", "weights", "data", "features", "runs", search=100, steps=250, lr=5e-4, methods=methods
    )
    found, failures = {}, list[str]()
    for weights in arguments.weights.split(","):
        done = list[Path]()
        for method in arguments.methods.split(","):
            out = Path(arguments.runs) / Path(weights).stem / method
            config = settings(arguments, weights, method)
            runs, failed = compare_runs(config, out)
            done += runs
            failures += failed
        found[Path(weights).stem] = [figures(run) for run in done]
    publish(
        "johnson128",
        {"search_steps": arguments.search, "steps": arguments.steps, "failures": failures, "runs": found},
        arguments.out,
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main()
