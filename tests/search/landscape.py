"""A network, spaces and fitnesses for the tests of the search: nothing is trained, the best configuration is known."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pocketgan.compress.budget import parse_budget
from pocketgan.metrics.cost import CostModel
from pocketgan.models.resnet import mobile_resnet
from pocketgan.search.published import make_space

NETWORK = mobile_resnet(64).build(device="meta")
COST = CostModel(NETWORK, 256)
SPACE = make_space("channels-64-pix2pix", NETWORK)
BUDGET = parse_budget("4.6Gpaper", COST())
WANTED = (24, 16, 40, 24, 40, 56, 16, 32)
"""Where the fitness is 0; it costs less than `BUDGET`."""


def distance(widths: Mapping[str, int]) -> float:
    """How far a configuration is from the wanted one, with interaction between neighbours."""
    gaps = (np.array(SPACE.configuration(widths)) - WANTED) / 8
    return float((gaps**2).sum() + 0.5 * (gaps[1:] * gaps[:-1]).sum() + 0.1 * np.abs(gaps).sum())


class Logged:
    """A fitness that takes a while and leaves a line in a file when it begins and when it ends, whoever calls it."""

    def __init__(self, path: Path, seconds: float = 0.0):
        self.path, self.seconds = path, seconds

    def __call__(self, widths: Mapping[str, int]) -> float:
        text = SPACE.format(SPACE.configuration(widths))
        self._write(f"begin {text} {os.getpid()}\n")
        time.sleep(self.seconds)
        self._write(f"end {text} {os.getpid()}\n")
        return distance(widths)

    def _write(self, line: str) -> None:
        with open(self.path, "ab", buffering=0) as file:
            file.write(line.encode())

    def lines(self, kind: str) -> list[tuple[str, int]]:
        """``(configuration, process)`` of every line of that kind."""
        rows = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [(text, int(process)) for word, text, process in rows if word == kind]
