"""The task from latents against closed forms: what it adds, when, and that all of it is gone on with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.losses.adversarial import path_lengths
from pocketgan.models import sagan, sagan_discriminator, stylegan2, stylegan2_discriminator
from pocketgan.models.discriminators import multiscale
from pocketgan.tasks import LatentConfig
from pocketgan.tasks.unconditional import AVERAGED_LATENTS, CALIBRATION_LATENTS, PATH_LENGTH_MOMENTUM, UnconditionalTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer
from toy_tasks import CPU, at_once_and_interrupted, weights

SIZE, LATENT, NOISE = 8, 4, 16 + 2 * 64


def model(seed: int = 0, width: int = 6) -> Any:
    torch.manual_seed(seed)
    return stylegan2(SIZE, channel_max=width, latent=LATENT, style=5, mapping=2).build()


def evaluation(seed: int = 9) -> nn.Module:
    torch.manual_seed(seed)
    return stylegan2_discriminator(SIZE, channel_max=6, batch_group=2).build()


def drawn(step: int = 0, count: int = 4) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(step)
    numbers = {"input": torch.randn(count, LATENT, generator=rng), "noise": torch.randn(count, NOISE, generator=rng)}
    return numbers | {"target": torch.rand(count, 3, SIZE, SIZE, generator=rng) * 2 - 1}


def make_task(generator: Any = None, **settings: float) -> UnconditionalTask:
    return UnconditionalTask(generator or model(), evaluation(), gan="vanilla", settings=LatentConfig(**settings))  # type: ignore[arg-type]


def student(generator: Any, teacher: nn.Module, **settings: Any) -> UnconditionalTask:
    more = {"l1_target": "teacher", "teacher": teacher, "example": drawn(count=1), "settings": LatentConfig(**settings)}
    return UnconditionalTask(generator, evaluation(), gan="vanilla", **more)


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, {}),
        ({"r1": 10.0}, {"r1": 10.0}),
        ({"path_length": 2.0, "mixing": 0.9, "average": 1.0, "augment": 0.6}, {"path_length": 2.0}),
    ],
)
def test_losses_of_a_teacher_and_their_weights(settings: dict[str, float], more: dict[str, float]) -> None:
    task = make_task(**settings)
    assert [(phase.name, phase.networks) for phase in task.phases] == [("D", ("D",)), ("G", ("G",))]
    assert task.weights == {"gan": 1.0, "d_adv": 1.0, **more}
    assert ("augment" in task.networks) == ("augment" in settings)
    found = Trainer(task, TrainingConfig(steps=1), CPU).advance(drawn())
    assert {name.partition("/")[2] for name in found} == set(task.weights)


def test_d_and_g_are_whole_and_see_images_alone() -> None:
    """Goodfellow's task without the half, on the image that G learnt from; of latents with their noise."""
    task, batch = make_task(), drawn()
    outputs = task.forward(batch)
    torch.testing.assert_close(outputs["image"], task.networks["G"](batch["input"], batch["noise"]))
    real, fake = task.networks["D"](batch["target"]), task.networks["D"](outputs["image"])
    d, g = task.losses("D", batch, outputs), task.losses("G", batch, outputs)
    wanted = F.softplus(-real).mean() + F.softplus(fake).mean()
    torch.testing.assert_close(d["d_adv"] * task.weights["d_adv"], wanted)
    torch.testing.assert_close(g["gan"], F.softplus(-fake).mean())
    d["d_adv"].backward()
    assert all(parameter.grad is None for parameter in task.networks["G"].parameters())


def test_what_is_lazy_comes_every_so_often_and_counts_for_all() -> None:
    task = make_task(r1=8.0, r1_every=2, path_length=2.0, path_length_every=3)
    state = Trainer(task, TrainingConfig(steps=7, lr=0.0), CPU)
    found = [state.advance(drawn()) for _ in range(7)]
    assert ["D/r1" in losses for losses in found] == [step % 2 == 0 for step in range(7)]
    assert ["G/path_length" in losses for losses in found] == [step % 3 == 0 for step in range(7)]
    reals = drawn()["target"].requires_grad_()
    (slope,) = torch.autograd.grad(task.networks["D"](reals).sum(), reals)
    wanted = 0.5 * slope.square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(found[2]["D/r1"], 2 * wanted)
    assert task.weights["r1"] == 8  # gamma; the half is the penalty's


