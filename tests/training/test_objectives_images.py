"""Objectives on images, through the eyes of other networks, and on relations: their formulas on the networks of a task."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from test_objectives import LAYERS, losses, student_task, tapped, teacher_discriminator
from torch import Tensor

from pocketgan.core.config import from_json
from pocketgan.losses.features import gram_matrix, raw_moments
from pocketgan.losses.images import structural_similarity, total_variation, wavelet_distance
from pocketgan.losses.relations import pieces_of, position_distance, region_contrast, relational_distance
from pocketgan.models import patchgan, stylegan2_discriminator
from pocketgan.pretrained.vgg import Vgg16
from pocketgan.training.config import TrainingConfig
from pocketgan.training.features import TeacherDiscriminator
from pocketgan.training.loop import Trainer
from pocketgan.training.objectives import OBJECTIVES, DistillationBatch, Objective, check_batch, make_objectives
from toy_tasks import CPU, batch, same, weights

OPTIONS: dict[str, dict[str, object]] = {"wavelet": {"levels": 2}}
"""Options without which an objective does not fit 16 x 16 pixels."""


def images_of(task: object) -> tuple[Tensor, Tensor]:
    source = batch()["input"]
    return task.networks["G"](source), task.distillation.teacher(source)  # type: ignore[attr-defined]


def random_batch(*, equal: bool, seed: int = 0, count: int = 3) -> DistillationBatch:
    """Images of 32 x 32, and features of two layers: 6 channels of the student, 6 of the teacher."""
    draw = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=draw) * 2 - 1

    def features() -> dict[str, Tensor]:
        return {"one": numbers(6, 16, 16), "two": numbers(6, 8, 8)}

    image, found = numbers(3, 32, 32), features()
    other, others = (image, found) if equal else (numbers(3, 32, 32), features())
    discriminator = TeacherDiscriminator(teacher_discriminator())
    return DistillationBatch(numbers(3, 32, 32), image, other, found, others, discriminator)


def make(name: str, example: DistillationBatch, options: Mapping[str, object] | None = None) -> Objective:
    torch.manual_seed(0)
    return make_objectives(name, {name: options} if options else {}, example)[name]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_the_student_and_nothing_else(name: str) -> None:
    discriminator = teacher_discriminator()
    options = {name: OPTIONS.get(name, {})}
    task = student_task(name, teacher_discriminator=discriminator, layers=("down1",), objective_options=options)
    before = weights(discriminator), weights(task.distillation.teacher)
    student = weights(task.networks["G"])
    loss = losses(task)[name]
    loss.backward()
    reached = {n.partition(".")[0] for n, p in task.networks["G"].named_parameters() if p.grad is not None and p.grad.any()}
    assert reached >= {"stem", "down1"}
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.networks["G"].parameters())
    frozen = [*discriminator.parameters(), *task.distillation.teacher.parameters()]
    Trainer(task, TrainingConfig(steps=1), CPU).advance(batch())
    assert not any(p.requires_grad or p.grad is not None for p in frozen)
    assert same(weights(discriminator), before[0])
    assert same(weights(task.distillation.teacher), before[1])
    assert not same(weights(task.networks["G"]), student)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("output", {}),
        ("output", {"norm": "l2"}),
        ("wavelet", {}),
        ("perceptual", {"tv": 0}),
        ("content-relations", {}),
        ("attention", {}),
        ("pixel-relations", {}),
        ("discriminator", {}),
        ("moments", {}),
    ],
    ids=str,
)
def test_a_student_like_its_teacher_has_no_loss(name: str, options: dict[str, object]) -> None:
    alike, others = random_batch(equal=True), random_batch(equal=False)
    distance = make(name, others, options).loss(others).item()
    assert distance > 0
    assert make(name, alike, options).loss(alike).item() == pytest.approx(0, abs=1e-3 * distance)


def test_output_by_squares_is_the_mean_squared_error() -> None:
    found = random_batch(equal=False)
    expected = F.mse_loss(found.student_image, found.teacher_image)
    torch.testing.assert_close(make("output", found, {"norm": "l2"}).loss(found), expected)


def test_wavelets_of_the_two_images() -> None:
    task = student_task("wavelet", objective_options={"wavelet": {"levels": 3, "norm": "l2"}})
    torch.testing.assert_close(losses(task)["wavelet"], wavelet_distance(*images_of(task), levels=3, norm="l2"))
    with pytest.raises(ValueError, match="levels=5 of the objective wavelet: an image of 16 x 16 has 4"):
        student_task("wavelet", objective_options={"wavelet": {"levels": 5}})


def omgd(task: object, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], style: list[str], content: str) -> Tensor:
    """OMGD's loss, with the features of both images by layer."""
    images = images_of(task)
    textures = sum(F.l1_loss(gram_matrix(student[n]), gram_matrix(teacher[n])) for n in style)
    content_loss = F.l1_loss(student[content], teacher[content])
    return 10 * (1 - structural_similarity(*images)) + 1e4 * textures + 10 * content_loss + 1e-5 * total_variation(images[0])


