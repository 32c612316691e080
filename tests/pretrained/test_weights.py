"""Published weights are found, fetched, verified and loaded."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from loopback import Web, serve
from pocketgan.pretrained.weights import Published, cache, filled, find, load

CONTENT = b"weights"
# sha256 of the seven bytes above: `printf weights | sha256sum`
SHA = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETGAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def published(url: str | None, sha256: str = SHA[:8]) -> Published:
    return Published(name="the weights", file="net.pth", url=url, sha256=sha256, page="https://example.org/page")


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as server:
        server.files["web.pth"] = CONTENT
        yield server


def test_the_environment_moves_the_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache() == home
    monkeypatch.delenv("POCKETGAN_HOME")
    assert cache() == Path.home() / ".cache" / "pocketgan"


def test_fetched_once_and_kept(web: Web, home: Path) -> None:
    weights = published(web.url("web.pth"))
    path = find(weights)
    assert path == home / "net.pth"
    assert path.read_bytes() == CONTENT
    assert find(weights) == path
    assert web.asked == [("web.pth", None)]


def test_a_download_that_was_cut_is_resumed(web: Web, home: Path) -> None:
    home.mkdir()
    (home / "net.pth.part").write_bytes(CONTENT[:3])
    assert find(published(web.url("web.pth"))).read_bytes() == CONTENT
    assert web.asked == [("web.pth", "bytes=3-")]


def test_wrong_bytes_from_the_web_do_not_reach_the_cache(web: Web, home: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot fetch the weights .*web\.pth, and save it as .*home/net\.pth"):
        find(published(web.url("web.pth"), "12345678"))
    assert [path.name for path in home.iterdir()] == [".lock"]


def test_the_error_of_a_missing_file_has_all_that_is_needed(web: Web, home: Path) -> None:
    url = web.url("absent.pth")
    with pytest.raises(ValueError, match=rf"(?s){url}.*404.*{home / 'net.pth'}.*POCKETGAN_HOME.*by its path"):
        find(published(url))
    with pytest.raises(ValueError, match=r"by itself: take it from https://example\.org/page, and save it as"):
        find(published(None))


def test_a_wrong_file_in_the_cache_is_refused(home: Path) -> None:
    home.mkdir()
    (home / "net.pth").write_bytes(b"else")
    with pytest.raises(ValueError, match=rf"net\.pth is not the weights.*{SHA[:8]}; delete it"):
        find(published(None))
    assert find(published(None, "")) == home / "net.pth"  # nothing to compare with was published: compared from now on
    (home / "net.pth").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"net\.pth is not the weights: .*, the one in .*net\.pth\.sha256 .*; delete it"):
        find(published(None, ""))


def test_of_a_short_published_checksum_the_rest_is_recorded(web: Web, home: Path) -> None:
    """Eight digits can be forged; a whole checksum needs no record."""
    path = find(published(web.url("web.pth"), SHA[:8]))
    assert path.with_name("net.pth.sha256").read_text() == f"{SHA}  net.pth\n"
    path.with_name("net.pth.sha256").unlink()
    assert find(published(None, SHA)) == path
    assert sorted(file.name for file in home.iterdir()) == [".lock", "net.pth"]


def test_a_given_file_comes_first_and_may_be_another(web: Web, tmp_path: Path) -> None:
    own = tmp_path / "own.pth"
    own.write_bytes(b"else")
    assert find(published(web.url("web.pth")), own) == own
    assert find(published(web.url("web.pth")), str(own)) == own
    assert not published(web.url("web.pth")).is_met_by(own)
    assert not published(web.url("web.pth"), "").is_met_by(own)
    assert published(web.url("web.pth")).is_met_by(find(published(web.url("web.pth"))))
    with pytest.raises(ValueError, match=r"no file .*absent"):
        find(published(web.url("web.pth")), tmp_path / "absent.pth")


def make() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def state() -> dict[str, torch.Tensor]:
    return {name: tensor + 0.5 if tensor.is_floating_point() else tensor for name, tensor in make().state_dict().items()}


def fill(tensors: dict[str, torch.Tensor]) -> nn.Sequential:
    return filled(make, tensors, path=Path("net.pth"), weights=published(None))


def test_a_network_is_filled_with_the_tensors_and_frozen() -> None:
    given = state()
    network = fill(given)
    assert dict.fromkeys(given, True) == {name: torch.equal(network.state_dict()[name], given[name]) for name in given}
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


def test_networks_of_both_kinds_of_files_are_read(tmp_path: Path) -> None:
    given = state()
    torch.save(given, tmp_path / "a.pth")
    save_file(given, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        read = load(make, tmp_path / name, published(None)).state_dict()
        assert dict.fromkeys(given, True) == {key: torch.equal(read[key], tensor) for key, tensor in given.items()}


def test_old_files_have_no_counts_of_batches() -> None:
    given = state()
    del given["1.num_batches_tracked"]
    network = fill(given)
    assert network(torch.zeros(1, 3, 2, 2)).isfinite().all()


def test_halves_become_float32() -> None:
    network = fill({name: tensor.half() for name, tensor in state().items()})
    assert {tensor.dtype for name, tensor in network.state_dict().items() if "num" not in name} == {torch.float32}


def test_another_networks_file_is_refused_by_its_differences() -> None:
    given = state() | {f"head.{i}": torch.zeros(1) for i in range(5)} | {"0.bias": torch.zeros(7)}
    del given["0.weight"]
    differences = (
        r"missing: 0\.weight; unknown: head\.0, head\.1, head\.2 and 2 more; of other shape: 0\.bias \(7,\) instead of \(4,"
    )
    with pytest.raises(
        ValueError, match=rf"net\.pth does not hold the weights: {differences}.*; take https://example\.org/page"
    ):
        fill(given)
