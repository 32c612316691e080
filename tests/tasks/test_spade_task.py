"""GauGAN's task against its published description, written out by hand with torch's own optimizer."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from pocketgan.core.run import Run
from pocketgan.data.labels import numbered
from pocketgan.losses.adversarial import discriminator_loss, generator_loss
from pocketgan.losses.features import perceptual_distance
from pocketgan.models import inception_spade, multiscale
from pocketgan.pipeline import student_tasks
from pocketgan.pipeline.student_tasks import perceptual_losses
from pocketgan.tasks.spade import SpadeTask
from pocketgan.training.config import GAUGAN, TrainingConfig
from pocketgan.training.loop import Trainer, fit
from pocketgan.training.schedule import lr_factor
from pocketgan.utils.images import to_uint8
from toy_tasks import CPU, at_once_and_interrupted, same, weights

LABELS = numbered(3)


def generator(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return inception_spade(1, in_channels=3, upsamplings=5, kernels=(1,)).build()


def evaluation(*, spectral: bool = False) -> nn.Module:
    torch.manual_seed(9)
    return multiscale(3, layers=2, in_channels=6, spectral=spectral).build()


def street(step: int = 0, count: int = 2) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(step)
    source = LABELS.one_hot(torch.randint(0, 3, (count, 32, 64), generator=rng))
    return {"input": source, "target": torch.rand(count, 3, 32, 64, generator=rng) * 2 - 1}


def seen(images: Tensor) -> list[Tensor]:
    """What stands for VGG19: five features."""
    return [F.avg_pool2d(images, 2**k) for k in range(5)]


def features(d: nn.Module, x: Tensor) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Of each scale, the hidden features and the logits."""
    hidden, logits = [], []
    for scale in (d.scale0, d.scale1):
        own = []
        for layer in (scale.conv1, scale.conv2):
            own.append(layer(own[-1] if own else x))
        hidden.append(own)
        logits.append(scale.head(own[-1]))
        x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    return hidden, logits


def test_a_step_is_the_published_one() -> None:
    """G first: hinge, 10 x matching, 10 x perceptual; then D, whole, on the image that G learnt from; at two rates."""
    ours, teacher_discriminator = generator().double(), evaluation().double()
    g, d = copy.deepcopy(ours), copy.deepcopy(teacher_discriminator)
    config = TrainingConfig(steps=2, lr=1e-3, lr_discriminator=4e-3, betas=(0.0, 0.9), decay="none")
    state = Trainer(SpadeTask(ours, teacher_discriminator, perception=seen), config, CPU)
    optimizer_g = torch.optim.Adam(g.parameters(), 1e-3, (0.0, 0.9))
    optimizer_d = torch.optim.Adam(d.parameters(), 4e-3, (0.0, 0.9))
    for step in range(2):
        batch = {role: images.double() for role, images in street(step).items()}
        found = state.advance(batch)
        source, target = batch.values()
        image = g(source)
        (fake_h, fake), (real_h, _) = (features(d, torch.cat([source, shown], 1)) for shown in (image, target))
        gan = -(fake[0].mean() + fake[1].mean()) / 2
        pairs = [(a, b.detach()) for one, two in zip(fake_h, real_h, strict=True) for a, b in zip(one, two, strict=True)]
        match = torch.stack([(a - b).abs().mean() for a, b in pairs]).sum() / 2
        vgg = perceptual_distance(seen(image), seen(target))
        optimizer_g.zero_grad()
        (gan + 10 * match + 10 * vgg).backward()
        optimizer_g.step()
        optimizer_d.zero_grad()
        real, fake = (features(d, torch.cat([source, shown], 1))[1] for shown in (target, image.detach()))
        loss_d = torch.stack([(1 - r).relu().mean() + (1 + f).relu().mean() for r, f in zip(real, fake, strict=True)]).mean()
        loss_d.backward()
        optimizer_d.step()
        wanted = {"G/gan": gan, "G/feature_matching": match, "G/perceptual": vgg, "D/d_adv": loss_d}
        assert {name: value.item() for name, value in found.items()} == pytest.approx(
            {name: value.item() for name, value in wanted.items()}, rel=1e-9
        )
    for mine, theirs in ((ours, g), (teacher_discriminator, d)):
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(mine.state_dict()[name], tensor, rtol=0, atol=1e-7, msg=name)


