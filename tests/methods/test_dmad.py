"""DMAD: the search meets the budget, and the pruned network equals the masked one."""

import copy

import pytest
import torch
from torch import nn

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.methods import MethodContext, make_method
from pocketgan.methods.dmad import MaskLearner
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.importance import contribution
from pocketgan.pruning.masks import mask_value
from pocketgan.pruning.scales import affine_norms
from pocketgan.pruning.selection import shrink
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer
from zoo import randomize_

pytestmark = pytest.mark.filterwarnings("ignore:a search of")  # the test of that warning expects it
STEPS = 24
SPECS = {
    "resnet": resnet(16, 3),
    "resnet-batch": resnet(16, 3, "batch"),
    "mobile": mobile_resnet(24, 3),
    "mobile-batch": mobile_resnet(24, 3, "batch", depthwise_norm="batch"),
    "unet": unet(16, 5, dropout=0.0),
}

BARE = {"least": 0.0, "init": "normal", "steer": False, "group_rule": "off"}


def images() -> list[torch.Tensor]:
    return [torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))]


def prepared(spec: Spec, budget: str, *, steps: int = STEPS, **options: object) -> tuple[nn.Module, MethodContext, MaskLearner]:
    """Network prepared for a search, its context and its learner."""
    torch.manual_seed(0)
    teacher = randomize_(spec.build())
    cost = CostModel(teacher, 32)
    context = MethodContext(parse_budget(budget, cost()), cost, 1, images)
    method = make_method("dmad", options)
    model = method.prepare(copy.deepcopy(teacher), context)
    learner = method.learner(model, context, steps)
    assert isinstance(learner, MaskLearner)
    return model, context, learner


def searched(spec: Spec, budget: str, **options: object) -> tuple[nn.Module, MethodContext, MaskLearner]:
    """As `prepared`, after a short search on noise."""
    model, context, learner = prepared(spec, budget, **options)
    fit = Trainer(Pix2PixTask(model, None), TrainingConfig(steps=STEPS, batch=2), torch.device("cpu"), learners={"G": learner})
    for _ in range(STEPS):
        fit.advance({"input": torch.randn(2, 3, 32, 32), "target": torch.randn(2, 3, 32, 32).tanh()})
    return model.eval(), context, learner


@pytest.mark.parametrize(
    ("name", "options"), [("resnet", {}), ("mobile-batch", BARE), ("unet", {})], ids=["resnet", "mobile", "unet"]
)
def test_the_pruned_network_equals_the_masked_one_within_the_budget(name: str, options: dict[str, object]) -> None:
    model, context, _ = searched(SPECS[name], "4x", **options)
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        masked = model(image)
        student = shrink(model, make_method("dmad", options).select(model, context))
        assert (student(image) - masked).abs().max() < 1e-4  # in float32; in float64: tests/pruning/test_masks.py
    reached = context.budget.of(CostModel(student, 32)())
    assert 0.95 * context.budget.limit <= reached <= context.budget.limit
    assert not any("gate" in key or key.startswith("search") for key in student.state_dict())


@pytest.mark.parametrize("name", ["resnet-batch", "mobile", "unet"])
def test_the_search_begins_at_the_teachers_images(name: str) -> None:
    """Scales compensate the masks, and the most important channels have the largest masks."""
    model, _, learner = prepared(SPECS[name], "4x")
    torch.manual_seed(0)
    teacher = randomize_(SPECS[name].build()).eval()
    image = images()[0]
    with torch.no_grad():
        assert (model.eval()(image) - teacher(image)).abs().max() < 1e-3
    scores = contribution(teacher, images())
    for producer in learner.masks.producers:
        order = producer.gate.p.detach()[scores[producer.group].argsort(descending=True, stable=True)]
        assert (order.diff() <= 0).all()
        assert mask_value(producer.gate.p, 1.0).min() >= 0.04


def test_the_released_start_is_random() -> None:
    model, _, learner = prepared(unet(32, 4, dropout=0.0), "4x", init="normal")
    p = learner.masks.p().detach()
    assert p.mean().abs() < 0.03
    assert p.std().item() == pytest.approx(0.2, abs=0.03)
    assert model.down2.norm.weight.shape == (64,)


