"""Folder layouts of label maps, recognized from the names of the folders.

| kind | photos | label maps | instance maps, optional |
|---|---|---|---|
| folders | ``train/images/`` | ``train/labels/`` | ``train/instances/`` |
| COCO-Stuff | ``train_img/`` or ``train/img/`` | ``train_label/`` ... | ``train_inst/`` ... |
| Cityscapes | ``leftImg8bit/train/`` | ``gtFine/train/`` ``*_gtFine_labelIds.png`` | ``*_gtFine_instanceIds.png`` |
| unsplit folders | ``images/`` | ``labels/`` | ``instances/`` |

Evaluation uses ``test``, else ``val``, else the training images; of Cityscapes ``val``, because its test labels are secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from pocketgan.data.config import Side, Split
from pocketgan.data.files import bare_name, by_name, folder_of, folders_in, has_image, images_in
from pocketgan.data.layout import SEARCHED, Place, folder_names

CITYSCAPES = ("_leftImg8bit", "_gtFine_labelIds", "_gtFine_instanceIds")
"""Endings of the names of photos, label maps and instance maps in Cityscapes."""


@dataclass(frozen=True)
class LabelFolder:
    """Files of a folder whose names, without extension, end in ``ending``."""

    folder: Path
    ending: str = ""

    def by_name(self) -> dict[str, str]:
        """``{path inside the folder, without the ending: path}``. Raises ``ValueError`` for two files of one name."""
        paths = [path for path in images_in(self.folder) if bare_name(path, self.folder).endswith(self.ending)]
        return by_name(paths, self.folder, self.ending)


@dataclass(frozen=True)
class LabelPlace:
    """Folders of the photos and label maps of one split."""

    folders: Place
    """The folders as two sides: label maps are A, photos B."""
    photos: LabelFolder
    maps: LabelFolder
    instances: LabelFolder
    """Instance maps; the folder may not exist."""
    cityscapes: bool

    def check_masks(self) -> None:
        """Raise ``ValueError`` if there are masks beside the photos, too, so that the folders do not tell the task."""
        photos = self.photos.folder
        for folder in folders_in(photos.parent):
            if folder.name.casefold() in ("mask", "masks") and has_image(folder):
                raise ValueError(
                    f"{photos.parent} can be read in two ways: as photos of the label maps in {self.maps.folder.name} (--task "
                    f"labels), or as two folders {photos.name} and {folder.name} (--data {quote(str(photos))} --targets "
                    f"{quote(str(folder))}). Give the flags of the one that is meant"
                )


def locate_labels(root: Path, split: Split) -> LabelPlace | None:
    """Folders of the label maps of ``split`` under ``root``, or ``None`` where no layout of label maps fits.

    A folder named labels without images, such as one of bounding boxes, does not count.
    """
    places = _label_places(folder_of(root), split)
    return next((place for place in places if place.photos.folder.is_dir() and place.maps.by_name()), None)


def _label_places(root: Path, split: Split) -> Iterator[LabelPlace]:
    def place(name: str, *folders: str, endings: tuple[str, ...] = ("", "", "")) -> LabelPlace:
        photos, maps, instances = map(LabelFolder, [root / folder for folder in folders], endings)
        sides: dict[Side, Path] = {"A": maps.folder, "B": photos.folder}
        fallback = split == "test" and name in ("", "train")
        return LabelPlace(Place(root, name, sides, None, fallback), photos, maps, instances, endings == CITYSCAPES)

    for name in SEARCHED[split]:
        yield place(name, f"{name}/images", f"{name}/labels", f"{name}/instances")
        yield place(name, f"{name}/img", f"{name}/label", f"{name}/inst")
        yield place(name, f"{name}_img", f"{name}_label", f"{name}_inst")
        if name != "test":
            yield place(name, f"leftImg8bit/{name}", f"gtFine/{name}", f"gtFine/{name}", endings=CITYSCAPES)
    yield place("", "images", "labels", "instances")


def no_labels(root: Path, split: Split) -> str:
    """Error message for a folder in which `locate_labels` recognizes no layout."""
    if not root.is_dir():
        return f"{root} is no folder: give a folder of label maps and photos, or the built-in set shapes"
    return (
        f"{root} has no label maps and photos for {split}: found the folders {folder_names(root) or 'none'}; known layouts are "
        f"{split}/images and {split}/labels, {split}_img and {split}_label, or Cityscapes' leftImg8bit and gtFine"
    )
