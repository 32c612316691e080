"""Published weights: looked for where the user says, then in the cache, then fetched once and verified."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pocketgan.core.reading import read_state
from pocketgan.utils.download import download
from pocketgan.utils.files import digest
from pocketgan.utils.lock import alone
from pocketgan.utils.progress import ConsoleReporter, Reporter

HOME = "POCKETGAN_HOME"
"""The environment variable that moves the cache away from ``~/.cache/pocketgan``."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A file of weights that its authors published."""

    name: str
    """What errors call it: ``the Inception weights of FID``."""
    file: str
    """Its name in the cache."""
    url: str | None
    """Where it is fetched from; None where its authors offer no direct link."""
    sha256: str
    """The checksum or its first digits, as torch hub writes them into names of files; ``""`` where none was published."""
    page: str = ""
    """Where it is to be had by hand."""

    def is_met_by(self, path: Path) -> bool:
        """Whether ``path`` holds just what was published; never so where no checksum was."""
        return bool(self.sha256) and digest(path).startswith(self.sha256)


def cache() -> Path:
    """The folder of fetched weights: ``$POCKETGAN_HOME``, or ``~/.cache/pocketgan``."""
    return Path(os.environ.get(HOME) or Path.home() / ".cache" / "pocketgan")


def find(weights: Published, given: str | Path | None = None) -> Path:
    """The file of ``weights``: the ``given`` one, else that in the cache, else fetched into the cache.

    What lies in the cache must have the published checksum. A file that is given need not: ask ``is_met_by`` what to call
    its numbers. Raises one ``ValueError`` that says what was looked for, where, and what to do; a file cut short by a
    broken connection never has its name in the cache.
    """
    if given is not None:
        if not Path(given).is_file():
            raise ValueError(f"no file {given}: give a file with {weights.name}, or none to use {cache() / weights.file}")
        return Path(given)
    path = cache() / weights.file
    if path.is_file():
        if weights.sha256 and not weights.is_met_by(path):
            raise ValueError(
                f"{path} is not {weights.name}: its SHA-256 begins with {digest(path)[:8]}, the published one with "
                f"{weights.sha256[:8]}; delete it, or give the file that you mean by its path"
            )
        return path
    if weights.url is None:
        raise ValueError(f"{weights.name} cannot be fetched by itself: {_by_hand(weights, path)}")
    _fetch(weights, weights.url, path)
    return path


def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of the one network in a file (``torch.save``, weights only, or ``.safetensors``), on the CPU.

    Raises ``ValueError`` for a file that is no such thing.
    """
    return dict(read_state(path).state)


def _fetch(weights: Published, url: str, path: Path) -> None:
    reporter = ConsoleReporter() if sys.stderr.isatty() else Reporter()
    try:
        with alone(path.parent, reporter):
            if not path.is_file():  # another process may have fetched it while we waited
                download(url, path, sha256=weights.sha256, reporter=reporter)
    except (ValueError, OSError) as error:
        raise ValueError(f"cannot fetch {weights.name} ({error}): {_by_hand(weights, path)}") from error


def _by_hand(weights: Published, path: Path) -> str:
    source = weights.url or weights.page
    return f"take it from {source}, and save it as {path} (${HOME} names another folder), or give the file by its path"
