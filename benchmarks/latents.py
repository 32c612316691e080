"""Quality of images from latents: a teacher, DMAD students and a uniform one, on cats64 (SAGAN) or cifar10 (StyleGAN2).

python benchmarks/latents.py cats64|cifar10 FOLDER FEATURES.onnx RUNS_FOLDER
    [--teacher 2500] [--search 300] [--steps 700] [--generated 2000] [--threads 1] [--out FILE]

On cats64 the teacher took 12 minutes for 1,000 steps and three students 20 for 60 + 200 steps, on one core. Every student has
the latents and the noise of its teacher. Distances are between as many generated images and the real images of the folder's
test split, or all of them without one. All methods have the same total of steps. The same command resumes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from _common import PACKAGES, compare_runs, figures, parse, publish, train_run
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.methods import METHODS
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.tasks import LatentConfig
from pocketgan.training.config import SAGAN, STYLEGAN2
from pocketgan.utils.files import read_json

BUDGETS = {"1.5x": ("dmad",), "4x": ("dmad", "uniform")}


def teacher(name: str, data: DataConfig, evaluation: EvaluationConfig, steps: int) -> TrainConfig:
    """Teacher with a quarter or an eighth of the published widths, for two processor cores, and averaged weights."""
    data = replace(data, size=64 if name == "cats64" else 32, flip=True)
    task = TrainConfig(task="unconditional", data=data, evaluation=evaluation)
    if name == "cats64":
        # So short a training needs a discriminator that is not faster than the generator, and a short average.
        training = replace(SAGAN, steps=steps, batch=16, lr=2e-4, lr_discriminator=2e-4, betas=(0.0, 0.99), sample_every=250)
        return replace(
            task,
            arch="sagan",
            arch_options={"ngf": 16},
            discriminator_options={"ndf": 16},
            latents=LatentConfig(average=0.5),
            training=training,
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
    """Student with DMAD's published objectives for these networks, and the distance to the teacher's images."""
    learns = METHODS[method].learns
    recovery = replace(made.training, steps=arguments.steps if learns else arguments.search + arguments.steps, decay="linear")
    return CompressConfig(
        teacher=str(file),
        data=made.data,
        task="unconditional",
        objective="output+coattention+discriminator",
        recovery=recovery,
        search=replace(recovery, steps=arguments.search, decay="none"),
        latents=made.latents,
        evaluation=made.evaluation,
    )


def main() -> None:
    arguments = parse(__doc__, "name", "data", "features", "runs", teacher=2500, search=300, steps=700, generated=2000)
    if arguments.name not in ("cats64", "cifar10"):
        raise SystemExit(f"no such data set: {arguments.name}; there are cats64 and cifar10")
    evaluation = EvaluationConfig(features=arguments.features, generated=arguments.generated, batch=50)
    data, runs = DataConfig(path=arguments.data, workers=0), Path(arguments.runs)
    made = teacher(arguments.name, data, evaluation, arguments.teacher)
    train_run(made, runs / "teacher")
    done, failures = list[Path](), list[str]()
    for budget, methods in BUDGETS.items():
        for method in methods:
            base = student(made, runs / "teacher" / "generator.safetensors", method, arguments)
            out = runs / f"{method}-{budget}"
            config = CompareConfig(base=base, methods=(method,), budgets=(budget,))
            finished, failed = compare_runs(config, out)
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
        arguments.out,
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main()
