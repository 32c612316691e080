"""Workers that load images need no shared memory, and one that dies ends the training by one line."""

import errno
import os

import pytest
import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from pocketgan.data.config import DataConfig
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.loader import train_batches


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> ImageData:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    return open_data(DataConfig(path="shapes", size=16, workers=1), "paired", "train")


def test_workers_need_no_shared_memory(shapes: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    expected = next(train_batches(shapes, batch=2, seed=0, workers=0))
    for share in ("_share_fd_cpu_", "_share_filename_cpu_"):
        monkeypatch.setattr(torch.UntypedStorage, share, full)
    batches = train_batches(shapes, batch=2, seed=0)
    found = next(batches)
    batches.close()
    assert found.keys() == expected.keys()
    assert all(torch.equal(images, expected[role]) for role, images in found.items())


def test_without_semaphores_the_way_out_is_named(shapes: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(_MultiProcessingDataLoaderIter, "__init__", refused)
    monkeypatch.setattr(_MultiProcessingDataLoaderIter, "__del__", lambda self: None)
    with pytest.raises(ValueError, match=r"^cannot start data workers: .*Read-only file system; take data\.workers=0$"):
        next(train_batches(shapes, batch=2, seed=0))


def test_a_worker_that_dies_ends_the_training_by_one_line(shapes: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageData, "load", lambda *_: os._exit(9))
    with pytest.raises(ValueError, match=r"^a data worker has ended.*take data\.workers=0$") as caught:
        next(train_batches(shapes, batch=2, seed=0))
    assert "\n" not in str(caught.value)
