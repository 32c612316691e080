"""Batches: endless and exactly repeatable for training, once through for evaluating."""

from __future__ import annotations

import itertools
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from pocketgan.data.decode import BadImage
from pocketgan.data.image_source import Values
from pocketgan.data.images import ImageData

Images = dict[str, Tensor]
"""``input`` and ``target``, each (N, 3, H, W), float32, RGB in [-1, 1]; label maps have ``Labels.channels``, 0 or 1.
Numbers drawn for each image (N, how many), float32, by their names."""

_ORDER, _AUGMENTATION = 0, 1  # names of the random streams
_PREFETCH = 4  # batches that each worker prepares ahead


class Batch(NamedTuple):
    """Images to evaluate, with the names of their sources."""

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
    batch and a batch may span two epochs. ``workers=None`` takes the number from the configuration.

    ``slice_of=(k, n)`` gives (and reads) the k-th of n equal slices of those very batches: what the k-th of n processes sees.

    Raises ``ValueError`` naming the file for an image that cannot be used, and as `places`.
    """
    if seed < 0 or start < 0:
        raise ValueError(f"seed={seed} and start={start} must not be negative")
    steps = _TrainSteps(data, _checked(batch), seed, places(batch, *slice_of))
    return (loaded.images for loaded in _iterate(steps, itertools.count(start), _workers(data, workers)))


def eval_batches(data: ImageData, *, batch: int, workers: int | None = None) -> Iterator[Batch]:
    """Every image once, in order, unaugmented, with names; the last batch may be short.

    Images are float32 (N, 3, H, W) in [-1, 1]. Raises ``ValueError`` naming the file for an image that cannot be used.
    """
    steps = _EvalSteps(data, _checked(batch))
    return _iterate(steps, range(-(-len(data) // batch)), _workers(data, workers))


def places(batch: int, rank: int, count: int) -> range:
    """The places in a batch that process ``rank`` of ``count`` takes. ``ValueError`` if the slices would not be equal."""
    if batch % count:
        below, above = batch // count * count, -(-batch // count) * count
        fitting = f"{below} or {above}" if below else f"{above}"
        raise ValueError(f"batch={batch} counts the images of all {count} processes, which take equal parts: take {fitting}")
    each = batch // count
    return range(rank * each, (rank + 1) * each)


@lru_cache(maxsize=4)
def order(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation of ``range(length)`` in which ``epoch`` visits the images."""
    permutation = np.random.default_rng((seed, _ORDER, epoch)).permutation(length)
    permutation.setflags(write=False)  # it is shared by all who ask
    return permutation


@dataclass(frozen=True)
class _Loaded:
    """What crosses the border between processes: bytes or numbers of classes, far smaller than floats; or what went wrong."""

    names: tuple[str, ...]
    images: Images
    error: str = ""


class _Steps(Dataset[_Loaded], ABC):
    """Step number -> one whole batch. A bad image travels as text, so that no worker's traceback is shown."""

    def __init__(self, data: ImageData, batch: int):
        self.data, self.batch = data, batch

    @abstractmethod
    def samples(self, step: int) -> list[tuple[int, np.random.Generator | None]]:
        """Indices of the images of a step, each with the generator of its augmentation."""

    def __getitem__(self, step: int) -> _Loaded:
        samples = self.samples(step)
        names = tuple(self.data.name(index) for index, _ in samples)
        try:
            return _Loaded(names, _stacked(names, [self.data.load(index, rng) for index, rng in samples]))
        except BadImage as error:
            return _Loaded(names, {}, str(error))


class _TrainSteps(_Steps):
    def __init__(self, data: ImageData, batch: int, seed: int, places: range):
        super().__init__(data, batch)
        self.seed, self.places = seed, places

    def samples(self, step: int) -> list[tuple[int, np.random.Generator | None]]:
        return [self._sample(step * self.batch + place) for place in self.places]

    def _sample(self, position: int) -> tuple[int, np.random.Generator]:
        epoch, place = divmod(position, len(self.data))
        index = int(order(len(self.data), self.seed, epoch)[place])
        return index, np.random.default_rng((self.seed, _AUGMENTATION, position))


class _EvalSteps(_Steps):
    def samples(self, step: int) -> list[tuple[int, np.random.Generator | None]]:
        return [(index, None) for index in range(step * self.batch, min((step + 1) * self.batch, len(self.data)))]


def _iterate(steps: _Steps, numbers: Iterable[int], workers: int) -> Iterator[Batch]:
    loader = DataLoader(
        steps,
        batch_size=None,  # a sample is a whole batch already
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=_PREFETCH if workers else None,
        worker_init_fn=_leave_interrupts_alone if workers else None,
        collate_fn=_as_it_is,
        # Without a generator of its own the loader would draw from the global one, which training must be able to own.
        generator=torch.Generator(),
    )
    iterator = iter(loader)
    try:
        for loaded in iterator:
            if loaded.error:
                raise ValueError(loaded.error)
            yield Batch(loaded.names, {role: steps.data.floats(role, values) for role, values in loaded.images.items()})
    finally:
        # Torch ends the workers when the iterator is collected, but the traceback of an error keeps it alive.
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            iterator._shutdown_workers()


def _stacked(names: Sequence[str], images: list[dict[str, Values]]) -> Images:
    for role in images[0]:
        for name, image in zip(names, images, strict=True):
            if image[role].shape != images[0][role].shape:
                here, there = (f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (image[role], images[0][role]))
                raise BadImage(
                    name, f"is {here} but {names[0]} is {there}: one batch needs one size; use batch 1 or preprocess=resize"
                )
    return {role: torch.from_numpy(np.stack([image[role] for image in images])) for role in images[0]}


def _as_it_is(loaded: Any) -> Any:
    return loaded


def _leave_interrupts_alone(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's affair, which then ends the workers


def _workers(data: ImageData, workers: int | None) -> int:
    wanted = data.config.workers if workers is None else workers
    if wanted < 0:
        raise ValueError(f"workers={wanted} must be at least 0")
    return min(wanted, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _checked(batch: int) -> int:
    if batch < 1:
        raise ValueError(f"batch={batch} must be at least 1")
    return batch
