"""``--features`` names an extractor; published statistics are found beside the data."""

from pathlib import Path

import pytest

from pocketgan.pretrained import extractors
from pocketgan.pretrained.extractors import make_extractor, published_statistics


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("inception", ("clean", None)),
        ("inception:legacy", ("legacy", None)),
        ("inception:clean:w.pth", ("clean", "w.pth")),
        ("inception::C:/w.pth", ("clean", "C:/w.pth")),
        ("inception.onnx", "inception.onnx"),
    ],
)
def test_the_text_says_which(text: str, made: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractors, "InceptionFeatures", lambda protocol, weights: (protocol, weights))
    monkeypatch.setattr(extractors, "OnnxFeatures", lambda path: path)
    assert make_extractor(text) == made


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


def test_the_data_sets_own_name_comes_before_others_and_doubt_is_told(tmp_path: Path) -> None:
    root = tmp_path / "maps"
    (root / "real_stat").mkdir(parents=True)
    for name in ("maps_subtrain_A.npz", "other_A.npz"):
        (root / "real_stat" / name).touch()
    with pytest.raises(ValueError, match=r"several statistics of side A: .*maps_subtrain_A.*say which with --stats"):
        published_statistics(root, "A")
    (root / "real_stat" / "maps_A.npz").touch()
    assert published_statistics(root, "A") == root / "real_stat" / "maps_A.npz"
    assert published_statistics(Path("shapes"), "A") is None
