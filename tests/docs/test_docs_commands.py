"""Every command on the pages runs, on small stand-ins of the files that it names, for one step."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from manual import ROOT, commands

import pocketgan.recipes.quickstart as quickstart
from pocketgan.cli import COMMANDS, main
from pocketgan.core.config import override
from pocketgan.metrics.cost import CostModel
from pocketgan.models import resnet
from pocketgan.pruning.budget import parse_budget

pytestmark = pytest.mark.xdist_group("docs")
DOC_COMMANDS = commands()
COMMAND_LINES = {place: words[1:] for place, words in DOC_COMMANDS.items() if words[0] == "pocketgan"}
MAKE_LINES = {place: words[1:] for place, words in DOC_COMMANDS.items() if words[0] == "make"}

SMALL_DATA = ["data.size=32", "data.load_size=null", "data.limit=2", "data.workers=0"]
SMALL_TRAINING = ["training.steps=1", "training.epochs=null", "training.batch=2"]
SMALL_RECOVERY = [setting.replace("training", "recovery") for setting in SMALL_TRAINING]
SMALL_EVALUATION = ["evaluation.repeats=1", "evaluation.images=1", 'evaluation.runtimes=["torch"]', "device=cpu"]
SMALL_TRAIN = [*SMALL_DATA, *SMALL_TRAINING, *SMALL_EVALUATION]
SMALL_COMPRESS = [*SMALL_DATA, *SMALL_RECOVERY, *SMALL_EVALUATION]
SMALL_SEARCH = [
    f"{training}.{length}"
    for training in ("search", "full.teacher", "full.distill")
    for length in ("steps=1", "epochs=null", "batch=2")
]
SMALL_TASKS = {
    "labels": ["data.size=64", "perceptual=none"],
    "multimodal": ["data.size=64"],
    "unconditional": ["data.center=null"],
}
SMALL_NETWORKS = ["arch_options.ngf=8", "discriminator_options.ndf=8"]


def value(words: list[str], flag: str) -> str | None:
    """The word behind a flag."""
    return words[words.index(flag) + 1] if flag in words else None


def shortened(words: list[str]) -> list[str]:
    """The same command with small settings behind its own, which are parsed and checked, too."""
    command, task = words[0], str(value(words, "--task"))
    match command:
        case "compress":
            # Stand-ins are far below a real teacher's billions, so a budget in numbers is one of theirs.
            absolute = not str(value(words, "--budget") or "10x").endswith("x")
            supernet = value(words, "--method") == "gan-compression"
            few = ["method_options.images=1", "method_options.candidates=2", "full.discriminator_options.ndf=8"]
            more = [*(["budget=10x"] if absolute else []), *(few if supernet else []), *SMALL_TASKS.get(task, [])]
            return [*words, *SMALL_COMPRESS, *SMALL_SEARCH, *more]
        case "compare":
            few_runs = list(words)
            few_runs[words.index("--seeds") + 1] = "1"
            if "--budgets" in words:
                few_runs[words.index("--budgets") + 1] = str(value(words, "--budgets")).split(",")[0]
            return [*few_runs, *SMALL_COMPRESS, *SMALL_SEARCH]
        case "train":
            depth = {"unet": "depth=5", "sagan": "latent=8", "spade": "upsamplings=5", "inception-spade": "upsamplings=5"}
            kind = "sagan" if task == "unconditional" else str(value(words, "--arch"))
            more = [f"arch_options.{depth.get(kind, 'blocks=1')}", *SMALL_TASKS.get(task, [])]
            return [*words, *SMALL_TRAIN, *SMALL_NETWORKS, *more]
        case "recipes" if "--out" in words:
            return [*words, *SMALL_TRAIN, *SMALL_NETWORKS, "arch_options.blocks=1"]
        case "latency":
            return [*words, "--size", "32", "--repeats", "1", "--threads", "1", "--runtime", "torch"]
    return words


def test_only_known_programs_are_called() -> None:
    assert {words[0] for words in DOC_COMMANDS.values()} == {"pocketgan", "make"}
    assert {words[0] for words in COMMAND_LINES.values()} <= set(COMMANDS)


@pytest.mark.parametrize("words", COMMAND_LINES.values(), ids=COMMAND_LINES)
def test_command_runs(words: list[str], world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = value(words, "--out")
    if out is not None:  # the stand-in of the result of this very command
        shutil.rmtree(out, ignore_errors=True)
        Path(out).unlink(missing_ok=True)
    if "--from" in words:  # the stages before
        place = words.index("--from")
        assert main(shortened([*words[:place], *words[place + 2 :], "--to", "recover"])) == 0, capsys.readouterr().err
    assert main(shortened(words)) == 0, capsys.readouterr().err
    written = out is not None and "--dry-run" not in words
    assert not written or Path(out).exists()
    assert written or capsys.readouterr().out.strip()
    if words[0] in ("compress", "train") and written:
        assert (Path(out) / "report.html").exists()
        assert (Path(out) / "result.json").exists()


def test_budgets_hold_for_the_published_teacher() -> None:
    cost = CostModel(resnet(64, blocks=9).build(device="meta"), 256)()
    texts = [value(words, "--budget") or value(words, "--budgets") or "10x" for words in COMMAND_LINES.values()]
    for text in set(",".join(texts).split(",")):
        budget = parse_budget(text, cost)
        assert 0 < budget.limit < budget.of(cost), text


def test_quickstart(world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = override(quickstart.teacher(), [*SMALL_TRAIN, *SMALL_NETWORKS, "arch_options.depth=5"])
    student = override(quickstart.student(), [*SMALL_COMPRESS, *SMALL_SEARCH, "budget=4x"])
    monkeypatch.setattr(quickstart, "teacher", lambda: teacher)
    monkeypatch.setattr(quickstart, "student", lambda: student)
    shutil.rmtree("runs")
    assert main(["quickstart"]) == 0, capsys.readouterr().err
    assert Path("runs/quickstart/student/report.html").exists()
    assert "PSNR to the target" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("words", MAKE_LINES.values(), ids=MAKE_LINES)
def test_make_has_the_target(words: list[str]) -> None:
    done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"quickstart": "pocketgan quickstart", "test": "pytest"}[words[0]] in done.stdout
