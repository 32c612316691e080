"""GauGAN's recipes: published networks in their spaces and budgets, published schedules."""

import re
from functools import cache

import numpy as np
import pytest
from toys import cost_of, spec_of_teacher, teacher_of

from pocketgan.core.config import from_json
from pocketgan.core.spec import Spec
from pocketgan.methods import make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_spade
from pocketgan.models.layers import plain
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pruning.budget import parse_budget
from pocketgan.recipes import RECIPES, gaugan
from pocketgan.search.published import make_space, parse_configuration
from pocketgan.search.space import BudgetedSpace, parse_widths
from pocketgan.search.strategies import STRATEGIES, BruteForce, Evolution
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


def supernet_of(config: CompressConfig) -> Spec:
    """Spec of the supernet: the teacher's mobile form, or a part of a mobile teacher."""
    spec, width = spec_of_teacher(teacher_of(config)), config.full.width if config.pipeline == "full" else 1
    return plain(mobile_spade(int(64 * width), spec.in_channels, upsamplings=spec.upsamplings))


@cache
def space_of(name: str) -> BudgetedSpace:
    """Search space and budget of a recipe."""
    config = RECIPES[name]()
    supernet = supernet_of(config).build(device="meta")
    limit = parse_budget(config.budget, cost_of(spec_of_teacher(teacher_of(config)), config.data.shape)())
    method = make_method(config.method, config.method_options)
    return BudgetedSpace(make_space(method.space, supernet), CostModel(supernet, config.data.shape), limit, method.use)


def test_every_recipe_has_a_row() -> None:
    assert {name for name, *_ in ROWS} == set(NAMES)
    assert len(ROWS) == 4


@pytest.mark.parametrize(("name", "row", "text", "macs", "params"), ROWS)
def test_a_published_network_lies_in_the_recipes_space_and_budget(
    name: str, row: str, text: str, macs: str, params: str
) -> None:
    allowed = space_of(name)
    configuration = parse_widths(text)
    assert allowed.allows(np.array([configuration])).all()
    widths = allowed.space.widths(configuration)
    assert widths == parse_configuration(text, supernet_of(RECIPES[name]()))
    cost = allowed.cost(widths)
    assert (f"{cost.macs_paper / 1e9:.1f}", f"{cost.params / 1e6:.1f}") == (macs, params)


def test_the_figures_of_the_header_are_these() -> None:
    streets, things = (spec_of_teacher(teacher_of(RECIPES[name]())) for name in NAMES[1:])
    lines = [
        ("SPADE, ngf 64", "Cityscapes, 512 x 256", streets, (256, 512)),
        ("mobile SPADE, ngf 64", "Cityscapes, 512 x 256", plain(mobile_spade(64)), (256, 512)),
        ("mobile SPADE, ngf 48", "Cityscapes, 512 x 256", plain(mobile_spade(48)), (256, 512)),
        ("SPADE, ngf 64", "COCO-Stuff, 256 x 256", things, (256, 256)),
    ]
    for network, data, spec, shape in lines:
        cost = cost_of(spec, shape)()
        figures = f"{cost.params / 1e6:.2f} | {cost.macs / 1e9:.2f} | {cost.macs_paper / 1e9:.2f}"
        assert f"| {network} | {data} | {figures} |" in HEADER
    (count,) = re.findall(r"32 G, too: (\d+) networks", HEADER)
    assert int(count) == len(space_of(NAMES[0]).indices)


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
        assert len(space_of(name).indices) <= method.candidates
        assert (config.full.width, config.full.importance, config.full.ngf) == (0.75, "l1", None)
    else:
        assert plan == (Evolution() if "coco" in name else Evolution(weight=3.0, weighting="geometric"))
        assert (config.start, method.importance, config.discriminator_options) == ("mobile", "none", {"ndf": 64})
    assert (config.objective, config.weights) == ("features", "inherit")
    assert config.data.shape == ((256, 256) if "coco" in name else (256, 512))
    assert config.data.flip
    trainings = [(config.recovery, once, True), (config.search, supernet, True), (teacher_of(config).training, once, False)]
    if full:
        trainings += [(config.full.teacher, once, False), (config.full.distill, once, True)]
    for training, epochs, distilled in trainings:
        check_schedule(training, epochs, batch)
        assert training.weights == ({"features": 10.0} if distilled else {})


def check_schedule(training: TrainingConfig, epochs: tuple[int, int], batch: int) -> None:
    """GauGAN's two time scales; the rates are constant for ``epochs[0]`` epochs."""
    assert (training.lr, training.lr_discriminator, training.betas, training.decay, training.batch) == (
        1e-4,
        4e-4,
        (0.0, 0.9),
        "linear",
        batch,
    )
    assert training.epochs == sum(epochs)
    assert training.decay_start * training.epochs == pytest.approx(epochs[0])
