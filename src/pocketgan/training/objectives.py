"""What the student imitates, besides playing its own task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.config import from_json
from pocketgan.core.registry import Registry
from pocketgan.core.spec import init_weights_
from pocketgan.losses import (
    attention_distance,
    attention_map,
    attention_transfer,
    coattention_maps,
    discriminator_distance,
    fused,
    kernel_alignment,
)
from pocketgan.training.distributed_ops import norm_of_all, of_all
from pocketgan.training.teacher_discriminator import TeacherDiscriminator
from pocketgan.utils.errors import unknown


@dataclass(frozen=True)
class DistillationBatch:
    """What one training step shows to an objective."""

    source: Tensor
    """N x C x H x W in [-1, 1]."""
    student_image: Tensor
    """The student's image."""
    teacher_image: Tensor
    """The teacher's image of the same source, without gradient."""
    student: Mapping[str, Tensor]
    """Features of the student by layer."""
    teacher: Mapping[str, Tensor]
    """Features of the teacher by layer, without gradient."""
    teacher_discriminator: TeacherDiscriminator | None = None
    """The teacher's discriminator, where there is one."""

    @cached_property
    def discriminator_features_student(self) -> Mapping[str, Tensor]:
        """What the teacher's discriminator sees in the student's image, by layer; a gradient reaches the student."""
        assert self.teacher_discriminator is not None
        return self.teacher_discriminator(self.source, self.student_image)

    @cached_property
    def discriminator_features_teacher(self) -> Mapping[str, Tensor]:
        """What it sees in the teacher's image, without gradient."""
        assert self.teacher_discriminator is not None
        with torch.no_grad():
            return self.teacher_discriminator(self.source, self.teacher_image)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of an objective that has none."""


class Objective(nn.Module, ABC):
    """One way to imitate, made from an example of what it will see. What it learns is trained together with the student."""

    weight: ClassVar[float] = 1.0
    """The factor of its loss, unless the configuration says otherwise."""
    features: ClassVar[bool] = True
    """Whether it looks at features (and not at the images alone)."""
    teacher_discriminator: ClassVar[bool] = False
    """Whether it looks through the teacher's discriminator."""
    without_discriminator: ClassVar[str] = ""
    """What it does where there is no such discriminator; empty: it is left out."""
    Options: ClassVar[type] = Options
    """A frozen dataclass: the type of ``options``."""

    def __init__(self, example: DistillationBatch, options: Any):
        super().__init__()

    @classmethod
    def least_batch(cls, options: Any) -> int:
        """The fewest images of a step, over all processes, that it learns anything from."""
        return 1

    @abstractmethod
    def loss(self, outputs: DistillationBatch) -> Tensor:
        """The loss, not yet weighted."""


OBJECTIVES: Registry[type[Objective]] = Registry("objective")
"""By the name of ``--objective``; several are joined with ``+``."""


@OBJECTIVES.register("output")
class Output(Objective):
    """L1 to the teacher's image."""

    weight = 100.0
    features = False

    def loss(self, outputs: DistillationBatch) -> Tensor:
        """Mean absolute difference of the images."""
        return F.l1_loss(outputs.student_image, outputs.teacher_image)


@OBJECTIVES.register("features")
class Features(Objective):
    """Mean squared error to the teacher's features, after a 1x1 adaptor on the *student's* (GAN Compression, eq. 3).

    The paper prints the adaptor on the teacher; on the student (as its authors' code has it) it cannot make the loss
    vanish by mapping everything to zero. Summed over layers.
    """

    def __init__(self, example: DistillationBatch, options: Any):
        super().__init__(example, options)
        self.layers = tuple(example.student)
        pairs = [(example.student[name].shape[1], example.teacher[name].shape[1]) for name in self.layers]
        self.adaptors = nn.ModuleList(nn.Conv2d(student, teacher, 1) for student, teacher in pairs)
        init_weights_(self)

    def loss(self, outputs: DistillationBatch) -> Tensor:
        """Sum over the layers of the mean squared error."""
        pairs = zip(self.layers, self.adaptors, strict=True)
        return torch.stack(
            [F.mse_loss(mapped(outputs.student[name], map_), outputs.teacher[name]) for name, map_ in pairs]
        ).sum()


