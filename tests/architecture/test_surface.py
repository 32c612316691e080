"""Commands, flags and names that users rely on, as literals: a change here is a decision, in a commit of its own."""

import importlib
import inspect
from typing import get_args

import pytest

import pocketgan
import pocketgan.pipeline  # fills the registries
from pocketgan.cli import COMMANDS, command_function
from pocketgan.cli.console import StageName
from pocketgan.core.spec import ARCHITECTURES, MODELS
from pocketgan.data.builtin import BUILTIN
from pocketgan.deploy import RUNTIMES, TARGETS
from pocketgan.evaluation import METRICS
from pocketgan.methods import METHODS
from pocketgan.pipeline.stages import STAGES
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.recipes import RECIPES
from pocketgan.search.published import SPACES
from pocketgan.search.strategies import STRATEGIES
from pocketgan.training.objectives import OBJECTIVES

FLAGS = {
    "quickstart": "--out",
    "train": "OVERRIDES --task --data --targets --out --arch --size --aspect --direction --steps --epochs --batch --gan"
    " --features --device --seed --resume --dry-run",
    "compress": "TEACHER OVERRIDES --data --targets --out --budget --method --preset --pipeline --objective --task --size"
    " --aspect --direction --steps --epochs --minutes --batch --multiple --weights --cache --keep --range --bgr --network"
    " --teacher-discriminator --gan --features --device --seed --from --to --resume --dry-run",
    "compare": "TEACHER OVERRIDES --data --targets --out --methods --budgets --objectives --weights --vary --seeds --seed"
    " --task --size --aspect --direction --steps --batch --features --device --resume --dry-run",
    "evaluate": "ARTIFACT OVERRIDES --data --targets --task --size --aspect --center --weights --keep --range --bgr"
    " --network --direction --classes --metrics --features --reals --stats --segmenter --teacher --generated --batch"
    " --device --json",
    "stats": "DATA OVERRIDES --targets --side --features --out --split --size --aspect --center",
    "generate": "ARTIFACTS --out --seeds --columns --truncation --interpolate --frames --fps --source --reference",
    "export": "ARTIFACT --out --target --size --aspect --weights --keep --range --bgr --network --drop-style --verify",
    "convert": "FILE --out --config --network --content --upsamplings --weights --keep --range --bgr --size --aspect --replace",
    "inspect": "MODEL --size --aspect --multiple --weights --keep --range --bgr --network --json",
    "latency": "ARTIFACTS --runtime --batch --size --aspect --threads --repeats --keep --range --bgr --network --json",
    "report": "RUNS --out",
    "models": "--json",
    "methods": "--json",
    "recipes": "NAME OVERRIDES --out --seed --from --to --resume",
    "data": "ACTION PATH OVERRIDES --targets --task --size --aspect --classes --quick --stats --json --out",
}
"""Every command with its arguments: positional ones in capitals."""

