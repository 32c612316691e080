"""The recipes of generators from numbers: true counts beside the published ones, settings as published, runs at toy size."""

import re
from pathlib import Path

import pytest
from torch import nn
from toys import save_networks, toy

from pocketgan.core.artifact import load_artifact
from pocketgan.core.spec import MODELS, Spec
from pocketgan.metrics.cost import CostModel
from pocketgan.models import sagan, stylegan2
from pocketgan.models.spectral import plain
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pruning.budget import check_floor, parse_budget
from pocketgan.pruning.fit_budget import floor_widths
from pocketgan.recipes import RECIPES, latents
from pocketgan.recipes.base import run_recipe
from pocketgan.tasks.unconditional import LatentConfig
from pocketgan.utils.files import read_json

HEADER = " ".join(latents.__doc__.split())
STUDENTS = ("dmad-celeba", "dmad-celeba-4x", "dmad-cats64", "dmad-cats64-4x", "dmad-cifar10")
CIFAR = stylegan2(size=32, channel_base=32768, mapping=2)


def teacher_of(config: CompressConfig) -> TrainConfig:
    """The recipe that makes the teacher of this one, by the place of its file."""
    runs, name, file = Path(config.teacher).parts
    assert (runs, file) == ("runs", "generator.safetensors")
    return RECIPES[f"{name}-teacher"]()


def test_the_recipes_are_the_rows_of_the_header() -> None:
    rows = dict(re.findall(r"^\| (dmad-[\w-]+) \| ([\d.]+x) \|", latents.__doc__, re.MULTILINE))
    assert rows == {name: RECIPES[name]().budget for name in STUDENTS}


@pytest.mark.parametrize(
    ("name", "spec"),
    [("SAGAN 64 x 64, n = 64", sagan()), ("SAGAN 64 x 64, n = 48", sagan(48)), ("StyleGAN2 32 x 32, `cifar`", CIFAR)],
)
def test_the_true_counts_of_the_header(name: str, spec: Spec) -> None:
    cost = CostModel(plain(spec).build(device="meta"), spec.output_shape)()
    (told,) = re.findall(rf"\| {re.escape(name)} \| ([\d.]+) \| ([\d.]+)(?: \(a\))? \| ([\d.]+) \|", HEADER)
    assert told == (f"{cost.params / 1e6:.3f}", f"{cost.macs / 1e6:.1f}", f"{cost.macs_paper / 1e6:.1f}")


def places(n: int) -> dict[str, tuple[int, int]]:
    """``{side: (places, channels)}`` of the maps that attention follows."""
    return {"16": (16 * 16, 2 * n), "32": (32 * 32, n)}


