"""Laws 1 and 5: keeping everything changes nothing, and shrinking twice is shrinking once."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pocketgan.core.dims import dims_of, named_tensors, removable_groups, widths_of
from pocketgan.core.spec import Spec, spec_of
from pocketgan.pruning.selection import compose, resize, shrink
from zoo import every_example, example_input, few, generate, narrower, randomize_, randomized, selections, selections_of


def layout(model: nn.Module) -> list[tuple[str, str, dict[str, str]]]:
    """Name, kind and named widths of every module, in order."""
    return [
        (name, type(module).__name__, {attribute: repr(dim) for attribute, dim in dims_of(module).items()})
        for name, module in model.named_modules()
    ]


@every_example
def test_keeping_everything_changes_nothing(spec: Spec) -> None:
    model, x = randomized(spec), example_input(spec)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for selection in ({}, {group: torch.arange(width) for group, width in widths_of(model).items()}):
        same = shrink(model, selection)
        assert torch.equal(generate(same, x), generate(model, x))
        assert list(same.state_dict()) == list(before)
        assert all(torch.equal(tensor, before[name]) for name, tensor in same.state_dict().items())
        assert layout(same) == layout(model)
        assert spec_of(same) == spec


@every_example
def test_the_original_is_left_alone_and_shares_nothing(spec: Spec) -> None:
    model = randomized(spec)
    before, structure = {name: tensor.clone() for name, tensor in named_tensors(model)}, layout(model)
    small = shrink(model, {group: torch.arange((width + 1) // 2) for group, width in widths_of(model).items()})
    randomize_(small, seed=1)
    small.train()
    generate(small, example_input(spec))
    assert all(torch.equal(tensor, before[name]) for name, tensor in named_tensors(model))
    assert layout(model) == structure
    assert spec_of(model) == spec
    assert not model.training
    assert not {id(module) for module in model.modules()} & {id(module) for module in small.modules()}


@every_example
@few
@given(data=st.data())
def test_shrinking_twice_is_shrinking_once(spec: Spec, data: st.DataObject) -> None:
    model, x = randomized(spec), example_input(spec)
    first = data.draw(selections(spec), "first")
    between = shrink(model, first)
    second = data.draw(selections_of(widths_of(between), removable_groups(between)), "second")
    twice, once = shrink(between, second), shrink(model, compose(first, second))
    assert widths_of(twice) == widths_of(once)
    state, wanted = twice.state_dict(), once.state_dict()
    assert list(state) == list(wanted)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in state.items())
    assert torch.equal(generate(twice, x), generate(once, x))


@every_example
@few
@given(data=st.data())
def test_a_resized_module_is_the_one_its_spec_builds(spec: Spec, data: st.DataObject) -> None:
    small = shrink(spec.build(), data.draw(selections(spec)))
    built = spec_of(small).build()
    assert spec_of(small).widths == widths_of(small) == widths_of(built)
    assert layout(small) == layout(built)
    shapes = [{name: tensor.shape for name, tensor in model.state_dict().items()} for model in (small, built)]
    assert list(shapes[0].items()) == list(shapes[1].items())


@every_example
@few
@given(data=st.data())
def test_resizing_to_any_widths_gives_what_the_spec_builds(spec: Spec, data: st.DataObject) -> None:
    small = shrink(spec.build(), {group: torch.arange(width) for group, width in data.draw(narrower(spec)).items()})
    assert layout(small) == layout(spec_of(small).build(device="meta"))


@every_example
def test_resizing_can_also_grow(spec: Spec) -> None:
    """`resize` asks for nothing but a filling: here everything that is there becomes one channel wider."""
    wider = {group: width + (width > 0) for group, width in spec.widths.items()}
    shapes = {name: tensor.shape for name, tensor in named_tensors(spec.resized(wider).build(device="meta"))}
    grown = resize(spec.build(), wider, lambda name, old: torch.zeros(shapes[name], dtype=old.dtype))
    assert layout(grown) == layout(spec.resized(wider).build())
    x = example_input(spec)
    assert generate(grown, x).shape == generate(spec.build(), x).shape


@every_example
def test_the_order_of_the_channels_does_not_matter(spec: Spec) -> None:
    model, x = randomized(spec, dtype=torch.float64), example_input(spec, dtype=torch.float64)
    shuffled = shrink(model, {group: torch.randperm(width) for group, width in spec.widths.items()})
    torch.testing.assert_close(generate(shuffled, x), generate(model, x), atol=1e-9, rtol=0)
