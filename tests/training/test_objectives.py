"""Distillation objectives: closed forms, gradients, and a teacher that stays unchanged."""

import pytest
import torch
import torch.nn.functional as F

from pocketgan.losses.features import attention_transfer, kernel_alignment
from pocketgan.models import patchgan, resnet
from pocketgan.pruning.selection import shrink
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.features import Taps, TeacherDiscriminator
from pocketgan.training.loop import Trainer
from pocketgan.training.objectives import check_batch
from toy_tasks import CPU, batch, generator, make_discriminator, same, weights

LAYERS = ("down2", "block0")


def student_task(objective: str, **options: object) -> Pix2PixTask:
    """Build the task of a student of width 4 and a teacher of width 6."""
    options = {"layers": LAYERS, "teacher": generator(6, seed=5)} | options
    return Pix2PixTask(
        generator(4), make_discriminator(6), objective=objective, example={"input": batch()["input"][:1]}, **options
    )


def losses(task: Pix2PixTask) -> dict[str, torch.Tensor]:
    return task.losses("G", batch(), task.forward(batch()))


def tapped(model: torch.nn.Module, count: int = 2) -> dict[str, torch.Tensor]:
    taps = Taps(model, LAYERS)
    model(batch(count=count)["input"])
    taps.close()
    return taps.take()


def test_output_is_l1_to_the_teachers_image() -> None:
    task = student_task("output")
    expected = F.l1_loss(task.networks["G"](batch()["input"]), task.distillation.teacher(batch()["input"]))
    torch.testing.assert_close(losses(task)["output"], expected)
    assert task.weights["output"] == 100


def test_features_use_an_adaptor_on_the_student() -> None:
    task = student_task("features")
    adaptors = task.networks["objective"]["features"].adaptors
    assert [(a.in_channels, a.out_channels, a.kernel_size) for a in adaptors] == [(16, 24, (1, 1))] * 2
    student, teacher = tapped(task.networks["G"]), tapped(task.distillation.teacher)
    expected = sum(F.mse_loss(a(student[n]), teacher[n]) for a, n in zip(adaptors, LAYERS, strict=True))
    torch.testing.assert_close(losses(task)["features"], expected)


def test_attention_needs_no_adaptor() -> None:
    task = student_task("attention")
    student, teacher = tapped(task.networks["G"]), tapped(task.distillation.teacher)
    torch.testing.assert_close(losses(task)["attention"], sum(attention_transfer(student[n], teacher[n]) for n in LAYERS))
    assert not list(task.networks["objective"].parameters())


def test_objectives_are_joined_with_plus_and_weighted_by_name() -> None:
    task = student_task("output+features+attention")
    assert set(losses(task)) == {"gan", "l1", "output", "features", "attention"}
    assert {name: task.weights[name] for name in losses(task)} == {
        "gan": 1.0,
        "l1": 100.0,
        "output": 100.0,
        "features": 1.0,
        "attention": 10.0,
    }


def test_none_has_no_losses_and_no_hooks() -> None:
    task = student_task("none")
    assert set(losses(task)) == {"gan", "l1"}
    assert "objective" not in task.networks
    for model in (task.networks["G"], task.distillation.teacher):
        assert not any(module._forward_hooks for module in model.modules())


def test_output_alone_keeps_no_hooks() -> None:
    task = student_task("output")
    losses(task)
    assert not any(module._forward_hooks for module in task.networks["G"].modules())
    assert not any(module._forward_hooks for module in task.distillation.teacher.modules())


def test_adaptors_are_trained_and_the_teacher_is_not() -> None:
    teacher = generator(6, seed=5, norm="batch", dropout=0.5).train()
    task = student_task("features", teacher=teacher)
    before, start = weights(teacher), weights(task.networks["objective"])
    state = torch.get_rng_state()
    fit = Trainer(task, TrainingConfig(steps=3), CPU)
    for step in range(3):
        fit.advance(batch(step))
    assert same(weights(teacher), before)  # nor the running statistics of its batch norms
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in teacher.parameters())
    assert torch.equal(torch.get_rng_state(), state)  # no dropout was drawn
    after = weights(task.networks["objective"])
    assert not any(torch.equal(after[name], start[name]) for name in start)


def test_gradients_of_features_end_at_the_tapped_layers() -> None:
    task = student_task("features", layers=("down2",))
    losses(task)["features"].backward()
    reached = {name.partition(".")[0] for name, p in task.networks["G"].named_parameters() if p.grad is not None}
    assert reached == {"stem", "down1", "down2"}


