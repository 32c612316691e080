"""Label maps to images: GauGAN teachers, and every student of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import image_channels, output_channels
from pocketgan.losses.features import feature_matching, perceptual_distance
from pocketgan.tasks.base import TASKS, Defaults, GeneratorTask, L1Target, StudentParts, TaskDefinition, TeacherParts
from pocketgan.training.config import GAUGAN
from pocketgan.training.features import Taps
from pocketgan.training.task import Batch, Task

Perception = Callable[[Tensor], Sequence[Tensor]]
"""Features of images, layer by layer: a frozen classification network."""


class SpadeTask(GeneratorTask):
    """Training of G from label maps to images; D, at several scales, reads the label map beside the image.

    Park et al. 2019 (SPADE), section 3 and appendix A: hinge, feature matching and a perceptual loss against the real image;
    G first, then D. Two deviations: D scores the image that G learned from, where the released code generates another after
    G's step; and in place of a ``perception`` there may be an L1 to the real image (``pixels``).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        perception: Perception | None = None,
        pixels: bool = False,
        colored: Callable[[Tensor], Tensor] = lambda maps: maps[:, :3],
        conditional: bool = True,
        l1_target: L1Target = "target",
        **options: Any,
    ):
        """``colored`` makes RGB images of label maps; ``options`` are those of `GeneratorTask`."""
        # The released GauGAN adds D's losses on real and generated images, without a half.
        losses = {"d_adv": 1.0, "feature_matching": 10.0}
        losses |= {"perceptual": 10.0} if perception is not None else {}
        losses |= {"l1": 10.0} if pixels else {}
        super().__init__(
            generator,
            discriminator,
            losses=losses,
            conditional=conditional,
            l1_target=l1_target,
            generator_first=True,
            **options,
        )
        self.perception, self.pixels, self.colored = perception, pixels, colored
        self.scales: tuple[tuple[str, ...], ...] = discriminator.layers  # type: ignore[assignment]
        self._discriminator_taps = Taps(discriminator, [name for scale in self.scales for name in scale[:-1]])

    def discriminator_losses(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        losses = super().discriminator_losses(batch, fake)
        self._discriminator_taps.take()
        return losses

    def reconstruction(self, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """feature_matching, and perceptual or l1; D has just scored the image."""
        image, target, fake_features = outputs["image"], batch["target"], self._discriminator_features()
        with torch.no_grad():
            self.discriminate(batch, target)
        losses = {"feature_matching": feature_matching(fake_features, self._discriminator_features())}
        if self.perception is not None:
            with torch.no_grad():
                target_features = self.perception(target)
            losses["perceptual"] = perceptual_distance(self.perception(image), target_features)
        if self.pixels:
            losses["l1"] = F.l1_loss(image, target)
        return losses

    def _discriminator_features(self) -> list[list[Tensor]]:
        """Features of D's last forward, scale by scale, without the logits."""
        features = self._discriminator_taps.take()
        return [[features[name] for name in scale[:-1]] for scale in self.scales]

    def images(self, batch: Batch) -> dict[str, Tensor]:
        columns = super().images(batch)
        return columns | {"input": self.colored(columns["input"])}

    def close(self) -> None:
        super().close()
        self._discriminator_taps.close()


class Labels(TaskDefinition):
    """GauGAN: images from label maps."""

    name = "labels"
    defaults = Defaults("spade", "multiscale", "hinge", GAUGAN)

    def teacher(self, parts: TeacherParts) -> Task:
        assert parts.labels is not None, "the data of this task are label maps"
        channels = parts.labels.channels
        generator = parts.generator(in_channels=channels)
        discriminator = parts.discriminator(channels + output_channels(generator))
        if image_channels(generator) != channels:
            raise ValueError(
                f"arch_options.in_channels={image_channels(generator)}: the label maps have {channels}; leave it out"
            )
        return SpadeTask(generator, discriminator, gan=parts.gan, colored=parts.labels.colored, **parts.perceptual())

    def student(self, parts: StudentParts) -> Task:
        assert parts.labels is not None, "the data of this task are label maps"
        assert parts.discriminator is not None
        colored = parts.labels.colored
        return SpadeTask(parts.generator, parts.discriminator, colored=colored, **parts.perceptual(), **parts.common)


TASKS.register("labels")(Labels())
