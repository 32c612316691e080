"""GAN Compression: one network whose weights serve all widths, and a search among them.

Li et al. 2020, "GAN Compression: Efficient Architectures for Interactive Conditional GANs", sections 3.2 and 3.3; the "fast"
pipeline of its authors: the supernet is made of the full teacher itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from pocketgan.compress.elastic import Elastic
from pocketgan.compress.importance import IMPORTANCES
from pocketgan.compress.selection import Selection, prefix, shrink
from pocketgan.core.config import from_json
from pocketgan.methods.base import METHODS, Method, Setting
from pocketgan.search.ends import Ends
from pocketgan.search.fitness import Fit, make_fitness
from pocketgan.search.halving import WHOLE, Halving
from pocketgan.search.noise import measure_noise
from pocketgan.search.published import make_space
from pocketgan.search.scoring import ByImages, Score
from pocketgan.search.space import Space, Within
from pocketgan.search.strategies import STRATEGIES
from pocketgan.search.study import search
from pocketgan.train.processes import processes

Sampling = Literal["uniform", "sandwich"]
Against = Literal["macs", "latency"]


@METHODS.register("gan-compression")
@dataclass(frozen=True, kw_only=True)
class GanCompression(Method):
    """Widths sampled in every step train one set of shared weights; a search scores candidates with them."""

    space: str = "parts"
    """A published space (channels-32, -48, -64-cycleGAN, -64-pix2pix), one written out (``stem=16,24 block*=16..64:8``), or
    ``parts``: from the whole to an eighth of every width, the blocks of a ResNet in thirds."""
    sampling: Sampling = "uniform"
    """Of the widths of a step: every number on its own (published), or every other step the largest or the smallest
    (the sandwich rule of Yu and Huang 2019, one width a step instead of several)."""
    importance: Literal["contribution", "l1", "none"] = "contribution"
    """By what channels are sorted first, so that leading ones matter most; ``none`` leaves them as they are."""
    strategy: str = "evolution"
    """How candidates are proposed: evolution (published), brute-force, random, or nsga2 (quality against costs)."""
    strategy_options: dict[str, Any] = field(default_factory=dict)
    """Its options: ``population``, ``mutants``, ..."""
    against: tuple[Against, ...] = ("macs",)
    """What nsga2 weighs quality against: exact MACs, the median latency of the network, cut out and run where the search runs,
    or both. Timings are no function of the seed: a search against them is resumed exactly, but not repeated."""
    candidates: int = 300
    """How many are scored."""
    images: int = 64
    """How many training images are held out to score them on."""
    fitness: Fit = "teacher"
    """What is scored: the distance to the teacher's pictures, or frechet or kernel on ``--features``."""
    evaluate_every: int = 500
    """Steps between two looks at the largest and the smallest network on the held-out images while the weights are trained; 0:
    none. They are logged and shown, and change nothing."""
    halving: bool = True
    """Whether all are scored on a sixteenth of the images first, and only the leading half of a generation on twice as many,
    time after time, which takes a fifth of the pictures; off, all are scored on all of them (published)."""

    summary: ClassVar[str] = "one set of weights trained for all widths, and an evolutionary search among them"
    learns: ClassVar[bool] = True

    @property
    def held_out(self) -> int:
        """Kept from the search's training."""
        return self.images

    def check(self, teacher: nn.Module, setting: Setting, *, features: bool) -> None:
        """The space and its floor, the strategy and its options, and whether the fitness has an extractor."""
        if self.evaluate_every < 0:
            raise ValueError(f"evaluate_every={self.evaluate_every}: steps between two looks, at least 1; 0 takes none")
        Within(make_space(self.space, teacher), setting.cost, setting.budget)
        from_json(STRATEGIES[self.strategy], self.strategy_options)
        self._check_against(setting)
        if self.fitness != "teacher" and not features:
            raise ValueError(f"fitness={self.fitness} is measured on features: give an ONNX file with --features")

    def _check_against(self, setting: Setting) -> None:
        named = ",".join(self.against)
        if self.strategy != "nsga2" and self.against != ("macs",):
            raise ValueError(
                f"against={named} has no effect on strategy={self.strategy}, which looks for the best score alone: take "
                "strategy=nsga2, or leave it out"
            )
        if sorted(set(self.against)) != sorted(self.against) or not self.against:
            raise ValueError(f"against={named}: name macs, latency or both, each once")
        if "latency" in self.against and setting.measure is None:
            raise ValueError("against=latency: there is nothing to measure it with; give the Setting a `measure`")

    def prepare(self, teacher: nn.Module, setting: Setting) -> nn.Module:
        """The elastic view of the teacher, its channels sorted by importance: a permutation, which changes no picture."""
        return Elastic(sorted_by(teacher, self.importance, setting))

    def learner(self, model: nn.Module, setting: Setting, steps: int) -> WidthLearner:
        """What chooses the widths of every step."""
        if setting.multiple > 1:
            setting.warn(f"multiple={setting.multiple} has no effect on gan-compression: its widths are those of the space")
        elastic, space = _elastic(model), make_space(self.space, self.network(model))
        ends = Ends(elastic, space, partial(self._fitness, elastic, setting))
        looks = Looks(self.evaluate_every, steps) if self.evaluate_every else None
        return WidthLearner(elastic, space, self.sampling, setting.seed, ends, looks)

    def select(self, model: nn.Module, setting: Setting) -> Selection:
        """The leading channels at the best widths that the search found."""
        elastic = _elastic(model).to(setting.device)
        score = self._fitness(elastic, setting)
        found = search(
            make_space(self.space, elastic.model),
            score,
            against=[_cost(name, elastic, setting) for name in self.against] if self.strategy == "nsga2" else [],
            cost=setting.cost,
            storage=setting.storage(),
            budget=setting.budget,
            strategy=from_json(STRATEGIES[self.strategy], self.strategy_options),
            halving=Halving() if self.halving else WHOLE,
            candidates=self.candidates,
            seed=setting.seed,
            reporter=setting.reporter,
        )
        noise = measure_noise(found, score)
        if noise is not None and setting.reporter is not None:
            setting.reporter.say(str(noise))
        if setting.folder is not None:
            found.write(setting.folder / "candidates.jsonl")
            if noise is not None:
                noise.write(setting.folder / "search.json")
        elastic.cpu()
        return prefix(found.best.widths)

    def _fitness(self, model: Elastic, setting: Setting) -> ByImages:
        assert setting.held_out is not None, "the search needs images to score on"
        return make_fitness(model, setting.held_out(self.images), self.fitness, setting.device)

    def network(self, model: nn.Module) -> nn.Module:
        """The one with the shared weights."""
        return _elastic(model).model


