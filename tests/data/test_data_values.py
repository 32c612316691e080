"""Values of images of more than 8 bits, and the meaning of a fourth band."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from pocketgan.data.check import check
from pocketgan.data.config import DataConfig
from pocketgan.data.decode import BadImage, ImageFile
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.loader import eval_batches
from pocketgan.models.resnet import resnet

pytestmark = pytest.mark.filterwarnings("ignore:.*has no test images")
RAMP = np.linspace(0, 4095, 256).round().reshape(16, 16)
DTYPES = {
    "16-bit PNG": (np.uint16, "png"),
    "16-bit TIFF": (np.uint16, "tif"),
    "integer": (np.int32, "tif"),
    "float": (np.float32, "tif"),
}


def opened(path: object, split: str = "train", **fields: object) -> ImageData:
    return open_data(DataConfig(path=str(path), size=16, workers=0, **fields), "inputs", split)


def first(data: ImageData) -> np.ndarray:
    return data.load(0, None)["input"]


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("stated", ["0..4095", "auto"])
def test_deep_pixels_are_scaled_from_their_range(put, tmp_path, kind, stated):
    dtype, ending = DTYPES[kind]
    put(f"1.{ending}", Image.fromarray(RAMP.astype(dtype)))
    expected = np.rint(RAMP * 255 / 4095).astype(np.uint8)
    assert (first(opened(tmp_path, range=stated)) == expected[..., None]).all()


def test_a_range_may_lie_anywhere_and_clips(put, tmp_path):
    put("1.tif", Image.fromarray(np.array([[-300, -200, -100, 100]] * 4, np.float32)))
    data = opened(tmp_path, range="-200..0", preprocess="none")
    assert first(data)[0, :, 0].tolist() == [0, 0, 128, 255]
    assert "inputs hold -300 to 100 in a range of -200..0: those beyond are clipped" in data.describe()


def test_the_range_of_both_splits_is_that_of_the_training_images(put, tmp_path):
    put("train/1.png", Image.fromarray(RAMP.astype(np.uint16)))
    put("test/1.png", Image.fromarray((RAMP / 2).astype(np.uint16)))
    test = opened(tmp_path, "test", range="auto")
    assert first(test).max() == 127
    assert first(opened(tmp_path, "test")).max() == 8


def test_eight_bits_are_never_scaled(put, tmp_path):
    gray = (RAMP / 32).astype(np.uint8)
    put("1.png", Image.fromarray(gray))
    assert (first(opened(tmp_path, range="0..4095")) == gray[..., None]).all()


def test_a_folder_that_uses_little_of_its_range_is_told_so_and_the_advice_works(put, tmp_path):
    put("1.png", Image.fromarray(RAMP.astype(np.uint16)))
    line = opened(tmp_path).describe()
    assert (
        "inputs hold 0 to 4095 in a range of 0..65535, less than a quarter of it: data.range=0..4095 or data.range=auto" in line
    )
    for advice in ("data.range=0..4095", "data.range=auto"):
        text = opened(tmp_path, range=advice.removeprefix("data.range=")).describe()
        assert "inputs hold 0 to 4095 in a range of 0..4095" in text
        assert "quarter" not in text
    put("1.png", Image.fromarray((RAMP * 5).astype(np.uint16)))
    assert "range" not in opened(tmp_path).describe()


def test_float_images_are_refused_before_a_run_and_the_advice_works(put, tmp_path):
    put("1.tif", Image.fromarray((RAMP / 4095).astype(np.float32)))
    (problem,) = check(str(tmp_path), task="inputs", full=False).problems
    assert "32-bit float pixels from 0 to 1 of unknown range: give data.range=LOW..HIGH" in problem.reason
    for stated in ("0..1", "auto"):
        assert check(DataConfig(path=str(tmp_path), range=stated), task="inputs", full=False).ok
    put("1.tif", Image.fromarray(np.full((4, 4), np.nan, np.float32)))
    assert "no finite number" in str(check(DataConfig(path=str(tmp_path), range="0..1"), task="inputs"))


@pytest.mark.parametrize("text", ["4095", "1..1", "5..2", "a..b", "0..inf", "0..", ""])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ValueError, match=r"must be LOW\.\.HIGH, such as 0\.\.4095"):
        DataConfig(path="x", range=text)


def tiff(path, bands, extra):
    """TIFF of four bands, whose ExtraSamples tag is 0 (unspecified), 1, 2 (opacity), or missing."""
    mode = "RGBA" if extra in (1, 2) else "RGBX"
    Image.fromarray(bands, mode).save(path, tiffinfo={338: extra} if extra else {})
    content = bytearray(path.read_bytes())
    if extra is None:  # the tag's entry becomes one that no reader knows
        at = content.index(b"\x52\x01\x03\x00")
        content[at : at + 2] = (65000).to_bytes(2, "little")
        path.write_bytes(content)
    return str(path)


@pytest.fixture
def bands():
    return np.random.default_rng(0).integers(0, 128, (16, 16, 4)).astype(np.uint8)


@pytest.mark.filterwarnings("ignore:.*mode.* parameter is deprecated")
@pytest.mark.parametrize("extra", [None, 0])
def test_four_bands_are_four_bands(tmp_path, bands, extra):
    file = ImageFile(tiff(tmp_path / "1.tif", bands, extra))
    assert (file.channels, file.transparent) == (4, False)
    assert (np.asarray(file.decode()) == bands).all()
    data = opened(tmp_path)
    (batch,) = eval_batches(data, batch=1)
    assert batch.images["input"].shape == (1, 4, 16, 16)
    assert (batch.images["input"].numpy() == bands.transpose(2, 0, 1)[None] / np.float32(127.5) - 1).all()
    assert "inputs of 4 bands" in data.describe()
    resized = first(opened(tmp_path, center=8))
    alone = np.asarray(Image.fromarray(bands[4:12, 4:12, 3]).resize((16, 16), Image.Resampling.BICUBIC))
    assert (resized[..., 3] == alone).all()


@pytest.mark.filterwarnings("ignore:.*mode.* parameter is deprecated")
def test_opacity_is_laid_on_white_where_the_file_says_so(put, tmp_path, bands):
    bands[0, 0, 3], bands[1, 1, 3] = 255, 0
    for path in (tiff(tmp_path / "1.tif", bands, 2), put("2.png", Image.fromarray(bands))):
        file = ImageFile(path)
        pixels = np.asarray(file.decode())
        assert (file.channels, file.transparent) == (3, True)
        assert pixels[0, 0].tolist() == bands[0, 0, :3].tolist()
        assert pixels[1, 1].tolist() == [255, 255, 255]
        assert (np.asarray(ImageFile(path, opacity=False).decode()) == bands).all()


@pytest.mark.filterwarnings("ignore:.*mode.* parameter is deprecated")
def test_opacity_without_an_opaque_pixel_is_asked_and_each_answer_works(tmp_path, bands):
    tiff(tmp_path / "1.tif", bands, 2)
    (problem,) = check(str(tmp_path), task="inputs", full=False).problems
    assert "data.opacity=false keeps four bands, data.opacity=true lays the image on white" in problem.reason
    assert first(opened(tmp_path, opacity=False)).shape == (16, 16, 4)
    assert first(opened(tmp_path, opacity=True)).shape == (16, 16, 3)


@pytest.mark.filterwarnings("ignore:.*mode.* parameter is deprecated")
def test_bands_that_a_network_cannot_read_are_refused_in_words(tmp_path, bands, capsys):
    (tmp_path / "data").mkdir()
    tiff(tmp_path / "data" / "1.tif", bands, 0)
    save_artifact(tmp_path / "g.safetensors", resnet(4, blocks=1).build(), size=16)
    artifact, data = str(tmp_path / "g.safetensors"), str(tmp_path / "data")
    evaluate = ["evaluate", artifact, "--data", data, "--task", "inputs", "--teacher", artifact]
    assert main(evaluate) == 2
    assert re.search(r"the generator reads 3 channels, .*have 4.*data\.opacity=true", capsys.readouterr().err)
    assert main([*evaluate[:2], "data.opacity=true", *evaluate[2:]]) == 0


@pytest.mark.filterwarnings("ignore:.*mode.* parameter is deprecated")
def test_images_of_different_bands_are_named(put, tmp_path, bands):
    tiff(tmp_path / "1.tif", bands, 0)
    put("2.png", Image.fromarray(bands[..., :3]))
    (problem,) = check(str(tmp_path), task="inputs").problems
    assert problem.reason == "has 3 channels, but the first image has 4"
    with pytest.raises(ValueError, match="2: has 3 channels but 1 has 4"):
        list(eval_batches(opened(tmp_path), batch=2))


def test_colors_of_16_bits_take_no_range(tmp_path):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + struct.pack(">12H", *[1000] * 12) for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    path = tmp_path / "1.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert ImageFile(str(path)).bits == 16
    assert np.asarray(ImageFile(str(path)).decode())[0, 0].tolist() == [3, 3, 3]
    with pytest.raises(BadImage, match="colors of 16 bits, of which the upper 8 are read: a range cannot be applied"):
        ImageFile(str(path), range=(0, 4095)).decode()
    assert "less than a quarter" in opened(tmp_path).describe()
