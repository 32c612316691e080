"""Relations of positions, regions and pieces: closed forms, definitions by loops, and what must not change them."""

import math
from collections.abc import Iterable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketgan.losses.relations import (
    pieces_of,
    position_distance,
    position_similarity,
    region_contrast,
    relational_distance,
)

few = settings(max_examples=10, deadline=None)
UNIT = torch.eye(2).view(1, 2, 1, 2)
"""Two positions with orthogonal features."""


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rotation(size: int, seed: int) -> Tensor:
    return torch.linalg.qr(random(size, size, seed=seed))[0]


def test_orthogonal_positions_against_equal_ones() -> None:
    """The identity against 1/sqrt(2) everywhere: 1 - 0.70711 and 0.70711, in halves."""
    equal = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    torch.testing.assert_close(position_similarity(UNIT), torch.eye(2)[None])
    torch.testing.assert_close(position_similarity(equal), torch.full((1, 2, 2), 0.5**0.5))
    assert position_distance(UNIT, equal, side=8).item() == pytest.approx(0.5)


@few
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_scale_rotation_and_number_of_channels_do_not_matter_to_positions(scale: float, seed: int) -> None:
    student, teacher = random(2, 5, 4, 3, seed=seed), random(2, 4, 4, 3, seed=seed + 1)
    turned = scale * torch.einsum("dc,nchw->ndhw", rotation(5, seed), student)
    wider = torch.cat([turned, torch.zeros(2, 3, 4, 3)], 1)
    assert position_distance(wider, student, side=8).item() == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(
        position_distance(wider, teacher, side=8), position_distance(student, teacher, side=8), rtol=1e-4, atol=1e-5
    )


@few
@given(seed=st.integers(0, 99))
def test_the_same_order_of_positions_in_both_does_not_matter(seed: int) -> None:
    student, teacher = random(2, 5, 3, 4, seed=seed), random(2, 6, 3, 4, seed=seed + 1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    shuffled = (x.flatten(2)[..., order].view(x.shape) for x in (student, teacher))
    torch.testing.assert_close(position_distance(*shuffled, side=8), position_distance(student, teacher, side=8))


def test_positions_are_compared_at_the_smaller_size_and_at_most_at_side() -> None:
    small = random(2, 3, 4, 4)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert position_distance(small, large, side=8).item() == pytest.approx(0, abs=1e-6)
    assert position_distance(large, F.avg_pool2d(large, 4), side=2).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        (torch.ones(2, 3, 8, 8), torch.ones(2, 3, 8, 8), math.log(64)),
        (torch.ones(1, 3, 1, 2), torch.ones(1, 3, 1, 2), math.log(2)),
        (UNIT, UNIT, math.log1p(math.exp(-1 / 0.07))),
        (UNIT.flip(3), UNIT, 1 / 0.07 + math.log1p(math.exp(-1 / 0.07))),
    ],
    ids=["64 alike", "2 alike", "equal", "exchanged"],
)
def test_contrast_in_closed_form(student: Tensor, teacher: Tensor, expected: float) -> None:
    assert region_contrast(student, teacher, count=64, temperature=0.07).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_contrast_is_at_the_positions_of_the_teachers_attention_in_each_image() -> None:
    """Elsewhere the student may be anything. The two images have their attention in different places."""
    teacher = 0.01 * random(2, 4, 4, 4)
    teacher[0, :, :2, :2] += 1 + random(4, 2, 2, seed=1)
    teacher[1, :, 2:, 2:] += 1 + random(4, 2, 2, seed=2)
    attended = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    attended[0, :, :2, :2] = attended[1, :, 2:, 2:] = True
    student = random(2, 4, 4, 4, seed=3).requires_grad_()
    expected = 0
    for image, mask in enumerate(attended):
        a, b = (F.normalize(x[image][:, mask[0]], dim=0) for x in (student, teacher))
        expected = expected - (a.T @ b / 0.5).log_softmax(1).diagonal().mean() / 2
    found = region_contrast(student, teacher, count=4, temperature=0.5)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert student.grad is not None
    assert torch.equal(student.grad.abs().sum(1, keepdim=True) > 0, attended)


