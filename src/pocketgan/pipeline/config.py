"""Complete configurations of `train` and `compress`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.foreign.spec import PixelFormat
from pocketgan.losses.adversarial import GanMode
from pocketgan.pipeline.common import resolved_steps
from pocketgan.tasks import LatentConfig
from pocketgan.training.config import TrainingConfig
from pocketgan.training.teacher_cache import parse_bytes
from pocketgan.utils.registry import check_at_least

Recovery = Literal["reconstruct", "inherit", "fresh"]
RECOVERY: tuple[str, ...] = get_args(Recovery)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train a generator from scratch."""

    task: TaskName
    """``paired``: pix2pix; ``unpaired``: CycleGAN, both directions; ``labels``: GauGAN, from label maps; ``unconditional``:
    images from latents; ``multimodal``: MUNIT, both directions, each image in many styles."""
    data: DataConfig
    arch: str = "resnet"
    """A name of ``pocketgan models``."""
    arch_options: dict[str, Any] = field(default_factory=dict)
    """Options of its factory: ``ngf``, ``blocks``, ``norm``, ..."""
    discriminator: str | None = None
    """A name of ``pocketgan models``; None is the published one of the task."""
    discriminator_options: dict[str, Any] = field(default_factory=dict)
    """Options of its factory: ``ndf``, ``layers``, ``norm``."""
    gan: GanMode | None = None
    """Adversarial loss; None is the published one: lsgan for unpaired and multimodal, vanilla for StyleGAN2, else hinge."""
    latents: LatentConfig | None = None
    """Regularization of an unconditional task (R1, path length, mixing, averaged weights, augmentation); None is published."""
    perceptual: str = "vgg19"
    """Perceptual loss of the label task: ``vgg19`` (its published weights are downloaded
    once), ``vgg19:FILE``, ``pixels`` (L1), or ``none``."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class FullConfig:
    """The two stages that ``pipeline=full`` puts before the search (GAN Compression, section 3.2)."""

    ngf: int | None = None
    """Width of the mobile teacher; None is the given teacher's own (published: 64, and 96 for cityscapes and maps)."""
    discriminator_options: dict[str, Any] = field(default_factory=dict)
    """``ndf``, ``layers``, ``norm`` of the mobile teacher's discriminator."""
    teacher: TrainingConfig = field(default_factory=TrainingConfig)
    """Training of the mobile teacher."""
    width: float = 0.5
    """Fraction of the mobile teacher's widths that the distilled network keeps (published: 1/2, and 3/4 for edges2shoes)."""
    importance: Literal["contribution", "l1"] = "contribution"
    """Importance of the channels that stay (published: the filters' L1 norm)."""
    distill: TrainingConfig = field(default_factory=TrainingConfig)
    """Training of the distilled network."""

    def __post_init__(self) -> None:
        if not 0 < self.width < 1:
            raise ValueError(f"full.width={self.width}: a fraction of the mobile teacher's widths, above 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class ForeignConfig:
    """Facts of a generator given as file.py:factory. Raises ``ValueError`` for an impossible range."""

    keep: tuple[str, ...] = ()
    """Layers (``net.3``, ``decoder``, ``*.attention``) whose channels all stay."""
    range: str = "-1..1"
    """Values of black and white in its input and output, such as 0..255."""
    bgr: bool = False
    """True if its channels are in the order blue, green, red."""
    network: str | None = None
    """Key or prefix of one network in a file of several, of published checkpoints too: ``params_ema``."""

    def __post_init__(self) -> None:
        PixelFormat.parse(self.range, self.bgr)


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
    """``paired`` and ``labels`` (from label maps): targets are the data's own. ``unpaired``, ``unconditional`` (from the same
    latent), ``multimodal`` (in the same style) and ``inputs`` (no real targets, no discriminator): targets are the teacher's
    images."""
    method: str = "magnitude"
    """A name of ``pocketgan methods``."""
    method_options: dict[str, Any] = field(default_factory=dict)
    """Options of the method."""
    objective: str = "output+features"
    """Objectives of the distillation: names of ``pocketgan methods``, joined with ``+``; or none."""
    objective_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Options of the objectives, by name: ``objective_options.coattention.fusion=product``."""
    search_objective: str | None = None
    """Objectives of the search; None is the same as in the recovery."""
    layers: tuple[str, ...] = ()
    """Names of the layers to distil; empty for the architecture's own."""
    pipeline: Literal["fast", "full"] = "fast"
    """``fast`` prunes the teacher itself; ``full``, as in GAN Compression, trains a mobile teacher and distills a narrower copy
    of it first, and prunes that. Any method works on either."""
    start: Literal["teacher", "mobile"] = "teacher"
    """Network that the fast pipeline prunes: the teacher itself, or its mobile form with fresh weights (published for GAN
    Compression)."""
    full: FullConfig = field(default_factory=FullConfig)
    """Stages of the full pipeline that the fast one does not have."""
    two_way: bool = False
    """Unpaired search as published for DMAD: both generators in one CycleGAN, a budget each, without the teacher's images. The
    generator B to A is written to ``back/pruned.safetensors``, and ``compress --out RUN/back`` of the other teacher goes on."""
    budget_back: str | None = None
    """Budget of the generator B to A in a two-way search; None is the same."""
    weights: Recovery = "reconstruct"
    """Weights that the recovery begins with: those that were kept, fitted in closed form to what the teacher's layers compute
    (``reconstruct``; where that is no nearer to the teacher, as ``inherit``), as they are (``inherit``), or new ones
    (``fresh``)."""
    multiple: int = 1
    """Widths are multiples of this where they can be (8 suits most processors)."""
    teacher_discriminator: str | None = None
    """File of the teacher's discriminator; None takes the one beside the teacher's file, if there is one."""
    discriminator_options: dict[str, Any] | None = None
    """``ndf``, ``layers``, ``norm`` of a new discriminator for the student; None begins with a copy of the teacher's."""
    gan: GanMode | None = None
    """Adversarial loss; None is the published one: lsgan for unpaired and multimodal, vanilla for StyleGAN2, else hinge."""
    latents: LatentConfig | None = None
    """Regularization of an unconditional task: R1, averaged weights, augmentation; None is as published."""
    perceptual: str = "vgg19"
    """Perceptual loss of the label task: ``vgg19``, ``vgg19:FILE``, ``pixels`` or ``none``."""
    cache: str | int = "8G"
    """Most disk space for what the teacher makes of the training images, each of which it then sees once; 0 for none. Its
    numbers are rounded to float16. Random crops and mirrors are drawn from a few for each image (``data.variants``)."""
    minutes: float | None = None
    """Minutes of wall time from the first stage to the student, in place of the recovery's steps, for methods without a search
    training. The number of steps follows from the time of the first ones."""
    recovery: TrainingConfig = field(default_factory=TrainingConfig)
    search: TrainingConfig = field(default_factory=TrainingConfig)
    """Training of methods that learn where to cut."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    variant: str = ""
    """Name of this run within a comparison; changes no result."""
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_at_least(self, multiple=1)
        parse_bytes(self.cache)
        if self.two_way and not traits_of(self.task).is_two_way:
            raise ValueError(f"two_way=true: a {self.task} task has one direction; it is for task=unpaired")
        if self.two_way and (self.pipeline, self.start) != ("fast", "teacher"):
            raise ValueError("two_way=true searches the teachers themselves: take pipeline=fast and start=teacher")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes={self.minutes}: a time above 0")
        if self.minutes is not None and self.pipeline == "full":
            raise ValueError("minutes is for pipeline=fast: pipeline=full has trainings of its own, give --epochs or --steps")
        if self.search.average:
            raise ValueError("search.average: widths and masks change in a search; recovery.average averages the student")
        if self.pipeline == "full" and self.start != "teacher":
            raise ValueError("start=mobile is for pipeline=fast: pipeline=full begins with a trained mobile network")

    def in_steps(self, images: int, search_images: int) -> CompressConfig:
        """Same configuration with all lengths in steps; an epoch of the search is without the held-out images.

        Raises ``ValueError`` for a batch that the processes cannot share equally.
        """
        teacher, distill = resolved_steps(self.full.teacher, images), resolved_steps(self.full.distill, images)
        recovery, search = resolved_steps(self.recovery, images), resolved_steps(self.search, search_images)
        return replace(self, recovery=recovery, search=search, full=replace(self.full, teacher=teacher, distill=distill))


def assignments(fields: dict[str, Any]) -> Sequence[str]:
    """``{field: value}`` as overrides."""
    return [f"{path}={json.dumps(value)}" for path, value in fields.items()]
