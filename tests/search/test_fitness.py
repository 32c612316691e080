"""Fitness on held-out images: distance to the teacher, running statistics of a candidate, batches that fit a cache."""

import numpy as np
import pytest
import torch
from torch import nn

from pocketgan.models import resnet
from pocketgan.pruning.calibrate import calibrate_
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.selection import prefix, shrink
from pocketgan.search.fitness import BatchGenerator, HoldoutImages, ImageFitness, ScalarFitness, make_fitness, score_all_images
from zoo import randomized

CPU = torch.device("cpu")
IMAGES = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1)).tanh()


def teacher_fitness(teacher: nn.Module) -> tuple[ImageFitness, HoldoutImages]:
    with torch.no_grad():
        holdout = HoldoutImages(IMAGES, teacher(IMAGES))
    return make_fitness(Elastic(shrink(teacher, {})), holdout, "teacher", CPU), holdout


def test_the_full_network_has_no_distance_to_the_teacher() -> None:
    fitness, _ = teacher_fitness(randomized(resnet(4, 1)))
    assert score_all_images(fitness, {}) == 0
    assert score_all_images(fitness, {"trunk": 8}) > 0


def test_a_candidate_has_its_own_statistics() -> None:
    """With batch norm the score is that of the extracted and recalibrated network."""
    teacher, widths = randomized(resnet(4, 2, "batch")), {"trunk": 12, "block1": 5}
    fitness, holdout = teacher_fitness(teacher)
    small = shrink(teacher, prefix(widths)).eval()
    calibrate_(small, [IMAGES])
    with torch.no_grad():
        expected = (small(IMAGES) - holdout.teacher_images).abs().mean((1, 2, 3))
    assert fitness.rows(widths, range(1, 4))[:, 0] == pytest.approx(expected[1:4].numpy(), rel=1e-4)
    assert score_all_images(fitness, widths) == pytest.approx(expected.mean().item(), rel=1e-4)


@pytest.mark.parametrize(("side", "batch"), [(64, 8), (128, 8), (256, 2), (512, 1)])
def test_a_batch_has_at_most_eight_images_and_131072_pixels(side: int, batch: int) -> None:
    assert BatchGenerator(Elastic(resnet(2, 1).build()), torch.zeros(1, 3, side, side)).batch == batch


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("miou", "fitness=miou is measured by a segmenter: give evaluation.segmenter"),
        ("kernel", "fitness=kernel is measured on features: give an ONNX file with --features"),
    ],
)
def test_a_missing_network_is_named(kind: str, message: str) -> None:
    holdout = HoldoutImages(IMAGES, IMAGES)
    with pytest.raises(ValueError, match=message):
        make_fitness(Elastic(resnet(2, 1).build()), holdout, kind, CPU)  # type: ignore[arg-type]


def test_a_score_of_widths_is_a_fitness_with_one_image() -> None:
    fitness = ScalarFitness(lambda widths: 2.0 * widths["stem"])
    assert isinstance(fitness, ImageFitness)
    assert (fitness.images, fitness.least) == (1, 1)
    assert np.array_equal(fitness.rows({"stem": 3}, range(1)), [[6.0]])
    assert score_all_images(fitness, {"stem": 3}) == 6.0
