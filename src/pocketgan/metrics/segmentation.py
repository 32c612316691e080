"""How well images generated from label maps are read back as those maps: mIoU and pixel accuracy."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

IGNORED = -1
"""In a map of target: a pixel that is not counted."""


class Segmenter(Protocol):
    """What reads the maps back. Its ``name`` is part of the name of every number measured with it."""

    @property
    def name(self) -> str:
        """Short, and different for different weights."""
        ...

    @property
    def classes(self) -> int:
        """K, the number of classes that it tells apart."""
        ...

    @property
    def of_present(self) -> bool:
        """Whether its published mean is over the classes in the target alone (`Confusion.miou_of_present`), as COCO-Stuff's."""
        ...

    def __call__(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """The class of every pixel, N x h x w int64 of 0 to K - 1 on the CPU, for images N x 3 x H x W in [-1, 1].

        ``size`` is (h, w), that of the maps to compare with, whatever the size of the images is.
        """
        ...


class Confusion:
    """How often pixels of each true class were predicted as each class: exact counts, in any order, mergeable.

    ``counts`` is a K x K int64 tensor, row: target, column: prediction. All figures are fractions from 0 to 1; papers print
    them times 100.
    """

    def __init__(self, classes: int) -> None:
        assert classes > 0
        self.counts = torch.zeros(classes, classes, dtype=torch.int64)

    @property
    def classes(self) -> int:
        """K."""
        return len(self.counts)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Count pixels of maps N x H x W of integers: ``predicted`` 0 to K - 1, ``target`` too or -1, which is not counted.

        Raises ``ValueError`` for other shapes, types and values.
        """
        if predicted.shape != target.shape:
            raise ValueError(f"a map of {tuple(predicted.shape)} cannot be compared with one of {tuple(target.shape)}")
        self._check("prediction", predicted, 0)
        self._check("target", target, IGNORED)
        counted = target != IGNORED
        pairs = target[counted].long() * self.classes + predicted[counted].long()
        self.counts += torch.bincount(pairs, minlength=self.classes**2).view_as(self.counts).cpu()

    def merge(self, other: Confusion) -> Confusion:
        """The counts of both together, a new object."""
        assert self.classes == other.classes
        merged = Confusion(self.classes)
        merged.counts = self.counts + other.counts
        return merged

    def iou(self) -> Tensor:
        """Intersection over union of each class, K float64; NaN for a class in neither the target nor a prediction.

        Everingham et al. 2010, section 4.1.3; Cordts et al. 2016, section 3.2.
        """
        hits = self.counts.diagonal()
        return hits.double() / (self.counts.sum(0) + self.counts.sum(1) - hits)

    def miou(self) -> float:
        """The mean of ``iou`` over the classes in the target or a prediction (Cityscapes); NaN before the first pixel."""
        return float(self.iou().nanmean())

    def miou_of_present(self) -> float:
        """The mean of ``iou`` over the classes in the target alone (COCO-Stuff); NaN before the first pixel."""
        return float(self.iou()[self.counts.sum(1) > 0].mean())

    def pixel_accuracy(self) -> float:
        """The share of counted pixels that are right; NaN before the first pixel."""
        return float(self.counts.trace().double() / self.counts.sum())

    def _check(self, what: str, values: Tensor, least: int) -> None:
        if values.is_floating_point() or values.ndim != 3:
            raise ValueError(f"a {what} must be N x H x W integers; found {values.dtype} of shape {tuple(values.shape)}")
        if values.numel():
            low, high = (int(bound) for bound in values.aminmax())
            if low < least or high >= self.classes:
                hint = "; give pixels that do not count as -1" if what == "target" else ""
                raise ValueError(
                    f"a {what} holds {low} to {high}, where {self.classes} classes allow {least} to {self.classes - 1}{hint}"
                )
