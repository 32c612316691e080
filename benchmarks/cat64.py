"""Quality of CAT on the maps64 data: an inception teacher, three methods at CAT's published ratio by three objectives.

python benchmarks/cat64.py MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--teacher 3000] [--search 250] [--steps 350] [--seeds 1]
    [--threads 2] [--out FILE]

Eight runs of 150 + 250 steps took 68 minutes on one core, besides the teacher. The teacher (ngf 32, batch norm, PatchGAN ndf
64, hinge, L1 weight 10) is trained into RUNS_FOLDER/teacher. Students have 9.5 times fewer exact MACs, as CAT's map -> aerial
student has (43.5 G to 4.6 G in the literature's count). All have the same total of steps: methods without a search recover for
as long as the others search and recover. Each method runs with its published objective first, and `cat` with fresh weights,
then the rest of the table. The same command resumes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

from _common import PACKAGES, compare_runs, figures, parse, publish, train_run
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.training.config import TrainingConfig

PUBLISHED = {"cat": "kernel-alignment", "dmad": "coattention", "uniform": "features"}
"""Published objective of each method (uniform: GAN Compression's)."""
BUDGET = "9.5x"


def settings(arguments: argparse.Namespace, teacher: Path, method: str, training: TrainingConfig) -> CompressConfig:
    """Settings that the runs of one method share."""
    steps = arguments.steps if method == "dmad" else arguments.search + arguments.steps
    return CompressConfig(
        teacher=str(teacher / "generator.safetensors"),
        data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=0),
        recovery=replace(training, steps=steps),
        search=replace(training, steps=arguments.search),
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )


def main() -> None:
    arguments = parse(__doc__, "data", "features", "runs", threads=2, teacher=3000, search=250, steps=350, seeds=1)
    root = Path(arguments.runs)
    training = TrainingConfig(steps=arguments.teacher, batch=4, weights={"l1": 10.0}, sample_every=0, checkpoint_every=250)
    config = TrainConfig(
        task="paired",
        data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=0),
        arch="inception",
        arch_options={"ngf": 32, "norm": "batch"},
        training=training,
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )
    out = train_run(config, root / "teacher")
    first = [(method, objective, "inherit") for method, objective in PUBLISHED.items()]
    table = [(method, objective, "inherit") for method, objective in product(PUBLISHED, PUBLISHED.values())]
    done, failures = dict[str, Path](), list[str]()
    for method, objective, weights in dict.fromkeys([*first, ("cat", PUBLISHED["cat"], "fresh"), *table]):
        base = settings(arguments, out, method, training)
        chosen = CompareConfig(
            base=base,
            methods=(method,),
            budgets=(BUDGET,),
            objectives=(objective,),
            weights=(weights,),  # type: ignore[arg-type]
            seeds=arguments.seeds,
        )
        folder = root / f"{method}-{objective}-{weights}"
        runs, failed = compare_runs(chosen, folder)
        done |= {f"{folder.name}/{run.name}": run for run in runs}
        failures += failed
        publish(
            "cat64",
            {
                "search_steps": arguments.search,
                "steps": arguments.steps,
                "failures": failures,
                "teacher": figures(out),
                "runs": [{"folder": name, **figures(run)} for name, run in done.items()],
            },
            arguments.out,
            packages=PACKAGES,
        )


if __name__ == "__main__":
    main()
