"""GAN Compression's recipes: published networks in their spaces and budgets, published schedules, a run at true widths."""

import json
import re
import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from toys import cost_of, teacher_of, toy

from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.config import from_json, to_json
from pocketgan.core.dims import widths_of
from pocketgan.core.spec import MODELS
from pocketgan.methods import make_method
from pocketgan.methods.gan_compression import GanCompression
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, patchgan, resnet
from pocketgan.models.resnet import ResnetSpec
from pocketgan.pipeline.compress import run_stages
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pruning.budget import parse_budget
from pocketgan.recipes import RECIPES, gan_compression
from pocketgan.search.published import make_space, parse_configuration
from pocketgan.search.space import BudgetedSpace, parse_widths
from pocketgan.search.strategies import STRATEGIES, BruteForce, Evolution
from pocketgan.training.config import TrainingConfig
from pocketgan.training.schedule import lr_factor

HEADER = gan_compression.__doc__
TASKS = ("horse2zebra", "edges2shoes", "cityscapes", "maps")
NAMES = [f"gan-compression-{task}{way}" for task in TASKS for way in ("", "-fast")]

PUBLISHED = {
    # configuration: paper MACs and parameters to the last digit, counted on the released code; None: rounded only
    "16_16_32_16_32_32_16_16": (2_546_204_672, 356_867),
    "24_24_24_32_20_16": (2_670_067_712, 341_627),
    "16_16_24_16_32_64_16_24": (2_640_576_512, 355_235),
    "32_32_48_32_48_48_16_16": (4_993_843_200, 822_051),
    "32_32_40_48_16_32": (None, None),
    "24_24_40_56_24_56_16_40": (4_863_164_416, 702_835),
    "32_32_48_32_32_48_24_24": (5_591_531_520, 780_819),
    "48_32_40_40_24_32": (None, None),
    "32_32_48_32_64_40_16_32": (5_606_342_656, 866_947),
    "16_24_48_56_40_48_24_16": (5_451_284_480, 886_307),
    "32_32_48_32_48_32_16_16": (4_683_202_560, 746_211),
    "32_32_48_40_32_32_16_16": (4_527_882_240, 708_291),
    "16_16_40_40_40_64_24_16": (4_569_694_208, 719_507),
}
ROWS = re.findall(r"^\| (gan-compression-[\w-]+) \| ([^|]+) \| ([\d_]+) \| ([\d.]+) \| ([\d.]+) \|", HEADER, re.MULTILINE)

# The table of the shipped scripts: epochs at the full rate and of its decay of each training, batch, weights of L1 and
# features, ngf of mobile teacher and supernet, whether there is a fine-tuning (full, fast), images in the part "train2".
SCRIPTS = {
    "horse2zebra": ((100, 100), (200, 200), 1, 10.0, 0.01, (64, 32), (False, False), 120),
    "edges2shoes": ((5, 15), (10, 30), 4, 100.0, 1.0, (64, 48), (True, True), 2048),
    "cityscapes": ((100, 150), (200, 300), 1, 100.0, 1.0, (96, 48), (True, False), 200),
    "maps": ((100, 200), (200, 400), 1, 10.0, 0.01, (96, 48), (True, True), 300),
}


def supernet_of(config: CompressConfig) -> ResnetSpec:
    """Spec of the supernet: the teacher's mobile form, or a part of a mobile teacher."""
    ngf = config.full.ngf or teacher_of(config).arch_options["ngf"]
    return mobile_resnet(int(ngf * (config.full.width if config.pipeline == "full" else 1)))


@cache
def space_of(name: str) -> BudgetedSpace:
    """Search space and budget of a recipe at the full size."""
    config = RECIPES[name]()
    generator = supernet_of(config).build(device="meta")
    cost = CostModel(generator, config.data.size)
    dense = cost_of(MODELS["resnet"](ngf=64, blocks=9), config.data.shape)
    space, method = make_space(config.method_options["space"], generator), make_method(config.method, config.method_options)
    return BudgetedSpace(space, cost, parse_budget(config.budget, dense()), method.use)


def test_every_row_of_the_header_is_known_and_every_recipe_has_one() -> None:
    assert {recipe for recipe, *_ in ROWS} == set(NAMES) <= set(RECIPES)
    assert [configuration for _, _, configuration, *_ in ROWS] == list(PUBLISHED)


