"""Quality of DMAD's variants (tables II to VII) on the maps64 protocol: mask, group rule, components, fusion, discriminators.

python benchmarks/dmad_ablations.py TEACHER.pth MAPS_FOLDER FEATURES.onnx RUNS_FOLDER [--search 2000] [--steps 4000]
    [--threads 2] [--out FILE]

Nine runs of 250 + 350 steps took 82 minutes on one core, one seed. The variants are those of `pocketgan recipes
dmad-ablations`, in their order. The same command resumes; collect.py publishes the runs that are finished earlier.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from _common import PACKAGES, compare_runs, figures, parse, publish
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.recipes import RECIPES


def main() -> None:
    arguments = parse(__doc__, "teacher", "data", "features", "runs", threads=2, search=2000, steps=4000)
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
    config = CompareConfig(base=base, methods=recipe.methods, budgets=recipe.budgets, variants=recipe.variants)
    done, failures = compare_runs(config, Path(arguments.runs))
    publish(
        "dmad_ablations",
        {"search_steps": arguments.search, "steps": arguments.steps, "failures": failures, "runs": [figures(r) for r in done]},
        arguments.out,
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main()
