"""Objectives through the eyes of another network: features and textures of the images, and moments of their embeddings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketgan.losses.features import at_least_float32, gram_matrix, raw_moments
from pocketgan.losses.images import Norm, mean_norm, structural_similarity, total_variation
from pocketgan.training.distributed import of_all
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective, Options
from pocketgan.training.objectives.eyes import DISCRIMINATOR, Eyes, check_eyes, make_eyes
from pocketgan.utils.registry import check_at_least, unknown


@dataclass(frozen=True, kw_only=True)
class PerceptualOptions(Options):
    """Options of `Perceptual`; by default OMGD's weights."""

    eyes: str = DISCRIMINATOR
    """``teacher-discriminator``, ``vgg16``, ``vgg19``; ``vgg16:FILE`` and ``vgg19:FILE`` read weights from a file."""
    content: dict[str, float] | None = None
    """Weight of the L1 distance of features, by layer; by default 10 for the second of the layers of ``style``."""
    style: dict[str, float] | None = None
    """Weight of the distance of Gram matrices, by layer; by default 1e4 for VGG16's relu1_2, 2_2, 3_3 and 4_3, VGG19's first
    ReLU of each block, or the discriminator's first four hidden layers."""
    gram: Norm = "l1"
    """Norm between Gram matrices: ``l1`` (OMGD), or the mean square, ``l2`` (GAN Slimming, AutoGAN-Distiller)."""
    ssim: float = 10.0
    """Weight of 1 - SSIM."""
    tv: float = 1e-5
    """Weight of the total variation of the student's image."""

    def __post_init__(self) -> None:
        check_eyes(self.eyes)
        check_at_least(self, ssim=0, tv=0)
        for name, weights in (("content", self.content or {}), ("style", self.style or {})):
            for layer, weight in weights.items():
                if weight < 0:
                    raise ValueError(f"{name}.{layer}={weight}: a weight is at least 0")
        if not (self.ssim or self.tv) and self.content == {} == self.style:
            raise ValueError("content, style, ssim and tv are all off, nothing is left to compare")


@OBJECTIVES.register("perceptual")
class Perceptual(Objective):
    """Features and textures of the image in a discriminator or a VGG, structural similarity and smoothness (OMGD).

    ``10 (1 - SSIM) + 1e4 sum_l |Gram_l(student) - Gram_l(teacher)| + 10 |features(student) - features(teacher)| + 1e-5 TV``,
    the distances averaged over their elements: the student's loss of OMGD (Ren et al. 2021), with VGG16. Through the teacher's
    discriminator it is that of Chen et al. 2020, and no weights have to be fetched.
    """

    needs_features = False
    Options = PerceptualOptions

    def __init__(self, example: DistillationBatch, options: PerceptualOptions):
        super().__init__(example, options)
        self.eyes = make_eyes(options.eyes, example, "perceptual")
        default = self.eyes.default
        self.content = dict.fromkeys(default[1:2] or default, 10.0) if options.content is None else options.content
        self.style = dict.fromkeys(default, 1e4) if options.style is None else options.style
        check_layers(self.eyes, [*self.content, *self.style])

    def loss(self, batch: DistillationBatch) -> Tensor:
        options, image, terms = self.options, batch.student_image, []
        if options.ssim:
            terms.append(options.ssim * (1 - structural_similarity(image, batch.teacher_image)))
        if options.tv:
            terms.append(options.tv * total_variation(image))
        if names := self.content.keys() | self.style.keys():
            student, teacher = self.eyes(batch, names)
            terms += [weight * mean_norm(student[name] - teacher[name], "l1") for name, weight in self.content.items()]
            grams = {name: gram_matrix(student[name]) - gram_matrix(teacher[name]) for name in self.style}
            terms += [weight * mean_norm(grams[name], options.gram) for name, weight in self.style.items()]
        return torch.stack(terms).sum()


@dataclass(frozen=True, kw_only=True)
class MomentsOptions(Options):
    """Options of `Moments`."""

    eyes: str = DISCRIMINATOR
    """As of `PerceptualOptions`. The published extractors are DINO and CLIP."""
    layers: tuple[str, ...] = ()
    """Layers of the eyes whose means over positions are the embedding; empty: the last hidden one."""

    def __post_init__(self) -> None:
        check_eyes(self.eyes)


@OBJECTIVES.register("moments")
class Moments(Objective):
    """First and second moments of embeddings over many images, as the teacher's images have them (DiME, Yeo et al. 2024).

    L1, averaged over dimensions. Distributions are compared, and not the two images of one input: meant for unconditional
    generators. The teacher's moments are those of all images so far, the student's those of one batch (of all processes).
    """

    weight = 20.0
    needs_features = False
    Options = MomentsOptions
    teacher_moments: Tensor
    batches: Tensor

    def __init__(self, example: DistillationBatch, options: MomentsOptions):
        super().__init__(example, options)
        self.eyes = make_eyes(options.eyes, example, "moments")
        self.layers = options.layers or self.eyes.default[-1:]
        check_layers(self.eyes, self.layers)
        self.register_buffer("teacher_moments", torch.zeros_like(self._moments(self.eyes(example, self.layers)[1])))
        self.register_buffer("batches", torch.zeros(()))

    @classmethod
    def least_batch(cls, options: MomentsOptions) -> int:
        """Return 2: the moments of one image are the image."""
        return 2

    def loss(self, batch: DistillationBatch) -> Tensor:
        student, teacher = (self._moments(features) for features in self.eyes(batch, self.layers))
        # Not in place: the loss before may not be differentiated yet.
        self.batches = self.batches + 1
        self.teacher_moments = self.teacher_moments + (teacher - self.teacher_moments) / self.batches
        return F.l1_loss(student, self.teacher_moments, reduction="none").mean(1).sum()

    def _moments(self, features: Mapping[str, Tensor]) -> Tensor:
        means = [at_least_float32(features[name]).reshape(*features[name].shape[:2], -1).mean(2) for name in self.layers]
        return raw_moments(of_all(torch.cat(means, 1)))


def check_layers(eyes: Eyes, names: Collection[str]) -> None:
    """Raise ``ValueError`` for a name that is no layer of ``eyes``."""
    for name in names:
        if name not in eyes.layers:
            raise unknown("layer of the eyes", name, eyes.layers)