def test_unknown_names_are_errors_with_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"no objective named 'featurs'. Did you mean 'features'"):
        student_task("output+featurs")
    with pytest.raises(ValueError, match="no objective named ''"):
        student_task("output+")
    with pytest.raises(ValueError, match=r"no layer named 'blok0'. Did you mean 'block0'"):
        student_task("features", layers=("blok0",))


def test_features_without_a_layer_are_refused() -> None:
    with pytest.raises(ValueError, match="objective 'attention' has no layer to look at"):
        student_task("output+attention", layers=())


def test_taps_return_outputs_once() -> None:
    model, source = generator().eval(), batch()["input"]
    taps = Taps(model, ("stem", "block0.a.conv"))
    model(source)
    caught = taps.take()
    assert list(caught) == ["stem", "block0.a.conv"]
    torch.testing.assert_close(caught["stem"], model.stem(source))
    assert list(taps.take()) == ["stem"]  # the line above ran it once more
    assert taps.take() == {}
    taps.close()
    model(source)
    assert taps.take() == {}


def teacher_discriminator(seed: int = 9) -> torch.nn.Module:
    """Build a conditional teacher discriminator."""
    torch.manual_seed(seed)
    return patchgan(4, 2, in_channels=6, norm="batch").build()


def features_of(task: Pix2PixTask) -> tuple[dict[str, torch.Tensor], ...]:
    """Return features of student and teacher, and of both images in the teacher's discriminator."""
    source = batch()["input"]
    student, teacher = tapped(task.networks["G"]), tapped(task.distillation.teacher)
    images = task.networks["G"](source), task.distillation.teacher(source)
    return student, teacher, *(task.distillation.discriminator(source, image) for image in images)


def test_coattention_is_equations_7_to_9_on_the_second_layer_of_the_discriminator() -> None:
    task = student_task("coattention", teacher_discriminator=teacher_discriminator())
    student, teacher, _, discriminator_features_student = features_of(task)
    expected = torch.zeros(())
    for name in LAYERS:
        map_, other = teacher[name].square().mean(1), discriminator_features_student["conv2"].square().mean(1, keepdim=True)
        target = 0.5 * (map_ + F.adaptive_avg_pool2d(other, map_.shape[-2:])[:, 0])
        a, b = (F.normalize(x.flatten(1)) for x in (student[name].square().sum(1), target))
        expected = expected + (a - b).square().sum(1).mean()
    torch.testing.assert_close(losses(task)["coattention"], expected)


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "product"},
        {"fusion": "conv"},
        {"discriminator_layers": ["conv1", "conv2", "conv3"]},
        {"shown": "student"},
        {"channels": "sum"},
    ],
    ids=str,
)
def test_options_of_coattention_change_the_loss(options: dict[str, object]) -> None:
    plain = student_task("coattention", teacher_discriminator=teacher_discriminator())
    other = student_task(
        "coattention", teacher_discriminator=teacher_discriminator(), objective_options={"coattention": options}
    )
    same_at_first = options == {"fusion": "conv"}  # equal to the sum at first
    assert (losses(plain)["coattention"] == losses(other)["coattention"]) == same_at_first
    start = weights(other.networks["objective"])
    Trainer(other, TrainingConfig(steps=2), CPU).advance(batch())
    assert same(weights(other.networks["objective"]), start) != same_at_first


def test_per_pixel_is_the_released_mean_over_the_map() -> None:
    """4 x 4 maps here: a sixteenth; 4096 times less at 64 x 64."""
    plain, release = (
        student_task(
            "coattention", teacher_discriminator=teacher_discriminator(), objective_options={"coattention": {"per_pixel": flag}}
        )
        for flag in (False, True)
    )
    torch.testing.assert_close(losses(release)["coattention"] * 16, losses(plain)["coattention"])


def test_target_of_coattention_has_no_gradient() -> None:
    """True also where the discriminator scores the student's image."""
    task = student_task(
        "coattention",
        teacher_discriminator=teacher_discriminator(),
        objective_options={"coattention": {"shown": "student"}},
        layers=("down2",),
    )
    losses(task)["coattention"].backward()
    reached = {name.partition(".")[0] for name, p in task.networks["G"].named_parameters() if p.grad is not None}
    assert reached == {"stem", "down1", "down2"}


def test_discriminator_features_are_equation_10_on_the_logits() -> None:
    task = student_task("discriminator", teacher_discriminator=teacher_discriminator())
    _, _, by_student, by_teacher = features_of(task)
    expected = (by_student["head"] - by_teacher["head"]).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(losses(task)["discriminator"], expected)
    assert task.weights["discriminator"] == 1e-4
    release = student_task(
        "discriminator",
        teacher_discriminator=teacher_discriminator(),
        objective_options={"discriminator": {"layer": "conv3", "squared": False}},
    )
    torch.testing.assert_close(losses(release)["discriminator"], (by_student["conv3"] - by_teacher["conv3"]).norm())


