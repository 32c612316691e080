"""GAN Compression: one network whose weights serve all widths, and a search among them.

Li et al. 2020, "GAN Compression: Efficient Architectures for Interactive Conditional GANs", sections 3.2 and 3.3. The pipeline
decides which network becomes the supernet: the teacher itself, or a mobile network (`pipeline.full`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from optuna.storages import InMemoryStorage
from torch import nn

from pocketgan.core.config import from_json
from pocketgan.core.hooks import evaluation_mode
from pocketgan.core.inputs import as_tuple
from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.pruning.calibrate import has_statistics
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.pruning.selection import Selection, prefix, shrink
from pocketgan.search.fitness import FitnessKind, HoldoutImages, ImageFitness, Score, make_fitness, score_all_images
from pocketgan.search.halving import NO_HALVING, Halving
from pocketgan.search.published import make_space
from pocketgan.search.result import SearchResult, measure_noise
from pocketgan.search.space import BudgetedSpace, Configuration, Space
from pocketgan.search.storage import open_storage
from pocketgan.search.strategies import STRATEGIES
from pocketgan.search.study import search
from pocketgan.training.distributed import processes
from pocketgan.training.task import Learner

Against = Literal["macs", "latency"]
Sampling = Literal["uniform", "sandwich"]
Ranks = Literal["same", "own"]


@METHODS.register("gan-compression")
@dataclass(frozen=True, kw_only=True)
class GanCompression(Method):
    """Shared weights, trained at widths that are sampled in every step, and a search that scores candidates with them."""

    space: str = "parts"
    """A published space (channels-48, -64-pix2pix, -64-coco, ...), one written out (``stem=16,24 block*=16..64:8``), or
    ``parts``: from the full width to an eighth, with the genes of the network's family (``search.families``)."""
    sampling: Sampling = "uniform"
    """Sampling of the widths of a step: every gene independently (published), or every other step the largest or the smallest
    (the sandwich rule of Yu and Huang 2019, one network per step instead of several)."""
    ranks: Ranks = "same"
    """In several processes: the same widths in all, so that a step has the gradient of one network on the whole batch; or
    ``own`` widths in each, so that the gradient is the mean over several networks, on a slice of the batch each."""
    importance: Literal["contribution", "l1", "none"] = "contribution"
    """Score by which channels are sorted first, so that leading ones matter most; ``none`` keeps their order."""
    strategy: str = "evolution"
    """Strategy that proposes candidates: evolution (published), brute-force, random, or nsga2 (quality against costs)."""
    strategy_options: dict[str, Any] = field(default_factory=dict)
    """Options of the strategy: ``population``, ``mutants``, ..."""
    against: tuple[Against, ...] = ("macs",)
    """Costs that nsga2 weighs quality against: exact MACs, the median latency of the network, extracted and run on the device
    of the search, or both. Timings do not follow from the seed: a search against them resumes exactly, but does not repeat."""
    candidates: int = 300
    """Number of scored candidates."""
    use: float = 0.9
    """Smallest part of the budget that a candidate uses, so that the search covers networks near the budget (published: 0)."""
    images: int = 64
    """Number of training images that are held out to score candidates."""
    fitness: FitnessKind = "teacher"
    """Fitness: the distance to the teacher's images, frechet or kernel on ``--features``, or, for images of label maps, the
    errors of ``evaluation.segmenter`` (miou)."""
    evaluate_every: int = 500
    """Steps of the training between two evaluations of the largest and the smallest network on the held-out images; 0: none.
    The scores are logged and reported, and change nothing."""
    halving: bool = True
    """True: all candidates are scored on a sixteenth of the images first, and only the leading half of a generation on twice
    as many, and so on, with a fifth of the images in sum; False: all are scored on all images (published)."""
    storage: str | None = None
    """Storage of claims and scores: None is a journal in the run, which processes on one disk share; for others a database
    (``mysql://...``, ``postgresql://...``) or ``grpc://host:port``."""
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
        return self.images

    @property
    def needs_segmenter(self) -> bool:
        return self.fitness == "miou"

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        if self.ranks == "own" and has_statistics(teacher):
            raise ValueError("ranks=own: batch norms of different widths have no statistics in common; take ranks=same")
        if self.evaluate_every < 0:
            raise ValueError(
                f"evaluate_every={self.evaluate_every}: steps between two evaluations, at least 1; 0 for no evaluation"
            )
        BudgetedSpace(make_space(self.space, teacher), context.cost, context.budget, self.use)
        from_json(STRATEGIES[self.strategy], self.strategy_options)
        if self.storage is not None:
            open_storage(self.storage)
        if self.fitness in ("frechet", "kernel") and not features:
            raise ValueError(f"fitness={self.fitness} is measured on features: give an ONNX file with --features")
        named = ",".join(self.against)
        if self.strategy != "nsga2" and self.against != ("macs",):
            raise ValueError(
                f"against={named} has no effect on strategy={self.strategy}, which looks for the best score alone: take "
                "strategy=nsga2, or leave it out"
            )
        if sorted(set(self.against)) != sorted(self.against) or not self.against:
            raise ValueError(f"against={named}: name macs, latency or both, each once")
        if "latency" in self.against and context.measure is None:
            raise ValueError("against=latency: there is nothing to measure it with; give the MethodContext a `measure`")

    def network(self, model: nn.Module) -> nn.Module:
        return _elastic(model).model

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        return Elastic(sorted_by(teacher, self.importance, context))

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> WidthLearner:
        if context.multiple > 1:
            context.warn(f"multiple={context.multiple} has no effect on gan-compression: its widths are those of the space")
        elastic = _elastic(model)
        space = make_space(self.space, elastic.model)
        fitness = cache(lambda: make_fitness(elastic, self._holdout(context), self.fitness, context.device))
        schedule = EvaluationSchedule(self.evaluate_every, steps) if self.evaluate_every else None
        return WidthLearner(elastic, space, self.sampling, context.seed, fitness, schedule, ranks=self.ranks)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        fitness, result = self._search(model, context)
        noise = measure_noise(result, fitness)
        if noise is not None and context.reporter is not None:
            context.reporter.say(str(noise))
        if context.run_dir is not None:
            result.write(context.run_dir / "candidates.jsonl")
            if noise is not None:
                noise.write(context.run_dir / "search.json")
        model.cpu()
        return prefix(result.best.widths)

    def join_search(self, model: nn.Module, context: MethodContext) -> None:
        self._search(model, context)

    def _search(self, model: nn.Module, context: MethodContext) -> tuple[ImageFitness, SearchResult]:
        elastic, holdout = _elastic(model).to(context.device), self._holdout(context)
        fitness = make_fitness(elastic, holdout, self.fitness, context.device)
        result = search(
            make_space(self.space, elastic.model),
            fitness,
            against=[_cost_score(name, elastic, context) for name in self.against] if self.strategy == "nsga2" else [],
            cost=context.cost,
            storage=self.storage or (context.run_dir / "search.journal" if context.run_dir else InMemoryStorage()),
            budget=context.budget,
            use=self.use,
            strategy=from_json(STRATEGIES[self.strategy], self.strategy_options),
            halving=Halving() if self.halving else NO_HALVING,
            candidates=self.candidates,
            seed=context.seed,
            lease=self.lease,
            name=self._search_name(elastic.model, holdout, context),
            reporter=context.reporter,
        )
        return fitness, result

    def _search_name(self, network: nn.Module, holdout: HoldoutImages, context: MethodContext) -> str:
        """Name with a hash of everything that scores depend on; searches share a storage, and ``candidates`` may grow."""
        networks = [network.name for network in (holdout.extractor, holdout.segmenter) if network is not None]
        settings = replace(self, candidates=1, storage=None, lease=1.0), context.budget, context.seed, "+".join(networks)
        digest = hashlib.sha256(repr(settings).encode())
        for tensor in (*network.state_dict().values(), *as_tuple(holdout.inputs), holdout.teacher_images):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return f"search-{digest.hexdigest()[:16]}"

    def _holdout(self, context: MethodContext) -> HoldoutImages:
        assert context.holdout is not None, "the search needs images to score on"
        return context.holdout(self.images)


