"""Configuration of a training: length, optimizer, precision, output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pocketgan.utils.registry import check_at_least

Decay = Literal["linear", "cosine", "halving", "none"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Length, optimizer and output of one training."""

    steps: int = 2000
    """Optimizer steps of each network; 0 leaves the networks unchanged."""
    epochs: float | None = None
    """Length in passes over the data instead; converted to ``steps`` when the run begins."""
    batch: int = 4
    """Images per step, over all processes together."""
    lr: float = 2e-4
    """Initial learning rate of Adam (pix2pix and CycleGAN: 2e-4)."""
    lr_discriminator: float | None = None
    """Initial learning rate of the discriminators; None: the same (GauGAN's two time scales: 1e-4 and 4e-4)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's betas (pix2pix: 0.5, 0.999)."""
    decay: Decay = "linear"
    """Schedule of the rate: to 0 at the end, ``linear`` from ``decay_start`` on (published) or ``cosine`` from the start;
    halved every ``halve_every`` steps (``halving``: MUNIT); or ``none``."""
    decay_start: float = 0.5
    """Fraction of the steps after which the linear decay begins (published: half)."""
    halve_every: int = 100_000
    """Steps between two halvings of the learning rate."""
    warmup: int = 0
    """Steps in which the rate rises from near 0: a pruned generator that was reconstructed is lost by full steps at once."""
    muon: float = 0.0
    """Learning rate of Muon for the weights of the generators' convolutions and linear layers; 0: Adam trains them, too."""
    average: float = 0.0
    """Half-life, in thousands of images, of the exponential moving average of the generator's weights; the average is the
    result. 0: no average."""
    weight_decay: float = 0.0
    """Adam's weight decay (MUNIT: 1e-4)."""
    precision: Literal["float32", "bf16"] = "float32"
    """Precision of the networks' computations; losses and weights are always float32."""
    weights: dict[str, float] = field(default_factory=dict)
    """Factors of named losses that replace the task's: gan, l1, cycle, identity, an objective's name."""
    log_every: int = 50
    """Steps between lines of ``log.jsonl``, each the mean of its interval."""
    sample_every: int = 500
    """Steps between sample grids; 0 for none."""
    checkpoint_every: int = 500
    """Steps between checkpoints: the most that is lost when a run is killed."""
    tensorboard: bool = False
    """Write TensorBoard events beside ``log.jsonl`` (needs the extra ``tensorboard``)."""

    def __post_init__(self) -> None:
        check_at_least(self, steps=0, batch=1, log_every=1, checkpoint_every=1, halve_every=1, warmup=0, muon=0, average=0)
        if not 0 <= self.decay_start <= 1:
            raise ValueError(f"decay_start={self.decay_start}: a part of the steps, from 0 to 1")


GAUGAN = TrainingConfig(lr=1e-4, lr_discriminator=4e-4, betas=(0.0, 0.9))
"""Label-map generators: two time scales (Heusel et al. 2017; SPADE, section 4)."""

SAGAN = TrainingConfig(lr=1e-4, lr_discriminator=4e-4, betas=(0.0, 0.9), decay="none")
"""SAGAN (Zhang et al. 2019, section 4)."""

STYLEGAN2 = TrainingConfig(lr=2.5e-3, betas=(0.0, 0.99), decay="none")
"""StyleGAN2 for small images (Karras et al. 2020, "Training GANs with limited data", appendix C)."""

MUNIT = TrainingConfig(batch=1, lr=1e-4, weight_decay=1e-4, decay="halving")
"""MUNIT (Huang et al. 2018, supplementary B)."""
