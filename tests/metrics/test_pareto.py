import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.metrics.pareto import pareto_front

few = settings(max_examples=40, deadline=None)
POINTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12)


def test_front_by_hand() -> None:
    #          front     dominated    front     dominated    front     not a number
    points = [(1, 5.0), (2, 4.0), (2, 7.0), (3, 7.0), (9, 8.0), (0, math.nan)]
    assert pareto_front(points) == [0, 2, 4]
    assert pareto_front(points, higher_is_better=False) == [0, 1]
    assert pareto_front([]) == []


@few
@given(POINTS)
def test_front_is_what_the_definition_says(points: list[tuple[int, int]]) -> None:
    def dominated(a: tuple[int, int]) -> bool:
        return any(b[0] <= a[0] and b[1] >= a[1] and b != a for b in points)

    assert sorted(pareto_front(points)) == [i for i, point in enumerate(points) if not dominated(point)]


@few
@given(POINTS)
def test_lower_is_better_is_the_mirror(points: list[tuple[int, int]]) -> None:
    mirrored = [(cost, -value) for cost, value in points]
    assert pareto_front(points, higher_is_better=False) == pareto_front(mirrored)


@few
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=12), st.tuples(*[st.booleans()] * 3))
def test_front_of_three_scores_is_what_the_definition_says(points: list[tuple[int, int, int]], up: tuple[bool, ...]) -> None:
    def no_worse(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        return all(x >= y if flag else x <= y for x, y, flag in zip(a, b, up, strict=True))

    expected = [i for i, a in enumerate(points) if not any(no_worse(b, a) and b != a for b in points)]
    assert sorted(pareto_front(points, higher_is_better=up)) == expected
