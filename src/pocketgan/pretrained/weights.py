"""Published weights: the user's file, else the one in the cache, else downloaded once and verified."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from pocketgan.core.state_dict import read_state
from pocketgan.utils.download import download, record, wrong_checksum
from pocketgan.utils.files import digest, exclusive
from pocketgan.utils.progress import ConsoleReporter, Reporter

Network = TypeVar("Network", bound=nn.Module)

HOME = "POCKETGAN_HOME"
"""Environment variable with the cache folder, by default ``~/.cache/pocketgan``."""
_NAMES = 3  # in an error


@dataclass(frozen=True, kw_only=True)
class Published:
    """File of weights that its authors published."""

    name: str
    """Name in errors: ``the Inception weights of FID``."""
    file: str
    """File name in the cache."""
    url: str | None
    """Address of the file; None where its authors offer no direct link."""
    sha256: str
    """Checksum or its first digits, as torch hub writes them into file names; ``""`` where none was published."""
    page: str = ""
    """Page from which it can be downloaded by hand."""

    def is_met_by(self, path: Path) -> bool:
        """True if ``path`` has the published checksum; False where none was published."""
        return bool(self.sha256) and digest(path).startswith(self.sha256)


def cache() -> Path:
    """Folder of downloaded weights: ``$POCKETGAN_HOME``, or ``~/.cache/pocketgan``."""
    return Path(os.environ.get(HOME) or Path.home() / ".cache" / "pocketgan")


def find(weights: Published, given: str | Path | None = None) -> Path:
    """File of ``weights``: the ``given`` one, else that in the cache, else downloaded into the cache.

    A file in the cache must have the published checksum, or the one recorded at first sight (`pocketgan.utils.download`); a
    given one need not (``is_met_by``). Raises ``ValueError`` with
    the file, the place and the remedy.
    """
    if given is not None:
        if not Path(given).is_file():
            raise ValueError(f"no file {given}: give a file with {weights.name}, or none to use {cache() / weights.file}")
        return Path(given)
    path = cache() / weights.file
    if path.is_file():
        if wrong := wrong_checksum(path, path, weights.sha256):
            raise ValueError(f"{path} is not {weights.name}: {wrong}; delete it, or give the file that you mean by its path")
    elif weights.url is None:
        raise ValueError(f"{weights.name} cannot be fetched by itself: {_by_hand(weights, path)}")
    else:
        _fetch(weights, weights.url, path)
    record(path, weights.sha256, _reporter())
    return path


def load(make: Callable[[], Network], path: Path, weights: Published) -> Network:
    """`filled` with the only network in a file (``torch.save``, weights only, or ``.safetensors``), on the CPU."""
    return filled(make, read_state(path).state, path=path, weights=weights)


def filled(make: Callable[[], Network], state: Mapping[str, Tensor], *, path: Path, weights: Published) -> Network:
    """Network of ``make`` with exactly the tensors of ``state``, in float32, frozen and in evaluation mode.

    Counts of batches may be absent: files older than PyTorch 0.4.1 have none. Raises ``ValueError`` with the missing and
    unknown names and the shapes that differ between the file at ``path`` and ``weights``, and the source of the latter.
    """
    with torch.device("meta"):  # its initial weights are replaced
        network = make()
    expected = {name: tensor for name, tensor in network.state_dict().items() if not _is_count(name)}
    given = {name: tensor for name, tensor in state.items() if not _is_count(name)}
    shapes = {
        f"{name} {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    }
    missing, unknown = expected.keys() - given.keys(), given.keys() - expected.keys()
    kinds = {"missing": missing, "unknown": unknown, "of other shape": shapes}
    if differences := [_listed(kind, names) for kind, names in kinds.items() if names]:
        raise ValueError(f"{path} does not hold {weights.name}: {'; '.join(differences)}; take {weights.url or weights.page}")
    counts = {name: torch.zeros((), dtype=torch.int64) for name in network.state_dict() if _is_count(name)}
    network.load_state_dict({name: tensor.float() for name, tensor in given.items()} | counts, assign=True)
    return network.eval().requires_grad_(False)


def _fetch(weights: Published, url: str, path: Path) -> None:
    try:
        with exclusive(path.parent, reporter := _reporter()):
            if not path.is_file():  # another process may have fetched it meanwhile
                download(url, path, sha256=weights.sha256, reporter=reporter)
    except (ValueError, OSError) as error:
        raise ValueError(f"cannot fetch {weights.name} ({error}): {_by_hand(weights, path)}") from error


def _reporter() -> Reporter:
    return ConsoleReporter() if sys.stderr.isatty() else Reporter()


def _by_hand(weights: Published, path: Path) -> str:
    source = weights.url or weights.page
    return f"take it from {source}, and save it as {path} (${HOME} names another folder), or give the file by its path"


def _is_count(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _listed(kind: str, names: set[str]) -> str:
    rest = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f"{kind}: {', '.join(sorted(names)[:_NAMES])}{rest}"
