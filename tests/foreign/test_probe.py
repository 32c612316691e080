"""Properties of generators without declarations, found by running them."""

import pytest
import torch
from torch import Tensor, nn

from pocketgan.foreign.probe import find_stride, generate, input_channels, proposed_layers, range_note


def downs(count: int, *, inner: int = 0) -> nn.Sequential:
    """Network with ``count`` halvings, ``inner`` convolutions, and ``count`` doublings."""
    layers: list[nn.Module] = [nn.Conv2d(3 if k == 0 else 4, 4, 4, 2, 1) for k in range(count)]
    layers += [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(inner)]
    layers += [nn.ConvTranspose2d(4, 4, 4, 2, 1) for _ in range(count)]
    return nn.Sequential(*layers, nn.Conv2d(4, 3, 3, padding=1))


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_the_stride_is_what_halvings_make_it(count: int) -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)) if count == 0 else downs(count)
    assert find_stride(net, 3, (64, 96)) == 2**count


class Fixed(nn.Module):
    """Learned positions: one size only."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(3, 32, 32))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.positions


def test_what_generates_one_size_only_is_refused() -> None:
    with pytest.raises(ValueError, match="accepts images of 32 x 32 and hardly any other size"):
        find_stride(Fixed(), 3, (32, 32))


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
def test_the_channels_are_those_that_it_generates_from(channels: int) -> None:
    assert input_channels(nn.Sequential(nn.Conv2d(channels, 3, 1)), (8, 8)) == channels


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(2)), "makes 1x1x64 of 1x3x8x8"),
        (nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2)), "makes 1x3x16x16 of 1x3x8x8"),
        (nn.LSTM(8, 8), "returns a tuple, not one tensor"),
    ],
)
def test_what_is_no_image_of_the_size_is_refused(net: nn.Module, message: str) -> None:
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match=message):
        generate(net if not isinstance(net, nn.LSTM) else _Rows(net), image)


class _Rows(nn.Module):
    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.net(x[0])  # type: ignore[no-any-return]


def test_layers_of_a_trunk_are_its_end_points_within_it_and_the_resolutions_around() -> None:
    net = downs(2, inner=9)
    assert proposed_layers(net, torch.rand(1, 3, 16, 16)) == ("0", "4", "7", "10", "11")


def test_layers_of_a_network_without_a_trunk_go_evenly_from_input_to_output() -> None:
    assert proposed_layers(downs(4), torch.rand(1, 3, 64, 64)) == ("0", "2", "4", "6")


def test_the_note_tells_values_in_the_generators_own_and_warns_of_a_wrong_range() -> None:
    image = torch.tensor([-1.0, 0.5]).expand(1, 3, 1, 2)
    assert range_note(image, 0, 255) == "the teacher's images of real images have values 0 to 191.2; black is 0, white 255"
    assert range_note(image * 100, -1, 1).startswith("warning: ")
    assert range_note(image / 100, -1, 1).startswith("warning: ")
    assert "--range 0..255" in range_note(image * 100, -1, 1)
