"""What a student imitates: the losses, who is trained by them, and that the teacher is left alone."""

import pytest
import torch
import torch.nn.functional as F
from games import CPU, batch, critic, generator, same, weights

from pocketgan.losses import attention_transfer
from pocketgan.train.config import FitConfig
from pocketgan.train.loop import Fit
from pocketgan.train.taps import Taps
from pocketgan.train.translation import Translation

LAYERS = ("down2", "block0")


def pupil(objective: str, **options: object) -> Translation:
    """A narrow student (4) of a wider teacher (6)."""
    options = {"layers": LAYERS, "teacher": generator(6, seed=5)} | options
    return Translation(generator(4), critic(6), objective=objective, example=batch()["source"][:1], **options)


def losses(task: Translation) -> dict[str, torch.Tensor]:
    return task.losses("G", batch(), task.forward(batch()))


def tapped(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    taps = Taps(model, LAYERS)
    model(batch()["source"])
    taps.close()
    return taps.take()


def test_output_is_the_distance_to_the_teachers_picture() -> None:
    task = pupil("output")
    expected = F.l1_loss(task.players["G"](batch()["source"]), task.teacher.generator(batch()["source"]))
    torch.testing.assert_close(losses(task)["output"], expected)
    assert task.weights["output"] == 100


def test_features_go_through_an_adaptor_of_the_students() -> None:
    task = pupil("features")
    adaptors = task.players["objective"]["features"].adaptors
    assert [(a.in_channels, a.out_channels, a.kernel_size) for a in adaptors] == [(16, 24, (1, 1))] * 2
    student, teacher = tapped(task.players["G"]), tapped(task.teacher.generator)
    expected = sum(F.mse_loss(a(student[n]), teacher[n]) for a, n in zip(adaptors, LAYERS, strict=True))
    torch.testing.assert_close(losses(task)["features"], expected)


def test_attention_needs_no_adaptor() -> None:
    task = pupil("attention")
    student, teacher = tapped(task.players["G"]), tapped(task.teacher.generator)
    torch.testing.assert_close(losses(task)["attention"], sum(attention_transfer(student[n], teacher[n]) for n in LAYERS))
    assert not list(task.players["objective"].parameters())


def test_objectives_are_joined_with_plus_and_weighted_by_name() -> None:
    task = pupil("output+features+attention", weights={"attention": 3.0})
    assert set(losses(task)) == {"gan", "recon", "output", "features", "attention"}
    assert {name: task.weights[name] for name in losses(task)} == {
        "gan": 1.0,
        "recon": 100.0,
        "output": 100.0,
        "features": 1.0,
        "attention": 3.0,
    }


def test_none_imitates_nothing_and_keeps_no_hooks() -> None:
    task = pupil("none")
    assert set(losses(task)) == {"gan", "recon"}
    assert "objective" not in task.players
    for model in (task.players["G"], task.teacher.generator):
        assert not any(module._forward_hooks for module in model.modules())


def test_pictures_alone_keep_no_hooks_either() -> None:
    task = pupil("output")
    losses(task)
    assert not any(module._forward_hooks for module in task.players["G"].modules())
    assert not any(module._forward_hooks for module in task.teacher.generator.modules())


def test_adaptors_are_trained_with_the_student_and_the_teacher_is_not() -> None:
    teacher = generator(6, seed=5, norm="batch", dropout=0.5).train()
    task = pupil("features", teacher=teacher)
    before, start = weights(teacher), weights(task.players["objective"])
    state = torch.get_rng_state()
    fit = Fit(task, FitConfig(steps=3), CPU)
    for step in range(3):
        fit.advance(batch(step))
    assert same(weights(teacher), before)  # nor the running statistics of its batch norms
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in teacher.parameters())
    assert torch.equal(torch.get_rng_state(), state)  # no dropout was drawn
    after = weights(task.players["objective"])
    assert not any(torch.equal(after[name], start[name]) for name in start)


def test_what_the_student_learns_from_features_reaches_up_to_the_tapped_layers() -> None:
    task = pupil("features", layers=("down2",))
    losses(task)["features"].backward()
    reached = {name.partition(".")[0] for name, p in task.players["G"].named_parameters() if p.grad is not None}
    assert reached == {"stem", "down1", "down2"}


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no objective named 'featurs'. Did you mean 'features'"):
        pupil("output+featurs")
    with pytest.raises(ValueError, match="no objective named ''"):
        pupil("output+")
    with pytest.raises(ValueError, match=r"no layer named 'blok0'. Did you mean 'block0'"):
        pupil("features", layers=("blok0",))


def test_features_without_a_layer_are_refused() -> None:
    with pytest.raises(ValueError, match="objective 'attention' has no layer to look at"):
        pupil("output+attention", layers=())


def test_taps_give_what_the_named_modules_gave_once() -> None:
    model, source = generator().eval(), batch()["source"]
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
