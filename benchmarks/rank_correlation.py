"""Does the order in which shared weights put networks hold once each is trained on its own?

    python benchmarks/rank_correlation.py RUN FOLDER [--configurations 12] [--window 0.9] [--threads 2] [--out FILE]

RUN is a `compress --method gan-compression` that has searched (``--to prune`` is enough). Of its candidates that use at
least ``--window`` of the budget, so that cost does not explain the order, some are taken evenly from the best to the worst by
their inherited score. Each is cut out of the supernet and recovered in FOLDER by the run's own recovery, then evaluated on the
test images, as is what was cut out before its recovery. Resumable: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from scipy.stats import bootstrap, spearmanr

from _common import publish
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.config import from_json
from pocketgan.data.images import open_data
from pocketgan.evaluation import evaluate
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.compress import run_stages
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import load
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.selection import prefix, shrink
from pocketgan.utils.progress import ConsoleReporter

LOWER_IS_BETTER = ("score", "kernel", "frechet")


def spread(run: Path, limit: int, window: float, count: int) -> list[dict[str, Any]]:
    """That many candidates, evenly from the best to the worst."""
    lines = [json.loads(line) for line in (run / "candidates.jsonl").read_text().splitlines()]
    full = max(line.get("images") or 0 for line in lines)
    whole = [line for line in lines if (line.get("images") or 0) == full and line["cost"]["macs"] >= window * limit]
    ranked = sorted(whole, key=lambda line: line["scores"][0])
    return [ranked[round(k * (len(ranked) - 1) / (count - 1))] for k in range(count)]


def recovered(config: CompressConfig, run: Path, candidate: dict[str, Any], out: Path) -> dict[str, Any]:
    """One candidate: what it scored, what it is worth as it was cut out, and after its recovery."""
    facts = out / "inherited.json"
    if not facts.exists():
        elastic = Elastic(load(config.teacher).model)
        tensors = load_file(run / "searched.safetensors")
        elastic.load_state_dict({key[2:]: value for key, value in tensors.items() if key.startswith("G/")})
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
    """Spearman's, with its 95 % interval by bootstrap over the networks."""

    def rho(a: Any, b: Any) -> float:
        return float(spearmanr(a, b).statistic)

    found = bootstrap((before, after), rho, paired=True, vectorized=False, n_resamples=2000, method="percentile", rng=0)
    low, high = found.confidence_interval
    return {"rho": rho(before, after), "low": float(low), "high": float(high)}


def correlations(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The inherited score, and every inherited measure, against every measure after recovery; 1 is the same order."""

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
    """One network after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--configurations", type=int, default=12)
    parser.add_argument("--window", type=float, default=0.9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = from_json(CompressConfig, json.loads((arguments.run / "config.json").read_text()))
    teacher = CostModel(load(config.teacher).model, config.data.shape)()
    chosen = spread(arguments.run, parse_budget(config.budget, teacher).limit, arguments.window, arguments.configurations)
    rows = [recovered(config, arguments.run, one, arguments.folder / one["configuration"]) for one in chosen]
    publish(
        "rank_correlation",
        {"search_steps": config.search.steps, "steps": config.recovery.steps, "rows": rows, "correlations": correlations(rows)},
        packages=("pocketgan", "torch", "numpy", "scipy", "onnxruntime"),
    )


if __name__ == "__main__":
    main()
