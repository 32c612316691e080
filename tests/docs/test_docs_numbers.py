"""The pages say what the result files say."""

import sys

import pytest
from manual import ROOT

sys.path.insert(0, str(ROOT / "docs"))
from fill_numbers import filled


@pytest.mark.parametrize("page", ["README.md", "docs/numbers.md"])
def test_every_block_is_what_its_result_file_gives(page: str) -> None:
    text = (ROOT / page).read_text()
    assert filled(text) == text
