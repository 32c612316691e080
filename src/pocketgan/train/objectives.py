"""What the student imitates, besides playing its own game."""

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
from pocketgan.core.errors import unknown
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
from pocketgan.train.critic import Critic
from pocketgan.train.shared import norm_of_all, of_all


@dataclass(frozen=True)
class Scene:
    """What one training step shows to an objective."""

    source: Tensor
    """N x C x H x W in [-1, 1]."""
    picture: Tensor
    """The student's picture."""
    taught: Tensor
    """The teacher's picture of the same source, without gradient."""
    student: Mapping[str, Tensor]
    """Features of the student by layer."""
    teacher: Mapping[str, Tensor]
    """Features of the teacher by layer, without gradient."""
    critic: Critic | None = None
    """The teacher's discriminator, where there is one."""

    @cached_property
    def judged(self) -> Mapping[str, Tensor]:
        """What the teacher's discriminator sees in the student's picture, by layer; a gradient reaches the student."""
        assert self.critic is not None
        return self.critic(self.source, self.picture)

    @cached_property
    def judged_taught(self) -> Mapping[str, Tensor]:
        """What it sees in the teacher's picture, without gradient."""
        assert self.critic is not None
        with torch.no_grad():
            return self.critic(self.source, self.taught)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of an objective that has none."""


class Objective(nn.Module, ABC):
    """One way to imitate, made from an example of what it will see. What it learns is trained together with the student."""

    weight: ClassVar[float] = 1.0
    """The factor of its loss, unless the configuration says otherwise."""
    features: ClassVar[bool] = True
    """Whether it looks at features (and not at the pictures alone)."""
    critic: ClassVar[bool] = False
    """Whether it looks through the teacher's discriminator."""
    without_critic: ClassVar[str] = ""
    """What it does where there is no such discriminator; empty: it is left out."""
    Options: ClassVar[type] = Options
    """A frozen dataclass: the type of ``options``."""

    def __init__(self, example: Scene, options: Any):
        super().__init__()

    @classmethod
    def least_batch(cls, options: Any) -> int:
        """The fewest pictures of a step, over all processes, that it learns anything from."""
        return 1

    @abstractmethod
    def loss(self, scene: Scene) -> Tensor:
        """The loss, not yet weighted."""


OBJECTIVES: Registry[type[Objective]] = Registry("objective")
"""By the name of ``--objective``; several are joined with ``+``."""


@OBJECTIVES.register("output")
class Output(Objective):
    """L1 to the teacher's picture."""

    weight = 100.0
    features = False

    def loss(self, scene: Scene) -> Tensor:
        """Mean absolute difference of the pictures."""
        return F.l1_loss(scene.picture, scene.taught)


@OBJECTIVES.register("features")
class Features(Objective):
    """Mean squared error to the teacher's features, after a 1x1 adaptor on the *student's* (GAN Compression, eq. 3).

    The paper prints the adaptor on the teacher; on the student (as its authors' code has it) it cannot make the loss
    vanish by mapping everything to zero. Summed over layers.
    """

    def __init__(self, example: Scene, options: Any):
        super().__init__(example, options)
        self.layers = tuple(example.student)
        pairs = [(example.student[name].shape[1], example.teacher[name].shape[1]) for name in self.layers]
        self.adaptors = nn.ModuleList(nn.Conv2d(student, teacher, 1) for student, teacher in pairs)
        init_weights_(self)

    def loss(self, scene: Scene) -> Tensor:
        """Sum over the layers of the mean squared error."""
        pairs = zip(self.layers, self.adaptors, strict=True)
        return torch.stack([F.mse_loss(mapped(scene.student[name], map_), scene.teacher[name]) for name, map_ in pairs]).sum()


def mapped(features: Tensor, adaptor: nn.Module) -> Tensor:
    """A 1x1 adaptor on as many leading channels as there are: those of an elastic network, whose widths change."""
    weight, bias = adaptor.weight, adaptor.bias
    assert isinstance(weight, Tensor)
    return F.conv2d(features, weight[:, : features.shape[1]], bias)  # type: ignore[arg-type]


@OBJECTIVES.register("attention")
class Attention(Objective):
    """The spatial attention of the teacher's features (Zagoruyko and Komodakis 2017). Summed over layers."""

    weight = 10.0

    def loss(self, scene: Scene) -> Tensor:
        """Sum over the layers of the distance of the normalised maps."""
        return torch.stack([attention_transfer(scene.student[name], scene.teacher[name]) for name in scene.student]).sum()


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions(Options):
    """What is aligned."""

    centred: bool = False
    """Take the mean picture's features away first, which CAT does not (Kornblith et al. 2019)."""


