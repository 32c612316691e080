"""Quality of the quickstart's student and of the same small network trained without a teacher, three seeds each.

python benchmarks/quickstart.py RUNS_FOLDER [--threads 2] [--out FILE]

The six runs took 29 minutes on two cores, after `pocketgan quickstart`, whose teacher in runs/quickstart is used. The same
command resumes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from _common import PACKAGES, compare_runs, figures, parse, publish, seed_table
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.recipes.quickstart import student


def main() -> None:
    arguments = parse(__doc__, "runs", threads=2)
    root = Path(arguments.runs)
    runs = []
    distilled = student()
    # Fresh weights are trained for as long as the student searches and recovers.
    recovery = replace(distilled.recovery, steps=distilled.search.steps + distilled.recovery.steps)
    scratch = replace(distilled, objective="none", weights="fresh", recovery=recovery, search_objective=distilled.objective)
    for name, base in {"distilled": distilled, "scratch": scratch}.items():
        config = CompareConfig(base=base, methods=(base.method,), budgets=(base.budget,), seeds=3)
        done, failures = compare_runs(config, root / name)
        assert not failures, failures
        runs += done
    table = seed_table(runs)
    publish(
        "quickstart",
        {"over_seeds": table, "runs": [figures(run) for run in runs]},
        arguments.out,
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main()