def test_r1_looks_at_all_scales_of_a_discriminator() -> None:
    torch.manual_seed(9)
    teacher_discriminator = multiscale(3, layers=1, in_channels=3, spectral=False).build()
    settings = LatentConfig(r1=1.0, r1_every=1, augment=1.0)
    task, batch = UnconditionalTask(model(), teacher_discriminator, gan="hinge", settings=settings), drawn()
    found = task.losses("D", batch, task.forward(batch))
    reals = batch["target"].requires_grad_()
    (slope,) = torch.autograd.grad(sum(scale.sum() for scale in teacher_discriminator(reals)), reals)
    torch.testing.assert_close(found["r1"], 0.5 * slope.square().sum((1, 2, 3)).mean())


def test_path_lengths_are_held_to_their_running_mean() -> None:
    """Of half the batch, with its noise; the running mean moves by a hundredth, and first (released code)."""
    task, batch, mean = make_task(path_length=2.0, path_length_every=4), drawn(count=4), torch.zeros(())
    generator = task.networks["G"]
    for _ in range(2):
        torch.manual_seed(5)
        found = task.losses("G", batch, task.forward(batch))["path_length"]
        torch.manual_seed(5)
        w = generator.mapping(batch["input"][:2])[:, None].repeat(1, generator.num_style_layers, 1)
        lengths = path_lengths(generator.synthesis(w, batch["noise"][:2]), w)
        mean = (1 - PATH_LENGTH_MOMENTUM) * mean + PATH_LENGTH_MOMENTUM * lengths.mean()
        torch.testing.assert_close(found, 4 * (lengths - mean.detach()).square().mean())
        torch.testing.assert_close(task.mean_path, mean)
    found.backward()
    assert not task.mean_path.requires_grad
    assert any(parameter.grad.abs().sum() > 0 for parameter in generator.mapper.parameters())


def test_teacher_and_student_generate_the_same_numbers() -> None:
    small, big = model(), model(1, width=9)
    task, batch, seen = student(small, big), drawn(), []
    for network in (small, big):
        network.register_forward_pre_hook(lambda module, given: seen.append([tensor.clone() for tensor in given]))
    outputs = task.forward(batch)
    assert [len(given) for given in seen] == [2, 2]
    assert all(torch.equal(one, other) for one, other in zip(*seen, strict=True))
    assert torch.equal(seen[0][0], batch["input"])
    assert torch.equal(seen[0][1], batch["noise"])
    losses = task.losses("G", batch, outputs)
    torch.testing.assert_close(losses["l1"], F.l1_loss(outputs["image"], big(batch["input"], batch["noise"])))
    assert set(losses) == {"gan", "l1"}
    assert task.weights == {"gan": 1.0, "d_adv": 1.0, "l1": 10.0}


def test_a_student_has_no_path_lengths_and_no_mixing() -> None:
    """It shall generate what its teacher does of the same numbers."""
    task = student(model(), model(1), r1=1.0, path_length=2.0, mixing=1.0)
    found = Trainer(task, TrainingConfig(steps=1), CPU).advance(drawn())
    assert set(found) == {"D/d_adv", "D/r1", "G/gan", "G/l1"}


def test_mixed_styles_are_ones_own_up_to_a_layer_and_another_ones_from_there() -> None:
    count, task = 4000, make_task(mixing=0.7)
    layers = task.networks["G"].num_style_layers
    torch.manual_seed(0)
    styles = task._mixed(torch.arange(1.0, count + 1)[:, None].expand(-1, 5))
    own = styles == torch.arange(1.0, count + 1)[:, None, None]
    crossings = own.all(-1).sum(1)
    assert torch.equal(own, (torch.arange(layers) < crossings[:, None])[..., None].expand_as(own))
    assert torch.equal(styles[~own], torch.roll(torch.arange(1.0, count + 1), 1)[:, None, None].expand_as(styles)[~own])
    counts = torch.bincount(crossings, minlength=layers + 1) / count
    assert counts[0] == 0
    torch.testing.assert_close(counts[1:layers], torch.full((layers - 1,), 0.7 / (layers - 1)), atol=0.03, rtol=0)
    assert counts[layers].item() == pytest.approx(0.3, abs=0.03)


