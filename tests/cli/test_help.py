"""Help, version, lists and dry runs: what the command line says of itself."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pocketgan.cli import COMMANDS, main
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
def test_the_first_page_lists_every_command(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, *arguments)
    for command in COMMANDS:
        assert re.search(rf"^ *{command} ", page, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_every_flag(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    page = capsys.readouterr().out
    assert page.startswith(f"usage: pocketgan {command} ")
    run = importlib.import_module(f"pocketgan.cli.{command}").run
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", page).split())
    assert " ".join(inspect.getdoc(run).split("\n\n")[0].split()) in words
    for name, parameter in inspect.signature(run).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"--{name.strip('_').replace('_', '-')}" in page
        if name != "overrides":  # which has its words where it is defined
            explained = re.search(rf"^    {name}: (.+)", inspect.getdoc(run), re.MULTILINE)
            assert explained, name
            assert explained[1].split()[0] in words


def test_as_a_program_of_its_own() -> None:
    """The one test through a new process: the exit code, the streams, and that help does not wait for PyTorch."""
    code = "import sys; from pocketgan.cli import main; status = main(['compres']); sys.exit('torch' in sys.modules or status)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no command named 'compres'. Did you mean 'compress'?")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert printed(capsys, "--version") == version("pocketgan") + "\n"


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
    assert config == from_json(CompressConfig, json.loads(printed(capsys, *_again(artifact, common))))
    text = printed(
        capsys, "compare", artifact, "--data", "shapes", *common, "--methods", "uniform,magnitude", "--budgets", "2x,4x",
        "--weights", "inherit,fresh", "--objectives", "output,none", "--seeds", "3",
    )  # fmt: skip
    config = from_json(CompareConfig, json.loads(text))
    assert (config.methods, config.budgets, config.seeds) == (("uniform", "magnitude"), ("2x", "4x"), 3)
    assert (config.objectives, config.weights) == (("output", "none"), ("inherit", "fresh"))
    assert not (tmp_path / "run").exists()


def _again(artifact: Path, common: tuple[object, ...]) -> tuple[object, ...]:
    """The same configuration by overrides alone."""
    steps = ("recovery.steps=7", "search.steps=7", "full.teacher.steps=7", "full.distill.steps=7")
    fields = (*steps, "budget=0.5Mparams", "method=uniform", "weights=fresh", "multiple=8")
    return ("compress", artifact, "--data", "shapes", *common, *fields, 'method_options={"importance":"l1"}')


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    methods = json.loads(printed(capsys, "methods", "--json"))
    assert methods["methods"]["magnitude"]["options"] == "importance=contribution, least=0.5"
    assert methods["objectives"]["output"]["weight"] == 100
    models = json.loads(printed(capsys, "models", "--json"))
    assert "ngf: 'int' = 64" in models["resnet"]["options"] or "ngf: int = 64" in models["resnet"]["options"]
    assert all(entry["summary"] for kind in (models, *methods.values()) for entry in kind.values())
    assert "shapes" in printed(capsys, "data", "list")
    page = printed(capsys, "recipes")
    assert all(name in page for name in RECIPES)


def test_data_check_says_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
