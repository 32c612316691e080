"""Extractors by name, the preparations of both protocols, and published statistics beside the data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inception_weights import Quick, pretend
from inception_weights import images as random_images
from pocketgan.data.decode import to_float
from pocketgan.metrics.features import STANDARD, distance_name
from pocketgan.pretrained import extractors
from pocketgan.pretrained.extractors import (
    PROTOCOLS,
    InceptionFeatures,
    clean,
    legacy,
    make_extractor,
    published_statistics,
)
from pocketgan.pretrained.inception import WEIGHTS
from pocketgan.utils.files import digest


def levels(prepared: torch.Tensor) -> torch.Tensor:
    """8-bit levels of the output of ``legacy``."""
    return (prepared + 1) * 127.5


def test_legacy_truncates_as_the_published_code_does() -> None:
    every = (
        torch.arange(256, dtype=torch.uint8)
        .reshape(1, 16, 16, 1)
        .repeat(1, 1, 1, 3)
        .repeat_interleave(3, 1)
        .repeat_interleave(3, 2)
    )
    images = to_float(every)
    # Their ToTensor, Normalize and tensor2im, in numpy as they have it.
    normalized = (every.numpy().astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    restored = np.clip((normalized + 1) / 2.0 * 255.0, 0, 255).astype(np.uint8)
    assert (restored != every.numpy()).reshape(16, 3, 16, 3, 3)[:, 1, :, 1, 0].sum() == 63
    # Three times as large images are scaled by taking every third pixel: bilinear, and not antialiased.
    tiled = torch.nn.functional.pad(images, (0, 897 - 48, 0, 897 - 48), value=-1.0)
    found = levels(legacy(tiled))[:, :, :16, :16]
    torch.testing.assert_close(found.permute(0, 2, 3, 1), torch.from_numpy(restored)[:, 1::3, 1::3].float(), rtol=0, atol=1e-3)


def test_legacy_halves_by_the_mean_of_four() -> None:
    images = torch.randint(0, 256, (1, 3, 598, 598), generator=torch.Generator().manual_seed(0)) / 127.5 - 1
    cut = ((images + 1) / 2 * 255).floor()
    expected = cut.reshape(1, 3, 299, 2, 299, 2).mean((3, 5))
    torch.testing.assert_close(levels(legacy(images)), expected, rtol=0, atol=1e-3)


def test_clean_is_pillows_filter_on_the_image_as_saved() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 640, 3)).astype(np.uint8)  # grows one way, shrinks the other
    scaled = [Image.fromarray(pixels[..., c].astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC) for c in range(3)]
    expected = (torch.from_numpy(np.stack(scaled)).clamp(0, 255) - 128) / 128
    images = to_float(torch.from_numpy(pixels)[None])
    torch.testing.assert_close(clean(images)[0], expected, rtol=0, atol=2e-4)
    torch.testing.assert_close(clean((images + 0.4 / 127.5).clamp(max=1)), clean(images), rtol=0, atol=0)


def test_features_are_the_networks_on_prepared_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, network, file = random_images(1, (40, 48)), Quick(), tmp_path / "weights.pth"
    file.write_bytes(b"mine")
    monkeypatch.setattr(extractors, "load", lambda make, path, weights: network if path == file else None)
    for protocol, prepare in PROTOCOLS.items():
        extract = InceptionFeatures(protocol, file)
        found = extract(images)
        with torch.inference_mode():
            np.testing.assert_allclose(found, network(prepare(images)).numpy(), rtol=1e-4, atol=1e-4)
        assert (found.dtype, found.shape, extract.dim) == (np.float64, (1, 2048), 2048)
    assert extract(images[:0]).shape == (0, 2048)
    with pytest.raises(ValueError, match="RGB"):
        extract(images[:, :2])
    with pytest.raises(ValueError, match=r"in \[-1, 1\]"):
        extract(images * 2)


def test_parts_keep_the_order_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "home", monkeypatch)
    extract, images = InceptionFeatures("legacy"), random_images(5, (40, 48))
    whole = extract(images)
    monkeypatch.setattr(extractors, "PART", 2)
    np.testing.assert_allclose(extract(images), whole, rtol=1e-5, atol=1e-6)
    assert len(np.unique(whole[:, 0])) == 5


def test_only_the_published_weights_give_fid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"published")
    monkeypatch.setattr(extractors, "load", lambda *_: Quick())
    own = InceptionFeatures("legacy", file)
    assert own.name == f"inception-legacy-{digest(file)[:8]}"
    assert distance_name("frechet", own) == f"frechet[{own.name}]"
    monkeypatch.setattr(extractors, "WEIGHTS", replace(WEIGHTS, sha256=digest(file)))
    for protocol in PROTOCOLS:
        published = InceptionFeatures(protocol, file)
        assert published.name == protocol
        assert distance_name("frechet", published, "train+test") == f"FID[{protocol},train+test]"
        assert distance_name("kernel", published) == f"KID[{protocol},test]"
    assert set(PROTOCOLS) == set(STANDARD)


def test_an_unknown_protocol_is_refused_before_anything_is_fetched() -> None:
    with pytest.raises(ValueError, match=r"no protocol of FID named 'legcy'\. Did you mean 'legacy'\? There is: clean, legacy"):
        InceptionFeatures("legcy")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inception", ("clean", None)),
        ("inception:legacy", ("legacy", None)),
        ("inception:clean:w.pth", ("clean", "w.pth")),
        ("inception::C:/w.pth", ("clean", "C:/w.pth")),
        ("inception.onnx", "inception.onnx"),
    ],
)
def test_the_text_names_the_extractor(text: str, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractors, "InceptionFeatures", lambda protocol, weights: (protocol, weights))
    monkeypatch.setattr(extractors, "OnnxFeatures", lambda path: path)
    assert make_extractor(text) == expected


@pytest.mark.parametrize(
    "name",
    ["zebra_B.npz", "real_stat/zebra_B.npz", "real_stat_B.npz", "real_stat/real_stat_B.npz", "real_stat/horse2zebra_B.npz"],
)
def test_published_names_are_found(name: str, tmp_path: Path) -> None:
    root = tmp_path / "zebra"
    (root / "real_stat").mkdir(parents=True)
    assert published_statistics(root, "B") is None
    (root / name).touch()
    (root / "real_stat" / "horse2zebra_A.npz").touch()
    (root / "mine_B.npz").touch()  # beside the images only the published names count
    assert published_statistics(root, "B") == root / name


def test_the_name_of_the_data_set_comes_before_others_and_several_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "maps"
    (root / "real_stat").mkdir(parents=True)
    for name in ("maps_subtrain_A.npz", "other_A.npz"):
        (root / "real_stat" / name).touch()
    with pytest.raises(ValueError, match=r"several statistics of side A: .*maps_subtrain_A.*say which with --stats"):
        published_statistics(root, "A")
    (root / "real_stat" / "maps_A.npz").touch()
    assert published_statistics(root, "A") == root / "real_stat" / "maps_A.npz"
    assert published_statistics(Path("shapes"), "A") is None