class WidthLearner(Learner):
    """Sets the widths of each step of the search training, and evaluates the largest and the smallest network at times.

    Widths follow from the step and the seed alone: the same after a resume, and on any number of processes.
    """

    def __init__(
        self,
        model: Elastic,
        space: Space,
        sampling: Sampling,
        seed: int,
        fitness: Callable[[], ImageFitness],
        schedule: EvaluationSchedule | None,
        *,
        ranks: Ranks = "same",
    ):
        """With ``ranks="own"`` each process draws its own widths. ``fitness`` is called when it is first needed."""
        self.model, self.space, self.sampling, self.seed = model, space, sampling, seed
        self.fitness, self.schedule = fitness, schedule
        self.rank = processes().rank if ranks == "own" else 0

    def on_step_start(self, step: int) -> None:
        """Resize the network."""
        if self.schedule is not None:
            self.schedule.begin(step)
        self.model.resize_(self.space.widths(self.configuration(step)))

    def configuration(self, step: int) -> Configuration:
        """Configuration of a step."""
        if self.sampling == "sandwich" and step % 2 == 0:
            return self.space.largest if step % 4 == 0 else self.space.smallest
        rng = np.random.default_rng((self.seed, step, *(() if self.rank == 0 else (self.rank,))))
        return tuple(int(value) for value in self.space.sample(rng, 1)[0])

    def log_dict(self) -> dict[str, Any]:
        """Scores of the largest and the smallest network, if an evaluation is due, in the process that writes.

        Scoring draws no random number and updates no running statistics.
        """
        if self.schedule is None or not self.schedule.due():
            return {}
        scores: dict[str, float] = {}
        if processes().is_main:
            widths, ends = dict(self.model.widths), {"largest": self.space.largest, "smallest": self.space.smallest}
            with evaluation_mode(self.model):
                scores = {name: score_all_images(self.fitness(), self.space.widths(end)) for name, end in ends.items()}
            self.model.resize_(widths)
        processes().barrier()  # with the long timeout: it may take longer than a step is waited for
        return scores


