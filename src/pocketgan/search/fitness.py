"""How good a candidate is on held-out images: near to the teacher's pictures, or to real ones on features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pocketgan.compress.calibrate import calibrate_, has_statistics
from pocketgan.compress.elastic import Elastic
from pocketgan.core.inputs import Given, as_given
from pocketgan.metrics.features import Extractor
from pocketgan.metrics.frechet import frechet_distance
from pocketgan.metrics.kernel import kernel_distance
from pocketgan.metrics.segmentation import Confusion, Segmenter
from pocketgan.metrics.statistics import F64, Moments
from pocketgan.search.scoring import NONE, ByImages

Fit = Literal["teacher", "frechet", "kernel", "miou"]
"""``teacher``: mean absolute difference to the teacher's pictures, which needs no extractor and has little noise; ``miou``:
what a segmenter misreads in the pictures of label maps."""

Paint = Callable[[Mapping[str, int], range], Iterator[tuple[slice, Tensor]]]
"""Where a network's pictures of some sources belong, and the pictures, in parts."""

PAINTED, PIXELS = 8, 1 << 17
"""Pictures painted at a time, at most, and on a CPU their pixels: more of them leave its cache."""
CALIBRATED = 16
"""Images that set a candidate's running statistics, the same ones on every rung."""


@dataclass(frozen=True)
class HeldOut:
    """A part of the training images that no weight has been fitted to; N x C x H x W in [-1, 1] each."""

    sources: Given
    """What a generator reads of them."""
    taught: Tensor
    """The teacher's pictures of them."""
    reals: Tensor | None = None
    """Their real targets, where there are any."""
    extractor: Extractor | None = None
    segmenter: Segmenter | None = None
    truth: Callable[[int], NDArray[np.int64]] | None = None
    """With a segmenter: the label map of a source, H x W at its own size, -1 where it is not judged; read when asked for."""


def make_fitness(model: Elastic, held_out: HeldOut, kind: Fit, device: torch.device) -> ByImages:
    """The distance of a network of some widths, with the shared weights as they are; lower is better.

    The pictures of the teacher and the features of the real ones are made once. Nothing is built for a network without
    running statistics; one with them is cut out and recalibrated on the first `CALIBRATED` images. Raises ``ValueError`` for a
    distance on features that has no extractor.
    """
    painter = Painter(model, tuple(tensor.to(device) for tensor in as_given(held_out.sources)))
    if kind == "teacher":
        return ToTeacher(painter, held_out.taught.to(device))
    if kind == "miou":
        if held_out.segmenter is None or held_out.truth is None:
            raise ValueError("fitness=miou is measured by a segmenter: give judge.segmenter, or take fitness=teacher")
        return Misread(painter, held_out.segmenter, held_out.truth, len(held_out.taught))
    if held_out.extractor is None:
        raise ValueError(f"fitness={kind} is measured on features: give an ONNX file with --features, or take fitness=teacher")
    return OnFeatures(painter, held_out.extractor, held_out.taught if held_out.reals is None else held_out.reals, kind)


class Painter:
    """Paints the sources with the shared weights at any widths, a few at a time."""

    def __init__(self, model: Elastic, sources: Given):
        self.model, self.sources = model, as_given(sources)
        first = self.sources[0]
        fitting = PIXELS // prod(first.shape[2:]) if first.device.type == "cpu" else PAINTED
        self.batch = max(1, min(PAINTED, fitting))

    def __call__(self, widths: Mapping[str, int], images: range) -> Iterator[tuple[slice, Tensor]]:
        """As `Paint`."""
        self.model.resize_(widths)
        network: nn.Module = self.model.eval()
        if has_statistics(self.model.model):
            network = self.model.extract().eval()
            starts = range(0, min(CALIBRATED, len(self.sources[0])), self.batch)
            calibrate_(network, (self._part(slice(k, min(k + self.batch, CALIBRATED))) for k in starts))
        for start in range(images.start, images.stop, self.batch):
            part = slice(start, min(start + self.batch, images.stop))
            with torch.inference_mode():
                yield part, network(*self._part(part)).clamp(-1, 1)

    def _part(self, part: slice) -> tuple[Tensor, ...]:
        return tuple(tensor[part] for tensor in self.sources)


class ToTeacher:
    """Mean absolute difference to the teacher's pictures; a row holds that of one picture."""

    least = 1

    def __init__(self, painter: Paint, taught: Tensor):
        self.painter, self.taught = painter, taught

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.taught)

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """The difference of every picture."""
        parts = [
            (picture.float() - self.taught[place]).abs().mean((1, 2, 3), dtype=torch.float64)
            for place, picture in self.painter(widths, images)
        ]
        return torch.cat(parts)[:, None].cpu().numpy()

    def score(self, rows: F64, without: range = NONE) -> float:
        """Their mean; no real picture has a part in it."""
        return float(rows.mean())


class Misread:
    """One minus the mean IoU of what a segmenter reads in the pictures; a row holds the confusion matrix of one picture."""

    least = 1

    def __init__(self, painter: Paint, segmenter: Segmenter, truth: Callable[[int], NDArray[np.int64]], images: int):
        self.painter, self.segmenter, self.truth, self.images = painter, segmenter, truth, images

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """The pixels of every picture, counted by true and by read class."""
        rows = []
        for place, pictures in self.painter(widths, images):
            for index, picture in zip(range(place.start, place.stop), pictures.float().cpu(), strict=True):
                one, truth = Confusion(self.segmenter.classes), self.truth(index)
                height, width = truth.shape
                one.update(self.segmenter(picture[None], (height, width)), torch.from_numpy(truth)[None])
                rows.append(one.counts.flatten().double().numpy())
        return np.stack(rows)

    def score(self, rows: F64, without: range = NONE) -> float:
        """Over the pixels of all pictures together, as it is published; no real picture has a part in it."""
        joined = Confusion(self.segmenter.classes)
        joined.counts = torch.from_numpy(rows.sum(0)).long().view_as(joined.counts)
        return 1.0 - (joined.miou_of_present() if self.segmenter.of_present else joined.miou())


class OnFeatures:
    """A distance between the features of the pictures and of all the real ones; a row holds those of one picture."""

    def __init__(self, painter: Paint, extractor: Extractor, reals: Tensor, kind: Literal["frechet", "kernel"]):
        self.painter, self.extractor, self.kind = painter, extractor, kind
        self.least = 2 if kind == "frechet" else 3
        self.reals = np.concatenate([extractor(part) for part in torch.split(reals, PAINTED)])
        self._moments = cache(lambda without: Moments.of(self._without(without), features=extractor.name))

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.reals)

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """The features of every picture."""
        return np.concatenate([self.extractor(picture.cpu()) for _, picture in self.painter(widths, images)])

    def score(self, rows: F64, without: range = NONE) -> float:
        """The distance."""
        if self.kind == "kernel":
            return kernel_distance(rows, self._without(without)).value
        return frechet_distance(Moments.of(rows, features=self.extractor.name), self._moments(without))

    def _without(self, images: range) -> F64:
        return np.delete(self.reals, images, axis=0)
