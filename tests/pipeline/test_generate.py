"""Images of seeds: the same latents on every machine, and interpolations between two of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from pocketgan.core.inputs import latent_from_seed
from pocketgan.data.images import first_images
from pocketgan.models.munit import without_style_encoder
from pocketgan.pipeline.generate import LatentSampler, parse_seeds, spherical
from pocketgan.utils.images import to_uint8
from zoo import randomized, tiny

GAP = 2
Refused = Callable[..., str]


def saved(folder: Path, name: str, model: nn.Module, size: int) -> Path:
    save_artifact(folder / f"{name}.safetensors", model, size=size)
    return folder / f"{name}.safetensors"


@pytest.fixture(scope="module")
def sagan() -> nn.Module:
    return randomized(tiny("sagan", size=32, latent=9, spectral=False))


@pytest.fixture(scope="module")
def stylegan2() -> nn.Module:
    """With the initial mapping network: small random weights would give every seed nearly the same style."""
    spec = tiny("stylegan2", size=8, latent=6, mapping=2)
    model: Any = randomized(spec)
    torch.manual_seed(0)
    model.mapper.load_state_dict(spec.build().mapper.state_dict())
    return model


@pytest.fixture(scope="module")
def munit() -> nn.Module:
    return randomized(tiny("munit", blocks=1, style_dim=6))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, sagan: nn.Module, stylegan2: nn.Module, munit: nn.Module) -> Path:
    """A teacher and a student that generate from latents, one with a mapping network, two of styles, one of images."""
    folder = tmp_path_factory.mktemp("generators")
    saved(folder, "teacher", sagan, 32)
    saved(folder, "student", randomized(tiny("sagan", size=32, latent=9, spectral=False), seed=1), 32)
    saved(folder, "mapped", stylegan2, 8)
    saved(folder, "styles", munit, 16)
    saved(folder, "latent-styles", without_style_encoder(munit), 16)
    saved(folder, "images", randomized(tiny("resnet", blocks=0)), 16)
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for index in range(2):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / "photos" / f"{index}.png")
    return folder


@pytest.fixture
def generate(files: Path, tmp_path: Path) -> Callable[..., Path]:
    """Run the command on named artifacts; the path that it wrote."""

    def run(names: str, out: str, *flags: object) -> Path:
        artifacts = [str(files / f"{name}.safetensors") for name in names.split()]
        assert main(["generate", *artifacts, "--out", str(tmp_path / out), *map(str, flags)]) == 0
        return tmp_path / out

    return run


@pytest.fixture
def refused(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run the command, which has to fail with one line and to write nothing; its message."""

    def run(names: str, *flags: object, out: str = "x.png") -> str:
        artifacts = [str(files / f"{name}.safetensors") for name in names.split()]
        assert main(["generate", *artifacts, "--out", str(tmp_path / out), *map(str, flags)]) == 2
        assert not any(tmp_path.iterdir())
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("error: ")

    return run


def tiles(file: Path, side: int) -> list[list[np.ndarray]]:
    """The images of a sheet of squares, row by row."""
    pixels, step = np.asarray(Image.open(file)), side + GAP
    assert not pixels.shape[0] % step
    assert not pixels.shape[1] % step
    return [
        [pixels[top : top + side, left : left + side] for left in range(0, pixels.shape[1], step)]
        for top in range(0, pixels.shape[0], step)
    ]


def generated(model: nn.Module, *given: Tensor) -> np.ndarray:
    """The image as its file holds it."""
    with torch.inference_mode():
        return to_uint8(model(*given)[0])


def same(images: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return len(images) == len(expected) and all(map(np.array_equal, images, expected))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-3", (0, 1, 2, 3)), ("7", (7,)), ("0,3,7", (0, 3, 7)), ("2-3, 0,5-5", (2, 3, 0, 5)), ("1,1", (1, 1))],
)
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,", "-4", "1.5", "1-2-3"])
def test_no_seeds(text: str) -> None:
    with pytest.raises(ValueError, match="is no seed and no range; write 0-15, or 0,3,7"):
        parse_seeds(text)


def test_the_latent_of_a_seed_is_a_stored_value_and_normal() -> None:
    """Users know their images by seed: another generator of random numbers would change every image."""
    assert latent_from_seed(0, 3).tolist() == [pytest.approx([1.117622, -1.387125, -0.4265716])]
    many = torch.cat([latent_from_seed(seed, 100) for seed in range(100)])
    assert abs(float(many.mean())) < 4 / 100
    assert abs(float(many.std()) - 1) < 4 / 100 / 2**0.5
    assert float(torch.corrcoef(many).fill_diagonal_(0).abs().max()) < 0.5


