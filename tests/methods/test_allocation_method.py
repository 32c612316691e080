"""Search over widths by reconstruction: a closed form for the search, and laws of the method."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.core.dims import widths_of
from pocketgan.methods import MethodContext, make_method
from pocketgan.methods.allocation import ROWS, UNSEEN, coordinate_search, stages_of
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.image import psnr
from pocketgan.models import resnet
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.reconstruct import images_of, reconstruct_
from pocketgan.pruning.selection import shrink
from zoo import randomized


@settings(max_examples=50, deadline=None)
@given(peak=st.lists(st.floats(-2, 2), min_size=1, max_size=4), candidates=st.integers(1, 40))
def test_the_search_climbs_within_its_number_of_candidates(peak: list[float], candidates: int) -> None:
    """Of a hill over log shares, which do not change when all shares are multiplied: never below the start, no point twice."""
    seen = []

    def score(shares: tuple[float, ...]) -> float:
        logs = torch.tensor(shares, dtype=torch.float64).log()
        wanted = torch.tensor(peak, dtype=torch.float64)
        seen.append(-float(((logs - logs.mean()) - (wanted - wanted.mean())).square().sum()))
        return seen[-1]

    best = coordinate_search(score, len(peak), candidates, lambda done, value: None)
    assert len(seen) <= candidates
    assert score(best) == max(seen) >= seen[0]
    assert max(best) == 1.0


def test_the_search_finds_a_peak() -> None:
    def score(shares: tuple[float, ...]) -> float:
        return -abs(shares[0] / shares[1] - 1.5**3) - abs(shares[2] / shares[1] - 1.5)

    found = coordinate_search(score, 3, 40, lambda done, value: None)
    assert found[0] / found[1] == pytest.approx(1.5**3, rel=1e-6)
    assert found[2] / found[1] == pytest.approx(1.5, rel=1e-6)


def test_stages_are_groups_of_equal_width_and_cost_the_cheapest_first() -> None:
    spec = resnet(8, blocks=3)
    cost = CostModel(spec.build(device="meta"), 32)
    stages = stages_of(spec.widths, cost)
    assert sorted(group for stage in stages for group in stage) == sorted(spec.widths)
    assert ["block0", "block1", "block2"] in stages
    macs = [sum(cost.by_group()[group].macs for group in stage) for stage in stages]
    assert macs == sorted(macs)


def test_the_widths_reconstruct_no_worse_than_uniform_ones() -> None:
    spec = resnet(8, blocks=2)
    model, cost = randomized(spec).eval(), CostModel(spec.build(device="meta"), 32)
    random = torch.Generator().manual_seed(0)
    batches = [torch.rand(4, 3, 32, 32, generator=random) * 2 - 1 for _ in range(3)]
    context = MethodContext(parse_budget("6x", cost()), cost, 1, lambda count=32: batches[: count // 4])

    def quality(method: str) -> tuple[dict[str, int], float]:
        options = {"candidates": 12, "images": 8} if method == "allocation" else {}
        selection = make_method(method, options).select(model, context)
        student = shrink(model, selection)
        reconstruct_(student, model, selection, batches[:2], rows=ROWS)
        found = psnr(images_of(student, batches[2:]), images_of(model, batches[2:])).mean()
        return widths_of(student), float(found)

    assert UNSEEN == 4
    (uniform, before), (allocated, after) = quality("uniform"), quality("allocation")
    assert after >= before
    assert context.budget.allows(cost(allocated))
    assert quality("allocation") == (allocated, after)
    assert allocated != uniform or after == before


@pytest.mark.parametrize(("option", "least"), [("candidates", 1), ("images", 2)])
def test_numbers_that_are_too_small_are_refused(option: str, least: int) -> None:
    with pytest.raises(ValueError, match=f"{option}={least - 1}: the least is {least}"):
        make_method("allocation", {option: least - 1})
