"""Published checkpoints of other code bases."""

from pocketgan.checkpoints.convert import LoadedCheckpoint, load_checkpoint, to_published

__all__ = ["LoadedCheckpoint", "load_checkpoint", "to_published"]
