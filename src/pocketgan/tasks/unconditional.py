"""The task of generators that generate from numbers alone: teachers, and every student of one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import inputs_of, select_inputs
from pocketgan.losses import Logits, discriminator_loss, generator_loss
from pocketgan.losses.regularization import path_lengths, r1_penalty
from pocketgan.pruning.calibrate import calibrate_
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.augment import Augment
from pocketgan.training.distributed import processes
from pocketgan.training.distributed_ops import of_all
from pocketgan.training.task import Batch

SMOOTHED = 0.01
"""The part of each new path length in their running mean (StyleGAN2, appendix B: a decay of 0.99)."""
CENTERED = 10_000
"""Latents whose mean style is the average that truncation pulls to."""
CALIBRATED, SEEN = 1024, 64
"""Of them, those that a mean of weights gets its batch statistics from (no network ever had both), so many at a time."""


@dataclass(frozen=True, kw_only=True)
class LatentConfig:
    """What a task from latents adds to G against D. All of it is off at 0."""

    r1: float = 0.0
    """gamma of R1: gamma / 2 times the squared gradient of D at real images (Mescheder et al. 2018, eq. 9)."""
    r1_every: int = 16
    """Steps between two of them; each counts for all (StyleGAN2, section 3.1: lazy regularization)."""
    path_length: float = 0.0
    """The weight of the path length penalty (StyleGAN2, eq. 4), for teachers with a mapping network."""
    path_length_every: int = 4
    """Steps between two of them; each counts for all."""
    mixing: float = 0.0
    """How often an image has its coarse layers' style from one latent and the others' from another (StyleGAN, section 3.1),
    for teachers with a mapping network."""
    average: float = 0.0
    """The network that is kept is the running mean of the trained one's weights: thousands of images after which a state
    counts half."""
    augment: float = 0.0
    """Adaptive augmentation: the part of real images that D should be sure of (Karras et al. 2020, "Training GANs with
    limited data", section 3: 0.6)."""

    def __post_init__(self) -> None:
        for name in ("r1", "path_length", "average"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: 0 for none, or more")
        for name in ("mixing", "augment"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: a part, from 0 to 1")
        for name in ("r1_every", "path_length_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: the least is 1")


class UnconditionalTask(Pix2PixTask):
    """G generates from numbers that are drawn; D tells its images from real ones; a student is shown its teacher's numbers.

    `Translation` whose source is a latent: the teacher's image of the same numbers (noise, too) is the target. Deviation:
    what is lazy is added to the loss of every so many steps, where the released code takes an optimizer step of its own.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, *, settings: LatentConfig | None = None, **options: Any):
        """``task`` is what `Translation` takes."""
        super().__init__(generator, discriminator, **{"l1_target": None, "conditional": False, **options})
        self.settings = settings = settings or LatentConfig()
        self.step = torch.zeros((), dtype=torch.int64)
        self.mean_path = torch.zeros(())
        self.mean = copy.deepcopy(generator).requires_grad_(False).eval() if settings.average else None
        self.augment = Augment(target=settings.augment) if settings.augment else None
        # Whole, not half, as published for both SAGAN and StyleGAN2.
        self.weights |= {"d_adv": 2.0}
        if self.l1_target == "teacher":
            self.weights["l1"] = 10.0
        if settings.r1:
            self.weights["r1"] = settings.r1
        if self.mapped and settings.path_length:
            self.weights["path_length"] = settings.path_length
        if self.augment is not None:
            self.networks["augment"] = self.augment

    @property
    def mapped(self) -> bool:
        """Whether it is a teacher with a mapping network, whose styles the task may look into."""
        return self.l1_target is None and hasattr(self.networks["G"], "mapping")

    def forward(self, batch: Batch) -> dict[str, Any]:
        """The image, of a mapped teacher its styles; and the teacher's image where there is one."""
        if not self.mapped:
            return super().forward(batch)
        generator: Any = self.networks["G"]
        source, *noise = select_inputs(batch, generator)
        w = generator.mapping(source)
        return {"image": generator.synthesis(self._mixed(w), *noise)}

    def _mixed(self, w: Tensor) -> Tensor:
        """N x w -> N x layers x w: from a random layer on, the style of the next image of the batch, for some of them."""
        layers: int = self.networks["G"].layers_of_style  # type: ignore[assignment]
        styles = w[:, None].repeat(1, layers, 1)
        if not self.settings.mixing:
            return styles
        count, device = len(w), w.device
        crossing = torch.randint(1, layers, (count, 1, 1), device=device)
        crossing = crossing.masked_fill(torch.rand(count, 1, 1, device=device) >= self.settings.mixing, layers)
        other = torch.arange(layers, device=device)[None, :, None] >= crossing
        return torch.where(other, styles.roll(1, 0), styles)

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``D``: d_adv, r1 now and then; ``G``: gan, l1 to a teacher, path_length now and then, objectives."""
        if phase == "D":
            return self._discriminator_losses(batch["target"], outputs["image"].detach())
        losses = {"gan": generator_loss(self.gan, self.networks["D"](self._shown(outputs["image"])))}
        if self.l1_target == "teacher":
            losses |= self._l1(batch, outputs)
        if "path_length" in self.weights and self._due(self.settings.path_length_every):
            losses["path_length"] = self._path_length(batch) * self.settings.path_length_every
        return losses | self._distillation_losses(outputs)

    def _discriminator_losses(self, reals: Tensor, fakes: Tensor) -> dict[str, Tensor]:
        due = "r1" in self.weights and self._due(self.settings.r1_every)
        reals = reals.detach().requires_grad_(due)
        real: Logits = self.networks["D"](self._shown(reals))
        losses = {"d_adv": discriminator_loss(self.gan, real, self.networks["D"](self._shown(fakes)))}
        scales = [real] if isinstance(real, Tensor) else real
        logits = torch.cat([scale.flatten(1) for scale in scales], 1)
        if due:
            losses["r1"] = r1_penalty(logits, reals) * self.settings.r1_every
        if self.augment is not None:
            self.augment.update(of_all(logits.detach().mean(1).sign()))
        return losses

    def _path_length(self, batch: Batch) -> Tensor:
        """Of half the batch, as published: it takes a second derivative of all of G."""
        generator: Any = self.networks["G"]
        source, *noise = (tensor[: max(1, len(tensor) // 2)] for tensor in select_inputs(batch, generator))
        w = generator.mapping(source)[:, None].repeat(1, generator.layers_of_style, 1)
        lengths = path_lengths(generator.synthesis(w, *noise), w)
        self.mean_path = self.mean_path.to(lengths).lerp(processes().mean_(lengths.detach().mean()), SMOOTHED)
        return (lengths - self.mean_path).square().mean()

    def _shown(self, images: Tensor) -> Tensor:
        return images if self.augment is None else self.augment(images)

    def _due(self, every: int) -> bool:
        return int(self.step) % every == 0

    @torch.no_grad()
    def stepped(self, images: int) -> None:
        """The running mean follows; what is no weight is as it is now, as released: means of directions have no length 1."""
        self.step += 1
        if self.mean is None:
            return
        own = self.networks["G"]
        self.mean.to(next(own.parameters()).device)
        kept = 0.5 ** (images / (1000 * self.settings.average))
        for mean, weight in zip(self.mean.parameters(), own.parameters(), strict=True):
            mean.lerp_(weight, 1 - kept)
        for buffer, current in zip(self.mean.buffers(), own.buffers(), strict=True):
            buffer.copy_(current)

    def final_network(self, network: str) -> nn.Module:
        """Of the generator its running mean, where there is one; its batch statistics and average style are of the end."""
        if network != "G":
            return super().final_network(network)
        latest = self.latest
        drawn = _drawn_for(latest)
        if self.mean is not None:
            calibrate_(latest, torch.split(drawn[:CALIBRATED], SEEN))
        if hasattr(latest, "w_avg"):
            center_(latest, drawn)
        return latest

    @property
    def latest(self) -> nn.Module:
        """The running mean, where there is one."""
        return self.networks["G"] if self.mean is None else self.mean

    def state(self) -> dict[str, Tensor]:
        """Steps, the mean path length, the running mean of the generator."""
        mean = {} if self.mean is None else {f"mean/{name}": tensor for name, tensor in self.mean.state_dict().items()}
        return {"step": self.step, "mean_path": self.mean_path, **mean}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.step, self.mean_path = state["step"].cpu(), state["mean_path"]
        if self.mean is not None:
            self.mean.load_state_dict({k.removeprefix("mean/"): v for k, v in state.items() if k.startswith("mean/")})


@torch.no_grad()
def center_(generator: Any, latents: Tensor) -> None:
    """Set its ``w_avg`` to the mean style of the latents.

    The released code lets it follow the styles of the batches, from weights that are no longer there.
    """
    generator.w_avg.copy_(generator.mapping(latents).mean(0))


def _drawn_for(generator: nn.Module) -> Tensor:
    """Latents of `CENTERED` images, the same ones always."""
    source, device = inputs_of(generator)[0], next(generator.parameters()).device
    return torch.randn(CENTERED, source.channels, generator=torch.Generator().manual_seed(0)).to(device)
