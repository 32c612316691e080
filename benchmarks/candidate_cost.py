"""What one candidate of a search costs, and where: here, and in the published way, side by side in one run.

    python benchmarks/candidate_cost.py FEATURES.onnx IMAGES [--images 300] [--candidates 2] [--out FILE]

A mobile ResNet of ngf 64 at 256 x 256 and candidates of the published budget, scored by the Frechet distance on all images.
Here: the shared weights generate, the extractor sees the images in memory, and all else is what it takes to propose, claim,
resize, take statistics and a distance, and keep books. The published way: build the slim network, generate image by image, save
every image as PNG, read it back, extract, and take scipy's matrix root for a distance of 2048 features. Those features are
random rows of the right shape, as Inception is not at hand: the root's cost hangs on the shape alone, and the extractor is the
given one in both ways. The weights are random, too: no cost hangs on them. One thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from PIL import Image
from torch import Tensor

from _common import publish
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import eval_batches
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.features import OnnxFeatures
from pocketgan.metrics.statistics import F64
from pocketgan.models import mobile_resnet
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.elastic import Elastic
from pocketgan.search.fitness import HeldOut, make_fitness
from pocketgan.search.published import make_space
from pocketgan.search.strategies import Random
from pocketgan.search.study import search
from pocketgan.utils.image_files import to_uint8

SIZE, SPACE, BUDGET, INCEPTION = 256, "channels-64-pix2pix", "4.6Gpaper", 2048
SECONDS: dict[str, float] = defaultdict(float)


@contextmanager
def clocked(stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    SECONDS[stage] += time.perf_counter() - start


class ClockedElastic(Elastic):
    """Says how long it generates."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the elastic view."""
        with clocked("generate"):
            return super().forward(*inputs)


class ClockedFeatures(OnnxFeatures):
    """Says how long the network of the features takes, without the scaling of images to its size."""

    def _run(self, images: Tensor) -> F64:
        with clocked("extract"):
            return super()._run(images)


def here(model: ClockedElastic, images: Tensor, extractor: ClockedFeatures, candidates: int) -> dict[str, object]:
    """Seconds a candidate of a search as it runs."""
    cost = CostModel(model.model, SIZE)
    fitness = make_fitness(model, HeldOut(images, images, None, extractor), "frechet", images.device)
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
    each = {stage: seconds / candidates for stage, seconds in SECONDS.items()}
    rest = each["all"] - each["generate"] - each["extract"]
    return {
        "configurations": [candidate.configuration for candidate in found.candidates],
        "macs": [candidate.cost.macs for candidate in found.candidates],
        "seconds": rounded(each | {"everything_else": rest}),
        "everything_else_percent": round(100 * rest / each["all"], 2),
    }


def published(model: Elastic, widths: Mapping[str, int], images: Tensor, extractor: OnnxFeatures) -> dict[str, object]:
    """Seconds of one candidate by files and a matrix root."""
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
            matrix_root_distance(fakes, reals)
    return {"seconds": rounded(SECONDS)}


def matrix_root_distance(fakes: F64, reals: F64) -> float:
    """The Frechet distance as it is published: covariances, and the root of their product."""
    (a, s), (b, t) = ((rows.mean(axis=0), np.cov(rows, rowvar=False)) for rows in (fakes, reals))
    root = scipy.linalg.sqrtm(s @ t)
    return float((a - b) @ (a - b) + np.trace(s) + np.trace(t) - 2 * np.trace(root.real))


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 3) for stage, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = open_data(DataConfig(path=given.data, size=SIZE, limit=given.images, workers=0), "inputs", "train")
    images = next(eval_batches(data, batch=given.images)).images["input"]
    extractor = ClockedFeatures(given.features, threads=1)
    model = ClockedElastic(mobile_resnet(64).build().requires_grad_(False))
    ours = here(model, images, extractor, given.candidates)
    space = make_space(SPACE, model.model)
    configurations = ours["configurations"]
    assert isinstance(configurations, list)
    theirs = published(model, space.widths(space.parse(configurations[0])), images, extractor)
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
        packages=("torch", "numpy", "scipy", "onnxruntime", "optuna"),
    )


if __name__ == "__main__":
    main()
