"""The closed form against published numbers, an independent formula, and layers counted by hand."""

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketgan.core.dims import FIXED, Dim
from pocketgan.core.spec import Spec
from pocketgan.metrics.cost import Cost, CostModel
from pocketgan.models import mobile_resnet, patchgan, pixel, resnet, unet
from pocketgan.models.resnet import ResnetSpec
from pocketgan.models.unet import UnetSpec
from zoo import in_channels


def cost_of(spec: Spec, size: int = 256) -> Cost:
    return CostModel(spec.build(device="meta"), size)()


def mobile(config: str) -> ResnetSpec:
    """A student of GAN Compression: widths c0_c1_c2_c3_c4_c5_c6_c7, or with one hidden width for all blocks, six."""
    c = [int(number) for number in config.split("_")]
    if len(c) == 6:
        c = [*c[:3], c[3], c[3], c[3], *c[4:]]
    widths = {"stem": c[0], "down1": 2 * c[1], "trunk": 4 * c[2], "up1": 2 * c[6], "up2": c[7]}
    widths |= {f"block{i}": 4 * c[3 + i // 3] for i in range(9)}
    return ResnetSpec(widths=widths, separable=True)


# GAN Compression (Li et al., CVPR 2020 and T-PAMI 2021) and its released models, at 256 x 256: parameters and MACs as
# published; the exact counts follow from the same architectures with transposed convolutions counted once.
GAN_COMPRESSION = [
    (resnet(64), 11_378_179, 56_831_770_624, "49.552"),
    (mobile_resnet(32), 514_307, 4_955_045_888, "3.117"),
    (mobile_resnet(48), 1_130_883, 10_603_462_656, "6.488"),
    (mobile_resnet(64), 1_987_075, 18_365_808_640, "11.067"),
    (mobile_resnet(96), 4_418_307, 40_232_288_256, "23.848"),
    (mobile("16_16_32_16_32_32_16_16"), 356_867, 2_546_204_672, "1.846"),
    (mobile("16_16_24_16_32_64_16_24"), 355_235, 2_640_576_512, "1.939"),
    (mobile("24_24_24_32_20_16"), 341_627, 2_670_067_712, "1.941"),
    (mobile("32_32_48_32_48_48_16_16"), 822_051, 4_993_843_200, "4.056"),
    (mobile("24_24_40_56_24_56_16_40"), 702_835, 4_863_164_416, "3.699"),
    (mobile("32_32_48_32_32_48_24_24"), 780_819, 5_591_531_520, "4.031"),
    (mobile("16_24_48_56_40_48_24_16"), 886_307, 5_451_284_480, "4.060"),
    (mobile("32_32_48_32_64_40_16_32"), 866_947, 5_606_342_656, "4.440"),
    (mobile("32_32_48_32_48_32_16_16"), 746_211, 4_683_202_560, "3.747"),
    (mobile("16_16_40_40_40_64_24_16"), 719_507, 4_569_694_208, "3.351"),
    (mobile("32_32_48_40_32_32_16_16"), 708_291, 4_527_882_240, "3.592"),
]


@pytest.mark.parametrize(("spec", "params", "macs_paper", "exact"), GAN_COMPRESSION)
def test_published_counts_of_gan_compression(spec: Spec, params: int, macs_paper: int, exact: str) -> None:
    cost = cost_of(spec)
    assert (cost.params, cost.macs_paper) == (params, macs_paper)
    assert f"{cost.macs / 1e9:.3f}" == exact


def test_counts_published_to_the_last_digit() -> None:
    """The tutorial of GAN Compression and its issue 97; the exact count is our own of the same network."""
    assert cost_of(mobile("32_32_48_32_48_48_16_16"))[1:] == (4_055_629_824, 4_993_843_200)
    assert cost_of(mobile("16_16_32_16_16_64_16_24")).macs_paper == 2_984_771_584
    assert cost_of(mobile("16_16_16_48_64_64_24_16")).macs_paper == 2_597_322_752


SIDES = {(size, i, o): CostModel(mobile_resnet(8, in_channels=i, out_channels=o).build(device="meta"), size)
         for size, i, o in [(256, 3, 3), (64, 1, 3), (128, 4, 2)]}  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(SIDES)), st.lists(st.integers(1, 128), min_size=8, max_size=8))
