"""GAN Compression's two pipelines by their command: stage by stage, begun anew in the middle, shared by several processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from commands import TINY, Killed, bytes_of, command, entries, killed_after, losses, read, refused
from safetensors.torch import load_file
from torch import nn

from pocketgan.core.artifact import load_artifact
from pocketgan.core.config import to_json
from pocketgan.core.run import Run
from pocketgan.core.spec import spec_of
from pocketgan.data.config import DataConfig
from pocketgan.methods import make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.stages import STAGES, first_reader, remove_files_from
from pocketgan.utils.files import RunLock, remove_leftovers

pytestmark = pytest.mark.xdist_group("pipeline")

SMALL = 'full.discriminator_options={"ndf":4,"layers":1}'
SEARCH = ["--method", "gan-compression", "method_options.candidates=6", "method_options.images=2"]


def words(teacher: Path, out: Path, *more: str, budget: str = "3x", data: str = "shapes") -> list[object]:
    return ["compress", teacher, "--data", data, "--out", out, "--budget", budget, *SEARCH, *TINY, *more]


@pytest.fixture(scope="module")
def once(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fast pipeline up to its student, in one go."""
    out = tmp_path_factory.mktemp("once") / "run"
    command(*words(teacher / "generator.safetensors", out, "--to", "recover"))
    return out


def test_stage_by_stage_is_all_at_once(once: Path, teacher: Path, tmp_path: Path) -> None:
    """Killed in the middle of its search, too."""
    start = words(teacher / "generator.safetensors", tmp_path / "run", "search.checkpoint_every=1")
    with killed_after("search", 2), pytest.raises(Killed):
        command(*start)
    for stage, name in (("search", "searched"), ("prune", "pruned"), ("recover", "student")):
        assert not (tmp_path / "run" / f"{name}.safetensors").exists()
        command(*start, "--to", stage, "--resume")
        assert (tmp_path / "run" / f"{name}.safetensors").exists()
    assert not (tmp_path / "run" / "result.json").exists()
    for name in ("searched", "pruned", "student"):
        assert (tmp_path / "run" / f"{name}.safetensors").read_bytes() == (once / f"{name}.safetensors").read_bytes()


def test_one_supernet_serves_another_budget(once: Path, teacher: Path, tmp_path: Path) -> None:
    """Searched again with what only the search reads changed: the supernet stays, what came after it is made anew."""
    out = tmp_path / "run"
    shutil.copytree(once, out)
    changed = ("--from", "prune", "--to", "prune", "method_options.candidates=4")
    command(*words(teacher / "generator.safetensors", out, *changed, budget="5x"))
    assert (out / "searched.safetensors").read_bytes() == (once / "searched.safetensors").read_bytes()
    assert not (out / "student.safetensors").exists()
    original = CostModel(load_artifact(teacher / "generator.safetensors").model, 16)().macs
    assert CostModel(load_artifact(out / "pruned.safetensors").model, 16)().macs <= original // 5
    assert len((out / "candidates.jsonl").read_text().splitlines()) == 4
    assert read(out, "config.json")["budget"] == "5x"


