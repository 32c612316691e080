"""Every recipe is run at toy size, so nearly all of the time would go into what stands around the run."""

from collections.abc import Iterator

import pytest

from quick import quick_plots


@pytest.fixture(scope="module", autouse=True)
def plain_pages() -> Iterator[None]:
    """Every run writes a page: without its plots, but for those that are made once a session."""
    with quick_plots():
        yield
