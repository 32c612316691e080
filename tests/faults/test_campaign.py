"""Part of the campaign `benchmarks/faults.py`, at fixed seeds: bad inputs are refused in words or read rightly."""

import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from zoo import EXAMPLES, randomized

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import faults
from _fault_runs import Campaign
from _fault_sandbox import Ran, Watch

CASES = {"checkpoint": 90, "artifact": 90, "image": 90, "archive": 90, "configuration": 40}
SECONDS = 30


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    made = Campaign(tmp_path_factory.mktemp("campaign"))
    torch.manual_seed(0)
    for task, spec in (("paired", EXAMPLES["resnet"]["affine"]), ("unconditional", EXAMPLES["sagan"]["published"])):
        save_artifact(made.teacher(task), randomized(spec), size=32)
    assert main(["convert", str(made.teacher("paired")), "--out", str(made.path / "valid" / "latest_net_G.pth")]) == 0
    return made


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", CASES)
def test_bad_inputs_are_refused_in_words_or_read_rightly(
    kind: str, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(campaign.path)
    watch, verdicts, bad = Watch(), Counter[str](), []
    for seed in range(CASES[kind]):
        signal.alarm(SECONDS)
        try:
            row = faults.attacked(campaign, kind, seed, watch)
        finally:
            signal.alarm(0)
        verdicts[f"{row['verdict']} {row['code']}"] += 1
        if row["verdict"] != "ok":
            bad.append((seed, row))
    assert not bad
    assert verdicts["ok 2"] > CASES[kind] // 3
    assert verdicts["ok 0"] > 0 or kind == "artifact"  # every change of an artifact is noticed


@pytest.mark.parametrize(
    ("ran", "attack", "events", "verdict"),
    [
        (Ran(2, "error: a.pth is empty", 0.1), faults.Attack([], "a.pth"), [], "ok"),
        (Ran(2, "error: it is empty", 0.1), faults.Attack([], "a.pth"), [], "no file named"),
        (Ran(2, "", 0.1), faults.Attack([]), [], "no reason"),
        (Ran(0, "", 0.1), faults.Attack([], must_fail="nan"), [], "wrong success"),
        (Ran(70, "error: unexpected", 0.1), faults.Attack([]), [], "escaped"),
        (Ran(None, "", 0.1), faults.Attack([]), [], "traceback"),
        (Ran(2, "Traceback (most recent call last):", 0.1), faults.Attack([]), [], "traceback"),
        (Ran(0, "", 0.1), faults.Attack([]), ["program: 'gs'"], "program"),
        (Ran(0, "", 0.1), faults.Attack([]), ["wrote /etc/x"], "wrote elsewhere"),
        (Ran(0, "x.py:3: UserWarning: Skipping tag", 0.1), faults.Attack([]), [], "noise"),
    ],
)
def test_the_verdicts(ran: Ran, attack: faults.Attack, events: list[str], verdict: str) -> None:
    assert faults.verdict_of(ran, attack, events, grown=0)[0] == verdict


def test_the_watch_sees_programs_and_files_elsewhere(tmp_path: Path) -> None:
    watch, inside = Watch(), tmp_path / "inside"
    inside.mkdir()
    with watch.inside(inside) as events:
        (inside / "a").write_text("")
        (tmp_path / "b").write_text("")
        (tmp_path / "b").read_text()
        with pytest.raises(FileNotFoundError):
            __import__("subprocess").run(["no-such-program"], check=False)
    assert [event.partition(" ")[0] for event in events] == ["wrote", "program:"]
