"""Rank correlation of the scores of networks with shared weights and of the same networks after their recovery.

python benchmarks/rank_correlation.py RUN FOLDER [--configurations 12] [--window 0.9] [--threads 2] [--out FILE]

RUN is a `compress --method gan-compression` that has searched (``--to prune`` is enough). Of its candidates that use at
least ``--window`` of the budget, so that cost does not explain the order, some are selected evenly from the best to the worst
score. Each is extracted from the supernet and recovered in FOLDER by the run's recovery, and evaluated on the test images
before and after. The duration is that of ``--configurations`` recoveries. The same command resumes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from scipy.stats import bootstrap, spearmanr

from _common import load_supernet, parse, publish
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.config import from_json
from pocketgan.data.images import open_data
from pocketgan.evaluation import evaluate
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.compress import run_stages
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import load
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.selection import prefix, shrink
from pocketgan.utils.progress import ConsoleReporter

LOWER_IS_BETTER = ("score", "kernel", "frechet")


def spread(run: Path, limit: int, window: float, count: int) -> list[dict[str, Any]]:
    """``count`` candidates, evenly from the best to the worst."""
    lines = [json.loads(line) for line in (run / "candidates.jsonl").read_text().splitlines()]
    full = max(line.get("images") or 0 for line in lines)
    complete = [line for line in lines if (line.get("images") or 0) == full and line["cost"]["macs"] >= window * limit]
    ranked = sorted(complete, key=lambda line: line["scores"][0])
    return [ranked[round(k * (len(ranked) - 1) / (count - 1))] for k in range(count)]


def recovered(config: CompressConfig, run: Path, candidate: dict[str, Any], out: Path) -> dict[str, Any]:
    """Score of one candidate, and its quality before and after the recovery."""
    facts = out / "inherited.json"
    if not facts.exists():
        elastic = load_supernet(run, config)
        out.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "searched.safetensors"):
            shutil.copy(run / name, out / name)
        student = shrink(elastic.model, prefix(candidate["widths"]))
        save_artifact(out / "pruned.safetensors", student, size=config.data.shape)
        student = load_artifact(out / "pruned.safetensors").model
        networks = {"teacher": load(config.teacher).model, "student": student}
        test = open_data(config.data, config.task, "test")
        quality = evaluate(networks, test, config.evaluation, device=torch.device("cpu"), teacher="teacher")
        facts.write_text(json.dumps(quality["student"].quality))
    run_stages(config, out, resume=True, reporter=ConsoleReporter())
    done = json.loads((out / "result.json").read_text())["student"]
    return {
        "configuration": candidate["configuration"],
        "macs": done["macs"],
        "score": candidate["scores"][0],
        "inherited": json.loads(facts.read_text()),
        "recovered": done["quality"],
    }


def correlation(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """Spearman's correlation, with its 95 % interval by bootstrap over the networks."""

    def rho(a: Any, b: Any) -> float:
        return float(spearmanr(a, b).statistic)

    found = bootstrap((before, after), rho, paired=True, vectorized=False, n_resamples=2000, method="percentile", rng=0)
    low, high = found.confidence_interval
    return {"rho": rho(before, after), "low": float(low), "high": float(high)}


def correlations(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Inherited score, and every inherited metric, against every metric after recovery; 1 is the same order."""

    def sign(name: str) -> int:
        return -1 if name.split("[")[0] in LOWER_IS_BETTER else 1

    names = list(rows[0]["recovered"])
    after = {name: [sign(name) * row["recovered"][name] for row in rows] for name in names}
    score = [-row["score"] for row in rows]
    found = {f"score > {name}": correlation(score, after[name]) for name in names}
    for name in names:
        found[f"{name} > {name}"] = correlation([sign(name) * row["inherited"][name] for row in rows], after[name])
    return found


def main() -> None:
    arguments = parse(__doc__, "run", "folder", threads=2, configurations=12, window=0.9)
    run, folder = Path(arguments.run), Path(arguments.folder)
    config = from_json(CompressConfig, json.loads((run / "config.json").read_text()))
    teacher = CostModel(load(config.teacher).model, config.data.shape)()
    chosen = spread(run, parse_budget(config.budget, teacher).limit, arguments.window, arguments.configurations)
    rows = [recovered(config, run, one, folder / one["configuration"]) for one in chosen]
    publish(
        "rank_correlation",
        {"search_steps": config.search.steps, "steps": config.recovery.steps, "rows": rows, "correlations": correlations(rows)},
        arguments.out,
        packages=("pocketgan", "torch", "numpy", "scipy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
