"""The table of Cityscapes: its numbers are those of the published label files."""

import numpy as np
import pytest

from pocketgan.data.cityscapes import CLASSES, TRAINED, train_ids

TRAINED_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
"""The label ids that the evaluation of Cityscapes counts, in the order of the train ids."""

PALETTE = (
    "804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64 005064"
    " 0000e6 770b20"
)
"""The colors of the 19 classes as every Cityscapes legend prints them."""


def test_the_classes_stand_in_the_order_of_their_numbers() -> None:
    assert [one.id for one in CLASSES] == list(range(-1, 34))
    assert [one.train_id for one in TRAINED] == list(range(19))
    assert [one.id for one in TRAINED] == TRAINED_IDS
    assert len({one.name for one in CLASSES}) == 35


def test_the_colors_are_those_of_the_legend() -> None:
    assert [bytes(one.color).hex() for one in TRAINED] == PALETTE.split()
    shared = {one.color for one in CLASSES if sum(one.color == other.color for other in CLASSES) > 1}
    assert shared == {(0, 0, 0), (0, 0, 142), (153, 153, 153)}


def test_label_ids_become_train_ids() -> None:
    ids = np.array([[-1, 0, 7], [26, 33, 10]], dtype=np.int16)
    assert train_ids(ids).tolist() == [[-1, -1, 0], [13, 18, -1]]
    assert train_ids(np.array(TRAINED_IDS, dtype=np.uint8)).tolist() == list(range(19))


@pytest.mark.parametrize("value", [-2, 34, 255])
def test_other_numbers_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match=rf"label ids of Cityscapes are -1 to 33; found values from .*{value}"):
        train_ids(np.array([5, value]))
