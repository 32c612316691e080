"""Distillation objectives: losses by which the student imitates the teacher, beside its own task.

One file a family; importing this package fills the registry.
"""

from pocketgan.training.objectives.attention import Attention, CoAttention
from pocketgan.training.objectives.base import (
    OBJECTIVES,
    DistillationBatch,
    Objective,
    Options,
    check_batch,
    check_objectives,
    make_objectives,
)
from pocketgan.training.objectives.discriminator import Discriminator, DiscriminatorFeatures
from pocketgan.training.objectives.features import Channels, Features
from pocketgan.training.objectives.images import Output, Wavelet
from pocketgan.training.objectives.perceptual import Moments, Perceptual
from pocketgan.training.objectives.relations import ContentRelations, KernelAlignment, PixelRelations, Regions

__all__ = [
    "OBJECTIVES",
    "Attention",
    "Channels",
    "CoAttention",
    "ContentRelations",
    "Discriminator",
    "DiscriminatorFeatures",
    "DistillationBatch",
    "Features",
    "KernelAlignment",
    "Moments",
    "Objective",
    "Options",
    "Output",
    "Perceptual",
    "PixelRelations",
    "Regions",
    "Wavelet",
    "check_batch",
    "check_objectives",
    "make_objectives",
]
