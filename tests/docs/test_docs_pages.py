"""The pages are short, their links lead somewhere, and they name exactly what there is."""

from __future__ import annotations

import re

import pytest
from manual import PAGES, ROOT, coded, table

import pocketgan.models  # noqa: F401  (fills the registries)
from pocketgan.cli import COMMANDS
from pocketgan.core.spec import MODELS
from pocketgan.data import BUILTIN
from pocketgan.methods import METHODS
from pocketgan.metrics.cost import CostModel
from pocketgan.recipes import RECIPES
from pocketgan.training.objectives import OBJECTIVES

every_page = pytest.mark.parametrize("page", PAGES)


@every_page
def test_a_page_is_short(page: str) -> None:
    assert len(PAGES[page].splitlines()) < 200
    assert all(len(line) <= 128 or line.startswith(("|", "pocketgan ")) for line in PAGES[page].splitlines())


@every_page
def test_links_and_figures_lead_somewhere(page: str) -> None:
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
    assert {page for page in PAGES if page != "README.md"} <= set(re.findall(r"\]\((docs/\w+\.md)\)", PAGES["README.md"]))


def test_the_first_page_names_exactly_what_there_is() -> None:
    parts = {name: coded(cells[0]) for name, cells in table("README.md", "part").items()}
    assert parts["generators"] | parts["discriminators"] == set(MODELS)
    assert parts["methods, which decide what is cut"] == set(METHODS)
    assert parts["objectives, which the student imitates by"] == set(OBJECTIVES)
    assert parts["recipes"] == set(RECIPES)
    assert parts["built-in data"] == set(BUILTIN)
    (commands,) = re.findall(r"The commands of the command line are (.*?)\. ", PAGES["README.md"], re.DOTALL)
    assert coded(commands) == set(COMMANDS)


def test_every_command_is_shown_at_work() -> None:
    everything = "\n".join(PAGES.values())
    assert all(f"pocketgan {command}" in everything or f"make {command}" in everything for command in COMMANDS)


def test_methods_and_objectives_have_a_row() -> None:
    assert set(table("docs/research.md", "method")) == set(METHODS)
    rows = table("docs/research.md", "objective")
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