def mapped(features: Tensor, adaptor: nn.Module) -> Tensor:
    """A 1x1 adaptor on as many leading channels as there are: those of an elastic network, whose widths change."""
    weight, bias = adaptor.weight, adaptor.bias
    assert isinstance(weight, Tensor)
    return F.conv2d(features, weight[:, : features.shape[1]], bias)  # type: ignore[arg-type]


@OBJECTIVES.register("attention")
class Attention(Objective):
    """The spatial attention of the teacher's features (Zagoruyko and Komodakis 2017). Summed over layers."""

    weight = 10.0

    def loss(self, outputs: DistillationBatch) -> Tensor:
        """Sum over the layers of the distance of the normalized maps."""
        return torch.stack([attention_transfer(outputs.student[name], outputs.teacher[name]) for name in outputs.student]).sum()


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions(Options):
    """What is aligned."""

    centered: bool = False
    """Take the mean image's features away first, which CAT does not (Kornblith et al. 2019)."""


@OBJECTIVES.register("kernel-alignment")
class KernelAlignment(Objective):
    """Which images of a batch the teacher finds alike (CAT, eq. 5). Minus the sum over layers.

    Over the images of all processes together: the released code sums what each GPU makes of its own, so that both the weight
    and what is compared depend on how many there are.
    """

    Options = AlignmentOptions

    def __init__(self, example: DistillationBatch, options: AlignmentOptions):
        super().__init__(example, options)
        self.centered = options.centered

    @classmethod
    def least_batch(cls, options: AlignmentOptions) -> int:
        """Of one image (centered: two), every network finds the same."""
        return 3 if options.centered else 2

    def loss(self, outputs: DistillationBatch) -> Tensor:
        """Minus the sum over the layers of the alignment."""
        pairs = [(of_all(outputs.student[name]), of_all(outputs.teacher[name])) for name in outputs.student]
        return -torch.stack([kernel_alignment(*pair, centered=self.centered) for pair in pairs]).sum()


@dataclass(frozen=True, kw_only=True)
class CoAttentionOptions(Options):
    """How generator and discriminator attention are mixed."""

    fusion: Literal["sum", "product", "conv"] = "sum"
    """Half the sum (eq. 8), the product, or a learnt 1x1 convolution (table V)."""
    discriminator_layers: tuple[str, ...] = ()
    """Layers of the teacher's discriminator by name (table VI); empty for its second one, as released."""
    shown: Literal["teacher", "student"] = "teacher"
    """Whose image the discriminator looks at: the paper says nothing, the released code shows the student's."""
    channels: Literal["mean", "sum"] = "mean"
    """The attention of many channels: with the mean (released), how much the discriminator counts does not hang on how wide
    either network is; the paper sums."""
    per_pixel: bool = False
    """Divide the loss by the number of pixels of the map, as released: 4096 times less at 64 x 64 than the paper's."""


@OBJECTIVES.register("coattention")
class CoAttention(Objective):
    """The attention of the teacher's generator and discriminator together (DMAD, eq. 7 to 9). Summed over layers."""

    weight = 10.0
    teacher_discriminator = True
    without_discriminator = "attends to the generator alone"
    Options = CoAttentionOptions

    def __init__(self, example: DistillationBatch, options: CoAttentionOptions):
        super().__init__(example, options)
        self.options = options
        self.discriminator_layers: tuple[str, ...] = ()
        if example.teacher_discriminator is not None:
            known = example.teacher_discriminator.layers
            self.discriminator_layers = options.discriminator_layers or known[1:2] or known[:1]
            for name in self.discriminator_layers:
                if name not in known:
                    raise unknown("layer of the discriminator", name, known)
        self.mix = nn.Conv2d(1 + len(self.discriminator_layers), 1, 1, bias=False) if options.fusion == "conv" else None
        if self.mix is not None:
            nn.init.constant_(self.mix.weight, 0.5)  # it begins as the sum

    def loss(self, outputs: DistillationBatch) -> Tensor:
        """Sum over the layers of the distance of the normalized maps."""
        seen: Mapping[str, Tensor] = {}
        if outputs.teacher_discriminator is not None:
            seen = (
                outputs.discriminator_features_student
                if self.options.shown == "student"
                else outputs.discriminator_features_teacher
            )
        # Detached: what the teacher attends to is no matter of the student's (in the released code a gradient flows there).
        maps_seen = [seen[name].detach() for name in self.discriminator_layers]
        return torch.stack(
            [self._distance(outputs.student[name], outputs.teacher[name], maps_seen) for name in outputs.student]
        ).sum()

    def _distance(self, student: Tensor, teacher: Tensor, maps_seen: list[Tensor]) -> Tensor:
        maps = coattention_maps(teacher, maps_seen, mean=self.options.channels == "mean")
        if self.mix is not None:
            target = self.mix(maps)[:, 0]
        else:
            target = fused(maps, "product" if self.options.fusion == "product" else "sum")
        distance = attention_distance(attention_map(student), target)
        return distance / target[0].numel() if self.options.per_pixel else distance


