import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from test_report_page import page_of

from pocketgan.report.curves import COLUMNS, Distribution, Series, histories
from pocketgan.report.figures import SHADES, Point, curve_figure, distribution_figure, pareto_figure, shade
from pocketgan.report.read import read_runs
from pocketgan.report.searches import pruning_rates, search_views, shared_costs

MakeRun = Callable[..., Path]
COSTS = {10: 400, 20: 300, 30: 90, 40: 95}
CLOSED = {"stem.conv": 0.25, "block0.a.conv": 0.5, "block0.b.conv.pointwise": 1.0, "up1": 0.0}


def facts(cost: float = 400, **changes: Any) -> dict[str, Any]:
    masks = [3, 0, 1, 4]
    known = {"kind": "macs", "cost": cost, "budget": 100, "boundary": 0.5, "strength": 0.01, "masks": masks, "closed": CLOSED}
    return known | changes


def entry(step: object, **generators: object) -> dict[str, Any]:
    return {"stage": "search", "step": step, "losses": {"G": 1.0}, "search": generators}


def searched(run: Path, *entries: dict[str, Any]) -> Path:
    with open(run / "log.jsonl", "a") as log:
        log.writelines(json.dumps(one) + "\n" for one in entries)
    return run


def usual(run: Path) -> Path:
    return searched(run, *(entry(step, G=facts(cost)) for step, cost in COSTS.items()))


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def corners(svg: str, within: str) -> list[list[tuple[float, float]]]:
    """Corners of every box in the group with the id ``within``."""
    (group,) = re.findall(rf'<g id="{within}">(.*?)</g>', svg, flags=re.S)
    return [points(part) for path in re.findall(r' d="([^"]*)"', group) for part in path.split("M")[1:]]


def area(svg: str, within: str) -> float:
    sides = [tuple(zip(*box, strict=True)) for box in corners(svg, within)]
    return sum((max(x) - min(x)) * (max(y) - min(y)) for x, y in sides)


def lines(svg: str) -> list[list[tuple[float, float]]]:
    """Dashed and dotted rules, then curves, as points of the SVG; without the grid."""
    found = re.findall(r'<path d="([^"]*)" clip-path="[^"]*" style="[^"]*var\(--(?:c\d|muted)\)', svg)
    return [points(path) for path in found]


def test_history_by_hand() -> None:
    log = [
        {"stage": "train", "step": 1, "search": {"G": facts(1)}},
        *(entry(step, G=facts(cost)) for step, cost in COSTS.items()),
        entry(20, G=facts(310, strength=0.5)),  # a resumed run: the later entry counts
        {"stage": "recover", "step": 5, "search": {"G": facts(1)}},
    ]
    (history,) = histories(log)
    assert (history.generator, history.kind, history.budget, history.met) == ("G", "macs", 100.0, 30)
    assert history.curves["cost"] == Series(False, [10, 20, 30, 40], [400.0, 310.0, 90.0, 95.0])
    assert history.curves["strength"].values == [0.01, 0.5, 0.01, 0.01]
    assert history.closed == CLOSED
    assert history.distribution == Distribution("masks", 1.0, (10, 20, 30, 40), ((3 / 8, 0.0, 1 / 8, 4 / 8),) * 4)


@pytest.mark.parametrize(("costs", "met"), [([300, 200], None), ([100, 300], 0), ([101, 100], 1), ([], None)])
def test_the_step_at_which_the_budget_is_met(costs: list[int], met: int | None) -> None:
    found = histories(entry(step, G=facts(cost)) for step, cost in enumerate(costs))
    assert [one.met for one in found] == ([met] if costs else [])


