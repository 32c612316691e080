"""From images to a small generator: the files of a run, its figures, and resuming where a run was stopped."""

import math
import shutil
from html import escape
from pathlib import Path

import onnxruntime
import pytest
import torch
from commands import NETS, TINY, bytes_of, command, entries, losses, read, roles
from PIL import Image

import pocketgan
from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.spec import spec_of
from pocketgan.metrics.cost import CostModel
from pocketgan.models import patchgan, resnet

pytestmark = pytest.mark.xdist_group("pipeline")

RESULT = {"params", "macs", "macs_paper", "size", "bytes", "latency_ms", "quality", "spread", "classes"}
TEACHER_QUALITY = {"psnr", "ssim"}
STUDENT_QUALITY = TEACHER_QUALITY | {"psnr_to_teacher", "ssim_to_teacher"}


def test_the_run_of_a_teacher(teacher: Path) -> None:
    result = read(teacher)
    assert set(result) == {"name", "generator", "input", "seed", "seconds", "versions", "machine", "data"}
    assert set(result["generator"]) == RESULT
    assert set(result["seconds"]) == {"train", "evaluate"}
    artifact = load_artifact(teacher / "generator.safetensors")
    assert spec_of(artifact.model) == resnet(8, blocks=2)
    assert spec_of(load_artifact(teacher / "discriminator.safetensors").model) == patchgan(4, 1, in_channels=6)
    assert (artifact.size, artifact.provenance) == (16, {"task": "paired", "seed": 0})
    assert (teacher / "report.html").stat().st_size > 5000
    assert list((teacher / "samples").iterdir())
    assert not list((teacher / "checkpoints").iterdir())