def test_a_search_from_scratch_is_narrower_and_fresh() -> None:
    model, context, _ = prepared(resnet(16, 2), "4x", scratch=0.75, init="normal")
    assert widths_of(model)["stem"] == 12
    assert model.stem.conv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    student = shrink(model, make_method("dmad", {}).select(model, context))
    assert 0.9 * context.budget.limit <= CostModel(student, 32)().macs <= context.budget.limit


def drive(learner: MaskLearner, gain: torch.Tensor, *, steps: int) -> list[float]:
    """Search in which the task gradient of every mask is a constant plus noise; returns cost / budget by step."""
    optimizer, parts = learner.optimizer(), []
    for step in range(steps):
        learner.on_step_start(step)
        loss = sum(learner.losses().values()) - (gain * learner.masks.p()).sum() if learner.losses() else None
        if loss is not None:
            loss.backward()
            for producer in learner.masks.producers:
                producer.gate.p.grad += 0.3 * torch.randn_like(producer.gate.p) * gain.std()
            optimizer.step()
            optimizer.zero_grad()
        parts.append(learner.log_dict()["cost"] / learner.log_dict()["budget"])
    return parts


@pytest.mark.parametrize(("budget", "scale"), [("10x", 1e-4), ("2x", 1e2)], ids=["weak", "strong"])
def test_the_strength_is_controlled_for_losses_of_any_scale(budget: str, scale: float) -> None:
    """Without tuning, masks close gradually, and are frozen near the end and not at once."""
    steps = 150
    _, _, learner = prepared(resnet(16, 1), budget, steps=steps)
    torch.manual_seed(1)
    gain = scale * torch.rand(len(learner.masks.p()))
    parts = drive(learner, gain, steps=steps)
    frozen = next(step for step, part in enumerate(parts) if part <= 1)
    assert frozen > 0.5 * learner.end
    assert 0.95 <= parts[-1] <= 1
    assert parts[int(0.9 * learner.end)] < 0.85 * parts[0]  # gradually: not all in the last tenth


def test_wrong_options_are_refused() -> None:
    teacher = resnet(8, 1).build()
    cost = CostModel(teacher, 32)
    context = MethodContext(parse_budget("2x", cost()), cost, 1, images)
    for options, message in (
        ({"polarize": ["up3"]}, r"no group named 'up3'. Did you mean 'up"),
        ({"cap": 0.2}, r"cap=0.2 leaves .* macs at least, budget '2x' allows .*: raise the cap or the budget"),
        ({"scratch": 0.3}, r"scratch=0.3: the fresh network has .* there is nothing to search: take a larger part"),
    ):
        with pytest.raises(ValueError, match=message):
            make_method("dmad", options).check(teacher, context, features=False)
    with pytest.raises(ValueError, match=r"cap=1.5: a part, above 0 and up to 1"):
        make_method("dmad", {"cap": 1.5})


def test_a_budget_of_parameters_counts_the_scales_too() -> None:
    model, context, _ = prepared(SPECS["resnet"], "0.03Mparams")
    student = shrink(model, make_method("dmad", {}).select(model, context))
    assert 28_500 < sum(parameter.numel() for parameter in student.parameters()) <= 30_000


