"""Recipes of generators from latents: exact counts beside the published ones, published settings."""

import re

import pytest
from torch import nn
from toys import cost_of, spec_of_teacher, teacher_of

from pocketgan.core.spec import MODELS, Spec
from pocketgan.models import sagan, stylegan2
from pocketgan.models.layers import plain
from pocketgan.pruning.allocation import floor_widths
from pocketgan.pruning.budget import check_floor, parse_budget
from pocketgan.recipes import RECIPES, latents
from pocketgan.tasks import LatentConfig

HEADER = " ".join(latents.__doc__.split())
STUDENTS = ("dmad-celeba", "dmad-celeba-4x", "dmad-cats64", "dmad-cats64-4x", "dmad-cifar10")
CIFAR = stylegan2(size=32, channel_base=32768, mapping=2)


def test_the_recipes_are_the_rows_of_the_header() -> None:
    rows = dict(re.findall(r"^\| (dmad-[\w-]+) \| ([\d.]+x) \|", latents.__doc__, re.MULTILINE))
    assert rows == {name: RECIPES[name]().budget for name in STUDENTS}


@pytest.mark.parametrize(
    ("name", "spec"),
    [("SAGAN 64 x 64, n = 64", sagan()), ("SAGAN 64 x 64, n = 48", sagan(48)), ("StyleGAN2 32 x 32, `cifar`", CIFAR)],
)
def test_the_exact_counts_of_the_header(name: str, spec: Spec) -> None:
    cost = cost_of(plain(spec), spec.output_shape)()
    (figures,) = re.findall(rf"\| {re.escape(name)} \| ([\d.]+) \| ([\d.]+)(?: \(a\))? \| ([\d.]+) \|", HEADER)
    assert figures == (f"{cost.params / 1e6:.3f}", f"{cost.macs / 1e6:.1f}", f"{cost.macs_paper / 1e6:.1f}")


def positions(n: int) -> dict[str, tuple[int, int]]:
    """``{side: (positions, channels)}`` of the maps with attention."""
    return {"16": (16 * 16, 2 * n), "32": (32 * 32, n)}


def test_the_macs_of_attention() -> None:
    """Products of every query with every key, in an eighth of the channels, and of weights with values, in all channels."""
    cost = cost_of(plain(sagan()), (64, 64))()
    products = sum(count**2 * (channels // 8 + channels) for count, channels in positions(64).values())
    norms = sum(side**2 * 64 * 32 // side for side in (4, 8, 16, 32))
    assert f"{(cost.macs - products) / 1e6:.1f}" == "115.3"
    assert f"{(cost.macs_paper - products - norms) / 1e6:.1f}" == "442.5"
    assert "(a) 115.3 of its convolutions alone (442.5 in the literature's count)" in HEADER


def without_spectral(n: int) -> tuple[int, int]:
    """MACs and parameters without layers with spectral norm, and with two MACs for every element of a batch norm."""
    model = plain(sagan(n)).build(device="meta")
    macs = params = 0
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):  # query, key, value
            count, _ = positions(n)[name.partition(".")[0].removeprefix("attention")]
            macs += count * (int(layer.in_channels) + 1) * int(layer.out_channels)
        elif isinstance(layer, nn.BatchNorm2d):
            macs += 2 * int(name.partition(".")[0].removeprefix("map")) ** 2 * int(layer.num_features)
        elif name == "head":
            macs += 64 * 64 * (int(layer.in_channels) * 4 * 4 + 1) * int(layer.out_channels)
        else:
            continue
        params += sum(tensor.numel() for tensor in layer.parameters())
    return macs, params


def test_the_published_counts_leave_out_layers_with_spectral_norm() -> None:
    assert without_spectral(64) == (23_449_600, 30_835)
    assert "are 23,449,600 and 30,835." in HEADER
    macs, params = without_spectral(48)
    assert f"{macs / 1e6:.2f} M and {params / 1e3:.1f} K" == "15.62 M and 18.3 K"
    assert "comes to under that counter is 15.62 M and 18.3 K" in HEADER


def test_the_counts_of_stylegan2_in_the_header() -> None:
    narrow = cost_of(stylegan2(size=32, channel_base=1024, mapping=2), (32, 32))()
    assert f"{narrow.params / 1e6:.2f} M parameters, and still {narrow.macs / 1e6:.0f} M MACs" in HEADER
    assert cost_of(CIFAR, (32, 32))().macs / 11.54e6 == pytest.approx(350, rel=0.01)


@pytest.mark.parametrize("name", ["celeba-teacher", "cats64-teacher"])
def test_sagan_has_the_published_settings(name: str) -> None:
    config = RECIPES[name]()
    assert (config.task, config.arch, config.gan, config.discriminator, config.latents) == (
        "unconditional",
        "sagan",
        *[None] * 3,
    )
    assert (config.arch_options, config.discriminator_options) == ({"ngf": 64}, {"ndf": 64})
    training = config.training
    assert (training.epochs, training.batch, training.lr, training.lr_discriminator, training.betas) == (
        100,
        64,
        1e-4,
        4e-4,
        (0.0, 0.9),
    )
    assert (training.decay, training.weight_decay) == ("none", 0)
    assert (config.data.size, config.data.center) == (64, 160 if name.startswith("celeba") else None)
    assert config.evaluation.generated == (20_259 if name.startswith("celeba") else None)


def test_stylegan2_has_the_published_settings() -> None:
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
    training = config.training
    assert (training.steps * training.batch, training.batch, training.decay) == (100_000_000, 64, "none")
    assert (training.lr, training.betas) == (2.5e-3, (0.0, 0.99))
    assert (config.data.flip, config.evaluation.generated) == (False, 50_000)


@pytest.mark.parametrize("name", STUDENTS)
def test_the_students_settings(name: str) -> None:
    config, teacher = RECIPES[name](), teacher_of(RECIPES[name]())
    assert (config.data, config.evaluation) == (teacher.data, teacher.evaluation)
    assert config.recovery == config.search
    assert config.recovery.weights == {"coattention": 10.0, "discriminator": 1e-4}
    assert (config.recovery.steps, config.recovery.epochs, config.recovery.batch) == (
        *(teacher.training.steps, teacher.training.epochs, teacher.training.batch),
    )
    assert (config.method, config.method_options) == ("dmad", {"strength": 0.001})
    assert (config.objective, config.discriminator_options) == ("coattention+discriminator", None)
    spec = spec_of_teacher(teacher)
    cost = cost_of(spec, config.data.shape)
    check_floor(parse_budget(config.budget, cost()), cost, floor_widths(spec.build(device="meta"), removing=False))
    assert config.budget.removesuffix("x") in RECIPES[name].__doc__
