"""Law 3: closing the gates of a set of channels is removing them."""

import copy

import pytest
import torch

from pocketgan.core.dims import channel_map, removable_groups, widths_of
from pocketgan.core.spec import Spec
from pocketgan.pruning.gate import add_gates_, close_gates_, gate_sites, remove_gates_
from pocketgan.pruning.selection import prefix, shrink
from zoo import every_example, example, one_of_each_block, predict, random_selection, randomized, with_branches

LAW = 1e-6
"""In float64, where rounding is 1e-16: a norm over a channel that hardly varies enlarges it 316-fold, layer after layer."""


def closed(model: torch.nn.Module, selection: dict[str, torch.Tensor]) -> torch.nn.Module:
    gated = copy.deepcopy(model)
    close_gates_(gated, selection)
    return gated


@every_example
def test_closing_gates_is_removing_channels(spec: Spec) -> None:
    shared = example(spec)
    gated = closed(shared.model, shared.selection)
    torch.testing.assert_close(predict(gated, shared.x), shared.small_output, atol=LAW, rtol=0)
    both = shrink(gated, shared.selection)  # the gates are cut along with the channels that they scale: all are open
    torch.testing.assert_close(predict(both, shared.x), shared.small_output, atol=LAW, rtol=0)
    assert all(mask.all() for name, mask in both.named_buffers() if name.endswith("gate.mask"))


@one_of_each_block
@pytest.mark.parametrize("seed", [1, 2])
def test_the_law_holds_in_float32(spec: Spec, seed: int) -> None:
    """Up to the rounding of sums in another order, which norms over few pixels enlarge."""
    shared = example(spec, torch.float32)
    selection = shared.random_selection(seed)
    gated, small = closed(shared.model, selection), shrink(shared.model, selection)
    torch.testing.assert_close(predict(gated, shared.x), predict(small, shared.x), atol=1e-4, rtol=0)


@one_of_each_block
@pytest.mark.parametrize("seed", [1, 2])
def test_the_law_holds_again_after_shrinking(spec: Spec, seed: int) -> None:
    shared = example(spec)
    small = shared.small
    selection = random_selection(widths_of(small), removable_groups(small), seed)
    gated, smaller = closed(small, selection), shrink(small, selection)
    torch.testing.assert_close(predict(gated, shared.x), predict(smaller, shared.x), atol=LAW, rtol=0)


@with_branches
def test_every_branch_can_be_emptied_at_once(spec: Spec) -> None:
    shared = example(spec)
    nothing = prefix(dict.fromkeys(shared.removable, 0))
    gated, removed = closed(shared.model, nothing), shrink(shared.model, nothing)
    torch.testing.assert_close(predict(gated, shared.x), predict(removed, shared.x), atol=LAW, rtol=0)


@every_example
def test_a_half_open_gate_is_a_scale(spec: Spec) -> None:
    """Channels of a group at one half are what the layers that read them see at half their weight (ReLUs pass a scale on)."""
    shared = example(spec)
    passed_on = {site.dim.groups[0] for site in gate_sites(shared.model) if site.pass_through}  # a norm passes no scale on
    group = next(group for group in spec.widths if group not in passed_on and spec.widths[group])
    gated, weighted = copy.deepcopy(shared.model), copy.deepcopy(shared.model)
    gates = add_gates_(gated).values()
    assert {name for gate in gates for name in gate.channels.groups} == {name for name, width in shared.widths.items() if width}
    for gate in gates:
        if gate.channels.groups == (group,):
            gate.mask.fill_(0.5)
    weights = dict(weighted.named_parameters())
    readers = [
        (weights[name], axis, dim)
        for name, axes in channel_map(weighted).items()
        for axis, dim in axes.items()
        if name.endswith("weight") and group in dim.groups and is_input_axis(weighted, name, axis)
    ]
    for weight, axis, dim in readers:
        scale = torch.cat([torch.full((w * repeat,), 0.5 if g == group else 1.0) for g, w, repeat in dim.parts])
        shape = [1] * weight.ndim
        shape[axis] = -1
        weight.data.mul_(scale.view(shape))
    assert readers
    torch.testing.assert_close(predict(gated, shared.x), predict(weighted, shared.x), atol=LAW, rtol=0)


def is_input_axis(model: torch.nn.Module, name: str, axis: int) -> bool:
    layer = model.get_submodule(name.rpartition(".")[0])
    return axis == (0 if isinstance(layer, torch.nn.ConvTranspose2d) else 1)


@one_of_each_block
def test_gates_are_part_of_the_state_and_can_be_taken_away(spec: Spec) -> None:
    shared = example(spec)
    model, x, before = copy.deepcopy(shared.model), shared.x, shared.output
    names, modules = list(model.state_dict()), [name for name, _ in model.named_modules()]
    gates = add_gates_(model)
    assert gates.keys() == {site.module for site in gate_sites(model)}
    assert set(model.state_dict()) - set(names) == {f"{site}.gate.mask" for site in gates}
    assert torch.equal(predict(model, x), before)
    assert add_gates_(model) == gates  # and only one each
    for gate in gates.values():
        gate.mask.fill_(0.25)
    quarter = predict(model, x)
    assert not torch.equal(quarter, before)

    twin = copy.deepcopy(model)
    fresh = randomized(spec, seed=5, dtype=torch.float64)
    add_gates_(fresh)
    fresh.load_state_dict(model.state_dict())
    for copied in (twin, fresh):
        assert torch.equal(predict(copied, x), quarter)
    for gate in add_gates_(twin).values():
        gate.mask.fill_(1)
    assert torch.equal(predict(twin, x), before)  # the copy has gates of its own
    assert torch.equal(predict(model, x), quarter)

    remove_gates_(model)
    assert torch.equal(predict(model, x), before)
    assert list(model.state_dict()) == names
    assert [name for name, _ in model.named_modules()] == modules
    assert not any(module._forward_hooks for module in model.modules())
