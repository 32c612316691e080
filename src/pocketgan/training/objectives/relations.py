"""Objectives on relations: similarities between images, positions or pieces, which no adaptor has to translate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pocketgan.core.spec import init_weights_
from pocketgan.losses.features import kernel_alignment
from pocketgan.losses.relations import pieces_of, position_distance, region_contrast, relational_distance
from pocketgan.training.distributed import of_all
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective, Options
from pocketgan.training.objectives.features import adapt, widths_of
from pocketgan.utils.registry import check_at_least


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions(Options):
    """Options of `KernelAlignment`."""

    centered: bool = False
    """Subtract the mean over the images first, which CAT does not (Kornblith et al. 2019)."""


@OBJECTIVES.register("kernel-alignment")
class KernelAlignment(Objective):
    """Alignment with the teacher's similarities between the images of a batch (CAT, eq. 5). Minus the sum over layers.

    Over the images of all processes together: the released code sums the alignments of single GPUs, so that both the weight
    and the images compared depend on their number.
    """

    Options = AlignmentOptions

    @classmethod
    def least_batch(cls, options: AlignmentOptions) -> int:
        """Return 2 (centered: 3); the alignment of fewer images is the same for every network."""
        return 3 if options.centered else 2

    def loss(self, batch: DistillationBatch) -> Tensor:
        pairs = [(of_all(student), of_all(batch.teacher_features[name])) for name, student in batch.student_features.items()]
        return -torch.stack([kernel_alignment(*pair, centered=self.options.centered) for pair in pairs]).sum()


@dataclass(frozen=True, kw_only=True)
class PositionOptions(Options):
    """Options of `PixelRelations`."""

    side: int = 32
    """Height and width to which larger features are averaged down first: memory and time grow with the fourth power."""

    def __post_init__(self) -> None:
        check_at_least(self, side=2)


@OBJECTIVES.register("pixel-relations")
class PixelRelations(Objective):
    """Distance to the teacher's similarities between the positions of an image (Li et al. 2020). Averaged over layers."""

    weight = 100.0
    Options = PositionOptions

    def loss(self, batch: DistillationBatch) -> Tensor:
        pairs = [(features, batch.teacher_features[name]) for name, features in batch.student_features.items()]
        return torch.stack([position_distance(*pair, side=self.options.side) for pair in pairs]).mean()


@dataclass(frozen=True, kw_only=True)
class RegionOptions(Options):
    """Options of `Regions`."""

    count: int = 64
    """Positions of each image."""
    temperature: float = 0.07
    """Divisor of the cosines."""

    def __post_init__(self) -> None:
        check_at_least(self, count=2)
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: a number above 0")


@OBJECTIVES.register("regions")
class Regions(Objective):
    """Contrast of the positions that the teacher attends to: each like the teacher's there, unlike the others (ReKo, 2023).

    Averaged over layers, and over the positions of each image, so that the batch does not matter. A 1x1 adaptor on the
    student's features is trained with it (the released code has a random projection on the teacher's).
    """

    Options = RegionOptions

    def __init__(self, example: DistillationBatch, options: RegionOptions):
        super().__init__(example, options)
        widths = widths_of(example)
        self.layers = tuple(widths)
        self.adaptors = nn.ModuleList(nn.Conv2d(student, teacher, 1, bias=False) for student, teacher in widths.values())
        init_weights_(self)

    def loss(self, batch: DistillationBatch) -> Tensor:
        chosen: RegionOptions = self.options
        pairs = [
            (adapt(batch.student_features[name], adaptor), batch.teacher_features[name])
            for name, adaptor in zip(self.layers, self.adaptors, strict=True)
        ]
        return torch.stack(
            [region_contrast(*pair, count=chosen.count, temperature=chosen.temperature) for pair in pairs]
        ).mean()


@dataclass(frozen=True, kw_only=True)
class ContentOptions(Options):
    """Options of `ContentRelations`. Memory and time grow with the third power of the number of pieces."""

    strips: int = 64
    """Most rows and columns; a row has several pixels' height where the image is larger. Released: every row, 256."""
    grid: int = 8
    """Patches in each direction: at 256 x 256 the published 32 x 32 pixels."""

    def __post_init__(self) -> None:
        check_at_least(self, strips=3, grid=2)
        for name, most in (("strips", 256), ("grid", 16)):
            if getattr(self, name) > most:
                raise ValueError(f"{name}={getattr(self, name)}: at most {most}")


@OBJECTIVES.register("content-relations")
class ContentRelations(Objective):
    """Distance to the relations between rows, columns and patches of the teacher's image (CRD, 2022; Park et al. 2019)."""

    weight = 25.0
    needs_features = False
    Options = ContentOptions

    def loss(self, batch: DistillationBatch) -> Tensor:
        student, teacher = (
            pieces_of(image, strips=self.options.strips, grid=self.options.grid)
            for image in (batch.student_image, batch.teacher_image)
        )
        return torch.stack([relational_distance(*pair) for pair in zip(student, teacher, strict=True)]).sum()