@pytest.mark.parametrize(
    ("options", "more"),
    [({"perception": seen}, {"perceptual": 10.0}), ({"pixels": True}, {"l1": 10.0}), ({}, {})],
    ids=["vgg19", "pixels", "none"],
)
def test_phases_losses_and_weights(options: dict[str, object], more: dict[str, float]) -> None:
    task = SpadeTask(generator(), evaluation(), **options)
    assert [(phase.name, phase.networks) for phase in task.phases] == [("G", ("G",)), ("D", ("D",))]
    assert task.weights == {"gan": 1.0, "feature_matching": 10.0, "d_adv": 1.0, **more}
    found = Trainer(task, TrainingConfig(steps=1), CPU).advance(street())
    assert set(found) == {"G/gan", "G/feature_matching", "D/d_adv", *(f"G/{name}" for name in more)}
    if "l1" in more:
        task = SpadeTask(generator().eval(), evaluation(), pixels=True)
        outputs = task.forward(street())
        l1 = task.losses("G", street(), outputs)["l1"]
        torch.testing.assert_close(l1, F.l1_loss(outputs["image"], street()["target"]))


def test_matching_looks_at_no_logits_and_moves_the_image_alone() -> None:
    task, batch = SpadeTask(generator().eval(), evaluation(), perception=seen), street()
    batch["target"].requires_grad_()
    outputs = task.forward(batch)
    before = task.losses("G", batch, outputs)
    (before["feature_matching"] + before["perceptual"]).backward()
    assert batch["target"].grad is None
    assert all(p.grad is not None for name, p in task.networks["G"].named_parameters() if name == "head_conv.weight")
    with torch.no_grad():
        for scale in task.networks["D"].children():
            scale.head.weight.add_(1)
    after = task.losses("G", batch, outputs)
    assert torch.equal(after["feature_matching"], before["feature_matching"])
    assert not torch.equal(after["gan"], before["gan"])


def test_gradients_of_the_generators_losses_never_reach_the_discriminator() -> None:
    task = SpadeTask(generator(), evaluation())
    state, before = Trainer(task, TrainingConfig(steps=1), CPU), weights(task.networks["D"])
    unchanged = []
    state.optimizers["G"].register_step_post_hook(
        lambda *_: unchanged.append(all(p.grad is None for p in task.networks["D"].parameters()))
    )
    state.advance(street())
    assert unchanged == [True]
    assert not same(weights(task.networks["D"]), before)


def test_two_time_scales_reach_the_optimizers_and_decay_together() -> None:
    assert (GAUGAN.lr, GAUGAN.lr_discriminator, GAUGAN.betas) == (1e-4, 4e-4, (0.0, 0.9))
    config = TrainingConfig(steps=4, lr=1e-4, lr_discriminator=4e-4, betas=(0.0, 0.9))
    state = Trainer(SpadeTask(generator(), evaluation()), config, CPU)
    for step in range(4):
        state.advance(street(step))
        rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in state.optimizers.items()}
        factor = lr_factor(step, config)
        assert rates == {"G": pytest.approx(1e-4 * factor), "D": pytest.approx(4e-4 * factor)}
        assert factor == [1, 1, 1, 0.5][step]
    assert all(optimizer.param_groups[0]["betas"] == (0.0, 0.9) for optimizer in state.optimizers.values())


@pytest.mark.parametrize("mode", ["hinge", "vanilla", "lsgan"])
def test_over_scales_lsgan_is_the_sum_and_all_else_the_mean(mode: str) -> None:
    real, fake = ([torch.randn(2, 1, 4 - k, 3, generator=torch.Generator().manual_seed(s + k)) for k in (0, 1)] for s in (0, 5))
    parts = [discriminator_loss(mode, *pair) for pair in zip(real, fake, strict=True)], [generator_loss(mode, f) for f in fake]
    for found, own in zip((discriminator_loss(mode, real, fake), generator_loss(mode, fake)), parts, strict=True):
        torch.testing.assert_close(found, sum(own) if mode == "lsgan" else sum(own) / 2)
    with pytest.raises(ValueError, match=r"longer|shorter"):
        discriminator_loss(mode, real, fake[:1])


