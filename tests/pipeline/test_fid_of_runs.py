"""FID and KID through the commands, with a quick network in place of Inception: real images, statistics files, names."""

from pathlib import Path

import numpy as np
import pytest
import torch
from commands import TINY, answer, command, read, refused
from PIL import Image

from inception_weights import pretend
from pocketgan.core.artifact import save_artifact
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import eval_batches
from pocketgan.metrics.distances import frechet_distance, kernel_distance
from pocketgan.metrics.statistics import F64, Moments
from pocketgan.models import resnet
from pocketgan.pretrained.extractors import InceptionFeatures
from pocketgan.pretrained.weights import HOME, Published
from pocketgan.utils.files import digest


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    return pretend(tmp_path / "home", monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Unpaired images: 6 of A and 5 of B in each split."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for side, count in (("A", 6), ("B", 5)):
            folder = tmp_path / "zebra" / f"{split}{side}"
            folder.mkdir(parents=True)
            for index in range(count):
                coarse = rng.integers(0, 256, (3, 3, 3)).astype(np.uint8)
                Image.fromarray(coarse).resize((16, 16), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return tmp_path / "zebra"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_artifact(tmp_path / "net.safetensors", resnet(4, blocks=0).build(), size=16)
    return tmp_path / "net.safetensors"


def measured(capsys: pytest.CaptureFixture[str], artifact: Path, data: Path, *arguments: object) -> dict[str, float]:
    return answer(capsys, "evaluate", artifact, "--data", data, "--task", "unpaired", *arguments)["quality"]


def rows(data: Path, side: str, *splits: str, protocol: str = "legacy") -> F64:
    """The features of the real images of a side, in order."""
    config = DataConfig(path=str(data), size=16, workers=0, direction="AtoB" if side == "A" else "BtoA")
    extract = InceptionFeatures(protocol)
    batches = [b for split in splits for b in eval_batches(open_data(config, "inputs", split), batch=3, workers=0)]
    return np.concatenate([extract(batch.images["input"]) for batch in batches])


def generated(artifact: Path, data: Path) -> F64:
    from pocketgan import load

    config = DataConfig(path=str(data), size=16, workers=0)
    (batch,) = eval_batches(open_data(config, "inputs", "test"), batch=6, workers=0)
    with torch.inference_mode():
        return InceptionFeatures("legacy")(load(artifact).eval()(batch.images["input"]))


def test_the_name_of_a_distance_says_which_real_images(
    artifact: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes = generated(artifact, data)
    test, both = rows(data, "B", "test"), rows(data, "B", "train", "test")
    kid = kernel_distance(fakes, test).value
    to_test = measured(capsys, artifact, data, "--features", "inception:legacy")
    assert to_test == pytest.approx(
        {"FID[legacy,test]": frechet_distance(Moments.of(fakes), Moments.of(test)), "KID[legacy,test]": kid}, rel=1e-5
    )
    wide = frechet_distance(Moments.of(fakes), Moments.of(both))
    to_both = measured(capsys, artifact, data, "--features", "inception:legacy", "--reals", "train+test")
    assert to_both == pytest.approx({"FID[legacy,train+test]": wide, "KID[legacy,test]": kid}, rel=1e-5)
    # The same from a file of ours, which names its images, and with the other side as input.
    out = tmp_path / "b.npz"
    command("stats", data, "--side", "B", "--features", "inception:legacy", "--out", out, "--size", 16, "--split", "train+test")
    assert measured(capsys, artifact, data, "--features", "inception:legacy", "--stats", out) == pytest.approx(
        to_both, rel=1e-9
    )
    back = measured(capsys, artifact, data, "--features", "inception", "--metrics", "fid", "--direction", "BtoA")
    assert set(back) == {"FID[clean,test]"}


def test_published_statistics_are_found_and_named(artifact: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = Moments.of(rows(data, "B", "train", "test"))
    np.savez(data / "zebra_B.npz", mu=both.mu, sigma=both.sigma)  # as published: two arrays without a name
    distances = measured(capsys, artifact, data, "--features", "inception:legacy", "--metrics", "fid,kid")
    fakes = generated(artifact, data)
    assert set(distances) == {"FID[legacy,real_stat]", "KID[legacy,test]"}
    assert distances["FID[legacy,real_stat]"] == pytest.approx(frechet_distance(Moments.of(fakes), both), rel=1e-4)
    command("evaluate", artifact, "--data", data, "--task", "unpaired", "--features", "inception:legacy")
    message = capsys.readouterr().err.replace("\n", "")  # the console breaks lines where they end
    assert "zebra_B.npz" in message
    assert "which was found with the data" in message
    # The file is not for the clean protocol, the other side, or both splits.
    assert "FID[clean,test]" in measured(capsys, artifact, data, "--features", "inception:clean")
    assert "FID[legacy,test]" in measured(capsys, artifact, data, "--features", "inception:legacy", "--direction", "BtoA")
    both_splits = measured(capsys, artifact, data, "--features", "inception:legacy", "--reals", "train+test")
    assert "FID[legacy,train+test]" in both_splits


def test_other_distances_are_refused_or_have_another_name(
    artifact: Path, data: Path, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.pth"
    own.write_bytes(b"other weights")
    name = f"inception-legacy-{digest(own)[:8]}"
    distances = measured(capsys, artifact, data, "--features", f"inception:legacy:{own}")
    assert set(distances) == {f"frechet[{name}]", f"kernel[{name}]"}
    base = ("evaluate", artifact, "--data", data, "--task", "unpaired")
    line = refused(capsys, *base, "--features", f"inception:legacy:{own}", "--metrics", "kid")
    assert "holds other weights than the published ones, so no number on it is kid: ask for kernel" in line
    line = refused(capsys, *base, "--features", features, "--metrics", "fid")
    assert "fid is measured on Inception's features only" in line
    assert "fid is measured on features" in refused(capsys, *base, "--metrics", "fid")
    assert "no metric named 'fidd'. Did you mean 'fid'?" in refused(capsys, *base, "--metrics", "fidd")
    line = refused(capsys, *base, "--features", features, "--reals", "train+test", "--stats", "x.npz")
    assert "reals=train+test has no effect with stats=x.npz" in line
    line = refused(
        capsys, "evaluate", artifact, "--data", data, "--task", "inputs", "--features", features, "--reals", "train+test",
        "--teacher", artifact,
    )  # fmt: skip
    assert "inputs alone have no real targets" in line


def test_missing_weights_are_reported_at_once(
    artifact: Path, data: Path, tmp_path: Path, published: Published, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home" / published.file).unlink()
    line = refused(capsys, "evaluate", artifact, "--data", data, "--task", "unpaired", "--features", "inception")
    assert "the Inception weights of FID" in line
    assert published.file in line
    assert HOME in line
    out = tmp_path / "run"
    line = refused(
        capsys, "train", "--task", "unpaired", "--data", data, "--out", out, "--size", "16", "--features", "inception:legacy"
    )
    assert "the Inception weights of FID" in line
    assert not out.exists()


@pytest.mark.usefixtures("quick_export")
def test_a_run_notes_the_source_of_its_real_images(artifact: Path, data: Path, tmp_path: Path) -> None:
    test = Moments.of(rows(data, "B", "test"))
    (data / "real_stat").mkdir()
    np.savez(data / "real_stat" / "real_stat_B.npz", mu=test.mu, sigma=test.sigma)
    out = tmp_path / "run"
    command(
        *("compress", artifact, "--data", data, "--task", "unpaired", "--out", out, "--budget", "2x"),
        *(
            "--features",
            "inception:legacy",
            "--objective",
            "output",
            *TINY,
            "multiple=1",
            'discriminator_options={"ndf":4,"layers":1}',
        ),
    )
    result = read(out)
    assert any("real_stat_B.npz, which was found with the data" in note for note in result["notes"])
    assert {"FID[legacy,real_stat]", "KID[legacy,test]"} <= set(result["student"]["quality"])
    assert "KID[legacy,test]" in result["student"]["spread"]
