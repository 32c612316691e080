"""CAT on the maps64 data: an inception teacher, three methods at CAT's published ratio, each with three objectives.

python benchmarks/cat64.py MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--teacher 3000] [--search 250] [--steps 350] [--seeds 1]
    [--out FILE]

The teacher (ngf 32, batch norm, PatchGAN ndf 64, hinge, L1 weight 10) is trained first, into RUNS_FOLDER/teacher. Students
have 9.5 times fewer exact MACs, as CAT's map -> aerial student has (43.5 G to 4.6 G in its count). All have the same total of
steps: those that do not search recover for as long as the others search and recover. First each method with its own objective,
and `cat` from fresh weights as published, then the rest of the table. Resumable: the same command goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from _common import figures, publish
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.train import train
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.progress import ConsoleReporter

OWN = {"cat": "kernel-alignment", "dmad": "coattention", "uniform": "features"}
"""Each method with the objective that it was published with (uniform: GAN Compression's)."""
BUDGET = "9.5x"


def settings(arguments: argparse.Namespace, teacher: Path, method: str, fit: TrainingConfig) -> CompressConfig:
    """What the runs of one method share."""
    steps = arguments.steps if method == "dmad" else arguments.search + arguments.steps
    return CompressConfig(
        teacher=str(teacher / "generator.safetensors"),
        data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=0),
        recovery=replace(fit, steps=steps),
        search=replace(fit, steps=arguments.search),
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )


def main() -> None:
    """Run what is not yet done, and publish all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("data", "features", "runs"):
        parser.add_argument(name)
    for name, default in (("teacher", 3000), ("search", 250), ("steps", 350), ("seeds", 1), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    root = Path(arguments.runs)
    fit = TrainingConfig(steps=arguments.teacher, batch=4, weights={"l1": 10.0}, sample_every=0, checkpoint_every=250)
    config = TrainConfig(
        task="paired",
        data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=0),
        arch="inception",
        arch_options={"ngf": 32, "norm": "batch"},
        training=fit,
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )
    out = root / "teacher"
    train(config, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())
    own = [(method, objective, "inherit") for method, objective in OWN.items()]
    table = [(method, objective, "inherit") for method, objective in product(OWN, OWN.values())]
    done, failures = dict[str, Path](), list[str]()
    for method, objective, weights in dict.fromkeys([*own, ("cat", OWN["cat"], "fresh"), *table]):
        base = settings(arguments, out, method, fit)
        chosen = CompareConfig(
            base=base,
            methods=(method,),
            budgets=(BUDGET,),
            objectives=(objective,),
            weights=(weights,),  # type: ignore[arg-type]
            seeds=arguments.seeds,
        )
        folder = root / f"{method}-{objective}-{weights}"
        runs, failed = compare(chosen, folder, resume=(folder / "config.json").exists(), reporter=ConsoleReporter())
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
            packages=("pocketgan", "torch", "numpy", "onnxruntime"),
        )


if __name__ == "__main__":
    main()
