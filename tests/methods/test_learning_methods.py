"""Every method that learns where to cut, on every generator: in the budget's window, resumable, and nothing left behind."""

import pytest
import torch
from torch import nn

from pocketgan.core.spec import Spec
from pocketgan.methods import METHODS, MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.selection import shrink
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Fit
from zoo import randomize_

pytestmark = pytest.mark.filterwarnings("ignore:a search of")
SPECS = {
    "resnet": resnet(16, 2),
    "batch": resnet(16, 2, "batch"),
    "mobile": mobile_resnet(24, 2),
    "unet": unet(16, 4, dropout=0.0),
}
LEARNING = [name for name, method in METHODS.items() if method.learns and name != "gan-compression"]
"""Those that land at the budget; a search by quality may stay below it: `test_gan_compression`."""
STEPS = 12


def image(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def begin(name: str, spec: Spec, budget: str) -> tuple[Fit, nn.Module, MethodContext]:
    torch.manual_seed(0)
    teacher = randomize_(spec.build())
    cost = CostModel(teacher, 32)
    context = MethodContext(parse_budget(budget, cost()), cost, 1, lambda: [image(0)])
    method = make_method(name, {})
    model = method.prepare(teacher, context)
    learner = method.learner(model, context, STEPS)
    assert learner is not None
    return (
        Fit(Pix2PixTask(model, None), TrainingConfig(steps=STEPS), torch.device("cpu"), learners={"G": learner}),
        model,
        context,
    )


def run(fit: Fit, until: int) -> None:
    while fit.step < until:
        fit.advance({"input": image(fit.step), "target": image(99 + fit.step).tanh()})


@pytest.mark.parametrize("budget", ["4x", "0.3"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("name", LEARNING)
def test_the_student_is_in_the_window_and_what_was_searched(name: str, spec: Spec, budget: str) -> None:
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
def test_an_interrupted_search_goes_on_to_the_same_bits(name: str) -> None:
    whole, first, second = (begin(name, SPECS["unet"], "4x")[0] for _ in range(3))
    run(whole, STEPS)
    run(first, 5)
    second.load_tensors(5, {key: tensor.clone() for key, tensor in first.tensors().items()})
    run(second, STEPS)
    ours, theirs = whole.tensors(), second.tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours if not key.startswith("rng/"))


@pytest.mark.parametrize("name", LEARNING)
def test_a_budget_below_the_floor_names_it(name: str) -> None:
    _, model, context = begin(name, SPECS["resnet"], "2x")
    for learner_state in (p for p in model.parameters() if p.ndim == 1):
        learner_state.data.uniform_(0.1, 0.9)  # scales that are not all equal
    tight = MethodContext(parse_budget("100params", context.cost()), context.cost, 1, context.images)
    with pytest.raises(ValueError, match=r"budget '100params' .* is below the floor: .* ask for at least that"):
        make_method(name, {}).select(model, tight)


def test_slimming_presses_on_all_scales_alike() -> None:
    """With nothing else to learn, every scale goes down by the learner's rate."""
    fit, _, _ = begin("slimming", SPECS["unet"], "4x")
    learner = fit.learners["G"]
    before = torch.cat([s.detach().abs() for own in learner.scales.values() for s in own])
    sum(learner.losses().values()).backward()
    learner.optimizer().step()
    after = torch.cat([s.detach().abs() for own in learner.scales.values() for s in own])
    fell = (before - after)[before > 1 / STEPS]  # the others come out on the other side of 0
    torch.testing.assert_close(fell, torch.full_like(fell, 1 / STEPS), rtol=1e-3, atol=1e-5)
    assert learner.losses()["sparsity"].item() == pytest.approx(1e-3 * after.sum().item(), rel=1e-5)
