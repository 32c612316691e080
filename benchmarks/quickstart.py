"""The quickstart's student beside the same small network trained without a teacher, three seeds each.

python benchmarks/quickstart.py RUNS_FOLDER [--out FILE]

After `pocketgan quickstart`, whose teacher in runs/quickstart is taken. Resumable: the same command goes on.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from _common import figures, publish, seed_table
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.recipes.quickstart import student
from pocketgan.utils.progress import ConsoleReporter


def main() -> None:
    torch.set_num_threads(2)
    root = Path(sys.argv[1])
    runs = []
    own = student()
    # Fresh weights learn for as long as the student searches and recovers.
    alone = replace(
        own, objective="none", weights="fresh", recovery=replace(own.recovery, steps=own.search.steps + own.recovery.steps)
    )
    for name, base in {"taught": own, "untaught": replace(alone, search_objective=own.objective)}.items():
        config = CompareConfig(base=base, methods=(base.method,), budgets=(base.budget,), seeds=3)
        done, failures = compare(config, root / name, resume=(root / name / "config.json").exists(), reporter=ConsoleReporter())
        assert not failures, failures
        runs += done
    table = seed_table(runs)
    publish(
        "quickstart",
        {"over_seeds": table, "runs": [figures(run) for run in runs]},
        packages=("pocketgan", "torch", "numpy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
