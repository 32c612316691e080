"""Objectives on images alone, pixel by pixel or by their wavelets."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pocketgan.losses.images import Norm, mean_norm, wavelet_distance
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective, Options
from pocketgan.utils.registry import check_at_least


@dataclass(frozen=True, kw_only=True)
class OutputOptions(Options):
    """Options of `Output`."""

    norm: Norm = "l1"
    """Mean of the absolute differences, or of their squares."""


@OBJECTIVES.register("output")
class Output(Objective):
    """L1 (or mean squared error) to the teacher's image."""

    weight = 100.0
    needs_features = False
    Options = OutputOptions

    def loss(self, batch: DistillationBatch) -> Tensor:
        return mean_norm(batch.student_image - batch.teacher_image, self.options.norm)


@dataclass(frozen=True, kw_only=True)
class WaveletOptions(Options):
    """Options of `Wavelet`."""

    levels: int = 4
    """Levels of the transform."""
    norm: Norm = "l1"
    """Norm of the paper; the released code has the mean square."""

    def __post_init__(self) -> None:
        check_at_least(self, levels=1)


@OBJECTIVES.register("wavelet")
class Wavelet(Objective):
    """Distance to the detail of the teacher's image: the high bands of its Haar transform (Zhang et al. 2022).

    Summed over levels. Colors of areas are not compared, so that it goes beside ``output`` or a discriminator.
    """

    weight = 10.0
    needs_features = False
    Options = WaveletOptions

    def __init__(self, example: DistillationBatch, options: WaveletOptions):
        super().__init__(example, options)
        most = min(example.teacher_image.shape[-2:]).bit_length() - 1
        if options.levels > most:
            height, width = example.teacher_image.shape[-2:]
            raise ValueError(f"levels={options.levels} of the objective wavelet: an image of {height} x {width} has {most}")

    def loss(self, batch: DistillationBatch) -> Tensor:
        return wavelet_distance(batch.student_image, batch.teacher_image, levels=self.options.levels, norm=self.options.norm)