class EvaluationSchedule:
    """Schedule of evaluations: at the first line of the log after every ``every`` steps, and at the end.

    A resumed training begins at a line of its log, so its evaluations are at the same steps as without the interruption.
    """

    def __init__(self, every: int, steps: int):
        self.every, self.steps = every, steps
        self._last: int | None = None
        self._done = 0

    def begin(self, step: int) -> None:
        """Record that step ``step`` begins."""
        self._last = step if self._last is None else self._last
        self._done = step + 1

    def due(self) -> bool:
        """True if an evaluation is due; called at every line of the log."""
        last, self._last = self._last or 0, self._done
        return self._done // self.every > last // self.every or self._done == self.steps


def _cost_score(name: Against, model: Elastic, context: MethodContext) -> Score:
    """MACs or latency of a network of given widths."""

    def latency(widths: Mapping[str, int]) -> float:
        assert context.measure is not None
        model.resize_(widths)
        return context.measure(model.extract().eval())

    return latency if name == "latency" else lambda widths: context.cost(widths).macs


def sorted_by(model: nn.Module, importance: str, context: MethodContext) -> nn.Module:
    """Copy with the channels of every group sorted by importance, the highest first: a permutation, with equal outputs."""
    scores = IMPORTANCES[importance](model, context.images()) if importance != "none" else {}
    return shrink(model, {group: values.argsort(descending=True, stable=True) for group, values in scores.items()})


def _elastic(model: nn.Module) -> Elastic:
    assert isinstance(model, Elastic)
    return model
