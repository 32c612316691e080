"""Configuration of a data set: plain JSON-able fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pocketgan.core.inputs import Shape, shape_of
from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.utils.registry import check_at_least, unknown

Direction = Literal["AtoB", "BtoA"]
Side = Literal["A", "B"]
Preprocess = Literal["resize", "scale_shorter", "scale_width", "crop", "none"]
Split = Literal["train", "test"]
Role = Literal["input", "target"]
Range = tuple[float, float]
"""Values of black and white."""

MAX_CLASSES = 4_096
"""Classes of label maps, each of which is a channel of a network's input."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Location of the images and their preparation for the networks.

    Raises ``ValueError`` for a value that is not allowed and for a setting that would have no effect.
    """

    path: str
    """A folder, or a built-in set: ``shapes`` (paired, labels) or ``textures`` (unpaired). Write ``./shapes`` for a folder."""
    targets: str | None = None
    """Second folder, with the targets, where ``path`` holds the inputs; files are matched by name. Both may be patterns such
    as ``photos/*_in.png``, matched by what the wildcards stand for."""
    direction: Direction = "AtoB"
    """Side that is the input, A or B; the other one is the target."""
    size: int = 256
    """Width, in pixels, of the networks' images; with ``aspect`` 1 the side of a square."""
    aspect: float = 1.0
    """Width over height of the networks' images, published as aspect_ratio: 2 with a size of 512 is 512 x 256."""
    center: int | None = None
    """Side, in pixels, of a central square that is cut out of every image before any other step. Published: 160 for CelebA."""
    load_size: int | None = None
    """Width to scale to before the random crop in training; ``None`` is ``size``. Published: 286 for a size of 256."""
    flip: bool = False
    """Mirror half of the training images left to right, both images of a pair alike."""
    variants: int | None = None
    """Number of fixed crops and mirrors of each training image, which take turns; ``None`` draws a new one every time."""
    preprocess: Preprocess = "resize"
    """Method to bring an image to its size.

    - ``resize``: to ``load_size`` and ``aspect``, whatever the image's proportion (published as ``resize_and_crop``); cropped.
    - ``scale_shorter``: in proportion, until the image just covers ``load_size``: of a square, the shorter side; then cropped.
    - ``scale_width``: the width to ``size``, the height in proportion, which must be that of ``aspect``; no crop.
    - ``crop``: not scaled; cropped.
    - ``none``: the whole image at its own size, rounded to multiples of 4. Images of different sizes need batch 1.

    Crops are random in training and central otherwise. Evaluation scales to ``size`` instead of ``load_size``.
    """
    aligned: bool | None = None
    """True if each file holds A and B side by side, where the folders do not tell. ``None`` decides: true if the halves of the
    first images have exactly the ``aspect``: for 1, if the images are twice as wide as high."""
    classes: int | str | None = None
    """Meaning of the values of label maps, for the task ``labels``: the number of classes, a text file of their names (one a
    line, ``#rrggbb`` behind it for a color), ``cityscapes`` or ``coco-stuff``. ``None`` looks for ``classes.txt`` in the
    folder and recognizes Cityscapes by its folders. Other values are void."""
    range: str | None = None
    """Values of black and white in images of 16 bits and more: ``0..4095``, or ``auto`` for the extremes in a sample of the
    training images of each side. ``None`` is 0..65535 for 16 bits and refuses float images. 8-bit images are never scaled."""
    opacity: bool | None = None
    """True if the fourth band of an image is opacity, which is laid on white, and False if it is a band like the others.
    ``None`` is as the file says."""
    workers: int = 2
    """Processes that decode; 0 decodes in the calling process. The batches do not depend on their number."""
    limit: int | None = None
    """Use only the first N images of each side."""

    @property
    def shape(self) -> Shape:
        """Height and width, in pixels, of the networks' images."""
        return shape_of(self.size, self.aspect)

    @property
    def is_augmented(self) -> bool:
        """True if a training image is not the same every time."""
        cropped = self.preprocess in ("scale_shorter", "crop") or self.load_shape != self.shape
        return self.flip or (cropped and self.preprocess != "none")

    @property
    def load_shape(self) -> Shape:
        """Height and width that training scales to before its crop."""
        return shape_of(self.load_size or self.size, self.aspect)

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise unknown("direction", self.direction, get_args(Direction))
        if self.preprocess not in get_args(Preprocess):
            raise unknown("preprocess", self.preprocess, get_args(Preprocess))
        check_at_least(
            self, size=2, workers=0, limit=1, center=2, variants=1, **({"classes": 1} if isinstance(self.classes, int) else {})
        )
        if isinstance(self.classes, int) and self.classes > MAX_CLASSES:
            raise ValueError(f"classes={self.classes}: the most is {MAX_CLASSES}, as each class is a channel of the input")
        parse_range(self.range)  # raises for what is no range
        for side in (self.size, self.load_size or self.size):
            shape_of(side, self.aspect)  # raises for what is no image
        if self.center is not None and self.preprocess == "none":
            raise ValueError(
                f"center={self.center} cuts a part out of every image, preprocess=none keeps the whole image: leave one of "
                "them out"
            )
        if self.load_size is not None and self.load_size < self.size:
            raise ValueError(
                f"load_size={self.load_size} is smaller than size={self.size}: a crop cannot be larger than its image"
            )
        if self.load_size is not None and self.preprocess not in ("resize", "scale_shorter"):
            raise ValueError(
                f"load_size={self.load_size} has no effect with preprocess={self.preprocess}: leave it out, or use resize or "
                "scale_shorter"
            )


def parse_range(text: str | None) -> Range | None:
    """Values of black and white that ``data.range`` states; None for ``auto`` and for no statement."""
    if text is None or text == "auto":
        return None
    low, _, high = text.partition("..")
    try:
        values = float(low), float(high)
    except ValueError:
        values = math.nan, math.nan
    if not (math.isfinite(values[0]) and math.isfinite(values[1]) and values[0] < values[1]):
        raise ValueError(f"range={text} must be LOW..HIGH, such as 0..4095, with LOW below HIGH, or auto")
    return values


def sides_of(task: TaskName, direction: Direction) -> dict[Role, Side]:
    """Side of each role: both, or that of the only role for a task with images of one side."""
    sides: dict[Role, Side] = {"input": "A", "target": "B"} if direction == "AtoB" else {"input": "B", "target": "A"}
    role = counted_role(task)
    return {role: sides[role]} if traits_of(task).has_one_side else sides


def counted_role(task: TaskName) -> Role:
    """Role whose images are counted and named: the inputs, unless those are latents."""
    return "target" if traits_of(task).reads_latents else "input"
