"""A mistake of the user is answered with one line that says what, where and what to do, and exit code 2."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from pocketgan.models import patchgan, resnet
from pocketgan.pipeline import measure

Refused = Callable[..., str]
COMPRESS = ("--budget", "2x", "--device", "cpu", "--steps", "1")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that has to fail; return its one line of error, the last."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        *described, line = err.splitlines()
        assert all("(test): " in text for text in described)  # how the data were read
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    return run


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained generator."""
    path = tmp_path_factory.mktemp("artifact") / "generator.safetensors"
    torch.manual_seed(0)
    save_artifact(path, resnet(4, blocks=1).build(), size=32)
    return path


def images(folder: Path, *names: str, size: tuple[int, int] = (40, 40)) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        Image.fromarray(np.full((size[1], size[0], 3), 99, np.uint8)).save(folder / name)
    return folder


def test_unknown_words_are_answered_with_the_nearest(refused: Refused, artifact: Path, tmp_path: Path) -> None:
    train = ("train", "--task", "paired", "--data", "shapes", "--out", tmp_path / "run", "--size", "32")
    compress = ("compress", artifact, "--data", "shapes", "--out", tmp_path / "run", *COMPRESS)
    assert refused("compres").startswith("no command named 'compres'. Did you mean 'compress'? There is: compare, compress,")
    assert refused(*compress, "--method", "magnitud").startswith("no method named 'magnitud'. Did you mean 'magnitude'?")
    assert refused(*compress, "--objective", "featurs").startswith("no objective named 'featurs'. Did you mean 'features'?")
    assert refused(*train, "--arch", "resent").startswith("no model named 'resent'. Did you mean 'resnet'?")
    assert refused(*train, "training.stps=3").startswith("no field named 'training.stps'. Did you mean 'training.steps'?")
    assert refused(*train, "fitsteps").startswith("'fitsteps' is not an override: write field=value")
    assert refused(*train, "training.steps=many").startswith("training.steps='many': Input should be a valid integer")
    assert "no metric named 'ssmi'. Did you mean 'ssim'?" in refused(*train, 'evaluation.metrics=["ssmi"]')
    assert refused("recipes", "map-teacher").startswith("no recipe named 'map-teacher'. Did you mean 'maps-teacher'?")
    assert refused(*compress, "method_options.leest=1").startswith("no field named 'leest'. Did you mean 'least'?")
    assert not (tmp_path / "run").exists()


