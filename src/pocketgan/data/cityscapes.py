"""The classes of Cityscapes: names, ids, colors, and the train ids that are evaluated.

Values of ``labels.py`` in the data set's own scripts (https://github.com/mcordts/cityscapesScripts; Cordts et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

IGNORED = -1
"""Train id of pixels that no metric counts."""


@dataclass(frozen=True, slots=True)
class CityscapesClass:
    """Annotated class; 19 of the 35 are trained and evaluated."""

    name: str
    id: int
    """The value in ``*_labelIds.png``; -1 for license plates, which no file contains."""
    train_id: int
    """0 to 18, or -1 for a class that is ignored (its pixels in ``*_trainIds.png`` are 255)."""
    color: tuple[int, int, int]
    """Red, green and blue, 0 to 255, in ``*_color.png``. Some classes share one."""


CLASSES: tuple[CityscapesClass, ...] = (
    CityscapesClass("license plate", -1, IGNORED, (0, 0, 142)),
    CityscapesClass("unlabeled", 0, IGNORED, (0, 0, 0)),
    CityscapesClass("ego vehicle", 1, IGNORED, (0, 0, 0)),
    CityscapesClass("rectification border", 2, IGNORED, (0, 0, 0)),
    CityscapesClass("out of roi", 3, IGNORED, (0, 0, 0)),
    CityscapesClass("static", 4, IGNORED, (0, 0, 0)),
    CityscapesClass("dynamic", 5, IGNORED, (111, 74, 0)),
    CityscapesClass("ground", 6, IGNORED, (81, 0, 81)),
    CityscapesClass("road", 7, 0, (128, 64, 128)),
    CityscapesClass("sidewalk", 8, 1, (244, 35, 232)),
    CityscapesClass("parking", 9, IGNORED, (250, 170, 160)),
    CityscapesClass("rail track", 10, IGNORED, (230, 150, 140)),
    CityscapesClass("building", 11, 2, (70, 70, 70)),
    CityscapesClass("wall", 12, 3, (102, 102, 156)),
    CityscapesClass("fence", 13, 4, (190, 153, 153)),
    CityscapesClass("guard rail", 14, IGNORED, (180, 165, 180)),
    CityscapesClass("bridge", 15, IGNORED, (150, 100, 100)),
    CityscapesClass("tunnel", 16, IGNORED, (150, 120, 90)),
    CityscapesClass("pole", 17, 5, (153, 153, 153)),
    CityscapesClass("polegroup", 18, IGNORED, (153, 153, 153)),
    CityscapesClass("traffic light", 19, 6, (250, 170, 30)),
    CityscapesClass("traffic sign", 20, 7, (220, 220, 0)),
    CityscapesClass("vegetation", 21, 8, (107, 142, 35)),
    CityscapesClass("terrain", 22, 9, (152, 251, 152)),
    CityscapesClass("sky", 23, 10, (70, 130, 180)),
    CityscapesClass("person", 24, 11, (220, 20, 60)),
    CityscapesClass("rider", 25, 12, (255, 0, 0)),
    CityscapesClass("car", 26, 13, (0, 0, 142)),
    CityscapesClass("truck", 27, 14, (0, 0, 70)),
    CityscapesClass("bus", 28, 15, (0, 60, 100)),
    CityscapesClass("caravan", 29, IGNORED, (0, 0, 90)),
    CityscapesClass("trailer", 30, IGNORED, (0, 0, 110)),
    CityscapesClass("train", 31, 16, (0, 80, 100)),
    CityscapesClass("motorcycle", 32, 17, (0, 0, 230)),
    CityscapesClass("bicycle", 33, 18, (119, 11, 32)),
)
"""All classes by id, -1 to 33."""

TRAINED: tuple[CityscapesClass, ...] = tuple(entry for entry in CLASSES if entry.train_id != IGNORED)
"""The 19 evaluated classes, by train id."""