def test_pieces_are_rows_columns_and_patches() -> None:
    image = random(2, 3, 8, 12)
    rows, columns, patches = pieces_of(image, strips=64, grid=2)
    assert (rows.shape, columns.shape, patches.shape) == ((2, 8, 36), (2, 12, 24), (2, 4, 72))
    assert torch.equal(rows[1, 5], image[1, :, 5].flatten())
    assert torch.equal(columns[1, 5], image[1, :, :, 5].flatten())
    assert torch.equal(patches[1, 1], image[1, :, :4, 6:].flatten())  # row by row, of patches
    thick, thicker, _ = pieces_of(image, strips=4, grid=2)
    assert torch.equal(thick[0, 1], image[0, :, 2:4].flatten())
    assert torch.equal(thicker[0, 1], image[0, :, :, 3:6].flatten())
    assert pieces_of(image, strips=5, grid=64)[0].shape == (2, 4, 72)  # rows of 2, the fewest that give at most 5


TEACHER = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
STUDENT = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]]])


def test_relations_of_a_triangle_and_of_three_points_on_a_line() -> None:
    """Distances 0.0716991, angles 0.1296296 and twice; the sides of the triangle are 1, 1 and the root of 2."""
    assert relational_distance(STUDENT, TEACHER).item() == pytest.approx(0.0716991 + 2 * 0.1296296, abs=1e-6)
    both = relational_distance(torch.cat([STUDENT, TEACHER]), torch.cat([TEACHER, TEACHER]))
    assert both.item() == pytest.approx(0.3309584 / 2, abs=1e-6)  # each image has a mean of its own


def by_loops(pieces: Tensor) -> tuple[Tensor, Tensor]:
    """Distances over the mean of those that are not 0, and cosines, by their definitions."""
    n = len(pieces)

    def each(function: object, *counts: int) -> Iterable[float]:
        return (function(*at) for at in torch.cartesian_prod(*map(torch.arange, counts)).tolist())  # type: ignore[operator]

    distances = torch.tensor(list(each(lambda i, j: (pieces[i] - pieces[j]).norm().item(), n, n))).view(n, n)
    angles = torch.tensor(
        list(
            each(lambda i, j, k: F.normalize(pieces[j] - pieces[i], dim=0) @ F.normalize(pieces[k] - pieces[i], dim=0), n, n, n)
        )
    )
    return distances / distances[distances > 0].mean(), angles.view(n, n, n)


def test_relations_are_those_of_the_definition() -> None:
    """With two equal pieces, which have no direction."""
    student, teacher = random(5, 7), random(5, 6, seed=1)
    student[3] = student[1]
    (a, b), (c, d) = by_loops(student), by_loops(teacher)
    expected = F.smooth_l1_loss(a, c) + 2 * F.smooth_l1_loss(b, d)
    torch.testing.assert_close(relational_distance(student[None], teacher[None]), expected, rtol=1e-4, atol=1e-6)


@few
@given(scale=st.floats(1e-2, 1e2), seed=st.integers(0, 99))
def test_shift_scale_and_rotation_of_the_pieces_do_not_matter(scale: float, seed: int) -> None:
    student, teacher = random(2, 6, 5, seed=seed), random(2, 6, 5, seed=seed + 1)
    moved = scale * student @ rotation(5, seed) + random(5, seed=seed + 2)
    assert relational_distance(moved, student).item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(relational_distance(moved, teacher), relational_distance(student, teacher), rtol=1e-4, atol=1e-6)


def test_equal_pieces_and_two_pieces_say_nothing_and_have_no_infinite_slope() -> None:
    flat = torch.ones(1, 4, 6, requires_grad=True)
    relational_distance(flat, random(1, 4, 6)).backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
    assert relational_distance(random(1, 2, 6), random(1, 2, 6, seed=1)).item() == pytest.approx(0, abs=1e-6)
