"""Help, version, lists, tables and dry runs of the command line."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pocketgan
from pocketgan.cli import COMMANDS, command_function, main
from pocketgan.cli.console import say, show_error, show_table
from pocketgan.cli.parser import headings, help_texts
from pocketgan.core.artifact import save_artifact
from pocketgan.core.config import from_json
from pocketgan.models import resnet
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.recipes import RECIPES


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_first_page_lists_every_command_on_one_screen(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, *arguments).splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_flag(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    page = capsys.readouterr().out
    assert page.startswith(f"usage: pocketgan {command} ")
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", page).split())
    function = command_function(command)
    texts = help_texts(function)
    assert " ".join(texts[""].split()) in words
    for name, parameter in inspect.signature(function).parameters.items():
        flag = f"--{name.strip('_').replace('_', '-')}"
        assert parameter.kind is parameter.POSITIONAL_ONLY or re.search(rf" {flag}[ ,]", words)
        assert name == "overrides" or texts[name] in words  # the text on overrides stands at their type
    for meaningless in ("default: None", "default: False", "default: )", "MISSING", "{None}"):
        assert meaningless not in page


def test_flags_are_grouped_with_the_essential_ones_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compress", "--help"])
    page = capsys.readouterr().out
    marks = ("TEACHER", "--data", "--budget", "image options", "--size", "training options", "--steps", "run options", "--seed")
    places = [page.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "batch" not in headings(command_function("latency"))  # alone it gets no heading
    assert headings(command_function("inspect"))["weights"] == headings(command_function("inspect"))["bgr"]


def test_as_a_program_of_its_own() -> None:
    """The one test through a new process: the exit code, the streams, and that help does not wait for PyTorch."""
    code = "import sys; from pocketgan.cli import main; status = main(['compres']); sys.exit('torch' in sys.modules or status)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no command named 'compres'. Did you mean 'compress'?")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert printed(capsys, "--version") == version("pocketgan") + "\n"
    assert pocketgan.__version__ == version("pocketgan")


WILD = "[bold]layer[/bold] :smile: [red]"
"""Text of a user that a console with markup or emoji codes would change."""


def test_text_of_the_user_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say(WILD)
    show_error(WILD)
    show_table(WILD, (WILD, "n"), [(WILD, 1)])
    out, err = capsys.readouterr()
    assert err == f"error: {WILD}\n"
    assert out.count(WILD) == 4


@pytest.mark.parametrize("columns", ["60", "300"])
def test_tables_fold_between_words(columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe a table is at most 120 columns wide, unless one word is longer."""
    monkeypatch.setenv("COLUMNS", columns)
    words, path = [f"word{number}" for number in range(40)], "folder/" * 30
    show_table("", ("name", "text", "n"), [("a", " ".join(words), 1234567)])
    lines = capsys.readouterr().out.splitlines()
    assert {len(line) for line in lines} == {120}
    assert re.findall(r"word\d+", "\n".join(lines)) == words
    assert lines[3].endswith("1234567 │")
    show_table("", ("name", "text"), [(path, "x y")])
    assert path in capsys.readouterr().out
    show_table("", ("name",), [("a",)])
    assert max(map(len, capsys.readouterr().out.splitlines())) == len("│ name │")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    save_artifact(tmp_path / "g.safetensors", resnet(4, blocks=1).build(), size=48)
    return tmp_path / "g.safetensors"


def test_dry_runs_print_the_configuration_and_do_nothing(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--out", tmp_path / "run", "--dry-run")
    text = printed(
        capsys, "train", "--task", "unpaired", "--data", "some/where", *common, "--epochs", "2.5", "--direction", "BtoA",
        "--gan", "hinge", "--seed", "4", "training.lr=1e-4", 'arch_options={"ngf":16}', "training.weights.cycle=3",
    )  # fmt: skip
    config = from_json(TrainConfig, json.loads(text))
    assert (config.training.epochs, config.training.lr, config.seed, config.gan) == (2.5, 1e-4, 4, "hinge")
    assert (config.data.direction, config.arch_options, config.training.weights) == ("BtoA", {"ngf": 16}, {"cycle": 3.0})
    text = printed(
        capsys, "compress", artifact, "--data", "shapes", *common, "--budget", "0.5Mparams", "--method", "uniform", "--steps",
        "7", "--weights", "fresh", "--multiple", "8", "method_options.importance=l1",
    )  # fmt: skip
    config = from_json(CompressConfig, json.loads(text))
    assert (config.data.size, config.recovery.steps, config.search.steps, config.multiple) == (48, 7, 7, 8)
    assert (config.budget, config.method_options, config.weights) == ("0.5Mparams", {"importance": "l1"}, "fresh")
    assert config == from_json(CompressConfig, json.loads(printed(capsys, *_as_overrides(artifact, common))))
    text = printed(
        capsys, "compare", artifact, "--data", "shapes", *common, "--methods", "uniform,magnitude", "--budgets", "2x,4x",
        "--weights", "inherit,fresh", "--objectives", "output,none", "--seeds", "3",
    )  # fmt: skip
    config = from_json(CompareConfig, json.loads(text))
    assert (config.methods, config.budgets, config.seeds) == (("uniform", "magnitude"), ("2x", "4x"), 3)
    assert (config.objectives, config.weights) == (("output", "none"), ("inherit", "fresh"))
    assert not (tmp_path / "run").exists()


def _as_overrides(artifact: Path, common: tuple[object, ...]) -> tuple[object, ...]:
    """The same configuration by overrides alone."""
    steps = ("recovery.steps=7", "search.steps=7", "full.teacher.steps=7", "full.distill.steps=7")
    fields = (*steps, "budget=0.5Mparams", "method=uniform", "weights=fresh", "multiple=8")
    return ("compress", artifact, "--data", "shapes", *common, *fields, 'method_options={"importance":"l1"}')


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    methods = json.loads(printed(capsys, "methods", "--json"))
    assert methods["methods"]["magnitude"]["options"] == "importance=contribution, least=0.5"
    assert "strategy_options={}, against=('macs',)" in methods["methods"]["gan-compression"]["options"]
    assert methods["objectives"]["output"]["weight"] == 100
    models = json.loads(printed(capsys, "models", "--json"))
    assert models["pixel"]["options"] == "ndf=64, norm=instance, in_channels=3"
    assert all(entry["summary"] for kind in (models, *methods.values()) for entry in kind.values())
    assert "shapes" in printed(capsys, "data", "list")
    page = printed(capsys, "recipes")
    assert all(name in page for name in RECIPES)


def test_data_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np
    from PIL import Image

    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "gray.png")
    text = printed(capsys, "data", "check", tmp_path, "--size", "32")
    assert "1 of 1 images are grayscale: read as RGB" in text
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert main(["data", "check", str(tmp_path), "--size", "32"]) == 2
    out, err = capsys.readouterr()
    assert "broken.png" in out
    assert err == f"error: {tmp_path}: 1 problem(s), listed above\n"
    assert main(["data", "check"]) == 2
    assert capsys.readouterr().err == "error: data check needs the folder: pocketgan data check DIR\n"
