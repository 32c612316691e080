"""``pocketgan latency``."""

from __future__ import annotations

from typing import Annotated

import tyro

from pocketgan.cli.console import Switch, show_json, show_table


def run(
    artifacts: Annotated[tuple[str, ...], tyro.conf.Positional],
    /,
    *,
    runtime: tuple[str, ...] = ("torch", "onnxruntime"),
    batch: int = 1,
    size: int | None = None,
    aspect: float | None = None,
    threads: int = 1,
    repeats: int = 50,
    json: Switch = False,
) -> None:
    """Milliseconds on the CPU, all artifacts and runtimes interleaved in one run.

    Args:
        artifacts: artifacts of ours, published checkpoints, or file.py:factory@WEIGHTS; the first is what the others are
            compared with.
        runtime: torch, onnxruntime.
        batch: images a call.
        size: width of the image; by default what the files say.
        aspect: width over height; by default what the files say.
        threads: of every runtime.
        repeats: rounds; each runs every candidate once.
        json: print one JSON object.
    """
    from pocketgan.evaluation import EvaluationConfig
    from pocketgan.pipeline.measure import measure_latency_of

    config = EvaluationConfig(runtimes=runtime, threads=threads, repeats=repeats)
    found = measure_latency_of(artifacts, config, size=size, aspect=aspect, batch=batch)
    if json:
        show_json(found)
        return
    first = found[artifacts[0]]
    rows = [
        (name, engine, f"{t['median']:.2f}", f"{t['p10']:.2f}-{t['p90']:.2f}", f"{first[engine]['median'] / t['median']:.2f}x")
        for name, engines in found.items()
        for engine, t in engines.items()
    ]
    show_table(
        f"{batch} image(s), {threads} thread(s), median of {repeats}", ("artifact", "runtime", "ms", "p10-p90", "faster"), rows
    )
