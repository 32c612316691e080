"""The history of images that discriminators are shown."""

import pytest
import torch

from pocketgan.training.pool import ImagePool


def numbered(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def test_the_first_images_come_back_as_they_are_and_without_gradient() -> None:
    pool = ImagePool(4)
    fresh = numbered(1, 2, 3).requires_grad_()
    shown = pool.exchange(fresh)
    assert torch.equal(shown, fresh)
    assert not shown.requires_grad
    assert torch.equal(pool.exchange(numbered(4)), numbered(4))
    assert [image.item() for image in pool.images] == [1, 2, 3, 4]


def test_later_ones_are_swapped_for_old_ones_half_of_the_time() -> None:
    torch.manual_seed(0)
    pool = ImagePool(10)
    pool.exchange(numbered(*range(10)))
    count, old = 2000, 0
    for value in range(10, 10 + count):
        before = {image.item() for image in pool.images}
        (shown,) = pool.exchange(numbered(value)).flatten().tolist()
        after = {image.item() for image in pool.images}
        if shown == value:
            assert after == before
        else:
            old += 1
            assert shown in before
            assert after == before - {shown} | {value}
    assert old / count == pytest.approx(0.5, abs=4 * (0.25 / count) ** 0.5)


def test_a_pool_of_nothing_shows_the_fresh_images() -> None:
    pool = ImagePool(0)
    for _ in range(3):
        assert torch.equal(pool.exchange(numbered(1, 2)), numbered(1, 2))


def test_its_state_continues_it() -> None:
    pool, other = ImagePool(11), ImagePool(11)
    pool.exchange(numbered(*range(11)))
    other.load_state(pool.state(), torch.device("cpu"))
    torch.manual_seed(3)
    expected = [pool.exchange(numbered(value)).item() for value in range(20, 40)]
    torch.manual_seed(3)
    assert [other.exchange(numbered(value)).item() for value in range(20, 40)] == expected
    assert min(expected) < 20 <= max(expected)
