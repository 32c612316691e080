"""What a student imitates: the losses, who is trained by them, and that the teacher is left alone."""

import pytest
import torch
import torch.nn.functional as F
from games import CPU, batch, critic, generator, same, weights

from pocketgan.compress.selection import shrink
from pocketgan.losses import attention_transfer, kernel_alignment
from pocketgan.models import patchgan, resnet
from pocketgan.train.config import FitConfig
from pocketgan.train.critic import Critic
from pocketgan.train.loop import Fit
from pocketgan.train.objectives import check_batch
from pocketgan.train.taps import Taps
from pocketgan.train.translation import Translation

LAYERS = ("down2", "block0")


def pupil(objective: str, **options: object) -> Translation:
    """A narrow student (4) of a wider teacher (6)."""
    options = {"layers": LAYERS, "teacher": generator(6, seed=5)} | options
    return Translation(generator(4), critic(6), objective=objective, example={"source": batch()["source"][:1]}, **options)


def losses(task: Translation) -> dict[str, torch.Tensor]:
    return task.losses("G", batch(), task.forward(batch()))


def tapped(model: torch.nn.Module, count: int = 2) -> dict[str, torch.Tensor]:
    taps = Taps(model, LAYERS)
    model(batch(count=count)["source"])
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


def witness(seed: int = 9) -> torch.nn.Module:
    """A teacher's discriminator of the pair."""
    torch.manual_seed(seed)
    return patchgan(4, 2, in_channels=6, norm="batch").build()


def shown(task: Translation) -> tuple[dict[str, torch.Tensor], ...]:
    """The student's and the teacher's features, and what the witness makes of each picture."""
    source = batch()["source"]
    student, teacher = tapped(task.players["G"]), tapped(task.teacher.generator)
    pictures = task.players["G"](source), task.teacher.generator(source)
    return student, teacher, *(task.critic(source, picture) for picture in pictures)


def test_coattention_is_equations_7_to_9_on_the_second_layer_of_the_discriminator() -> None:
    task = pupil("coattention", critic=witness())
    student, teacher, _, judged = shown(task)
    expected = torch.zeros(())
    for name in LAYERS:
        own, other = teacher[name].square().mean(1), judged["conv2"].square().mean(1, keepdim=True)
        target = 0.5 * (own + F.adaptive_avg_pool2d(other, own.shape[-2:])[:, 0])
        a, b = (F.normalize(x.flatten(1)) for x in (student[name].square().sum(1), target))
        expected = expected + (a - b).square().sum(1).mean()
    torch.testing.assert_close(losses(task)["coattention"], expected)


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "product"},
        {"fusion": "conv"},
        {"critics": ["conv1", "conv2", "conv3"]},
        {"shown": "student"},
        {"channels": "sum"},
    ],
    ids=str,
)
def test_every_switch_of_coattention_makes_a_difference_and_trains(options: dict[str, object]) -> None:
    plain = pupil("coattention", critic=witness())
    other = pupil("coattention", critic=witness(), objective_options={"coattention": options})
    same_at_first = options == {"fusion": "conv"}  # it begins as the sum, and learns
    assert (losses(plain)["coattention"] == losses(other)["coattention"]) == same_at_first
    start = weights(other.players["objective"])
    Fit(other, FitConfig(steps=2), CPU).advance(batch())
    assert same(weights(other.players["objective"]), start) != same_at_first


def test_per_pixel_is_the_released_mean_over_the_map() -> None:
    """4 x 4 maps here: a sixteenth; 4096 times less at 64 x 64."""
    plain, release = (
        pupil("coattention", critic=witness(), objective_options={"coattention": {"per_pixel": flag}}) for flag in (False, True)
    )
    torch.testing.assert_close(losses(release)["coattention"] * 16, losses(plain)["coattention"])


def test_the_target_is_no_matter_of_the_students() -> None:
    """Also where the discriminator looks at the student's picture: only the features are pulled."""
    task = pupil("coattention", critic=witness(), objective_options={"coattention": {"shown": "student"}}, layers=("down2",))
    losses(task)["coattention"].backward()
    reached = {name.partition(".")[0] for name, p in task.players["G"].named_parameters() if p.grad is not None}
    assert reached == {"stem", "down1", "down2"}


def test_discriminator_features_are_equation_10_on_the_logits() -> None:
    task = pupil("discriminator", critic=witness())
    _, _, mine, yours = shown(task)
    expected = (mine["head"] - yours["head"]).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(losses(task)["discriminator"], expected)
    assert task.weights["discriminator"] == 1e-4
    release = pupil(
        "discriminator", critic=witness(), objective_options={"discriminator": {"layer": "conv3", "squared": False}}
    )
    torch.testing.assert_close(losses(release)["discriminator"], (mine["conv3"] - yours["conv3"]).norm())


