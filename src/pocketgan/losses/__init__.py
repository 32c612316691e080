"""Pure functions of tensors."""

from pocketgan.losses.adversarial import GanMode, discriminator_loss, generator_loss
from pocketgan.losses.distillation import attention_map, attention_transfer

__all__ = ["GanMode", "attention_map", "attention_transfer", "discriminator_loss", "generator_loss"]
