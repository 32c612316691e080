"""Training steps against the published ones, written out with torch's own optimizer.

In float64: the gradient of a bias before an instance norm is rounding only, which Adam amplifies in float32.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer
from toy_tasks import CPU, batch, generator, make_discriminator, same, weights

STEPS = 3
CONFIG = TrainingConfig(steps=STEPS, decay="none", lr=1e-3)


def exact(step: int) -> dict[str, Tensor]:
    return {role: images.double() for role, images in batch(step).items()}


def adam(*models: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam([p for model in models for p in model.parameters()], lr=1e-3, betas=(0.5, 0.999))


def assert_close(ours: nn.Module, theirs: nn.Module) -> None:
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=0, atol=1e-9, msg=name)


def frozen_(model: nn.Module, yes: bool) -> None:
    for parameter in model.parameters():
        parameter.requires_grad_(not yes)


def test_pix2pix() -> None:
    """D first, on input and detached image, halved; then G: adversarial plus 100 x L1."""
    ours, discriminator = generator(norm="batch").double(), make_discriminator(6).double()
    g, d = copy.deepcopy(ours), copy.deepcopy(discriminator)
    fit = Trainer(Pix2PixTask(ours, discriminator, gan="vanilla"), CONFIG, CPU)
    optimizer_g, optimizer_d = adam(g), adam(d)
    bce = F.binary_cross_entropy_with_logits
    for step in range(STEPS):
        values = fit.advance(exact(step))
        source, target = exact(step).values()
        image = g(source)
        frozen_(d, False)
        optimizer_d.zero_grad()
        fake, real = d(torch.cat([source, image.detach()], 1)), d(torch.cat([source, target], 1))
        loss_d = (bce(fake, torch.zeros_like(fake)) + bce(real, torch.ones_like(real))) * 0.5
        loss_d.backward()
        optimizer_d.step()
        frozen_(d, True)
        optimizer_g.zero_grad()
        fake = d(torch.cat([source, image], 1))
        gan, l1 = bce(fake, torch.ones_like(fake)), F.l1_loss(image, target)
        (gan + 100 * l1).backward()
        optimizer_g.step()
        expected = {"D/d_adv": 2 * loss_d, "G/gan": gan, "G/l1": l1}
        assert {name: value.item() for name, value in values.items()} == pytest.approx(
            {name: value.item() for name, value in expected.items()}, rel=1e-9
        )
    assert_close(ours, g)
    assert_close(discriminator, d)


@pytest.mark.parametrize("identity", [5.0, 0.0])
def test_cyclegan(identity: float) -> None:
    """G first, both with one optimizer: lsgan, 10 x cycle, 5 x identity; then D on the pool's images, halved."""
    nets = [
        net.double() for net in (generator(seed=1), generator(seed=2), make_discriminator(seed=1), make_discriminator(seed=2))
    ]
    ga, gb, da, db = (copy.deepcopy(net) for net in nets)
    changed = {} if identity else {"identity": 0.0}
    config = TrainingConfig(steps=STEPS, decay="none", lr=1e-3, weights=changed)
    fit = Trainer(CycleGANTask((nets[0], nets[1]), (nets[2], nets[3]), pool=100), config, CPU)
    optimizer_g, optimizer_d = adam(ga, gb), adam(da, db)

    def towards(logits: Tensor, value: float) -> Tensor:
        return F.mse_loss(logits, torch.full_like(logits, value))

    for step in range(STEPS):
        values = fit.advance(exact(step))
        a, b = exact(step).values()
        fake_b, fake_a = ga(a), gb(b)
        cycle = F.l1_loss(gb(fake_b), a) + F.l1_loss(ga(fake_a), b)
        same_ = F.l1_loss(ga(b), b) + F.l1_loss(gb(a), a)
        for model in (da, db):
            frozen_(model, True)
        optimizer_g.zero_grad()
        (towards(da(fake_b), 1) + towards(db(fake_a), 1) + 10 * cycle + identity * same_).backward()
        optimizer_g.step()
        for model in (da, db):
            frozen_(model, False)
        optimizer_d.zero_grad()
        for model, real, fake in ((da, b, fake_b), (db, a, fake_a)):
            ((towards(model(real), 1) + towards(model(fake.detach()), 0)) * 0.5).backward()
        optimizer_d.step()
        assert values["G/cycle"].item() == pytest.approx(cycle.item(), rel=1e-9)
        assert ("G/identity" in values) == (identity > 0)
    for mine, theirs in zip(nets, (ga, gb, da, db), strict=True):
        assert_close(mine, theirs)


