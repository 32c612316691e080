"""Cityscapes as the published pix2pix generators see it, made from the files that the dataset's own site gives out.

Facts of ``prepare_cityscapes_dataset.py`` in pytorch-CycleGAN-and-pix2pix and in GAN Compression (Li et al. 2020), which
scale with Pillow's default filter: bicubic since version 7, nearest before. Here it is bicubic for photo and colors alike,
whatever Pillow is installed; images that an older one prepared differ in the colors along the borders of classes.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from pocketgan.data.classes import cityscapes
from pocketgan.data.config import DataConfig, Split
from pocketgan.data.decode import ImageFile, MapFile
from pocketgan.data.label_layout import CITYSCAPES, locate_labels
from pocketgan.data.label_listing import list_labels
from pocketgan.utils.progress import Reporter

_SIDE = 256
_FILTER = Image.Resampling.BICUBIC
_UNJUDGED = 255  # in *_trainIds.png
_SPLITS: dict[str, Split] = {"train": "train", "val": "test"}
_LABELS = cityscapes()
_COLORS = np.array((*_LABELS.colors, (0, 0, 0)), dtype=np.uint8)


def prepare_cityscapes(root: str | Path, out: str | Path, *, reporter: Reporter | None = None) -> dict[str, int]:
    """Prepare ``leftImg8bit/`` and ``gtFine/`` of ``root``; ``{split: how many pairs}`` of train and val. Writes under ``out``

    - ``train/0.jpg``, ``val/0.jpg``, ...: 256 x 256 photo (A, left) and colors of its classes (B), JPEG of quality 100 without
      chroma subsampling, numbered in the order of city and name;
    - ``gtFine/.../*_gtFine_trainIds.png``: what segmentations are evaluated against, at full size, 255 where nothing is;
    - ``train_table.txt``, ``val_table.txt``: a line ``number trainIds photo`` a pair; the photo is a path under ``root``.

    Raises ``ValueError`` for a folder that is not Cityscapes, for missing partners and naming a file that cannot be read.
    """
    root, out = Path(root).expanduser(), Path(out)
    return {name: _prepare(root, out, name, reporter or Reporter()) for name in _SPLITS}


def _prepare(root: Path, out: Path, name: str, reporter: Reporter) -> int:
    place = locate_labels(root, _SPLITS[name])
    if place is None or not place.cityscapes or place.split != name:
        raise ValueError(f"{root} is not Cityscapes: it needs the folders leftImg8bit/{name} and gtFine/{name}")
    listing = list_labels(DataConfig(path=str(root)), _SPLITS[name])
    pairs = sorted(zip(listing.names, listing.sources, listing.targets, strict=True), key=lambda pair: pair[0])
    photo_ending, label_ending, _ = CITYSCAPES
    evaluated = [f"gtFine/{name}/{own}{label_ending.removesuffix('labelIds')}trainIds.png" for own, _, _ in pairs]
    photos = [f"leftImg8bit/{name}/{own}{photo_ending}.png" for own, _, _ in pairs]
    for folder in {(out / path).parent for path in (*evaluated, f"{name}/0.jpg")}:
        folder.mkdir(parents=True, exist_ok=True)

    def one(number: int) -> None:
        _, label, photo = pairs[number]
        ids = np.asarray(MapFile(label.path).decode())
        train_ids = _LABELS.label_target(ids)
        Image.fromarray(np.where(train_ids < 0, _UNJUDGED, train_ids).astype(np.uint8)).save(out / evaluated[number])
        sheet = side_by_side(ImageFile(photo.path).decode(), ids)
        sheet.save(out / name / f"{number}.jpg", quality=100, subsampling=0)

    with (
        reporter.task(f"prepare {name}", len(pairs)) as tick,
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,  # Pillow reads and writes without Python's lock
    ):
        for done, _ in enumerate(pool.map(one, range(len(pairs))), start=1):
            tick(done)
    lines = [f"{number} {mine} {photo}\n" for number, (mine, photo) in enumerate(zip(evaluated, photos, strict=True))]
    (out / f"{name}_table.txt").write_text("".join(lines))
    return len(pairs)


def side_by_side(photo: Image.Image, ids: np.ndarray) -> Image.Image:
    """A photo and the colors of its label ids (H x W), each at 256 x 256, in one RGB image."""
    colors = Image.fromarray(_COLORS[np.where(ids < len(_LABELS.colors), ids, len(_LABELS.colors))])
    sheet = Image.new("RGB", (2 * _SIDE, _SIDE))
    for left, image in ((0, photo), (_SIDE, colors)):
        sheet.paste(image.resize((_SIDE, _SIDE), _FILTER), (left, 0))
    return sheet
