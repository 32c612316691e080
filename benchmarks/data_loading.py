"""Images per second of the data loader (aligned 512x256 JPEGs), and of a small training step that consumes them.

python benchmarks/data_loading.py [--threads 2] [--out FILE]

About half a minute.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from _common import parse, publish
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import Images, train_batches

FILES, BATCH, SIZE, LOAD_SIZE = 64, 4, 256, 286
WARM_UP, SECONDS, REPEATS = 5, 1.0, 3  # steps before timing; length and number of the timed intervals


def write_pairs(folder: Path) -> None:
    """Write synthetic pairs with noise, so that the files are as large as photographs (about 50 kB)."""
    pairs = open_data(DataConfig(path="shapes", size=SIZE, limit=FILES), "paired", "train")
    for index in range(len(pairs)):
        both = np.concatenate(list(pairs.load(index, None).values()), axis=1)
        noise = np.random.default_rng(index).normal(0, 12, both.shape)
        Image.fromarray(np.clip(both + noise, 0, 255).astype(np.uint8)).save(folder / f"{index}.jpg", quality=90)


def rate(steps: Iterator[Any]) -> dict[str, float]:
    """Images per second over several intervals: median, minimum and maximum."""
    for _ in range(WARM_UP):
        next(steps)
    rates = []
    for _ in range(REPEATS):
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            next(steps)
            count += BATCH
        rates.append(count / (time.perf_counter() - start))
    return {"median": round(statistics.median(rates), 1), "min": round(min(rates), 1), "max": round(max(rates), 1)}


def training_steps(images: Images) -> Iterator[None]:
    """Forward and backward of six convolutions in place of a small generator, repeated on one batch."""
    widths = (3, 16, 32, 32, 32, 16, 3)
    convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths)]
    network = nn.Sequential(*(layer for conv in convolutions for layer in (conv, nn.ReLU())))
    while True:
        (network(images["input"]) - images["target"]).abs().mean().backward()
        yield


def main() -> None:
    arguments = parse(__doc__, threads=2)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train").mkdir()
        write_pairs(Path(folder) / "train")
        size = statistics.mean(path.stat().st_size for path in Path(folder).rglob("*.jpg"))
        config = DataConfig(path=folder, size=SIZE, load_size=LOAD_SIZE, flip=True)
        data = open_data(config, "paired", "train")
        loaded = {str(w): rate(train_batches(data, batch=BATCH, seed=0, workers=w)) for w in (0, 1, 2)}
        consumed = rate(training_steps(next(train_batches(data, batch=BATCH, seed=0, workers=0))))
    result = {
        "what": "pairs per second, aligned 512x256 JPEG -> 286 -> random 256 crop and flip, as float batches",
        "batch": BATCH,
        "mean_file_bytes": round(size),
        "loaded_by_workers": loaded,
        "consumed_by_step": consumed,
        "ratio_loaded_to_consumed": {w: round(r["median"] / consumed["median"], 2) for w, r in loaded.items()},
    }
    publish("data_loading", result, arguments.out, packages=("torch", "pillow"))


if __name__ == "__main__":
    main()