def test_needs_of_later_stages_are_checked_first(refused: Refused, artifact: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train = ("train", "--task", "paired", "--data", "shapes", "--out", run, "--size", "32")
    compress = ("compress", artifact, "--data", "shapes", "--out", run, *COMPRESS)
    for command in (train, compress):
        assert refused(*command, "--features", tmp_path / "none.onnx").startswith(f"no feature extractor {tmp_path}/none.onnx")
        assert refused(*command, 'evaluation.runtimes=["tflite"]').startswith("no runtime named 'tflite'")
    save_artifact(tmp_path / "discriminator.safetensors", patchgan(4, 1).build(), size=32)
    line = refused(*compress, "--teacher-discriminator", tmp_path / "discriminator.safetensors")
    assert line.startswith(
        f"{tmp_path}/discriminator.safetensors scores 3 channels, a paired task needs 6: give another, or leave"
    )
    assert refused(*compress, "--teacher-discriminator", tmp_path / "no.pth") == f"there is no file {tmp_path}/no.pth"
    assert not run.exists()


def test_sizes_that_do_not_fit(refused: Refused, artifact: Path, tmp_path: Path) -> None:
    train = ("train", "--task", "paired", "--data", "shapes", "--out", tmp_path / "run")
    compress = ("compress", artifact, "--data", "shapes", "--out", tmp_path / "run", *COMPRESS)
    advice = "size=50 is no multiple of 4, the generator's stride: take 48 or 52"
    small = "arch_options.ngf=4"
    assert refused(*train, "--size", "50", small) == advice
    assert refused(*compress, "--size", "50") == advice
    assert refused("evaluate", artifact, "--data", "shapes", "--size", "50") == advice
    line = refused(*train, "--size", "16", small)
    assert line.startswith("size=16 is too small for the discriminator (")
    assert line.endswith("take larger images or fewer layers")
    assert refused(*train, "--size", "64", "--arch", "unet", small).startswith("size=64 is no multiple of 256")
    assert not (tmp_path / "run").exists()


def test_budgets_that_cannot_be_met(refused: Refused, artifact: Path, tmp_path: Path) -> None:
    compress = ("compress", artifact, "--data", "shapes", "--out", tmp_path / "run", "--device", "cpu", "--budget")
    assert "is below the floor: with every group at its least width the network still has" in refused(*compress, "10params")
    assert refused(*compress, "small").startswith("budget 'small' is not understood; write it like 2.6G (exact MACs)")
    assert "it is within that already" in refused(*compress, "900G")
    assert refused(*compress, "NaN", "--dry-run").startswith("budget 'NaN' is not understood; write it like 2.6G (exact MACs)")
    assert refused("inspect", artifact, "--multiple", 0) == "multiple=0 must be at least 1"
    assert refused(*compress, "9" * 400).startswith("budget '999")
    compare = ("compare", artifact, "--data", "shapes", "--out", tmp_path / "run", "--methods", "uniform", "--dry-run")
    assert refused(*compare, "--budgets", "2x,0.5x").startswith("budget '0.5x': a ratio is above 1")
    assert not (tmp_path / "run").exists()


def test_wrong_checkpoints(refused: Refused, tmp_path: Path) -> None:
    def compress(file: Path) -> str:
        return refused("compress", file, "--data", "shapes", "--out", tmp_path / "run", *COMPRESS)

    missing, text, other = tmp_path / "no.safetensors", tmp_path / "text.safetensors", tmp_path / "other.pth"
    assert compress(missing) == f"there is no file {missing}"
    text.write_text("not a checkpoint, but long enough to be looked at")
    assert compress(text).startswith(f"{text} is not a whole safetensors file")
    torch.save({"fc.weight": torch.ones(2, 2)}, other)
    assert compress(other).startswith(f"{other} is of no known family")
    torch.save({"model": torch.nn.Linear(2, 2)}, other)
    assert str(other) in compress(other)  # it would have to be run to be read
    for command in ("inspect", "evaluate", "export", "latency"):
        extra = {"evaluate": ("--data", "shapes"), "export": ("--out", tmp_path / "x.onnx")}.get(command, ())
        assert refused(command, missing, *extra) == f"there is no file {missing}"


def test_data_that_cannot_be_used(refused: Refused, artifact: Path, tmp_path: Path) -> None:
    def paired(data: Path, task: str = "paired") -> str:
        return refused("train", "--task", task, "--data", data, "--out", tmp_path / "run", "--size", "32", "--device", "cpu")

    data = tmp_path / "corrupt"
    images(data / "trainA", "0.png", "1.png")
    images(data / "trainB", "0.png", "1.png")
    (data / "trainA" / "1.png").write_bytes(b"")
    line = paired(data)
    assert f"{data}/trainA/1.png: " in line
    assert f"`pocketgan data check {data}` lists all" in line

    data = tmp_path / "lonely"
    images(data / "trainA", "0.png", "1.png")
    images(data / "trainB", "0.png", "2.png")
    line = paired(data)
    assert f"{data}: 2 problems: {data}/trainA/1.png: has no partner of its name in {data}/trainB (the task unpaired" in line
    assert f"{data}/trainB/2.png: has no partner" in line

    data = tmp_path / "empty"
    images(data / "trainA", "0.png")
    (data / "trainB").mkdir()
    assert f"{data}/trainB holds no images" in paired(data, "unpaired")
    assert "does not exist: give a folder of images, or a built-in set (shapes, textures)" in paired(tmp_path / "shaeps")
    assert not (tmp_path / "run").exists()


def test_an_image_that_is_damaged_inside_is_named_when_it_is_read(refused: Refused, artifact: Path, tmp_path: Path) -> None:
    """The check before a run reads headers only."""
    folder = images(tmp_path / "flat", "0.jpg", "1.jpg", size=(200, 200))
    (folder / "1.jpg").write_bytes((folder / "1.jpg").read_bytes()[:-400])
    line = refused("evaluate", artifact, "--data", folder, "--task", "inputs", "--teacher", artifact)
    assert f"{folder}/1.jpg" in line


def test_an_image_that_is_smaller_than_its_center(
    refused: Refused, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces, reason = images(tmp_path / "faces", "0.png"), "smaller than the central 64x64 that center=64 cuts out"
    assert f"{faces}/0.png: is 40x40, {reason}" in refused(
        "evaluate", artifact, "--data", faces, "--task", "inputs", "--teacher", artifact, "--center", 64
    )
    monkeypatch.setattr(measure, "make_extractor", lambda features: SimpleNamespace(name=features))
    stats = ("stats", faces, "--side", "A", "--features", "any", "--out", tmp_path / "faces.npz")
    assert f"{faces}/0.png: is 40x40, {reason}" in refused(*stats, "--center", 64)


def test_an_output_that_cannot_be_written(refused: Refused, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused("compress", artifact, "--data", "shapes", "--out", tmp_path / "file" / "run", *COMPRESS)
    assert f"{tmp_path}/file" in line


def test_a_run_that_is_there_is_not_overwritten(refused: Refused, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "run" / "pruned.safetensors").touch()
    compress = ("compress", artifact, "--data", "shapes", "--out", tmp_path / "run", *COMPRESS)
    assert refused(*compress) == f"{tmp_path}/run holds a run already: --resume continues it, another --out begins a new one"
    assert "was begun with another configuration; it differs in " in refused(*compress, "--resume")


@pytest.mark.parametrize("flags", [("--stesp", "3"), ("--steps", "many"), ("--task", "pared")])
def test_unknown_flags_and_values(flags: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--task", "paired", "--data", "shapes", "--out", "x", *flags])
    assert caught.value.code == 2
    assert flags[0] in capsys.readouterr().err