@pytest.mark.parametrize(("name", "row", "text", "macs", "params"), ROWS)
def test_a_published_network_lies_in_the_recipes_space_and_budget(
    name: str, row: str, text: str, macs: str, params: str
) -> None:
    allowed = space_of(name)
    widths = parse_configuration(text, supernet_of(RECIPES[name]()), legacy="b" in row)
    cost = allowed.cost(widths)
    exact = PUBLISHED[text]
    assert exact in ((cost.macs_paper, cost.params), (None, None))
    assert f"{cost.params / 1e6:.3f}" == params
    assert f"{cost.macs_paper / 1e9:.2f}" == ("4.86" if "(c)" in row else macs)
    if row.startswith("paper"):
        return  # older code: six widths, not of this space
    configuration = parse_widths(text)
    assert allowed.space.widths(configuration) == widths
    assert allowed.allows(np.array([configuration])).all()


def test_the_default_use_would_leave_a_published_network_out() -> None:
    allowed, fast = space_of("gan-compression-horse2zebra-fast"), np.array([[16, 16, 24, 16, 32, 64, 16, 24]])
    assert allowed.allows(fast).all()
    assert not replace(allowed, use=GanCompression().use).allows(fast).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_space_is_the_published_one(name: str) -> None:
    fast = name.endswith("-fast")
    sizes = {"horse2zebra": (6_561, 390_625)}
    assert space_of(name).space.size == sizes.get(name.split("-")[2], (5_184, 5_764_801))[fast]


def test_brute_force_is_everything_within_the_budget() -> None:
    (counts,) = re.findall(r"everything within the budget: ([^.]+)\.", HEADER)
    assert list(map(int, re.findall(r"\d{3,}", counts))) == [len(space_of(name).indices) for name in NAMES[::2]]
    for name in NAMES[::2]:
        assert RECIPES[name]().method_options["candidates"] >= len(space_of(name).indices)


@pytest.mark.parametrize("name", NAMES)
def test_the_search_is_the_published_one(name: str) -> None:
    config, task = RECIPES[name](), name.split("-")[2]
    method = make_method(config.method, config.method_options)
    plan = from_json(STRATEGIES[method.strategy], method.strategy_options)
    assert (method.fitness, method.sampling, method.images) == ("teacher", "uniform", SCRIPTS[task][-1])
    assert (method.use, method.halving) == (0, False)  # anything within the budget, all on all images
    assert method.evaluate_every == (25_000 if task == "cityscapes" else 20_000)
    if config.pipeline == "full":
        assert (plan, method.importance) == (BruteForce(), "l1")
        return
    mutation, weight = (0.4, 2.0) if task == "horse2zebra" else (0.3, 1.0)
    assert plan == Evolution(
        population=100, parents=0.25, mutants=0.5, mutation=mutation, weight=weight, weighting="arithmetic"
    )
    assert (method.importance, method.candidates) == ("none", 10 * plan.population)
    budgets = {"horse2zebra": 3.0, "edges2shoes": 4.9, "cityscapes": 5.7, "maps": 4.6}
    assert config.budget == f"{budgets[task]}Gpaper"


def published_factor(epoch: int, constant: int, decaying: int) -> float:
    """Factor of the learning rate in an epoch, counted from 1, by the ``linear`` policy of the released code."""
    return 1 - max(0, epoch - constant) / (decaying + 1)


