"""The pages say what the result files say."""

import sys
from pathlib import Path

import pytest
from manual import ROOT

sys.path.insert(0, str(ROOT / "docs"))
from fill_numbers import PAGES, filled


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_what_its_result_file_gives(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text
