"""Threads and order of the tests, and fixtures that all of them may use.

Every test runs on one thread, so that two workers share two cores; ``POCKETGAN_TEST_THREADS`` takes another number, and
``POCKETGAN_TEST_SHUFFLE`` a seed for a random order (`make test-processors`).
"""

import gc
import os
import random
from collections.abc import Iterator
from itertools import groupby

import pytest
import torch

gc.set_threshold(50_000, 20, 100)  # collections of the many small objects of modules take a tenth of the time otherwise
torch.set_num_threads(int(os.environ.get("POCKETGAN_TEST_THREADS", "1")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle the files, and the tests within each: fixtures of a module are still made once, and xdist keeps its groups."""
    if seed := os.environ.get("POCKETGAN_TEST_SHUFFLE"):
        draw = random.Random(seed)
        files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
        draw.shuffle(files)
        for tests in files:
            draw.shuffle(tests)
        items[:] = [test for tests in files for test in tests]


def pytest_report_header() -> list[str]:
    """The settings that a failure may depend on."""
    seed = os.environ.get("POCKETGAN_TEST_SHUFFLE")
    return [
        f"processor: {torch.backends.cpu.get_cpu_capability()}, threads: {torch.get_num_threads()}",
        *([f"order: POCKETGAN_TEST_SHUFFLE={seed}"] if seed else []),
    ]


@pytest.fixture
def quick_export() -> Iterator[None]:
    """Stand-ins for exported files."""
    from quick import quick_exports

    with quick_exports():
        yield