def check_decay(training: TrainingConfig, constant: int, decaying: int) -> None:
    """The length is the published one; in every epoch the published rate is between ours at its start and at its end."""
    epochs = constant + decaying
    assert (training.epochs, training.decay, training.lr, training.betas) == (epochs, "linear", 2e-4, (0.5, 0.999))
    one_step_an_epoch = replace(training, epochs=None, steps=epochs)
    ours = [lr_factor(step, one_step_an_epoch) for step in range(epochs)] + [0.0]
    assert ours[: constant + 1] == [1.0] * (constant + 1)
    for epoch in range(1, epochs + 1):
        assert ours[epoch] - 1e-12 <= published_factor(epoch, constant, decaying) <= ours[epoch - 1] + 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_the_schedules_are_the_published_ones(name: str) -> None:
    config, task, fast = RECIPES[name](), name.split("-")[2], name.endswith("-fast")
    once, twice, batch, l1, features, ngfs, tuned, _ = SCRIPTS[task]
    trainings, weights = [(config.search, twice)], {"l1": l1, "features": features}
    if tuned[fast]:
        trainings.append((config.recovery, once))
    else:
        assert (config.recovery.steps, config.recovery.epochs) == (0, None)
    if not fast:
        trainings.append((config.full.distill, once))
        assert supernet_of(config) == mobile_resnet(ngfs[1])
        assert (config.full.ngf or 64) == ngfs[0]
    for training, (constant, decaying) in trainings:
        check_decay(training, constant, decaying)
        assert (training.weights, training.batch) == (weights, batch)
    assert (config.objective, config.search_objective, config.layers, config.weights) == ("features", None, (), "inherit")
    assert (config.pipeline, config.start) == (("fast", "mobile") if fast else ("full", "teacher"))


@pytest.mark.parametrize("name", NAMES)
def test_teachers_have_the_published_settings(name: str) -> None:
    config, teacher = RECIPES[name](), teacher_of(RECIPES[name]())
    once, _, batch, l1, *_ = SCRIPTS[name.split("-")[2]]
    paired = config.task == "paired"
    assert teacher.arch == "resnet"
    assert (config.data.load_size, config.data.size, config.data.flip) == (286, 256, True)
    assert config.gan == ("hinge" if paired else "lsgan")
    assert teacher.gan in (config.gan, None)
    new = {"ndf": 128 if paired else 64}
    assert {"ndf": 64} | teacher.discriminator_options == new
    trainings = [teacher.training]
    if config.pipeline == "full":
        assert (config.full.discriminator_options, config.discriminator_options) == (
            new,
            None,
        )  # the teacher's is trained further
        trainings.append(config.full.teacher)
    else:
        assert config.discriminator_options == new  # new
    for training in trainings:
        check_decay(training, *once)
        assert training.batch == batch
        assert training.weights in ([{"l1": l1}, {}] if l1 == 100 else [{"l1": l1}] if paired else [{}])


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a dense ResNet of the published size and a narrow discriminator."""
    folder = tmp_path_factory.mktemp("dense")
    save_artifact(folder / "generator.safetensors", resnet(64).build(), size=256)
    save_artifact(folder / "discriminator.safetensors", patchgan(8, in_channels=6).build(), size=256)
    return folder


SIDE = 32
"""Image size; all MACs are exactly (256 / 32)^2 times fewer than at 256."""


def test_the_full_pipeline_runs_at_its_true_widths(dense: Path, tmp_path: Path) -> None:
    """All stages up to the student, which is a network of the published space within the budget."""
    name = "gan-compression-edges2shoes"
    config, out = RECIPES[name](), tmp_path / "run"
    limit = int(float(config.budget.removesuffix("Gpaper")) * 1e9 * (SIDE / 256) ** 2)
    small = toy(
        replace(config, teacher=str(dense / "generator.safetensors")),
        *(f"budget={limit}paper", f"data.size={SIDE}", "method_options.images=1", "method_options.candidates=3"),
        'full.discriminator_options={"ndf":4}',
    )
    run_stages(small, out, last="recover")
    assert (out / "mobile/result.json").exists()
    widths = widths_of(load_artifact(out / "student.safetensors").model)
    for gene in space_of(name).space.genes:
        (value,) = {widths[group] / factor for group, factor in gene.factors.items()}
        assert value in gene.choices
    assert space_of(name).cost(widths).macs_paper <= float(config.budget.removesuffix("Gpaper")) * 1e9


def test_the_headers_command_is_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = re.findall(r"^pocketgan (compress .*)$", HEADER, re.MULTILINE)
    recipe = to_json(RECIPES["gan-compression-horse2zebra"]())
    monkeypatch.chdir(tmp_path)
    file = Path(recipe["teacher"])
    file.parent.mkdir(parents=True)
    save_artifact(file, resnet(8, blocks=3).build(), size=256)
    assert main([*shlex.split(line), "--dry-run"]) == 0
    printed = json.loads(capsys.readouterr().out)
    for config in (printed, recipe):
        for training in (config["search"], config["recovery"], config["full"]["teacher"], config["full"]["distill"]):
            training.pop("checkpoint_every")
    assert printed == recipe
