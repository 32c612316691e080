"""Files of Cityscapes: preparation of its images for pix2pix, and the label maps that generated images are compared with.

The preparation follows ``prepare_cityscapes_dataset.py`` in pytorch-CycleGAN-and-pix2pix and in GAN Compression (Li et al.
2020), which scale with Pillow's default filter: bicubic since version 7, nearest before. Here the filter is bicubic for photo
and colors alike; images prepared with an older Pillow differ in the colors along the borders of classes.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketgan.data.cityscapes import CLASSES, IGNORED, TRAINED
from pocketgan.data.config import DataConfig, Split
from pocketgan.data.decode import BadImage, ImageFile, MapFile
from pocketgan.data.files import folder_of, text_lines
from pocketgan.data.label_layout import locate_labels
from pocketgan.data.labels import cityscapes
from pocketgan.data.listing import list_labels
from pocketgan.utils.progress import Reporter

_THREADS = 8
_SIDE = 256
_FILTER = Image.Resampling.BICUBIC
_IGNORED_BYTE = 255  # in *_trainIds.png
_TRAIN_IDS, _LABEL_IDS = "_trainIds.png", "_labelIds.png"
_SPLITS: dict[str, Split] = {"train": "train", "val": "test"}
_LABELS = cityscapes()
_COLORS = np.array((*_LABELS.colors, (0, 0, 0)), dtype=np.uint8)


def prepare_cityscapes(root: str | Path, out: str | Path, *, reporter: Reporter | None = None) -> dict[str, int]:
    """Prepare ``leftImg8bit/`` and ``gtFine/`` of ``root``; ``{split: number of pairs}`` of train and val. Writes under ``out``

    - ``train/0.jpg``, ``val/0.jpg``, ...: 256 x 256 photo (A, left) and colors of its classes (B), JPEG of quality 100 without
      chroma subsampling, numbered in the order of city and name;
    - ``gtFine/.../*_gtFine_trainIds.png``: targets of the evaluation of segmentations, at full size, 255 where ignored;
    - ``train_table.txt``, ``val_table.txt``: a line ``number trainIds photo`` a pair; the photo is a path under ``root``.

    Raises ``ValueError`` for a folder that is not Cityscapes, for missing partners and naming a file that cannot be read.
    """
    root, out = folder_of(root), Path(out)
    return {name: _prepare(root, out, name, reporter or Reporter()) for name in _SPLITS}


def _prepare(root: Path, out: Path, split: str, reporter: Reporter) -> int:
    place = locate_labels(root, _SPLITS[split])
    if place is None or not place.cityscapes or place.folders.split != split:
        raise ValueError(f"{root} is not Cityscapes: it needs the folders leftImg8bit/{split} and gtFine/{split}")
    listing = list_labels(DataConfig(path=str(root)), _SPLITS[split])
    order = sorted(range(len(listing.names)), key=lambda index: listing.names[index])
    maps, photos = ([Path(listing.items[role][index].path) for index in order] for role in ("input", "target"))
    targets = [path.relative_to(root).as_posix().removesuffix(_LABEL_IDS) + _TRAIN_IDS for path in maps]
    for folder in {(out / path).parent for path in (*targets, f"{split}/0.jpg")}:
        folder.mkdir(parents=True, exist_ok=True)

    def prepare_pair(number: int) -> None:
        ids = np.asarray(MapFile(str(maps[number])).decode())
        target = _LABELS.label_target(ids)
        Image.fromarray(np.where(target < 0, _IGNORED_BYTE, target).astype(np.uint8)).save(out / targets[number])
        pair = side_by_side(ImageFile(str(photos[number])).decode(), ids)
        pair.save(out / split / f"{number}.jpg", quality=100, subsampling=0)

    with (
        reporter.task(f"prepare {split}", len(order)) as tick,
        ThreadPoolExecutor(_THREADS) as pool,  # Pillow reads and writes without Python's lock
    ):
        for done, _ in enumerate(pool.map(prepare_pair, range(len(order))), start=1):
            tick(done)
    lines = [f"{number} {targets[number]} {photo.relative_to(root).as_posix()}\n" for number, photo in enumerate(photos)]
    (out / f"{split}_table.txt").write_text("".join(lines))
    return len(order)


def side_by_side(photo: Image.Image, ids: np.ndarray) -> Image.Image:
    """A photo and the colors of its label ids (H x W), each at 256 x 256, in one RGB image."""
    colors = Image.fromarray(_COLORS[np.where(ids < len(_LABELS.colors), ids, len(_LABELS.colors))])
    pair = Image.new("RGB", (2 * _SIDE, _SIDE))
    for left, image in ((0, photo), (_SIDE, colors)):
        pair.paste(image.resize((_SIDE, _SIDE), _FILTER), (left, 0))
    return pair


def read_table(path: str | Path, root: str | Path) -> dict[str, Path]:
    """The label map of every image, by the image's index and by its photo's name without extension.

    The table is that of GAN Compression's ``prepare_cityscapes_dataset.py``: a line ``INDEX LABELS PHOTO`` an image, such as
    ``1 gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_trainIds.png
    leftImg8bit/val/frankfurt/frankfurt_000000_000294_leftImg8bit.png``, with paths below ``root``, the folder of the whole
    data set. Images for pix2pix are named by index, those for SPADE by their photo. Where ``root`` has no ``*_trainIds.png``
    (the download lacks them), the ``*_labelIds.png`` beside it is used; `read_label_target` converts its values.

    Raises ``ValueError`` for a missing table, lines of another form, a name on two lines, and label maps that are not below
    ``root``.
    """
    table, root = Path(path), Path(root)
    if not table.is_file():
        raise ValueError(f"there is no table {table}: give the text file that preparing Cityscapes for pix2pix wrote")
    targets: dict[str, Path] = {}
    for number, line in enumerate(text_lines(table), 1):
        if not line:
            continue
        place, words = f"{table}, line {number}", line.split()
        if len(words) != 3 or not words[1].endswith(_TRAIN_IDS):
            raise ValueError(f"{place}: found '{line[:80]}', must be INDEX gtFine/...{_TRAIN_IDS} leftImg8bit/...png")
        target = _target_file(root, words[1], place)
        for name in (words[0], Path(words[2]).stem):
            if name in targets:
                raise ValueError(f"{place}: '{name}' is also on a line above; an image has one label map")
            targets[name] = target
    if not targets:
        raise ValueError(f"{table} is empty: it must have a line INDEX LABELS PHOTO for every image")
    return targets


def read_label_target(path: str | Path) -> NDArray[np.int64]:
    """The train ids, H x W, 0 to 18 or -1 (ignored), of a ``*_trainIds.png`` or a ``*_labelIds.png``.

    Raises ``BadImage`` for a file that cannot be read, that holds colors, or other numbers.
    """
    values = np.asarray(MapFile(str(path)).decode()).astype(np.int64)
    if str(path).endswith(_LABEL_IDS):
        first, last = CLASSES[0].id, CLASSES[-1].id
        if values.min() < first or values.max() > last:
            found = f"found values from {values.min()} to {values.max()}"
            raise BadImage(str(path), f"is no map of label ids: those of Cityscapes are {first} to {last}; {found}")
        return _LABELS.label_target(values)
    target = np.where(values == _IGNORED_BYTE, IGNORED, values)
    if target.max(initial=IGNORED) >= len(TRAINED):
        raise BadImage(
            str(path),
            f"holds {target.max()}, but train ids are 0 to {len(TRAINED) - 1} or {_IGNORED_BYTE}; maps of label ids are named "
            f"*{_LABEL_IDS}",
        )
    return target


def _target_file(root: Path, relative: str, place: str) -> Path:
    for name in (relative, relative.removesuffix(_TRAIN_IDS) + _LABEL_IDS):
        if os.path.isfile(root / name):
            return root / name
    raise ValueError(
        f"{place}: neither {root / relative} nor its *{_LABEL_IDS} exists; give the folder that holds gtFine, unpacked from "
        "gtFine_trainvaltest.zip of cityscapes-dataset.com"
    )