def test_each_network_has_a_row_of_the_same_seeds(generate: Callable[..., Path], sagan: nn.Module, files: Path) -> None:
    seeds = (0, 1, 2, 5)
    rows = tiles(generate("teacher student", "both.png", "--seeds", "0-2,5", "--columns", 3), 32)
    teacher = [generated(sagan, latent_from_seed(seed, 9)) for seed in seeds]
    student = [
        generated(randomized(tiny("sagan", size=32, latent=9, spectral=False), seed=1), latent_from_seed(s, 9)) for s in seeds
    ]
    assert same(rows[0], teacher[:3])
    assert same(rows[1], student[:3])
    assert same(rows[2][:1], teacher[3:])
    assert same(rows[3][:1], student[3:])
    assert all((tile == 255).all() for row in rows[2:] for tile in row[1:])


def test_a_folder_has_a_file_a_seed(generate: Callable[..., Path], sagan: nn.Module) -> None:
    folder = generate("teacher", "folder", "--seeds", "3,12")
    assert sorted(path.name for path in folder.iterdir()) == ["seed0003.png", "seed0012.png"]
    assert np.array_equal(np.asarray(Image.open(folder / "seed0012.png")), generated(sagan, latent_from_seed(12, 9)))


def test_truncation(generate: Callable[..., Path], stylegan2: nn.Module) -> None:
    at = {psi: tiles(generate("mapped", f"{psi}.png", "--seeds", "0-3", "--truncation", psi), 8)[0] for psi in (0, 0.5, 1)}
    network: Any = stylegan2
    w = [network.mapping(latent_from_seed(seed, 6)) for seed in range(4)]
    center = network.w_avg
    halfway = [generated(network.synthesis, (style + center) / 2) for style in w]
    assert same(at[0], [generated(network.synthesis, center[None])] * 4)
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(at[0.5], halfway, strict=True))
    assert not same(at[1][:1], at[1][1:2])
    assert same(at[1], tiles(generate("mapped", "plain.png", "--seeds", "0-3"), 8)[0])
    assert same(at[1], [generated(network, latent_from_seed(seed, 6)) for seed in range(4)])


def test_the_great_circle() -> None:
    first, last = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0]])
    for t in (0.25, 0.5, 0.9):
        angle = t * torch.pi / 2
        expected = 3 * torch.tensor([[np.cos(angle), 0, np.sin(angle)]], dtype=torch.float32)
        torch.testing.assert_close(spherical(first, last, t), expected)
    a, b = latent_from_seed(0, 9), latent_from_seed(1, 9)
    assert spherical(a, b, 0).equal(a)
    assert spherical(a, b, 1).equal(b)
    torch.testing.assert_close(spherical(a, b, 0.3), spherical(b, a, 0.7))
    assert spherical(a, a, 0.4).equal(a)
    torch.testing.assert_close(spherical(a, -a, 0.25), a / 2)


@pytest.mark.parametrize(("name", "side"), [("teacher", 32), ("mapped", 8)])
def test_an_interpolation_ends_in_the_images_of_the_seeds(generate: Callable[..., Path], name: str, side: int) -> None:
    (seeds,) = tiles(generate(name, "seeds.png", "--seeds", "4,0,9"), side)
    strip = tiles(generate(name, "strip.png", "--interpolate", "4,0,9", "--frames", 5), side)
    assert [len(row) for row in strip] == [5, 5]
    assert same([strip[0][0], strip[0][-1], strip[1][0], strip[1][-1]], [seeds[0], seeds[1], seeds[1], seeds[2]])
    assert not same([strip[0][2]], [seeds[0]])


def test_with_a_mapping_network_interpolation_is_linear_in_styles(stylegan2: nn.Module) -> None:
    generator = LatentSampler(stylegan2)
    first, last = generator.code(0), generator.code(1)
    torch.testing.assert_close(generator.between(first, last, 0.25), 0.75 * first + 0.25 * last)
    latent = LatentSampler(randomized(tiny("sagan", size=32, latent=9, spectral=False)))
    assert latent.between(latent.code(0), latent.code(1), 0.25).equal(
        spherical(latent_from_seed(0, 9), latent_from_seed(1, 9), 0.25)
    )