def test_teacher_discriminator_is_frozen_and_differentiable() -> None:
    discriminator = teacher_discriminator()
    before = weights(discriminator)
    task = student_task("coattention+discriminator", teacher_discriminator=discriminator)
    losses(task)["discriminator"].backward()
    assert all(parameter.grad is not None for parameter in task.networks["G"].parameters() if parameter.ndim > 1)
    fit = Trainer(task, TrainingConfig(steps=2), CPU)
    for step in range(2):
        fit.advance(batch(step))
    assert same(weights(discriminator), before)  # nor the running statistics of its batch norms
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in discriminator.parameters())


def test_objectives_without_a_discriminator() -> None:
    task = student_task("coattention+discriminator")
    found = losses(task)
    assert set(found) == {"gan", "l1", "coattention"}
    torch.testing.assert_close(found["coattention"], losses(student_task("attention"))["attention"])


def test_unconditional_discriminator_ignores_the_input() -> None:
    torch.manual_seed(0)
    alone = TeacherDiscriminator(patchgan(4, 1, in_channels=3).build())
    source, image = batch()["input"], batch()["target"]
    assert alone.layers == ("conv1", "conv2", "head")
    assert torch.equal(alone(source, image)["head"], alone(-source, image)["head"])
    pair = TeacherDiscriminator(patchgan(4, 1, in_channels=6).build())
    assert not torch.equal(pair(source, image)["head"], pair(-source, image)["head"])


def test_features_of_a_removed_block_are_those_before_it() -> None:
    """Layers go by name, so they do not shift when a block is removed."""
    torch.manual_seed(0)
    student = resnet(4, blocks=3).build()
    shorter = shrink(student, {"block1": torch.arange(0)})
    source = batch()["input"]
    taps = Taps(shorter, ("block0", "block1", "block2"))
    shorter(source)
    found = taps.take()
    assert torch.equal(found["block1"], found["block0"])
    teacher = resnet(6, blocks=3).build()
    task = Pix2PixTask(
        shorter, None, teacher=teacher, objective="attention", layers=("block1", "block2"), example={"input": source[:1]}
    )
    assert losses(task)["attention"].isfinite()


@pytest.mark.parametrize("centered", [False, True])
def test_alignment_is_minus_the_sum_over_layers_and_needs_no_adaptor(centered: bool) -> None:
    options = {"kernel-alignment": {"centered": centered}}
    task = student_task("kernel-alignment", objective_options=options)  # built from one example
    found = task.losses("G", batch(count=4), task.forward(batch(count=4)))["kernel-alignment"]
    student, teacher = (tapped(model, 4) for model in (task.networks["G"], task.distillation.teacher))
    expected = -sum(kernel_alignment(student[n], teacher[n], centered=centered) for n in LAYERS)
    torch.testing.assert_close(found, expected)
    assert task.weights["kernel-alignment"] == 1
    assert not list(task.networks["objective"].parameters())
    found.backward()
    assert all(p.grad is not None for name, p in task.networks["G"].named_parameters() if name.startswith(("stem", "down")))


def test_too_small_batches_are_errors() -> None:
    for names, options, least in (
        ("output+kernel-alignment", {}, 2),
        ("kernel-alignment", {"kernel-alignment": {"centered": True}}, 3),
        ("output+features", {}, 1),
        ("none", {}, 1),
    ):
        check_batch(names, options, least)
        if least > 1:
            message = (
                f"batch={least - 1}: the objective kernel-alignment compares images with one another; give {least} or more"
            )
            with pytest.raises(ValueError, match=message):
                check_batch(names, options, least - 1)


def test_options_of_objectives_are_checked_by_name() -> None:
    with pytest.raises(ValueError, match=r"no field named 'fusoin'. Did you mean 'fusion'"):
        student_task(
            "coattention", teacher_discriminator=teacher_discriminator(), objective_options={"coattention": {"fusoin": "sum"}}
        )
    with pytest.raises(ValueError, match="fusion='max': Input should be 'sum', 'product' or 'conv'"):
        student_task(
            "coattention", teacher_discriminator=teacher_discriminator(), objective_options={"coattention": {"fusion": "max"}}
        )
    with pytest.raises(ValueError, match=r"no layer of the discriminator named 'conv9'. Did you mean 'conv"):
        student_task(
            "coattention",
            teacher_discriminator=teacher_discriminator(),
            objective_options={"coattention": {"discriminator_layers": ["conv9"]}},
        )
    with pytest.raises(ValueError, match=r"no objective named 'coatention'. Did you mean 'coattention'"):
        student_task("output", objective_options={"coatention": {}})
