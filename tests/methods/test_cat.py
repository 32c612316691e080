"""CAT's threshold: within the budget and close to it, exact, and the built network has the counted cost."""

import pytest
import torch
from torch import Tensor, nn

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.methods import MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import inception, inception_spade, mobile_resnet, resnet, spade, unet
from pocketgan.pruning.allocation import threshold_widths, width_rounder
from pocketgan.pruning.budget import Budget, parse_budget
from pocketgan.pruning.scales import first_scales
from pocketgan.pruning.selection import shrink
from zoo import EXAMPLES, example_input, randomized

TINY = inception(4, blocks=2, kernels=(1, 3), factor=3)
STREET = inception_spade(4, in_channels=3, upsamplings=5, kernels=(1,), factor=8)
LED = inception_spade(2, in_channels=3, upsamplings=5, kernels=(1,), factor=4)
CAT = make_method("cat", {})


def make_context(model: nn.Module, budget: str | Budget, size: int = 32, multiple: int = 1) -> MethodContext:
    cost = CostModel(model, size)
    channels = model.in_channels
    images = torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(0))
    limit = parse_budget(budget, cost()) if isinstance(budget, str) else budget
    return MethodContext(limit, cost, multiple, lambda: [images])


def selected(model: nn.Module, context: MethodContext) -> nn.Module:
    small = shrink(model, CAT.select(model, context))
    assert context.budget.allows(CostModel(small, context.cost.size)())
    return small


def set_scales_(model: nn.Module, value: float, groups: tuple[str, ...] = ("",)) -> None:
    """Set the scales of the groups whose names have one of these prefixes."""
    with torch.no_grad():
        for name, module in model.named_modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter) and weight.ndim == 1 and name.replace(".branches.", "_").startswith(groups):
                weight.fill_(value)


@pytest.fixture(scope="module")
def wide() -> tuple[nn.Module, CostModel]:
    """Published teacher, at 256 x 256."""
    model = inception(64, norm="batch").build(device="meta")
    return model, CostModel(model, 256)