def test_unpaired_student_takes_the_teachers_image_as_target() -> None:
    student, discriminator, teacher = generator(seed=1), make_discriminator(), generator(8, seed=2)
    task = Pix2PixTask(
        student, discriminator, gan="hinge", conditional=False, l1_target="teacher", teacher=teacher, example=batch()
    )
    outputs = task.forward(batch())
    d, g = task.losses("D", batch(), outputs), task.losses("G", batch(), outputs)
    image, teacher_image = student(batch()["input"]), teacher(batch()["input"])
    real, fake = discriminator(batch()["target"]), discriminator(image)
    torch.testing.assert_close(d["d_adv"], ((1 - real).relu().mean() + (1 + fake).relu().mean()))
    torch.testing.assert_close(g["gan"], -fake.mean())
    torch.testing.assert_close(g["l1"], F.l1_loss(image, teacher_image))
    assert set(g) == {"gan", "l1"}


def test_without_a_discriminator_there_is_only_l1() -> None:
    task = Pix2PixTask(generator(), None)
    assert [phase.name for phase in task.phases] == ["G"]
    assert set(Trainer(task, CONFIG, CPU).advance(batch())) == {"G/l1"}


def test_phases_train_their_networks_and_leave_no_gradient() -> None:
    task = Pix2PixTask(generator(), make_discriminator(6))
    fit = Trainer(task, TrainingConfig(steps=2, lr=1e-3), CPU)
    moved: dict[str, set[str]] = {}
    before = {name: weights(network) for name, network in task.networks.items()}
    for name, optimizer in fit.optimizers.items():

        def after_step(*_: object, name: str = name) -> None:
            moved[name] = {n for n, network in task.networks.items() if not same(weights(network), before[n])} - {
                n for other in moved.values() for n in other
            }

        optimizer.register_step_post_hook(after_step)
    fit.advance(batch())
    assert moved == {"D": {"D"}, "G": {"G"}}
    assert all(parameter.grad is None for network in task.networks.values() for parameter in network.parameters())


class Sparsity:
    """Learner with a sparsity loss on the stem and its own optimizer for the head."""

    def __init__(self, model: nn.Module, factor: float):
        self.model, self.factor, self.steps = model, factor, []

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.head.parameters(), 0.25, (0.5, 0.999))

    def on_step_start(self, step: int) -> None:
        self.steps.append(step)

    def losses(self) -> dict[str, Tensor]:
        return {"sparsity": self.factor * self.model.stem.conv.weight.abs().sum()} if self.factor else {}

    def log_dict(self) -> dict[str, float]:
        return {}


def test_losses_of_learners_are_added_unchanged() -> None:
    start, model = weights(generator()), generator()
    learner = Sparsity(model, 7.0)
    values = Trainer(Pix2PixTask(model, make_discriminator(6)), CONFIG, CPU, learners={"G": learner}).advance(batch())
    alone = Trainer(Pix2PixTask(generator(), make_discriminator(6)), CONFIG, CPU).advance(batch())
    assert {name for name in values if name not in alone} == {"G/sparsity"}
    assert all(values[name] == alone[name] for name in alone)
    stem = start["stem.conv.weight"]
    assert values["G/sparsity"].item() == pytest.approx(7 * stem.abs().sum().item(), rel=1e-5)
    # The first step of Adam is the rate against the sign of the gradient, which the large term decides.
    torch.testing.assert_close(model.stem.conv.weight.detach(), stem - 1e-3 * stem.sign(), rtol=0, atol=1e-5)


def test_rate_of_a_learners_optimizer_does_not_decay() -> None:
    start, model = weights(generator()), generator()
    learner = Sparsity(model, 0.0)
    fit = Trainer(Pix2PixTask(model, None), TrainingConfig(steps=2, lr=1e-3, decay_start=0.0), CPU, learners={"G": learner})
    for step in range(2):
        fit.advance(batch(step))
        rates = [fit.optimizers[name].param_groups[0]["lr"] for name in ("G", "learner/G")]
        assert rates == [pytest.approx(1e-3 / (step + 1)), 0.25]
        if step == 0:
            moved = (model.head.weight - start["head.weight"]).abs()
            torch.testing.assert_close(moved, torch.full_like(moved, 0.25), rtol=1e-3, atol=0)
    assert learner.steps == [0, 1]


def test_weights_of_losses_come_from_the_configuration() -> None:
    with pytest.raises(ValueError, match=r"no loss named 'gna'. Did you mean 'gan'"):
        Trainer(Pix2PixTask(generator(), make_discriminator(6)), TrainingConfig(weights={"gna": 1.0}), CPU)
    with pytest.raises(ValueError, match=r"no loss named 'cycel'. Did you mean 'cycle'"):
        Trainer(
            CycleGANTask((generator(), generator()), (make_discriminator(), make_discriminator())),
            TrainingConfig(weights={"cycel": 1.0}),
            CPU,
        )
    heavy, light = (Pix2PixTask(generator(), None) for _ in range(2))
    Trainer(heavy, TrainingConfig(steps=1, weights={"l1": 0.0}), CPU).advance(batch())
    assert same(weights(heavy.networks["G"]), weights(light.networks["G"]))
