"""The maps64 protocol: map -> aerial photo at 64 x 64, every method at a tenth of the teacher's exact MACs, several seeds.

python benchmarks/maps64.py TEACHER.pth MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--steps 2000] [--seeds 3] [--out FILE]

TEACHER.pth: a pix2pix ResNet-9 of ngf 32 for 64 x 64, its discriminator beside it. Resumable: the same command goes on.
Beside the methods stands the same small network (uniform widths) with fresh weights and no teacher.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from _common import figures, publish, seed_table
from pocketgan.core.progress import ConsoleReporter
from pocketgan.data.config import DataConfig
from pocketgan.evaluate import JudgeConfig
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.config import CompressConfig
from pocketgan.train.config import FitConfig


def settings(arguments: argparse.Namespace) -> CompareConfig:
    """Batch 4, hinge, L1 weight 10 (the teacher's own); recovery alone, as neither method learns where to cut."""
    base = CompressConfig(
        teacher=arguments.teacher,
        data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=1),
        fit=FitConfig(steps=arguments.steps, batch=4, weights={"recon": 10.0}, sample_every=0),
        judge=JudgeConfig(features=arguments.features, batch=20),
    )
    return CompareConfig(base=base, methods=("uniform", "magnitude"), budgets=("10x",), seeds=arguments.seeds)


def untaught(config: CompareConfig) -> CompareConfig:
    """The same widths as uniform, from fresh weights, against the truth alone."""
    base = replace(config.base, objective="none", weights="fresh")
    return replace(config, base=base, methods=("uniform",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name in ("teacher", "data", "features", "runs"):
        parser.add_argument(name)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    config, root = settings(arguments), Path(arguments.runs)
    taught, _ = compare(config, root / "taught", resume=(root / "taught/config.json").exists(), reporter=ConsoleReporter())
    alone, _ = compare(
        untaught(config), root / "untaught", resume=(root / "untaught/config.json").exists(), reporter=ConsoleReporter()
    )
    publish(
        "maps64",
        {
            "steps": arguments.steps,
            "seeds": arguments.seeds,
            "over_seeds": seed_table([*taught, *alone]),
            "runs": [figures(run) for run in [*taught, *alone]],
        },
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
