"""DMAD's tables II to VII on the maps64 protocol, one seed: mask, group rule, components, fusion, discriminators.

python benchmarks/dmad_ablations.py TEACHER.pth MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--search 2000] [--steps 4000]
    [--out FILE]

The variants are those of `pocketgan recipes dmad-ablations`. Resumable: the same command goes on. With ``--minutes`` no run
is begun after that time: what is whole by then is published.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from _common import figures, publish
from pocketgan.core.progress import ConsoleReporter
from pocketgan.evaluate import JudgeConfig
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.recipes import RECIPES


def main() -> None:
    """Run what is not yet done, variant after variant, and publish all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name in ("teacher", "data", "features", "runs"):
        parser.add_argument(name)
    parser.add_argument("--search", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = RECIPES["dmad-ablations"]()
    assert isinstance(recipe, CompareConfig)
    base = replace(
        recipe.base,
        teacher=arguments.teacher,
        data=replace(recipe.base.data, path=arguments.data, workers=0),
        fit=replace(recipe.base.fit, steps=arguments.steps, sample_every=0),
        search=replace(recipe.base.search, steps=arguments.search, sample_every=0),
        judge=JudgeConfig(features=arguments.features, batch=20),
    )
    out, began, done, failures = Path(arguments.runs), time.monotonic(), list[Path](), list[str]()
    for count in range(1, len(recipe.variants) + 1):
        whole = out / "report.html"
        if time.monotonic() - began > 60 * arguments.minutes and whole.exists():
            break
        some = replace(recipe, base=base, variants=dict(list(recipe.variants.items())[:count]), seeds=1)
        done, failures = compare(some, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())
    publish(
        "dmad_ablations",
        {
            "search_steps": arguments.search,
            "steps": arguments.steps,
            "planned": list(recipe.variants),
            "failures": failures,
            "runs": [figures(run) for run in done],
        },
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
