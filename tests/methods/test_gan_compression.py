"""GAN Compression: sorting changes no image, candidates share the weights, the best within the budget is extracted."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from pocketgan.core.spec import Spec
from pocketgan.methods import MethodContext, gan_compression, make_method
from pocketgan.methods.gan_compression import EvaluationSchedule, WidthLearner, sorted_by
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.importance import contribution
from pocketgan.pruning.selection import shrink
from pocketgan.search.fitness import HoldoutImages, make_fitness, score_all_images
from pocketgan.search.published import make_space
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.distributed import Processes
from pocketgan.training.loop import Trainer
from zoo import EXAMPLES, example_input, randomize_, randomized, size

CPU = torch.device("cpu")
SORTED = {
    "resnet": EXAMPLES["resnet"]["batch"],
    "mobile": EXAMPLES["mobile-resnet"]["affine"],
    "unet": EXAMPLES["unet"]["depth-4-affine"],
}
SPECS = {
    "resnet": resnet(8, 3),
    "batch": resnet(8, 3, "batch"),
    "mobile": mobile_resnet(8, 3, "batch"),
    "unet": unet(8, 4, dropout=0.0),
}


def images(seed: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed)).tanh()


def make_teacher(spec: Spec, budget: str, run_dir: Path | None = None) -> tuple[nn.Module, MethodContext]:
    torch.manual_seed(0)
    teacher = randomize_(spec.build()).eval()
    cost = CostModel(teacher, 32)
    context = MethodContext(parse_budget(budget, cost()), cost, 1, lambda: [images(0)], run_dir=run_dir)
    inputs = images(1, 4)
    with torch.no_grad():
        teacher_images = teacher(inputs)
    context.holdout = lambda count: HoldoutImages(inputs, teacher_images)
    return teacher, context


@pytest.mark.parametrize("spec", SORTED.values(), ids=SORTED)
def test_sorting_is_a_permutation_that_changes_no_image(spec: Spec) -> None:
    model, x = randomized(spec), example_input(spec)
    cost = CostModel(model, size(spec))
    context = MethodContext(parse_budget("1.01x", cost()), cost, 1, lambda: [x])
    ordered = sorted_by(model, "contribution", context).eval()
    with torch.no_grad():
        assert (ordered.double()(x.double()) - model.double()(x.double())).abs().max() < 1e-6
    for scores in contribution(ordered.float(), [x]).values():
        assert (scores.diff() <= 1e-6 * scores.abs().max()).all()
    assert ordered is not model


@pytest.mark.parametrize("name", ["batch", "unet"])
def test_the_student_is_the_shared_weights_at_the_best_widths_within_the_budget(name: str, tmp_path: Path) -> None:
    teacher, context = make_teacher(SPECS[name], "4x", tmp_path)
    options = {"candidates": 8, "strategy_options": {"population": 4}}
    method = make_method("gan-compression", options)
    method.check(teacher, context, features=False)
    model = method.prepare(teacher, context)
    learner = method.learner(model, context, 2)
    task = Pix2PixTask(
        model, None, teacher=teacher, objective="features", layers=tuple(SPECS[name].taps), example={"input": images(3, 1)}
    )
    fit = Trainer(task, TrainingConfig(steps=2), CPU, learners={"G": learner})
    for step in range(2):
        fit.advance({"input": images(step), "target": images(9 + step)})
    task.close()
    selection = method.select(model, context)
    student = shrink(method.network(model), selection).eval()
    assert context.budget.allows(CostModel(student, 32)())
    model.resize_({group: len(kept) for group, kept in selection.items()})
    with torch.no_grad():
        assert (model.eval()(images(5)) - student(images(5))).abs().max() < 1e-5
    lines = [json.loads(line) for line in (tmp_path / "candidates.jsonl").read_text().splitlines()]
    assert len(lines) == 8
    assert all(line["cost"]["macs"] <= context.budget.limit for line in lines)
    best = min((line for line in lines if line["images"] == 4), key=lambda line: line["scores"][0])
    assert {group: len(kept) for group, kept in selection.items()} == best["widths"]
    noise = json.loads((tmp_path / "search.json").read_text())
    assert noise["rivals"][0]["configuration"] == best["configuration"]
    assert noise["images"] == 4
    again = method.select(model, context)  # with the stored scores
    assert all(torch.equal(again[group], selection[group]) for group in selection)


def test_widths_follow_from_the_seed_and_the_step_alone() -> None:
    teacher, context = make_teacher(SPECS["resnet"], "4x")
    method = make_method("gan-compression", {})
    model = method.prepare(teacher, context)
    one, two = (method.learner(model, context, 9) for _ in range(2))
    assert isinstance(one, WidthLearner)
    assert isinstance(two, WidthLearner)
    two.configuration(7)
    drawn = [one.configuration(step) for step in range(20)]
    assert drawn == [two.configuration(step) for step in range(20)]
    assert len(set(drawn)) > 15
    sandwich = make_method("gan-compression", {"sampling": "sandwich"}).learner(model, context, 9)
    assert isinstance(sandwich, WidthLearner)
    drawn = [sandwich.configuration(step) for step in range(8)]
    assert drawn[0] == drawn[4] == one.space.largest
    assert drawn[2] == drawn[6] == one.space.smallest
    assert one.optimizer() is None


@pytest.mark.parametrize("name", ["batch", "unet-dropout"])
def test_evaluating_both_ends_changes_no_bit_of_training(name: str) -> None:
    """Weights, running statistics, moments of the optimizer, random state; with dropout and with batch norm."""
    spec = SPECS["batch"] if name == "batch" else unet(8, 4, dropout=0.5)
    states, logs = [], []
    for every in (0, 2):
        teacher, context = make_teacher(spec, "4x")
        method = make_method("gan-compression", {"evaluate_every": every})
        model = method.prepare(teacher, context)
        torch.manual_seed(7)
        learner = method.learner(model, context, 5)
        assert isinstance(learner, WidthLearner)
        task = Pix2PixTask(
            model, None, teacher=teacher, objective="features", layers=tuple(spec.taps), example={"input": images(3, 1)}
        )
        fit = Trainer(task, TrainingConfig(steps=5), CPU, learners={"G": learner})
        for step in range(5):
            fit.advance({"input": images(step), "target": images(9 + step)})
            logs.append(learner.log_dict())
        states.append(fit.tensors())
        task.close()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    assert [bool(log) for log in logs] == [*[False] * 5, False, True, False, True, True]
    fitness = make_fitness(model, context.holdout(4), "teacher", CPU)
    ends = {"largest": learner.space.largest, "smallest": learner.space.smallest}
    assert logs[-1] == {end: score_all_images(fitness, learner.space.widths(values)) for end, values in ends.items()}


def test_processes_draw_the_same_widths_or_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """With batch norms all must draw the same: their statistics are those of the whole batch."""
    model = Elastic(resnet(8, blocks=1).build())
    space = make_space("parts", model.model)
    drawn: dict[str, list[tuple[int, ...]]] = {"same": [], "own": []}
    for ranks, configurations in drawn.items():
        for rank in range(3):
            monkeypatch.setattr(gan_compression, "processes", lambda rank=rank: Processes(rank=rank, count=3))
            learner = WidthLearner(model, space, "uniform", 0, None, None, ranks=ranks)
            configurations += [learner.configuration(step) for step in range(4)]
    assert drawn["same"][:4] == drawn["same"][4:8] == drawn["same"][8:] == drawn["own"][:4]
    assert len(set(drawn["own"])) == 12
    batched = resnet(8, blocks=1, norm="batch").build()
    cost = CostModel(batched, 32)
    with pytest.raises(ValueError, match=r"ranks=own: batch norms of different widths have no statistics in common"):
        make_method("gan-compression", {"ranks": "own"}).check(
            batched, MethodContext(parse_budget("4x", cost()), cost, 1, list), features=False
        )


def test_only_the_main_process_evaluates(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, context = make_teacher(SPECS["resnet"], "4x")
    context.holdout = None  # may not be called
    monkeypatch.setattr(gan_compression, "processes", lambda: Processes(rank=1))
    learner = make_method("gan-compression", {"evaluate_every": 1}).learner(Elastic(shrink(teacher, {})), context, 5)
    assert learner is not None
    learner.on_step_start(0)
    assert learner.log_dict() == {}


def test_a_resumed_training_evaluates_at_the_same_steps() -> None:
    """Lines of the log every 3 steps and at checkpoints every 10; an evaluation every 4."""

    def evaluated(first: int) -> list[int]:
        schedule, steps = EvaluationSchedule(4, 32), []
        for step in range(first, 32):
            schedule.begin(step)
            done = step + 1
            if (done % 3 == 0 or done % 10 == 0 or done == 32) and schedule.due():
                steps.append(done)
        return steps

    assert evaluated(0) == [6, 9, 12, 18, 20, 24, 30, 32]
    assert evaluated(10) == [12, 18, 20, 24, 30, 32]
    assert evaluated(20) == [24, 30, 32]


def test_adaptors_are_used_by_their_leading_channels() -> None:
    teacher, context = make_teacher(SPECS["resnet"], "4x")
    model = make_method("gan-compression", {"importance": "none"}).prepare(teacher, context)
    task = Pix2PixTask(model, None, teacher=teacher, objective="features", layers=("down2",), example={"input": images(3, 1)})
    model.resize_({"trunk": 5})
    batch = {"input": images(0), "target": images(1)}
    task.losses("G", batch, task.forward(batch))["features"].backward()
    (adaptor,) = task.networks["objective"]["features"].adaptors
    assert adaptor.in_channels == 32
    assert adaptor.weight.grad[:, :5].abs().sum() > 0
    assert not adaptor.weight.grad[:, 5:].any()
    task.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "channels-23"}, r"no search space named 'channels-23'. Did you mean 'channels-32'"),
        ({"space": "trnk=4,8"}, r"no group named 'trnk'. Did you mean 'trunk'"),
        ({"strategy": "evolutoin"}, r"no search strategy named 'evolutoin'. Did you mean 'evolution'"),
        ({"strategy_options": {"popualtion": 4}}, r"no field named 'popualtion'. Did you mean 'population'"),
        ({"fitness": "kernel"}, r"fitness=kernel is measured on features: give an ONNX file with --features"),
        ({"space": "stem=8 trunk=32"}, r"is below the floor"),
        ({"evaluate_every": -1}, r"evaluate_every=-1: steps between two evaluations"),
        ({"against": ["latency"]}, r"against=latency has no effect on strategy=evolution.*: take strategy=nsga2"),
        ({"strategy": "nsga2", "against": ["macs", "macs"]}, r"against=macs,macs: name macs, latency or both, each once"),
        ({"strategy": "nsga2", "against": []}, r"against=: name macs, latency or both"),
        ({"strategy": "nsga2", "against": ["latency"]}, r"against=latency: there is nothing to measure it with"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_before_any_work(options: dict[str, object], message: str) -> None:
    teacher, context = make_teacher(SPECS["resnet"], "4x")
    with pytest.raises(ValueError, match=message):
        make_method("gan-compression", options).check(teacher, context, features=False)


@pytest.mark.parametrize("against", [["macs"], ["latency", "macs"]], ids=",".join)
def test_quality_against_costs_by_nsga2(against: list[str], tmp_path: Path) -> None:
    """Every candidate is extracted and measured once, also if it is scored on more images later."""
    teacher, context = make_teacher(SPECS["unet"], "4x", tmp_path)
    measured: list[int] = []

    def measure(network: nn.Module) -> float:
        measured.append(CostModel(network, 32)().params)
        return 0.5 * measured[-1]

    context.measure = measure
    options = {"strategy": "nsga2", "strategy_options": {"population": 4}, "candidates": 8, "against": against}
    method = make_method("gan-compression", options)
    method.check(teacher, context, features=False)
    model = method.prepare(teacher, context)
    student = shrink(method.network(model), method.select(model, context))
    assert context.budget.allows(CostModel(student, 32)())
    lines = [json.loads(line) for line in (tmp_path / "candidates.jsonl").read_text().splitlines()]
    for line in lines:
        known = {"macs": line["cost"]["macs"], "latency": 0.5 * line["cost"]["params"]}
        assert line["scores"][1:] == [known[name] for name in against]
    assert sorted(measured) == (sorted(line["cost"]["params"] for line in lines) if "latency" in against else [])