def test_a_kill_before_the_settings_are_changed_leaves_the_run_as_it_was(
    once: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results of the old settings are removed before the new settings are written: no result is taken for another's."""

    def kill(self: Run, config: object) -> None:
        raise Killed

    out, file = tmp_path / "run", teacher / "generator.safetensors"
    shutil.copytree(once, out)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_config", kill)
        with pytest.raises(Killed):
            command(*words(file, out, "--from", "prune", "--to", "recover", budget="5x"))
    assert not (out / "pruned.safetensors").exists()
    command(*words(file, out, "--resume", "--to", "recover"))
    assert (out / "student.safetensors").read_bytes() == (once / "student.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--resume", "budget=5x"],
            "it differs in budget: '3x' -> '5x'; --from prune does again what depends on that, another",
        ),
        (["--from", "prune", "search.lr=1e-3"], "search.lr: 0.0002 -> 0.001; --from search does again what depends on that"),
        (["--from", "recover", "method_options.candidates=9"], "method_options.candidates: 6 -> 9; --from prune does again"),
        (
            ["--from", "distill"],
            "this run has no stage 'distill': its stages are search, prune, recover, export",
        ),
        (["--from", "recover", "--to", "search"], "--from recover comes after --to search"),
        (["--from", "evaluate"], "student.onnx, which the stage export makes: give --from export"),
    ],
)
def test_a_wrong_stage_or_setting_is_refused_and_nothing_is_lost(
    more: list[str], message: str, once: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bytes_of(once)
    assert message in refused(capsys, *words(teacher / "generator.safetensors", once, *more))
    assert bytes_of(once) == before


def test_a_missing_run_is_refused(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, *words(teacher / "generator.safetensors", tmp_path / "none", "--from", "prune"))
    assert "holds no run that --from prune could go on with" in line
    assert not (tmp_path / "none").exists()


def test_the_discriminator_of_the_supernet_goes_on(once: Path, teacher: Path) -> None:
    """GAN Compression's fine-tuning: nearer to the supernet's than to the teacher's, where others begin."""
    fitted = {key[2:]: value for key, value in load_file(once / "searched.safetensors").items() if key.startswith("D/")}
    theirs = load_artifact(teacher / "discriminator.safetensors").model.state_dict()
    ours = load_artifact(once / "student_discriminator.safetensors").model.state_dict()

    def gap(others: dict) -> float:
        return max(float((ours[key] - others[key]).abs().max()) for key in ours)

    assert 0 < gap(fitted) < 3 * 2e-4 * 1.01 < gap(theirs)  # three steps of Adam


def check_the_discriminator_is_handed_on(run: Path, mobile: nn.Module) -> None:
    """Teacher, distillation, supernet, recovery: each begins with what the one before left (three steps of Adam each)."""
    fitted = {key[2:]: value for key, value in load_file(run / "searched.safetensors").items() if key.startswith("D/")}
    distilled, ended = (
        load_artifact(run / folder / "student_discriminator.safetensors").model.state_dict() for folder in ("distilled", ".")
    )
    states = [mobile.state_dict(), distilled, fitted, ended]
    for before, after in pairwise(states):
        assert 0 < max(float((before[key] - after[key]).abs().max()) for key in before) < 3 * 2e-4 * 1.01
    assert max(float((states[0][key] - ended[key]).abs().max()) for key in ended) > 3 * 2e-4 * 1.01


@pytest.mark.parametrize("task", ["paired", "unpaired"])
def test_the_full_pipeline(
    task: str, teacher: Path, unpaired_teacher: Path, tmp_path: Path, quick_export: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mobile teacher, half of it distilled, a supernet of that, a student of that; again from the middle."""
    run = tmp_path / "run"
    file = teacher / "generator.safetensors" if task == "paired" else unpaired_teacher / "generator_A.safetensors"
    data = "shapes" if task == "paired" else "textures"
    more = ["--pipeline", "full", "--task", task, "method_options.space=parts", SMALL]
    command(*words(file, run, *more, budget="8x", data=data))
    name = "generator" if task == "paired" else "generator_A"
    mobile = load_artifact(run / "mobile" / f"{name}.safetensors").model
    assert spec_of(mobile) == mobile_resnet(8, blocks=2)
    narrow = load_artifact(run / "distilled" / "student.safetensors").model
    assert spec_of(narrow) == mobile_resnet(4, blocks=2)
    supernet = [value for key, value in load_file(run / "searched.safetensors").items() if key.startswith("G/")]
    assert sum(value.numel() for value in supernet) == sum(p.numel() for p in narrow.state_dict().values())
    discriminator = f"{name.replace('generator', 'discriminator')}.safetensors"
    check_the_discriminator_is_handed_on(run, load_artifact(run / "mobile" / discriminator).model)
    assert read(run / "distilled", "config.json")["teacher"] == str(run / "mobile" / f"{name}.safetensors")
    result = read(run)
    assert 0 < result["budget"]["reached"] <= result["budget"]["limit"] == result["teacher"]["macs"] // 8
    assert set(result["seconds"]) == {"mobile", "distill", "search", "prune", "recover", "export", "evaluate"}
    assert any("mobile" in note for note in result["notes"])
    if task == "paired":
        before = bytes_of(run)
        command(*words(file, run, *more, "--from", "search", "--to", "recover", budget="8x", data=data))
        after = bytes_of(run)
        for name in ("searched", "pruned", "student"):
            assert after[f"{name}.safetensors"] == before[f"{name}.safetensors"]
        assert {key for key in after if key.startswith("mobile/")} == {key for key in before if key.startswith("mobile/")}


def test_the_fast_pipeline_from_a_fresh_mobile_network_without_fine_tuning(teacher: Path, tmp_path: Path) -> None:
    """As published for horse2zebra: the teacher's mobile form from scratch; the network chosen is the student, bit for bit."""
    out = tmp_path / "run"
    more = ("start=mobile", "recovery.steps=0", "--to", "recover", "--resume")
    command(*words(teacher / "generator.safetensors", out, *more, budget="8x"))
    cut, student = (load_artifact(out / f"{name}.safetensors").model for name in ("pruned", "student"))
    assert spec_of(student).separable
    assert all(torch.equal(a, b) for a, b in zip(cut.state_dict().values(), student.state_dict().values(), strict=True))
    before = (out / "searched.safetensors").read_bytes()
    more = ("start=mobile", "recovery.steps=0", "--from", "search", "--to", "search")
    command(*words(teacher / "generator.safetensors", out, *more, budget="8x"))
    assert (out / "searched.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["full.width=0.99", "multiple=16"], "full.width=0.99 with multiple=16 cuts nothing: give a smaller one"),
        (["teacher_discriminator=d.safetensors"], "the mobile teacher is trained with a discriminator of its own"),
        (["start=mobile"], "start=mobile is for pipeline=fast"),
        (["--task", "inputs"], "pipeline=full trains a mobile teacher on real targets, and task=inputs has none"),
        (["full.width=1"], "full.width=1.0: a fraction of the mobile teacher's widths, above 0 and below 1"),
        (["full.distill.weights.l2=1", SMALL], "no loss named 'l2'. Did you mean 'l1'?"),
        ([], "size=16 is too small for the discriminator"),
        (["budget=1.1x"], "the network that is cut has"),
        (["full.teacher.weights.l2=1", SMALL], "no loss named 'l2'. Did you mean 'l1'?"),
    ],
)
def test_a_wrong_setting_of_the_full_pipeline_is_refused_before_any_work(
    more: list[str], message: str, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = ("--pipeline", "full", *more)
    line = refused(capsys, *words(teacher / "generator.safetensors", tmp_path / "run", *fields, budget="8x"))
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_new_settings_that_nothing_has_read_yet(once: Path, teacher: Path, tmp_path: Path) -> None:
    """The supernet knows no budget: one that is trained, or half trained, serves any without ``--from``."""
    out, file = tmp_path / "run", teacher / "generator.safetensors"
    command(*words(file, out, "--to", "search", budget="5x"))
    command(*words(file, out, "--to", "recover", "--resume", "data.workers=1"))
    assert (out / "student.safetensors").read_bytes() == (once / "student.safetensors").read_bytes()


def test_a_folder_that_is_half_removed_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it removes: the folder is there as a whole or not at all."""
    (tmp_path / "distilled" / "checkpoints").mkdir(parents=True)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "student.safetensors").touch()

    def kill(path: Path, **_: object) -> None:
        if path.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            remove_files_from(tmp_path, "distill", STAGES)
    assert not (tmp_path / "distilled").exists()
    remove_files_from(tmp_path, "distill", STAGES)
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["back"]
    assert (tmp_path / "back" / "student.safetensors").exists()  # the run that goes on from the generator back


PLANS = {
    "full": STAGES,
    "fast": STAGES[2:],
    "no first fit": STAGES[3:],
    "no mobile form": STAGES[1:],
}


@pytest.mark.parametrize("name", PLANS)
def test_every_setting_is_first_read_by_a_stage_of_the_run(name: str) -> None:
    """And none by a stage after one that is known to read it."""
    plan, method = PLANS[name], make_method("uniform" if name == "no first fit" else "gan-compression", {})
    config = to_json(CompressConfig(teacher="t", data=DataConfig(path="shapes")))
    fields = {f"{key}.{inner}" for key, value in config.items() if isinstance(value, dict) for inner in value} | set(config)
    for field in fields:
        assert first_reader(field, plan, method) in (*plan, None), field
    assert first_reader("data.path", plan, method) == first_reader("task", plan, method) == plan[0]
    assert first_reader("recovery.lr", plan, method) == "recover"
    assert first_reader("search.lr", plan, method) == ("search" if "search" in plan else None)
    assert first_reader("full.distill.lr", plan, method) == ("distill" if "distill" in plan else None)
    assert first_reader("full.teacher.lr", plan, method) == {"full": "mobile", "no mobile form": "distill"}.get(name)
    assert first_reader("objective", plan, method) == next(stage for stage in plan if stage != "mobile")
    assert first_reader("budget", plan, method) == "prune"
    assert first_reader("budget", plan, make_method("dmad", {})) == ("search" if "search" in plan else "prune")
    assert first_reader("search.log_every", plan, method) is None


def test_a_run_that_another_process_holds_is_not_begun_anew(
    once: Path, teacher: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pocketgan.core.run.PATIENCE", 0.0)
    lock = RunLock(once)
    assert lock.acquire()
    more = ("--from", "prune", "--to", "prune")
    line = refused(capsys, *words(teacher / "generator.safetensors", once, *more, budget="5x"))
    assert "is being worked on by another process" in line
    lock.release()


def test_a_search_that_any_budget_shares_has_one_direction(
    unpaired_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--task", "unpaired", "two_way=true")
    line = refused(capsys, *words(unpaired_teacher / "generator_A.safetensors", tmp_path / "run", *more, data="textures"))
    assert "two_way=true: gan-compression searches one direction" in line


def test_two_processes_share_one_run_and_survive_the_death_of_its_owner(
    once: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command twice; the process that began is killed (SIGKILL) in its search, the other one ends the run."""
    out, count = tmp_path / "run", 24
    more = ("--to", "recover", "--resume", f"method_options.candidates={count}", "method_options.lease=1")
    arguments = words(teacher / "generator.safetensors", out, *more)
    monkeypatch.setattr("pocketgan.pipeline.compress.POLL", 0.05, raising=False)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    owner = subprocess.Popen(
        [sys.executable, "-m", "pocketgan", *sorted(map(str, arguments), key=lambda word: "=" in word)],
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    journal = out / "search.journal"

    def kill() -> None:
        while owner.poll() is None and not (journal.exists() and journal.read_text().count('"state":1') > 3):
            time.sleep(0.005)
        owner.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    while not (out / "config.json").exists() and owner.poll() is None:
        time.sleep(0.01)
    command(*arguments)
    killer.join()
    assert owner.wait() == -signal.SIGKILL
    assert (out / "student.safetensors").exists()
    lines = [json.loads(line) for line in (out / "candidates.jsonl").read_text().splitlines()]
    assert sorted(line["number"] for line in lines) == list(range(count))
    assert (out / "searched.safetensors").read_bytes() == (once / "searched.safetensors").read_bytes()


def test_a_search_against_latency_on_features(teacher: Path, features: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ("fitness=kernel", "images=4", "strategy=nsga2", 'against=["macs","latency"]', "strategy_options.population=3")
    more = ("--features", str(features), "--to", "prune", "data.limit=12", *(f"method_options.{option}" for option in options))
    command(*words(teacher / "generator.safetensors", run, *more))
    assert set(entries(run, "search")[-1]["search"]["G"]) == {"largest", "smallest"}
    assert losses(run, "search") >= {"G/gan", "G/l1", "D/d_adv"}
    lines = [json.loads(line) for line in (run / "candidates.jsonl").read_text().splitlines()]
    assert [len(line["scores"]) for line in lines] == [3] * 6
    assert all(line["scores"][1] == line["cost"]["macs"] and 0 < line["scores"][2] < 1e4 for line in lines)
    assert {line["images"] for line in lines} == {3, 4}  # a kernel distance needs three