def test_what_attention_multiplies_is_the_rest() -> None:
    """Products of every query with every key, and of the shares with the values: an eighth of the channels, and all."""
    cost = CostModel(plain(sagan()).build(device="meta"), 64)()
    products = sum(count**2 * (channels // 8 + channels) for count, channels in places(64).values())
    norms = sum(side**2 * 64 * 32 // side for side in (4, 8, 16, 32))
    assert f"{(cost.macs - products) / 1e6:.1f}" == "115.3"
    assert f"{(cost.macs_paper - products - norms) / 1e6:.1f}" == "442.5"
    assert "(a) 115.3 of its convolutions alone (442.5 in the literature's count)" in HEADER


def blind(n: int) -> tuple[int, int]:
    """MACs and parameters by a counter that sees no layer with spectral norm, and two for every number of a batch norm."""
    model = plain(sagan(n)).build(device="meta")
    macs = params = 0
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):  # query, key, value
            count, _ = places(n)[name.partition(".")[0].removeprefix("attention")]
            macs += count * (int(layer.in_channels) + 1) * int(layer.out_channels)
        elif isinstance(layer, nn.BatchNorm2d):
            macs += 2 * int(name.partition(".")[0].removeprefix("map")) ** 2 * int(layer.num_features)
        elif name == "head":
            macs += 64 * 64 * (int(layer.in_channels) * 4 * 4 + 1) * int(layer.out_channels)
        else:
            continue
        params += sum(tensor.numel() for tensor in layer.parameters())
    return macs, params


def test_the_published_counts_are_those_of_a_blind_counter() -> None:
    assert blind(64) == (23_449_600, 30_835)
    assert "are 23,449,600 and 30,835." in HEADER
    macs, params = blind(48)
    assert f"{macs / 1e6:.2f} M and {params / 1e3:.1f} K" == "15.62 M and 18.3 K"
    assert "comes to under that counter is 15.62 M and 18.3 K" in HEADER


def test_what_is_said_of_stylegan2s_published_counts() -> None:
    narrow = CostModel(stylegan2(size=32, channel_base=1024, mapping=2).build(device="meta"), 32)()
    assert f"{narrow.params / 1e6:.2f} M parameters, and still {narrow.macs / 1e6:.0f} M MACs" in HEADER
    assert CostModel(CIFAR.build(device="meta"), 32)().macs / 11.54e6 == pytest.approx(350, rel=0.01)


@pytest.mark.parametrize("name", ["celeba-teacher", "cats64-teacher"])
def test_sagan_learns_as_published(name: str) -> None:
    config = RECIPES[name]()
    assert (config.task, config.arch, config.gan, config.discriminator, config.latents) == (
        "unconditional",
        "sagan",
        *[None] * 3,
    )
    assert (config.arch_options, config.discriminator_options) == ({"ngf": 64}, {"ndf": 64})
    fit = config.training
    assert (fit.epochs, fit.batch, fit.lr, fit.lr_discriminator, fit.betas) == (100, 64, 1e-4, 4e-4, (0.0, 0.9))
    assert (fit.decay, fit.weight_decay) == ("none", 0)
    assert (config.data.size, config.data.center) == (64, 160 if name.startswith("celeba") else None)
    assert config.evaluation.generated == (20_259 if name.startswith("celeba") else None)


def test_stylegan2_learns_as_published() -> None:
    config = RECIPES["cifar10-teacher"]()
    assert MODELS[config.arch](size=config.data.size, **config.arch_options) == CIFAR
    discriminator = MODELS["stylegan2-discriminator"](size=32, **config.discriminator_options)
    assert (discriminator.residual, discriminator.batch_group, discriminator.widths["b32"], discriminator.widths["b4"]) == (
        False,
        32,
        512,
        512,
    )
    assert config.latents == LatentConfig(r1=0.01, average=500, augment=0.6)
    fit = config.training
    assert (fit.steps * fit.batch, fit.batch, fit.lr, fit.betas, fit.decay) == (100_000_000, 64, 2.5e-3, (0.0, 0.99), "none")
    assert (config.data.flip, config.evaluation.generated) == (False, 50_000)


@pytest.mark.parametrize("name", STUDENTS)
def test_the_student_goes_on_with_its_teachers_task(name: str) -> None:
    config, teacher = RECIPES[name](), teacher_of(RECIPES[name]())
    assert (config.data, config.task, config.latents, config.evaluation) == (
        *(teacher.data, teacher.task, teacher.latents, teacher.evaluation),
    )
    assert config.recovery == config.search
    assert config.recovery.weights == {"coattention": 10.0, "discriminator": 1e-4}
    assert (config.recovery.steps, config.recovery.epochs, config.recovery.batch) == (
        *(teacher.training.steps, teacher.training.epochs, teacher.training.batch),
    )
    assert (config.method, config.method_options) == ("dmad", {"strength": 0.001})
    assert (config.objective, config.discriminator_options) == ("coattention+discriminator", None)
    generator = plain(MODELS[teacher.arch](size=config.data.size, **teacher.arch_options)).build(device="meta")
    cost = CostModel(generator, config.data.size)
    check_floor(parse_budget(config.budget, cost()), cost, floor_widths(generator, removing=False))
    assert config.budget.removesuffix("x") in RECIPES[name].__doc__


@pytest.mark.filterwarnings("ignore:a search of 4 steps")
@pytest.mark.parametrize(
    ("name", "arch", "choices"),
    [("dmad-celeba-4x", "sagan", {"size": 32, "spectral": False}), ("dmad-cifar10", "stylegan2", {"size": 32})],
)
def test_a_student_of_each_kind_runs_at_toy_size(
    name: str, arch: str, choices: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_export: None
) -> None:
    monkeypatch.chdir(tmp_path)
    config = RECIPES[name]()
    save_networks(Path(config.teacher), arch, f"{arch}-discriminator", **choices)
    run_recipe(toy(config, "search.steps=4"), tmp_path / "run")
    student = load_artifact(tmp_path / "run" / "student.safetensors")
    assert (student.provenance["method"], student.provenance["teacher"]) == ("dmad", config.teacher)
    result = read_json(tmp_path / "run" / "result.json")
    assert result["student"]["macs"] * float(config.budget.removesuffix("x")) <= result["teacher"]["macs"]
    assert not any("discriminator" in note for note in result["notes"])  # the one beside the teacher was found