@dataclass(frozen=True, kw_only=True)
class DiscriminatorOptions(Options):
    """What of the teacher's discriminator is compared, and how."""

    layer: str = ""
    """By name; empty for its last convolution, the logits (the paper); ``hidden`` for the one before (the released code)."""
    squared: bool = True
    """The squared norm an image (eq. 10); else the norm of the whole batch, as released."""


@OBJECTIVES.register("discriminator")
class Discriminator(Objective):
    """What the teacher's discriminator makes of the two images (DMAD, eq. 10; Chen et al. 2020)."""

    weight = 1e-4
    features = False
    teacher_discriminator = True
    Options = DiscriminatorOptions

    def __init__(self, example: DistillationBatch, options: DiscriminatorOptions):
        super().__init__(example, options)
        assert example.teacher_discriminator is not None
        self.options, known = options, example.teacher_discriminator.layers
        self.layer = {"": known[-1], "hidden": known[-2]}.get(options.layer, options.layer)
        if self.layer not in known:
            raise unknown("layer of the discriminator", self.layer, known)

    def loss(self, outputs: DistillationBatch) -> Tensor:
        """The distance of the two features."""
        student, teacher = (
            outputs.discriminator_features_student[self.layer],
            outputs.discriminator_features_teacher[self.layer],
        )
        distance = discriminator_distance(student, teacher, squared=self.options.squared)
        return distance if self.options.squared else norm_of_all(distance)


def check_objectives(names: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[type[Objective], Any]]:
    """The kinds of objective in ``--objective a+b``, each with its options; ``none`` is none.

    Raises ``ValueError`` for an unknown name or option, and for options of an objective that there is not.
    """
    for name in options:
        OBJECTIVES[name]
    kinds = {} if names == "none" else {name: OBJECTIVES[name] for name in names.split("+")}
    return {name: (kind, from_json(kind.Options, options.get(name, {}))) for name, kind in kinds.items()}


def check_batch(names: str, options: Mapping[str, Mapping[str, Any]], batch: int) -> None:
    """Raise ``ValueError`` for an objective that learns nothing from so few images a step."""
    for name, (kind, chosen) in check_objectives(names, options).items():
        least = kind.least_batch(chosen)
        if batch < least:
            raise ValueError(f"batch={batch}: the objective {name} compares images with one another; give {least} or more")


def make_objectives(names: str, options: Mapping[str, Mapping[str, Any]], example: DistillationBatch) -> dict[str, Objective]:
    """The objectives of ``--objective a+b`` for networks whose features look like those of ``example``.

    One that needs a discriminator where there is none is left out. Raises ``ValueError`` as `check_objectives` does, and if
    features are asked for where there are none.
    """
    kinds = check_objectives(names, options)
    lost = [name for name, (kind, _) in kinds.items() if kind.features and not example.student]
    if lost:
        raise ValueError(
            f"objective '{lost[0]}' has no layer to look at, none is left of the teacher's: use output, or name layers"
        )
    usable = {
        n: pair
        for n, pair in kinds.items()
        if example.teacher_discriminator or not pair[0].teacher_discriminator or pair[0].without_discriminator
    }
    return {name: kind(example, chosen) for name, (kind, chosen) in usable.items()}
