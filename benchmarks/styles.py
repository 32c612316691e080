"""Images in many styles: a small MUNIT from line drawings to generateings (the built-in shapes), and GAN Compression of it.

python benchmarks/styles.py RUNS_FOLDER [--features FEATURES.onnx] [--size 32] [--teacher 1200] [--search 300] [--steps 400]
    [--threads 1] [--out FILE]

The backgrounds of the generateings differ and no drawing says how: that is what styles are for. The fast pipeline: the
teacher's own widths, searched by evolution. Resumable: the same command goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from _common import figures, publish
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.train import train
from pocketgan.training.config import MUNIT
from pocketgan.utils.files import read_json
from pocketgan.utils.progress import ConsoleReporter

BUDGETS = ("4x", "10x")


def main() -> None:
    """Run what is not yet done, and publish all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs")
    for name, default in (("size", 32), ("teacher", 1200), ("search", 300), ("steps", 400), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--features")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    runs, data = Path(arguments.runs), DataConfig(path="shapes", size=arguments.size, workers=0)
    evaluation = EvaluationConfig(features=arguments.features, batch=50)
    fit = replace(MUNIT, steps=arguments.teacher, batch=4, lr=4e-4, decay="linear")
    made = TrainConfig(
        task="multimodal",
        data=data,
        arch="munit",
        arch_options={"ngf": 16, "blocks": 2, "mlp": 64},
        discriminator_options={"ndf": 16, "scales": 2, "layers": 3},
        training=fit,
        evaluation=evaluation,
    )
    train(made, runs / "teacher", resume=(runs / "teacher" / "config.json").exists(), reporter=ConsoleReporter())
    base = CompressConfig(
        teacher=str(runs / "teacher" / "generator_A.safetensors"),
        data=data,
        task="multimodal",
        method="gan-compression",
        method_options={"strategy_options": {"population": 20}, "candidates": 200},
        objective="output+features",
        recovery=replace(fit, steps=arguments.steps),
        search=replace(fit, steps=arguments.search, decay="none"),
        evaluation=evaluation,
    )
    config = CompareConfig(base=base, methods=(base.method,), budgets=BUDGETS)
    students = runs / "students"
    done, failures = compare(config, students, resume=(students / "config.json").exists(), reporter=ConsoleReporter())
    publish(
        "styles",
        {
            "size": arguments.size,
            "teacher_steps": arguments.teacher,
            "search_steps": arguments.search,
            "steps": arguments.steps,
            "teacher": read_json(runs / "teacher" / "result.json"),
            "failures": failures,
            "runs": [figures(run) for run in done],
        },
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