def test_shares_sum_to_one_in_each_column() -> None:
    log = [entry(step, G={"scales": [step, 2 * step + 1, 0, 7]}) for step in range(500)]
    (history,) = histories(log)
    distribution = history.distribution
    assert distribution is not None
    assert (distribution.of, distribution.top, distribution.steps[0], distribution.steps[-1]) == ("scales", 2.0, 0, 499)
    assert len(distribution.steps) == len(distribution.shares) == COLUMNS
    assert [sum(column) for column in distribution.shares] == pytest.approx([1.0] * COLUMNS)
    step = distribution.steps[7]
    assert distribution.shares[7] == pytest.approx([count / (3 * step + 8) for count in (step, 2 * step + 1, 0, 7)])


def test_shades_are_proportional_to_the_square_root() -> None:
    assert [shade(share) for share in (0.0, 1e-9, 0.25, 1.0)] == [0, 1, SHADES // 2, SHADES]


def test_area_of_each_shade_of_a_heat_map() -> None:
    columns = ((1.0, 0.0), (0.25, 0.75), (0.25, 0.75), (0.0, 1.0))
    svg = distribution_figure(Distribution("masks", 1.0, (10, 20, 30, 40), columns), color=3, moment=None, name="x")
    cell = area(svg, f"x-map-shade{SHADES}") / 2
    assert [area(svg, f"x-map-shade{shade(share)}") / cell for share in (0.25, 0.75)] == pytest.approx([2, 2], rel=1e-4)
    assert len(re.findall(r'id="x-map-shade', svg)) == 3
    first, last = sorted(corners(svg, f"x-map-shade{SHADES}"))
    assert first[0][0] < last[0][0]  # closed at first, open at the end:
    assert first[0][1] > last[0][1]  # below at the left, above at the right
    assert "var(--c3)" in svg


def test_costs_of_a_wide_span_are_logarithmic_with_rules_through_the_mark() -> None:
    falling = Series(False, [0, 10, 20], [800.0, 400.0, 100.0])
    svg = curve_figure([(falling, 0)], name="x", levels=[100.0], marks=[Point(20, 100.0, 0)], moment=20, ratio=2.0)
    level, moment, curve = lines(svg)
    first, second = (b[1] - a[1] for a, b in pairwise(curve))
    assert second == pytest.approx(2 * first, rel=1e-4)  # a quarter is as far as two halves
    assert [point[1] for point in level] == pytest.approx([curve[-1][1]] * 2)
    assert [point[0] for point in moment] == pytest.approx([curve[-1][0]] * 2)
    (dot,) = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*var\(--c0\)', svg)[-1:]
    assert tuple(map(float, dot)) == pytest.approx(curve[-1])


def test_costs_of_a_narrow_span_are_linear() -> None:
    slow = Series(False, [0, 10, 20], [180.0, 160.0, 100.0])
    _, curve = lines(curve_figure([(slow, 0)], name="x", levels=[100.0], ratio=2.0))
    first, second = (b[1] - a[1] for a, b in pairwise(curve))
    assert second == pytest.approx(3 * first, rel=1e-4)
    assert first > 10


def test_rates_have_short_names_in_the_order_of_the_network() -> None:
    expected = {"stem": 0.25, "block0.a": 0.5, "block0.b.conv": 1.0, "up1": 0.0}
    assert list(pruning_rates(CLOSED, ()).items()) == list(expected.items())
    unet = {"down1.conv": 0.1, "down2.conv": 0.2, "up2.conv": 0.4, "up3.conv": 0.3}
    groups = ("down1", "down2", "up3", "up2")
    assert list(pruning_rates(unet, groups).values()) == [0.1, 0.2, 0.3, 0.4]
    assert list(pruning_rates(unet, groups[:3]).values()) == [0.1, 0.2, 0.4, 0.3]  # not all of them are known
    assert list(pruning_rates({"a.conv": 0, "a.pointwise": 0, ".conv": 0}, ())) == [
        "a.conv",
        "a.pointwise",
        ".conv",
    ]


def test_page_shows_the_search(make_run: MakeRun) -> None:
    page = page_of(usual(make_run()))
    bars = [given["style"] for tag, given in page.tags if tag == "li" and "--part" in given.get("style", "")]
    assert bars == ["--part: 25.00%", "--part: 50.00%", "--part: 100.00%", "--part: 0.00%"]
    assert sorted(page.values[-4:]) == sorted(CLOSED.values())
    assert "the budget of 100. The budget was met and the masks froze by step 30" in " ".join(page.text.split())
    for title in ("MACs, exact", "Masks", "Boundary", "Strength", "Pruning rate of each layer", "block0.a"):
        assert title in page.text
    assert "Scales" not in page.text


def test_facts_that_a_method_does_not_log_are_left_out(make_run: MakeRun) -> None:
    slimming = searched(make_run("a"), *(entry(step, G={"scales": [1, 2, 1]}) for step in (10, 20)))
    sss = {"kind": "params", "cost": 150, "budget": 100, "strength": 0.1, "zeros": 0.2, "scales": [1, 2, 1]}
    sss_run = searched(make_run("b"), *(entry(step, G=sss) for step in (10, 20)))
    (first,), (second,) = (search_views(run, color=0, name="x") for run in read_runs([slimming, sss_run]))
    assert ([panel.title for panel in first["large"]], first["small"], first["rates"]) == (["Scales"], [], {})
    assert [panel.title for panel in second["large"] + second["small"]] == ["Parameters", "Scales", "Strength", "Zeros"]
    assert "Up to step 20 the budget is not met" in second["large"][0].caption
    assert "<h2>Search</h2>" not in page_of(make_run("c")).source


def test_largest_and_smallest_network_have_a_curve_each(make_run: MakeRun) -> None:
    run = searched(
        make_run("a"), *(entry(step, G={"largest": 1 / step, "smallest": 2 / step} if step % 20 else {}) for step in COSTS)
    )
    (view,) = search_views(read_runs([run])[0], color=0, name="x")
    assert [panel.title for panel in view["small"]] == ["Largest", "Smallest"]
    assert view["large"] == []


def test_runs_share_a_plot_of_their_costs(make_run: MakeRun) -> None:
    runs = [usual(make_run("a")), usual(make_run("b", seed=1)), make_run("c")]
    other = searched(make_run("d"), entry(10, G=facts(kind="params")))
    (panel,) = shared_costs(read_runs([*runs, other]), [0, 1, 2, 3])
    assert panel.title == "MACs, exact"
    drawn = set(re.findall(r"var\(--c\d\)", panel.svg))
    assert drawn == {"var(--c0)", "var(--c1)"}
    assert shared_costs(read_runs([*runs[1:], other]), [0, 1, 2]) == []


def test_page_of_several_runs_is_self_contained_and_reproducible(make_run: MakeRun) -> None:
    runs = [usual(make_run("a", steps=3)), usual(make_run("b", seed=1, steps=3))]
    page = page_of(*runs)
    assert page.source.count("<h2>Search</h2>") == 3  # of all, and of the two
    assert not re.findall(r"https?:|url\((?!#)|@import", page.source)
    for tag, given in page.tags:
        assert tag not in {"link", "iframe", "object", "embed"}
        references = [given[key] for key in ("src", "href", "xlink:href") if key in given]
        assert all(reference.startswith(("data:image/png;base64,", "#")) for reference in references)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page_of(*runs).source == page.source


def test_both_generators_have_a_section_each(make_run: MakeRun) -> None:
    run = searched(make_run(), *(entry(s, G_A=facts(c), G_B=facts(c, budget=300)) for s, c in COSTS.items()))
    page = page_of(run)
    assert page.source.count("<h3>G_A</h3>") == page.source.count("<h3>G_B</h3>") == 1
    assert "froze by step 30" in page.text
    assert "froze by step 20" in page.text
    assert len(page.ids) == len(set(page.ids))


def test_hostile_names_of_layers_are_text(make_run: MakeRun) -> None:
    evil = '"><script>alert(1)</script>'
    run = searched(make_run(), entry(10, **{evil: facts(kind=evil, closed={evil: 0.5}), "G": facts()}))
    page = page_of(run)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert page.text.count(evil) == 3


STRANGE = [None, [], {}, "text", float("nan"), True, [None, "a"], [0, 0], {"x": 3}, 10**400]


@pytest.mark.parametrize("key", ["kind", "cost", "budget", "boundary", "strength", "masks", "closed"])
def test_a_fact_of_another_type_does_not_hide_the_others(key: str) -> None:
    for value in STRANGE:
        (history,) = histories(entry(step, G=facts(cost) | {key: value}) for step, cost in COSTS.items())
        known = [*history.curves, *(["masks"] if history.distribution else []), *(["closed"] if history.closed else [])]
        assert set(known) == {"cost", "boundary", "strength", "masks", "closed"} - {key}
        assert history.met == (None if key in {"cost", "budget"} else 30)


def test_a_page_with_strange_facts_and_steps_shows_the_rest(make_run: MakeRun) -> None:
    values = [*STRANGE, -1, 0, 9e299, 1e308, [9e299, 9e299]]
    strange = {f"S{i}": dict.fromkeys(facts(), value) for i, value in enumerate(values)}
    entries = [entry(step, A=facts(cost), **strange) for step, cost in COSTS.items()]
    entries += [entry(step, B=facts(90 if step == 20 else 400)) for step in (-5, 9e299, 1e308, 10**400, 10, 20)]
    run = searched(make_run(steps=0), *entries)
    with open(run / "log.jsonl", "a") as log:
        log.write(json.dumps(entry(50, A=facts()))[:100])
    page = page_of(run)
    assert "1 of 11 lines of log.jsonl cannot be read" in page.text
    assert "froze by step 30" in page.text
    assert "froze by step 20" in page.text
    assert "Pruning rate of each layer" in page.text


@pytest.mark.parametrize("search", [None, 3, [], "G", {"G": None}, {"G": [1]}, {"G": {}}, {"G": {"cost": "1"}}])
def test_a_search_of_another_type_is_left_out(search: object) -> None:
    assert histories([{"stage": "search", "step": 3, "search": search}, entry("x", G=facts())]) == []


def test_columns_of_another_length_are_left_out() -> None:
    log = [entry(1, G={"masks": [1, 1]}), entry(2, G={"masks": [1, 0, 1]}), entry(3, G={"masks": [0, 0, 2]})]
    (history,) = histories(log)
    assert history.distribution == Distribution("masks", 1.0, (2, 3), ((0.5, 0.0, 0.5), (0.0, 0.0, 1.0)))


def test_a_search_of_one_step_is_drawn(make_run: MakeRun) -> None:
    page = page_of(searched(make_run(steps=0), entry(7, G=facts())))
    assert "Up to step 7 the budget is not met" in page.text
    assert page.source.count("-map-shade") == 3


@pytest.mark.parametrize("higher", [True, False])
def test_better_is_up_and_the_front_joins_the_undominated(higher: bool) -> None:
    """Costs 1 and 2 are on a linear axis; the third student is dominated by the second."""
    values = (1.0, 4.0, 2.0) if higher else (4.0, 1.0, 3.0)
    students = [Point(cost, value, color) for color, (cost, value) in enumerate(zip((1.0, 1.5, 2.0), values, strict=True))]
    svg = pareto_figure(students, [], cost_text=str, higher_is_better=higher, name="x")
    found = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*var\(--c(\d)\)', svg)
    dots = {int(color): (float(x), float(y)) for x, y, color in found}
    assert dots[0][0] < dots[1][0] < dots[2][0]
    assert dots[1][1] < dots[2][1] < dots[0][1]  # the best is at the top, where y is smallest
    (front,) = lines(svg)
    assert front == [pytest.approx(point) for point in (dots[0], (dots[1][0], dots[0][1]), dots[1])]
