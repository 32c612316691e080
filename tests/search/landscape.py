"""A network, spaces and fitnesses for the tests of the search: nothing is trained, the best configuration is known."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pocketgan.metrics.cost import CostModel
from pocketgan.models.resnet import mobile_resnet
from pocketgan.pruning.budget import parse_budget
from pocketgan.search.published import make_space

NETWORK = mobile_resnet(64).build(device="meta")
COST = CostModel(NETWORK, 256)
SPACE = make_space("channels-64-pix2pix", NETWORK)
BUDGET = parse_budget("4.6Gpaper", COST())
WANTED = (24, 16, 40, 24, 40, 56, 16, 32)
"""Where the fitness is 0; it costs less than `BUDGET`."""


def distance(widths: Mapping[str, int]) -> float:
    """How far a configuration is from the wanted one, with interaction between neighbors."""
    gaps = (np.array(SPACE.configuration(widths)) - WANTED) / 8
    return float((gaps**2).sum() + 0.5 * (gaps[1:] * gaps[:-1]).sum() + 0.1 * np.abs(gaps).sum())


class Imaged:
    """`distance` seen on images of unequal difficulty, each with some noise of its own: the same for whoever asks again."""

    least = 1

    def __init__(self, images: int = 16, noise: float = 0.3, seen: Callable[[str, range], None] = lambda text, images: None):
        self.images, self.noise, self.seen = images, noise, seen

    def rows(self, widths: Mapping[str, int], images: range) -> np.ndarray:
        self.seen(SPACE.format(SPACE.configuration(widths)), images)
        rng = np.random.default_rng(SPACE.index(SPACE.configuration(widths)))
        noise = self.noise * rng.standard_normal(self.images)
        values = distance(widths) * (1 + 0.5 * np.sin(np.arange(self.images))) + noise
        return values[images.start : images.stop, None]

    def score(self, rows: np.ndarray, without: range = range(0)) -> float:
        return float(rows.mean())


class Logged:
    """A fitness that takes a while and leaves a line in a file when it begins and when it ends, whoever calls it."""

    def __init__(self, path: Path, seconds: float = 0.0):
        self.path, self.seconds = path, seconds

    def __call__(self, widths: Mapping[str, int]) -> float:
        with self.logged(SPACE.format(SPACE.configuration(widths))):
            return distance(widths)

    @contextmanager
    def logged(self, text: str) -> Iterator[None]:
        """The two lines around some work, and the time that it takes."""
        self._write(f"begin {text} {os.getpid()}\n")
        time.sleep(self.seconds)
        yield
        self._write(f"end {text} {os.getpid()}\n")

    def by_images(self) -> Imaged:
        """The same of single images: a line names the configuration and the images."""

        def seen(text: str, images: range) -> None:
            with self.logged(f"{text}:{images.start}-{images.stop}"):
                pass

        return Imaged(seen=seen)

    def _write(self, line: str) -> None:
        with open(self.path, "ab", buffering=0) as file:
            file.write(line.encode())

    def lines(self, kind: str) -> list[tuple[str, int]]:
        """``(configuration, process)`` of every line of that kind."""
        rows = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [(text, int(process)) for word, text, process in rows if word == kind]
