"""MUNIT's recipes: the published network in their space and budget, published settings."""

import re
from pathlib import Path

import numpy as np
from toys import cost_of

from pocketgan.core.config import from_json
from pocketgan.core.spec import MODELS
from pocketgan.methods import make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_munit, munit
from pocketgan.pruning.budget import parse_budget
from pocketgan.recipes import RECIPES
from pocketgan.recipes import munit as recipes
from pocketgan.search.published import make_space, parse_configuration
from pocketgan.search.space import BudgetedSpace, parse_widths
from pocketgan.search.strategies import STRATEGIES, Evolution
from pocketgan.training.schedule import lr_factor

HEADER = recipes.__doc__
TEACHER, STUDENT = "edges2shoes-munit-teacher", "gan-compression-edges2shoes-munit-fast"


def test_the_published_network_lies_in_the_recipes_space_and_budget() -> None:
    ((text, macs, params),) = re.findall(rf"^\| {STUDENT} \| fast \| ([\d_]+) \| ([\d.]+) \| ([\d.]+) \|", HEADER, re.MULTILINE)
    config, supernet = RECIPES[STUDENT](), mobile_munit()
    method = make_method(config.method, config.method_options)
    dense = cost_of(munit(), config.data.shape)()
    network = supernet.build(device="meta")
    cost = CostModel(network, config.data.shape)
    allowed = BudgetedSpace(make_space(method.space, network), cost, parse_budget(config.budget, dense), method.use)
    configuration = parse_widths(text)
    assert allowed.allows(np.array([configuration])).all()
    widths = allowed.space.widths(configuration)
    assert widths == parse_configuration(text, supernet)
    assert (f"{cost(widths).macs_paper / 1e9:.2f}", f"{cost(widths).params / 1e6:.2f}") == (macs, params)


def test_the_counts_of_the_header() -> None:
    lines = {
        "MUNIT, ngf 64": munit(),
        "the same without its style encoder": munit(style_encoder=False),
        "mobile MUNIT, ngf 64": mobile_munit(),
    }
    for name, spec in lines.items():
        cost = cost_of(spec, (256, 256))()
        figures = f"{cost.params / 1e6:.3f} | {cost.macs / 1e9:.2f} | {cost.macs_paper / 1e9:.2f}"
        assert f"| {name} | {figures} |" in HEADER


def test_the_settings_are_the_published_ones() -> None:
    teacher, config = RECIPES[TEACHER](), RECIPES[STUDENT]()
    assert (config.data, config.task) == (teacher.data, teacher.task)
    assert (config.data.size, config.data.load_size, config.data.flip) == (256, None, True)
    assert MODELS[teacher.arch](**teacher.arch_options) == munit()
    assert Path(config.teacher) == Path("runs") / TEACHER.removesuffix("-teacher") / "generator_A.safetensors"
    assert (teacher.gan, config.gan) == (None, None)  # lsgan is the task's own
    for training, steps, every in ((teacher.training, 1_000_000, 100_000), (config.search, 2_000_000, 200_000)):
        assert (training.steps, training.epochs, training.batch) == (steps, None, 1)
        assert (training.lr, training.betas, training.weight_decay) == (1e-4, (0.5, 0.999), 1e-4)
        assert [lr_factor(step, training) for step in (0, every - 1, every, 3 * every)] == [1, 1, 0.5, 0.125]
    assert (config.recovery.steps, config.recovery.epochs) == (0, None)  # no fine-tuning
    assert (teacher.training.weights, config.search.weights) == ({}, {"l1": 10.0, "features": 1.0})
    assert teacher.discriminator_options == config.discriminator_options == {"ndf": 64}
    assert (config.start, config.pipeline, config.objective) == ("mobile", "fast", "features")
    method = make_method(config.method, config.method_options)
    plan = from_json(STRATEGIES[method.strategy], method.strategy_options)
    assert plan == Evolution(weight=2.0, weighting="geometric")
    assert (config.budget, method.space, method.importance, method.sampling) == ("2.7Gpaper", "channels-64", "none", "uniform")
    assert (method.use, method.halving, method.candidates) == (0, False, 10 * plan.population)
