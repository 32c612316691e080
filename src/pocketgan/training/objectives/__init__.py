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
from pocketgan.training.objectives.discriminator import Discriminator
from pocketgan.training.objectives.features import Features
from pocketgan.training.objectives.images import Output
from pocketgan.training.objectives.relations import KernelAlignment

__all__ = [
    "OBJECTIVES",
    "Attention",
    "CoAttention",
    "Discriminator",
    "DistillationBatch",
    "Features",
    "KernelAlignment",
    "Objective",
    "Options",
    "Output",
    "check_batch",
    "check_objectives",
    "make_objectives",
]
