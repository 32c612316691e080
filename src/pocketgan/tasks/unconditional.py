"""Latents to images: SAGAN and StyleGAN2 teachers, and every student of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import inputs_of, select_inputs
from pocketgan.losses.adversarial import Logits, discriminator_loss, path_lengths, r1_penalty
from pocketgan.pruning.calibrate import calibrate_
from pocketgan.tasks.base import TASKS, Defaults, GeneratorTask, LatentConfig, StudentParts, TaskDefinition, TeacherParts
from pocketgan.training.augment import Augment
from pocketgan.training.config import SAGAN, STYLEGAN2
from pocketgan.training.distributed import of_all, processes
from pocketgan.training.task import Batch, Task

PATH_LENGTH_MOMENTUM = 0.01
"""Weight of each new path length in their running mean (StyleGAN2, appendix B: a decay of 0.99)."""
AVERAGED_LATENTS = 10_000
"""Latents whose mean style is the one that truncation pulls to."""
CALIBRATION_LATENTS, CALIBRATION_BATCH = 1024, 64
"""Of them, those that averaged weights get their batch statistics from (no network ever had both), and how many at a time."""


class UnconditionalTask(GeneratorTask):
    """Training of G from latents to images, against a discriminator; a student reads its teacher's latents.

    The teacher's image of the same latent (and noise) is the student's target. Deviation: lazy penalties are added to the loss
    of every k-th step, where the released code takes an optimizer step of its own.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, *, settings: LatentConfig | None = None, **options: Any):
        """``options`` are those of `GeneratorTask`."""
        self.settings = settings = settings or LatentConfig()
        self.is_mapped_teacher = options.get("l1_target") is None and hasattr(generator, "mapping")
        # D's losses on real and generated images are added without a half, as published for both SAGAN and StyleGAN2.
        losses = {"d_adv": 1.0}
        losses |= {"l1": 10.0} if options.get("l1_target") == "teacher" else {}
        losses |= {"r1": settings.r1} if settings.r1 else {}
        losses |= {"path_length": settings.path_length} if self.is_mapped_teacher and settings.path_length else {}
        options["average"] = options.get("average") or settings.average
        super().__init__(generator, discriminator, losses=losses, **options)
        self.step = torch.zeros((), dtype=torch.int64)
        self.mean_path = torch.zeros(())
        self.augment = Augment(target=settings.augment) if settings.augment else None
        if self.augment is not None:
            self.networks["augment"] = self.augment

    def forward(self, batch: Batch) -> dict[str, Any]:
        if not self.is_mapped_teacher:
            return super().forward(batch)
        generator: Any = self.networks["G"]
        latent, *noise = select_inputs(batch, generator)
        w = generator.mapping(latent)
        return {"image": generator.synthesis(self._mixed(w), *noise)}

    def _mixed(self, w: Tensor) -> Tensor:
        """N x w -> N x layers x w: from a random layer on, the style of the next image of the batch, for some of them."""
        layers: int = self.networks["G"].num_style_layers  # type: ignore[assignment]
        styles = w[:, None].repeat(1, layers, 1)
        if not self.settings.mixing:
            return styles
        count, device = len(w), w.device
        crossing = torch.randint(1, layers, (count, 1, 1), device=device)
        crossing = crossing.masked_fill(torch.rand(count, 1, 1, device=device) >= self.settings.mixing, layers)
        other = torch.arange(layers, device=device)[None, :, None] >= crossing
        return torch.where(other, styles.roll(1, 0), styles)

    def reconstruction(self, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """L1 to a teacher's image, and a teacher's path length penalty in every k-th step."""
        losses = super().reconstruction(batch, outputs)
        if "path_length" in self.weights and self.step % self.settings.path_length_every == 0:
            losses["path_length"] = self._path_length(batch) * self.settings.path_length_every
        return losses

    def discriminator_losses(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        """``d_adv``, and ``r1`` in every k-th step."""
        due = "r1" in self.weights and bool(self.step % self.settings.r1_every == 0)
        reals = batch["target"].detach().requires_grad_(due)
        real = self.discriminate(batch, reals)
        losses = {"d_adv": discriminator_loss(self.gan, real, self.discriminate(batch, fake))}
        scales = [real] if isinstance(real, Tensor) else real
        logits = torch.cat([scale.flatten(1) for scale in scales], 1)
        if due:
            losses["r1"] = r1_penalty(logits, reals) * self.settings.r1_every
        if self.augment is not None:
            self.augment.update(of_all(logits.detach().mean(1).sign()))
        return losses

    def discriminate(self, batch: Batch, image: Tensor) -> Logits:
        return self.networks["D"](image if self.augment is None else self.augment(image))  # type: ignore[no-any-return]

    def _path_length(self, batch: Batch) -> Tensor:
        """Path length penalty of half the batch, as published: it takes a second derivative of all of G."""
        generator: Any = self.networks["G"]
        latent, *noise = (tensor[: max(1, len(tensor) // 2)] for tensor in select_inputs(batch, generator))
        w = generator.mapping(latent)[:, None].repeat(1, generator.num_style_layers, 1)
        lengths = path_lengths(generator.synthesis(w, *noise), w)
        self.mean_path = self.mean_path.to(lengths).lerp(processes().mean_(lengths.detach().mean()), PATH_LENGTH_MOMENTUM)
        return (lengths - self.mean_path).square().mean()

    def stepped(self, images: int) -> None:
        self.step += 1
        super().stepped(images)

    @torch.no_grad()
    def final_network(self, network: str) -> nn.Module:
        if network != "G":
            return super().final_network(network)
        generator: Any = self.latest
        latents = torch.randn(AVERAGED_LATENTS, inputs_of(generator)[0].channels, generator=torch.Generator().manual_seed(0))
        latents = latents.to(next(generator.parameters()).device)
        if self.mean is not None:
            calibrate_(generator, torch.split(latents[:CALIBRATION_LATENTS], CALIBRATION_BATCH))
        # Deviation: the released code averages the styles of the batches, which come from weights that have changed since.
        if hasattr(generator, "w_avg"):
            generator.w_avg.copy_(generator.mapping(latents).mean(0))
        return generator  # type: ignore[no-any-return]

    def state(self) -> dict[str, Tensor]:
        return {"step": self.step, "mean_path": self.mean_path, **super().state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        super().load_state(state)
        self.step, self.mean_path = state["step"].cpu(), state["mean_path"]


class Unconditional(TaskDefinition):
    """SAGAN and StyleGAN2."""

    name = "unconditional"
    defaults = Defaults("sagan", "sagan-discriminator", "hinge", SAGAN)
    architectures = {  # noqa: RUF012
        "stylegan2": Defaults(
            "stylegan2",
            "stylegan2-discriminator",
            "vanilla",
            STYLEGAN2,
            LatentConfig(r1=10.0, path_length=2.0, mixing=0.9, average=10.0),
        )
    }

    def teacher(self, parts: TeacherParts) -> Task:
        generator = parts.generator(size=parts.size)
        return UnconditionalTask(
            generator, parts.discriminator(self.discriminator_channels(generator)), gan=parts.gan, settings=parts.latents
        )

    def student(self, parts: StudentParts) -> Task:
        assert parts.discriminator is not None
        return UnconditionalTask(parts.generator, parts.discriminator, settings=parts.latents, **parts.common)


TASKS.register("unconditional")(Unconditional())
