"""Network, space and fitness functions for the tests of the search: nothing is trained, the optimum is known."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pocketgan.metrics.cost import CostModel
from pocketgan.models.resnet import mobile_resnet
from pocketgan.pruning.budget import parse_budget
from pocketgan.search.fitness import NO_IMAGES
from pocketgan.search.published import make_space
from pocketgan.search.space import Configuration, format_widths

NETWORK = mobile_resnet(64).build(device="meta")
COST = CostModel(NETWORK, 256)
SPACE = make_space("channels-64-pix2pix", NETWORK)
BUDGET = parse_budget("4.6Gpaper", COST())
OPTIMUM = (24, 16, 40, 24, 40, 56, 16, 32)
"""Configuration with fitness 0; its cost is below `BUDGET`."""


def distance(widths: Mapping[str, int]) -> float:
    """Distance of a configuration to the optimum, with interaction between neighbors."""
    gaps = (np.array(configuration_of(widths)) - OPTIMUM) / 8
    return float((gaps**2).sum() + 0.5 * (gaps[1:] * gaps[:-1]).sum() + 0.1 * np.abs(gaps).sum())


def configuration_of(widths: Mapping[str, int]) -> Configuration:
    """Inverse of ``SPACE.widths``."""
    return tuple(widths[group] // factor for gene in SPACE.genes for group, factor in [*gene.factors.items()][:1])


def index_of(configuration: Configuration) -> int:
    """Index in the enumeration of `SPACE`."""
    digits = [gene.choices.index(value) for gene, value in zip(SPACE.genes, configuration, strict=True)]
    return int(np.ravel_multi_index(digits, [len(gene.choices) for gene in SPACE.genes]))


class NoisyImages:
    """`distance` on images of unequal difficulty, each with fixed noise."""

    least = 1

    def __init__(self, images: int = 16, noise: float = 0.3, seen: Callable[[str, range], None] = lambda text, images: None):
        self.images, self.noise, self.seen = images, noise, seen

    def rows(self, widths: Mapping[str, int], images: range) -> np.ndarray:
        configuration = configuration_of(widths)
        self.seen(format_widths(configuration), images)
        noise = self.noise * np.random.default_rng(index_of(configuration)).standard_normal(self.images)
        values = distance(widths) * (1 + 0.5 * np.sin(np.arange(self.images))) + noise
        return values[images.start : images.stop, None]

    def score(self, rows: np.ndarray, without: range = NO_IMAGES) -> float:
        return float(rows.mean())


class LoggedFitness:
    """Slow fitness that appends a line to a file at the begin and at the end of each call, in any process."""

    def __init__(self, path: Path, seconds: float):
        self.path, self.seconds = path, seconds

    def by_images(self) -> NoisyImages:
        """`NoisyImages` whose lines name the configuration and the images."""

        def seen(text: str, images: range) -> None:
            with self.logged(f"{text}:{images.start}-{images.stop}"):
                pass

        return NoisyImages(seen=seen)

    @contextmanager
    def logged(self, text: str) -> Iterator[None]:
        """Write the two lines around some work, and wait."""
        self._write(f"begin {text} {os.getpid()}\n")
        time.sleep(self.seconds)
        yield
        self._write(f"end {text} {os.getpid()}\n")

    def _write(self, line: str) -> None:
        with open(self.path, "ab", buffering=0) as file:
            file.write(line.encode())

    def lines(self, kind: str) -> list[tuple[str, int]]:
        """``(text, process)`` of every line of that kind."""
        rows = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [(text, int(process)) for word, text, process in rows if word == kind]
