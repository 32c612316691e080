"""Images from numbers: a teacher, and DMAD students beside a uniform one, on cats64 (SAGAN) or cifar10 (StyleGAN2).

python benchmarks/latents.py cats64|cifar10 FOLDER FEATURES.onnx RUNS_FOLDER
    [--teacher 2500] [--search 300] [--steps 700] [--generated 2000] [--threads 1] [--out FILE]

Every student is shown the latents (and the noise) that its teacher is shown. Distances are between images of so many latents
and the real images of the folder's test part, where it has one, else all of them. All methods have the same total of steps.
Resumable: the same command goes on.
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
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.train import train
from pocketgan.tasks import LatentConfig
from pocketgan.training.config import SAGAN, STYLEGAN2
from pocketgan.utils.files import read_json
from pocketgan.utils.progress import ConsoleReporter

BUDGETS = {"1.5x": ("dmad",), "4x": ("dmad", "uniform")}


def teacher(name: str, data: DataConfig, evaluation: EvaluationConfig, steps: int) -> TrainConfig:
    """A quarter as wide as published, or an eighth, for two processor cores; a mean of the weights is kept."""
    own = replace(data, size=64 if name == "cats64" else 32, flip=True)
    task = TrainConfig(task="unconditional", data=own, evaluation=evaluation)
    if name == "cats64":
        # So short a training has no time for a discriminator that runs ahead, nor for a long mean.
        fit = replace(SAGAN, steps=steps, batch=16, lr=2e-4, lr_discriminator=2e-4, betas=(0.0, 0.99), sample_every=250)
        options = {"ngf": 16}
        return replace(
            task,
            arch="sagan",
            arch_options=options,
            discriminator_options={"ndf": 16},
            latents=LatentConfig(average=0.5),
            training=fit,
        )
    widths = {"channel_base": 1024, "channel_max": 64}
    return replace(
        task,
        arch="stylegan2",
        arch_options={**widths, "latent": 64, "style": 64, "mapping": 2},
        discriminator_options=widths,
        latents=LatentConfig(r1=0.01, average=2.0),
        training=replace(STYLEGAN2, steps=steps, batch=16, sample_every=500),
    )


def student(made: TrainConfig, file: Path, method: str, arguments: argparse.Namespace) -> CompressConfig:
    """Output, co-attention with the teacher's discriminator, and its layers, as DMAD was published for these two."""
    learns = METHODS[method].learns
    fit = replace(made.training, steps=arguments.steps if learns else arguments.search + arguments.steps, decay="linear")
    return CompressConfig(
        teacher=str(file),
        data=made.data,
        task="unconditional",
        objective="output+coattention+discriminator",
        recovery=fit,
        search=replace(fit, steps=arguments.search, decay="none"),
        latents=made.latents,
        evaluation=made.evaluation,
    )


def main() -> None:
    """Run what is not yet done, and publish all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("cats64", "cifar10"))
    for name in ("data", "features", "runs"):
        parser.add_argument(name)
    for name, default in (("teacher", 2500), ("search", 300), ("steps", 700), ("generated", 2000), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    evaluation = EvaluationConfig(features=arguments.features, generated=arguments.generated, batch=50)
    data, runs = DataConfig(path=arguments.data, workers=0), Path(arguments.runs)
    made = teacher(arguments.name, data, evaluation, arguments.teacher)
    train(made, runs / "teacher", resume=(runs / "teacher" / "config.json").exists(), reporter=ConsoleReporter())
    done, failures = list[Path](), list[str]()
    for budget, methods in BUDGETS.items():
        for method in methods:
            base = student(made, runs / "teacher" / "generator.safetensors", method, arguments)
            out = runs / f"{method}-{budget}"
            config = CompareConfig(base=base, methods=(method,), budgets=(budget,))
            finished, failed = compare(config, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())
            done += finished
            failures += failed
    publish(
        f"latents-{arguments.name}",
        {
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
