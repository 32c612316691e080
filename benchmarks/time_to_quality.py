"""PSNR to the teacher by CPU seconds from the command to the student, for the ideas of the recovery added in turn.

python benchmarks/time_to_quality.py FILE.py:FACTORY@WEIGHTS IMAGES_FOLDER RUNS_FOLDER [--recipes before,reconstruction,...]
    [--seconds 600] [--seeds 1] [--budget 10x] [--size 128] [--threads 1] [--out FILE]

Protocol vintage128: the CycleGAN generator of the package vintagify 0.1.2 (ResNet-9, ngf 64), images of horse2zebra's trainA at
128 x 128, evaluated on testA. Each run is `pocketgan compress` in a process of its own; its CPU seconds up to the student count
everything: start, selection, teacher, reconstruction, training. Steps are chosen so that the run takes about ``--seconds``. A
finished run is not repeated.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from _common import PACKAGES, parse, publish

FIELDS = ("recovery.sample_every=0", "data.workers=0", "evaluation.repeats=10")
SCHEDULE = (
    *("recovery.muon=1e-3", "recovery.lr=5e-4", "recovery.warmup=30", "recovery.decay=cosine", "recovery.betas=[0.9,0.99]"),
    "recovery.precision=bf16",
)
RECIPES: dict[str, tuple[str, str, int, int, tuple[str, ...]]] = {
    "before": ("uniform", "output+features", 4, 700, ("weights=inherit", "cache=0")),
    "reconstruction": ("uniform", "output", 4, 700, ("cache=0",)),
    "cache": ("uniform", "output", 4, 1600, ()),
    "schedule": ("uniform", "output", 2, 4200, SCHEDULE),
    "allocation": ("allocation", "output", 2, 2800, (*SCHEDULE, "method_options.candidates=16")),
}
"""Method, objective, batch, steps of ten minutes, and fields."""


def run(arguments: Any, recipe: str, seed: int) -> dict[str, Any]:
    """Row of one run: CPU seconds of the command up to the student, and the quality of what it made."""
    method, objective, batch, most, fields = RECIPES[recipe]
    out, steps = Path(arguments.runs) / f"{recipe}-{arguments.seconds}-s{seed}", round(most * arguments.seconds / 600)
    common = {"data": arguments.data, "out": out, "task": "inputs", "size": arguments.size, "budget": arguments.budget}
    settings = {"method": method, "objective": objective, "batch": batch, "steps": steps, "seed": seed}
    flags = common | settings
    words = [*(f"--{name}={value}" for name, value in flags.items()), *fields, *FIELDS]
    command = [sys.executable, "-W", "ignore", "-m", "pocketgan", "compress", arguments.teacher]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    spent = out.with_suffix(".json")
    if not spent.exists():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "--to=recover", *words], check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.write_text(json.dumps(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    if not (out / "report.html").exists():
        subprocess.run([*command, "--resume", *words], check=True, env=environment)
    result = json.loads((out / "result.json").read_text())
    quality = {name: round(value, 4) for name, value in result["student"]["quality"].items() if name.endswith("_to_teacher")}
    return {
        "recipe": recipe,
        "budget": arguments.budget,
        **settings,
        "cpu_seconds": round(json.loads(spent.read_text()), 1),
        "reconstructed": round(result.get("reconstruction", {}).get("reconstructed", 0.0), 2) or None,
        "macs_ratio": round(result["teacher"]["macs"] / result["student"]["macs"], 2),
        **quality,
    }


def main() -> None:
    arguments = parse(
        __doc__, "teacher", "data", "runs", recipes=",".join(RECIPES), seconds=600, seeds=1, budget="10x", size=128
    )
    rows = [run(arguments, name, seed) for seed in range(arguments.seeds) for name in arguments.recipes.split(",")]
    publish("time_to_quality", {"protocol": "vintage128", "runs": rows}, arguments.out, packages=PACKAGES)


if __name__ == "__main__":
    main()
