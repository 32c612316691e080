"""Which label map of Cityscapes a generated image is compared with, and what it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketgan.data.cityscapes import IGNORED, TRAINED, train_ids
from pocketgan.data.decode import BadImage

_TRAIN_IDS, _LABEL_IDS = "_trainIds.png", "_labelIds.png"
_IGNORED_BYTE = 255


def read_table(path: str | Path, root: str | Path) -> dict[str, Path]:
    """The label map of every image, by the image's index and by its photo's name without the suffix.

    The table is that of GAN Compression's ``prepare_cityscapes_dataset.py``: a line ``INDEX LABELS PHOTO`` an image, such as
    ``1 gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_trainIds.png
    leftImg8bit/val/frankfurt/frankfurt_000000_000294_leftImg8bit.png``, with paths below ``root``, the folder of the whole
    dataset. Images for pix2pix are named by index, those for SPADE by their photo. Where ``root`` has no ``*_trainIds.png``
    (they are not in the download but made from it), the ``*_labelIds.png`` beside it is taken, of which `read_target` makes
    the same.

    Raises ``ValueError`` for a table that is not there, lines of another form, a name on two lines, and label maps that are
    not below ``root``.
    """
    table, root = Path(path), Path(root)
    if not table.is_file():
        raise ValueError(f"there is no table {table}: give the text file that preparing Cityscapes for pix2pix wrote")
    found: dict[str, Path] = {}
    for number, line in enumerate(table.read_text().splitlines(), 1):
        if not line.strip():
            continue
        place, words = f"{table}, line {number}", line.split()
        if len(words) != 3 or not words[1].endswith(_TRAIN_IDS):
            raise ValueError(f"{place}: found '{line.strip()[:80]}', must be INDEX gtFine/...{_TRAIN_IDS} leftImg8bit/...png")
        labels = _labels(root, words[1], place)
        for name in (words[0], Path(words[2]).stem):
            if name in found:
                raise ValueError(f"{place}: '{name}' stands on a line above already; an image has one label map")
            found[name] = labels
    if not found:
        raise ValueError(f"{table} is empty: it must have a line INDEX LABELS PHOTO for every image")
    return found


def read_label_target(path: str | Path) -> NDArray[np.int64]:
    """The train ids, H x W, 0 to 18 or -1 (ignored), of a ``*_trainIds.png`` or a ``*_labelIds.png``.

    Raises ``BadImage`` for a file that cannot be read, is no map of single numbers, or holds other numbers.
    """
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except OSError as error:
        raise BadImage(str(path), f"cannot be read as a label map ({error})") from error
    if values.ndim != 2:
        raise BadImage(str(path), f"has {values.shape[2]} channels: take the map of numbers, *{_TRAIN_IDS} or *{_LABEL_IDS}")
    if str(path).endswith(_LABEL_IDS):
        try:
            return train_ids(values)
        except ValueError as error:
            raise BadImage(str(path), f"is no map of label ids: {error}") from error
    label_target = np.where(values == _IGNORED_BYTE, IGNORED, values.astype(np.int64))
    if label_target.max(initial=IGNORED) >= len(TRAINED):
        raise BadImage(
            str(path),
            f"holds {label_target.max()}, but train ids are 0 to {len(TRAINED) - 1} or {_IGNORED_BYTE}; maps of "
            f"label ids are named *{_LABEL_IDS}",
        )
    return label_target


def _labels(root: Path, relative: str, place: str) -> Path:
    for name in (relative, relative.removesuffix(_TRAIN_IDS) + _LABEL_IDS):
        if (root / name).is_file():
            return root / name
    raise ValueError(
        f"{place}: neither {root / relative} nor its *{_LABEL_IDS} is there; give the folder that holds gtFine, unpacked from "
        "gtFine_trainvaltest.zip of cityscapes-dataset.com"
    )
