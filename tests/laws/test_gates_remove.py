"""Law 3: closing the gates of a set of channels is removing them."""

import copy

import torch
from hypothesis import given
from hypothesis import strategies as st

from pocketgan.core.dims import channel_map, removable_groups, widths_of
from pocketgan.core.spec import Spec
from pocketgan.pruning.gate import add_gates_, close_gates_, gate_sites, remove_gates_
from pocketgan.pruning.selection import prefix, shrink
from zoo import every_example, example_input, few, generate, randomized, selections, selections_of

LAW = 1e-6
"""In float64, where rounding is 1e-16: a norm over a channel that hardly varies enlarges it 316-fold, layer after layer."""


@every_example
@few
@given(data=st.data())
def test_closing_gates_is_removing_channels(spec: Spec, data: st.DataObject) -> None:
    model, x = randomized(spec, dtype=torch.float64), example_input(spec, dtype=torch.float64)
    selection = data.draw(selections(spec))
    gated = copy.deepcopy(model)
    close_gates_(gated, selection)
    removed = shrink(model, selection)
    torch.testing.assert_close(generate(gated, x), generate(removed, x), atol=LAW, rtol=0)
    both = shrink(gated, selection)  # the gates are cut along with what they scale, and all of them are open
    assert torch.equal(generate(both, x), generate(removed, x))
    assert all(mask.all() for name, mask in both.named_buffers() if name.endswith("gate.mask"))


@every_example
@few
@given(data=st.data())
def test_the_law_holds_in_float32(spec: Spec, data: st.DataObject) -> None:
    """To the rounding of sums in another order, which norms over few pixels enlarge."""
    model, x = randomized(spec), example_input(spec)
    selection = data.draw(selections(spec))
    gated = copy.deepcopy(model)
    close_gates_(gated, selection)
    torch.testing.assert_close(generate(gated, x), generate(shrink(model, selection), x), atol=1e-4, rtol=0)


@every_example
@few
@given(data=st.data())
def test_the_law_holds_again_after_shrinking(spec: Spec, data: st.DataObject) -> None:
    x = example_input(spec, dtype=torch.float64)
    model = shrink(randomized(spec, dtype=torch.float64), data.draw(selections(spec), "first"))
    selection = data.draw(selections_of(widths_of(model), removable_groups(model)), "second")
    gated = copy.deepcopy(model)
    close_gates_(gated, selection)
    torch.testing.assert_close(generate(gated, x), generate(shrink(model, selection), x), atol=LAW, rtol=0)


@every_example
def test_every_branch_can_be_emptied_at_once(spec: Spec) -> None:
    model, x = randomized(spec, dtype=torch.float64), example_input(spec, dtype=torch.float64)
    nothing = prefix(dict.fromkeys(removable_groups(model), 0))
    gated = copy.deepcopy(model)
    close_gates_(gated, nothing)
    torch.testing.assert_close(generate(gated, x), generate(shrink(model, nothing), x), atol=LAW, rtol=0)


@every_example
def test_a_half_open_gate_is_a_scale(spec: Spec) -> None:
    """A group's channels at one half are what its readers see at half their weight (ReLUs pass a scale on)."""
    x = example_input(spec, dtype=torch.float64)
    model = randomized(spec, dtype=torch.float64)
    carried = {seat.dim.groups[0] for seat in gate_sites(model) if seat.carrier}
    group = next(group for group in spec.widths if group not in carried and spec.widths[group])  # a norm passes no scale on
    gated, weighted = copy.deepcopy(model), copy.deepcopy(model)
    for gate in add_gates_(gated).values():
        if gate.channels.groups == (group,):
            gate.mask.fill_(0.5)
    weights = dict(weighted.named_parameters())
    readers = [
        (weights[name], axis, dim)
        for name, axes in channel_map(model).items()
        for axis, dim in axes.items()
        if name.endswith("weight") and group in dim.groups and reads(weighted, name, axis)
    ]
    for weight, axis, dim in readers:
        scale = torch.cat([torch.full((w * each,), 0.5 if g == group else 1.0) for g, w, each in dim.parts])
        shape = [1] * weight.ndim
        shape[axis] = -1
        weight.data.mul_(scale.view(shape))
    assert readers
    torch.testing.assert_close(generate(gated, x), generate(weighted, x), atol=LAW, rtol=0)


def reads(model: torch.nn.Module, name: str, axis: int) -> bool:
    layer = model.get_submodule(name.rpartition(".")[0])
    return axis == (0 if isinstance(layer, torch.nn.ConvTranspose2d) else 1)


@every_example
def test_gates_are_part_of_the_state_and_can_be_taken_away(spec: Spec) -> None:
    model, x = randomized(spec), example_input(spec)
    names, modules, before = list(model.state_dict()), [name for name, _ in model.named_modules()], generate(model, x)
    gates = add_gates_(model)
    assert gates.keys() == {seat.module for seat in gate_sites(model)}
    assert set(model.state_dict()) - set(names) == {f"{seat}.gate.mask" for seat in gates}
    assert torch.equal(generate(model, x), before)
    assert add_gates_(model) == gates  # and only one each
    for gate in gates.values():
        gate.mask.fill_(0.25)
    closed = generate(model, x)
    assert not torch.equal(closed, before)

    twin = copy.deepcopy(model)
    fresh = randomized(spec, seed=5)
    add_gates_(fresh)
    fresh.load_state_dict(model.state_dict())
    for copied in (twin, fresh):
        assert torch.equal(generate(copied, x), closed)
    for gate in add_gates_(twin).values():
        gate.mask.fill_(1)
    assert torch.equal(generate(twin, x), before)  # the copy has gates of its own
    assert torch.equal(generate(model, x), closed)

    remove_gates_(model)
    assert torch.equal(generate(model, x), before)
    assert list(model.state_dict()) == names
    assert [name for name, _ in model.named_modules()] == modules
    assert not any(module._forward_hooks for module in model.modules())


@every_example
def test_every_group_that_a_layer_writes_has_a_gate(spec: Spec) -> None:
    model = spec.build()
    gated = {group for gate in add_gates_(model).values() for group in gate.channels.groups}
    assert gated == {group for group, width in widths_of(model).items() if width > 0}
