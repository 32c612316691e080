"""Law 2: the elastic network at widths w is the slim network at w."""

import copy

import pytest
import torch
from torch import nn

from pocketgan.core.dims import Dim, channel_map, named_tensors
from pocketgan.core.inputs import ModelInputs
from pocketgan.core.spec import Spec
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.selection import prefix, shrink
from zoo import every_example, example, generate, one_of_each_block, predict, with_branches

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""The two may sum in another order at another memory layout, and norms enlarge the rounding error."""


def elastic_of(model: nn.Module) -> Elastic:
    return Elastic(copy.deepcopy(model))


def assert_same(elastic: nn.Module, slim: nn.Module, x: ModelInputs, dtype: torch.dtype) -> None:
    outputs = []
    for network in (elastic, slim):
        torch.manual_seed(0)  # for dropout
        outputs.append(predict(network, x))
    torch.testing.assert_close(*outputs, atol=TOLERANCE[dtype], rtol=0)


def check_elastic(spec: Spec, dtype: torch.dtype, seeds: tuple[int, int]) -> None:
    """In evaluation, in training, and at full width again; no running statistic is written through a view."""
    shared = example(spec, dtype)
    elastic = elastic_of(shared.model)
    for training, seed in zip((False, True), seeds, strict=True):
        elastic.train(training)
        elastic.resize_(shared.narrower(seed))
        slim = shrink(shared.model, prefix(elastic.widths)).train(training)
        assert_same(elastic, slim, shared.x, dtype)
    elastic.resize_({})
    torch.testing.assert_close(predict(elastic.eval(), shared.x), shared.output, atol=TOLERANCE[dtype], rtol=0)
    before = shared.model.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in elastic.model.state_dict().items())


@every_example
def test_elastic_is_the_slim_network(spec: Spec) -> None:
    check_elastic(spec, torch.float64, (0, 1))


@one_of_each_block
@pytest.mark.parametrize("seeds", [(2, 3), (4, 5)])
def test_elastic_is_the_slim_network_in_float32(spec: Spec, seeds: tuple[int, int]) -> None:
    check_elastic(spec, torch.float32, seeds)


@with_branches
def test_elastic_without_its_branches_is_the_slim_network(spec: Spec) -> None:
    shared = example(spec)
    empty = dict.fromkeys(shared.removable, 0)
    slim, elastic = shrink(shared.model, prefix(empty)), elastic_of(shared.model)
    elastic.resize_(empty)
    assert_same(elastic.eval(), slim, shared.x, torch.float64)
    assert_same(elastic.train(), slim.train(), shared.x, torch.float64)  # branches are folded in evaluation, whatever follows
    from_training = shrink(elastic.model, prefix(empty))
    assert from_training.training
    assert_same(from_training, slim, shared.x, torch.float64)


@every_example
def test_gradients_reach_exactly_the_channels_that_ran(spec: Spec) -> None:
    """Those of the slim network, in the leading corner of every tensor; zero outside of it."""
    shared = example(spec)
    elastic = elastic_of(shared.model).train()
    elastic.resize_({group: (width + 1) // 2 for group, width in spec.widths.items()})
    slim = elastic.extract().train()
    for network in (elastic, slim):
        torch.manual_seed(0)  # for dropout
        generate(network, shared.x).square().sum().backward()
    table, expected = channel_map(elastic.model), dict(slim.named_parameters())
    for name, parameter in elastic.model.named_parameters():
        assert parameter.grad is not None
        rest = parameter.grad.clone()
        axes = table.get(name, {})
        ran = [leading(length, axes.get(axis), elastic.widths) for axis, length in enumerate(rest.shape)]
        corner = torch.meshgrid(*ran, indexing="ij") if ran else ()
        torch.testing.assert_close(rest[corner], expected[name].grad, atol=1e-6, rtol=1e-6)
        rest[corner] = 0
        assert not rest.any()


def leading(size: int, dim: Dim | None, widths: dict[str, int]) -> torch.Tensor:
    """Indices along an axis of the channels that ran."""
    start, pieces = 0, []
    for group, width, repeat in dim.parts if dim is not None else ():
        pieces.append(start + torch.arange(widths.get(group, width) * repeat))
        start += width * repeat
    return torch.cat(pieces) if pieces else torch.arange(size)


@one_of_each_block
def test_the_weights_that_train_are_the_models_own(spec: Spec) -> None:
    elastic = elastic_of(example(spec).model)
    assert [name for name, _ in elastic.named_parameters()] == [f"model.{n}" for n, _ in elastic.model.named_parameters()]
    assert list(elastic.state_dict()) == [f"model.{name}" for name in elastic.model.state_dict()]
    assert all(tensor.is_meta for _, tensor in named_tensors(elastic.shell))
