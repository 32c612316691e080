"""Scoring all candidates on all images beside successive halving, on a trained supernet.

    python benchmarks/halving.py RUN FEATURES.onnx [--candidates 64] [--images 300] [--threads 1] [--out FILE]
        [--teacher TEACHER --data FOLDER --search 2000]

RUN is a `compress --method gan-compression` that has searched; where there is none, TEACHER and FOLDER (pairs, BtoA, 64 x 64,
as in the maps64 protocol) make one by the fast pipeline with so many steps of search. Candidates are drawn at random within
the run's budget, at least as near to it as the run's were, and scored with its shared weights on test images, which no step
saw. Every image is generated once; the two searches then read its row, so that they differ in nothing but who is scored on
what. Told for each fitness and several ways to halve: Spearman's correlation of the two searches' scores over all candidates,
the stopped ones too, how many images halving generated, where the one that it found stands by the full scores, and how many of
the best ten the images do not tell apart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from optuna.storages import InMemoryStorage
from safetensors.torch import load_file
from scipy.stats import spearmanr
from torch import Tensor

from _common import publish
from pocketgan.core.config import from_json
from pocketgan.core.shape import plain
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import eval_batches
from pocketgan.evaluation import EvaluationConfig
from pocketgan.methods import make_method
from pocketgan.methods.gan_compression import GanCompression
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.features import OnnxFeatures
from pocketgan.metrics.statistics import F64
from pocketgan.pipeline.compress import run_stages
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import load
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.elastic import Elastic
from pocketgan.search.fitness import BatchGenerator, FeatureDistanceFitness, HeldOut, TeacherL1Fitness
from pocketgan.search.halving import WHOLE, Halving
from pocketgan.search.noise import measure_noise
from pocketgan.search.published import make_space
from pocketgan.search.result import SearchResult
from pocketgan.search.scoring import NONE, ByImages, Score
from pocketgan.search.space import Space
from pocketgan.search.strategies import Random
from pocketgan.search.study import search
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.progress import ConsoleReporter

PLANS = (Halving(), Halving(first=0.32**2, keep=0.32), Halving(first=0.25**2, keep=0.25))
"""The product's own first."""


class Once:
    """Generates all sources for a network, and keeps the images until another network is asked for."""

    def __init__(self, generator: BatchGenerator):
        self.generator = generator
        self.kept: tuple[Mapping[str, int], list[tuple[slice, Tensor]]] = {}, []

    def __call__(self, widths: Mapping[str, int], images: range) -> Iterator[tuple[slice, Tensor]]:
        """As `Generate`, for all images."""
        if self.kept[0] != widths:
            self.kept = widths, list(self.generator(widths, images))
        return iter(self.kept[1])


class Read:
    """A fitness whose rows are there already."""

    def __init__(self, fitness: ByImages, space: Space, known: Mapping[str, F64]):
        self.fitness, self.space, self.known = fitness, space, known
        self.images, self.least = fitness.images, fitness.least

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """The rows of these images."""
        return self.known[self.space.format(self.space.configuration(widths))][images.start : images.stop]

    def score(self, rows: F64, without: range = NONE) -> float:
        """As the fitness."""
        return self.fitness.score(rows, without)


def trained(arguments: argparse.Namespace) -> CompressConfig:
    """The run's configuration; the run is made where there is none."""
    if not (arguments.run / "searched.safetensors").exists():
        fit = TrainingConfig(steps=arguments.search, batch=4, weights={"l1": 10.0}, sample_every=0)
        config = CompressConfig(
            teacher=arguments.teacher,
            data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=0),
            method="gan-compression",
            method_options={"candidates": 2},
            search=fit,
            evaluation=EvaluationConfig(features=arguments.features),
        )
        run_stages(config, arguments.run, resume=True, reporter=ConsoleReporter(), last="prune")
    return from_json(CompressConfig, json.loads((arguments.run / "config.json").read_text()))


def supernet(run: Path, config: CompressConfig) -> Elastic:
    """The shared weights."""
    elastic = Elastic(load(config.teacher).model)
    tensors = load_file(run / "searched.safetensors")
    elastic.load_state_dict({key.removeprefix("G/"): value for key, value in tensors.items() if key.startswith("G/")})
    return elastic.requires_grad_(False)