NAMES = {
    "architecture": (
        ARCHITECTURES,
        {
            *("resnet", "inception", "spade", "inception-spade", "unet", "munit"),
            *("patchgan", "multiscale", "ms-image", "pixel", "foreign"),
            *("sagan", "sagan-discriminator", "stylegan2", "stylegan2-discriminator"),
        },
    ),
    "model": (
        MODELS,
        {
            *(
                "resnet",
                "mobile-resnet",
                "inception",
                "spade",
                "mobile-spade",
                "inception-spade",
                "unet",
                "munit",
                "mobile-munit",
            ),
            *("sagan", "sagan-discriminator", "stylegan2", "stylegan2-discriminator"),
            *("patchgan", "multiscale", "ms-image", "pixel"),
        },
    ),
    "method": (METHODS, {"allocation", "uniform", "magnitude", "dmad", "slimming", "sss", "gan-compression", "cat"}),
    "objective": (
        OBJECTIVES,
        {
            *("output", "wavelet", "perceptual", "content-relations", "features", "channels", "attention", "coattention"),
            *("kernel-alignment", "pixel-relations", "regions", "discriminator", "discriminator-features", "moments"),
        },
    ),
    "search space": (
        SPACES,
        {
            *("channels-32", "channels-48", "channels-64", "channels-64-coco", "channels-64-cycleGAN", "channels-64-pix2pix"),
            *("channels-64_2", "parts"),
        },
    ),
    "search strategy": (STRATEGIES, {"brute-force", "evolution", "nsga2", "random"}),
    "importance": (IMPORTANCES, {"contribution", "l1"}),
    "target": (TARGETS, {"onnxruntime:f32", "openvino:f32", "openvino:bf16"}),
    "runtime": (RUNTIMES, {"torch", "onnxruntime"}),
    "metric": (METRICS, {"psnr", "ssim", "frechet", "kernel", "precision", "recall", "miou", "accuracy"}),
    "built-in data": (BUILTIN, {"shapes", "textures"}),
    "recipe": (
        RECIPES,
        {
            *("quickstart-teacher", "quickstart-student", "maps-teacher", "edges2shoes-teacher", "facades-teacher"),
            *("horse2zebra-teacher", "horse2zebra-mobile-teacher", "summer2winter-teacher", "summer2winter-mobile-teacher"),
            *("edges2shoes-unet-teacher", "edges2shoes-mobile-teacher", "cityscapes-unet-teacher", "cityscapes-mobile-teacher"),
            *("dmad-horse2zebra", "dmad-zebra2horse", "dmad-summer2winter", "dmad-winter2summer", "dmad-edges2shoes"),
            *("dmad-cityscapes", "dmad-horse2zebra-mobile", "dmad-zebra2horse-mobile", "dmad-summer2winter-mobile"),
            *("dmad-winter2summer-mobile", "dmad-edges2shoes-mobile", "dmad-cityscapes-mobile", "dmad-ablations"),
            *("cityscapes-teacher", "gan-compression-horse2zebra", "gan-compression-horse2zebra-fast"),
            *("gan-compression-edges2shoes", "gan-compression-edges2shoes-fast", "gan-compression-cityscapes"),
            *("gan-compression-cityscapes-fast", "gan-compression-maps", "gan-compression-maps-fast"),
            *("gaugan-cityscapes-teacher", "gaugan-coco-teacher", "gan-compression-gaugan-cityscapes"),
            *("gan-compression-gaugan-cityscapes-fast", "gan-compression-gaugan-coco-fast"),
            *("horse2zebra-inception-teacher", "zebra2horse-inception-teacher", "maps-inception-teacher"),
            *("cityscapes-inception-teacher", "gaugan-cityscapes-inception-teacher", "cat-horse2zebra", "cat-zebra2horse"),
            *("cat-maps", "cat-cityscapes", "cat-gaugan-cityscapes", "cat-gaugan-cityscapes-small"),
            *("celeba-teacher", "cats64-teacher", "cifar10-teacher", "dmad-celeba", "dmad-celeba-4x", "dmad-cats64"),
            *("dmad-cats64-4x", "dmad-cifar10", "edges2shoes-munit-teacher", "gan-compression-edges2shoes-munit-fast"),
        },
    ),
}
"""``{kind: (registry, its names)}``."""


def test_the_commands() -> None:
    assert list(COMMANDS) == list(FLAGS)


@pytest.mark.parametrize("command", FLAGS)
def test_the_flags(command: str) -> None:
    parameters = inspect.signature(command_function(command)).parameters.values()
    positional = [p.name.upper() for p in parameters if p.kind is p.POSITIONAL_ONLY]
    flags = [f"--{p.name.strip('_').replace('_', '-')}" for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert len(positional) + len(flags) == len(parameters)
    assert [*positional, *flags] == FLAGS[command].split()


def test_the_stages_of_the_command_line_are_those_of_the_pipeline() -> None:
    assert get_args(StageName) == STAGES == ("mobile", "distill", "search", "prune", "recover", "export", "evaluate", "report")


@pytest.mark.parametrize("kind", NAMES)
def test_the_names(kind: str) -> None:
    registry, names = NAMES[kind]
    assert sorted(registry) == sorted(names)


PUBLIC = {
    "compare": "model data methods budgets objectives weights vary seeds out task size aspect steps epochs batch resume"
    " progress fields",
    "compress": "model data budget method preset out task size aspect steps epochs batch resume progress fields",
    "evaluate": "model data targets task size aspect direction center classes metrics features teacher keep range bgr"
    " network device progress overrides options",
    "export": "model out target size aspect drop_style verify keep range bgr network",
    "generate": "models out seeds interpolate source reference progress options",
    "inspect": "model size aspect multiple keep range bgr network",
    "latency": "models runtimes batch size aspect threads repeats keep range bgr network",
    "load": "path factory",
    "train": "data task out arch size aspect steps epochs batch resume progress fields",
}
"""Python functions and their parameters."""


def test_the_public_python_names() -> None:
    assert pocketgan.__all__ == [*PUBLIC]
    assert {name: " ".join(inspect.signature(getattr(pocketgan, name)).parameters) for name in PUBLIC} == PUBLIC


def test_the_function_is_not_shadowed_by_a_package() -> None:
    """``pocketgan.compress`` is the function, also after modules of that name have been imported."""
    importlib.import_module("pocketgan.cli.runs")
    importlib.import_module("pocketgan.pipeline.compress")
    assert inspect.isfunction(pocketgan.compress)