@pytest.mark.parametrize(("ending", "exact"), [("webp", True), ("gif", False)])
def test_a_video_is_its_strip(generate: Callable[..., Path], ending: str, exact: bool) -> None:
    way = ("--interpolate", "4,0,9", "--frames", 4)
    rows = tiles(generate("teacher", "strip.png", *way), 32)
    with Image.open(generate("teacher", f"way.{ending}", *way, "--fps", 10)) as video:
        frames = []
        for index in range(video.n_frames):
            video.seek(index)
            frames.append(np.asarray(video.convert("RGB")))
            assert video.info["duration"] == 100
        assert video.info["loop"] == 0
    assert len(frames) == 7  # the seed in the middle is one frame
    expected = [*rows[0], *rows[1][1:]]
    assert not exact or same(frames, expected)
    assert all(np.abs(a.astype(int) - b).mean() < 8 for a, b in zip(frames, expected, strict=True))


def test_of_several_artifacts_a_frame_is_a_column(generate: Callable[..., Path]) -> None:
    way = ("--interpolate", "0,1", "--frames", 3)
    strip = np.asarray(Image.open(generate("teacher student", "strip.png", *way)))
    with Image.open(generate("teacher student", "way.webp", *way)) as video:
        video.seek(1)
        assert np.array_equal(np.asarray(video.convert("RGB")), strip[:, 34:68])


def test_images_in_the_styles_of_seeds(generate: Callable[..., Path], files: Path, munit: nn.Module) -> None:
    sources = first_images(str(files / "photos"), (16, 16), most=9)
    assert sources.shape == (2, 3, 16, 16)
    rows = tiles(generate("styles latent-styles", "grid.png", "--source", files / "photos", "--seeds", "2,0"), 16)
    assert len(rows) == 4  # each image by both
    for row, index in zip(rows, (0, 0, 1, 1), strict=True):
        source = sources[index, None]
        assert same(row, [to_uint8(source[0]), *(generated(munit, source, latent_from_seed(seed, 6)) for seed in (2, 0))])
    (alone,) = tiles(generate("styles", "one.png", "--source", files / "photos" / "1.png", "--seeds", "2,0"), 16)
    assert same(alone, rows[2])


def test_an_image_in_the_style_of_another(generate: Callable[..., Path], files: Path, munit: nn.Module) -> None:
    one, other = (files / "photos" / f"{index}.png" for index in range(2))
    source, reference = (first_images(str(path), (16, 16), most=1) for path in (one, other))
    (row,) = tiles(generate("styles", "one.png", "--source", one, "--reference", other), 16)
    made = generated(munit, source, reference)
    assert same(row, [to_uint8(source[0]), to_uint8(reference[0]), made])
    folder = generate("styles", "alone", "--source", one, "--reference", other)
    assert np.array_equal(np.asarray(Image.open(folder / "1.png")), made)


def test_settings_that_exclude_each_other(refused: Refused, files: Path) -> None:
    photos = ("--source", files / "photos")
    assert "is a resnet generator, which reads images alone" in refused("images")
    assert "is a sagan generator, without a mapping network" in refused("teacher", "--truncation", "0.7")
    assert "is a munit generator, without a mapping network" in refused("styles", *photos, "--truncation", "0.7")
    assert "is a sagan generator, which reads latents alone: leave --source out" in refused("teacher", *photos)
    assert "leave --reference out" in refused("mapped", "--reference", "x.png")
    assert "name the image with --source IMAGE_OR_FOLDER" in refused("styles")
    assert "has no style encoder: leave --reference out" in refused("latent-styles", *photos, "--reference", "x.png")
    assert "--seeds and --reference exclude each other" in refused("styles", *photos, "--seeds", "1", "--reference", "x.png")
    assert "give two or more, such as 0,1,2" in refused("teacher", "--interpolate", "3")
    assert "frames=1: the least is 2" in refused("teacher", "--interpolate", "3,4", "--frames", "1")
    assert "nowhere does not exist" in refused("styles", "--source", "nowhere")


def test_the_suffix_is_the_format(refused: Refused, files: Path) -> None:
    assert "the ending says what is written: .png (all side by side)" in refused("teacher", out="x.mp4")
    assert "say which with --interpolate 0,1,2, or take .png" in refused("teacher", out="x.gif")
    assert "is a folder, of one image a seed" in refused("teacher", "--interpolate", "0,1", out="x")
    assert "these are 2 rows of images" in refused("teacher student", out="x")
    assert "no artifact given" in refused("")
