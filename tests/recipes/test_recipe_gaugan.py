"""GauGAN's recipes: published networks in their spaces and budgets, schedules as published, runs at toy size."""

import re
from pathlib import Path

import numpy as np
import pytest
from toys import save_generator, toy

from pocketgan.core.artifact import load_artifact
from pocketgan.core.config import from_json
from pocketgan.core.spec import MODELS, Spec, spec_of
from pocketgan.methods import make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_spade
from pocketgan.models.spectral import plain
from pocketgan.pipeline.compress import run_stages
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pruning.budget import parse_budget
from pocketgan.recipes import RECIPES, gaugan
from pocketgan.search.evolution import Evolution
from pocketgan.search.published import make_space, parse_configuration
from pocketgan.search.space import BudgetedSpace
from pocketgan.search.strategies import STRATEGIES, BruteForce
from pocketgan.training.config import TrainingConfig

HEADER = gaugan.__doc__
NAMES = [f"gan-compression-gaugan-{name}" for name in ("cityscapes", "cityscapes-fast", "coco-fast")]
ROWS = re.findall(r"^\| (gan-compression-[\w-]+) \| (\w+) \| ([\d_]+) \| ([\d.]+) \| ([\d.]+) \|", HEADER, re.MULTILINE)

# The shipped scripts: epochs at the full rate and of its decay of teacher and supernet, batch, images, space, budget.
SCRIPTS = {
    NAMES[0]: ((100, 100), (100, 100), 16, 200, "channels-48", "32"),
    NAMES[1]: ((100, 100), (200, 200), 16, 200, "channels-64", "32"),
    NAMES[2]: ((100, 0), (100, 0), 32, 500, "channels-64-coco", "36"),
}


def teacher_of(config: CompressConfig) -> TrainConfig:
    """The recipe that makes the teacher of this one, by the place of its file."""
    runs, name, file = Path(config.teacher).parts
    assert (runs, file) == ("runs", "generator.safetensors")
    return RECIPES[f"{name}-teacher"]()


def dense(config: CompressConfig) -> Spec:
    """The teacher's network for the channels of its data."""
    channels = {"cityscapes": 36, "coco-stuff": 184}[config.data.classes]
    teacher = teacher_of(config)
    return plain(MODELS[teacher.arch](in_channels=channels, **teacher.arch_options))


def is_cut(config: CompressConfig) -> Spec:
    """What the supernet is made of: the teacher's mobile form, or a part of a mobile teacher."""
    spec, width = dense(config), config.full.width if config.pipeline == "full" else 1
    return plain(mobile_spade(int(64 * width), spec.in_channels, upsamplings=spec.upsamplings))


def within(config: CompressConfig) -> BudgetedSpace:
    """The space of the recipe, and its budget."""
    cut = is_cut(config).build(device="meta")
    limit = parse_budget(config.budget, CostModel(dense(config).build(device="meta"), config.data.shape)())
    method = make_method(config.method, config.method_options)
    return BudgetedSpace(make_space(method.space, cut), CostModel(cut, config.data.shape), limit, method.use)


def test_every_recipe_has_a_row() -> None:
    assert {name for name, *_ in ROWS} == set(NAMES)
    assert len(ROWS) == 4


@pytest.mark.parametrize(("name", "row", "text", "macs", "params"), ROWS)
def test_a_published_network_lies_in_the_recipes_space_and_budget(
    name: str, row: str, text: str, macs: str, params: str
) -> None:
    allowed = within(RECIPES[name]())
    numbers = allowed.space.parse(text)
    assert allowed.allows(np.array([numbers])).all()
    widths = allowed.space.widths(numbers)
    assert widths == parse_configuration(text, is_cut(RECIPES[name]()))
    cost = allowed.cost(widths)
    assert (f"{cost.macs_paper / 1e9:.1f}", f"{cost.params / 1e6:.1f}") == (macs, params)


