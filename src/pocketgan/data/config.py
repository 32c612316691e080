"""What to read and how to prepare it: plain JSON-able fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pocketgan.core.shape import Shape, shape_of
from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.utils.errors import unknown

Direction = Literal["AtoB", "BtoA"]
Preprocess = Literal["resize", "scale_shorter", "scale_width", "crop", "none"]
Split = Literal["train", "test"]

_SCALES_TO_LOAD_SIZE = ("resize", "scale_shorter")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images are and how they become what the networks see.

    Raises ``ValueError`` for a value that is not allowed and for a setting that would have no effect.
    """

    path: str
    """A folder, or a built-in set: ``shapes`` (paired, labels) or ``textures`` (unpaired). Write ``./shapes`` for a folder."""
    direction: Direction = "AtoB"
    """Which side is the source: A, or B."""
    size: int = 256
    """Width, in pixels, of what the networks see; with ``aspect`` 1 the side of a square."""
    aspect: float = 1.0
    """Width over height of what the networks see, published as aspect_ratio: 2 with a size of 512 is 512 x 256."""
    center: int | None = None
    """Cut a central square of that many pixels a side out of every image first; all else is done to that. Published: 160 for
    CelebA's faces."""
    load_size: int | None = None
    """Scale to this width before the random crop in training; ``None`` is ``size``. Published: 286 for a size of 256."""
    flip: bool = False
    """Mirror half of the training images left to right, both images of a pair alike."""
    preprocess: Preprocess = "resize"
    """How an image comes to its size.

    - ``resize``: to ``load_size``, at ``aspect`` whatever its own shape (published as ``resize_and_crop``); then cropped.
    - ``scale_shorter``: in proportion, until it just covers that: of a square, the shorter side; then cropped.
    - ``scale_width``: the width to ``size``, the height in proportion, which must be that of ``aspect``; no crop.
    - ``crop``: not scaled; cropped.
    - ``none``: whole, at its own size, rounded to multiples of 4. Images of different sizes need batch 1.

    Crops are random in training and central otherwise. Evaluation scales to ``size`` instead of ``load_size``.
    """
    aligned: bool | None = None
    """Whether each file holds A and B side by side, where the folders do not tell. ``None`` decides: yes if the task is
    paired or if the halves of the first images have exactly the ``aspect``: for 1, they are twice as wide as high."""
    classes: int | str | None = None
    """What the values of label maps mean, for the task ``labels``: how many classes there are, a text file of their names
    (one a line, ``#rrggbb`` behind it for a color), ``cityscapes`` or ``coco-stuff``. ``None`` looks for ``classes.txt`` in
    the folder and knows Cityscapes by its folders. Other values are void."""
    workers: int = 2
    """Processes that decode; 0 decodes in the calling process. The batches do not depend on it."""
    limit: int | None = None
    """Use only the first N images of each side."""

    @property
    def shape(self) -> Shape:
        """Height and width, in pixels, of what the networks see."""
        return shape_of(self.size, self.aspect)

    @property
    def load_shape(self) -> Shape:
        """Height and width that training scales to before its crop."""
        return shape_of(self.load_size or self.size, self.aspect)

    def __post_init__(self) -> None:
        _known("direction", self.direction, get_args(Direction))
        _known("preprocess", self.preprocess, get_args(Preprocess))
        _at_least("size", self.size, 2)
        shape_of(self.size, self.aspect)  # refuses what is no aspect
        if isinstance(self.classes, int):
            _at_least("classes", self.classes, 1)
        _at_least("workers", self.workers, 0)
        if self.limit is not None:
            _at_least("limit", self.limit, 1)
        if self.center is not None:
            self._check_center(self.center)
        if self.load_size is not None:
            self._check_load_size(self.load_size)

    def _check_center(self, center: int) -> None:
        _at_least("center", center, 2)
        if self.preprocess == "none":
            raise ValueError(
                f"center={center} cuts a part out of every image, preprocess=none takes them whole: leave one of them out"
            )

    def _check_load_size(self, load_size: int) -> None:
        if load_size < self.size:
            raise ValueError(f"load_size={load_size} is smaller than size={self.size}: a crop cannot be larger than that")
        if self.preprocess not in _SCALES_TO_LOAD_SIZE:
            allowed = " or ".join(_SCALES_TO_LOAD_SIZE)
            raise ValueError(
                f"load_size={load_size} has no effect with preprocess={self.preprocess}: leave it out, or use {allowed}"
            )


def has_pairs(task: TaskName) -> bool:
    """Whether source and target at the same index show the same."""
    return traits_of(task).has_pairs


def crosses(task: TaskName) -> bool:
    """Whether any target goes with any source."""
    return traits_of(task).any_target


def _known(kind: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise unknown(kind, value, allowed)


def _at_least(field: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{field}={value} must be at least {least}")
