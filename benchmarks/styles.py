"""Quality of images in many styles: a small MUNIT on the built-in shapes, and GAN Compression of it.

python benchmarks/styles.py RUNS_FOLDER [--features FEATURES.onnx] [--size 32] [--teacher 1200] [--search 300] [--steps 400]
    [--threads 1] [--out FILE]

The teacher took 40 and two students 51 minutes on one core. The backgrounds of the target images differ and the input does not
determine them: the style does. The fast pipeline searches in the teacher's widths by evolution. The same command resumes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from _common import PACKAGES, compare_runs, figures, parse, publish, train_run
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.training.config import MUNIT
from pocketgan.utils.files import read_json

BUDGETS = ("4x", "10x")


def main() -> None:
    arguments = parse(__doc__, "runs", features=None, size=32, teacher=1200, search=300, steps=400)
    runs, data = Path(arguments.runs), DataConfig(path="shapes", size=arguments.size, workers=0)
    evaluation = EvaluationConfig(features=arguments.features, batch=50)
    training = replace(MUNIT, steps=arguments.teacher, batch=4, lr=4e-4, decay="linear")
    made = TrainConfig(
        task="multimodal",
        data=data,
        arch="munit",
        arch_options={"ngf": 16, "blocks": 2, "mlp": 64},
        discriminator_options={"ndf": 16, "scales": 2, "layers": 3},
        training=training,
        evaluation=evaluation,
    )
    train_run(made, runs / "teacher")
    base = CompressConfig(
        teacher=str(runs / "teacher" / "generator_A.safetensors"),
        data=data,
        task="multimodal",
        method="gan-compression",
        method_options={"strategy_options": {"population": 20}, "candidates": 200},
        objective="output+features",
        recovery=replace(training, steps=arguments.steps),
        search=replace(training, steps=arguments.search, decay="none"),
        evaluation=evaluation,
    )
    config = CompareConfig(base=base, methods=(base.method,), budgets=BUDGETS)
    done, failures = compare_runs(config, runs / "students")
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
        arguments.out,
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main()