def test_the_figures_of_the_header_are_these() -> None:
    streets, things = (dense(RECIPES[name]()) for name in NAMES[1:])
    lines = [
        ("SPADE, ngf 64", "Cityscapes, 512 x 256", streets, (256, 512)),
        ("mobile SPADE, ngf 64", "Cityscapes, 512 x 256", plain(mobile_spade(64)), (256, 512)),
        ("mobile SPADE, ngf 48", "Cityscapes, 512 x 256", plain(mobile_spade(48)), (256, 512)),
        ("SPADE, ngf 64", "COCO-Stuff, 256 x 256", things, (256, 256)),
    ]
    for network, data, spec, shape in lines:
        cost = CostModel(spec.build(device="meta"), shape)()
        told = f"{cost.params / 1e6:.2f} | {cost.macs / 1e9:.2f} | {cost.macs_paper / 1e9:.2f}"
        assert f"| {network} | {data} | {told} |" in HEADER
    (told,) = re.findall(r"32 G, too: (\d+) networks", HEADER)
    assert int(told) == len(within(RECIPES[NAMES[0]]()).indices)


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_are_the_published_ones(name: str) -> None:
    config, (once, supernet, batch, images, space, budget) = RECIPES[name](), SCRIPTS[name]
    method = make_method(config.method, config.method_options)
    plan = from_json(STRATEGIES[method.strategy], method.strategy_options)
    assert (config.budget, method.space, method.images) == (f"{budget}Gpaper", space, images)
    assert (method.fitness, method.sampling, method.use, method.halving) == ("miou", "uniform", 0, False)
    assert config.evaluation.segmenter == ("deeplabv2" if "coco" in name else "drn-d-105")
    full = config.pipeline == "full"
    if full:
        assert (plan, method.importance, config.discriminator_options) == (BruteForce(), "l1", None)
        assert len(within(config).indices) <= method.candidates
        assert (config.full.width, config.full.importance, config.full.ngf) == (0.75, "l1", None)
    else:
        assert plan == (Evolution() if "coco" in name else Evolution(weight=3.0, weighting="geometric"))
        assert (config.start, method.importance, config.discriminator_options) == ("mobile", "none", {"ndf": 64})
    assert (config.objective, config.weights) == ("features", "inherit")
    trainings = [(config.recovery, once, True), (config.search, supernet, True), (teacher_of(config).training, once, False)]
    if full:
        trainings += [(config.full.teacher, once, False), (config.full.distill, once, True)]
    for fit, epochs, taught in trainings:
        check_schedule(fit, epochs, batch)
        assert fit.weights == ({"features": 10.0} if taught else {})


def check_schedule(fit: TrainingConfig, epochs: tuple[int, int], batch: int) -> None:
    """GauGAN's two time scales, constant for so many epochs."""
    assert (fit.lr, fit.lr_discriminator, fit.betas, fit.decay, fit.batch) == (1e-4, 4e-4, (0.0, 0.9), "linear", batch)
    assert fit.epochs == sum(epochs)
    assert fit.decay_start * fit.epochs == pytest.approx(epochs[0])


@pytest.mark.parametrize("name", NAMES)
def test_teacher_and_student_know_the_same_data(name: str) -> None:
    config, teacher = RECIPES[name](), teacher_of(RECIPES[name]())
    assert (config.data, config.task) == (teacher.data, teacher.task)
    assert config.data.shape == ((256, 256) if "coco" in name else (256, 512))
    assert config.data.flip


def test_a_recipe_runs_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the student; the full pipeline on label maps is run in ``tests/pipeline``."""
    monkeypatch.chdir(tmp_path)
    config = RECIPES["gan-compression-gaugan-cityscapes-fast"]()
    save_generator(Path(config.teacher), "spade")
    few = ("method_options.images=2", "method_options.candidates=2", "method_options.fitness=teacher", "budget=4x")
    toys = toy(config, *few, "method_options.space=parts", "discriminator_options.ndf=4")
    run_stages(toys, tmp_path / "run", last="recover")
    student = load_artifact(tmp_path / "run" / "student.safetensors").model
    assert spec_of(student).separable
    whole = CostModel(load_artifact(Path(config.teacher)).model, (32, 64))().macs
    assert CostModel(student, (32, 64))().macs * 4 <= whole
