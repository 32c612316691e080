"""Public data sets of the papers in this field: their archives by name, and the download into a folder.

Names and addresses are those of the scripts `download_pix2pix_dataset.sh` and `download_cyclegan_dataset.sh` of
pytorch-CycleGAN-and-pix2pix, `download_cut_dataset.sh` of contrastive-unpaired-translation (grumpifycat) and
`download_pix2pix_dataset.sh` and `download_real_stat.sh` of GAN Compression (the re-splits ``-r`` and the statistics, at
Hugging Face since June 2024). The CycleGAN sets have moved from people.eecs.berkeley.edu to efrosgans.eecs.berkeley.edu,
according to one of their authors in issue 171 of contrastive-unpaired-translation.

Sizes and checksums of the CycleGAN archives: TensorFlow Datasets, `url_checksums/cycle_gan.txt`, measured at the old address;
a copy of horse2zebra.zip from the new address has the same checksum. Those of statistics: their pages at Hugging Face. No
source states a checksum of the pix2pix archives and of the re-splits: that of the first download is recorded beside it, and
compared from then on.
Rounded sizes are as their sources give them: Hugging Face for the re-splits, else a copy of the server's listing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pocketgan.data.config import Direction, Side
from pocketgan.utils.archive import unpack
from pocketgan.utils.download import download, record, wrong_checksum
from pocketgan.utils.files import exclusive
from pocketgan.utils.progress import Reporter
from pocketgan.utils.registry import unknown

MIRROR = "POCKETGAN_MIRROR"
"""Environment variable with the address of a folder that has the files instead, under the same names."""

_PIX2PIX = "https://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{}.tar.gz"
_CYCLEGAN = "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/{}.zip"
_GAN_COMPRESSION = "https://huggingface.co/mit-han-lab/gan-compression/resolve/main"
_RESPLIT = _GAN_COMPRESSION + "/datasets/{}.tar.gz"


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file at an address, with its stated size and checksum."""

    url: str
    size: int | None = None
    """Bytes; None where no source states them."""
    sha256: str = ""
    """Empty where no source states it."""

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class PublishedSet:
    """A data set that can be downloaded."""

    name: str
    """Name of the set and of the folder in the archive."""
    task: Literal["paired", "unpaired"]
    archive: PublishedFile
    holds: str
    about: str = ""
    """Rounded size of the archive, where no source states the bytes."""
    direction: Direction = "AtoB"
    """The published direction."""
    statistics: Mapping[Side, PublishedFile] = field(default_factory=dict)
    """GAN Compression's statistics of the real images of a side."""

    @property
    def archive_size(self) -> str:
        """Size of the archive, with its unit."""
        return f"{self.archive.size / 10**6:,.0f} MB" if self.archive.size else self.about or "not stated"


def published(name: str, task: str | None = None) -> PublishedSet:
    """The set of that name; of two, the one for ``task``, by default the paired one.

    Raises ``ValueError`` for an unknown name, a set without that task, and Cityscapes, which may not be redistributed.
    """
    if name.startswith("cityscapes"):
        raise ValueError(
            "Cityscapes may be downloaded from cityscapes-dataset.com only: get gtFine_trainvaltest.zip and "
            "leftImg8bit_trainvaltest.zip there, unpack both in datasets/cityscapes-origin, then run "
            "`pocketgan data prepare-cityscapes datasets/cityscapes-origin --out datasets/cityscapes`"
        )
    entries = {entry.task: entry for entry in PUBLISHED if entry.name == _SHORT.get(name, name)}
    if not entries:
        raise unknown("public data set", name, {entry.name for entry in PUBLISHED})
    if task is None:
        return next(iter(entries.values()))
    if task not in entries:
        raise ValueError(f"there is no {task} {name}: it is {' and '.join(entries)}")
    return entries[task]


_SHORT = {"summer2winter": "summer2winter_yosemite"}  # its name in papers

STATED: dict[str, tuple[int | None, str]] = {
    "horse2zebra.zip": (116_867_962, "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1"),
    "summer2winter_yosemite.zip": (132_640_856, "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9"),
    "apple2orange.zip": (78_456_409, "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8"),
    "monet2photo.zip": (305_231_073, "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04"),
    "cezanne2photo.zip": (279_885_071, "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff"),
    "ukiyoe2photo.zip": (292_946_532, "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08"),
    "vangogh2photo.zip": (306_590_349, "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff"),
    "iphone2dslr_flower.zip": (339_964_458, "8fcb5e374d631b107e1d961b8c4cd0a186aa2a4ff3e279923f4c426128de7113"),
    "maps.zip": (1_476_754_427, "639534f69dbf9f36bef8d6292a7698006361221f83f0285d7c9ca78afe6e8a9e"),
    "facades.zip": (35_135_868, "9a31ebf3a31b9b5cd195dd5bf62e9308e00cb94604d1019e3889ac84248695c0"),
    "edges2shoes_B.npz": (None, "b0baf73c7531f4c83e124c65ffb0258ce583769c332e5da2c37a8fc8474ba40f"),
    "edges2handbags_B.npz": (None, "7a84509b46f5168fe1c570f22abd74d98c4877615e9421e5cde094aa344cbc46"),
    "edges2handbags-r_B.npz": (None, "f60c1bb5572e8386aec5176c98ca11ef1c746a7f4b3b5137809c070c2c0d2c35"),
    "horse2zebra_A.npz": (None, "a2a0d3d5bb80dc8dba9554f45a4e064250f655236bcc5285b280ebc4d588928d"),
    "horse2zebra_B.npz": (None, "2c05a74c9ab39ae8d717e919d10f9109ce56f621bfd9c4b93238e466a579d795"),
}
"""Stated size and SHA-256 by file name."""