def test_perceptual_is_omgds_loss_through_the_teachers_discriminator() -> None:
    task = student_task("perceptual", teacher_discriminator=teacher_discriminator())
    source = batch()["input"]
    seen = [task.distillation.discriminator(source, image) for image in images_of(task)]
    expected = omgd(task, *seen, style=["conv1", "conv2", "conv3"], content="conv2")
    torch.testing.assert_close(losses(task)["perceptual"], expected)


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Vgg16]:
    torch.manual_seed(0)
    path, network = tmp_path_factory.mktemp("vgg") / "vgg16.pth", Vgg16().half()  # halves, to be small
    torch.save(network.state_dict(), path)
    return path, network.float()


def test_perceptual_is_omgds_loss_through_vgg16(vgg16: tuple[Path, Vgg16]) -> None:
    path, network = vgg16
    task = student_task("perceptual", objective_options={"perceptual": {"eyes": f"vgg16:{path}"}})
    seen = []
    for image in images_of(task):
        x, found = (image + 1) / 2, {}
        for index, layer in enumerate(network.features):
            x = layer(x)
            found[{3: "relu1_2", 8: "relu2_2", 15: "relu3_3", 22: "relu4_3"}.get(index, "")] = x
        seen.append(found)
    expected = omgd(task, *seen, style=["relu1_2", "relu2_2", "relu3_3", "relu4_3"], content="relu2_2")
    found = losses(task)["perceptual"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    found.backward()
    assert not any("perceptual" in name for name in weights(task.networks["objective"]))  # nor trained, nor saved


def test_a_discriminators_first_four_hidden_layers_are_compared_by_default() -> None:
    torch.manual_seed(0)
    discriminator = TeacherDiscriminator(patchgan(4, 4, in_channels=3).build())
    assert discriminator.layers == ("conv1", "conv2", "conv3", "conv4", "conv5", "head")
    draw = torch.Generator().manual_seed(0)
    source, student, teacher = (torch.rand(2, 3, 64, 64, generator=draw) for _ in range(3))
    found = DistillationBatch(source, student, teacher, {}, {}, discriminator)
    four = {"content": {"conv2": 10}, "style": dict.fromkeys(("conv1", "conv2", "conv3", "conv4"), 1e4)}
    torch.testing.assert_close(make("perceptual", found).loss(found), make("perceptual", found, four).loss(found))


def test_terms_of_perceptual_are_chosen_by_layer() -> None:
    found = random_batch(equal=False)
    assert found.teacher_discriminator is not None
    seen = [found.teacher_discriminator(found.input, image) for image in (found.student_image, found.teacher_image)]
    options = {"content": {"conv3": 2.0}, "style": {"conv1": 3.0}, "gram": "l2", "ssim": 0, "tv": 0}
    content = F.l1_loss(seen[0]["conv3"], seen[1]["conv3"])
    style = F.mse_loss(gram_matrix(seen[0]["conv1"]), gram_matrix(seen[1]["conv1"]))
    torch.testing.assert_close(make("perceptual", found, options).loss(found), 2 * content + 3 * style)
    alone = make("perceptual", found, {"content": {}, "style": {}, "ssim": 0, "tv": 2.0})
    torch.testing.assert_close(alone.loss(found), 2 * total_variation(found.student_image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eyes": "vgg11"}, "no eyes named 'vgg11'. Did you mean 'vgg19'|no eyes named 'vgg11'. Did you mean 'vgg16'"),
        ({"eyes": "teacher-discriminator:x"}, "no eyes named 'teacher-discriminator:x'. Did you mean 'teacher-discriminator'"),
        (
            {"eyes": "vgg16:/nowhere.pth"},
            "no file /nowhere.pth.*; or choose other eyes: objective_options.perceptual.eyes=teacher",
        ),
        ({"content": {"conv9": 1}}, r"no layer of the eyes named 'conv9'. Did you mean 'conv"),
        ({"style": {"conv1": -1}}, "style.conv1=-1.0: a weight is at least 0"),
        ({"content": {}, "style": {}, "ssim": 0, "tv": 0}, "all off, nothing is left to compare"),
    ],
    ids=str,
)
def test_wrong_options_of_perceptual(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        student_task("perceptual", teacher_discriminator=teacher_discriminator(), objective_options={"perceptual": options})


@pytest.mark.parametrize("name", ["perceptual", "moments"])
def test_eyes_that_are_missing_are_named_with_the_ways_out(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"name it by --teacher-discriminator, or choose other eyes: objective_options.{name}.eyes"
    ):
        student_task(name)


def test_moments_are_those_of_all_the_teachers_images_so_far() -> None:
    first, second = random_batch(equal=False), random_batch(equal=False, seed=1)
    objective = make("moments", first, {"layers": ["conv2", "conv3"]})

    def embedded(found: DistillationBatch, image: Tensor) -> Tensor:
        assert found.teacher_discriminator is not None
        seen = found.teacher_discriminator(found.input, image)
        return torch.cat([seen[name].mean((2, 3)) for name in ("conv2", "conv3")], 1)

    teachers = [embedded(found, found.teacher_image) for found in (first, second)]
    objective.loss(first)
    found = objective.loss(second)
    difference = raw_moments(embedded(second, second.student_image)) - raw_moments(torch.cat(teachers))
    torch.testing.assert_close(found, difference.abs().mean(1).sum())
    other = make("moments", first, {"layers": ["conv2", "conv3"]})
    other.load_state_dict(objective.state_dict())  # resumed
    assert torch.equal(objective.loss(first), other.loss(first))
    with pytest.raises(ValueError, match="batch=1: the objective moments compares images with one another; give 2 or more"):
        check_batch("moments", {}, 1)


def test_channels_are_means_after_the_connector() -> None:
    task = student_task("channels")
    entry = task.networks["objective"]["channels"]
    student, teacher = tapped(task.networks["G"]), tapped(task.distillation.teacher)
    expected = 0
    for name, adaptor, norm in zip(LAYERS, entry.adaptors, entry.norms, strict=True):
        mapped = F.batch_norm(adaptor(student[name]), None, None, norm.weight, norm.bias, training=True).relu()
        expected = expected + (mapped.mean((2, 3)) - teacher[name].mean((2, 3))).square().mean()
    torch.testing.assert_close(losses(task)["channels"], expected)


def test_channels_of_features_without_positions_are_refused() -> None:
    """Their means are they themselves, and a batch norm of one image has nothing to normalize by."""
    found = random_batch(equal=False)
    student, teacher = ({"end": features["two"][..., :1, :1]} for features in (found.student_features, found.teacher_features))
    small = replace(found, student_features=student, teacher_features=teacher)
    with pytest.raises(
        ValueError, match=r"channels: the features of the layer end are 1 x 1.*: choose features, or other layers"
    ):
        make("channels", small)
    assert make("features", small).loss(small).isfinite()


def test_relations_of_positions_and_regions_on_the_features_of_both() -> None:
    task = student_task("pixel-relations+regions", objective_options={"regions": {"count": 5, "temperature": 0.2}})
    student, teacher = tapped(task.networks["G"]), tapped(task.distillation.teacher)
    found = losses(task)
    expected = sum(position_distance(student[n], teacher[n], side=32) for n in LAYERS) / 2
    torch.testing.assert_close(found["pixel-relations"], expected)
    adaptors = dict(zip(LAYERS, task.networks["objective"]["regions"].adaptors, strict=True))
    regions = sum(region_contrast(adaptors[n](student[n]), teacher[n], count=5, temperature=0.2) for n in LAYERS) / 2
    torch.testing.assert_close(found["regions"], regions)


def test_content_relations_are_of_rows_columns_and_patches() -> None:
    task = student_task("content-relations", objective_options={"content-relations": {"strips": 8, "grid": 4}})
    student, teacher = (pieces_of(image, strips=8, grid=4) for image in images_of(task))
    expected = sum(relational_distance(a, b) for a, b in zip(student, teacher, strict=True))
    torch.testing.assert_close(losses(task)["content-relations"], expected)


def test_discriminator_features_see_both_generators_features() -> None:
    found = random_batch(equal=True)
    objective = make("discriminator-features", found)
    with torch.no_grad():
        for index, adaptor in enumerate(objective.adaptors):  # type: ignore[arg-type]
            adaptor.weight.copy_(objective.get_buffer(f"projection{index}"))
    assert objective.loss(found).item() == 0
    other = random_batch(equal=False)
    assert other.teacher_discriminator is not None
    expected = torch.zeros(())
    for index, name in enumerate(("one", "two")):
        rows = objective.get_buffer(f"projection{index}")[..., 0, 0]
        torch.testing.assert_close(rows @ rows.T, torch.eye(6))  # orthonormal
        images = (torch.einsum("dc,nchw->ndhw", rows, x[name]) for x in (other.student_features, other.teacher_features))
        large = (F.interpolate(image, (32, 32), mode="bilinear").relu() for image in images)  # as large as the images
        a, b = (other.teacher_discriminator.features(image)["conv3"] for image in large)
        expected = expected + F.l1_loss(a, b)
    torch.testing.assert_close(objective.loss(other), expected)


@pytest.mark.parametrize("name", ["features", "channels", "regions", "discriminator-features"])
def test_fewer_channels_are_zeros_behind_them(name: str) -> None:
    """An elastic student has only its leading channels in most steps."""
    found = random_batch(equal=False)
    objective = make(name, found)
    narrow = {layer: x[:, :4] for layer, x in found.student_features.items()}
    padded = {layer: F.pad(x, (0, 0, 0, 0, 0, 2)) for layer, x in narrow.items()}
    losses = [objective.loss(replace(found, student_features=features)) for features in (narrow, padded)]
    torch.testing.assert_close(*losses)


def test_features_that_a_discriminator_cannot_read_are_refused() -> None:
    """One for 16 x 16 pixels alone, and features of 24 x 24."""
    torch.manual_seed(0)
    discriminator = TeacherDiscriminator(stylegan2_discriminator(size=16, channel_max=4).build())
    image, features = torch.zeros(2, 3, 16, 16), {"one": torch.zeros(2, 4, 24, 24)}
    example = DistillationBatch(image, image, image, features, features, discriminator)
    with pytest.raises(ValueError, match="cannot read the features of the layer one, 24 x 24, as it reads images of one size"):
        make("discriminator-features", example)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wavelet", {"levels": 0}, "levels=0: the least is 1"),
        ("pixel-relations", {"side": 1}, "side=1: the least is 2"),
        ("regions", {"temperature": 0}, "temperature=0.0: a number above 0"),
        ("content-relations", {"strips": 300}, "strips=300: at most 256"),
    ],
)
def test_options_have_bounds(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(OBJECTIVES[name].Options, options)
