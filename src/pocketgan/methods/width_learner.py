"""What GAN Compression adds to the first fit: other widths in every step, and now and then a look at the ends of the space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor

from pocketgan.pruning.elastic import Elastic
from pocketgan.search.extremes import ExtremeWidths
from pocketgan.search.space import Space
from pocketgan.training.distributed import processes

Sampling = Literal["uniform", "sandwich"]
Ranks = Literal["same", "own"]


class WidthLearner:
    """Chooses the widths of a step from its number and the seed alone: resumed or not, on one process or several."""

    def __init__(
        self,
        model: Elastic,
        space: Space,
        sampling: Sampling,
        seed: int,
        ends: ExtremeWidths,
        looks: Looks | None,
        *,
        ranks: Ranks = "same",
    ):
        """With ``ranks="own"`` each process draws for itself."""
        self.model, self.space, self.sampling, self.seed, self.ends, self.looks = model, space, sampling, seed, ends, looks
        self.rank = processes().rank if ranks == "own" else 0

    def optimizer(self) -> None:
        """None: it has no parameters of its own."""

    def on_step_start(self, step: int) -> None:
        """Resize the network."""
        if self.looks is not None:
            self.looks.begin(step)
        self.model.resize_(self.space.widths(self.configuration(step)))

    def configuration(self, step: int) -> tuple[int, ...]:
        """The numbers of a step."""
        if self.sampling == "sandwich" and step % 2 == 0:
            return self.space.largest if step % 4 == 0 else self.space.smallest
        rng = np.random.default_rng((self.seed, step, *(() if self.rank == 0 else (self.rank,))))
        return tuple(int(number) for number in self.space.sample(rng, 1)[0])

    def losses(self) -> Mapping[str, Tensor]:
        """None beside the task's."""
        return {}

    def log_dict(self) -> dict[str, Any]:
        """The scores of the largest and the smallest network, where it is time for them and in the process that writes."""
        if self.looks is None or not self.looks.due():
            return {}
        found = self.ends() if processes().is_main else {}
        processes().barrier()  # patiently: it may take longer than a step is waited for
        return found


class Looks:
    """When to look: at the first line of the log after so many steps, time after time, and at the end.

    A fit that is resumed begins at a line of its log, so it looks at the same steps as one that was never stopped.
    """

    def __init__(self, every: int, steps: int):
        self.every, self.steps = every, steps
        self._last: int | None = None
        self._done = 0

    def begin(self, step: int) -> None:
        """Step ``step`` begins."""
        self._last = step if self._last is None else self._last
        self._done = step + 1

    def due(self) -> bool:
        """Whether it is time; asked at every line of the log."""
        last, self._last = self._last or 0, self._done
        return self._done // self.every > last // self.every or self._done == self.steps
