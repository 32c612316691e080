"""Sizes: one number for a square, height and width for others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketgan.core.shape import as_shape, plain, said, shape_of


@given(st.integers(2, 4096), st.integers(2, 4096))
def test_a_shape_follows_from_its_width_and_proportion(height: int, width: int) -> None:
    """What an artifact says is what a configuration made from it sees."""
    assert shape_of(width, width / height) == (height, width)


@given(st.integers(2, 4096), st.integers(2, 4096))
def test_what_is_stated_is_read_back(height: int, width: int) -> None:
    assert as_shape(plain((height, width))) == (height, width)
    assert plain((height, height)) == height


def test_people_are_told_the_width_first() -> None:
    assert said((256, 512)) == "512 x 256"


@pytest.mark.parametrize("aspect", [0.0, -1.0, float("inf"), float("nan"), 45.0])
def test_no_proportion(aspect: float) -> None:
    with pytest.raises(ValueError, match="is width over height: with size=64 it must be above 0 and at most 32"):
        shape_of(64, aspect)
