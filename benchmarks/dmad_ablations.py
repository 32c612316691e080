"""DMAD's tables II to VII on the maps64 protocol, one seed: mask, group rule, components, fusion, discriminators.

python benchmarks/dmad_ablations.py TEACHER.pth MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--search 2000] [--steps 4000]
    [--out FILE]

The variants are those of `pocketgan recipes dmad-ablations`, in their order. Resumable: the same command goes on. What is whole
before the last one is done can be gathered with collect.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from _common import figures, maps64_arguments, publish
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.recipes import RECIPES
from pocketgan.utils.progress import ConsoleReporter


def main() -> None:
    """Run what is not yet done, variant after variant, and publish all of it."""
    arguments = maps64_arguments(__doc__ or "").parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = RECIPES["dmad-ablations"]()
    assert isinstance(recipe, CompareConfig)
    base = replace(
        recipe.base,
        teacher=arguments.teacher,
        data=replace(recipe.base.data, path=arguments.data, workers=0),
        recovery=replace(recipe.base.recovery, steps=arguments.steps),
        search=replace(recipe.base.search, steps=arguments.search),
        evaluation=EvaluationConfig(features=arguments.features, batch=20),
    )
    out = Path(arguments.runs)
    config = CompareConfig(base=base, methods=recipe.methods, budgets=recipe.budgets, variants=recipe.variants)
    done, failures = compare(config, out, resume=(out / "config.json").exists(), reporter=ConsoleReporter())
    publish(
        "dmad_ablations",
        {"search_steps": arguments.search, "steps": arguments.steps, "failures": failures, "runs": [figures(r) for r in done]},
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
