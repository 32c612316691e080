"""Masks of a network: folding changes no output, masked equals pruned, and binarization meets the budget."""

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
from pocketgan.pruning.gate import Gate, GateSite, add_gates_, can_learn, remove_gates_, ungated
from pocketgan.pruning.masks import MaskGate, Masks
from pocketgan.pruning.selection import shrink
from zoo import EXAMPLES, example_input, few, randomized, size

FOLDABLE = {
    f"{name}-{variant}": spec
    for name in ("resnet", "mobile-resnet", "unet")
    for variant, spec in EXAMPLES[name].items()
    if getattr(spec, "norm", "") != "instance"
}
"""Networks whose norms have scales, which the masks are folded into."""


def masked(model: nn.Module) -> Masks:
    """Add a mask to every producer, p = 0."""

    def make_gate(site: GateSite) -> Gate:
        return MaskGate(site.dim, "quadratic", torch.zeros(site.dim)) if can_learn(model, site) else Gate(site.dim)

    add_gates_(model, make_gate)
    model.double()
    return Masks(model)


@torch.no_grad()
def scatter_(masks: Masks, boundary: float, seed: int) -> None:
    """p anywhere: closed, inside the band, open; carriers closed where all producers are."""
    generator = torch.Generator().manual_seed(seed)
    for producer in masks.producers:
        producer.gate.p.uniform_(-1.5 * boundary, 1.5 * boundary, generator=generator)
        producer.gate.p[0] = 2.0  # no group becomes empty
    for producer in masks.producers:
        producer.gate.boundary.fill_(boundary)
    _close_pass_through(masks)


def _close_pass_through(masks: Masks) -> None:
    kept = masks.kept()
    for pass_through in masks.pass_through:
        pass_through.mask.zero_()
        pass_through.mask[kept[pass_through.dim.groups[0]]] = 1.0


def cost_of(masks: Masks, spec: Spec) -> CostModel:
    return CostModel(ungated(masks.model).float(), size(spec))


every_foldable = pytest.mark.parametrize("spec", FOLDABLE.values(), ids=FOLDABLE)
anywhere = given(boundary=st.floats(0.05, 1.0), seed=st.integers(0, 999))


@few
@anywhere
@every_foldable
def test_folding_and_binarizing_keep_the_image(spec: Spec, boundary: float, seed: int) -> None:
    """Also below 0, where the released fold has the wrong sign; and pruned equals masked."""
    model, x = randomized(spec), example_input(spec, dtype=torch.float64)
    masks = masked(model)
    scatter_(masks, boundary, seed)
    cost = cost_of(masks, spec)
    with torch.no_grad():
        soft = model(x)
        budget = Budget("", "macs", cost(masks.widths()).macs)  # exactly the open channels
        opened = masks.open_masks()
        masks.binarize_to_budget_(budget, cost)
        assert all(torch.equal(opened[group], masks.open_masks()[group]) for group in opened)
        assert (model(x) - soft).abs().max() < 1e-6
        keep = masks.kept()
        masks.fold_away_()
        remove_gates_(model)
        assert (shrink(model, keep)(x) - soft).abs().max() < 1e-6


@few
@anywhere
@every_foldable
def test_masks_that_leave_the_band_upwards_change_no_image(spec: Spec, boundary: float, seed: int) -> None:
    model, x = randomized(spec), example_input(spec, dtype=torch.float64)
    masks = masked(model)
    scatter_(masks, boundary, seed)
    with torch.no_grad():
        for producer in masks.producers:  # those inside the band below 0 would close
            p = producer.gate.p
            p[(p <= 0) & (p > -boundary)] *= -1
        before = model(x)
        masks.set_boundary_(0.0)
        assert masks.boundary == 0
        assert (model(x) - before).abs().max() < 1e-6