def _entry(
    task: Literal["paired", "unpaired"], address: str, name: str, holds: str, *, sides: tuple[Side, ...] = (), **rest: Any
) -> PublishedSet:
    """``sides``: those with published statistics."""
    statistics = {side: _file(f"{_GAN_COMPRESSION}/real_stat/{name}_{side}.npz") for side in sides}
    archive = _file(address.format(name))
    return PublishedSet(name=name, task=task, archive=archive, holds=holds, statistics=statistics, **rest)


def _file(url: str) -> PublishedFile:
    size, sha256 = STATED.get(url.rpartition("/")[2], (None, ""))
    return PublishedFile(url=url, size=size, sha256=sha256)


_paired = partial(_entry, "paired")
_unpaired = partial(_entry, "unpaired", _CYCLEGAN)

PUBLISHED: tuple[PublishedSet, ...] = (
    _paired(_PIX2PIX, "maps", "aerial photos, maps", about="239 MB", direction="BtoA", sides=("A", "B")),
    _paired(_PIX2PIX, "facades", "facades, their labels", about="29 MB", direction="BtoA", sides=("A",)),
    _paired(_PIX2PIX, "edges2shoes", "edges, shoes: 200 to evaluate on", about="2 GB", sides=("B",)),
    _paired(_PIX2PIX, "edges2handbags", "edges, handbags: 200 to evaluate on", about="8 GB", sides=("B",)),
    _paired(_PIX2PIX, "night2day", "places by day and by night"),
    _paired(_RESPLIT, "edges2shoes-r", "edges2shoes with 2,048 to evaluate on", about="2.17 GB", sides=("B",)),
    _paired(_RESPLIT, "edges2handbags-r", "edges2handbags with more to evaluate on", about="8.55 GB", sides=("B",)),
    _unpaired("horse2zebra", "horses, zebras", sides=("A", "B")),
    _unpaired("summer2winter_yosemite", "Yosemite in summer, in winter"),
    _unpaired("apple2orange", "apples, oranges"),
    _unpaired("monet2photo", "paintings by Monet, photos"),
    _unpaired("cezanne2photo", "paintings by Cézanne, photos"),
    _unpaired("ukiyoe2photo", "ukiyo-e prints, photos"),
    _unpaired("vangogh2photo", "paintings by van Gogh, photos"),
    _unpaired("iphone2dslr_flower", "flowers by a phone, by a camera"),
    _unpaired("grumpifycat", "Russian Blue cats, Grumpy Cat", about="19 MB"),
    _unpaired("maps", "aerial photos, maps"),
    _unpaired("facades", "facades, their labels"),
    _unpaired("mini", "a few images, to try"),
    _paired(_CYCLEGAN, "mini_pix2pix", "a few pairs, to try"),
)
"""All sets, in the order of the published lists."""


def fetch(chosen: PublishedSet, out: Path, *, statistics: bool = False, reporter: Reporter | None = None) -> None:
    """Download ``chosen`` and unpack it, so that ``out`` is the folder inside the archive.

    A folder that is not empty is kept, with a message. The archive is downloaded beside ``out`` and deleted once unpacked; an
    archive already there is used instead of a download. With ``statistics``, the statistics published with the set are stored
    in ``out/real_stat/``, where evaluation looks for them.

    Raises ``ValueError`` for every failure of `download` and `unpack`, for an archive with another checksum than the published
    one, and for statistics of a set that has none.
    """
    reporter = reporter or Reporter()
    if statistics and not chosen.statistics:
        raise ValueError(f"no statistics were published for {chosen.task} {chosen.name}: leave out --stats")
    with exclusive(out.parent, reporter):
        if out.is_dir() and any(out.iterdir()):
            reporter.say(f"{out} already exists and is kept; delete it, or give another --out, to download again")
        else:
            archive = out.parent / chosen.archive.name
            _obtain(chosen.archive, archive, reporter)
            unpack(archive, out, folder=chosen.name, reporter=reporter)
            record(archive, chosen.archive.sha256, reporter)
            archive.unlink()
        for file in chosen.statistics.values() if statistics else ():
            _obtain(file, out / "real_stat" / file.name, reporter)


def _obtain(file: PublishedFile, path: Path, reporter: Reporter) -> None:
    """Download ``file`` to ``path``, or check the file that is already there."""
    mirror = os.environ.get(MIRROR)
    url = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url
    if not path.exists():
        try:
            download(url, path, size=file.size, sha256=file.sha256, reporter=reporter)
        except ValueError as error:
            raise ValueError(f"{error}. By hand: save {file.url} as {path}, and run this again") from error
    elif wrong := wrong_checksum(path, path, file.sha256):
        raise ValueError(f"{path} is not the published file: {wrong}; delete it")
