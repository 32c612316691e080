"""Latency of several candidates side by side in one run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
import torch

from pocketgan.utils.registry import check_at_least


class Latency(NamedTuple):
    """Milliseconds of one call: median, 10th and 90th percentile, and the conditions of the measurement."""

    median: float
    p10: float
    p90: float
    threads: int
    batch: int
    repeats: int


def measure_latency(
    runs: Mapping[str, Callable[[], object]],
    *,
    warmup: int = 5,
    repeats: int = 30,
    threads: int | None = None,
    batch: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Latency]:
    """Time each of ``runs`` in turn, round after round, so that noise of the machine affects all alike.

    Every run is called ``warmup`` times first, then ``repeats`` times, once a round. A run must block until its result is
    there (on a GPU: synchronize in it). ``threads`` sets torch's threads for the duration and is stated in the result, as
    is ``batch`` (images a call, which only the caller knows); the caller gives the same number to a runtime with its own
    threads. Garbage collection is off meanwhile. ``clock`` gives seconds. Raises ``ValueError`` for no runs or no repeats.
    """
    if not runs:
        raise ValueError("nothing to measure: give at least one named run")
    counts = {"repeats": repeats, "warmup": warmup, "batch": batch, "threads": threads}
    check_at_least(counts, repeats=1, warmup=0, batch=1, threads=1)
    times: dict[str, list[float]] = {name: [] for name in runs}
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads or torch.get_num_threads())
        if gc.isenabled():
            stack.callback(gc.enable)
            gc.disable()
        used = torch.get_num_threads()
        for run in (run for _ in range(warmup) for run in runs.values()):
            run()
        for _ in range(repeats):
            for name, run in runs.items():
                start = clock()
                run()
                times[name].append(clock() - start)
    found = {}
    for name, seconds in times.items():
        p10, median, p90 = (np.percentile(seconds, (10, 50, 90)) * 1e3).tolist()
        found[name] = Latency(median, p10, p90, used, batch, repeats)
    return found
