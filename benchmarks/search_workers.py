"""Candidates a minute: four workers beside one, on one journal, with a fitness that only sleeps.

    python benchmarks/search_workers.py [--out FILE]

The fitness sleeps a second, a short candidate of a real search; the evolution has its published population of 100. All
workers are processes on one machine, so this measures what claiming, waiting for a generation's end and the journal cost.
What a candidate costs without any fitness is measured on a search of 5000 beside it.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from _common import publish
from pocketgan.metrics.cost import CostModel
from pocketgan.models.resnet import mobile_resnet
from pocketgan.pruning.budget import parse_budget
from pocketgan.search.published import make_space
from pocketgan.search.result import SearchResult
from pocketgan.search.scoring import Score
from pocketgan.search.study import search

SECONDS, CANDIDATES, SPACE_NAME, BUDGET = 1.0, 200, "channels-64-pix2pix", "4.6Gpaper"
NETWORK = mobile_resnet(64).build(device="meta")
SPACE = make_space(SPACE_NAME, NETWORK)


def width(widths: Mapping[str, int]) -> float:
    return sum((width / SPACE.whole[group] - 0.4) ** 2 for group, width in widths.items())


def asleep(widths: Mapping[str, int]) -> float:
    time.sleep(SECONDS)
    return width(widths)


def run(journal: Path, fitness: Score, candidates: int) -> SearchResult:
    cost = CostModel(NETWORK, 256)
    return search(SPACE, fitness, cost=cost, budget=parse_budget(BUDGET, cost()), storage=journal, candidates=candidates)


def timed(workers: int, folder: Path) -> tuple[float, SearchResult]:
    """Seconds until all candidates are scored, and what was found."""
    journal = folder / f"{workers}.log"
    processes = [
        multiprocessing.get_context("fork").Process(target=run, args=(journal, asleep, CANDIDATES)) for _ in range(workers)
    ]
    start = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return time.perf_counter() - start, run(journal, asleep, CANDIDATES)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        seconds, results = {}, {}
        for workers in (1, 4):
            seconds[workers], results[workers] = timed(workers, Path(folder))
        wall, processor = time.perf_counter(), time.process_time()
        run(Path(folder) / "bare.log", width, 5000)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    publish(
        "search_workers",
        {
            "space": SPACE_NAME,
            "budget": BUDGET,
            "candidates": CANDIDATES,
            "seconds_of_a_candidate": SECONDS,
            "candidates_a_minute": {n: round(60 * CANDIDATES / s, 1) for n, s in seconds.items()},
            "four_beside_one": round(seconds[1] / seconds[4], 2),
            "same_result": results[1] == results[4],
            "overhead_of_a_candidate_among_5000_ms": {"wall": round(wall / 5, 2), "processor": round(processor / 5, 2)},
            "note": "other processes shared the machine",
        },
        packages=("optuna", "numpy"),
    )


if __name__ == "__main__":
    main()