def test_the_teachers_discriminator_is_left_alone_but_lets_the_gradient_through() -> None:
    judge = witness()
    before = weights(judge)
    task = pupil("coattention+discriminator", critic=judge)
    losses(task)["discriminator"].backward()
    assert all(parameter.grad is not None for parameter in task.players["G"].parameters() if parameter.ndim > 1)
    fit = Fit(task, FitConfig(steps=2), CPU)
    for step in range(2):
        fit.advance(batch(step))
    assert same(weights(judge), before)  # nor the running statistics of its batch norms
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in judge.parameters())


def test_without_a_discriminator_coattention_attends_to_the_generator_and_the_other_is_left_out() -> None:
    task = pupil("coattention+discriminator")
    found = losses(task)
    assert set(found) == {"gan", "recon", "coattention"}
    torch.testing.assert_close(found["coattention"], losses(pupil("attention"))["attention"])


def test_an_unconditional_discriminator_is_shown_the_picture_alone() -> None:
    torch.manual_seed(0)
    alone = Critic(patchgan(4, 1, in_channels=3).build())
    source, picture = batch()["source"], batch()["target"]
    assert alone.layers == ("conv1", "conv2", "head")
    assert torch.equal(alone(source, picture)["head"], alone(-source, picture)["head"])
    pair = Critic(patchgan(4, 1, in_channels=6).build())
    assert not torch.equal(pair(source, picture)["head"], pair(-source, picture)["head"])


def test_a_block_that_is_gone_is_the_stream_after_the_last_one_left() -> None:
    """Layers go by name, so they do not shift when a block is removed."""
    torch.manual_seed(0)
    student = resnet(4, blocks=3).build()
    shorter = shrink(student, {"block1": torch.arange(0)})
    source = batch()["source"]
    taps = Taps(shorter, ("block0", "block1", "block2"))
    shorter(source)
    found = taps.take()
    assert torch.equal(found["block1"], found["block0"])
    teacher = resnet(6, blocks=3).build()
    task = Translation(
        shorter, None, teacher=teacher, objective="attention", layers=("block1", "block2"), example={"source": source[:1]}
    )
    assert losses(task)["attention"].isfinite()


@pytest.mark.parametrize("centred", [False, True])
def test_alignment_is_minus_the_sum_over_layers_and_needs_no_adaptor(centred: bool) -> None:
    options = {"kernel-alignment": {"centred": centred}}
    task = pupil("kernel-alignment", objective_options=options)  # of one example, which says nothing yet
    found = task.losses("G", batch(count=4), task.forward(batch(count=4)))["kernel-alignment"]
    student, teacher = (tapped(model, 4) for model in (task.players["G"], task.teacher.generator))
    expected = -sum(kernel_alignment(student[n], teacher[n], centred=centred) for n in LAYERS)
    torch.testing.assert_close(found, expected)
    assert task.weights["kernel-alignment"] == 1
    assert not list(task.players["objective"].parameters())
    found.backward()
    assert all(p.grad is not None for name, p in task.players["G"].named_parameters() if name.startswith(("stem", "down")))


def test_a_batch_too_small_for_an_objective_is_told_by_numbers() -> None:
    for names, options, least in (
        ("output+kernel-alignment", {}, 2),
        ("kernel-alignment", {"kernel-alignment": {"centred": True}}, 3),
        ("output+features", {}, 1),
        ("none", {}, 1),
    ):
        check_batch(names, options, least)
        if least > 1:
            said = f"batch={least - 1}: the objective kernel-alignment compares pictures with one another; give {least} or more"
            with pytest.raises(ValueError, match=said):
                check_batch(names, options, least - 1)


def test_options_of_objectives_are_checked_by_name() -> None:
    with pytest.raises(ValueError, match=r"no field named 'fusoin'. Did you mean 'fusion'"):
        pupil("coattention", critic=witness(), objective_options={"coattention": {"fusoin": "sum"}})
    with pytest.raises(ValueError, match="fusion='max': Input should be 'sum', 'product' or 'conv'"):
        pupil("coattention", critic=witness(), objective_options={"coattention": {"fusion": "max"}})
    with pytest.raises(ValueError, match=r"no layer of the discriminator named 'conv9'. Did you mean 'conv"):
        pupil("coattention", critic=witness(), objective_options={"coattention": {"critics": ["conv9"]}})
    with pytest.raises(ValueError, match=r"no objective named 'coatention'. Did you mean 'coattention'"):
        pupil("output", objective_options={"coatention": {}})