def test_the_files_of_a_student_s_run(student: Path) -> None:
    kept = {path.name for path in student.iterdir()}
    contract = {"config.json", "log.jsonl", "samples", "checkpoints", "student.safetensors", "student.onnx", "result.json"}
    assert kept == contract | {
        "report.html", "images", "pruned.safetensors", "student_discriminator.safetensors", "seconds.json",
        "export.json", ".lock",
    }  # fmt: skip
    assert roles(student) == {"input", "target", "teacher", "student"}
    assert len(list((student / "images").iterdir())) == 3 * 4
    with Image.open(student / "images" / "000_student.png") as output:
        assert output.size == (16, 16)
    assert not list((student / "checkpoints").iterdir())
    page = (student / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")  # names of formats, not addresses
    assert "https://" not in page
    described = read(student)["data"]
    assert [line.split(":")[0].split(" ")[-1] for line in described] == ["(train)", "(test)"]
    assert all(escape(line) in page for line in described)


def test_the_keys_of_result_json(student: Path) -> None:
    result = read(student)
    assert set(result) == {
        *("name", "method", "variant", "objective", "seed", "teacher", "student", "input", "budget", "widths"),
        *("reconstruction", "export", "seconds", "versions", "machine", "notes", "data"),
    }
    for name, quality in (("teacher", TEACHER_QUALITY), ("student", STUDENT_QUALITY)):
        assert set(result[name]) == RESULT
        assert set(result[name]["quality"]) == quality
        assert all(math.isfinite(value) for value in result[name]["quality"].values())
        assert set(result[name]["latency_ms"]) == {"torch"}
        assert set(result[name]["latency_ms"]["torch"]) == {"median", "p10", "p90", "threads", "batch", "repeats"}
    assert set(result["budget"]) == {"asked", "kind", "limit", "reached", "floor"}
    assert set(result["export"]["onnx"]) == {"file", "bytes", "max_abs_diff", "tolerance", "differences"}
    assert result["export"]["onnx"]["max_abs_diff"] < 1e-4
    assert set(result["seconds"]) == {"prune", "recover", "export", "evaluate"}
    assert set(result["versions"]) == {"pocketgan", "torch", "numpy", "onnxruntime"}


def test_the_student_is_below_the_budget_and_the_figures_are_its_own(student: Path, teacher: Path) -> None:
    result, artifact = read(student), load_artifact(student / "student.safetensors")
    large, small = (CostModel(m, 16)() for m in (load_artifact(teacher / "generator.safetensors").model, artifact.model))
    budget = result["budget"]
    assert (budget["asked"], budget["kind"], budget["limit"]) == ("4x", "macs", large.macs // 4)
    assert 0.8 * budget["limit"] < budget["reached"] == small.macs <= budget["limit"]
    assert budget["floor"] < budget["limit"]
    for name, cost in (("teacher", large), ("student", small)):
        assert {key: result[name][key] for key in cost._fields} == cost._asdict()
    assert result["student"]["bytes"] == (student / "student.safetensors").stat().st_size
    assert result["widths"]["student"] == dict(spec_of(artifact.model).widths)
    assert artifact.provenance | {"versions": 0} == {
        "method": "magnitude", "objective": "output+features+attention", "budget": "4x", "seed": 0,
        "teacher": str(teacher / "generator.safetensors"), "versions": 0,
    }  # fmt: skip


def test_the_recovery_imitated_everything_that_was_asked_for(student: Path) -> None:
    assert losses(student, "recover") == {"D/d_adv", "G/gan", "G/l1", "G/output", "G/features", "G/attention"}
    assert not entries(student, "search")
    cut, done = (load_artifact(student / f"{name}.safetensors").model for name in ("pruned", "student"))
    assert spec_of(cut) == spec_of(done)
    assert not torch.equal(cut.head.weight, done.head.weight)


def test_the_teachers_discriminator_goes_on(student: Path, teacher: Path) -> None:
    """Copied, and then trained: as wide as the teacher's, near to it, not the same."""
    ours, theirs = (
        load_artifact(path).model
        for path in (student / "student_discriminator.safetensors", teacher / "discriminator.safetensors")
    )
    assert spec_of(ours) == spec_of(theirs)
    gap = (ours.head.weight - theirs.head.weight).abs().max()
    assert 0 < gap < 3 * 2e-4 * 1.01  # three steps of Adam


def test_the_onnx_file_is_the_student(student: Path) -> None:
    session = onnxruntime.InferenceSession(student / "student.onnx", providers=["CPUExecutionProvider"])
    image = torch.rand(2, 3, 20, 24) * 2 - 1
    (output,) = session.run(None, {"image": image.numpy()})
    with torch.inference_mode():
        expected = load_artifact(student / "student.safetensors").model(image)
    torch.testing.assert_close(torch.from_numpy(output), expected, rtol=0, atol=1e-4)


def again(teacher: Path, run: Path) -> list[object]:
    """The command that made `student`, for a run that goes on."""
    start = ("compress", teacher / "generator.safetensors", "--data", "shapes", "--out", run, "--budget", "4x", "--resume")
    return [*start, "--objective", "output+features+attention", *TINY]


def test_a_finished_run_that_is_resumed_changes_nothing(
    student: Path, teacher: Path, quick_export: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is computed again, so that nothing may even be asked for.
    for name in ("pocketgan.training.loop.Trainer.advance", "pocketgan.deploy.formats.to_onnx"):
        monkeypatch.setattr(name, None)
    commands = {
        student: again(teacher, student),
        teacher: ["train", "--task", "paired", "--data", "shapes", "--out", teacher, "--resume", *TINY, *NETS],
    }
    for run, words in commands.items():
        before = bytes_of(run)
        command(*words)
        after = bytes_of(run)
        assert {name for name in after if after[name] != before[name]} <= {"report.html"}  # with plots, and without
        assert after.keys() == before.keys()
        (run / "report.html").write_bytes(before["report.html"])


LAST = ("result.json", "student.onnx")


@pytest.mark.parametrize(
    "lost",
    [
        (*LAST, "images", "report.html"),
        (*LAST, "student.safetensors", "student_discriminator.safetensors"),
        (*LAST, "student.safetensors", "pruned.safetensors", "seconds.json", "log.jsonl"),
    ],
    ids=["evaluate", "recover", "prune"],
)
def test_a_run_killed_between_its_stages_goes_on_to_the_same_student(
    student: Path, teacher: Path, tmp_path: Path, lost: tuple[str, ...], quick_export: None
) -> None:
    run = tmp_path / "student"
    shutil.copytree(student, run)
    for name in lost:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    command(*again(teacher, run))
    assert set(bytes_of(run)) == set(bytes_of(student))
    for name in ("pruned", "student", "student_discriminator"):
        assert (run / f"{name}.safetensors").read_bytes() == (student / f"{name}.safetensors").read_bytes()
    for name in ("teacher", "student"):
        assert read(run)[name]["quality"] == read(student)[name]["quality"]


def test_unpaired_both_ways_and_then_a_one_way_student(unpaired_teacher: Path, tmp_path: Path, quick_export: None) -> None:
    files = [f"{kind}_{side}.safetensors" for kind in ("discriminator", "generator") for side in "AB"]
    assert sorted(path.name for path in unpaired_teacher.glob("*.safetensors")) == files
    assert losses(unpaired_teacher, "train") == {"G/gan", "G/cycle", "G/identity", "D/d_adv"}
    back = unpaired_teacher / "generator_B.safetensors"
    common = ("--data", "textures", "--task", "unpaired", "--direction", "BtoA", "--budget", "3x", *TINY)
    command("compress", back, *common, "--out", tmp_path / "s", "--objective", "none")
    assert losses(tmp_path / "s", "recover") == {"D/d_adv", "G/gan", "G/l1"}
    discriminator = load_artifact(tmp_path / "s" / "student_discriminator.safetensors").model
    assert spec_of(discriminator) == patchgan(4, 1)  # the one beside the teacher, which scores images without their inputs
    assert set(read(tmp_path / "s")["student"]["quality"]) == {"psnr_to_teacher", "ssim_to_teacher"}
    assert not list((tmp_path / "s" / "images").glob("*_target.png"))


def test_inputs_are_enough_and_need_no_discriminator(teacher: Path, folder: Path, tmp_path: Path, quick_export: None) -> None:
    source = ("compress", teacher / "generator.safetensors", "--data", folder, "--task", "inputs", "--budget", "3x")
    command(*source, "--out", tmp_path / "s", "--method", "uniform", *TINY)
    assert losses(tmp_path / "s", "recover") == {"G/l1", "G/output", "G/features"}
    assert not (tmp_path / "s" / "student_discriminator.safetensors").exists()
    result = read(tmp_path / "s")
    assert result["notes"] == ["no test images: evaluated on the training images"]
    assert set(result["student"]["quality"]) == {"psnr_to_teacher", "ssim_to_teacher"}


def test_fresh_weights_keep_the_widths_alone(teacher: Path, student: Path, tmp_path: Path) -> None:
    source = ("compress", teacher / "generator.safetensors", "--data", "shapes", "--budget", "4x", "--weights", "fresh")
    command(*source, "--out", tmp_path / "s", "--to", "prune", *TINY)
    fresh, kept = (load_artifact(run / "pruned.safetensors").model for run in (tmp_path / "s", student))
    assert spec_of(fresh) == spec_of(kept)
    assert not torch.equal(fresh.stem.conv.weight, kept.stem.conv.weight)
    assert fresh.block0.a.conv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not fresh.stem.conv.bias.any()


def test_a_published_checkpoint_is_a_teacher_with_the_discriminator_beside_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator, discriminator = resnet(6, blocks=1).build(), patchgan(3, 1, in_channels=6).build()
    torch.save(to_published(generator), tmp_path / "latest_net_G.pth")
    torch.save(to_published(discriminator), tmp_path / "latest_net_D.pth")
    assert spec_of(load_checkpoint(tmp_path / "latest_net_G.pth").model) == spec_of(generator)
    command(
        *("compress", tmp_path / "latest_net_G.pth", "--data", "shapes", "--budget", "2.5x", "--out", tmp_path / "s"),
        *("--method", "uniform", "--objective", "attention", "--to", "recover", *TINY),
    )
    assert losses(tmp_path / "s", "recover") == {"D/d_adv", "G/gan", "G/l1", "G/attention"}
    assert spec_of(load_artifact(tmp_path / "s" / "student_discriminator.safetensors").model) == spec_of(discriminator)


def test_the_python_function(teacher: Path, tmp_path: Path, quick_export: None) -> None:
    model = pocketgan.load(teacher / "generator.safetensors")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert pocketgan.inspect(model, size=16)["total"] == CostModel(model, 16)()._asdict()
    done = pocketgan.compress(
        model, "shapes", budget="3x", method="uniform", out=tmp_path / "s", size=16, progress=False,
        device="cpu", recovery__steps=2, recovery__batch=2, data__limit=4, data__workers=0, evaluation__runtimes=["torch"],
        evaluation__repeats=1, task="unpaired", gan="lsgan", teacher_discriminator=str(_discriminator(tmp_path)),
    )  # fmt: skip
    assert done.result == read(done.path)
    assert done.result["student"]["macs"] * 3 <= done.result["teacher"]["macs"]
    assert not done.student.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def _discriminator(folder: Path) -> Path:
    save_artifact(folder / "discriminator.safetensors", patchgan(3, 1).build(), size=16)
    return folder / "discriminator.safetensors"