class WidthLearner:
    """Chooses the widths of a step from its number and the seed alone: resumed or not, on one process or several."""

    def __init__(self, model: Elastic, space: Space, sampling: Sampling, seed: int, ends: Ends, looks: Looks | None):
        self.model, self.space, self.sampling, self.seed, self.ends, self.looks = model, space, sampling, seed, ends, looks

    def optimizer(self) -> None:
        """None: it has no parameters of its own."""

    def before(self, step: int) -> None:
        """Resize the network."""
        if self.looks is not None:
            self.looks.begin(step)
        self.model.resize_(self.space.widths(self.configuration(step)))

    def configuration(self, step: int) -> tuple[int, ...]:
        """The numbers of a step."""
        if self.sampling == "sandwich" and step % 2 == 0:
            return self.space.largest if step % 4 == 0 else self.space.smallest
        rng = np.random.default_rng((self.seed, step))
        return tuple(int(number) for number in self.space.sample(rng, 1)[0])

    def losses(self) -> Mapping[str, Tensor]:
        """None beside the game's."""
        return {}

    def facts(self) -> dict[str, Any]:
        """The scores of the largest and the smallest network, where it is time for them and in the process that writes."""
        if self.looks is None or not self.looks.due():
            return {}
        found = self.ends() if processes().first else {}
        processes().wait()  # patiently: it may take longer than a step is waited for
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


def _cost(name: Against, model: Elastic, setting: Setting) -> Score:
    """That cost of a network of some widths."""
    if name == "macs":
        return lambda widths: setting.cost(widths).macs
    assert setting.measure is not None
    measure = setting.measure

    def latency(widths: Mapping[str, int]) -> float:
        model.resize_(widths)
        return measure(model.extract().eval())

    return latency


def sorted_by(model: nn.Module, importance: str, setting: Setting) -> nn.Module:
    """A copy whose channels stand in the order of their importance in every group, the highest first."""
    if importance == "none":
        return shrink(model, {})
    scores = IMPORTANCES[importance](model, setting.images())
    return shrink(model, {group: own.argsort(descending=True, stable=True) for group, own in scores.items()})


def _elastic(model: nn.Module) -> Elastic:
    assert isinstance(model, Elastic)
    return model
