"""The maps64 protocol: map -> aerial photo at 64 x 64, every method at a tenth of the teacher's exact MACs, several seeds.

python benchmarks/maps64.py TEACHER.pth MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--steps 2000] [--seeds 3] [--out FILE]

TEACHER.pth: a pix2pix ResNet-9 of ngf 32 for 64 x 64, its discriminator beside it. Resumable: the same command goes on.
Beside the methods stands the same small network (uniform widths) with fresh weights and no teacher.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from _common import publish
from pocketgan.core.progress import ConsoleReporter
from pocketgan.data.config import DataConfig
from pocketgan.evaluate import JudgeConfig
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.config import CompressConfig
from pocketgan.report.comparison import over_seeds
from pocketgan.report.read import read_runs
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


def figures(run: Path) -> dict[str, Any]:
    """What is kept of a run: figures only, no pictures."""
    result = json.loads((run / "result.json").read_text())
    kept = {key: result[key] for key in ("method", "objective", "seed", "budget", "export", "seconds")}
    for name in ("teacher", "student"):
        kept[name] = {key: result[name][key] for key in ("params", "macs", "macs_paper", "quality", "latency_ms")}
    return kept | {"widths": result["widths"]["student"], "input": result["input"]}


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
    table = over_seeds(list(read_runs([*taught, *alone])))
    rows = [[cell.text for cell in row] for row in table.rows] if table else []
    publish(
        "maps64",
        {
            "steps": arguments.steps,
            "seeds": arguments.seeds,
            "over_seeds": {"columns": list(table.columns) if table else [], "rows": rows},
            "runs": [figures(run) for run in [*taught, *alone]],
        },
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
