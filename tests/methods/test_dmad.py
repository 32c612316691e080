"""DMAD: the search lands in the budget's window, and what it prunes is what it masked."""

import copy

import pytest
import torch
from torch import nn

from pocketgan.compress.affine import affine_norms
from pocketgan.compress.budget import parse_budget
from pocketgan.compress.gate import remove_gates_
from pocketgan.compress.selection import shrink
from pocketgan.core.spec import Spec
from pocketgan.methods import Setting, make_method
from pocketgan.methods.dmad import MaskLearner
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, patchgan, resnet, unet
from pocketgan.train.config import FitConfig
from pocketgan.train.loop import Fit
from pocketgan.train.translation import Translation
from zoo import randomise_

STEPS = 40
SPECS = {
    "resnet": resnet(8, 3),
    "resnet-batch": resnet(8, 3, "batch"),
    "mobile": mobile_resnet(8, 3),
    "mobile-batch": mobile_resnet(8, 3, "batch", depthwise_norm="batch"),
    "unet": unet(8, 5, dropout=0.0),
}


def searched(spec: Spec, budget: str, **options: object) -> tuple[nn.Module, Setting, MaskLearner]:
    """A network after a short search on noise."""
    torch.manual_seed(0)
    teacher = randomise_(spec.build())
    cost = CostModel(teacher, 32)
    setting = Setting(parse_budget(budget, cost()), cost, 1, list)
    method = make_method("dmad", options)
    model = method.prepare(copy.deepcopy(teacher), setting)
    learner = method.learner(model, setting, STEPS)
    assert isinstance(learner, MaskLearner)
    game = Translation(model, patchgan(4, 1, in_channels=6).build())
    fit = Fit(game, FitConfig(steps=STEPS, batch=2), torch.device("cpu"), learner=learner)
    for _ in range(STEPS):
        fit.advance({"source": torch.randn(2, 3, 32, 32), "target": torch.randn(2, 3, 32, 32).tanh()})
    return model.eval(), setting, learner


@pytest.mark.filterwarnings("ignore:a search of")
@pytest.mark.parametrize("least", [0.5, 0.0])
@pytest.mark.parametrize("name", SPECS)
def test_masked_is_pruned_and_within_the_budget(name: str, least: float) -> None:
    model, setting, learner = searched(SPECS[name], "5x", least=least)
    assert bool(learner.state.frozen)
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        masked = model(image)
        student = shrink(model, make_method("dmad", {"least": least}).select(model, setting))
        assert (student(image) - masked).abs().max() < 1e-4
    reached = setting.budget.of(CostModel(student, 32)())
    assert reached <= setting.budget.limit
    if least:  # where no branch goes after the threshold is set, the window is met
        assert reached >= 0.85 * setting.budget.limit  # widths of 8 to 32 come in coarse steps
    assert not any("gate" in key or key.startswith("search") for key in student.state_dict())


@pytest.mark.filterwarnings("ignore:a search of")
def test_a_budget_of_parameters_counts_the_scales_too() -> None:
    model, setting, _ = searched(SPECS["resnet"], "0.01Mparams")
    student = shrink(model, make_method("dmad", {}).select(model, setting))
    assert 9_000 < sum(parameter.numel() for parameter in student.parameters()) <= 10_000


@pytest.mark.filterwarnings("ignore:a search of")
@pytest.mark.parametrize("stop", [1, 10, 17, 35])
def test_an_interrupted_search_goes_on_to_the_same_bits(stop: int) -> None:
    def begin() -> tuple[Fit, torch.Tensor]:
        torch.manual_seed(0)
        teacher = randomise_(resnet(6, 2).build())
        cost = CostModel(teacher, 16)
        setting = Setting(parse_budget("4x", cost()), cost, 1, list)
        method = make_method("dmad", {})
        model = method.prepare(teacher, setting)
        # Ticks every fourth step only, so that an interruption falls between two.
        learner = method.learner(model, setting, STEPS)
        assert isinstance(learner, MaskLearner)
        learner.every = 4
        game = Translation(model, None, weights={"recon": 1.0})
        return Fit(game, FitConfig(steps=STEPS, batch=1), torch.device("cpu"), learner=learner), torch.randn(
            STEPS, 2, 1, 3, 16, 16
        )

    def run(fit: Fit, pictures: torch.Tensor, until: int) -> dict[str, torch.Tensor]:
        while fit.step < until:
            source, target = pictures[fit.step]
            fit.advance({"source": source, "target": target.tanh()})
        return {name: tensor.clone() for name, tensor in fit.tensors().items() if not name.startswith("rng/")}

    whole = run(*begin(), STEPS)
    first, pictures = begin()
    run(first, pictures, stop)
    saved = {name: tensor.clone() for name, tensor in first.tensors().items()}
    second, pictures = begin()
    second.load_tensors(stop, saved)
    again = run(second, pictures, STEPS)
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize("name", SPECS)
def test_scales_are_added_without_changing_the_function(name: str) -> None:
    model = randomise_(SPECS[name].build()).eval()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(affine_norms(model)(image), model(image))


def test_a_tick_folds_what_leaves_the_band_so_that_nothing_jumps() -> None:
    torch.manual_seed(0)
    teacher = randomise_(resnet(8, 2).build())
    cost = CostModel(teacher, 32)
    setting = Setting(parse_budget("3x", cost()), cost, 1, list)
    method = make_method("dmad", {})
    model = method.prepare(teacher, setting).eval()
    learner = method.learner(model, setting, 100_000)
    assert isinstance(learner, MaskLearner)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        for _, layer in learner.producers:
            layer.gate.p.uniform_(0.3, 1.0)  # type: ignore[operator, union-attr]
        learner.before(0)
        before = model(image)
        for _, layer in learner.producers:  # from 1 to 0.3 at once: all of them leave upwards, with values below 1
            assert (layer.gate.p.abs() < layer.gate.boundary).all()  # type: ignore[operator, union-attr]
        at = int((1 - 0.3) ** 3 * learner.end)
        learner.before(at - at % learner.every)
        assert (model(image) - before).abs().max() < 0.05
    remove_gates_(model)


def test_too_short_a_search_warns() -> None:
    teacher = resnet(8, 1).build()
    cost = CostModel(teacher, 32)
    setting = Setting(parse_budget("2x", cost()), cost, 1, list)
    method = make_method("dmad", {})
    with pytest.warns(UserWarning, match="too short"):
        method.learner(method.prepare(teacher, setting), setting, 10)