def test_the_closed_form_of_eight_numbers(side: tuple[int, int, int], c: list[int]) -> None:
    """The separable ResNet-9 written out by hand: c0..c7 as in `mobile`."""
    (size, i, o), d, hidden = side, 4 * c[2], [4 * k for k in c[3:6]]
    f, h, q = size**2, (size // 2) ** 2, (size // 4) ** 2
    fixed = 49 * i * c[0] * f + 9 * c[0] * 2 * c[1] * h + 9 * 2 * c[1] * d * q
    fixed += sum(3 * (9 * d + 2 * d * k + 9 * k) * q for k in hidden) + 49 * c[7] * o * f
    up1, up2 = 9 * d * 2 * c[6], 9 * 2 * c[6] * c[7]
    norms = c[0] * f + 2 * c[1] * h + d * q + sum(3 * (2 * d + 2 * k) * q for k in hidden) + 2 * c[6] * h + c[7] * f
    params = (49 * i + 1) * c[0] + (9 * c[0] + 1) * 2 * c[1] + (18 * c[1] + 1) * d
    params += sum(3 * (10 * d + (d + 1) * k + 10 * k + (k + 1) * d) for k in hidden)
    params += (9 * d + 1) * 2 * c[6] + (18 * c[6] + 1) * c[7] + (49 * c[7] + 1) * o
    expected = Cost(params, fixed + up1 * q + up2 * h, fixed + up1 * h + up2 * f + norms)

    cost, widths = SIDES[side], mobile("_".join(map(str, c))).widths
    assert cost(widths) == expected
    assert tuple(cost.many(np.array([[widths[group] for group in cost.widths]]))[0]) == expected


def norm_elements(spec: Spec, size: int = 256) -> int:
    """Addition of the literature's count for the norms, from the architecture's description alone."""
    w, at = spec.widths, lambda k: (size >> k) ** 2
    match spec:
        case ResnetSpec():
            hidden = [w[f"block{i}"] for i in range(spec.blocks) if w[f"block{i}"]]
            each = 2 if spec.separable else 1  # a separable convolution has a norm between its halves, too
            ends = (w["stem"] + w["up2"]) * at(0) + (w["down1"] + w["up1"]) * at(1) + w["trunk"] * at(2)
            return ends + sum(each * (k + w["trunk"]) for k in hidden) * at(2)
        case UnetSpec():
            down = sum(w[f"down{k}"] * at(k) for k in range(2, spec.depth))
            return down + sum(w[f"up{k}"] * at(k - 1) for k in range(2, spec.depth + 1))
    raise AssertionError(spec)


# DMAD (Li et al., TCSVT 2022) and its released networks, at 256 x 256: parameters, MACs with transposed convolutions
# charged per output and without norms, exact MACs.
DMAD = [
    (resnet(64), "11.3782", "56.799", "49.552"),
    (resnet(48), "6.4047", "32.181", "28.104"),
    (resnet(32), "2.8506", "14.508", "12.696"),
    (resnet(16), "0.7157", "3.781", "3.328"),
    (unet(64), "54.4140", "18.140", "6.048"),
    (unet(48), "30.6114", "10.289", "3.430"),
    (unet(32), "13.6083", "4.648", "1.550"),
    (mobile_resnet(64), "1.9871", "18.314", "11.067"),
    (mobile_resnet(48), "1.1309", "10.565", "6.488"),
    (mobile_resnet(32), "0.5143", "4.929", "3.117"),
    (mobile_resnet(24), "0.2959", "2.904", "1.885"),
]


@pytest.mark.parametrize(("spec", "params", "out", "exact"), DMAD)
def test_published_counts_of_dmad(spec: Spec, params: str, out: str, exact: str) -> None:
    cost = cost_of(spec)
    assert f"{cost.params / 1e6:.4f}" == params
    assert f"{(cost.macs_paper - norm_elements(spec)) / 1e9:.3f}" == out
    assert f"{cost.macs / 1e9:.3f}" == exact


def pruned(hidden: list[int], *, separable: bool) -> ResnetSpec:
    widths = {"stem": 16, "down1": 32, "trunk": 64, "up1": 32, "up2": 16}
    return ResnetSpec(widths=widths | {f"block{i}": k for i, k in enumerate(hidden)}, separable=separable)


def from_masks(widths: list[int]) -> ResnetSpec:
    """A mobile ResNet of GCC's release: stem, down1, trunk, then hidden and trunk of each block, up1, up2."""
    stem, down1, trunk, *inner, up1, up2 = widths
    assert set(inner[1::2]) == {trunk}
    ends = {"stem": stem, "down1": down1, "trunk": trunk, "up1": up1, "up2": up2}
    return ResnetSpec(widths=ends | {f"block{i}": k for i, k in enumerate(inner[::2])}, separable=True)


UNET_FILTERS = [16, 32, 64, 96, 80, 64, 48, 32, 40, 56, 72, 88, 64, 32, 16]  # eight down, then seven up from inside
PRUNED_UNET = UnetSpec(
    widths={
        **{f"down{k}": width for k, width in enumerate(UNET_FILTERS[:8], 1)},
        **{f"up{8 - k}": width for k, width in enumerate(UNET_FILTERS[8:])},
    }
)


@pytest.mark.parametrize(
    ("spec", "params", "out", "exact"),
    [
        (pruned([40] * 9, separable=False), 466_603, 2_761_949_184, 2_308_964_352),
        (pruned([40] * 4 + [0] + [40] * 4, separable=False), 420_419, 2_573_205_504, 2_120_220_672),
        (pruned([40] * 9, separable=True), 107_323, 1_286_504_448, 833_519_616),
        (pruned([40] * 4 + [0] + [40] * 4, separable=True), 101_059, 1_261_699_072, 808_714_240),
        (PRUNED_UNET, 1_143_523, 1_009_704_960, 338_116_608),
    ],
)
def test_pruned_widths_to_the_last_digit(spec: Spec, params: int, out: int, exact: int) -> None:
    cost = cost_of(spec)
    assert (cost.params, cost.macs_paper - norm_elements(spec), cost.macs) == (params, out, exact)


def test_norm_elements_of_the_pruned_are_their_biases() -> None:
    """Every convolution but the head has one norm: what they add is the published count of additions by biases."""
    head = 3 * 256**2
    assert norm_elements(pruned([40] * 9, separable=False)) == 7_438_336 - head
    assert norm_elements(pruned([40] * 4 + [0] + [40] * 4, separable=False)) == 7_012_352 - head
    assert norm_elements(pruned([40] * 9, separable=True)) == 11_272_192 - head
    assert norm_elements(pruned([40] * 4 + [0] + [40] * 4, separable=True)) == 10_420_224 - head


@pytest.mark.parametrize(
    ("widths", "params", "out", "exact"),
    [
        ("24 48 86 72 86 47 86 44 86 43 86 43 86 29 86 30 86 37 86 36 86 48 24", "0.1806", "2.3836", "1.4175"),
        ("24 48 96 91 96 73 96 62 96 61 96 74 96 54 96 51 96 58 96 81 96 48 24", "0.2433", "2.6911", "1.6718"),
    ],
)
def test_widths_found_by_gcc(widths: str, params: str, out: str, exact: str) -> None:
    """GCC (Li et al., NeurIPS 2021), horse to zebra and back."""
    spec = from_masks([int(width) for width in widths.split()])
    cost = cost_of(spec)
    assert f"{cost.params / 1e6:.4f}" == params
    assert f"{(cost.macs_paper - norm_elements(spec)) / 1e9:.4f}" == out
    assert f"{cost.macs / 1e9:.4f}" == exact


@pytest.mark.parametrize(
    ("spec", "params", "published"),
    [
        (patchgan(64), "2.7647", 3.147e9),
        (patchgan(128, norm="batch", in_channels=6), "11.0424", 12.573e9),
        (patchgan(64, norm="batch", in_channels=6), "2.7687", 3.197e9),
        (patchgan(128, in_channels=6), "11.0406", 12.573e9),
    ],
)
def test_published_counts_of_discriminators(spec: Spec, params: str, published: float) -> None:
    """To the digits that are published, and to the last one by hand: maps of 128, 64, 32, 31 and 30 from 256 pixels."""
    cost, w = cost_of(spec), [in_channels(spec), *spec.widths.values(), 1]
    assert f"{cost.params / 1e6:.4f}" == params
    assert cost.macs == pytest.approx(published, abs=1e6)
    assert cost.macs == sum(16 * i * o * side**2 for i, o, side in zip(w, w[1:], (128, 64, 32, 31, 30), strict=False))


def test_a_pixel_discriminator_by_hand() -> None:
    cost = cost_of(pixel(8, norm="batch", in_channels=6), 32)
    assert cost.params == (6 * 8 + 8) + 8 * 16 + 2 * 16 + 16
    assert cost.macs == 32 * 32 * (6 * 8 + 8 * 16 + 16)
    assert cost.macs_paper == cost.macs + 32 * 32 * 16


A, B = Dim.of("a", 5), Dim.of("b", 7)


class Odd(nn.Module):
    """Layers that the zoo does not have, a bare parameter with named channels, and a layer called twice."""

    AXES = {"scale": (None, "channels"), "mix": ("wide", "channels")}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.wide = A, B
        self.scale = nn.Parameter(torch.ones(2, A))
        self.mix = nn.Parameter(torch.ones(B, A))
        self.first, self.again = nn.Conv2d(3, A, 1), nn.Conv2d(A, A, 3, padding=1, bias=False)
        self.act, self.linear, self.unused = nn.PReLU(A), nn.Linear(A, B), nn.Conv2d(A, 4, 1)
        self.up = nn.ConvTranspose2d(A, A, 4, 2, 1, groups=A)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(self.act(self.again(self.again(self.first(x)))))
        return self.linear(x.permute(0, 2, 3, 1))


def test_other_layers_by_hand() -> None:
    cost = CostModel(Odd(), (6, 8))
    for a, b in [(5, 7), (3, 2)]:
        n = 48
        params = 2 * a + b * a + (3 * a + a) + 9 * a * a + a + (a * b + b) + (4 * a + 4) + (16 * a + a)
        macs = n * 3 * a + 2 * n * 9 * a * a + n * 16 * a + 4 * n * a * b
        assert cost({"a": a, "b": b}) == (params, macs, macs + 3 * n * 16 * a)
    assert cost().params == sum(parameter.numel() for parameter in Odd().parameters())
    assert cost.uncounted == ()  # what they hold is declared, and torch counts what they multiply
    assert CostModel(nn.Sequential(nn.Conv2d(3, A, 1), nn.RMSNorm(4)), 4).uncounted == ("1",)


def test_costs_by_the_group_that_a_layer_writes() -> None:
    shares = CostModel(pixel(8).build(device="meta"), 4).by_group()
    assert shares == {
        "conv1": Cost(4 * 8, 16 * 3 * 8, 16 * 3 * 8),
        "conv2": Cost(9 * 16, 16 * 8 * 16, 16 * (8 * 16 + 16)),
        FIXED: Cost(17, 16 * 16, 16 * 16),
    }


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = unet(4, depth=2).build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    CostModel(model, 16)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_sides_need_not_be_equal() -> None:
    model = resnet(4, blocks=1).build(device="meta")
    assert CostModel(model, 64)() == CostModel(model, (64, 64))()
    assert CostModel(model, (32, 64))() == CostModel(model, (64, 32))()
    whole, half = CostModel(model, (64, 64))(), CostModel(model, (32, 64))()
    assert half == (whole.params, whole.macs // 2, whole.macs_paper // 2)


def test_a_million_pixels_and_channels_stay_exact() -> None:
    """Counts of hundreds of tera, whose products are summed in float64, do not lose a unit."""
    cost = CostModel(resnet(1021, blocks=9).build(device="meta"), 4096)
    row = [[width - k for width in cost.widths.values()] for k in range(3)]
    expected = [list(cost(dict(zip(cost.widths, widths, strict=True)))) for widths in row]
    assert 2**45 < expected[0][1] < 2**53
    assert cost.many(np.array(row)).tolist() == expected


def test_wrong_questions() -> None:
    cost = CostModel(pixel(8).build(device="meta"), 4)
    with pytest.raises(ValueError, match=r"no group named 'conv3'. Did you mean 'conv2'\?|'conv1'"):
        cost({"conv3": 1})
    for shape in [(2,), (4, 3)]:
        with pytest.raises(ValueError, match="expected N x 2: conv1, conv2"):
            cost.many(np.ones(shape, np.int64))
    assert cost.many(np.ones((0, 2), np.int64)).shape == (0, 3)


def test_the_channels_of_the_input_may_be_given() -> None:
    assert CostModel(nn.Sequential(nn.Linear(8, A)), (4, 8), in_channels=3)().macs == prod((3, 4, 8, 5))


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d, nn.BatchNorm2d])
def test_a_size_that_torch_refuses_to_norm_is_refused(norm: type[nn.Module]) -> None:
    """Norms are not run for their shapes, but one position alone has no spread."""
    model = nn.Sequential(nn.Conv2d(3, 4, 4), norm(4), nn.ReLU())
    assert CostModel(model, 5)().macs == 4 * 3 * 16 * 4
    assert all("forward" not in vars(module) for module in model)
    with pytest.raises(ValueError, match="Expected more than 1"):
        CostModel(model, 4)
    assert all("forward" not in vars(module) for module in model)


def test_costs_are_the_same_under_inference_mode() -> None:
    """Measuring happens in inference mode, where torch does not decompose operations."""
    model = resnet(4, 1).build()
    outside = CostModel(model, 32)()
    with torch.inference_mode():
        assert CostModel(model, 32)() == outside
