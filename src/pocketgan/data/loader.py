"""Batches: endless and exactly reproducible for training, one pass for evaluation."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.reduction import ForkingPickler

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from pocketgan.data.decode import BadImage
from pocketgan.data.image_source import Values
from pocketgan.data.images import ImageData
from pocketgan.utils.registry import check_at_least

Images = dict[str, Tensor]
"""``input`` and ``target``, each (N, 3, H, W), float32, RGB in [-1, 1]; label maps have ``Labels.channels``, 0 or 1.
Latents (N, length), float32, by name."""

_ORDER, _AUGMENTATION, _VARIANTS = 0, 1, 2  # names of the random streams
_PREFETCH = 4  # batches that each worker prepares ahead


@dataclass(frozen=True)
class Batch:
    """Images to evaluate, with the names of their inputs."""

    names: tuple[str, ...]
    images: Images


def train_batches(
    data: ImageData,
    *,
    batch: int,
    seed: int,
    start: int = 0,
    workers: int | None = None,
    slice_of: tuple[int, int] = (0, 1),
) -> Iterator[Images]:
    """Endless training batches, from step ``start`` on: float32 (N, 3, H, W) in [-1, 1].

    The batch of step k depends on ``seed`` and k alone: not on ``start``, the workers or interruptions. The samples of
    all steps form one sequence; every ``len(data)`` of them are a new permutation, so an epoch may be smaller than a
    batch and a batch may span two epochs. With ``variants`` in the configuration the augmentation of an image depends on the
    epoch alone, modulo their number. ``workers=None`` takes the number from the configuration.

    ``slice_of=(k, n)`` gives (and reads) the k-th of n equal slices of the same batches, for the k-th of n processes.

    Raises ``ValueError`` naming the file for an image that cannot be used, and as `batch_slice`.
    """
    check_at_least({"seed": seed, "start": start}, seed=0, start=0)
    steps = _Steps(data, batch, batch_slice(batch, *slice_of), seed)
    return (loaded.images for loaded in _iterate(steps, itertools.count(start), _workers(data, workers)))


def eval_batches(data: ImageData, *, batch: int, workers: int | None = None) -> Iterator[Batch]:
    """Every image once, in order, unaugmented, with names; the last batch may be short.

    Images are float32 (N, 3, H, W) in [-1, 1]. Raises ``ValueError`` naming the file for an image that cannot be used.
    """
    steps = _Steps(data, batch, batch_slice(batch, 0, 1))
    return _iterate(steps, range(-(-len(data) // batch)), _workers(data, workers))


def batch_slice(batch: int, rank: int, count: int) -> range:
    """Indices in a batch for process ``rank`` of ``count``. Raises ``ValueError`` if the slices would not be equal."""
    if batch < 1:
        raise ValueError(f"batch={batch} must be at least 1")
    if batch % count:
        below, above = batch // count * count, -(-batch // count) * count
        allowed = f"{below} or {above}" if below else f"{above}"
        raise ValueError(f"batch={batch} counts the images of all {count} processes, which take equal parts: take {allowed}")
    size = batch // count
    return range(rank * size, (rank + 1) * size)


@lru_cache(maxsize=4)
def order(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation of ``range(length)`` in which ``epoch`` visits the images."""
    permutation = np.random.default_rng((seed, _ORDER, epoch)).permutation(length)
    permutation.setflags(write=False)  # the cache shares it
    return permutation


@dataclass(frozen=True)
class _Steps(Dataset[Batch | str]):
    """Step number -> one whole batch of bytes or class numbers, far smaller than floats.

    The error of a bad image is sent as text, so that no worker's traceback is printed.
    """

    data: ImageData
    batch: int
    slice: range
    """Indices in the batch that are loaded."""
    seed: int | None = None
    """Seed of order and augmentation in training; None for evaluation."""

    def __getitem__(self, step: int) -> Batch | str:
        samples = [sample for offset in self.slice if (sample := self._sample(step * self.batch + offset))]
        names = tuple(self.data.name(index) for index, _ in samples)
        try:
            return Batch(names, _stacked(names, [self.data.load(index, rng) for index, rng in samples]))
        except BadImage as error:
            return str(error)

    def _sample(self, position: int) -> tuple[int, np.random.Generator | None] | None:
        """Index of an image and the generator of its augmentation; None beyond the end of an evaluation."""
        if self.seed is None:
            return (position, None) if position < len(self.data) else None
        epoch, offset = divmod(position, len(self.data))
        index = int(order(len(self.data), self.seed, epoch)[offset])
        if variants := self.data.config.variants:  # of any seed: runs share what is computed from them
            return index, np.random.default_rng((_VARIANTS, index, epoch % variants))
        return index, np.random.default_rng((self.seed, _AUGMENTATION, position))


def _iterate(steps: _Steps, order: Iterable[int], workers: int) -> Iterator[Batch]:
    loader = DataLoader(
        steps,
        batch_size=None,  # a sample is a whole batch already
        sampler=order,
        num_workers=workers,
        prefetch_factor=_PREFETCH if workers else None,
        worker_init_fn=_begin_worker if workers else None,
        # Without a generator the loader would draw from the global one, whose state belongs to training.
        generator=torch.Generator(),
    )
    try:
        iterator = iter(loader)
    except OSError as error:  # processes need semaphores, which are files in /dev/shm
        raise ValueError(f"cannot start data workers: {error}; take data.workers=0") from error
    try:
        for loaded in iterator:
            if isinstance(loaded, str):
                raise ValueError(loaded)
            yield Batch(loaded.names, {role: steps.data.floats(role, values) for role, values in loaded.images.items()})
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"a data worker has ended, killed perhaps for want of memory ({reason}): take data.workers=0"
        ) from error
    finally:
        # Torch ends the workers when the iterator is collected, but the traceback of an error keeps a reference.
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            iterator._shutdown_workers()


def _stacked(names: Sequence[str], images: list[dict[str, Values]]) -> Images:
    for role in images[0]:
        for name, image in zip(names, images, strict=True):
            if image[role].shape[2:] != images[0][role].shape[2:]:
                raise BadImage(name, f"has {image[role].shape[2]} channels but {names[0]} has {images[0][role].shape[2]}")
            if image[role].shape != images[0][role].shape:
                size, first = (f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (image[role], images[0][role]))
                raise BadImage(
                    name, f"is {size} but {names[0]} is {first}: one batch needs one size; use batch 1 or preprocess=resize"
                )
    return {role: torch.from_numpy(np.stack([image[role] for image in images])) for role in images[0]}


def _begin_worker(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles Ctrl-C and ends the workers
    # Through the pipe, not through /dev/shm: that has 64 MB in a container, and torch waits forever once it is full.
    ForkingPickler.register(Tensor, lambda tensor: (torch.from_numpy, (tensor.numpy(),)))


def _workers(data: ImageData, workers: int | None) -> int:
    count = data.config.workers if workers is None else workers
    return min(count, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
