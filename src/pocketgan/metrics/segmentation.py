"""Mean IoU and pixel accuracy of images generated from label maps, by a segmenter."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

IGNORED = -1
"""Label of target pixels that are not counted."""


class Segmenter(Protocol):
    """Segmentation network. Its ``name`` is part of the name of every figure measured with it."""

    name: str
    """Short, and different for different weights."""
    classes: int
    """K, the number of classes."""
    of_present: bool
    """True if the published mean is over the classes in the target only (`Confusion.miou`), as for COCO-Stuff."""

    def __call__(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Class of every pixel, N x h x w int64 of 0 to K - 1 on the CPU, for images N x 3 x H x W in [-1, 1].

        ``size`` is (h, w), that of the maps to compare with, for any size of the images.
        """
        ...


class Confusion:
    """Confusion matrix: exact counts of pixels by target class and predicted class.

    ``counts`` is a K x K int64 tensor, row: target, column: prediction. All figures are fractions from 0 to 1; papers print
    them times 100.
    """

    def __init__(self, classes: int) -> None:
        assert classes > 0
        self.counts = torch.zeros(classes, classes, dtype=torch.int64)

    @property
    def classes(self) -> int:
        """Number of classes, K."""
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

    def iou(self) -> Tensor:
        """Intersection over union of each class, K float64; NaN for a class in neither the target nor a prediction.

        Everingham et al. 2010, section 4.1.3; Cordts et al. 2016, section 3.2.
        """
        hits = self.counts.diagonal()
        return hits.double() / (self.counts.sum(0) + self.counts.sum(1) - hits)

    def miou(self, *, of_present: bool = False) -> float:
        """Mean of ``iou`` over the classes in the target or a prediction (Cityscapes); NaN before the first pixel.

        ``of_present``: over the classes in the target only (COCO-Stuff).
        """
        return float(self.iou()[self.counts.sum(1) > 0].mean() if of_present else self.iou().nanmean())

    def pixel_accuracy(self) -> float:
        """Share of counted pixels that are right; NaN before the first pixel."""
        return float(self.counts.trace().double() / self.counts.sum())

    def _check(self, kind: str, values: Tensor, least: int) -> None:
        if values.is_floating_point() or values.ndim != 3:
            raise ValueError(f"a {kind} must be N x H x W integers; found {values.dtype} of shape {tuple(values.shape)}")
        if values.numel():
            low, high = (int(bound) for bound in values.aminmax())
            if low < least or high >= self.classes:
                hint = "; give pixels that do not count as -1" if kind == "target" else ""
                raise ValueError(
                    f"a {kind} holds {low} to {high}, where {self.classes} classes allow {least} to {self.classes - 1}{hint}"
                )
