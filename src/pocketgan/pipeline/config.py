"""What a run is: the complete configurations of `train` and `compress`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import nn

from pocketgan.core.config import override
from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.foreign.spec import PixelFormat
from pocketgan.losses import GanMode
from pocketgan.methods import METHODS
from pocketgan.pipeline.common import resolved_steps
from pocketgan.tasks import TASKS, LatentConfig
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.errors import unknown

Recovery = Literal["inherit", "fresh"]
RECOVERY: tuple[str, ...] = get_args(Recovery)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train a generator from scratch."""

    task: TaskName
    """``paired``: pix2pix; ``unpaired``: CycleGAN, both directions; ``labels``: GauGAN, from label maps; ``unconditional``:
    images from numbers; ``multimodal``: MUNIT, both directions, each image in many styles."""
    data: DataConfig
    arch: str = "resnet"
    """A name of ``pocketgan models``."""
    arch_options: dict[str, Any] = field(default_factory=dict)
    """Its numbers: ``ngf``, ``blocks``, ``norm``, ..."""
    discriminator: str | None = None
    """A name of ``pocketgan models``; None is the published one (`pipeline.published`)."""
    discriminator_options: dict[str, Any] = field(default_factory=dict)
    """Its numbers: ``ndf``, ``layers``, ``norm``."""
    gan: GanMode | None = None
    """The adversarial loss; None is the published one: lsgan for unpaired and multimodal, vanilla for StyleGAN2, else hinge."""
    latents: LatentConfig | None = None
    """What an unconditional task adds (R1, path length, mixing, running mean, augmentation); None is as published."""
    perceptual: str = "vgg19"
    """What else label maps' images are compared with the real ones by: ``vgg19`` (its published weights are downloaded
    once), ``vgg19:FILE``, ``pixels`` (L1), or ``none``."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class FullConfig:
    """The two stages that ``pipeline=full`` puts before the first fit (GAN Compression, section 3.2)."""

    ngf: int | None = None
    """Of the mobile teacher; None is the given teacher's own (published: 64, and 96 for cityscapes and maps)."""
    discriminator_options: dict[str, Any] = field(default_factory=dict)
    """``ndf``, ``layers``, ``norm`` of the discriminator that the mobile teacher plays against."""
    teacher: TrainingConfig = field(default_factory=TrainingConfig)
    """The training of the mobile teacher."""
    width: float = 0.5
    """The part of its widths that the distilled network keeps (published: 1/2, and 3/4 for edges2shoes)."""
    importance: Literal["contribution", "l1"] = "contribution"
    """By what those channels are chosen (published: the filters' L1 norm)."""
    distill: TrainingConfig = field(default_factory=TrainingConfig)
    """The training of the distilled network."""

    def __post_init__(self) -> None:
        if not 0 < self.width < 1:
            raise ValueError(f"full.width={self.width}: a part of the mobile teacher's widths, above 0 and below 1")


def training_configs_of(task: TaskName, arch: str | None = None) -> dict[str, Any]:
    """The trainings of a compression, with the optimizers that its task, or that architecture, was published with."""
    own = TASKS[task].defaults_for(arch).training
    return {"recovery": own, "search": own, "full": FullConfig(teacher=own, distill=own)}


@dataclass(frozen=True, kw_only=True)
class ForeignConfig:
    """What is to be known of a generator that is given as file.py:factory. Raises ``ValueError`` for a range that is none."""

    keep: tuple[str, ...] = ()
    """Layers (``net.3``, ``decoder``, ``*.attention``) whose channels all stay."""
    range: str = "-1..1"
    """The values that it reads and generates for black and white, such as 0..255."""
    bgr: bool = False
    """Whether it reads and generates blue first."""

    def __post_init__(self) -> None:
        PixelFormat.of(self.range, self.bgr)


