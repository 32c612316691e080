"""What the student imitates, besides playing its own game."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.registry import Registry
from pocketgan.core.spec import init_weights_
from pocketgan.losses import attention_transfer


@dataclass(frozen=True)
class Scene:
    """What one training step shows to an objective."""

    student: Mapping[str, Tensor]
    """Features of the student by layer."""
    teacher: Mapping[str, Tensor]
    """Features of the teacher by layer, without gradient."""
    picture: Tensor
    """The student's picture."""
    taught: Tensor
    """The teacher's picture of the same source, without gradient."""


class Objective(nn.Module, ABC):
    """One way to imitate. Whatever it learns (adaptors) is trained together with the student."""

    weight: float = 1.0
    """The factor of its loss, unless the configuration says otherwise."""
    features: bool = True
    """Whether it looks at features (and not at the pictures alone)."""

    @abstractmethod
    def loss(self, scene: Scene) -> Tensor:
        """The loss, not yet weighted."""


OBJECTIVES: Registry[type[Objective]] = Registry("objective")
"""By the name of ``--objective``; several are joined with ``+``. Built from ``{layer: (student, teacher) channels}``."""


@OBJECTIVES.register("output")
class Output(Objective):
    """L1 to the teacher's picture."""

    weight = 100.0
    features = False

    def __init__(self, channels: Mapping[str, tuple[int, int]]):
        super().__init__()

    def loss(self, scene: Scene) -> Tensor:
        """Mean absolute difference of the pictures."""
        return F.l1_loss(scene.picture, scene.taught)


@OBJECTIVES.register("features")
class Features(Objective):
    """Mean squared error to the teacher's features, after a 1x1 adaptor on the *student's* (GAN Compression, eq. 3).

    The paper prints the adaptor on the teacher; on the student (as its authors' code has it) it cannot make the loss
    vanish by mapping everything to zero. Summed over layers.
    """

    weight = 1.0

    def __init__(self, channels: Mapping[str, tuple[int, int]]):
        super().__init__()
        self.layers = tuple(channels)
        self.adaptors = nn.ModuleList(nn.Conv2d(int(student), int(teacher), 1) for student, teacher in channels.values())
        init_weights_(self)

    def loss(self, scene: Scene) -> Tensor:
        """Sum over the layers of the mean squared error."""
        pairs = zip(self.layers, self.adaptors, strict=True)
        return torch.stack([F.mse_loss(map_(scene.student[name]), scene.teacher[name]) for name, map_ in pairs]).sum()


@OBJECTIVES.register("attention")
class Attention(Objective):
    """The spatial attention of the teacher's features (Zagoruyko and Komodakis 2017). Summed over layers."""

    weight = 10.0

    def __init__(self, channels: Mapping[str, tuple[int, int]]):
        super().__init__()
        self.layers = tuple(channels)

    def loss(self, scene: Scene) -> Tensor:
        """Sum over the layers of the distance of the normalised maps."""
        return torch.stack([attention_transfer(scene.student[name], scene.teacher[name]) for name in self.layers]).sum()


def make_objectives(names: str, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> dict[str, Objective]:
    """The objectives of ``--objective a+b`` for networks whose features look like those given; ``none`` is none.

    Raises ``ValueError`` for an unknown name, and if features are asked for where there are none.
    """
    kinds = check_objectives(names)
    lost = [name for name, kind in kinds.items() if kind.features and not student]
    if lost:
        raise ValueError(
            f"objective '{lost[0]}' has no layer to look at, none is left of the teacher's: use output, or name layers"
        )
    channels = {layer: (features.shape[1], teacher[layer].shape[1]) for layer, features in student.items()}
    return {name: kind(channels) for name, kind in kinds.items()}


def check_objectives(names: str) -> dict[str, type[Objective]]:
    """The kinds of objective in ``--objective a+b``; ``none`` is none. Raises ``ValueError`` for an unknown name."""
    return {} if names == "none" else {name: OBJECTIVES[name] for name in names.split("+")}
