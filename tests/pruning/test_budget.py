"""Budgets: every form, refusals, and the floor."""

import pytest

from pocketgan.metrics.cost import Cost, CostModel
from pocketgan.models import resnet
from pocketgan.pruning.allocation import floor_widths
from pocketgan.pruning.budget import Budget, check_floor, parse_budget

TEACHER = Cost(params=11_378_179, macs=49_553_604_608, macs_paper=56_800_000_000)


@pytest.mark.parametrize(
    ("text", "kind", "limit"),
    [
        ("2.6G", "macs", 2_600_000_000),
        ("300M", "macs", 300_000_000),
        ("5k", "macs", 5_000),
        ("5K", "macs", 5_000),
        ("0.01T", "macs", 10_000_000_000),
        ("123456", "macs", 123_456),
        ("2.6Gpaper", "macs_paper", 2_600_000_000),
        ("0.5Mparams", "params", 500_000),
        ("700params", "params", 700),
        ("12x", "macs", 4_129_467_050),
        ("1.5x", "macs", 33_035_736_405),
        (" 10x ", "macs", 4_955_360_460),
    ],
)
def test_every_form(text: str, kind: str, limit: int) -> None:
    assert parse_budget(text, TEACHER) == Budget(text, kind, limit)


@pytest.mark.parametrize("text", ["", "small", "2,6G", "-3G", "10x10", "x", "G", "2.6g", "2.6 G", "1e9", "10 x", "5MB"])
def test_other_forms_are_refused_with_the_right_ones(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_budget(text, TEACHER)
    assert str(caught.value) == (
        f"budget '{text}' is not understood; write it like 2.6G (exact MACs), 2.6Gpaper (the literature's count), "
        "0.5Mparams, 12x (ratio of exact MACs)"
    )


@pytest.mark.parametrize("text", ["1x", "0.5x", "0x"])
def test_a_ratio_makes_it_smaller(text: str) -> None:
    with pytest.raises(ValueError, match="a ratio is above 1, for example 10x"):
        parse_budget(text, TEACHER)


def test_milliseconds_are_refused() -> None:
    with pytest.raises(ValueError, match="'25ms': no method here searches by latency yet"):
        parse_budget("25ms", TEACHER)


@pytest.mark.parametrize("text", ["50G", "56.8Gpaper", "12Mparams"])
def test_a_budget_that_the_teacher_meets(text: str) -> None:
    with pytest.raises(ValueError, match=r"the teacher has [\d,]+ \w+, it is within that already"):
        parse_budget(text, TEACHER)


def test_the_limit_itself_is_allowed() -> None:
    budget = Budget("100", "macs", 100)
    assert budget.allows(Cost(10**9, 100, 10**9))
    assert not budget.allows(Cost(0, 101, 0))


def test_the_floor_is_named_and_can_be_asked_for() -> None:
    model = resnet(4, blocks=2).build()
    cost, floor = CostModel(model, 16), floor_widths(model)
    least = cost(floor).macs
    with pytest.raises(ValueError) as caught:
        check_floor(parse_budget(str(least - 1), cost()), cost, floor)
    assert str(caught.value) == (
        f"budget '{least - 1}' ({least - 1:,} macs) is below the floor: with every group at its least width the network still "
        f"has {least:,} ({cost().macs / least:.1f}x fewer than now); ask for at least that"
    )
    check_floor(parse_budget(str(least), cost()), cost, floor)
