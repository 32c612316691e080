"""Law 2: the elastic network at widths w is the slim network at w."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pocketgan.core.dims import Dim, channel_map, is_depthwise, named_tensors, removable_groups
from pocketgan.core.spec import Spec
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.selection import prefix, shrink
from zoo import every_example, example_input, few, generate, narrower, randomized


def exact(spec: Spec) -> torch.dtype:
    """Float64 for networks so deep in products that a last digit of float32 grows on its way."""
    return torch.float64 if "spade" in spec.name else torch.float32


def assert_same(model: nn.Module, found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Bit for bit; a depthwise kernel may sum in another order at another memory layout, and so may constants."""
    if any(is_depthwise(module) for module in model.modules()):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    else:
        assert torch.equal(found, wanted)


@every_example
@few
@given(data=st.data(), training=st.booleans())
def test_elastic_is_the_slim_network(spec: Spec, data: st.DataObject, training: bool) -> None:
    model, x = randomized(spec, dtype=exact(spec)), example_input(spec, dtype=exact(spec))
    elastic = Elastic(model).train(training)
    for widths in (data.draw(narrower(spec), "widths"), data.draw(narrower(spec), "next widths"), {}):
        elastic.resize_(widths)
        slim = shrink(model, prefix(elastic.widths)).train(training)
        torch.manual_seed(0)  # for dropout
        wanted = generate(slim, x)
        torch.manual_seed(0)
        assert_same(model, generate(elastic, x), wanted)


@every_example
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_elastic_without_its_branches_is_the_slim_network(spec: Spec, training: bool) -> None:
    model, x = randomized(spec, dtype=exact(spec)), example_input(spec, dtype=exact(spec))
    empty = dict.fromkeys(removable_groups(model), 0)
    slim = shrink(model, prefix(empty)).train(training)  # folded in evaluation, whatever mode follows
    elastic = Elastic(model).train(training)
    elastic.resize_(empty)
    assert_same(model, generate(elastic, x), generate(slim, x))
    assert_same(model, generate(shrink(model, prefix(empty)), x), generate(slim, x))  # from the model in training mode


@every_example
def test_running_statistics_are_never_written_through_a_view(spec: Spec) -> None:
    model = randomized(spec)
    before = copy.deepcopy(model.state_dict())
    elastic = Elastic(model).train()
    for widths in ({}, {group: (width + 1) // 2 for group, width in spec.widths.items()}):
        elastic.resize_(widths)
        generate(elastic, example_input(spec))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@every_example
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_gradients_reach_exactly_the_channels_that_ran(spec: Spec, training: bool) -> None:
    """Those of the slim network, in the leading corner of every tensor; nothing outside of it."""
    model, x = randomized(spec, dtype=torch.float64), example_input(spec, dtype=torch.float64)
    elastic = Elastic(model).train(training)
    elastic.resize_({group: (width + 1) // 2 for group, width in spec.widths.items()})
    slim = elastic.extract().train(training)
    for network in (elastic, slim):
        torch.manual_seed(0)  # for dropout
        generate(network, x).square().sum().backward()
    table, wanted = channel_map(model), dict(slim.named_parameters())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        rest = parameter.grad.clone()
        axes = table.get(name, {})
        ran = [leading(length, axes.get(axis), elastic.widths) for axis, length in enumerate(rest.shape)]
        corner = torch.meshgrid(*ran, indexing="ij") if ran else ()
        torch.testing.assert_close(rest[corner], wanted[name].grad, atol=1e-9, rtol=1e-9)
        rest[corner] = 0
        assert not rest.any()


def leading(size: int, dim: Dim | None, widths: dict[str, int]) -> torch.Tensor:
    """Where the channels that ran lie along an axis."""
    start, found = 0, []
    for group, width, each in dim.parts if dim is not None else ():
        found.append(start + torch.arange(widths.get(group, width) * each))
        start += width * each
    return torch.cat(found) if found else torch.arange(size)


@every_example
def test_the_weights_that_train_are_the_models_own(spec: Spec) -> None:
    elastic = Elastic(spec.build())
    assert [name for name, _ in elastic.named_parameters()] == [f"model.{n}" for n, _ in elastic.model.named_parameters()]
    assert list(elastic.state_dict()) == [f"model.{name}" for name in elastic.model.state_dict()]
    assert all(tensor.is_meta for _, tensor in named_tensors(elastic.shell))
