"""Laws 1 and 5: keeping everything changes nothing, and shrinking twice is shrinking once."""

import pytest
import torch
from torch import nn

from pocketgan.core.dims import dims_of, named_tensors, removable_groups, widths_of
from pocketgan.core.spec import Spec, spec_of
from pocketgan.pruning.selection import resize, shrink
from zoo import every_example, example, generate, one_of_each_block, predict, random_selection, randomize_

ROUNDING = 1e-6
"""In float64: a norm over a channel that hardly varies enlarges rounding errors 316-fold, layer after layer."""


def layout(model: nn.Module) -> list[tuple[str, str, dict[str, str]]]:
    """Name, kind and named widths of every module, in order."""
    return [
        (name, type(module).__name__, {attribute: repr(dim) for attribute, dim in dims_of(module).items()})
        for name, module in model.named_modules()
    ]


def check_keeping_everything(spec: Spec, dtype: torch.dtype) -> None:
    shared = example(spec, dtype)
    before = shared.model.state_dict()
    for selection in ({}, {group: torch.arange(width) for group, width in shared.widths.items()}):
        same = shrink(shared.model, selection)
        assert torch.equal(predict(same, shared.x), shared.output)
        assert list(same.state_dict()) == list(before)
        assert all(
            torch.equal(tensor, before[name]) and tensor.dtype == before[name].dtype
            for name, tensor in same.state_dict().items()
        )
        assert layout(same) == layout(shared.model)
        assert spec_of(same) == spec


@every_example
def test_keeping_everything_changes_nothing(spec: Spec) -> None:
    check_keeping_everything(spec, torch.float64)


@one_of_each_block
def test_keeping_everything_changes_nothing_in_float32(spec: Spec) -> None:
    check_keeping_everything(spec, torch.float32)


@every_example
def test_the_original_is_left_alone_and_shares_nothing(spec: Spec) -> None:
    shared = example(spec)
    model = shared.model
    before, structure = {name: tensor.clone() for name, tensor in named_tensors(model)}, layout(model)
    small = shrink(model, {group: torch.arange((width + 1) // 2) for group, width in shared.widths.items()})
    randomize_(small, seed=1)
    small.train()
    generate(small, shared.x).sum().backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in named_tensors(model))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert layout(model) == structure
    assert spec_of(model) == spec
    assert not model.training
    assert not {id(module) for module in model.modules()} & {id(module) for module in small.modules()}


def check_shrinking_twice(spec: Spec, seeds: tuple[int, int]) -> None:
    shared = example(spec)
    first = shared.random_selection(seeds[0])
    between = shared.small if seeds[0] == 0 else shrink(shared.model, first)
    second = random_selection(widths_of(between), removable_groups(between), seeds[1])
    composed = {**first, **second, **{group: first[group][second[group]] for group in first.keys() & second.keys()}}
    twice, once = shrink(between, second), shrink(shared.model, composed)
    assert widths_of(twice) == widths_of(once)
    state, expected = twice.state_dict(), once.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
    assert torch.equal(predict(twice, shared.x), predict(once, shared.x))


@every_example
def test_shrinking_twice_is_shrinking_once(spec: Spec) -> None:
    check_shrinking_twice(spec, (0, 1))


@one_of_each_block
@pytest.mark.parametrize("seeds", [(2, 3), (4, 5)])
def test_shrinking_twice_by_other_selections(spec: Spec, seeds: tuple[int, int]) -> None:
    check_shrinking_twice(spec, seeds)


@every_example
def test_a_resized_module_is_the_one_its_spec_builds(spec: Spec) -> None:
    small = example(spec).small
    built = spec_of(small).build(device="meta")
    assert spec_of(small).widths == widths_of(small) == widths_of(built)
    assert layout(small) == layout(built)
    shapes = [{name: tensor.shape for name, tensor in model.state_dict().items()} for model in (small, built)]
    assert list(shapes[0].items()) == list(shapes[1].items())


@every_example
def test_resizing_can_also_grow(spec: Spec) -> None:
    """`resize` needs nothing but a filling: here every present group becomes one channel wider."""
    shared = example(spec)
    wider = {group: width + (width > 0) for group, width in spec.widths.items()}
    built = spec.resized(wider).build(device="meta")
    shapes = {name: tensor.shape for name, tensor in named_tensors(built)}
    grown = resize(shared.model, wider, lambda name, old: torch.zeros(shapes[name], dtype=old.dtype))
    assert layout(grown) == layout(built)
    assert predict(grown, shared.x).shape == shared.output.shape


@every_example
def test_the_order_of_the_channels_does_not_matter(spec: Spec) -> None:
    shared = example(spec)
    generator = torch.Generator().manual_seed(0)
    shuffled = shrink(shared.model, {group: torch.randperm(width, generator=generator) for group, width in spec.widths.items()})
    torch.testing.assert_close(predict(shuffled, shared.x), shared.output, atol=ROUNDING, rtol=0)
