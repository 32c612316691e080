"""The largest and the smallest network of a space, scored while their weights are trained (as published)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from torch import nn

from pocketgan.pruning.elastic import Elastic
from pocketgan.search.scoring import ByImages, on_all
from pocketgan.search.space import Space


class ExtremeWidths:
    """Whether training serves both ends: scores of either, after which the network is as it was before."""

    def __init__(self, model: Elastic, space: Space, fitness: Callable[[], ByImages]):
        """``fitness`` is made when it is first needed."""
        self.model, self.space = model, space
        self._fitness = cache(fitness)

    def __call__(self) -> dict[str, float]:
        """``largest`` and ``smallest``, on all images."""
        with _as_it_was(self.model):
            ends = {"largest": self.space.largest, "smallest": self.space.smallest}
            return {name: on_all(self._fitness(), self.space.widths(end)) for name, end in ends.items()}


@contextmanager
def _as_it_was(model: Elastic) -> Iterator[None]:
    """Leave widths and modes as they are found; scoring draws no random number and writes no running statistics."""
    widths = dict(model.widths)
    modes: dict[nn.Module, bool] = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        model.resize_(widths)
        for module, mode in modes.items():
            module.training = mode
