"""Every kind of file becomes 8-bit RGB or an error that names it."""

import ast
import io
import logging
import os
import re
import struct
import subprocess
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from made import noise
from PIL import Image

import pocketgan
from pocketgan.data.decode import BadImage, ImageFile, MapFile, half_of, silence_pillow

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (8, 1))


def read(path):
    return np.asarray(ImageFile(str(path)).decode())


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "tif"])
def test_rgb_is_kept_bit_for_bit(put, ending):
    image = noise(0, (30, 20))
    assert np.array_equal(read(put(f"a.{ending}", image)), np.asarray(image))


@pytest.mark.parametrize("ending", ["png", "pgm", "tif"])
def test_gray_is_repeated(put, ending):
    assert np.array_equal(read(put(f"a.{ending}", Image.fromarray(RAMP))), np.repeat(RAMP[..., None], 3, 2))


@pytest.mark.parametrize("ending", ["png", "pgm", "tif"])
def test_16_bit_gray_is_scaled_not_clipped(put, ending):
    path = put(f"a.{ending}", Image.fromarray(RAMP.astype(np.uint16) * 257))
    assert np.array_equal(read(path), np.repeat(RAMP[..., None], 3, 2))


def test_16_bit_gray_is_rounded(put):
    values = np.array([[0, 128, 129, 385, 386, 65535]], dtype=np.uint16)
    assert read(put("a.png", Image.fromarray(values)))[0, :, 0].tolist() == [0, 0, 1, 1, 2, 255]


def test_one_bit_is_black_and_white(put):
    bits = RAMP > 100
    assert np.array_equal(read(put("a.png", Image.fromarray(bits)))[..., 1], bits * 255)


def test_transparency_is_composited_onto_white(put):
    color, alpha = np.full((8, 64, 3), (10, 120, 240), np.uint8), RAMP
    path = put("a.png", Image.fromarray(np.dstack([color, alpha])))
    expected = 255 + (color.astype(float) - 255) * alpha[..., None] / 255
    assert np.abs(read(path) - expected).max() <= 1


def test_gray_with_transparency_is_composited_onto_white(put):
    path = put("a.png", Image.fromarray(np.dstack([np.zeros_like(RAMP), RAMP])))
    assert np.abs(read(path)[..., 0] - (255.0 - RAMP)).max() <= 1


def test_a_palette_and_its_transparent_color(put):
    image = Image.new("P", (4, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.putdata([0, 1, 2, 3])
    expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]
    assert read(put("a.png", image))[0].tolist() == expected
    image.info["transparency"] = 3
    assert read(put("b.png", image))[0].tolist() == [*expected[:3], [255, 255, 255]]


def test_cmyk_jpeg(put):
    ink = Image.new("CMYK", (16, 16), (255, 0, 51, 0))
    assert np.abs(read(put("a.jpg", ink))[8, 8].astype(int) - (0, 255, 204)).max() <= 6


UPRIGHT = {  # EXIF 2.32, tag 0x0112: the corner and direction at which rows and columns begin
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x[:, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("ending", ["png", "tif"])  # Pillow turns a TIFF by itself
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = noise(1, (24, 16))
    stored.save(tmp_path / f"a.{ending}", exif=exif)
    image = ImageFile(str(tmp_path / f"a.{ending}"))
    expected = UPRIGHT[orientation](np.asarray(stored))
    assert image.size == (expected.shape[1], expected.shape[0])
    assert image.rotated == (orientation > 1)
    assert np.array_equal(image.decode(), expected)


def test_a_large_jpeg_is_reduced_but_never_below_twice_the_need(put):
    image = noise(2, (512, 256), smooth=64)
    path = put("a.jpg", image)
    reduced = ImageFile(path).decode(least=(128, 50))
    assert reduced.size == (256, 128)
    assert np.abs(np.asarray(reduced, int) - np.asarray(image.reduce(2), int)).mean() < 1.5
    assert ImageFile(path).decode(least=(200, 100)).size == (512, 256)


def test_a_sideways_jpeg_is_reduced_by_its_upright_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(2, (512, 128)).save(tmp_path / "a.jpg", exif=exif)
    image = ImageFile(str(tmp_path / "a.jpg"))
    assert image.size == (128, 512)
    assert image.decode(least=(32, 128)).size == (64, 256)


def test_halves():
    image = noise(3, (20, 10))
    pixels = np.asarray(image)
    assert np.array_equal(half_of(image, "left"), pixels[:, :10])
    assert np.array_equal(half_of(image, "right"), pixels[:, 10:])


def _bytes(form: str) -> bytes:
    stream = io.BytesIO()
    noise(5, (40, 40)).save(stream, form)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is an empty file (0 bytes)"),
        (b"hello, I am no image", "is not an image that can be read"),
        (_bytes("JPEG")[:-200], "truncated"),
        (_bytes("PNG")[:-200], "truncated"),
        (_bytes("PNG")[:20], "truncated"),
    ],
    ids=["empty", "text", "jpeg", "png", "header"],
)
def test_a_bad_file_is_named_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(BadImage, match="(?i)" + re.escape(reason)) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(BadImage, match=r"a\.jpg: no such file"):
        ImageFile(str(tmp_path / "a.jpg"))
    (tmp_path / "b.jpg").mkdir()
    with pytest.raises(BadImage, match=r"b\.jpg: is not a file"):
        ImageFile(str(tmp_path / "b.jpg"))


@pytest.mark.parametrize("values", [np.full((4, 4), 0.5, np.float32), np.full((4, 4), 70000, np.int32)])
def test_pixels_of_unknown_range_are_refused(put, values):
    with pytest.raises(BadImage, match=r"of unknown range: give data\.range=LOW\.\.HIGH, .* or data\.range=auto"):
        read(put("a.tif", Image.fromarray(values)))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n{} loop\n"
OTHERS = {
    "EPS": EPS,
    "GIF": b"GIF89a\x01\0\x01\0\0\0\0;",
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(40),
    "PSD": b"8BPS\0\x01" + bytes(40),
}


@pytest.mark.parametrize("form", OTHERS)
def test_only_formats_that_start_no_program_are_opened_whatever_the_name(tmp_path, monkeypatch, form):
    """Pillow itself gives an EPS to Ghostscript."""
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **_: started.append(words))
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(OTHERS[form])
        with pytest.raises(BadImage, match=f"{name}: is not an image that can be read .BMP, JPEG, PNG, PPM, TIFF, WEBP"):
            read(tmp_path / name)
    assert started == []


