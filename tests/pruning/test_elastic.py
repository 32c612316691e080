"""Elastic network: views of the leading channels, one shell, independent extracts."""

import copy

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim
from pocketgan.models import resnet, unet
from pocketgan.pruning.elastic import Elastic, leading
from zoo import randomized


def test_leading_channels_of_a_concatenation_of_repetitions() -> None:
    dim = Dim.of("a", 2) * 2 + Dim.of("b", 3)
    x = torch.arange(14).view(2, 7)
    assert leading(x, {1: dim}, {"a": 1, "b": 2}).tolist() == [[0, 1, 4, 5], [7, 8, 11, 12]]
    assert leading(x, {1: dim}, {"a": 0, "b": 3}).tolist() == [[4, 5, 6], [11, 12, 13]]


def test_leading_channels_of_one_group_are_a_view() -> None:
    x = torch.zeros(4, 6)
    view = leading(x, {0: Dim.of("a", 4), 1: Dim.of("b", 6)}, {"a": 2, "b": 3})
    view.fill_(1)
    assert x.sum() == 6
    assert bool((x[:2, :3] == 1).all())


def test_one_shell_is_resized_in_place_and_hooks_on_it_stay() -> None:
    elastic, seen = Elastic(randomized(resnet(4, blocks=1))).eval(), []
    shell = elastic.shell

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(output.shape[1])

    shell.down2.register_forward_hook(watch)
    for trunk in (16, 3, 7):
        elastic.resize_({"trunk": trunk})
        elastic(torch.zeros(1, 3, 16, 16))
    assert elastic.shell is shell
    assert seen == [16, 3, 7]


def test_groups_not_named_are_full_again() -> None:
    elastic = Elastic(resnet(4, blocks=1).build())
    elastic.resize_({"trunk": 3})
    elastic.resize_({"stem": 2})
    assert elastic.widths == {**elastic.full, "stem": 2}


def test_the_output_follows_the_weights() -> None:
    elastic = Elastic(randomized(resnet(4, blocks=1))).eval()
    elastic.resize_({"trunk": 3})
    x = torch.randn(1, 3, 16, 16)
    before = elastic(x)
    with torch.no_grad():
        elastic.model.head.bias.add_(0.5)
    assert not torch.equal(elastic(x), before)
    assert torch.equal(elastic(x), elastic.extract()(x))


def test_an_extract_is_independent() -> None:
    elastic = Elastic(randomized(unet(4, depth=3))).eval()
    elastic.resize_({"up3": 0, "down1": 3})
    slim = elastic.extract()
    assert slim.spec.widths == elastic.widths
    with torch.no_grad():
        slim.up1.bias.add_(1)
    assert not torch.equal(slim.up1.bias, elastic.model.up1.bias)


def test_a_copy_has_its_own_widths() -> None:
    elastic = Elastic(randomized(resnet(4, blocks=1))).eval()
    twin = copy.deepcopy(elastic)
    twin.resize_({"trunk": 3})
    assert elastic.widths == elastic.full
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(elastic(x), elastic.model(x))
    assert torch.equal(twin(x), twin.extract()(x))


def test_a_model_in_double_precision() -> None:
    elastic = Elastic(randomized(resnet(4, blocks=1)).double()).eval()
    elastic.resize_({"stem": 3})
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    assert elastic(x).dtype == torch.float64
    assert torch.equal(elastic(x), elastic.extract()(x))
