"""Tasks: one file each, from networks and losses to the training of teachers and students."""

from pocketgan.tasks import cyclegan, munit, pix2pix, spade, unconditional  # noqa: F401  (they register themselves)
from pocketgan.tasks.base import TASKS, Defaults, LatentConfig, TaskDefinition

__all__ = ["TASKS", "Defaults", "LatentConfig", "TaskDefinition"]