def test_mixing_generates_with_both_styles() -> None:
    task, batch = make_task(mixing=1.0), drawn()
    generator = task.networks["G"]
    torch.manual_seed(2)
    image = task.forward(batch)["image"]
    torch.manual_seed(2)
    styles = task._mixed(generator.mapping(batch["input"]))
    assert torch.equal(image, generator.synthesis(styles, batch["noise"]))
    assert not torch.allclose(image, generator(batch["input"], batch["noise"]))


@torch.no_grad()
def fill_(model: nn.Module, value: float) -> None:
    for parameter in model.parameters():
        parameter.fill_(value)


def test_the_mean_of_what_stands_still_halves_its_distance() -> None:
    """In 2000 images, whatever the batch."""
    for batch in (50, 500):
        task = make_task(average=2.0)
        assert task.mean is not None
        fill_(task.mean, 1.0)
        fill_(task.networks["G"], 3.0)
        for _ in range(3000 // batch):
            task.stepped(batch)
        for parameter in task.mean.parameters():
            torch.testing.assert_close(parameter, torch.full_like(parameter, 3 - 2 * 0.5**1.5), rtol=1e-5, atol=0)


def test_the_mean_of_what_moves_is_the_weighted_one() -> None:
    task = make_task(average=0.1)
    fill_(task.mean, 0.0)
    path, kept = [1.0, -2.0, 0.5, 4.0], 0.5 ** (32 / 100)
    for value in path:
        fill_(task.networks["G"], value)
        task.stepped(32)
    wanted = sum((1 - kept) * kept ** (len(path) - 1 - k) * value for k, value in enumerate(path))
    parameter = next(task.mean.parameters())
    torch.testing.assert_close(parameter, torch.full_like(parameter, wanted))


def test_of_what_is_no_weight_the_mean_has_the_latest() -> None:
    """A mean of the directions of spectral norm would be shorter than 1, and the weights that are shipped too large."""
    torch.manual_seed(0)
    generator, teacher_discriminator = sagan(4, 32, latent=LATENT).build(), sagan_discriminator(4, 32).build()
    task = UnconditionalTask(generator, teacher_discriminator, settings=LatentConfig(average=1.0))
    state = Trainer(task, TrainingConfig(steps=3, lr=1e-2, decay="none"), CPU)
    for step in range(3):
        state.advance(drawn(step) | {"target": torch.rand(4, 3, 32, 32) * 2 - 1})
    kept, others = task.final_network("G"), dict(generator.named_buffers())
    vectors = {name: tensor for name, tensor in kept.named_buffers() if name.endswith(("_u", "_v"))}
    assert vectors
    assert all(torch.equal(tensor, others[name]) for name, tensor in vectors.items())
    weights = dict(generator.named_parameters())
    equal = {name.rpartition("key.")[2] for name, tensor in kept.named_parameters() if torch.equal(tensor, weights[name])}
    assert equal <= {"bias"}, "softmax does not change when all keys move alike: the gradient of their bias is 0, or rounding"


def test_batch_statistics_of_what_is_kept_are_those_of_the_mean_weights() -> None:
    torch.manual_seed(0)
    generator, teacher_discriminator = sagan(4, 32, latent=LATENT, spectral=False).build(), sagan_discriminator(4, 32).build()
    task = UnconditionalTask(generator, teacher_discriminator, settings=LatentConfig(average=1.0))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(1)
    task.stepped(500)
    kept: Any = task.final_network("G")
    latents = torch.randn(AVERAGED_LATENTS, LATENT, generator=torch.Generator().manual_seed(0))[:CALIBRATION_LATENTS]
    with torch.no_grad():
        read = kept.map4.conv(latents[:, :, None, None]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(kept.map4.norm.running_mean, read.mean(1))
    torch.testing.assert_close(kept.map4.norm.running_var, read.var(1))
    assert not torch.allclose(kept.map4.norm.running_mean, generator.map4.norm.running_mean)


def test_what_is_kept_is_the_mean_about_its_own_average_style() -> None:
    task = make_task(average=1.0)
    with torch.no_grad():
        for parameter in task.networks["G"].mapper.parameters():
            parameter.add_(1)
    task.stepped(300)
    state = torch.get_rng_state()
    kept = task.final_network("G")
    assert torch.equal(torch.get_rng_state(), state)
    assert kept is task.mean
    assert task.final_network("D") is task.networks["D"]
    latents = torch.randn(AVERAGED_LATENTS, LATENT, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(kept.w_avg, kept.mapping(latents).mean(0))
    assert torch.equal(kept.truncated(torch.ones(2, 5), 0.0), kept.w_avg.expand(2, -1))
    alone = make_task()
    assert alone.final_network("G") is alone.networks["G"]
    assert alone.networks["G"].w_avg.any()


def test_samples_show_what_will_be_kept() -> None:
    task, batch = make_task(average=1.0), drawn()
    own = task.networks["G"]
    fill_(own, 0.5)
    with torch.no_grad():
        shown = task.images(batch)
        assert list(shown) == ["image"]  # numbers are no image
        torch.testing.assert_close(shown["image"], task.mean(batch["input"], batch["noise"]))
    assert task.networks["G"] is own


class Sure(nn.Module):
    """Discriminator with the same given logit for every image; it keeps the images that it read."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit, self.shown = nn.Parameter(torch.tensor(logit)), []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x.detach().clone())
        return self.logit + 0 * x.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize(("logit", "direction"), [(2.0, 1), (-2.0, -1)])
def test_augmentation_follows_how_sure_the_discriminator_is(logit: float, direction: int) -> None:
    task, batch = UnconditionalTask(model(), Sure(logit), settings=LatentConfig(augment=0.6)), drawn()
    task.augment.p.fill_(0.25)
    for _ in range(3):
        task.losses("D", batch, task.forward(batch))
    assert task.augment.p.item() == pytest.approx(0.25 + direction * 3 * 4 / 500_000, abs=1e-7)
    task.losses("G", batch, task.forward(batch))
    assert task.augment.p.item() == pytest.approx(0.25 + direction * 3 * 4 / 500_000, abs=1e-7)


def test_all_that_the_discriminator_sees_is_augmented() -> None:
    teacher_discriminator, batch = Sure(1.0), drawn()
    task = UnconditionalTask(model(), teacher_discriminator, settings=LatentConfig(augment=0.6))
    for p in (0.0, 1.0):
        teacher_discriminator.shown.clear()
        task.augment.p.fill_(p)
        outputs = task.forward(batch)
        for phase in ("D", "G"):
            task.losses(phase, batch, outputs)
        images = (batch["target"], outputs["image"], outputs["image"])
        assert [torch.equal(*pair) for pair in zip(teacher_discriminator.shown, images, strict=True)] == [
            p == 0 for _ in images
        ]


def everything() -> UnconditionalTask:
    settings = {"r1": 1.0, "r1_every": 2, "path_length": 2.0, "path_length_every": 3, "mixing": 0.5}
    task = make_task(**settings, average=0.01, augment=0.6)
    task.augment.p.fill_(0.5)
    return task


def test_interrupted_and_resumed_it_ends_in_the_same_bits(tmp_path: Path) -> None:
    """Weights, moments, the running means, p, the steps, and the state of what draws mixing, lengths and augmentation."""
    config = TrainingConfig(steps=7, lr=1e-3, checkpoint_every=3, log_every=7, sample_every=0)
    once, again = at_once_and_interrupted(everything, drawn, config, tmp_path, dies=5)
    assert once.keys() == again.keys()
    assert [name for name in once if not torch.equal(once[name], again[name])] == []
    assert {"task/step", "task/mean_path", "task/mean/w_avg", "network/augment/p", "rng/cpu"} <= set(once)
    assert once["task/step"] == 7
    assert once["task/mean_path"] > 0
    assert once["network/augment/p"] != 0.5


def test_what_a_state_holds_is_taken_back() -> None:
    one, other = everything(), everything()
    one.stepped(4)
    one.mean_path = torch.tensor(0.25)
    fill_(one.mean, 0.5)
    other.load_state(one.state())
    assert (other.step.item(), other.mean_path.item()) == (1, 0.25)
    assert weights(other.mean).keys() == weights(one.mean).keys()
    assert all(bool((parameter == 0.5).all()) for parameter in other.mean.parameters())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"r1": -1.0}, r"r1=-1\.0: the least is 0"),
        ({"path_length": -0.5}, r"path_length=-0\.5: the least is 0"),
        ({"average": -2}, r"average=-2: the least is 0"),
        ({"mixing": 1.1}, r"mixing=1\.1: a fraction from 0 to 1"),
        ({"augment": -0.1}, r"augment=-0\.1: a fraction"),
        ({"r1_every": 0}, r"r1_every=0: the least is 1"),
        ({"path_length_every": 0}, r"path_length_every=0: the least is 1"),
    ],
)
def test_settings_that_cannot_be(settings: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LatentConfig(**settings)