CLOSED = {
    "first conv": (resnet(8, 3, "batch"), ["block1.a"], "block1"),
    "second conv": (resnet(8, 3, "batch"), ["block1.b"], "block1"),
    "affine first conv": (resnet(8, 3, "instance_affine"), ["block0.a"], "block0"),
    "affine second conv": (resnet(8, 3, "instance_affine"), ["block2.b"], "block2"),
    "separable first": (mobile_resnet(8, 3, "batch", depthwise_norm="batch"), ["block1.a"], "block1"),
    "separable second": (mobile_resnet(8, 3, "instance_affine", depthwise_norm="instance_affine"), ["block1.b"], "block1"),
    "level": (unet(8, 5, dropout=0.0), ["up4"], "up4"),
    "innermost": (unet(8, 5, dropout=0.0, norm="instance_affine"), ["up5"], "up5"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_layer_removes_its_branch_and_nothing_else(name: str) -> None:
    spec, layers, group = CLOSED[name]
    model, x = randomized(spec), torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    masks = masked(model)
    scatter_(masks, 0.5, 3)
    with torch.no_grad():
        for producer in masks.producers:
            if any(producer.name.startswith(layer) for layer in layers):
                producer.gate.p.fill_(-1.0)
        _close_pass_through(masks)
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


WIDE = {"resnet": resnet(32, 3, "batch"), "mobile": mobile_resnet(32, 3, "instance_affine"), "unet": unet(32, 5)}
BUILT = {name: spec.build() for name, spec in WIDE.items()}


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(
    name=st.sampled_from(list(WIDE)),
    kind=st.sampled_from(["macs", "macs_paper", "params"]),
    ratio=st.floats(2, 20),
    boundary=st.floats(0.01, 1.0),
    least=st.sampled_from([0.0, 0.5]),
    closed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_binarization_meets_the_budget(
    name: str, kind: str, ratio: float, boundary: float, least: float, closed: bool, seed: int
) -> None:
    """95 to 100 per cent, also where a block adds nothing once the threshold is set."""
    model = ungated(BUILT[name])
    masks = masked(model)
    scatter_(masks, boundary, seed)
    if closed:
        with torch.no_grad():
            for producer in (m for m in masks.producers if m.name.startswith("block1.b")):
                producer.gate.p.fill_(-2.0)
    cost = CostModel(ungated(model).float(), 256)
    budget = Budget("", kind, int(getattr(cost(), kind) / ratio))
    masks.binarize_to_budget_(budget, cost, least=least)
    reached = getattr(cost(masks.widths()), kind)
    assert 0.95 * budget.limit <= reached <= budget.limit
    small = shrink(model, masks.kept())
    assert getattr(CostModel(ungated(small).float(), 256)(), kind) == reached
    assert not closed or "block1" not in widths_of(small) or widths_of(small)["block1"] == 0


def test_a_budget_below_the_floor_names_it() -> None:
    masks = masked(ungated(BUILT["resnet"]))
    cost = CostModel(ungated(masks.model).float(), 64)
    with pytest.raises(ValueError, match=r"budget '' .* is below the floor: .* ask for at least that"):
        masks.binarize_to_budget_(Budget("", "params", 100), cost)


def test_a_group_at_its_least_width_is_frozen_without_a_jump() -> None:
    """Cap per layer: the remaining masks of the layer open, folded."""
    spec = unet(8, 4, dropout=0.0)
    model, x = randomized(spec), torch.randn(1, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    masks = masked(model)
    scatter_(masks, 0.5, 1)
    with torch.no_grad():
        before, widths = model(x), {group: int(members.any(0).sum()) for group, members in masks.open_masks().items()}
        masks.freeze_at_minimum_({"down2": widths["down2"], "down3": widths["down3"] - 1})
        assert (model(x) - before).abs().max() < 1e-6
        inside = {m.group: bool((m.gate.p.abs() < 0.5).any()) for m in masks.producers}
        assert not inside["down2"]
        assert inside["down3"]


def test_a_shared_channel_stays_if_any_producer_keeps_it() -> None:
    """Union rule over the producers of the trunk: the second downsampling and every block."""
    masks = masked(resnet(4, 9, "batch").build())
    trunk = [producer for producer in masks.producers if producer.group == "trunk"]
    assert [producer.name.split(".")[0] for producer in trunk] == ["down2", *(f"block{i}" for i in range(9))]
    assert sum(producer.is_residual for producer in trunk) == 9
    with torch.no_grad():
        for index, producer in enumerate(trunk):
            producer.gate.p.fill_(-2.0)
            producer.gate.p[index] = 2.0
    assert masks.kept()["trunk"].tolist() == list(range(10))


def test_a_closed_channel_that_is_kept_opens_at_one_half() -> None:
    """With the full budget every channel is kept: closed masks open with the factor of their start, 1/2, in the weights."""
    masks = masked(resnet(4, 1, "batch").build())
    stem = next(producer for producer in masks.producers if producer.group == "stem")
    with torch.no_grad():
        for producer in masks.producers:
            producer.gate.boundary.fill_(0.5)
        stem.gate.p.copy_(torch.tensor([-2.0, 0.0, 0.25, 2.0]))
    before = stem.layer.weight.detach().clone()
    cost = CostModel(ungated(masks.model).float(), 16)
    masks.binarize_to_budget_(Budget("", "macs", cost().macs), cost)
    factors = torch.tensor([0.5, 0.5, 1 - 0.5**2 / 2, 1.0], dtype=torch.float64)
    torch.testing.assert_close(stem.layer.weight.detach(), before * factors)
    assert stem.gate.mask.tolist() == [1, 1, 1, 1]
