"""Image data: from files on disk to batches of tensors, NCHW, float32, RGB, in [-1, 1]."""

from pocketgan.core.tasks import TaskName
from pocketgan.data.builtin import BUILTIN
from pocketgan.data.check import Problem, Report, check
from pocketgan.data.config import DataConfig, Direction, Preprocess, Split
from pocketgan.data.decode import BadImage, to_bytes, to_float
from pocketgan.data.images import ImageData, guess_task, open_data
from pocketgan.data.labels import Labels
from pocketgan.data.loader import Batch, Images, eval_batches, train_batches

__all__ = [
    "BUILTIN",
    "BadImage",
    "Batch",
    "DataConfig",
    "Direction",
    "ImageData",
    "Images",
    "Labels",
    "Preprocess",
    "Problem",
    "Report",
    "Split",
    "TaskName",
    "check",
    "eval_batches",
    "guess_task",
    "open_data",
    "to_bytes",
    "to_float",
    "train_batches",
]
