"""CAT's recipes: budgets of the header, settings of the released scripts, pruning at the true size."""

import re

import pytest
import torch
from toys import teacher_of

from pocketgan.core.spec import MODELS
from pocketgan.methods import MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.budget import parse_budget
from pocketgan.recipes import RECIPES, cat

HEADER = cat.__doc__
ROWS = dict(re.findall(r"^\| (cat-[\w-]+) \| ([\d.]+) \|", HEADER, re.MULTILINE))

# The released scripts: epochs at the full rate and of its decay, weight of the alignment, of L1 (teacher, student), norm.
SCRIPTS = {
    "cat-horse2zebra": ((500, 500), 1.0, (None, 5.0), "instance_affine"),
    "cat-zebra2horse": ((500, 500), 0.1, (None, 5.0), "batch"),
    "cat-maps": ((500, 1000), 1.3, (10.0, 100.0), "batch"),
    "cat-cityscapes": ((500, 750), 0.5, (100.0, 100.0), "batch"),
}
GAUGAN = ["cat-gaugan-cityscapes", "cat-gaugan-cityscapes-small"]


def test_the_recipes_are_the_rows_of_the_header() -> None:
    assert {name: RECIPES[name]().budget.removesuffix("Gpaper") for name in (*SCRIPTS, *GAUGAN)} == ROWS


def test_every_published_figure_has_a_mark_of_its_source() -> None:
    table = [line for line in HEADER.splitlines() if line.startswith("| cat-")]
    for line in table:
        for cell in line.strip("|").split("|")[2:]:
            assert re.search(r"\((a|b|a; [\d.]+ b)\)", cell), line
    assert "(b) As remembered, not verified" in " ".join(HEADER.split())


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_settings_are_the_published_ones(name: str) -> None:
    config, (epochs, alignment, l1, norm) = RECIPES[name](), SCRIPTS[name]
    teacher = teacher_of(config)
    for training, batch in ((teacher.training, 32), (config.recovery, 80)):
        assert (training.epochs, training.batch, training.lr, training.betas) == (sum(epochs), batch, 2e-4, (0.5, 0.999))
        assert training.decay_start * training.epochs == pytest.approx(epochs[0])
    assert teacher.training.weights == ({} if l1[0] is None else {"l1": l1[0]})
    assert config.recovery.weights == {"l1": l1[1], "kernel-alignment": pytest.approx(4 * alignment)}
    assert (config.method, config.method_options, config.objective, config.weights) == ("cat", {}, "kernel-alignment", "fresh")
    assert (teacher.arch, teacher.arch_options) == ("inception", {"ngf": 64, "norm": norm})
    paired = name in ("cat-maps", "cat-cityscapes")
    assert teacher.discriminator_options == {"ndf": 128 if paired else 64, "norm": norm}
    assert config.discriminator_options is None  # the teacher's goes on
    assert config.gan == teacher.gan == ("hinge" if paired else "lsgan")
    assert config.data.direction == ("AtoB" if name == "cat-horse2zebra" else "BtoA")


@pytest.mark.parametrize("name", GAUGAN)
def test_gaugans_settings_are_the_published_ones(name: str) -> None:
    config = RECIPES[name]()
    teacher = teacher_of(config)
    for training in (teacher.training, config.recovery):
        assert (training.epochs, training.batch, training.decay_start) == (200, 16, 0.5)
        assert (training.lr, training.lr_discriminator, training.betas) == (1e-4, 4e-4, (0.0, 0.9))
    assert config.recovery.weights == {"kernel-alignment": 0.5}
    assert (teacher.arch, teacher.data, teacher.task) == ("inception-spade", config.data, config.task)
    assert config.data.shape == (256, 512)


@pytest.mark.parametrize("name", ["cat-horse2zebra", GAUGAN[1]])
def test_a_fresh_teacher_is_pruned_to_the_budget(name: str) -> None:
    """Pruning at the true size; SPADE keeps the proportions of its widths and the minimum width of the scripts."""
    config = RECIPES[name]()
    teacher = teacher_of(config)
    model = MODELS[teacher.arch](**teacher.arch_options).build()
    cost = CostModel(model, config.data.shape)
    budget = parse_budget(config.budget, cost())
    context = MethodContext(budget, cost, config.multiple, images=lambda: [torch.zeros(1, model.in_channels, 64, 64)])
    method = make_method(config.method, config.method_options)
    method.check(model, context, features=False)
    assert not method.needs_search(model)  # every group has a scale or is tied to one that has
    widths = {group: len(kept) for group, kept in method.select(method.prepare(model, context), context).items()}
    assert 0.97 * budget.limit <= cost(widths).macs_paper <= budget.limit
    if name in GAUGAN:
        assert widths["trunk"] >= 256
        assert [widths["trunk"] // widths[f"up{k}"] for k in range(4)] == [2, 4, 8, 16]
    else:
        assert min(widths[group] for group in ("stem", "down1", "trunk", "up1", "up2")) >= 16
