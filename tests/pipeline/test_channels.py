"""Networks whose images are not RGB, through every task, metric, export and report."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from commands import TINY, command, read, refused
from PIL import Image

import pocketgan
from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.core.inputs import image_channels, output_channels
from pocketgan.core.spec import MODELS
from pocketgan.foreign.factory import load_factory
from pocketgan.utils.images import as_channels, to_uint8
from pocketgan.utils.onnx_models import open_session

pytestmark = pytest.mark.xdist_group("channels")

SOURCE = """
from torch import nn


def _net(reads, makes):
    def make():
        unit = nn.Sequential(nn.Conv2d(reads, 8, 3, padding=1), nn.InstanceNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        return nn.Sequential(unit, nn.ReLU(), nn.Conv2d(8, makes, 3, padding=1), nn.Tanh())
    return make
"""
SMALL = 'discriminator_options={"ndf":4,"layers":1}'
ENDS = [(1, 1), (3, 1), (1, 3), (3, 2), (3, 4), (1, 6)]
SOURCE += "\n".join(f"net_{reads}_{makes} = _net({reads}, {makes})" for reads, makes in [*ENDS, (2, 3), (6, 3)])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of factories, by their channels."""
    file = tmp_path_factory.mktemp("channels") / "nets.py"
    file.write_text(SOURCE)
    return file


@pytest.mark.parametrize(("reads", "makes"), ENDS)
def test_any_number_of_channels_is_compressed(source: Path, tmp_path: Path, reads: int, makes: int) -> None:
    command(
        *("compress", f"{source}:net_{reads}_{makes}", "--data", "textures", "--task", "inputs", "--budget", "2x"),
        *("--out", tmp_path / "run", *TINY),
    )
    result = read(tmp_path / "run")
    assert result["export"]["onnx"]["max_abs_diff"] <= 1e-4
    assert ("input" in result) == (reads == makes)  # else the unchanged input is no image to compare
    false_color = f"images of {makes} channels are shown in false color: red is channel 1, green channel 2"
    assert any(note.startswith(false_color) for note in result["notes"]) == (makes in (2, 4, 6))
    assert (false_color in (tmp_path / "run" / "report.html").read_text()) == (makes in (2, 4, 6))
    graph = onnx.load(tmp_path / "run" / "student.onnx").graph
    ends = [value.type.tensor_type.shape.dim[1].dim_value for value in (graph.input[0], graph.output[0])]
    assert ends == [reads, makes]
    shown = np.asarray(Image.open(tmp_path / "run" / "images" / "000_student.png"))
    assert shown.shape == (16, 16, 3)
    assert (shown == shown[..., :1]).all() == (makes == 1)


@pytest.mark.parametrize(("reads", "makes"), [(1, 1), (3, 1)])
@pytest.mark.parametrize("task", ["paired", "unpaired"])
def test_published_checkpoints_of_gray_images(tmp_path: Path, task: str, reads: int, makes: int) -> None:
    torch.manual_seed(0)
    model = MODELS["resnet"](ngf=4, blocks=1, in_channels=reads, out_channels=makes).build()
    torch.save(to_published(model), tmp_path / "latest_net_G.pth")
    assert load_checkpoint(tmp_path / "latest_net_G.pth").model.spec == model.spec
    data = "shapes" if task == "paired" else "textures"
    command(
        *("compress", tmp_path / "latest_net_G.pth", "--data", data, "--task", task, "--budget", "2x"),
        *("--out", tmp_path / "run", *TINY, SMALL),
    )
    result = read(tmp_path / "run")
    assert result["student"]["quality"]["psnr_to_teacher"] > 0
    assert result["export"]["onnx"]["max_abs_diff"] <= 1e-4


@pytest.mark.parametrize("task", ["paired", "unpaired"])
def test_teachers_of_gray_images(tmp_path: Path, task: str) -> None:
    nets = ('arch_options={"ngf":4,"blocks":1,"out_channels":1}', 'discriminator_options={"ndf":4,"layers":1}')
    data = "shapes" if task == "paired" else "textures"
    command("train", "--task", task, "--data", data, "--out", tmp_path / "run", *TINY, *nets)
    name = "generator" if task == "paired" else "generator_A"
    forward = pocketgan.load(tmp_path / "run" / f"{name}.safetensors")
    assert (image_channels(forward), output_channels(forward)) == (3, 1)
    discriminator = pocketgan.load(tmp_path / "run" / f"{name.replace('generator', 'discriminator')}.safetensors")
    assert image_channels(discriminator) == (4 if task == "paired" else 1)
    if task == "unpaired":
        back = pocketgan.load(tmp_path / "run" / "generator_B.safetensors")
        assert (image_channels(back), output_channels(back)) == (1, 3)


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("net_2_3", "inputs", r"reads 2 channels, the inputs in textures have 3"),
        ("net_6_3", "inputs", r"reads 6 channels, the inputs in textures have 3"),
        ("net_3_4", "unpaired", r"makes 4 channels, the targets in textures have 3: take task=inputs"),
    ],
)
def test_channels_that_the_data_lack_are_refused_at_once(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, task: str, words: str
) -> None:
    """The remedy of the last one, task=inputs, is what the first test does."""
    out = tmp_path / "run"
    line = refused(
        capsys,
        *("compress", f"{source}:{name}", "--data", "textures", "--task", task, "--budget", "2x", "--out", out, *TINY),
    )
    assert words in line
    assert not out.exists()


