"""Spaces and configurations against the published values and the closed form of the cost of the ResNet family."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landscape import COST, NETWORK, SPACE, configuration_of, index_of

from pocketgan.metrics.cost import CostModel
from pocketgan.models.resnet import mobile_resnet
from pocketgan.models.unet import unet
from pocketgan.pruning.budget import Budget, parse_budget
from pocketgan.search.published import SPACES, make_space, parse_configuration
from pocketgan.search.space import BudgetedSpace, format_widths, parse_widths

GOLDEN = [
    # configuration, legacy, parameters, exact MACs, paper MACs; None: not published to the last digit
    ("32_32_48_32_48_48_16_16", False, 822_051, 4_055_629_824, 4_993_843_200),
    ("16_16_32_16_16_64_16_24", False, None, None, 2_984_771_584),
    ("16_16_16_48_64_64_24_16", False, None, None, 2_597_322_752),
    ("16_16_32_16_32_32_16_16", False, 356_867, None, 2_546_204_672),
    ("16_16_24_16_32_64_16_24", False, 355_235, None, 2_640_576_512),
    ("24_24_24_32_20_16", False, 341_627, None, 2_670_067_712),
    ("24_24_40_56_24_56_16_40", False, 702_835, None, 4_863_164_416),
    ("32_32_48_32_32_48_24_24", False, 780_819, None, 5_591_531_520),
    ("16_24_48_56_40_48_24_16", False, 886_307, None, 5_451_284_480),
    ("32_32_48_32_64_40_16_32", False, 866_947, None, 5_606_342_656),
    ("32_32_48_32_48_32_16_16", False, 746_211, None, 4_683_202_560),
    ("16_16_40_40_40_64_24_16", False, 719_507, None, 4_569_694_208),
    ("32_32_48_40_32_32_16_16", False, 708_291, None, 4_527_882_240),
]


@pytest.mark.parametrize(("text", "legacy", "params", "macs", "macs_paper"), GOLDEN)
def test_published_configurations_cost_what_was_published(
    text: str, legacy: bool, params: int | None, macs: int | None, macs_paper: int
) -> None:
    cost = COST(parse_configuration(text, NETWORK, legacy=legacy))
    assert cost.macs_paper == macs_paper
    assert params in (None, cost.params)
    assert macs in (None, cost.macs)


def test_the_legacy_form_is_the_edges2shoes_network() -> None:
    legacy, plain = (COST(parse_configuration("32_32_40_48_16_32", NETWORK, legacy=flag)) for flag in (True, False))
    assert [round(legacy.params / 1e6, 3), round(legacy.macs / 1e9, 3), round(legacy.macs_paper / 1e9, 3)] == [
        0.7,
        3.759,
        4.809,
    ]
    assert plain.macs > legacy.macs
    same = [parse_configuration("48_32_40_40_24_32", NETWORK, legacy=flag) for flag in (True, False)]
    assert same[0] == same[1]  # the published remark: here both forms are one network


def closed_form(c: tuple[int, ...], side: int = 256) -> tuple[int, int, int]:
    """Parameters, exact and paper MACs of the nine-block family, written out independently (3 channels in and out)."""
    f, h, q, d = side**2, (side // 2) ** 2, (side // 4) ** 2, 4 * c[2]
    hidden = [4 * k for k in c[3:6] for _ in range(3)]
    conv = 49 * 3 * c[0] * f + 9 * c[0] * 2 * c[1] * h + 9 * 2 * c[1] * d * q + 49 * c[7] * 3 * f
    conv += sum(9 * d + 2 * d * k + 9 * k for k in hidden) * q
    ups = [9 * d * 2 * c[6], 9 * 2 * c[6] * c[7]]
    norms = c[0] * f + 2 * c[1] * h + d * q + sum(2 * d + 2 * k for k in hidden) * q + 2 * c[6] * h + c[7] * f
    params = (49 * 3 + 1) * c[0] + (9 * c[0] + 1) * 2 * c[1] + (18 * c[1] + 1) * d
    params += sum(10 * d + (d + 1) * k + 10 * k + (k + 1) * d for k in hidden)
    params += (9 * d + 1) * 2 * c[6] + (18 * c[6] + 1) * c[7] + (49 * c[7] + 1) * 3
    return params, conv + ups[0] * q + ups[1] * h, conv + ups[0] * h + ups[1] * f + norms


def test_many_configurations_cost_what_the_closed_form_says() -> None:
    table = SPACE.sample(np.random.default_rng(0), 300)
    assert SPACE.costs(table, COST).tolist() == [list(closed_form(tuple(row))) for row in table.tolist()]


SIZES = {"channels-32": 6_561, "channels-48": 5_184, "channels-64-cycleGAN": 390_625, "channels-64-pix2pix": 5_764_801}
RANGES = {"channels-32": (1.421, 4.955), "channels-48": (3.289, 10.603), "channels-64-pix2pix": (1.421, 18.366)}


def test_the_published_spaces() -> None:
    assert {name: make_space(name, NETWORK).size for name in SIZES} == SIZES
    assert set(SIZES) < set(SPACES)
    for name, ends in RANGES.items():
        space = make_space(name, NETWORK)
        costs = [COST(space.widths(end)).macs_paper for end in (space.smallest, space.largest)]
        assert tuple(round(cost / 1e9, 3) for cost in costs) == ends


@pytest.mark.parametrize(
    ("name", "budget", "percent"),
    [
        ("channels-64-cycleGAN", "3Gpaper", 5.03),
        ("channels-64-cycleGAN", "2.6Gpaper", 2.10),
        ("channels-48", "5.7Gpaper", 42.7),
    ],
)
def test_the_share_within_a_budget_is_the_published_one(name: str, budget: str, percent: float) -> None:
    space = make_space(name, NETWORK)
    allowed = BudgetedSpace(space, COST, parse_budget(budget, COST()))
    assert 100 * len(allowed.indices) / space.size == pytest.approx(percent, abs=0.05)
    assert allowed.allows(space.rows(allowed.indices)).all()


@cache
def one_by_one() -> tuple[np.ndarray, list[int]]:
    """Some configurations and their costs."""
    table = np.concatenate([SPACE.sample(np.random.default_rng(0), 50), [SPACE.largest, SPACE.smallest]])
    return table, [COST(SPACE.widths(tuple(row))).macs_paper for row in table.tolist()]


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1), st.floats(1.5e9, 19e9))
def test_allowed_costs_lie_between_a_part_of_the_budget_and_the_budget(use: float, limit: float) -> None:
    """As costed one by one; if the budget is above the cost of the largest configuration, at most that cost is required."""
    budget = Budget("", "macs_paper", int(limit))
    allowed = BudgetedSpace(SPACE, COST, budget, use)
    table, costs = one_by_one()
    least = min(use * budget.limit, COST(SPACE.widths(SPACE.largest)).macs_paper)
    assert allowed.allows(table).tolist() == [least <= cost <= budget.limit for cost in costs]


def test_a_small_space_without_anything_near_the_budget_is_refused() -> None:
    space = make_space("trunk=64,256", NETWORK)
    low = COST(space.widths((64,))).macs_paper
    with pytest.raises(ValueError, match=r"no configuration of the space uses 0.9 to 1 of the budget: give a smaller use"):
        BudgetedSpace(space, COST, Budget("", "macs_paper", int(low * 1.2)), 0.9)
    with pytest.raises(ValueError, match=r"use=1.1: the least part of the budget that is used, from 0 to 1"):
        BudgetedSpace(space, COST, None, 1.1)


def test_a_space_too_large_to_go_through_says_so() -> None:
    spec = unet(ngf=64, depth=8)
    allowed = BudgetedSpace(make_space("parts", spec), CostModel(spec.build(device="meta"), 256), None)
    with pytest.raises(ValueError, match=r"configurations, too many to go through: at most 1e\+09; give the genes fewer"):
        _ = allowed.indices


def test_a_budget_below_the_space_names_its_floor() -> None:
    with pytest.raises(ValueError, match=r"below the floor.*1,420,558,336"):
        BudgetedSpace(SPACE, COST, parse_budget("1.42Gpaper", COST()))
    space = make_space("channels-64-cycleGAN", NETWORK)
    assert BudgetedSpace(space, COST, parse_budget("1.420558336Gpaper", COST())).indices.tolist() == [space.size - 1]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, SPACE.size - 1))
def test_index_configuration_text_and_widths_are_equivalent(index: int) -> None:
    (row,) = SPACE.rows(np.array([index])).tolist()
    configuration = tuple(row)
    assert index_of(configuration) == index
    assert parse_widths(format_widths(configuration)) == configuration
    assert configuration_of(SPACE.widths(configuration)) == configuration
    assert parse_configuration(format_widths(configuration), NETWORK) == SPACE.widths(configuration)


def test_the_enumeration_runs_from_the_largest_to_the_smallest() -> None:
    space = make_space("channels-48", NETWORK)
    rows = [tuple(row) for row in space.rows(np.arange(space.size)).tolist()]
    assert len(set(rows)) == space.size
    assert (rows[0], rows[-1]) == (space.largest, space.smallest)


def test_uniform_draws_reach_every_choice_equally_often() -> None:
    table = SPACE.sample(np.random.default_rng(0), 14_000)
    for column in table.T:
        counts = np.unique(column, return_counts=True)[1]
        assert len(counts) == 7
        assert np.abs(counts - 2_000).max() < 5 * np.sqrt(2_000)


@settings(max_examples=20)
@given(st.tuples(*[st.integers(1, 16)] * 6), st.booleans())
def test_configurations_of_six_genes(values: tuple[int, ...], legacy: bool) -> None:
    network = mobile_resnet(16)
    widths = parse_configuration("_".join(map(str, values)), network, legacy=legacy)
    assert [widths["stem"], widths["down1"], widths["trunk"]] == [values[0], 2 * values[1], 4 * values[2]]
    assert [widths["up1"], widths["up2"]] == [2 * values[4], values[5]]
    assert [widths[f"block{i}"] for i in range(9)] == [4 * values[2 if legacy and i % 3 else 3] for i in range(9)]
    if not legacy:
        eight = "_".join(map(str, (*values[:3], *[values[3]] * 3, *values[4:])))
        assert parse_configuration(eight, network) == widths


def test_the_network_at_a_configuration_costs_what_its_widths_cost() -> None:
    spec = mobile_resnet(8)
    space = make_space("stem=3,5 trunk=8..32:8 block[0-4]=0,7 up1+up2=4,8", spec)
    cost = CostModel(spec.build(device="meta"), 32)
    for configuration in [space.largest, space.smallest, (5, 16, 0, 8)]:
        built = spec.resized(space.widths(configuration)).build(device="meta")
        assert space.costs(np.array([configuration]), cost)[0].tolist() == list(CostModel(built, 32)())


def test_a_space_in_one_line() -> None:
    space = make_space("stem=16,24,32 block*=16..64:8 up1+up2=32", mobile_resnet(64))
    assert space.names == ("stem", "block*", "up1+up2")
    assert space.size == 3 * 7
    widths = space.widths((24, 48, 32))
    assert {widths[f"block{i}"] for i in range(9)} == {48}
    assert (widths["stem"], widths["up1"], widths["up2"], widths["down1"]) == (24, 32, 32, 128)
    assert make_space("down*=4..8:2 up[2-3]=0,8", unet(ngf=8, depth=5)).size == 3 * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chanels-32", r"Did you mean 'channels-32'"),
        ("blok*=16", r"Did you mean 'block"),
        ("stem=65", r"'stem' 65 wide, the network has 64: choices up to 64"),
        ("stem=0,8", r"may not be that narrow; the least is 1"),
        ("stem=8 st*=16", r"'stem' is driven by 2 genes"),
        ("stem=16..8:8", r"holds no width"),
        ("stem=16..32:0", r"holds no width"),
        ("stem=1..999999999:1", r"goes beyond the 64 channels of the widest of these groups"),
        (f"stem={'9' * 5000}", r"is not understood"),
        ("stem=16..32", r"'16..32' in 'stem=16..32' is not understood"),
        ("stem=16 trunk", r"'trunk' is not understood; write group=widths"),
    ],
)
def test_wrong_spaces_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_space(text, mobile_resnet(64))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: parse_widths("64-64"), r"integers joined by _"),
        (lambda: parse_widths("9" * 5000), r"integers joined by _"),
        (lambda: parse_configuration("1_2_3_4_5_6_7", NETWORK), r"8 genes, or 6 with one for all blocks; found 7"),
        (lambda: parse_configuration("65_1_1_1_1_1", NETWORK), r"'stem' 65 wide, the network has 64"),
        (lambda: make_space("channels-48", mobile_resnet(32)), r"choices up to 32 fit"),
        (lambda: make_space("channels-32", unet(ngf=8)), r"groups stem, down1, trunk"),
    ],
)
def test_wrong_configurations_are_refused(act: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()
