"""Widths within a budget: never above it, and exactly the largest that the rule allows."""

import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.core.spec import Spec
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet
from pocketgan.pruning.allocation import (
    best_channels,
    floor_widths,
    threshold_at,
    threshold_widths,
    uniform_widths,
    width_rounder,
)
from pocketgan.pruning.budget import Budget
from pocketgan.pruning.importance import Scores
from pocketgan.pruning.selection import shrink
from zoo import EXAMPLES

NETS: dict[str, Spec] = {
    "resnet": resnet(6, blocks=2),
    "mobile": mobile_resnet(5, blocks=2),
    "unet": unet(4, depth=4),
    "primes": EXAMPLES["resnet"]["batch"],
    "uneven unet": EXAMPLES["unet"]["depth-3-instance"],
}
MODELS = {name: spec.build() for name, spec in NETS.items()}
COSTS = {name: CostModel(model, 32) for name, model in MODELS.items()}
KINDS = st.sampled_from(["macs", "macs_paper", "params"])


def random_scores(model: nn.Module, seed: int) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    return {group: torch.rand(width, generator=generator).double() for group, width in widths_of(model).items()}


def chosen(name: str, budget: Budget, how: str, multiple: int, seed: int) -> dict[str, int]:
    model, cost = MODELS[name], COSTS[name]
    if how == "uniform":
        return uniform_widths(model, budget, cost, multiple=multiple)
    least = 0.0 if how == "free" else 0.5
    return threshold_widths(model, random_scores(model, seed), budget, cost, multiple=multiple, least=least)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    name=st.sampled_from(list(NETS)),
    kind=KINDS,
    part=st.floats(0.0, 1.0),
    how=st.sampled_from(["uniform", "half", "free"]),
    multiple=st.sampled_from([1, 4, 8]),
    seed=st.integers(0, 999),
)
def test_the_limit_is_never_exceeded(name: str, kind: str, part: float, how: str, multiple: int, seed: int) -> None:
    model, cost = MODELS[name], COSTS[name]
    floor = floor_widths(model, multiple=multiple, removing=how == "free")
    low, high = getattr(cost(floor), kind), getattr(cost(), kind)
    budget = Budget("", kind, low + int(part * (high - low - 1)))
    widths = chosen(name, budget, how, multiple, seed)
    assert budget.allows(cost(widths))
    whole, removable = widths_of(model), removable_groups(model)
    for group, width in widths.items():
        assert floor[group] <= width <= whole[group]
        assert width % multiple == 0 or width == whole[group]
        assert width > 0 or how == "free"
    assert {group for group, width in widths.items() if width == 0} <= removable | {g for g in whole if g.startswith("down")}
    budget_of_floor = Budget("", kind, low - 1)
    with pytest.raises(ValueError, match=f"below the floor: .* still has {low:,} "):
        chosen(name, budget_of_floor, how, multiple, seed)


@settings(max_examples=5, deadline=None, derandomize=True, database=None)
@given(
    arch=st.sampled_from(["resnet", "unet"]),
    kind=st.sampled_from(["macs", "params"]),
    ratio=st.floats(2, 25),
    seed=st.integers(0, 99),
)
def test_wide_networks_use_the_budget(arch: str, kind: str, ratio: float, seed: int) -> None:
    """At published widths a channel costs little, so a threshold uses 95 to 100 per cent."""
    model, cost = WIDE[arch]
    budget = Budget("", kind, int(getattr(cost(), kind) / ratio))
    scores = random_scores(model, seed)
    for least in (0.0, 0.5):
        reached = budget.of(cost(threshold_widths(model, scores, budget, cost, least=least)))
        assert 0.95 * budget.limit <= reached <= budget.limit


def wide(spec: Spec) -> tuple[nn.Module, CostModel]:
    model = spec.build(device="meta")
    return model, CostModel(model, 256)


