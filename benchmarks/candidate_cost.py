"""Seconds of one search candidate by stage, here and in the published way, in one run.

python benchmarks/candidate_cost.py FEATURES.onnx IMAGES [--images 300] [--candidates 2] [--out FILE]

About seven minutes on one core. A mobile ResNet of ngf 64 at 256 x 256 and candidates of the published budget, scored by the
Fréchet distance on all images. Here, the supernet generates, the extractor sees the images in memory, and everything else is
proposal, claim, resizing, statistics, distance and journal. The published way builds the slim network, generates image by
image, writes every image as PNG and reads it again, extracts features, and computes scipy's matrix root for a distance of
2048 features. Those features are random rows of the right shape, since the cost of the root depends on the shape alone; the
extractor is the same in both ways. Weights are random: no cost depends on them.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from _common import parse, publish, sqrtm_distance
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import eval_batches
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.features import OnnxFeatures
from pocketgan.metrics.statistics import F64
from pocketgan.models import mobile_resnet
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.elastic import Elastic
from pocketgan.search.fitness import HoldoutImages, make_fitness
from pocketgan.search.published import make_space
from pocketgan.search.space import parse_widths
from pocketgan.search.strategies import Random
from pocketgan.search.study import search
from pocketgan.utils.images import to_uint8

SIZE, SPACE, BUDGET, INCEPTION = 256, "channels-64-pix2pix", "4.6Gpaper", 2048
SECONDS: dict[str, float] = defaultdict(float)


@contextmanager
def clocked(stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    SECONDS[stage] += time.perf_counter() - start


class ClockedElastic(Elastic):
    """Elastic network with a clock."""

    def forward(self, *inputs: Tensor) -> Tensor:
        with clocked("generate"):
            return super().forward(*inputs)


class ClockedFeatures(OnnxFeatures):
    """Extractor with a clock for its network, without the scaling of images to its size."""

    def _run(self, images: Tensor) -> F64:
        with clocked("extract"):
            return super()._run(images)


def here(model: ClockedElastic, images: Tensor, extractor: ClockedFeatures, candidates: int) -> dict[str, object]:
    """Seconds of a candidate in the search of this library."""
    cost = CostModel(model.model, SIZE)
    fitness = make_fitness(model, HoldoutImages(images, images, None, extractor), "frechet", images.device)
    SECONDS.clear()
    with tempfile.TemporaryDirectory() as folder, clocked("all"):
        found = search(
            make_space(SPACE, model.model),
            fitness,
            cost=cost,
            budget=parse_budget(BUDGET, cost()),
            storage=Path(folder) / "journal",
            strategy=Random(),
            candidates=candidates,
        )
    seconds = {stage: total / candidates for stage, total in SECONDS.items()}
    rest = seconds["all"] - seconds["generate"] - seconds["extract"]
    return {
        "configurations": [candidate.configuration for candidate in found.candidates],
        "macs": [candidate.cost.macs for candidate in found.candidates],
        "seconds": rounded(seconds | {"everything_else": rest}),
        "everything_else_percent": round(100 * rest / seconds["all"], 2),
    }


def published(model: Elastic, widths: Mapping[str, int], images: Tensor, extractor: OnnxFeatures) -> dict[str, object]:
    """Seconds of one candidate by image files and a matrix root."""
    rng = np.random.default_rng(0)
    reals, fakes = (rng.standard_normal((len(images), INCEPTION)) for _ in range(2))
    SECONDS.clear()
    with tempfile.TemporaryDirectory() as folder, clocked("all"), torch.inference_mode():
        with clocked("build"):
            model.resize_(widths)
            network = model.extract().eval()
        for index in range(len(images)):
            with clocked("generate"):
                image = network(images[index : index + 1])
            with clocked("files"):
                Image.fromarray(to_uint8(image[0])).save(Path(folder) / f"{index}.png")
        for index in range(len(images)):
            with clocked("files"):
                pixels = np.asarray(Image.open(Path(folder) / f"{index}.png"))
            with clocked("extract_and_scale"):
                extractor(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1)
        with clocked("distance"):
            sqrtm_distance(*moments(fakes), *moments(reals))
    return {"seconds": rounded(SECONDS)}


def moments(rows: F64) -> tuple[F64, F64]:
    return rows.mean(axis=0), np.cov(rows, rowvar=False)


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 3) for stage, value in seconds.items()}


def main() -> None:
    arguments = parse(__doc__, "features", "data", images=300, candidates=2)
    data = open_data(DataConfig(path=arguments.data, size=SIZE, limit=arguments.images, workers=0), "inputs", "train")
    images = next(eval_batches(data, batch=arguments.images)).images["input"]
    extractor = ClockedFeatures(arguments.features, threads=1)
    model = ClockedElastic(mobile_resnet(64).build().requires_grad_(False))
    ours = here(model, images, extractor, arguments.candidates)
    space = make_space(SPACE, model.model)
    configurations = ours["configurations"]
    assert isinstance(configurations, list)
    theirs = published(model, space.widths(parse_widths(configurations[0])), images, extractor)
    publish(
        "candidate_cost",
        {
            "network": "mobile-resnet ngf 64",
            "space": SPACE,
            "budget": BUDGET,
            "size": SIZE,
            "images": len(images),
            "extractor": extractor.name,
            "here": ours,
            "published_way_of_the_first": theirs,
            "note": "other processes shared the machine",
        },
        arguments.out,
        packages=("torch", "numpy", "scipy", "onnxruntime", "optuna"),
    )


if __name__ == "__main__":
    main()
