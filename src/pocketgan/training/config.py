"""How long, how fast and how precisely to train."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, pi
from typing import Literal

Decay = Literal["linear", "cosine", "halving", "none"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One fit: its length, its optimizer, and what it writes on the way."""

    steps: int = 2000
    """Optimizer steps of each network; 0 leaves the networks as they are."""
    epochs: float | None = None
    """The length in passes over the data instead; turned into ``steps`` when the run begins."""
    batch: int = 4
    """Images a step, over all processes together."""
    lr: float = 2e-4
    """Adam's learning rate at the start (pix2pix and CycleGAN: 2e-4)."""
    lr_discriminator: float | None = None
    """That of the discriminators; None is the same (GauGAN's two time scales: 1e-4 and 4e-4)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's betas (pix2pix: 0.5, 0.999)."""
    decay: Decay = "linear"
    """To 0 at the end: ``linear`` from ``decay_start`` on (published) or ``cosine`` all the way; a half of it every
    ``halve_every`` steps (``halving``: MUNIT), or ``none``."""
    decay_start: float = 0.5
    """The part of the steps after which the linear decay begins (published: half)."""
    halve_every: int = 100_000
    """Steps between two halvings of the learning rate."""
    weight_decay: float = 0.0
    """Adam's (MUNIT: 1e-4)."""
    precision: Literal["float32", "bf16"] = "float32"
    """What networks compute in; losses and weights are float32 always."""
    weights: dict[str, float] = field(default_factory=dict)
    """Factors of named losses that replace the task's own: gan, l1, cycle, identity, an objective's name."""
    log_every: int = 50
    """Steps between lines of ``log.jsonl``, each the mean of its interval."""
    sample_every: int = 500
    """Steps between sample grids; 0 for none."""
    checkpoint_every: int = 500
    """Steps between checkpoints: what a kill can cost at most."""
    tensorboard: bool = False
    """Write TensorBoard events beside ``log.jsonl`` (needs the extra ``tensorboard``)."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("batch", 1), ("log_every", 1), ("checkpoint_every", 1), ("halve_every", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: the least is {least}")
        if not 0 <= self.decay_start <= 1:
            raise ValueError(f"decay_start={self.decay_start}: a part of the steps, from 0 to 1")


GAUGAN = TrainingConfig(lr=1e-4, lr_discriminator=4e-4, betas=(0.0, 0.9))
"""The optimizers of label-map generators: two time scales (Heusel et al. 2017; SPADE, section 4)."""

SAGAN = TrainingConfig(lr=1e-4, lr_discriminator=4e-4, betas=(0.0, 0.9), decay="none")
"""Those of SAGAN (Zhang et al. 2019, section 4)."""

STYLEGAN2 = TrainingConfig(lr=2.5e-3, betas=(0.0, 0.99), decay="none")
"""Those of StyleGAN2 for small images (Karras et al. 2020, "Training GANs with limited data", appendix C)."""

MUNIT = TrainingConfig(batch=1, lr=1e-4, weight_decay=1e-4, decay="halving")
"""Those of MUNIT (Huang et al. 2018, supplementary B)."""


def lr_of(phase: str, config: TrainingConfig) -> float:
    """The learning rate at the start of what a phase trains."""
    return config.lr_discriminator if phase == "D" and config.lr_discriminator is not None else config.lr


def lr_factor(step: int, config: TrainingConfig) -> float:
    """The factor of the learning rate in step ``step`` (from 0): 1 at first, just above 0 in the last."""
    done = step / config.steps
    match config.decay:
        case "none":
            return 1.0
        case "halving":
            return 2.0 ** -(step // config.halve_every)
        case "cosine":
            return 0.5 * (1 + cos(pi * done))
        case "linear":
            return 1.0 if done < config.decay_start else (1 - done) / (1 - config.decay_start)
