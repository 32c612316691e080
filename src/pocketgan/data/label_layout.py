"""The layouts of label maps, recognized from the names of the folders.

| kind | photos | label maps | instance maps, optional |
|---|---|---|---|
| folders | ``train/images/`` | ``train/labels/`` | ``train/instances/`` |
| COCO-Stuff | ``train_img/`` or ``train/img/`` | ``train_label/`` ... | ``train_inst/`` ... |
| Cityscapes | ``leftImg8bit/train/`` | ``gtFine/train/`` ``*_gtFine_labelIds.png`` | ``*_gtFine_instanceIds.png`` |
| unsplit folders | ``images/`` | ``labels/`` | ``instances/`` |

Evaluated is on ``test``, else ``val``, else the training images; of Cityscapes on ``val``, for its test labels are secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pocketgan.data.config import Split
from pocketgan.data.folders import images_in
from pocketgan.data.layout import ORDER, Place

CITYSCAPES = ("_leftImg8bit", "_gtFine_labelIds", "_gtFine_instanceIds")
"""How the names of photos, label maps and instance maps end."""


@dataclass(frozen=True)
class Files:
    """The files of a folder whose names, without type, end in ``ending``."""

    folder: Path
    ending: str = ""

    def by_name(self) -> dict[str, str]:
        """``{path inside the folder, without the ending: path}``. Raises ``ValueError`` for two files of one name."""
        found: dict[str, str] = {}
        for path in images_in(self.folder):
            bare = os.path.splitext(Path(os.path.relpath(path, self.folder)).as_posix())[0]
            if not bare.endswith(self.ending):
                continue
            name = bare.removesuffix(self.ending)
            if name in found:
                raise ValueError(f"{found[name]} and {path} have the same name: a pair needs one file on each side")
            found[name] = path
        return found


@dataclass(frozen=True)
class LabelPlace:
    """Where the photos and label maps of one split lie."""

    split: str
    """The split that was found: train, test, val, or "" where the folder has none."""
    photos: Files
    maps: Files
    instances: Files
    """Its folder may not exist."""
    cityscapes: bool = False

    def fallback(self, split: Split) -> bool:
        """Whether evaluating has to use the training images."""
        return split == "test" and self.split in ("", "train")

    def sides(self, root: Path, split: Split) -> Place:
        """The same as two sides: label maps are A, photos B."""
        return Place(root, self.split, {"A": self.maps.folder, "B": self.photos.folder}, None, self.fallback(split))


def locate_labels(root: Path, split: Split) -> LabelPlace | None:
    """The place of the label maps of ``split`` under ``root``, or ``None`` where the folders look made for something else."""
    root = root.expanduser()
    return next((place for place in _spellings(root, split) if _present(place)), None)


def _spellings(root: Path, split: Split) -> Iterator[LabelPlace]:
    for name in ORDER[split]:
        for photos, maps, instances in (("images", "labels", "instances"), ("img", "label", "inst")):
            folder = root / name
            yield LabelPlace(name, Files(folder / photos), Files(folder / maps), Files(folder / instances))
        yield LabelPlace(name, Files(root / f"{name}_img"), Files(root / f"{name}_label"), Files(root / f"{name}_inst"))
        if name != "test":
            taken, drawn = root / "leftImg8bit" / name, root / "gtFine" / name
            photo, label, instance = CITYSCAPES
            yield LabelPlace(name, Files(taken, photo), Files(drawn, label), Files(drawn, instance), cityscapes=True)
    yield LabelPlace("", Files(root / "images"), Files(root / "labels"), Files(root / "instances"))


def _present(place: LabelPlace) -> bool:
    """Folders called labels may hold other things, such as boxes."""
    return place.photos.folder.is_dir() and bool(place.maps.by_name())
