"""Selections: kept channels, dead branches, refusals, shared layers and tensors."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim, widths_of
from pocketgan.core.spec import Spec, spec_of
from pocketgan.metrics.cost import CostModel
from pocketgan.models import resnet, unet
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import close_gates_
from pocketgan.pruning.selection import group_requirements, positions, prefix, shrink, valid_widths
from zoo import randomize_, randomized

NOTHING = torch.arange(0)


def complete_widths(model: nn.Module, widths: dict[str, int]) -> dict[str, int]:
    return valid_widths(widths, widths_of(model), group_requirements(model))


def test_positions_in_a_concatenation_of_repetitions() -> None:
    dim = Dim.of("a", 2) + Dim.of("b", 3) * 2 + Dim.of("a", 2)
    kept = {"a": torch.tensor([1]), "b": torch.tensor([2, 0])}
    found = positions(dim, kept)
    assert found is not None
    assert found.tolist() == [1, 6, 7, 2, 3, 9]
    assert positions(dim, {"c": NOTHING}) is None
    only_b = positions(dim, {"b": NOTHING})
    assert only_b is not None
    assert only_b.tolist() == [0, 1, 8, 9]


def test_a_prefix_is_the_leading_channels() -> None:
    assert {group: kept.tolist() for group, kept in prefix({"a": 2, "b": 0}).items()} == {"a": [0, 1], "b": []}


def test_kept_channels_have_the_order_of_the_selection() -> None:
    model = randomized(resnet(4, blocks=1))
    small = shrink(model, {"stem": torch.tensor([3, 1]), "down1": torch.tensor([0, 7, 2])})
    assert torch.equal(small.down1.conv.weight, model.down1.conv.weight[[0, 7, 2]][:, [3, 1]])
    assert torch.equal(small.down1.conv.bias, model.down1.conv.bias[[0, 7, 2]])
    assert torch.equal(small.up1.conv.weight, model.up1.conv.weight)
    assert spec_of(small).widths == {**spec_of(model).widths, "stem": 2, "down1": 3}


def test_everything_but_the_weights_is_kept() -> None:
    model = resnet(4, blocks=1, norm="batch").build()
    model.stem.requires_grad_(False)
    model.down1.eval()
    model.note = ["anything"]
    small = shrink(model, {"stem": torch.arange(2)})
    assert not small.stem.conv.weight.requires_grad
    assert small.up1.conv.weight.requires_grad
    assert (small.training, small.down1.training) == (True, False)
    assert small.note == ["anything"]
    assert small.note is not model.note
    assert small.stem.norm.num_batches_tracked.dtype == torch.int64


def test_whole_unet_levels_go_with_their_output() -> None:
    small = shrink(randomized(unet(2, depth=4)), {"up3": NOTHING})
    assert {group for group, width in widths_of(small).items() if width == 0} == {"down3", "down4", "up3", "up4"}
    assert not any(name.startswith(("down3", "down4", "up3", "up4")) for name in small.state_dict())
    assert small.stride == 4


def test_groups_of_an_absent_branch_follow_it() -> None:
    model = unet(2, depth=4).build()
    assert complete_widths(model, {"up3": 0, "up4": 5})["up4"] == 0
    assert complete_widths(model, {"up4": 0})["down3"] == 8
    assert complete_widths(model, {"up3": 0, "down3": 0})["down4"] == 0


ACTIONS = {
    "shrink": lambda model, empty: shrink(model, dict.fromkeys(empty, NOTHING)),
    "elastic": lambda model, empty: Elastic(model).resize_(dict.fromkeys(empty, 0)),
    "valid_widths": lambda model, empty: complete_widths(model, dict.fromkeys(empty, 0)),
}


@pytest.mark.parametrize("act", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize(
    ("spec", "empty", "group"),
    [
        (resnet(4, blocks=2), ["trunk"], "trunk"),
        (resnet(4, blocks=2), ["block0", "trunk"], "trunk"),  # another absent branch does not matter
        (resnet(4, blocks=2), ["block0", "block1", "stem"], "stem"),
        (unet(4, depth=4), ["down1"], "down1"),
        (unet(4, depth=4), ["down3"], "down3"),
        (unet(4, depth=4), ["up4", "down3"], "down3"),
    ],
)
def test_a_group_in_use_may_not_be_empty(act, spec: Spec, empty: list[str], group: str) -> None:
    model = spec.build()
    least = f"^group '{group}' may not be empty; keep at least one of its {widths_of(model)[group]} channels$"
    with pytest.raises(ValueError, match=least):
        act(model, empty)


def test_an_empty_group_inside_an_absent_branch_is_fine() -> None:
    model = unet(4, depth=4).build()
    small = shrink(model, dict.fromkeys(("up3", "down3", "down4"), NOTHING))
    assert small.stride == 4


@pytest.mark.parametrize("act", [shrink, close_gates_])
@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"stam": torch.tensor([0])}, r"no group named 'stam'. Did you mean 'stem'\?"),
        ({"stem": torch.tensor([0, 4])}, r"selection of 'stem' has indices outside 0\.\.3"),
        ({"stem": torch.tensor([-1])}, r"selection of 'stem' has indices outside 0\.\.3"),
        ({"stem": torch.tensor([1, 1])}, "selection of 'stem' names a channel twice"),
        ({"stem": torch.tensor([True, False, True, True])}, r"torch.bool.*mask.nonzero\(\)"),
        ({"stem": torch.tensor([1.0])}, "torch.float32, expected a list of int64 indices"),
        ({"stem": torch.tensor([[1]])}, "2-dimensional"),
    ],
)
def test_a_wrong_selection_is_refused(act, selection: dict[str, Tensor], message: str) -> None:
    model = resnet(4, blocks=1).build()
    before = list(model.state_dict())
    with pytest.raises(ValueError, match=message) as caught:
        act(model, selection)
    assert "\n" not in str(caught.value)
    assert list(model.state_dict()) == before


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"blok0": 1}, r"no group named 'blok0'. Did you mean 'block0'\?"),
        ({"stem": 5}, r"width stem=5: allowed are 0\.\.4"),
        ({"stem": -1}, r"width stem=-1: allowed are 0\.\.4"),
    ],
)
def test_wrong_widths_are_refused(widths: dict[str, int], message: str) -> None:
    model = resnet(4, blocks=1).build()
    elastic = Elastic(model)
    for act in (lambda: complete_widths(model, widths), lambda: elastic.resize_(widths)):
        with pytest.raises(ValueError, match=message):
            act()
    assert elastic.widths == widths_of(model)


class Tied(nn.Module):
    """Network with a layer under two names and a tensor in two layers, all on the same group."""

    def __init__(self) -> None:
        super().__init__()
        a = Dim.of("a", 5)
        self.first, self.second, self.last = nn.Conv2d(3, a, 1), nn.Conv2d(a, a, 3, padding=1), nn.Conv2d(a, 2, 1)
        self.again, self.third = self.second, nn.Conv2d(a, a, 3, padding=1)
        self.third.weight = self.second.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.third(self.again(self.second(self.first(x)))))


def test_shared_layers_and_tensors_stay_shared() -> None:
    model, x = randomize_(Tied()), torch.randn(1, 3, 6, 6)
    small = shrink(model, {"a": torch.tensor([4, 0])})
    assert small.again is small.second
    assert small.third.weight is small.second.weight
    assert small.second.weight.shape == (2, 2, 3, 3)
    assert torch.equal(shrink(model, {})(x), model(x))
    gated = copy.deepcopy(model)
    gated.first.weight.data[[1, 2, 3]] = 0
    gated.first.bias.data[[1, 2, 3]] = 0
    for layer in (gated.second, gated.third):
        layer.weight.data[[1, 2, 3]] = 0
        layer.bias.data[[1, 2, 3]] = 0
    torch.testing.assert_close(small(x), gated(x), atol=1e-6, rtol=0)
    elastic = Elastic(model)
    elastic.resize_({"a": 3})
    assert torch.equal(elastic(x), shrink(model, prefix({"a": 3}))(x))
    assert CostModel(model, 6)({"a": 3}).macs == 36 * (9 + 3 * 81 + 6)
