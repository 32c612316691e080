"""The johnson128 protocol: a generator of somebody else, inputs only, 128 x 128, every method at a tenth of its exact MACs.

python benchmarks/johnson128.py FILE.py:FACTORY WEIGHTS[,WEIGHTS...] HORSE2ZEBRA_FOLDER FEATURES.onnx RUNS_FOLDER
    [--search 100] [--steps 250] [--methods uniform,magnitude,dmad,gan-compression,cat] [--threads 1] [--out FILE]

The students see trainA alone and learn from the teacher's images; they are evaluated on testA by their likeness to those. The
teacher is a fast style-transfer network (Johnson et al. 2016) in plain PyTorch. All methods have the same total of steps.
Latency is measured in ONNX Runtime and in PyTorch, teacher and student interleaved. Resumable: the same command goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from _common import figures, publish
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.methods import METHODS
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.config import CompressConfig
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.progress import ConsoleReporter


def settings(arguments: argparse.Namespace, weights: str, method: str) -> CompareConfig:
    """Batch 4; the likeness to the teacher's images and layers is all there is to learn."""
    learns = METHODS[method].learns and method != "cat"  # this teacher's norms have scales: cat only looks at them
    steps = arguments.steps if learns else arguments.search + arguments.steps
    fit = TrainingConfig(steps=steps, batch=4, lr=arguments.lr, sample_every=0)
    base = CompressConfig(
        teacher=f"{arguments.factory}@{weights}",
        data=DataConfig(path=arguments.data, size=128, workers=0),
        task="inputs",
        recovery=fit,
        search=replace(fit, steps=arguments.search),
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )
    return CompareConfig(base=base, methods=(method,), budgets=("10x",), seeds=1)


def main() -> None:
    """Run what is not yet done, and publish all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("factory", "weights", "data", "features", "runs"):
        parser.add_argument(name)
    parser.add_argument("--search", type=int, default=100)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--methods", default="uniform,magnitude,dmad,gan-compression,cat")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found, failures = {}, list[str]()
    for weights in arguments.weights.split(","):
        done = list[Path]()
        for method in arguments.methods.split(","):
            out = Path(arguments.runs) / Path(weights).stem / method
            config = settings(arguments, weights, method)
            runs, failed = compare(config, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())
            done += runs
            failures += failed
        found[Path(weights).stem] = [figures(run) for run in done]
    publish(
        "johnson128",
        {"search_steps": arguments.search, "steps": arguments.steps, "failures": failures, "runs": found},
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