def held_out(config: CompressConfig, images: int, features: str, threads: int) -> HeldOut:
    """Test images, the teacher's images of them, and the real ones where there are pairs."""
    found = next(eval_batches(open_data(config.data, config.task, "test"), batch=images, workers=0)).images
    teacher = load(config.teacher).model.eval()
    with torch.inference_mode():
        teacher_images = torch.cat([teacher(part) for part in torch.split(found["input"], 8)])
    return HeldOut(found["input"], teacher_images, found.get("target"), OnnxFeatures(features, threads=threads))


def compared(full: SearchResult, halved: SearchResult, fitness: ByImages) -> dict[str, Any]:
    """What halving spent, and how near it came."""
    scores = [[candidate.scores[0] for candidate in found.candidates] for found in (full, halved)]
    assert [c.configuration for c in full.candidates] == [c.configuration for c in halved.candidates]
    spent = [sum(candidate.images for candidate in found.candidates) for found in (full, halved)]
    noise = measure_noise(full, fitness)
    order = [candidate.number for candidate in full.ranking]
    return {
        "spearman": float(spearmanr(*scores).statistic),
        "images": {"full": spent[0], "halving": spent[1]},
        "times_fewer": round(spent[0] / spent[1], 2),
        "place_of_the_one_found": 1 + order.index(halved.best.number),
        "tied_with_the_best_of_ten": noise.tied if noise is not None else None,
    }


def main() -> None:
    """Both searches for every fitness."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("features")
    for name, number in (("candidates", 64), ("images", 300), ("threads", 1), ("search", 2000)):
        parser.add_argument(f"--{name}", type=int, default=number)
    for name in ("teacher", "data"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = trained(arguments)
    model, method = supernet(arguments.run, config), make_method(config.method, config.method_options)
    assert isinstance(method, GanCompression)
    space, cost = make_space(method.space, model.model), CostModel(model.model, config.data.shape)
    held = held_out(config, arguments.images, arguments.features, arguments.threads)

    def drawn(fitness: Score | ByImages, halving: Halving = WHOLE) -> SearchResult:
        return search(
            space,
            fitness,
            cost=cost,
            budget=parse_budget(config.budget, cost()),
            use=method.use,
            storage=InMemoryStorage(),
            strategy=Random(),
            halving=halving,
            candidates=arguments.candidates,
        )

    assert held.extractor is not None
    generator = Once(BatchGenerator(model, held.sources))
    reals = held.teacher_images if held.reals is None else held.reals
    to_teacher, kernel = (
        TeacherL1Fitness(generator, held.teacher_images),
        FeatureDistanceFitness(generator, held.extractor, reals, "kernel"),
    )
    frechet = FeatureDistanceFitness(generator, held.extractor, reals, "frechet")
    known: dict[str, list[F64]] = {}
    chosen = drawn(lambda widths: 0.0).candidates
    with ConsoleReporter().task("generated", len(chosen)) as tick:
        for candidate in chosen:
            every = range(len(held.sources))
            known[candidate.configuration] = [one.rows(candidate.widths, every) for one in (to_teacher, kernel)]
            tick(len(known))
    rows = []
    for name, fitness, place in (("teacher", to_teacher, 0), ("kernel", kernel, 1), ("frechet", frechet, 1)):
        read = Read(fitness, space, {words: own[place] for words, own in known.items()})
        full = drawn(read)
        for plan in PLANS:
            rungs = plan.rungs(len(held.sources), read.least)
            rows.append({"fitness": name, "keep": plan.keep, "rungs": rungs, **compared(full, drawn(read, plan), read)})
    publish(
        "halving",
        {
            "search_steps": config.search.steps,
            "budget": config.budget,
            "use": method.use,
            "size": plain(config.data.shape),
            "candidates": arguments.candidates,
            "images": len(held.sources),
            "extractor": held.extractor.name if held.extractor is not None else None,
            "rows": rows,
        },
        packages=("pocketgan", "torch", "numpy", "scipy", "onnxruntime", "optuna"),
    )


if __name__ == "__main__":
    main()
