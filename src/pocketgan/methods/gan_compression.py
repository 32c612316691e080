"""GAN Compression: one network whose weights serve all widths, and a search among them.

Li et al. 2020, "GAN Compression: Efficient Architectures for Interactive Conditional GANs", sections 3.2 and 3.3. What the
supernet is made of is the pipeline's to say: the teacher itself, or a mobile network (`pipeline.full`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from torch import nn

from pocketgan.core.config import from_json
from pocketgan.core.inputs import as_tuple
from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.methods.width_learner import Looks, Ranks, Sampling, WidthLearner
from pocketgan.pruning.calibrate import has_statistics
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.pruning.selection import Selection, prefix, shrink
from pocketgan.search.extremes import ExtremeWidths
from pocketgan.search.fitness import Fit, HeldOut, make_fitness
from pocketgan.search.halving import WHOLE, Halving
from pocketgan.search.noise import measure_noise
from pocketgan.search.published import make_space
from pocketgan.search.result import SearchResult
from pocketgan.search.scoring import ByImages, Score
from pocketgan.search.space import BudgetedSpace
from pocketgan.search.storage import open_storage
from pocketgan.search.strategies import STRATEGIES
from pocketgan.search.study import search

Against = Literal["macs", "latency"]


@METHODS.register("gan-compression")
@dataclass(frozen=True, kw_only=True)
class GanCompression(Method):
    """Widths sampled in every step train one set of shared weights; a search scores candidates with them."""

    space: str = "parts"
    """A published space (channels-48, -64-pix2pix, -64-coco, ...), one written out (``stem=16,24 block*=16..64:8``), or
    ``parts``: from the whole to an eighth of every width, in the numbers of the network's family (``search.families``)."""
    sampling: Sampling = "uniform"
    """Of the widths of a step: every number on its own (published), or every other step the largest or the smallest
    (the sandwich rule of Yu and Huang 2019, one width a step instead of several)."""
    ranks: Ranks = "same"
    """In several processes: the same widths in all, so that a step has the gradient of one network on the whole batch; or each
    its ``own``, and the gradient is the mean over several networks, on a slice each."""
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
    use: float = 0.9
    """The least part of the budget that a candidate uses, so that the search looks where the budget is spent (published: 0)."""
    images: int = 64
    """How many training images are held out to score them on."""
    fitness: Fit = "teacher"
    """What is scored: the distance to the teacher's images, frechet or kernel on ``--features``, or, of label maps' images,
    what ``evaluation.segmenter`` reads in them (miou)."""
    evaluate_every: int = 500
    """Steps between two looks at the largest and the smallest network on the held-out images while the weights are trained; 0:
    none. They are logged and shown, and change nothing."""
    halving: bool = True
    """Whether all are scored on a sixteenth of the images first, and only the leading half of a generation on twice as many,
    time after time, which takes a fifth of the images; off, all are scored on all of them (published)."""
    storage: str | None = None
    """Where claims and scores are kept: None is a journal in the run, which processes on one disk share; for others a
    database (``mysql://...``, ``postgresql://...``) or ``grpc://host:port``."""
    lease: float = 60.0
    """Seconds of silence after which a process that scores a candidate counts as dead."""

    summary: ClassVar[str] = "one set of weights trained for all widths, and an evolutionary search among them"
    learns: ClassVar[bool] = True
    is_supernet: ClassVar[bool] = True
    select_options: ClassVar[frozenset[str]] = frozenset(
        {*("strategy", "strategy_options", "against", "candidates", "use", "fitness", "halving", "storage", "lease")}
    )

    @property
    def holdout_size(self) -> int:
        """Kept from the search's training."""
        return self.images

    @property
    def needs_segmenter(self) -> bool:
        """For mIoU."""
        return self.fitness == "miou"

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        """The space and its floor, the strategy and its options, and whether the fitness has an extractor."""
        if self.ranks == "own" and has_statistics(teacher):
            raise ValueError("ranks=own: batch norms of different widths have no statistics in common; take ranks=same")
        if self.evaluate_every < 0:
            raise ValueError(f"evaluate_every={self.evaluate_every}: steps between two looks, at least 1; 0 takes none")
        BudgetedSpace(make_space(self.space, teacher), context.cost, context.budget, self.use)
        from_json(STRATEGIES[self.strategy], self.strategy_options)
        if self.storage is not None:
            open_storage(self.storage)
        self._check_against(context)
        if self.fitness in ("frechet", "kernel") and not features:
            raise ValueError(f"fitness={self.fitness} is measured on features: give an ONNX file with --features")

    def _check_against(self, context: MethodContext) -> None:
        named = ",".join(self.against)
        if self.strategy != "nsga2" and self.against != ("macs",):
            raise ValueError(
                f"against={named} has no effect on strategy={self.strategy}, which looks for the best score alone: take "
                "strategy=nsga2, or leave it out"
            )
        if sorted(set(self.against)) != sorted(self.against) or not self.against:
            raise ValueError(f"against={named}: name macs, latency or both, each once")
        if "latency" in self.against and context.measure is None:
            raise ValueError("against=latency: there is nothing to measure it with; give the Setting a `measure`")

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        """The elastic view of the teacher, its channels sorted by importance: a permutation, which changes no image."""
        return Elastic(sorted_by(teacher, self.importance, context))

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> WidthLearner:
        """What chooses the widths of every step."""
        if context.multiple > 1:
            context.warn(f"multiple={context.multiple} has no effect on gan-compression: its widths are those of the space")
        elastic, space = _elastic(model), make_space(self.space, self.network(model))
        ends = ExtremeWidths(elastic, space, lambda: self._fitness(elastic, self._held(context), context))
        looks = Looks(self.evaluate_every, steps) if self.evaluate_every else None
        return WidthLearner(elastic, space, self.sampling, context.seed, ends, looks, ranks=self.ranks)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        """The leading channels at the best widths that the search found."""
        elastic, held = _elastic(model).to(context.device), self._held(context)
        score = self._fitness(elastic, held, context)
        found = self._search(elastic, score, held, context)
        noise = measure_noise(found, score)
        if noise is not None and context.reporter is not None:
            context.reporter.say(str(noise))
        if context.folder is not None:
            found.write(context.folder / "candidates.jsonl")
            if noise is not None:
                noise.write(context.folder / "search.json")
        elastic.cpu()
        return prefix(found.best.widths)

    def join_search(self, model: nn.Module, context: MethodContext) -> None:
        """Score candidates of the same search until none is left."""
        elastic, held = _elastic(model).to(context.device), self._held(context)
        self._search(elastic, self._fitness(elastic, held, context), held, context)

    def _search(self, elastic: Elastic, score: ByImages, held: HeldOut, context: MethodContext) -> SearchResult:
        return search(
            make_space(self.space, elastic.model),
            score,
            against=[_cost(name, elastic, context) for name in self.against] if self.strategy == "nsga2" else [],
            cost=context.cost,
            storage=self.storage or context.storage(),
            budget=context.budget,
            use=self.use,
            strategy=from_json(STRATEGIES[self.strategy], self.strategy_options),
            halving=Halving() if self.halving else WHOLE,
            candidates=self.candidates,
            seed=context.seed,
            lease=self.lease,
            name=self._name(elastic.model, held, context),
            reporter=context.reporter,
        )

    def _name(self, network: nn.Module, held: HeldOut, context: MethodContext) -> str:
        """Of all that scores depend on, so that searches lie side by side in one storage; ``candidates`` may grow."""
        looks = [looker.name for looker in (held.extractor, held.segmenter) if looker is not None]
        told = replace(self, candidates=1, storage=None, lease=1.0), context.budget, context.seed, "+".join(looks)
        digest = hashlib.sha256(repr(told).encode())
        for tensor in (*network.state_dict().values(), *as_tuple(held.sources), held.teacher_images):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return f"search-{digest.hexdigest()[:16]}"

    def _held(self, context: MethodContext) -> HeldOut:
        assert context.held_out is not None, "the search needs images to score on"
        return context.held_out(self.images)

    def _fitness(self, model: Elastic, held: HeldOut, context: MethodContext) -> ByImages:
        return make_fitness(model, held, self.fitness, context.device)

    def network(self, model: nn.Module) -> nn.Module:
        """The one with the shared weights."""
        return _elastic(model).model


def _cost(name: Against, model: Elastic, context: MethodContext) -> Score:
    """That cost of a network of some widths."""
    if name == "macs":
        return lambda widths: context.cost(widths).macs
    assert context.measure is not None
    measure = context.measure

    def latency(widths: Mapping[str, int]) -> float:
        model.resize_(widths)
        return measure(model.extract().eval())

    return latency


def sorted_by(model: nn.Module, importance: str, context: MethodContext) -> nn.Module:
    """A copy whose channels stand in the order of their importance in every group, the highest first."""
    if importance == "none":
        return shrink(model, {})
    scores = IMPORTANCES[importance](model, context.images())
    return shrink(model, {group: own.argsort(descending=True, stable=True) for group, own in scores.items()})


def _elastic(model: nn.Module) -> Elastic:
    assert isinstance(model, Elastic)
    return model
