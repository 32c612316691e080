"""GauGAN's game against its published description, written out by hand with torch's own optimiser."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from games import CPU, at_once_and_interrupted, same, weights
from PIL import Image
from torch import Tensor, nn

from pocketgan.core.run import Run
from pocketgan.data.labels import numbered
from pocketgan.losses import discriminator_loss, generator_loss, perceptual_distance
from pocketgan.models import inception_spade, multiscale
from pocketgan.pipeline import perceptual
from pocketgan.pipeline.perceptual import make_perceptual
from pocketgan.train.config import GAUGAN, FitConfig, lr_factor
from pocketgan.train.labels import LabelTranslation
from pocketgan.train.loop import Fit, fit
from pocketgan.train.samples import to_uint8

LABELS = numbered(3)


def painter(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return inception_spade(1, in_channels=3, upsamplings=5, kernels=(1,)).build()


def judge(*, spectral: bool = False) -> nn.Module:
    torch.manual_seed(9)
    return multiscale(3, layers=2, in_channels=6, spectral=spectral).build()


def street(step: int = 0, count: int = 2) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(step)
    source = LABELS.one_hot(torch.randint(0, 3, (count, 32, 64), generator=rng))
    return {"source": source, "target": torch.rand(count, 3, 32, 64, generator=rng) * 2 - 1}


def seen(pictures: Tensor) -> list[Tensor]:
    """What stands for VGG19: five features."""
    return [F.avg_pool2d(pictures, 2**k) for k in range(5)]


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
    """G first: hinge, 10 x matching, 10 x perceptual; then D, whole, on the picture that G learnt from; at two rates."""
    ours, critic = painter().double(), judge().double()
    g, d = copy.deepcopy(ours), copy.deepcopy(critic)
    config = FitConfig(steps=2, lr=1e-3, lr_discriminator=4e-3, betas=(0.0, 0.9), decay="none")
    state = Fit(LabelTranslation(ours, critic, perception=seen), config, CPU)
    optimizer_g = torch.optim.Adam(g.parameters(), 1e-3, (0.0, 0.9))
    optimizer_d = torch.optim.Adam(d.parameters(), 4e-3, (0.0, 0.9))
    for step in range(2):
        batch = {role: images.double() for role, images in street(step).items()}
        found = state.advance(batch)
        source, target = batch.values()
        picture = g(source)
        (fake_h, fake), (real_h, _) = (features(d, torch.cat([source, shown], 1)) for shown in (picture, target))
        gan = -(fake[0].mean() + fake[1].mean()) / 2
        pairs = [(a, b.detach()) for one, two in zip(fake_h, real_h, strict=True) for a, b in zip(one, two, strict=True)]
        match = torch.stack([(a - b).abs().mean() for a, b in pairs]).sum() / 2
        vgg = perceptual_distance(seen(picture), seen(target))
        optimizer_g.zero_grad()
        (gan + 10 * match + 10 * vgg).backward()
        optimizer_g.step()
        optimizer_d.zero_grad()
        real, fake = (features(d, torch.cat([source, shown], 1))[1] for shown in (target, picture.detach()))
        loss_d = torch.stack([(1 - r).relu().mean() + (1 + f).relu().mean() for r, f in zip(real, fake, strict=True)]).mean()
        loss_d.backward()
        optimizer_d.step()
        wanted = {"G/gan": gan, "G/match": match, "G/perceptual": vgg, "D/real_fake": loss_d / 2}
        assert {name: value.item() for name, value in found.items()} == pytest.approx(
            {name: value.item() for name, value in wanted.items()}, rel=1e-9
        )
    for mine, theirs in ((ours, g), (critic, d)):
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(mine.state_dict()[name], tensor, rtol=0, atol=1e-7, msg=name)


@pytest.mark.parametrize(
    ("options", "more"),
    [({"perception": seen}, {"perceptual": 10.0}), ({"pixels": True}, {"recon": 10.0}), ({}, {})],
    ids=["vgg19", "pixels", "none"],
)
def test_phases_losses_and_weights(options: dict[str, object], more: dict[str, float]) -> None:
    task = LabelTranslation(painter(), judge(), **options)
    assert [(phase.name, phase.players) for phase in task.phases] == [("G", ("G",)), ("D", ("D",))]
    assert task.weights == {"gan": 1.0, "match": 10.0, "real_fake": 2.0, **more}
    found = Fit(task, FitConfig(steps=1), CPU).advance(street())
    assert set(found) == {"G/gan", "G/match", "D/real_fake", *(f"G/{name}" for name in more)}
    if "recon" in more:
        task = LabelTranslation(painter().eval(), judge(), pixels=True)
        scene = task.forward(street())
        recon = task.losses("G", street(), scene)["recon"]
        torch.testing.assert_close(recon, F.l1_loss(scene["picture"], street()["target"]))


def test_matching_looks_at_no_logits_and_moves_the_picture_alone() -> None:
    task, batch = LabelTranslation(painter().eval(), judge(), perception=seen), street()
    batch["target"].requires_grad_()
    scene = task.forward(batch)
    before = task.losses("G", batch, scene)
    (before["match"] + before["perceptual"]).backward()
    assert batch["target"].grad is None
    assert all(p.grad is not None for name, p in task.players["G"].named_parameters() if name == "head_conv.weight")
    with torch.no_grad():
        for scale in task.players["D"].children():
            scale.head.weight.add_(1)
    after = task.losses("G", batch, scene)
    assert torch.equal(after["match"], before["match"])
    assert not torch.equal(after["gan"], before["gan"])


def test_gradients_of_the_generators_losses_never_reach_the_discriminator() -> None:
    task = LabelTranslation(painter(), judge())
    state, before = Fit(task, FitConfig(steps=1), CPU), weights(task.players["D"])
    unchanged = []
    state.optimizers["G"].register_step_post_hook(
        lambda *_: unchanged.append(all(p.grad is None for p in task.players["D"].parameters()))
    )
    state.advance(street())
    assert unchanged == [True]
    assert not same(weights(task.players["D"]), before)


def test_two_time_scales_reach_the_optimisers_and_decay_together() -> None:
    assert (GAUGAN.lr, GAUGAN.lr_discriminator, GAUGAN.betas) == (1e-4, 4e-4, (0.0, 0.9))
    config = FitConfig(steps=4, lr=1e-4, lr_discriminator=4e-4, betas=(0.0, 0.9))
    state = Fit(LabelTranslation(painter(), judge()), config, CPU)
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
        "teacher": painter(3),
        "objective": "kernel-alignment",
        "layers": ("head", "up1"),
        "example": street(count=1),
    }
    task = LabelTranslation(painter().eval(), judge(), pixels=True, coloured=LABELS.coloured, **more)
    assert task.weights["kernel-alignment"] == 1
    found = Fit(task, FitConfig(steps=1), CPU).advance(street())
    assert set(found) == {"G/gan", "G/match", "G/recon", "G/kernel-alignment", "D/real_fake"}
    assert -2 <= found["G/kernel-alignment"] < 0
    with torch.no_grad():
        assert list(task.pictures(street())) == ["source", "target", "teacher", "student"]
    task.close()
    players = (task.players["G"], task.players["D"], more["teacher"])
    assert not any(module._forward_hooks for player in players for module in player.modules())


def test_samples_show_the_labels_in_colours(tmp_path: Path) -> None:
    task, batch = LabelTranslation(painter(), judge(), coloured=LABELS.coloured), street()
    fit(
        task,
        lambda start: iter([batch]),
        FitConfig(steps=1, sample_every=1),
        Run(tmp_path),
        stage="train",
        device=CPU,
        show=batch,
    )
    with Image.open(tmp_path / "samples" / "train_000001.png") as grid:
        pixels = torch.from_numpy(np.array(grid))
    for row, source in enumerate(batch["source"]):
        shown = torch.from_numpy(to_uint8(LABELS.coloured(source[None])[0]))
        assert torch.equal(pixels[34 * row : 34 * row + 32, :64], shown)
        assert {tuple(colour) for colour in shown.flatten(0, 1).tolist()} == set(LABELS.colours)


def test_interrupted_and_resumed_it_ends_in_the_same_bits(tmp_path: Path) -> None:
    """With spectral norm, whose vectors move in every forward."""
    config = FitConfig(steps=5, checkpoint_every=2, sample_every=0, log_every=5)

    def make() -> LabelTranslation:
        return LabelTranslation(painter(), judge(spectral=True), pixels=True)

    ends = at_once_and_interrupted(make, street, config, tmp_path, dies=3)
    assert any("parametrizations" in name for name in ends[0])
    assert same(*ends)


def test_without_the_weights_of_vgg19_both_ways_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ValueError("no route to host")

    monkeypatch.setenv("POCKETGAN_HOME", str(tmp_path))
    monkeypatch.setattr("pocketgan.perception.weights.download", offline)
    ways = r"or train without: perceptual=pixels compares pixels \(L1\), perceptual=none leaves it to the discriminator$"
    with pytest.raises(ValueError, match=f"cannot fetch the VGG19 of torchvision .*no route to host.*; {ways}"):
        make_perceptual("vgg19", CPU)
    with pytest.raises(ValueError, match=f"no file {tmp_path}/mine.pth.*; {ways}"):
        make_perceptual(f"vgg19:{tmp_path}/mine.pth", CPU)


def test_what_pictures_are_compared_by(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(perceptual, "_vgg19", lambda file: asked.append(file) or nn.Identity())
    assert make_perceptual("pixels", CPU) == (None, True)
    assert make_perceptual("none", CPU) == (None, False)
    assert asked == []
    for text, file in (("vgg19", ""), ("vgg19:own.pth", "own.pth")):
        perception, pixels = make_perceptual(text, CPU)
        assert perception is not None
        assert not pixels
        assert torch.equal(perception(torch.ones(1)), torch.ones(1))
        assert asked.pop() == file
    for text in ("vgg", "pixels:own.pth", "none:0"):
        with pytest.raises(ValueError, match=f"no perceptual loss named '{text}'"):
            make_perceptual(text, CPU)