def test_an_interrupted_search_continues_to_the_same_bits() -> None:
    def start() -> tuple[Trainer, torch.Tensor]:
        torch.manual_seed(0)
        teacher = randomize_(resnet(6, 2).build())
        cost = CostModel(teacher, 16)
        context = MethodContext(parse_budget("4x", cost()), cost, 1, lambda: [torch.zeros(1, 3, 16, 16)])
        method = make_method("dmad", {})
        model = method.prepare(teacher, context)
        # Updates every fourth step only, so that an interruption falls between two.
        learner = method.learner(model, context, 24)
        assert isinstance(learner, MaskLearner)
        learner.every = 4
        task = Pix2PixTask(model, None)
        fit = Trainer(
            task, TrainingConfig(steps=24, batch=1, weights={"l1": 1.0}), torch.device("cpu"), learners={"G": learner}
        )
        return fit, torch.randn(24, 2, 1, 3, 16, 16)

    def run(fit: Trainer, images: torch.Tensor, until: int) -> dict[str, torch.Tensor]:
        while fit.step < until:
            input_, target = images[fit.step]
            fit.advance({"input": input_, "target": target.tanh()})
        return {name: tensor.clone() for name, tensor in fit.tensors().items() if not name.startswith("rng/")}

    uninterrupted = run(*start(), 24)
    first, images = start()
    for stop in (1, 10, 19):  # of one search, that continues
        run(first, images, stop)
        saved = {name: tensor.clone() for name, tensor in first.tensors().items()}
        second, _ = start()
        second.load_tensors(stop, saved)
        resumed = run(second, images, 24)
        assert uninterrupted.keys() == resumed.keys()
        assert all(torch.equal(uninterrupted[name], resumed[name]) for name in uninterrupted), stop


@pytest.mark.parametrize("name", ["resnet", "mobile", "unet"])
def test_scales_are_added_without_changing_the_function(name: str) -> None:
    model = randomize_(SPECS[name].build()).eval()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(affine_norms(model)(image), model(image))


def test_too_short_a_search_warns() -> None:
    teacher = resnet(8, 1).build()
    cost = CostModel(teacher, 32)
    context = MethodContext(parse_budget("2x", cost()), cost, 1, images)
    method = make_method("dmad", {})
    with pytest.warns(UserWarning, match="too short"):
        method.learner(method.prepare(teacher, context), context, 10)


def test_remaining_momentum_moves_no_decided_mask() -> None:
    """In a search of three steps the learning rate is large enough to close masks that the binarization opened."""
    model, context, learner = prepared(unet(8, 5, dropout=0.0), "4x", steps=3)
    fit = Trainer(Pix2PixTask(model, None), TrainingConfig(steps=3), torch.device("cpu"), learners={"G": learner})
    kept = None
    for step in range(3):
        fit.advance({"input": torch.randn(2, 3, 32, 32), "target": torch.randn(2, 3, 32, 32).tanh()})
        if bool(learner.state.frozen):
            widths = learner.masks.widths()
            assert kept in (None, widths), step
            kept = widths
    assert kept is not None
    student = shrink(model, make_method("dmad", {}).select(model, context))
    assert {g: w for g, w in widths_of(student).items() if w} == {g: w for g, w in kept.items() if w}


def test_polarized_groups_are_pushed_apart_and_not_down() -> None:
    """Above 0 up, below 0 down; the others down."""
    _, _, learner = prepared(resnet(16, 2), "4x", steps=400, polarize=["stem"], init="normal")
    learner.on_step_start(0)
    sum(learner.losses().values()).backward()
    for producer in learner.masks.producers:
        grad, p = producer.gate.p.grad, producer.gate.p.detach()
        if producer.group == "stem":
            assert torch.equal(grad.sign(), -p.sign())
        else:
            assert (grad > 0).all()


def test_a_capped_layer_keeps_its_part_while_others_are_cut() -> None:
    steps = 60
    _, _, learner = prepared(unet(16, 4, dropout=0.0), "3x", steps=steps, cap=0.6, least=0.0, init="normal")
    torch.manual_seed(0)
    drive(learner, torch.rand(len(learner.masks.p())), steps=steps)
    for group, width in learner.masks.full_widths.items():
        assert learner.masks.widths()[group] >= 0.4 * width


def test_pushing_everywhere_pulls_open_masks_down_and_closed_ones_up() -> None:
    _, _, learner = prepared(unet(16, 3, dropout=0.0), "3x", steps=400, everywhere=True, group_rule="paper")
    learner.masks.set_boundary_(0.3)
    with torch.no_grad():
        for producer in learner.masks.producers:
            producer.gate.p[0], producer.gate.p[1] = 0.9, -0.9
    learner._update_coefficients()
    sum(learner.losses().values()).backward()
    for producer in learner.masks.producers:
        assert producer.gate.p.grad[0] > 0
        assert producer.gate.p.grad[1] < 0
