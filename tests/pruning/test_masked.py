"""Masks bound to a network: folding changes nothing, masked is pruned, and the landing is in the budget's window."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet
from pocketgan.pruning.budget import Budget
from pocketgan.pruning.gate import Gate, add_gates_, remove_gates_, ungated
from pocketgan.pruning.mask import MaskGate
from pocketgan.pruning.masked import Masks
from pocketgan.pruning.selection import shrink
from zoo import EXAMPLES, example_input, few, randomized, size

FOLDABLE = {
    f"{name}-{variant}": spec
    for name in ("resnet", "mobile-resnet", "unet")
    for variant, spec in EXAMPLES[name].items()
    if getattr(spec, "norm", "") != "instance"
}
"""An instance norm without a scale has nothing to fold into; `affine_norms` gives it one first."""


def masked(model: nn.Module) -> Masks:
    """A mask on every producer, p = 0."""

    def gate(seat: object) -> Gate:
        foldable = getattr(model.get_submodule(seat.module), "weight", None) is not None
        return MaskGate(seat.dim, "quadratic", torch.zeros(seat.dim)) if foldable and not seat.carrier else Gate(seat.dim)

    add_gates_(model, gate)
    model.double()
    return Masks(model)


@torch.no_grad()
def scatter_(masks: Masks, boundary: float, seed: int) -> None:
    """p anywhere: closed, inside the band, open; carriers closed where all producers are."""
    generator = torch.Generator().manual_seed(seed)
    for member in masks.members:
        member.gate.p.uniform_(-1.5 * boundary, 1.5 * boundary, generator=generator)
        member.gate.p[0] = 2.0  # nothing vanishes here
    for member in masks.members:
        member.gate.boundary.fill_(boundary)
    _follow(masks)


def _follow(masks: Masks) -> None:
    kept = masks.kept()
    for carrier in masks.carriers:
        carrier.mask.zero_()
        carrier.mask[kept[carrier.dim.groups[0]]] = 1.0


def cost_of(masks: Masks, spec: Spec) -> CostModel:
    return CostModel(ungated(masks.model).float(), size(spec))


every_foldable = pytest.mark.parametrize("spec", FOLDABLE.values(), ids=FOLDABLE)
anywhere = given(boundary=st.floats(0.05, 1.0), seed=st.integers(0, 999))


@few
@anywhere
@every_foldable
def test_folding_and_landing_keep_the_image(spec: Spec, boundary: float, seed: int) -> None:
    """Below 0 too, where the released fold has the wrong sign; and pruned is masked."""
    model, x = randomized(spec), example_input(spec, dtype=torch.float64)
    masks = masked(model)
    scatter_(masks, boundary, seed)
    cost = cost_of(masks, spec)
    with torch.no_grad():
        soft = model(x)
        budget = Budget("", "macs", cost(masks.widths()).macs)  # exactly what is alive
        alive = masks.alive()
        masks.binarize_to_budget_(budget, cost)
        assert all(torch.equal(alive[group], masks.alive()[group]) for group in alive)
        assert (model(x) - soft).abs().max() < 1e-6
        keep = masks.kept()
        masks.fold_away_()
        remove_gates_(model)
        assert (shrink(model, keep)(x) - soft).abs().max() < 1e-6


@few
@anywhere
@every_foldable
def test_what_leaves_the_band_upwards_does_not_jump(spec: Spec, boundary: float, seed: int) -> None:
    model, x = randomized(spec), example_input(spec, dtype=torch.float64)
    masks = masked(model)
    scatter_(masks, boundary, seed)
    with torch.no_grad():
        for member in masks.members:  # nothing inside the band below 0: that is what would snap shut
            p = member.gate.p
            p[(p <= 0) & (p > -boundary)] *= -1
        before = model(x)
        masks.set_boundary_(0.0)
        assert masks.boundary == 0
        assert (model(x) - before).abs().max() < 1e-6


DEAD = {
    "first conv": (resnet(8, 3, "batch"), ["block1.a"], "block1"),
    "second conv": (resnet(8, 3, "batch"), ["block1.b"], "block1"),
    "affine first conv": (resnet(8, 3, "instance_affine"), ["block0.a"], "block0"),
    "affine second conv": (resnet(8, 3, "instance_affine"), ["block2.b"], "block2"),
    "separable first": (mobile_resnet(8, 3, "batch", depthwise_norm="batch"), ["block1.a"], "block1"),
    "separable second": (mobile_resnet(8, 3, "instance_affine", depthwise_norm="instance_affine"), ["block1.b"], "block1"),
    "level": (unet(8, 5, dropout=0.0), ["up4"], "up4"),
    "innermost": (unet(8, 5, dropout=0.0, norm="instance_affine"), ["up5"], "up5"),
}


@pytest.mark.parametrize("name", DEAD)
def test_a_dead_layer_takes_its_branch_with_it_and_nothing_else(name: str) -> None:
    spec, layers, group = DEAD[name]
    model, x = randomized(spec), torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    masks = masked(model)
    scatter_(masks, 0.5, 3)
    with torch.no_grad():
        for member in masks.members:
            if any(member.name.startswith(layer) for layer in layers):
                member.gate.p.fill_(-1.0)
        _follow(masks)
        soft = model(x)
        cost = CostModel(ungated(model).float(), 32)
        masks.binarize_to_budget_(Budget("", "macs", cost(masks.widths()).macs), cost)
        keep = masks.kept()
        assert len(keep[group]) == 0
        masks.fold_away_()
        remove_gates_(model)
        small = shrink(model, keep)
    assert widths_of(small)[group] == 0
    assert set(dict(small.named_modules())) >= {"block0", "block1", "block2"} or "block" not in group  # names stay
    assert (small(x) - soft).abs().max() < 1e-6


WIDE = {"resnet": resnet(32, 6, "batch"), "mobile": mobile_resnet(48, 6, "instance_affine"), "unet": unet(32, 6)}
BUILT = {name: spec.build() for name, spec in WIDE.items()}


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(
    name=st.sampled_from(list(WIDE)),
    kind=st.sampled_from(["macs", "macs_paper", "params"]),
    ratio=st.floats(2, 20),
    boundary=st.floats(0.01, 1.0),
    least=st.sampled_from([0.0, 0.5]),
    dead=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_landing_is_in_the_window(
    name: str, kind: str, ratio: float, boundary: float, least: float, dead: bool, seed: int
) -> None:
    """95 to 100 per cent, also where a block turns out to add nothing once the threshold is set."""
    model = ungated(BUILT[name])
    masks = masked(model)
    scatter_(masks, boundary, seed)
    if dead:
        with torch.no_grad():
            for member in (m for m in masks.members if m.name.startswith("block1.b")):
                member.gate.p.fill_(-2.0)
    cost = CostModel(ungated(model).float(), 256)
    budget = Budget("", kind, int(getattr(cost(), kind) / ratio))
    masks.binarize_to_budget_(budget, cost, least=least)
    reached = getattr(cost(masks.widths()), kind)
    assert 0.95 * budget.limit <= reached <= budget.limit
    small = shrink(model, masks.kept())
    assert getattr(CostModel(ungated(small).float(), 256)(), kind) == reached
    assert not dead or "block1" not in widths_of(small) or widths_of(small)["block1"] == 0


def test_a_budget_below_the_floor_names_it() -> None:
    masks = masked(ungated(BUILT["resnet"]))
    cost = CostModel(ungated(masks.model).float(), 64)
    with pytest.raises(ValueError, match=r"budget '' .* is below the floor: .* ask for at least that"):
        masks.binarize_to_budget_(Budget("", "params", 100), cost)


def test_a_group_at_its_least_width_is_pushed_no_further_and_does_not_jump() -> None:
    """The per-layer cap: what is left of a layer opens, folded."""
    spec = unet(8, 4, dropout=0.0)
    model, x = randomized(spec), torch.randn(1, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    masks = masked(model)
    scatter_(masks, 0.5, 1)
    with torch.no_grad():
        before, alive = model(x), {group: int(members.any(0).sum()) for group, members in masks.alive().items()}
        masks.freeze_at_minimum_({"down2": alive["down2"], "down3": alive["down3"] - 1})
        assert (model(x) - before).abs().max() < 1e-6
        inside = {m.group: bool((m.gate.p.abs() < 0.5).any()) for m in masks.members}
        assert not inside["down2"]
        assert inside["down3"]


def test_a_shared_channel_stays_if_any_producer_keeps_it() -> None:
    """The union rule over the trunk's producers: the second downsampling and every block."""
    masks = masked(resnet(4, 9, "batch").build())
    trunk = [member for member in masks.members if member.group == "trunk"]
    assert [member.name.split(".")[0] for member in trunk] == ["down2", *(f"block{i}" for i in range(9))]
    assert sum(member.adds for member in trunk) == 9
    with torch.no_grad():
        for index, member in enumerate(trunk):
            member.gate.p.fill_(-2.0)
            member.gate.p[index] = 2.0
    assert masks.kept()["trunk"].tolist() == list(range(10))