def random_scores(model: nn.Module, seed: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {group: torch.rand(width, generator=rng).double() for group, width in widths_of(model).items()}


@pytest.mark.parametrize("budget", ["2.6Gpaper", "4.6Gpaper", "5.6Gpaper"])
def test_published_budgets_are_met_to_three_per_cent(wide: tuple[nn.Module, CostModel], budget: str) -> None:
    model, cost = wide
    limit = parse_budget(budget, cost())
    protected = CAT.protected_widths(model)  # type: ignore[attr-defined]
    assert [protected[group] for group in ("stem", "down1", "trunk", "block0_res1", "up1", "up2")] == [16, 16, 16, 0, 16, 16]
    widths = threshold_widths(model, random_scores(model, 0), limit, cost, protected=protected, use=0.97)
    assert 0.97 * limit.limit <= limit.of(cost(widths)) <= limit.limit
    assert all(width >= protected[group] for group, width in widths.items())


def test_almost_equal_scales_meet_the_budget(wide: tuple[nn.Module, CostModel]) -> None:
    """The released code keeps all equal scales: 13.3 G of a budget of 2.6 G."""
    model, cost = wide
    scores = {group: torch.ones(width).double() for group, width in widths_of(model).items()}
    scores["stem"][3] = 2.0
    limit = parse_budget("2.6Gpaper", cost())
    widths = threshold_widths(model, scores, limit, cost, protected=CAT.protected_widths(model), use=0.97)  # type: ignore[attr-defined]
    assert 0.97 * limit.limit <= limit.of(cost(widths)) <= limit.limit


@pytest.mark.parametrize("spec", [TINY, LED], ids=["inception", "inception-spade"])
def test_a_larger_budget_keeps_all_channels_of_a_smaller_one(spec: Spec) -> None:
    """Without the use of the remaining budget: one threshold, which falls as the budget grows."""
    model = randomized(spec)
    cost, scores, before = CostModel(model, 32), first_scales(model), None
    for part in (0.2, 0.35, 0.6, 0.9):
        budget = Budget("", "macs", int(part * cost().macs))
        widths = threshold_widths(model, scores, budget, cost, tied=spec.tied_groups)
        assert before is None or all(widths[group] >= width for group, width in before.items())
        before = widths


@pytest.mark.parametrize(("spec", "part"), [(TINY, 0.25), (LED, 0.6)], ids=["free", "tied"])
def test_the_threshold_is_the_best_of_all_thresholds(spec: Spec, part: float) -> None:
    """By brute force over the scales themselves."""
    model = randomized(spec)
    cost, scores, whole, at = CostModel(model, 32), first_scales(model), widths_of(model), width_rounder(model)
    protected, budget = CAT.protected_widths(model), Budget("", "macs", int(part * cost().macs))  # type: ignore[attr-defined]
    best = -1
    for threshold in [9.0, *torch.cat(list(scores.values())).tolist()]:
        kept = {group: max(protected[group], int((scores[group] >= threshold).sum())) for group in scores}
        if spec.tied_groups:  # the trunk in steps of 16, which narrow the last block by one channel of ngf
            kept["trunk"] = max(16, kept["trunk"] // 16 * 16)
            kept |= {follower: whole[follower] * kept["trunk"] // whole["trunk"] for follower in spec.tied_groups}
        macs = cost(at(kept)).macs
        best = max(best, macs if macs <= budget.limit else -1)
    found = threshold_widths(model, scores, budget, cost, protected=protected, tied=spec.tied_groups)
    assert cost(found).macs == best > 0


@pytest.mark.parametrize(("norm", "multiple"), [("instance_affine", 2), ("batch", 1)])
def test_the_built_network_has_the_counted_cost(norm: str, multiple: int) -> None:
    """Channels above the threshold stay, those below are removed, unless they are the protected last ones of a group."""
    model = randomized(inception(4, blocks=2, kernels=(1, 3), factor=3, norm=norm))  # type: ignore[arg-type]
    context = make_context(model, "2x", multiple=multiple)
    kept = CAT.select(model, context)
    small, scores = shrink(model, kept), first_scales(model)
    widths = widths_of(small)
    assert widths == {group: len(kept[group]) for group in widths}
    assert CostModel(small, 32)() == context.cost(widths)
    assert context.budget.allows(context.cost(widths))
    assert torch.isfinite(small(torch.zeros(1, 3, 32, 32))).all()
    for group, values in scores.items():
        rest = torch.ones(len(values), dtype=torch.bool)
        rest[kept[group]] = False
        assert not rest.any() or not len(kept[group]) or values[kept[group]].min() >= values[rest].max()


def test_branches_and_whole_blocks_vanish_with_their_channels() -> None:
    model = randomized(TINY)
    set_scales_(model, 1e-9, ("block0", "block1_dw1"))
    small = selected(model, make_context(model, "2x"))
    widths = widths_of(small)
    assert not any(width for group, width in widths.items() if group.startswith("block0"))
    assert widths["block1_dw1"] == 0 < widths["block1_res3"]
    x = torch.randn(1, widths["trunk"], 4, 4)
    assert small.block0.post is None
    torch.testing.assert_close(small.block0(x) - x, small.block0(0 * x), atol=1e-6, rtol=0)  # the identity plus a constant
    assert list(small.block0.state_dict()) == ["shift.value"]


def test_upsampling_widths_follow_the_trunk() -> None:
    """16, 8, 4, 2 and 1 times one number of channels, as released; branches by their own scales."""
    model = randomized(STREET)
    small = selected(model, make_context(model, "4x"))
    widths = widths_of(small)
    unit = widths["up3"]
    assert [widths[group] / unit for group in ("trunk", "up0", "up1", "up2", "up3")] == [16, 8, 4, 2, 1]
    assert 0 < unit < 4
    assert small(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("spec", [TINY, LED], ids=["inception", "inception-spade"])
def test_the_full_budget_gives_the_teacher_bit_for_bit(spec: Spec) -> None:
    model, x = randomized(spec), example_input(spec)
    small = selected(model, make_context(model, Budget("all", "macs", CostModel(model, 32)().macs)))
    assert torch.equal(small(x), model(x))
    full = model.state_dict()
    assert all(torch.equal(tensor, full[name]) for name, tensor in small.state_dict().items())


def test_only_networks_without_a_scale_for_every_group_are_trained_first() -> None:
    affine = [resnet(4, blocks=1, norm=norm) for norm in ("batch", "instance_affine")]  # type: ignore[arg-type]
    scaled = [TINY, STREET, *affine, EXAMPLES["inception"]["absent-block"]]
    assert [CAT.needs_search(spec.build()) for spec in scaled] == [False] * 5
    none = [inception(4, blocks=1, norm="instance"), resnet(4, blocks=1), mobile_resnet(4, blocks=1), unet(4, depth=3)]
    assert [CAT.needs_search(spec.build()) for spec in (*none, spade(2, upsamplings=5, spectral=False))] == [True] * 5


WITHOUT_SCALES = {
    "resnet": resnet(4, blocks=1),
    "unet": unet(4, depth=3),
    "spade": spade(2, in_channels=3, upsamplings=5, spectral=False),
}


@pytest.mark.parametrize("name", WITHOUT_SCALES)
def test_inserted_scales_are_folded_and_keep_the_image(name: str) -> None:
    model, x = randomized(WITHOUT_SCALES[name]), example_input(WITHOUT_SCALES[name])
    context, before = make_context(model, "2x"), model(x)
    ready = CAT.prepare(model, context)
    learner = CAT.learner(ready, context, steps=5)
    assert learner is not None
    assert learner.losses() == {}
    torch.testing.assert_close(ready(x), before, atol=1e-6, rtol=0)
    learned = learner.scales  # type: ignore[attr-defined]
    assert {id(p) for group in learner.optimizer().param_groups for p in group["params"]} == {id(scale) for scale in learned}  # type: ignore[union-attr]
    with torch.no_grad():
        for index, scale in enumerate(learned):
            scale.mul_(torch.rand(len(scale), generator=torch.Generator().manual_seed(index)) + 0.5)
    scaled = ready(x)
    assert not torch.allclose(scaled, before, atol=1e-2)
    kept = CAT.select(ready, context)
    torch.testing.assert_close(ready(x), scaled, atol=1e-3, rtol=0)
    assert not any("gate" in key for key in ready.state_dict())
    assert context.budget.allows(CostModel(shrink(ready, kept), 32)())


def test_equal_scales_are_refused_before_and_after_the_search() -> None:
    model = randomized(TINY)
    set_scales_(model, 1.0)
    for work in (CAT.select, lambda model, context: CAT.check(model, context, features=False)):
        with pytest.raises(ValueError, match=r"all \d+ scales are 1 and rank no channel: train them first"):
            work(model, make_context(model, "2x"))
    fresh = inception(3, blocks=1, kernels=(1,), norm="instance").build()
    CAT.check(fresh, make_context(fresh, "2x"), features=False)  # the search trains its scales
    with pytest.raises(ValueError, match="rank no channel"):
        CAT.select(CAT.prepare(fresh, make_context(fresh, "2x")), make_context(fresh, "2x"))


@pytest.mark.parametrize("spec", [TINY, LED], ids=["inception", "inception-spade"])
def test_a_budget_below_the_floor_names_it_before_any_work(spec: Spec) -> None:
    """Without branches, at the lower bounds elsewhere; a budget of exactly the floor gives that network."""
    model = randomized(spec)
    cost, least = CostModel(model, 32), {}
    for group, width in spec.widths.items():
        least[group] = 0 if group in spec.optional() else max(1, width // 4)
    if spec.tied_groups:
        least["trunk"] = 16
        least |= {group: spec.widths[group] * 16 // spec.widths["trunk"] for group in spec.tied_groups}
    floor = cost(least).macs
    with pytest.raises(ValueError, match=f"is below the floor: .* still has {floor:,} "):
        CAT.check(model, make_context(model, Budget("tiny", "macs", floor - 1)), features=False)
    exact = make_context(model, Budget("tiny", "macs", floor))
    CAT.check(model, exact, features=False)
    assert CostModel(selected(model, exact), 32)().macs == floor


def test_the_lower_bound_is_an_option() -> None:
    model = randomized(TINY)
    set_scales_(model, 1e-9, ("stem", "up2"))
    method = make_method("cat", {"lower_bound": 2})
    kept = method.select(model, make_context(model, "2x"))
    assert (len(kept["stem"]), len(kept["up2"])) == (2, 2)
    assert len(CAT.select(model, make_context(model, "2x"))["stem"]) == 1
    with pytest.raises(ValueError, match="lower_bound=0: channels, at least 1"):
        make_method("cat", {"lower_bound": 0})
