"""A generator that somebody else wrote, from its file to a verified student."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import TINY, command, entries, read, refused
from torch import Tensor, nn

import pocketgan
from pocketgan.core.artifact import load_artifact, read_header
from pocketgan.core.inputs import image_channels
from pocketgan.foreign import factory
from pocketgan.foreign.spec import PixelFormat
from pocketgan.methods import METHODS
from pocketgan.utils.onnx_models import open_session

pytestmark = pytest.mark.xdist_group("foreign")

SOURCE = '''
import torch
from torch import nn


class Net(nn.Module):
    """Blue first, 0..255: as nets from OpenCV's world are."""

    def __init__(self, width=8):
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.InstanceNorm2d(width), nn.ReLU())
        pair = lambda: nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1))
        self.body = nn.ModuleList(pair() for _ in range(3))
        self.tail = nn.Conv2d(width, 12, 3, padding=1)
        self.register_buffer("mean", torch.tensor([104.0, 117.0, 123.0])[:, None, None], persistent=False)

    def forward(self, x):
        y = self.head(x - self.mean)
        for two in self.body:
            y = y + two(y)
        return torch.sigmoid(nn.functional.pixel_shuffle(self.tail(y), 2)) * 255


def wide():
    return Net(12)
'''


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The factory and its weights, as a user has them."""
    folder = tmp_path_factory.mktemp("theirs")
    file = folder / "net.py"
    file.write_text(SOURCE)
    torch.manual_seed(0)
    weights = folder / "trained.pth"
    torch.save({f"module.{key}": value for key, value in factory.load_factory(f"{file}:wide")().state_dict().items()}, weights)
    return f"{file}:wide", weights


FLAGS = ("--range", "0..255", "--bgr", "--keep", "body.1.0")


@pytest.fixture(scope="module")
def run(given: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of its student on a folder of inputs, two times smaller."""
    out = tmp_path_factory.mktemp("runs") / "student"
    generator, weights = given
    command(
        *("compress", generator, "--weights", weights, *FLAGS, "--data", "textures", "--task", "inputs"),
        *("--budget", "2x", "--out", out, *TINY),
    )
    return out


@pytest.fixture(scope="module")
def artifact(given: tuple[str, Path]) -> Path:
    """The generator as ``convert`` writes it: with its table and all that was asked for."""
    generator, weights = given
    file = weights.with_name("theirs.safetensors")
    command("convert", generator, "--weights", weights, *FLAGS, "--size", "16", "--out", file)
    return file


def test_the_run_is_like_any_other(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = read(run)
    assert result["student"]["macs"] <= result["budget"]["limit"]
    assert result["export"]["onnx"]["max_abs_diff"] <= 1e-4
    assert result["widths"]["teacher"] == {"head_0": 12, "body_0_0": 12, "body_2_0": 12}
    capsys.readouterr()
    command("inspect", read(run, "config.json")["teacher"], *FLAGS, "--size", "16")
    assert "body.1.0 (kept as asked)" in capsys.readouterr().out
    assert any("black is 0, white 255" in note and "warning" not in note for note in result["notes"])
    assert "black is 0, white 255" in (run / "report.html").read_text()
    assert {path.name.split("_")[-1] for path in (run / "images").iterdir()} >= {"teacher.png", "student.png"}


def test_the_student_is_weights_and_a_factory(run: Path, given: tuple[str, Path]) -> None:
    generator, _ = given
    file = run / "student.safetensors"
    header = read_header(file)
    assert header is not None
    assert header["spec"]["factory"] == "net.py:wide"  # no folder of this machine
    factory._FACTORIES.clear()
    with pytest.raises(ValueError, match=r"student\.safetensors: it is cut from a generator that 'net.py:wide' makes"):
        pocketgan.load(file)
    small = pocketgan.load(f"{generator}@{file}")
    image = torch.rand(1, 3, 16, 20) * 2 - 1
    assert torch.equal(small(image), load_artifact(file).model(image))
    assert torch.equal(small(image), pocketgan.load(file, factory=factory.load_factory(generator))(image))


def test_values_and_colors_are_converted_before_and_behind_it(given: tuple[str, Path], artifact: Path) -> None:
    """The artifact says all of itself: no flag is needed any more."""
    generator, weights = given
    model = pocketgan.load(f"{generator}@{artifact}")
    assert model.spec.images == PixelFormat(range=(0, 255), bgr=True)
    theirs = factory.load_factory(generator)()
    theirs.load_state_dict({key.removeprefix("module."): value for key, value in torch.load(weights).items()})
    image = torch.rand(1, 3, 8, 12)
    with torch.no_grad():
        generated = theirs((image * 255).flip(1)).flip(1) / 255
        torch.testing.assert_close((model(image * 2 - 1) + 1) / 2, generated, atol=1e-6, rtol=0)


def test_the_file_for_devices_has_the_conversions_in_it(run: Path, given: tuple[str, Path]) -> None:
    generator, _ = given
    small = pocketgan.load(f"{generator}@{run / 'student.safetensors'}")
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    generated = open_session(run / "student.onnx", threads=1, label="student").run(None, {"image": image.numpy()})[0]
    np.testing.assert_allclose(generated, small(image).detach().numpy(), atol=1e-4)


def test_a_wrong_range_is_seen_on_a_real_image(
    given: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator, weights = given
    command(
        *("compress", generator, "--weights", weights, "--data", "textures", "--task", "inputs", "--budget", "2x"),
        *("--out", tmp_path / "run", "--to", "prune", *TINY),
    )
    line = " ".join(capsys.readouterr().err.split())
    assert "warning: the teacher's images of real images have values" in line
    assert "--range 0..255" in line


OPTIONS = {"gan-compression": ("method_options.candidates=4", "method_options.images=2")}


@pytest.mark.parametrize("method", sorted({*METHODS} - {"uniform", "magnitude"}))
def test_every_method_and_objective_takes_it(method: str, given: tuple[str, Path], tmp_path: Path, quick_export: None) -> None:
    """On unpaired images, so that a discriminator joins; objectives on layers that were proposed for it."""
    generator, weights = given
    run = tmp_path / "run"
    command(
        *("compress", generator, "--weights", weights, *FLAGS, "--data", "textures", "--budget", "2x", "--method", method),
        *("--objective", "output+features+attention+coattention+kernel-alignment", "--out", run, *TINY),
        *('discriminator_options={"ndf":4,"layers":1}', *OPTIONS.get(method, ())),
    )
    assert read(run, "config.json")["task"] == "unpaired"  # as the data are
    result = read(run)
    assert result["method"] == method
    assert result["budget"]["floor"] <= result["budget"]["reached"] <= result["budget"]["limit"]
    assert bool(entries(run, "search")) == METHODS[method].learns
    assert (run / "candidates.jsonl").exists() == (method == "gan-compression")
    assert image_channels(load_artifact(run / "student_discriminator.safetensors").model) == 3
    small = pocketgan.load(f"{generator}@{run / 'student.safetensors'}")
    assert dict(small.spec.widths) == result["widths"]["student"]


class Generator(nn.Sequential):
    """A network in memory, of a class that takes arguments."""

    def __init__(self, width: int):
        super().__init__(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).tanh()


def test_a_network_in_memory(tmp_path: Path, quick_export: None) -> None:
    """With pairs: the target is the target, and the discriminator sees both."""
    model = Generator(9).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = {
        "recovery__steps": 2,
        "recovery__batch": 2,
        "data__workers": 0,
        "data__limit": 6,
        "evaluation__runtimes": ["torch"],
    }
    settings["discriminator_options"] = {"ndf": 4, "layers": 1}
    done = pocketgan.compress(model, "shapes", budget="2x", size=16, out=tmp_path / "run", progress=False, **settings)
    assert read(tmp_path / "run", "config.json")["task"] == "paired"
    assert "psnr" in done.result["student"]["quality"]
    assert model.training
    assert not hasattr(model, "spec")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    again = pocketgan.load(tmp_path / "run" / "student.safetensors", factory=lambda: Generator(9))
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(again(image), done.student(image))
    assert pocketgan.inspect(Generator(12), size=16)["groups"]["0"]["width"] == 12
    assert done.student.spec.build().spec.full_widths == {"0": 9}  # another one of the class does not take its place
    with pytest.raises(ValueError, match="makes another generator than the one that was compressed"):
        pocketgan.load(tmp_path / "run" / "student.safetensors", factory=lambda: Generator(8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{file}:narrow",), "no factory in {file} named 'narrow'.*There is: .*wide"),
        (("{file}:Net", "--weights", "{weights}"), "does not fit what the factory makes. .* of another shape"),
        (("{file}:wide", "--weights", "nowhere.pth"), "there is no file nowhere.pth"),
        (("{file}:wide", "--keep", "bodi.1"), "no layer named 'bodi.1'. Did you mean"),
        (("{file}:wide", "--range", "255..0"), "range=255..0: black comes first"),
        (("{file}:wide", "--range", "255"), "range=255: write black..white, for example 0..255"),
        (("nowhere.py:wide",), "there is no file nowhere.py"),
        (("nowhere.nothing:wide",), "module nowhere.nothing cannot be imported"),
        (("{student}", "--range", "0..255"), "range and bgr are for a generator given as file.py:factory"),
    ],
)
def test_mistakes_are_named(
    arguments: tuple[str, ...], message: str, given: tuple[str, Path], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator, weights = given
    places = {"file": generator.removesuffix(":wide"), "weights": str(weights), "student": str(run / "student.safetensors")}
    line = refused(capsys, "inspect", *(argument.format(**places) for argument in arguments), "--size", "16")
    assert re.search(message.format(**{name: re.escape(place) for name, place in places.items()}), line), line
