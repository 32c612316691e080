"""Generators and checkpoints that pocketgan did not write."""

from pocketgan.checkpoints.recognize import LoadedCheckpoint, load_checkpoint, to_published

__all__ = ["LoadedCheckpoint", "load_checkpoint", "to_published"]
