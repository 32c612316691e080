"""Generators and checkpoints that pocketgan did not write."""

from pocketgan.interop.checkpoint import Recognised, load_checkpoint, to_published

__all__ = ["Recognised", "load_checkpoint", "to_published"]