WIDE = {"resnet": wide(resnet(64, blocks=9)), "unet": wide(unet(64, depth=8))}


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(part=st.floats(0, 1), kind=KINDS, multiple=st.sampled_from([1, 2, 4]), name=st.sampled_from(["primes", "uneven unet"]))
def test_the_uniform_factor_is_the_best_one(part: float, kind: str, multiple: int, name: str) -> None:
    """Brute force over every factor at which any width changes, in exact arithmetic."""
    model, cost = MODELS[name], COSTS[name]
    whole = widths_of(model)
    low = getattr(cost(floor_widths(model, multiple=multiple, removing=False)), kind)
    budget = Budget("", kind, low + int(part * (getattr(cost(), kind) - low)))
    best = -1
    for factor in sorted({Fraction(kept, width) for width in whole.values() for kept in range(width + 1)}):
        wanted = {group: max(1, int(factor * width)) for group, width in whole.items()}
        widths = {g: min(whole[g], -(-w // multiple) * multiple) for g, w in wanted.items()}
        if budget.allows(cost(widths)):
            best = max(best, budget.of(cost(widths)))
    assert budget.of(cost(uniform_widths(model, budget, cost, multiple=multiple))) == best


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 999), part=st.floats(0, 1), kind=KINDS, least=st.sampled_from([0.0, 0.5]))
def test_the_threshold_is_the_best_one(seed: int, part: float, kind: str, least: float) -> None:
    """Brute force over every possible threshold on a tiny network: channels above it stay, and those at the floor."""
    model, cost = MODELS["primes"], COSTS["primes"]
    scores, whole = random_scores(model, seed), widths_of(model)
    floor = floor_widths(model, removing=least == 0)
    low = getattr(cost(floor), kind)
    budget = Budget("", kind, low + int(part * (getattr(cost(), kind) - low)))
    if least:
        uniform = uniform_widths(model, budget, cost)
        floor = {group: max(1, int(least * width)) for group, width in uniform.items()}
    best = -1
    for threshold in [2.0, *(float(value) for values in scores.values() for value in values)]:
        kept = {group: max(floor[group], int((scores[group] >= threshold).sum())) for group in whole}
        if budget.allows(cost(kept)):
            best = max(best, budget.of(cost(kept)))
    assert budget.of(cost(threshold_widths(model, scores, budget, cost, least=least))) == best


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_the_quick_threshold_lies_between_the_last_channel_within_the_budget_and_the_next(part: float) -> None:
    model, cost = MODELS["primes"], COSTS["primes"]
    scores, budget = random_scores(model, 3), Budget("", "macs", int(part * COSTS["primes"]().macs))
    threshold = threshold_at(scores, budget, cost)

    def cost_above(bound: float) -> int:
        return cost({group: max(1, int((values >= bound).sum())) for group, values in scores.items()}).macs

    ordered = sorted((float(value) for values in scores.values() for value in values), reverse=True)
    count = sum(value > threshold for value in ordered)
    assert threshold == pytest.approx((ordered[count - 1] + ordered[count]) / 2, abs=1e-12)
    assert cost_above(ordered[count - 1]) <= budget.limit < cost_above(ordered[count])


def test_ties_are_broken_channel_by_channel() -> None:
    """With equal scores everywhere the budget is still met to within one channel."""
    model, cost = MODELS["resnet"], COSTS["resnet"]
    scores = {group: torch.ones(width).double() for group, width in widths_of(model).items()}
    budget = Budget("", "params", cost().params // 3)
    reached = cost(threshold_widths(model, scores, budget, cost)).params
    largest_channel = max(
        cost().params - cost({group: width - 1}).params for group, width in widths_of(model).items() if width > 1
    )
    assert budget.limit - largest_channel < reached <= budget.limit


def test_no_group_falls_below_its_part_of_the_uniform_width() -> None:
    model, cost = MODELS["resnet"], COSTS["resnet"]
    budget = Budget("", "macs", cost().macs // 4)
    scores = random_scores(model, 0) | {"block0": torch.zeros(24).double()}
    uniform = uniform_widths(model, budget, cost)
    assert threshold_widths(model, scores, budget, cost, least=0.5)["block0"] == uniform["block0"] // 2
    assert threshold_widths(model, scores, budget, cost, least=0.0)["block0"] == 0


@pytest.mark.parametrize("name", ["resnet", "unet"])
def test_whole_branches_can_be_removed_and_the_rest_runs(name: str) -> None:
    model, cost = MODELS[name], COSTS[name]
    removed = {"resnet": ("block1",), "unet": ("up3", "down4", "up4")}[name]
    scores = random_scores(model, 1)
    scores |= {group: values * 1e-9 for group, values in scores.items() if group in removed}
    budget = Budget("", "macs", cost().macs // 3)
    widths = threshold_widths(model, scores, budget, cost, least=0.0)
    assert all(widths[group] == 0 for group in removed)
    small = shrink(model, best_channels(scores, widths)).eval()
    assert widths_of(small) == widths
    assert small(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    assert CostModel(small, 32)() == cost(widths)
    assert budget.allows(cost(widths))


@pytest.mark.parametrize(("multiple", "expected"), [(1, 3), (4, 4), (8, 8), (16, 13)])
def test_widths_are_rounded_up_to_a_multiple_but_never_above_the_full_width(multiple: int, expected: int) -> None:
    model = MODELS["primes"]
    assert widths_of(model)["block0"] == 13
    wanted = widths_of(model) | {"block0": 3}
    round_up, keep = width_rounder(model, multiple=multiple), width_rounder(model, multiple=multiple, removing=False)
    assert round_up(wanted)["block0"] == expected
    assert round_up(wanted | {"block0": 0})["block0"] == 0
    assert keep(wanted | {"block0": 0})["block0"] == min(multiple, 13)
    assert width_rounder(model, multiple=multiple, absent=("block0",))(wanted)["block0"] == 0


@given(scores=st.lists(st.integers(0, 99), min_size=1, max_size=9, unique=True), data=st.data())
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_the_best_channels_have_the_highest_scores_and_their_old_order(scores: list[int], data: st.DataObject) -> None:
    width = data.draw(st.integers(0, len(scores)))
    (kept,) = best_channels({"g": torch.tensor(scores).double()}, {"g": width}).values()
    ways = itertools.combinations(range(len(scores)), width)
    assert tuple(kept.tolist()) == max(ways, key=lambda way: sum(scores[i] for i in way))
