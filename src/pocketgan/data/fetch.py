"""A public set from the web to a folder that training can read."""

from __future__ import annotations

import os
from pathlib import Path

from pocketgan.data.published import PublishedFile, PublishedSet
from pocketgan.utils.archive import unpack
from pocketgan.utils.download import download
from pocketgan.utils.files import digest
from pocketgan.utils.lock import alone
from pocketgan.utils.progress import Reporter

MIRROR = "POCKETGAN_MIRROR"
"""The environment variable with the address of a folder that has the files instead, under the same names."""


def fetch(chosen: PublishedSet, out: Path, *, statistics: bool = False, reporter: Reporter | None = None) -> None:
    """Download ``chosen`` and unpack it, so that ``out`` is the folder that the archive holds.

    A folder with something in it is kept as it is, and it is said. The archive comes to lie beside ``out`` and is deleted
    when it is unpacked; one that somebody has laid there is taken instead of the web's. With ``statistics``, those that were
    published with the set go to ``out/real_stat/``, where evaluation looks for them.

    Raises ``ValueError`` for everything that `download` and `unpack` refuse, for an archive with another checksum than the
    published one, and for statistics of a set that has none.
    """
    reporter = reporter or Reporter()
    if statistics and not chosen.statistics:
        raise ValueError(f"no statistics were published for {chosen.task} {chosen.name}: leave out --stats")
    with alone(out.parent, reporter):
        if out.is_dir() and any(out.iterdir()):
            reporter.say(f"{out} is there already and is kept; delete it, or give another --out, to have it anew")
        else:
            archive = out.parent / chosen.archive.name
            _obtain(chosen.archive, archive, reporter)
            unpack(archive, out, folder=chosen.name, reporter=reporter)
            archive.unlink()
        for file in chosen.statistics.values() if statistics else ():
            _obtain(file, out / "real_stat" / file.name, reporter)


def _obtain(file: PublishedFile, path: Path, reporter: Reporter) -> None:
    """Have ``file`` at ``path``, whoever brought it there."""
    mirror = os.environ.get(MIRROR)
    url = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url
    if not path.exists():
        try:
            download(url, path, size=file.size, sha256=file.sha256, reporter=reporter)
        except ValueError as error:
            raise ValueError(f"{error}. By hand: save {file.url} as {path}, and run this again") from error
    elif file.sha256 and digest(path) != file.sha256:
        raise ValueError(f"{path} is not the published file: its SHA-256 is another one than {file.sha256[:8]}...; delete it")
