"""Latency of several candidates side by side in one run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call: median and the 10th and 90th percentile, and the conditions they hold for."""

    median: float
    p10: float
    p90: float
    threads: int
    batch: int
    repeats: int

    def to_json(self) -> dict[str, float | int]:
        """The plain dictionary that ``result.json`` holds."""
        return asdict(self)


def measure_latency(
    runs: Mapping[str, Callable[[], object]],
    *,
    warmup: int = 5,
    repeats: int = 30,
    min_seconds: float = 0.0,
    threads: int | None = None,
    batch: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Latency]:
    """Time each of ``runs`` in turn, round after round, so that noise of the machine hits all alike.

    Every run is called ``warmup`` times first, then once a round: at least ``repeats`` rounds, and until
    ``min_seconds`` of timed work have passed. A run must block until its result is there (on a GPU: synchronise in it).
    ``threads`` sets torch's threads for the duration and is stated in the result, as is ``batch`` (images a call, which
    only the caller knows); a runtime with its own threads must be given the same number by the caller. Garbage
    collection rests meanwhile. ``clock`` gives seconds. Raises ``ValueError`` for no runs or no repeats.
    """
    if not runs:
        raise ValueError("nothing to measure: give at least one named run")
    for name, value, least in (("repeats", repeats, 1), ("warmup", warmup, 0), ("batch", batch, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, found {value}")
    with _torch_threads(threads) as used, _no_garbage_collection():
        times = _rounds(runs, warmup=warmup, repeats=repeats, min_seconds=min_seconds, clock=clock)
    return {name: _summary(values, threads=used, batch=batch) for name, values in times.items()}


def _rounds(
    runs: Mapping[str, Callable[[], object]],
    *,
    warmup: int,
    repeats: int,
    min_seconds: float,
    clock: Callable[[], float],
) -> dict[str, list[float]]:
    for _ in range(warmup):
        for run in runs.values():
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    total, rounds = 0.0, 0
    while rounds < repeats or total < min_seconds:
        for name, run in runs.items():
            start = clock()
            run()
            times[name].append(clock() - start)
            total += times[name][-1]
        rounds += 1
    return times


def _summary(seconds: list[float], *, threads: int, batch: int) -> Latency:
    p10, median, p90 = (float(value) for value in np.percentile(seconds, (10, 50, 90)) * 1e3)
    return Latency(median, p10, p90, threads, batch, len(seconds))


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[int]:
    before = torch.get_num_threads()
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, found {threads}")
    torch.set_num_threads(threads or before)
    try:
        yield threads or before
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