def test_every_image_of_the_product_is_opened_by_a_list_of_formats():
    calls = [
        call
        for path in Path(pocketgan.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Image.open"
    ]
    assert len(calls) >= 2
    assert all("formats" in {argument.arg for argument in call.keywords} for call in calls)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(BadImage, match=r"a\.png: is not a file"):
        ImageFile(str(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (4_048, "claims 4048x4048 pixels in 57 bytes: it is damaged"),
        (9_460, "has more than 89,478,485 pixels, the most that are read"),
        (60_000, "has more than 89,478,485 pixels, the most that are read"),
    ],
)
def test_a_small_file_of_many_pixels_is_refused_before_memory_is_taken(tmp_path, side, message):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(BadImage, match=rf"a\.png: {message}"):
        ImageFile(str(tmp_path / "a.png"))


def test_a_large_map_of_one_value_is_no_bomb(tmp_path):
    Image.new("L", (4_100, 4_100), 7).save(tmp_path / "a.png")
    assert MapFile(str(tmp_path / "a.png")).size == (4_100, 4_100)


def test_what_decoders_say_themselves_reaches_no_terminal(tmp_path, capfd):
    """libtiff prints to the process' error stream, Pillow warns and logs."""
    stream = io.BytesIO()
    noise(5, (64, 64)).save(stream, "TIFF", compression="tiff_adobe_deflate")
    whole = bytearray(stream.getvalue())
    whole[len(whole) // 2] ^= 255
    (tmp_path / "a.tif").write_bytes(whole)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        silence_pillow()
        with pytest.raises(BadImage, match=r"a\.tif: "):
            read(tmp_path / "a.tif")
        warnings.warn_explicit("Truncated File Read", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin")
    logging.getLogger("PIL.TiffImagePlugin").warning("More samples per pixel than can be decoded")
    os.write(2, b"the stream is back")
    assert capfd.readouterr().err == "the stream is back"


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "TIFF"])
def test_maps_whose_numbers_were_compressed_are_refused(tmp_path, kind):
    Image.fromarray(RAMP).save(tmp_path / "a.png", kind, **({"compression": "jpeg"} if kind == "TIFF" else {}))
    with pytest.raises(BadImage, match="is a JPEG, whose compression changes the numbers"):
        MapFile(str(tmp_path / "a.png"))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
@pytest.mark.filterwarnings("ignore")  # Pillow's own remarks about the bytes
def test_a_damaged_file_decodes_or_is_named(tmp_path: Path, form):
    whole = _bytes(form)
    path = tmp_path / "a.png"
    for seed in range(24):
        rng = np.random.default_rng(seed)
        damaged = bytearray(whole[: rng.integers(1, len(whole))] if seed % 2 else whole)
        for place in rng.integers(0, len(damaged), 8):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            pixels = read(path)
        except BadImage:
            continue
        assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
