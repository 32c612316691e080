"""Methods with a search training: within the budget, resumable, and without remaining gates."""

import pytest
import torch
from torch import nn

from pocketgan.core.spec import Spec
from pocketgan.methods import METHODS, MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet
from pocketgan.pruning.allocation import threshold_at
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.scales import mean_scales
from pocketgan.pruning.selection import shrink
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer
from zoo import randomize_

pytestmark = pytest.mark.filterwarnings("ignore:a search of")
SPECS = {
    "resnet": resnet(16, 2),
    "batch": resnet(16, 2, "batch"),
    "mobile": mobile_resnet(24, 2),
    "unet": unet(16, 4, dropout=0.0),
}
LEARNING = [name for name, method in METHODS.items() if method.learns and name != "gan-compression"]
"""Methods that use the whole budget; a search by quality may stay below it: `test_gan_compression`."""
STEPS = 12


def image(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def begin(name: str, spec: Spec, budget: str) -> tuple[Trainer, nn.Module, MethodContext]:
    torch.manual_seed(0)
    teacher = randomize_(spec.build())
    cost = CostModel(teacher, 32)
    context = MethodContext(parse_budget(budget, cost()), cost, 1, lambda: [image(0)])
    method = make_method(name, {})
    model = method.prepare(teacher, context)
    learner = method.learner(model, context, STEPS)
    assert learner is not None
    return (
        Trainer(Pix2PixTask(model, None), TrainingConfig(steps=STEPS), torch.device("cpu"), learners={"G": learner}),
        model,
        context,
    )


def run(fit: Trainer, until: int) -> None:
    while fit.step < until:
        fit.advance({"input": image(fit.step), "target": image(99 + fit.step).tanh()})


CASES = {name: (name, "unet", "4x") for name in LEARNING} | {
    "slimming-mobile-params": ("slimming", "mobile", "0.3"),
    "sss-batch": ("sss", "batch", "4x"),
    "sss-params": ("sss", "unet", "0.3"),
    "dmad-params": ("dmad", "resnet", "0.3"),
    "cat-resnet": ("cat", "resnet", "4x"),
}
"""Every method on one network, every network and kind of budget with one method."""


@pytest.mark.parametrize(("name", "network", "budget"), CASES.values(), ids=CASES)
def test_the_student_uses_the_budget_and_has_no_gates(name: str, network: str, budget: str) -> None:
    spec = SPECS[network]
    if budget == "0.3":
        budget = f"{int(0.3 * CostModel(spec.build(device='meta'), 32)().params)}params"
    fit, model, context = begin(name, spec, budget)
    run(fit, STEPS)
    model.eval()
    student = shrink(model, make_method(name, {}).select(model, context))
    reached = context.budget.of(CostModel(student, 32)())
    assert 0.93 * context.budget.limit <= reached <= context.budget.limit  # at these widths one channel is up to 6 %
    assert not any("gate" in key or "search" in key for key in student.state_dict())
    assert student(image(1)).isfinite().all()


@pytest.mark.parametrize("name", LEARNING)
def test_an_interrupted_search_continues_to_the_same_bits(name: str) -> None:
    uninterrupted, first, second = (begin(name, SPECS["unet"], "4x")[0] for _ in range(3))
    run(uninterrupted, STEPS)
    run(first, 5)
    second.load_tensors(5, {key: tensor.clone() for key, tensor in first.tensors().items()})
    run(second, STEPS)
    expected, resumed = uninterrupted.tensors(), second.tensors()
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[key], resumed[key]) for key in expected if not key.startswith("rng/"))


@pytest.mark.parametrize("name", LEARNING)
def test_a_budget_below_the_floor_names_it(name: str) -> None:
    _, model, context = begin(name, SPECS["resnet"], "2x")
    for scale in (p for p in model.parameters() if p.ndim == 1):
        scale.data.uniform_(0.1, 0.9)  # scales that are not all equal
    tight = MethodContext(parse_budget("100params", context.cost()), context.cost, 1, context.images)
    with pytest.raises(ValueError, match=r"budget '100params' .* is below the floor: .* ask for at least that"):
        make_method(name, {}).select(model, tight)


def test_slimming_lowers_all_scales_equally() -> None:
    """Without another loss, every scale falls by the learning rate."""
    fit, _, _ = begin("slimming", SPECS["unet"], "4x")
    learner = fit.learners["G"]
    before = torch.cat([scale.detach().abs() for scale in learner.scales])
    sum(learner.losses().values()).backward()
    learner.optimizer().step()
    after = torch.cat([scale.detach().abs() for scale in learner.scales])
    fell = (before - after)[before > 1 / STEPS]  # the others cross 0
    torch.testing.assert_close(fell, torch.full_like(fell, 1 / STEPS), rtol=1e-3, atol=1e-5)
    assert learner.losses()["sparsity"].item() == pytest.approx(1e-3 * after.sum().item(), rel=1e-5)


def test_sss_controls_its_strength_along_a_path_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning rate: 4 (1 - momentum) / steps; an update every step, as there are fewer than 300, with the threshold then."""
    fit, model, context = begin("sss", SPECS["unet"], "4x")
    learner, updates = fit.learners["G"], []
    assert learner.optimizer().param_groups[0]["lr"] == pytest.approx(4 * 0.1 / STEPS)
    monkeypatch.setattr(learner.controller, "update_", lambda threshold, **path: updates.append((threshold, path)))
    for step in (0, 9):
        learner.on_step_start(step)
    threshold = threshold_at(mean_scales(model), context.budget, learner.cost)
    assert updates == [
        (threshold, {"left": 1.0, "full": pytest.approx(4 / STEPS)}),
        (threshold, {"left": 0.25, "full": pytest.approx(4 / STEPS)}),
    ]
    scales = torch.cat([scale for found in learner.scales.values() for scale in found])
    with torch.no_grad():
        learner.scales["down2"][0][:5] = 0
    assert learner.log_dict()["zeros"] == pytest.approx(5 / len(scales))
