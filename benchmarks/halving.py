"""Successive halving against scoring all candidates on all images, on a trained supernet: images, order, and result.

python benchmarks/halving.py RUN FEATURES.onnx [--candidates 64] [--images 300] [--threads 1] [--out FILE]
    [--teacher TEACHER --data FOLDER --search 2000]

RUN is a `compress --method gan-compression` that has searched; otherwise TEACHER and FOLDER (pairs, BtoA, 64 x 64, as in the
maps64 protocol) make one by the fast pipeline with ``--search`` steps. Candidates are sampled within the run's budget and
scored with its shared weights on test images. Every image is generated once, and both searches use its row, so that they
differ in the images of each candidate alone. Published for each fitness and several ways to halve: Spearman's correlation of
the scores of the two searches over all candidates (the stopped ones, too), the number of images of halving, the full rank of
its best candidate, and the number of the best ten that do not differ significantly.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from optuna.storages import InMemoryStorage
from scipy.stats import spearmanr
from torch import Tensor

from _common import load_supernet, parse, publish
from pocketgan.core.config import from_json
from pocketgan.core.inputs import as_size
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
from pocketgan.search.fitness import (
    NO_IMAGES,
    BatchGenerator,
    FeatureDistanceFitness,
    HoldoutImages,
    ImageFitness,
    Score,
    TeacherL1Fitness,
)
from pocketgan.search.halving import NO_HALVING, Halving
from pocketgan.search.published import make_space
from pocketgan.search.result import SearchResult, measure_noise
from pocketgan.search.strategies import Random
from pocketgan.search.study import search
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.progress import ConsoleReporter

PLANS = (Halving(), Halving(first=0.32**2, keep=0.32), Halving(first=0.25**2, keep=0.25))
"""Ways to halve; the first is the default of the library."""


class CachedGenerator:
    """Generator of all images of a network, which keeps them until the widths change."""

    def __init__(self, generator: BatchGenerator):
        self.generator = generator
        self.cache: tuple[Mapping[str, int], list[tuple[slice, Tensor]]] = {}, []

    def __call__(self, widths: Mapping[str, int], images: range) -> Iterator[tuple[slice, Tensor]]:
        """Images at ``widths``, in batches."""
        if self.cache[0] != widths:
            self.cache = widths, list(self.generator(widths, images))
        return iter(self.cache[1])


class StoredFitness:
    """Fitness with rows that are computed already."""

    def __init__(self, fitness: ImageFitness, known: Mapping[tuple[int, ...], F64]):
        self.fitness, self.known = fitness, known
        self.images, self.least = fitness.images, fitness.least

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """Rows of these images."""
        return self.known[tuple(widths.values())][images.start : images.stop]

    def score(self, rows: F64, without: range = NO_IMAGES) -> float:
        """Score by the original fitness."""
        return self.fitness.score(rows, without)


def trained(arguments: argparse.Namespace) -> CompressConfig:
    """Configuration of the run, which is made if there is none."""
    if not (arguments.run / "searched.safetensors").exists():
        training = TrainingConfig(steps=arguments.search, batch=4, weights={"l1": 10.0}, sample_every=0)
        config = CompressConfig(
            teacher=arguments.teacher,
            data=DataConfig(path=arguments.data, direction="BtoA", size=64, workers=0),
            method="gan-compression",
            method_options={"candidates": 2},
            search=training,
            evaluation=EvaluationConfig(features=arguments.features),
        )
        run_stages(config, arguments.run, resume=True, reporter=ConsoleReporter(), last="prune")
    return from_json(CompressConfig, json.loads((arguments.run / "config.json").read_text()))


def holdout(config: CompressConfig, images: int, features: str, threads: int) -> HoldoutImages:
    """Test inputs, the teacher's images, and the targets of paired data."""
    batch = next(eval_batches(open_data(config.data, config.task, "test"), batch=images, workers=0)).images
    teacher = load(config.teacher).model.eval()
    with torch.inference_mode():
        teacher_images = torch.cat([teacher(part) for part in torch.split(batch["input"], 8)])
    return HoldoutImages(batch["input"], teacher_images, batch.get("target"), OnnxFeatures(features, threads=threads))


def compare(full: SearchResult, halved: SearchResult, fitness: ImageFitness) -> dict[str, Any]:
    """Number of images of both searches, and agreement of their scores."""
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
    arguments = parse(__doc__, "run", "features", candidates=64, images=300, search=2000, teacher=None, data=None)
    arguments.run = Path(arguments.run)
    config = trained(arguments)
    model, method = load_supernet(arguments.run, config), make_method(config.method, config.method_options)
    assert isinstance(method, GanCompression)
    space, cost = make_space(method.space, model.model), CostModel(model.model, config.data.shape)
    held = holdout(config, arguments.images, arguments.features, arguments.threads)

    def run(fitness: Score | ImageFitness, halving: Halving = NO_HALVING) -> SearchResult:
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
    generator = CachedGenerator(BatchGenerator(model, held.inputs))
    reals = held.teacher_images if held.real_images is None else held.real_images
    to_teacher, kernel = (
        TeacherL1Fitness(generator, held.teacher_images),
        FeatureDistanceFitness(generator, held.extractor, reals, "kernel"),
    )
    frechet = FeatureDistanceFitness(generator, held.extractor, reals, "frechet")
    known: dict[tuple[int, ...], list[F64]] = {}
    chosen = run(lambda widths: 0.0).candidates
    with ConsoleReporter().task("generated", len(chosen)) as tick:
        for candidate in chosen:
            images = range(len(held.inputs))
            rows_of = [fitness.rows(candidate.widths, images) for fitness in (to_teacher, kernel)]
            known[tuple(candidate.widths.values())] = rows_of
            tick(len(known))
    rows = []
    for name, original, place in (("teacher", to_teacher, 0), ("kernel", kernel, 1), ("frechet", frechet, 1)):
        fitness = StoredFitness(original, {widths: stored[place] for widths, stored in known.items()})
        full = run(fitness)
        for plan in PLANS:
            rungs = plan.rungs(len(held.inputs), fitness.least)
            rows.append({"fitness": name, "keep": plan.keep, "rungs": rungs, **compare(full, run(fitness, plan), fitness)})
    publish(
        "halving",
        {
            "search_steps": config.search.steps,
            "budget": config.budget,
            "use": method.use,
            "size": as_size(config.data.shape),
            "candidates": arguments.candidates,
            "images": len(held.inputs),
            "extractor": held.extractor.name if held.extractor is not None else None,
            "rows": rows,
        },
        arguments.out,
        packages=("pocketgan", "torch", "numpy", "scipy", "onnxruntime", "optuna"),
    )


if __name__ == "__main__":
    main()