def test_features_see_rgb_or_gray(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], features: Path) -> None:
    run = ("compress", "--data", "textures", "--budget", "2x", "--features", features, *TINY)
    line = refused(capsys, *run, f"{source}:net_3_4", "--task", "inputs", "--out", tmp_path / "four")
    assert "makes 4 channels; leave it out" in line
    command(*run, f"{source}:net_3_1", "--task", "unpaired", "--out", tmp_path / "gray", SMALL)
    quality = read(tmp_path / "gray")["student"]["quality"]
    assert any(name.startswith("frechet[") for name in quality)


def test_gray_is_what_pillow_calls_gray() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    ours = ((as_channels(image, 1)[0, 0] + 1) * 127.5).numpy()
    assert np.abs(ours - np.asarray(Image.fromarray(pixels).convert("L"), float)).max() <= 1  # Pillow truncates
    assert as_channels(image, 3) is image


@pytest.mark.parametrize(("channels", "shown"), [(1, (0, 0, 0)), (2, (0, 1, None)), (3, (0, 1, 2)), (6, (0, 1, 2))])
def test_images_are_shown_by_their_first_channels(channels: int, shown: tuple[int | None, ...]) -> None:
    levels = torch.arange(channels).float() / 8
    pixel = to_uint8((levels * 2 - 1).view(-1, 1, 1))[0, 0]
    assert [int(value) for value in pixel] == [0 if c is None else round(c / 8 * 255) for c in shown]


def test_blue_first_needs_colors(source: Path) -> None:
    with pytest.raises(ValueError, match="makes 4 channels, and only three have an order of colors"):
        pocketgan.api.inspect(f"{source}:net_3_4", size=16, bgr=True)


def test_facts_of_a_factory_are_taken_by_every_command_that_loads_one(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = load_factory(f"{source}:net_1_1")
    first, second = make(), make()
    weights = tmp_path / "two.pth"
    torch.save({"params": first.state_dict(), "params_ema": second.state_dict()}, weights)
    given = (f"{source}:net_1_1", "--size", "16")
    line = refused(capsys, "export", *given, "--weights", weights, "--out", tmp_path / "net.onnx")
    facts = ("--keep", "0.0", "--range", "0..1", line.partition("choose one by ")[2].split()[0], "params_ema")
    command("export", *given, "--weights", weights, *facts, "--out", tmp_path / "net.onnx")
    image = torch.rand(1, 1, 16, 16)
    made = open_session((tmp_path / "net.onnx").read_bytes(), threads=1, label="net").run(
        None, {"image": (image * 2 - 1).numpy()}
    )
    torch.testing.assert_close(torch.from_numpy(made[0]), second(image).detach() * 2 - 1, rtol=0, atol=1e-5)
    command("latency", f"{given[0]}@{weights}", *given[1:], *facts, "--repeats", "1", "--runtime", "torch")
    command("evaluate", *given, "--weights", weights, *facts, "--data", "shapes", "--device", "cpu")
    assert "psnr:" in capsys.readouterr().out
