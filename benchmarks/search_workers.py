"""Candidates per minute of four search workers and of one, on one journal, with a fitness that only sleeps.

python benchmarks/search_workers.py [--out FILE]

About five minutes. The fitness sleeps for a second, a short candidate of a real search; the evolution has its published
population of 100. All workers are processes on one machine, so the cost is that of claims, of the wait for the end of a
generation, and of the journal. The overhead of a candidate is measured on a search of 5000 without sleeping.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from _common import parse, publish
from pocketgan.metrics.cost import CostModel
from pocketgan.models.resnet import mobile_resnet
from pocketgan.pruning.budget import parse_budget
from pocketgan.search.fitness import Score
from pocketgan.search.published import make_space
from pocketgan.search.result import SearchResult
from pocketgan.search.study import search

SECONDS, CANDIDATES, SPACE_NAME, BUDGET = 1.0, 200, "channels-64-pix2pix", "4.6Gpaper"
NETWORK = mobile_resnet(64).build(device="meta")
SPACE = make_space(SPACE_NAME, NETWORK)


def distance(widths: Mapping[str, int]) -> float:
    return sum((width / SPACE.full[group] - 0.4) ** 2 for group, width in widths.items())


def sleeping_distance(widths: Mapping[str, int]) -> float:
    time.sleep(SECONDS)
    return distance(widths)


def run(journal: Path, fitness: Score, candidates: int) -> SearchResult:
    cost = CostModel(NETWORK, 256)
    return search(SPACE, fitness, cost=cost, budget=parse_budget(BUDGET, cost()), storage=journal, candidates=candidates)


def timed(workers: int, folder: Path) -> tuple[float, SearchResult]:
    """Seconds until all candidates are scored, and the result."""
    journal = folder / f"{workers}.log"
    context, task = multiprocessing.get_context("fork"), (journal, sleeping_distance, CANDIDATES)
    processes = [context.Process(target=run, args=task) for _ in range(workers)]
    start = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return time.perf_counter() - start, run(journal, sleeping_distance, CANDIDATES)


def main() -> None:
    arguments = parse(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        seconds, results = {}, {}
        for workers in (1, 4):
            seconds[workers], results[workers] = timed(workers, Path(folder))
        wall, processor = time.perf_counter(), time.process_time()
        run(Path(folder) / "bare.log", distance, 5000)
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
        arguments.out,
        packages=("optuna", "numpy"),
    )


if __name__ == "__main__":
    main()
