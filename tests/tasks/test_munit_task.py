"""MUNIT's task and its students' against the published formulas, written out by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.models import ms_image, munit, patchgan
from pocketgan.pruning.elastic import Elastic
from pocketgan.tasks.munit import MunitStudentTask, MunitTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer
from toy_tasks import CPU, at_once_and_interrupted

STYLE = 3


def generator(seed: int = 0, width: int = 2, **choices: Any) -> Any:
    torch.manual_seed(seed)
    return munit(width, mlp=4, blocks=1, style_dim=STYLE, **choices).build()


def evaluation(seed: int = 9) -> nn.Module:
    torch.manual_seed(seed)
    return ms_image(2, scales=2, layers=2).build()


def drawn(step: int = 0, count: int = 2) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(step)
    images = {role: torch.rand(count, 3, 32, 32, generator=rng) * 2 - 1 for role in ("input", "target")}
    return images | {"style": torch.randn(count, STYLE, generator=rng)}


def make_task() -> MunitTask:
    return MunitTask((generator(), generator(1)), (evaluation(), evaluation(8)))


def test_losses_are_the_published_ones() -> None:
    """Huang et al. 2018: the image (eq. 1), content (eq. 2) and style (eq. 3) again, and the squares of eq. 4, whole."""
    task, batch = make_task(), drawn()
    there, back, d_a, d_b = (task.networks[name] for name in ("G_A", "G_B", "D_A", "D_B"))
    a, b, to_b, to_a = batch["input"], batch["target"], batch["style"], batch["style"].flip(0)  # of two: each other's
    content_a, content_b = there.content(a), back.content(b)
    fake_b, fake_a = there(a, to_b), back(b, to_a)
    l1 = F.l1_loss
    image = l1(back.decode(content_a, back.style(a)), a) + l1(there.decode(content_b, there.style(b)), b)
    content = l1(back.content(fake_b), content_a) + l1(there.content(fake_a), content_b)
    style = l1(there.style(fake_b), to_b) + l1(back.style(fake_a), to_a)
    gan = sum((one - 1).square().mean() for logits in (d_a(fake_b), d_b(fake_a)) for one in logits)
    d = sum((one - 1).square().mean() for logits in (d_a(b), d_b(a)) for one in logits)
    d = d + sum(one.square().mean() for logits in (d_a(fake_b), d_b(fake_a)) for one in logits)
    outputs = task.forward(batch)
    found, discriminator_features_student = task.losses("G", batch, outputs), task.losses("D", batch, outputs)
    for name, wanted in {"l1": image, "content": content, "style": style, "gan": gan}.items():
        torch.testing.assert_close(found.pop(name), wanted)
    assert not found
    torch.testing.assert_close(task.weights["d_adv"] * discriminator_features_student["d_adv"], d)
    assert task.weights == {"d_adv": 1.0, "gan": 1.0, "l1": 10.0, "style": 1.0, "content": 1.0}


def test_both_directions_learn_in_one_phase_and_the_scores_in_theirs() -> None:
    task, batch = make_task(), drawn()
    assert [(phase.name, phase.networks) for phase in task.phases] == [("D", ("D_A", "D_B")), ("G", ("G_A", "G_B"))]
    outputs = task.forward(batch)
    task.losses("D", batch, outputs)["d_adv"].backward()
    assert all(parameter.grad is None for name in ("G_A", "G_B") for parameter in task.networks[name].parameters())
    sum(task.losses("G", batch, outputs).values()).backward()
    assert all(parameter.grad is not None for name in ("G_A", "G_B") for parameter in task.networks[name].parameters())


def test_samples_show_a_drawn_style_and_that_of_the_target() -> None:
    task, batch = make_task(), drawn()
    there = task.networks["G_A"]
    with torch.no_grad():
        shown = task.images(batch)
        assert list(shown) == ["input", "image", "as_target", "target"]
        assert torch.equal(shown["image"], there(batch["input"], batch["style"]))
        assert torch.equal(shown["as_target"], there(batch["input"], batch["target"]))


def teacher_image(student: nn.Module, teacher: nn.Module, **make_task: Any) -> MunitStudentTask:
    torch.manual_seed(9)
    teacher_discriminator = patchgan(3, 1).build()
    return MunitStudentTask(
        student,
        teacher_discriminator,
        **{"l1_target": "teacher", "conditional": False, "teacher": teacher, "example": drawn(), **make_task},
    )


def test_drawn_and_read_styles_take_turns_each_read_by_its_own() -> None:
    small, big, batch = generator(), generator(1, 3), drawn()
    task = teacher_image(small, big)
    for turn in range(4):
        outputs = task.forward(batch)
        losses = task.losses("G", batch, outputs)
        style = batch["target"] if turn % 2 else batch["style"]
        own, wanted = small(batch["input"], style), big(batch["input"], style)
        torch.testing.assert_close(outputs["image"], own)
        torch.testing.assert_close(losses["l1"], F.l1_loss(own, wanted))
        assert set(losses) == {"gan", "l1", *(["style"] if turn % 2 else [])}
        if turn % 2:
            torch.testing.assert_close(losses["style"], F.l1_loss(small.style(batch["target"]), big.style(batch["target"])))
            losses["style"].backward()
        task.stepped(2)
    assert any(parameter.grad.any() for parameter in small.style.parameters())
    assert all(parameter.grad is None for parameter in big.parameters())
    assert task.weights == {"l1": 10.0, "gan": 1.0, "d_adv": 1.0, "style": 1.0}


@pytest.mark.parametrize(("own", "teachers"), [(False, True), (True, False), (False, False)])
def test_where_one_of_them_reads_no_styles_all_are_drawn(own: bool, teachers: bool) -> None:
    task, batch = teacher_image(generator(style_encoder=own), generator(1, 3, style_encoder=teachers)), drawn()
    assert "style" not in task.weights
    for _ in range(2):
        outputs = task.forward(batch)
        torch.testing.assert_close(outputs["image"], task.networks["G"](batch["input"], batch["style"]))
        assert set(task.losses("G", batch, outputs)) == {"gan", "l1"}
        task.stepped(2)


@pytest.mark.parametrize("objective", ["none", "output", "output+features"])
def test_whatever_it_imitates_nothing_is_left_on_the_networks(objective: str) -> None:
    small, big = generator(), generator(1, 3)
    task = teacher_image(small, big, objective=objective, layers=("content.block0",))
    found = Trainer(task, TrainingConfig(steps=1), CPU).advance(drawn())
    assert {name for name in found if name.startswith("G/")} == {"G/gan", "G/l1"} | {
        f"G/{name}" for name in objective.split("+") if name != "none"
    }
    task.close()
    assert not any(module._forward_hooks for network in (small, big) for module in network.modules())


def test_an_elastic_student_reads_styles_at_its_widths() -> None:
    student, batch = Elastic(generator()), drawn()
    task = teacher_image(student, generator(1, 3))
    task.stepped(2)
    for widths in ({}, {"style_stem": 1, "trunk": 5}):
        student.resize_(widths)
        losses = task.losses("G", batch, task.forward(batch))
        wanted = F.l1_loss(student.extract().style(batch["target"]), task.distillation.teacher.style(batch["target"]))
        torch.testing.assert_close(losses["style"], wanted)


def student() -> MunitStudentTask:
    return teacher_image(generator(), generator(1, 3), objective="output+features", layers=("content.block0",))


@pytest.mark.parametrize("make", [make_task, student])
def test_interrupted_and_resumed_it_ends_in_the_same_bits(tmp_path: Path, make: Any) -> None:
    config = TrainingConfig(steps=5, lr=1e-3, weight_decay=1e-4, checkpoint_every=3, log_every=5, sample_every=0)
    once, again = at_once_and_interrupted(make, drawn, config, tmp_path, dies=4)
    assert once.keys() == again.keys()
    assert [name for name in once if not torch.equal(once[name], again[name])] == []
    assert ("task/step" in once) == (make is student)