def test_a_student_imitates_as_well_and_a_teacher_is_shown_beside_it() -> None:
    more = {
        "teacher": generator(3),
        "objective": "kernel-alignment",
        "layers": ("head", "up1"),
        "example": street(count=1),
    }
    task = SpadeTask(generator().eval(), evaluation(), pixels=True, colored=LABELS.colored, **more)
    assert task.weights["kernel-alignment"] == 1
    found = Trainer(task, TrainingConfig(steps=1), CPU).advance(street())
    assert set(found) == {"G/gan", "G/feature_matching", "G/l1", "G/kernel-alignment", "D/d_adv"}
    assert -2 <= found["G/kernel-alignment"] < 0
    with torch.no_grad():
        assert list(task.images(street())) == ["input", "target", "teacher", "student"]
    task.close()
    networks = (task.networks["G"], task.networks["D"], more["teacher"])
    assert not any(module._forward_hooks for network in networks for module in network.modules())


def test_samples_show_the_labels_in_colors(tmp_path: Path) -> None:
    task, batch = SpadeTask(generator(), evaluation(), colored=LABELS.colored), street()
    fit(
        task,
        lambda start: iter([batch]),
        TrainingConfig(steps=1, sample_every=1),
        Run(tmp_path),
        stage="train",
        device=CPU,
        show=batch,
    )
    with Image.open(tmp_path / "samples" / "train_000001.png") as grid:
        pixels = torch.from_numpy(np.array(grid))
    for row, source in enumerate(batch["input"]):
        shown = torch.from_numpy(to_uint8(LABELS.colored(source[None])[0]))
        assert torch.equal(pixels[34 * row : 34 * row + 32, :64], shown)
        assert {tuple(color) for color in shown.flatten(0, 1).tolist()} == set(LABELS.colors)


def test_interrupted_and_resumed_it_ends_in_the_same_bits(tmp_path: Path) -> None:
    """With spectral norm, whose vectors move in every forward."""
    config = TrainingConfig(steps=5, checkpoint_every=2, sample_every=0, log_every=5)

    def make() -> SpadeTask:
        return SpadeTask(generator(), evaluation(spectral=True), pixels=True)

    ends = at_once_and_interrupted(make, street, config, tmp_path, dies=3)
    assert any("parametrizations" in name for name in ends[0])
    assert same(*ends)


def test_without_the_weights_of_vgg19_both_ways_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ValueError("no route to host")

    monkeypatch.setenv("POCKETGAN_HOME", str(tmp_path))
    monkeypatch.setattr("pocketgan.pretrained.weights.download", offline)
    ways = r"or train without: perceptual=pixels compares pixels \(L1\), perceptual=none leaves it to the discriminator$"
    with pytest.raises(ValueError, match=f"cannot fetch the VGG19 of torchvision .*no route to host.*; {ways}"):
        perceptual_losses("vgg19", CPU)
    with pytest.raises(ValueError, match=f"no file {tmp_path}/mine.pth.*; {ways}"):
        perceptual_losses(f"vgg19:{tmp_path}/mine.pth", CPU)


def test_what_images_are_compared_by(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(student_tasks, "_vgg19", lambda file: asked.append(file) or nn.Identity())
    assert perceptual_losses("pixels", CPU) == {"perception": None, "pixels": True}
    assert perceptual_losses("none", CPU) == {"perception": None, "pixels": False}
    assert asked == []
    for text, file in (("vgg19", None), ("vgg19:own.pth", "own.pth")):
        perception, pixels = perceptual_losses(text, CPU).values()
        assert perception is not None
        assert not pixels
        assert torch.equal(perception(torch.ones(1)), torch.ones(1))
        assert asked.pop() == file
    for text in ("vgg", "pixels:own.pth", "none:0"):
        with pytest.raises(ValueError, match=f"no perceptual loss named '{text}'"):
            perceptual_losses(text, CPU)