@dataclass(frozen=True, kw_only=True)
class CompressConfig:
    """Make a small generator from a trained one."""

    teacher: str
    """An artifact of ours (``.safetensors``), a published checkpoint (``*_net_G*.pth``), or ``file.py:factory@WEIGHTS``."""
    foreign: ForeignConfig = field(default_factory=ForeignConfig)
    data: DataConfig
    budget: str = "10x"
    """``2.6G`` exact MACs, ``2.6Gpaper``, ``0.5Mparams`` or ``12x`` fewer exact MACs."""
    task: TaskName = "paired"
    """``paired``: the target is the target; ``labels``: so it is, and the source is a label map; ``unpaired``,
    ``unconditional``
    (of the same numbers), ``multimodal`` (in the same style) and ``inputs``: the target is the teacher's image; ``inputs``
    knows sources only and plays without a discriminator."""
    method: str = "magnitude"
    """A name of ``pocketgan methods``."""
    method_options: dict[str, Any] = field(default_factory=dict)
    """Its options."""
    objective: str = "output+features"
    """What the student imitates: names of ``pocketgan methods``, joined with ``+``; or none."""
    objective_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Their options, by name: ``objective_options.coattention.fusion=product``."""
    search_objective: str | None = None
    """What the network imitates in the first fit; None is the same as in the recovery."""
    layers: tuple[str, ...] = ()
    """Names of the layers to distil; empty for the architecture's own."""
    pipeline: Literal["fast", "full"] = "fast"
    """What is cut: the teacher itself, or, in GAN Compression's ``full`` pipeline, a narrower copy, distilled, of a mobile
    teacher that is trained first. Any method goes on from it."""
    start: Literal["teacher", "mobile"] = "teacher"
    """What the fast pipeline cuts: the teacher itself, or its mobile form with fresh weights, as published for GAN
    Compression: the teacher then teaches another network from scratch."""
    full: FullConfig = field(default_factory=FullConfig)
    """The stages of the full pipeline that the fast one does not have."""
    two_way: bool = False
    """Unpaired search as published: both generators in one CycleGAN, a budget each, without the teacher's images. The one
    back is written to ``back/pruned.safetensors``, from where ``compress --out RUN/back`` of the other teacher goes on."""
    budget_back: str | None = None
    """The budget of the generator back in a two-way search; None is the same."""
    weights: Recovery = "inherit"
    """Whether recovery starts from the kept weights or from new ones."""
    multiple: int = 1
    """Widths are multiples of this where they can be (8 suits most processors)."""
    teacher_discriminator: str | None = None
    """The teacher's discriminator; None looks beside the teacher, and where there is none begins a new one."""
    discriminator_options: dict[str, Any] | None = None
    """``ndf``, ``layers``, ``norm`` of a new discriminator for the student, of the published kind; None goes on from a copy of
    the teacher's."""
    gan: GanMode | None = None
    """The adversarial loss; None is the published one: lsgan for unpaired and multimodal, vanilla for StyleGAN2, else hinge."""
    latents: LatentConfig | None = None
    """What an unconditional task adds: R1, a running mean, augmentation; None is as published."""
    perceptual: str = "vgg19"
    """As for the teacher: ``vgg19``, ``vgg19:FILE``, ``pixels`` or ``none``; for labels only."""
    recovery: TrainingConfig = field(default_factory=TrainingConfig)
    """The recovery."""
    search: TrainingConfig = field(default_factory=TrainingConfig)
    """The first fit of methods that learn where to cut."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    variant: str = ""
    """What tells this run from the others of a comparison, in a word or two; changes nothing."""
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise ValueError(f"multiple={self.multiple}: the least is 1")
        if self.two_way and self.task != "unpaired":
            raise ValueError(f"two_way=true: a {self.task} task has one direction; it is for task=unpaired")
        if self.two_way and (self.pipeline, self.start) != ("fast", "teacher"):
            raise ValueError("two_way=true searches the teachers themselves: take pipeline=fast and start=teacher")
        if self.pipeline == "full" and self.start != "teacher":
            raise ValueError("start=mobile is for pipeline=fast: pipeline=full begins with a trained mobile network")

    def in_steps(self, images: int, search_images: int) -> CompressConfig:
        """The same with all lengths in steps; an epoch of the search has the images without the held-out ones.

        Raises ``ValueError`` for a batch that the processes cannot share equally.
        """
        full = dataclasses.replace(
            self.full,
            teacher=resolved_steps(self.full.teacher, images),
            distill=resolved_steps(self.full.distill, images),
        )
        recovery, search = resolved_steps(self.recovery, images), resolved_steps(self.search, search_images)
        return dataclasses.replace(self, recovery=recovery, search=search, full=full)


def with_preset(config: CompressConfig, preset: str | None, teacher: nn.Module) -> CompressConfig:
    """``config`` with the fields of a preset of its method; None changes nothing.

    Raises ``ValueError`` for a preset that the method does not have.
    """
    if preset is None:
        return config
    known = METHODS[config.method].presets(teacher, config.task)
    if preset not in known:
        raise unknown(f"preset of {config.method}", preset, known)
    return override(config, assignments(known[preset]))


def assignments(fields: dict[str, Any]) -> Sequence[str]:
    """``{field: value}`` as overrides."""
    return [f"{path}={json.dumps(value)}" for path, value in fields.items()]
