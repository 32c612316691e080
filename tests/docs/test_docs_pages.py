"""Pages are short, their links exist, and their tables match the code."""

from __future__ import annotations

import inspect
import re
import tomllib
from typing import get_args, get_type_hints

import pytest
from manual import PAGES, ROOT, coded, table

import pocketgan
from pocketgan.cli import COMMANDS, command_function
from pocketgan.core.config import override
from pocketgan.core.spec import MODELS
from pocketgan.data.config import DataConfig
from pocketgan.methods import METHODS
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.config import TrainConfig
from pocketgan.training.objectives import OBJECTIVES

every_page = pytest.mark.parametrize("page", PAGES)


@every_page
def test_a_page_is_short(page: str) -> None:
    assert len(PAGES[page].splitlines()) < 200
    assert all(len(line) <= 128 or line.startswith(("|", "pocketgan ")) for line in PAGES[page].splitlines())


@every_page
def test_links_and_figures_exist(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        path, _, heading = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        assert not heading or heading in {slug(line) for line in file.read_text().splitlines() if line.startswith("#")}


def slug(line: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")


@every_page
def test_files_of_the_project_exist(page: str) -> None:
    for text in coded(PAGES[page]):
        for path in re.findall(r"(?:src|tests|docs|benchmarks)/[\w./-]+", text):
            assert (ROOT / path).exists(), f"{page} names {path}"


def test_every_page_is_reached_from_the_first() -> None:
    links = set(re.findall(r"\]\(((?:docs/)?[\w-]+\.md)\)", PAGES["README.md"]))
    assert links == set(PAGES) - {"README.md"}


def test_the_first_page() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 100
    names = [name for row in table("README.md", "method") for name in re.split(r"`?, `?", row)]
    assert sorted(names) == sorted(METHODS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (torch,) = re.findall(r"torch==([\d.]+)", PAGES["README.md"])
    lowest, below = re.fullmatch(
        r"torch>=([\d.]+),<([\d.]+)", next(n for n in project["dependencies"] if n.startswith("torch>"))
    ).groups()
    assert numbers(lowest) <= numbers(torch) < numbers(below)
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in PAGES["README.md"]


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_python_page_lists_every_function() -> None:
    rows = table("docs/api.md", "function")
    assert sorted(rows) == pocketgan.__all__
    for name, (command, _) in rows.items():
        assert name in ("load", "export") or command == f"`pocketgan {name}`"
        assert not command or command.strip("`").split()[1] in COMMANDS


ORIGINAL = table("docs/coming-from-pix2pix.md", "theirs")
MAIN_OPTIONS = """
    --dataroot --name --gpu_ids --checkpoints_dir --model --input_nc --output_nc --ngf --ndf --netD --netG --n_layers_D --norm
    --init_type --init_gain --no_dropout --dataset_mode --direction --serial_batches --num_threads --batch_size --load_size
    --crop_size --max_dataset_size --preprocess --no_flip --epoch --load_iter --display_freq --update_html_freq --print_freq
    --save_latest_freq --save_epoch_freq --save_by_iter --continue_train --epoch_count --phase --n_epochs --n_epochs_decay
    --beta1 --lr --gan_mode --pool_size --lr_policy --lr_decay_iters --results_dir --aspect_ratio --eval --num_test --lambda_L1
    --lambda_A --lambda_B --lambda_identity
"""


def test_the_options_of_pix2pix_have_a_row() -> None:
    assert set(re.findall(r"--\w+", MAIN_OPTIONS)) <= set(re.findall(r"--\w+", " ".join(ORIGINAL)))


def alternatives(hint: object) -> list[object]:
    """Types and literal values in a union."""
    return [part for inner in get_args(hint) for part in alternatives(inner)] or [hint]


@pytest.mark.parametrize("row", ORIGINAL.values(), ids=ORIGINAL)
def test_our_side_of_the_options_of_pix2pix_exists(row: list[str]) -> None:
    """Flags with their values are those of `train`, fields can be set, network options are parameters of a network."""
    parameters = inspect.signature(command_function("train")).parameters
    hints = get_type_hints(command_function("train"))
    config = TrainConfig(task="paired", data=DataConfig(path="shapes"))
    tokens = coded(row[0])
    assert tokens or row[0] == "-"
    for token in tokens:
        name, _, text = token.partition("=")
        if token.startswith("pocketgan "):
            assert token.split()[1] in COMMANDS
        elif token.startswith("--"):
            parameter = name.removeprefix("--").replace("-", "_")
            assert parameter in parameters
            assert not text or {str, text} & set(alternatives(hints[parameter]))
        else:
            override(config, [token])
            kind, _, option = name.partition(".")
            models = {"arch_options": ("resnet", "unet"), "discriminator_options": ("patchgan",)}.get(kind, ())
            assert not models or any(option in inspect.signature(MODELS[model]).parameters for model in models)
    for model in [token.partition("=")[2] for token in tokens if token.startswith(("--arch", "discriminator="))]:
        assert model in MODELS


def test_every_command_is_shown_at_work() -> None:
    everything = "\n".join(PAGES.values())
    assert all(f"pocketgan {command}" in everything or f"make {command}" in everything for command in COMMANDS)


def test_methods_and_objectives_have_a_row() -> None:
    assert set(table("docs/research.md", "method")) == set(METHODS)
    rows = table("docs/objectives.md", "objective")
    assert {name: float(cells[0]) for name, cells in rows.items()} == {name: kind.weight for name, kind in OBJECTIVES.items()}


def test_printed_costs_are_computed_costs() -> None:
    rows = table("docs/numbers.md", "network")
    assert {name.split()[0] for name in rows} == set(MODELS)
    for name, (options, *counts, _) in rows.items():
        numbers = {key: int(value) for key, value in (option.split("=") for option in options.split())}
        cost = CostModel(MODELS[name.split()[0]](**numbers).build(device="meta"), 256)()
        assert [f"{count:,}" for count in cost] == counts, name


def test_every_benchmark_is_listed() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    listed = set(re.findall(r"`python benchmarks/(\w+\.py)`", PAGES["docs/numbers.md"]))
    assert listed == scripts
