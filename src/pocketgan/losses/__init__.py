"""Pure functions of tensors."""

from pocketgan.losses.adversarial import GanMode, Logits, discriminator_loss, generator_loss
from pocketgan.losses.alignment import kernel_alignment
from pocketgan.losses.distillation import (
    Fusion,
    attention_distance,
    attention_map,
    attention_transfer,
    coattention_maps,
    discriminator_distance,
    fused,
)
from pocketgan.losses.feature_matching import feature_matching
from pocketgan.losses.perceptual import perceptual_distance
from pocketgan.losses.regularization import path_lengths, r1_penalty

__all__ = [
    "Fusion",
    "GanMode",
    "Logits",
    "attention_distance",
    "attention_map",
    "attention_transfer",
    "coattention_maps",
    "discriminator_distance",
    "discriminator_loss",
    "feature_matching",
    "fused",
    "generator_loss",
    "kernel_alignment",
    "path_lengths",
    "perceptual_distance",
    "r1_penalty",
]