@OBJECTIVES.register("kernel-alignment")
class KernelAlignment(Objective):
    """Which pictures of a batch the teacher finds alike (CAT, eq. 5). Minus the sum over layers.

    Over the pictures of all processes together: the released code sums what each GPU makes of its own, so that both the weight
    and what is compared depend on how many there are.
    """

    Options = AlignmentOptions

    def __init__(self, example: Scene, options: AlignmentOptions):
        super().__init__(example, options)
        self.centred = options.centred

    @classmethod
    def least_batch(cls, options: AlignmentOptions) -> int:
        """Of one picture (centred: two), every network finds the same."""
        return 3 if options.centred else 2

    def loss(self, scene: Scene) -> Tensor:
        """Minus the sum over the layers of the alignment."""
        pairs = [(of_all(scene.student[name]), of_all(scene.teacher[name])) for name in scene.student]
        return -torch.stack([kernel_alignment(*pair, centred=self.centred) for pair in pairs]).sum()


@dataclass(frozen=True, kw_only=True)
class CoAttentionOptions(Options):
    """How generator and discriminator attention are mixed."""

    fusion: Literal["sum", "product", "conv"] = "sum"
    """Half the sum (eq. 8), the product, or a learnt 1x1 convolution (table V)."""
    critics: tuple[str, ...] = ()
    """Layers of the teacher's discriminator by name (table VI); empty for its second one, as released."""
    shown: Literal["teacher", "student"] = "teacher"
    """Whose picture the discriminator looks at: the paper says nothing, the released code shows the student's."""
    channels: Literal["mean", "sum"] = "mean"
    """The attention of many channels: with the mean (released), how much the discriminator counts does not hang on how wide
    either network is; the paper sums."""
    per_pixel: bool = False
    """Divide the loss by the number of pixels of the map, as released: 4096 times less at 64 x 64 than the paper's."""


@OBJECTIVES.register("coattention")
class CoAttention(Objective):
    """The attention of the teacher's generator and discriminator together (DMAD, eq. 7 to 9). Summed over layers."""

    weight = 10.0
    critic = True
    without_critic = "attends to the generator alone"
    Options = CoAttentionOptions

    def __init__(self, example: Scene, options: CoAttentionOptions):
        super().__init__(example, options)
        self.options = options
        self.critics: tuple[str, ...] = ()
        if example.critic is not None:
            known = example.critic.layers
            self.critics = options.critics or known[1:2] or known[:1]
            for name in self.critics:
                if name not in known:
                    raise unknown("layer of the discriminator", name, known)
        self.mix = nn.Conv2d(1 + len(self.critics), 1, 1, bias=False) if options.fusion == "conv" else None
        if self.mix is not None:
            nn.init.constant_(self.mix.weight, 0.5)  # it begins as the sum

    def loss(self, scene: Scene) -> Tensor:
        """Sum over the layers of the distance of the normalised maps."""
        seen: Mapping[str, Tensor] = {}
        if scene.critic is not None:
            seen = scene.judged if self.options.shown == "student" else scene.judged_taught
        # Detached: what the teacher attends to is no matter of the student's (in the released code a gradient flows there).
        critics = [seen[name].detach() for name in self.critics]
        return torch.stack([self._distance(scene.student[name], scene.teacher[name], critics) for name in scene.student]).sum()

    def _distance(self, student: Tensor, teacher: Tensor, critics: list[Tensor]) -> Tensor:
        maps = coattention_maps(teacher, critics, mean=self.options.channels == "mean")
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
    """The squared norm a picture (eq. 10); else the norm of the whole batch, as released."""


@OBJECTIVES.register("discriminator")
class Discriminator(Objective):
    """What the teacher's discriminator makes of the two pictures (DMAD, eq. 10; Chen et al. 2020)."""

    weight = 1e-4
    features = False
    critic = True
    Options = DiscriminatorOptions

    def __init__(self, example: Scene, options: DiscriminatorOptions):
        super().__init__(example, options)
        assert example.critic is not None
        self.options, known = options, example.critic.layers
        self.layer = {"": known[-1], "hidden": known[-2]}.get(options.layer, options.layer)
        if self.layer not in known:
            raise unknown("layer of the discriminator", self.layer, known)

    def loss(self, scene: Scene) -> Tensor:
        """The distance of the two features."""
        student, teacher = scene.judged[self.layer], scene.judged_taught[self.layer]
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
    """Raise ``ValueError`` for an objective that learns nothing from so few pictures a step."""
    for name, (kind, chosen) in check_objectives(names, options).items():
        least = kind.least_batch(chosen)
        if batch < least:
            raise ValueError(f"batch={batch}: the objective {name} compares pictures with one another; give {least} or more")


def make_objectives(names: str, options: Mapping[str, Mapping[str, Any]], example: Scene) -> dict[str, Objective]:
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
    usable = {n: pair for n, pair in kinds.items() if example.critic or not pair[0].critic or pair[0].without_critic}
    return {name: kind(example, chosen) for name, (kind, chosen) in usable.items()}
