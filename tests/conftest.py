"""Every test runs on one thread, so that two workers share two cores and sums are made in one order."""

from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def quick_export() -> Iterator[None]:
    """Exporting takes seconds and is tested where one student is; elsewhere a file stands for it."""
    from quick import quick_exports

    with quick_exports():
        yield
