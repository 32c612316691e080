"""Law 9: a rescaling of weights that does not change the function does not change the scores; and scores by hand."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.core.dims import Dim, widths_of
from pocketgan.core.spec import Spec
from pocketgan.models.sagan import SelfAttention
from pocketgan.pruning.importance import IMPORTANCES, Scores, contribution, l1
from zoo import EXAMPLES, every_example, example_input, generate, randomize_, randomized

some = settings(max_examples=3, deadline=None, derandomize=True, database=None)


def factors(count: int, seed: int) -> Tensor:
    """Positive numbers from 1/30 to 30."""
    return (6.8 * torch.rand(count, generator=torch.Generator().manual_seed(seed)) - 3.4).exp()


@torch.no_grad()
def before_an_instance_norm(model: nn.Module, seed: int) -> None:
    """The norm divides by the scale of its input: every filter before it may have any scale."""
    for module in model.modules():
        if isinstance(getattr(module, "norm", None), nn.InstanceNorm2d):
            conv = getattr(module, "conv", None) or module.depthwise
            conv = getattr(conv, "pointwise", conv)
            scale = factors(int(conv.out_channels), seed)
            shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
            conv.weight.mul_(scale.view(shape))
            if conv.bias is not None:
                conv.bias.mul_(scale)


@torch.no_grad()
def through_the_relu(model: nn.Module, seed: int) -> None:
    """In residual blocks: from the scale and shift of a norm into the columns of the next convolution."""
    for name, block in model.named_children():
        if name.startswith("block"):
            scale = factors(int(block.hidden), seed)
            block.a.norm.weight.mul_(scale)
            block.a.norm.bias.mul_(scale)
            block.b.conv.weight.div_(scale[None, :, None, None])


@torch.no_grad()
def from_conv_to_conv(model: nn.Module, seed: int) -> None:
    """In a U-Net: the outermost and the innermost convolution down have no norm, and are read below and by the skip."""
    scale = factors(int(model.down1.conv.out_channels), seed)
    for tensor in model.down1.conv.parameters():
        tensor.mul_(scale.view(-1, *[1] * (tensor.ndim - 1)))
    model.down2.conv.weight.div_(scale[None, :, None, None])
    model.up1.weight[: len(scale)].div_(scale[:, None, None, None])
    innermost = model.get_submodule(f"down{model.depth}").conv
    scale = factors(int(innermost.out_channels), seed + 1)
    for tensor in innermost.parameters():
        tensor.mul_(scale.view(-1, *[1] * (tensor.ndim - 1)))
    model.get_submodule(f"up{model.depth}").conv.weight.div_(scale[:, None, None, None])


@torch.no_grad()
def from_query_to_key(model: nn.Module, seed: int) -> None:
    """In attention: a product has two factors, and a softmax removes the common part of all keys."""
    for module in model.modules():
        if isinstance(module, SelfAttention):
            scale = factors(int(module.query.out_channels), seed).double()
            for layer, factor in ((module.query, scale), (module.key, 1 / scale)):
                layer.weight.mul_(factor.view(-1, 1, 1, 1))
                layer.bias.mul_(factor)
            module.key.bias.add_(scale)


GAUGES: dict[str, tuple[Spec, Callable[[nn.Module, int], None]]] = {
    "filters before an instance norm, resnet": (EXAMPLES["resnet"]["instance"], before_an_instance_norm),
    "filters before an instance norm, mobile": (EXAMPLES["mobile-resnet"]["instance"], before_an_instance_norm),
    "filters before an instance norm, unet": (EXAMPLES["unet"]["depth-3-instance"], before_an_instance_norm),
    "norm to next layer, affine instance": (EXAMPLES["resnet"]["affine"], through_the_relu),
    "norm to next layer, batch": (EXAMPLES["resnet"]["batch"], through_the_relu),
    "layer to layers without a norm, unet": (EXAMPLES["unet"]["depth-4-affine"], from_conv_to_conv),
    "query to key, sagan": (EXAMPLES["sagan"]["published"], from_query_to_key),
}


def gap(a: Scores, b: Scores) -> float:
    """The largest relative difference of two channels' scores."""
    assert a.keys() == b.keys()
    return max(float(((a[group] - b[group]).abs() / a[group].abs().clamp_min(1e-12)).max()) for group in a)


def score_change(importance: Callable[..., Scores], spec: Spec, gauge: Callable[[nn.Module, int], None], seed: int) -> float:
    """Change of the scores under a rescaling that (checked here) changes no image."""
    x = example_input(spec, dtype=torch.float64)
    model = randomized(spec, seed=seed, dtype=torch.float64)
    for module in model.modules():
        if isinstance(module, nn.InstanceNorm2d):
            module.eps = 0.0  # without which a rescaling is not exact
    image, before = generate(model, x), importance(model, [x])
    gauge(model, seed)
    torch.testing.assert_close(generate(model, x), image, rtol=0, atol=1e-9)
    return gap(before, importance(model, [x]))


@pytest.mark.parametrize("name", GAUGES)
@some
@given(seed=st.integers(0, 999))
def test_contribution_is_gauge_free(name: str, seed: int) -> None:
    assert score_change(contribution, *GAUGES[name], seed) < 1e-4


@pytest.mark.parametrize("name", GAUGES)
def test_filter_norms_are_not_gauge_free(name: str) -> None:
    assert score_change(l1, *GAUGES[name], 0) > 0.02


@every_example
def test_scores_of_every_network(spec: Spec) -> None:
    model, x = randomized(spec), example_input(spec)
    for name in IMPORTANCES:
        scores = IMPORTANCES[name](model, [x])
        assert {group: len(values) for group, values in scores.items()} == {g: w for g, w in widths_of(model).items() if w}
        for values in scores.values():
            assert values.dtype == torch.float64
            assert (values >= 0).all()
        every = torch.cat(list(scores.values()))
        assert 0.5 < every.mean() < 2


@pytest.mark.parametrize("importance", [contribution, l1])
def test_the_mean_of_a_group_that_is_read_alone_is_1(importance: Callable[..., Scores]) -> None:
    spec = EXAMPLES["resnet"]["affine"]
    for values in importance(randomized(spec), [example_input(spec)]).values():
        assert values.mean().item() == pytest.approx(1)


def test_a_channel_with_several_positions_is_one_channel() -> None:
    """A linear layer after a flattened 4 x 4 map reads sixteen positions of each."""
    spec = EXAMPLES["stylegan2-discriminator"]["plain"]
    assert contribution(randomized(spec), [example_input(spec)])["last"].mean().item() == pytest.approx(1)


def test_only_channels_without_effect_score_0() -> None:
    spec = EXAMPLES["resnet"]["affine"]
    model = randomized(spec)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.InstanceNorm2d):
                module.bias.abs_()  # otherwise a few channels never pass their ReLU
        model.block0.a.norm.weight[3] = model.block0.a.norm.bias[3] = 0  # silent
        model.block1.b.conv.weight[:, 2] = 0  # not read
    scores = contribution(model, [example_input(spec)])
    zero = {(group, i) for group, values in scores.items() for i, v in enumerate(values.tolist()) if v == 0}
    assert zero == {("block0", 3), ("block1", 2)}


def test_a_share_by_hand() -> None:
    """A 1x1 convolution reads two channels of energies 1 and 4 with weights (3, 1) and (1, 1): its outputs get
    9 : 4 and 1 : 4, so the shares are 9/13 and 1/5 of them, times the two channels."""
    spec = EXAMPLES["pixel"]["batch"].resized({"conv1": 2, "conv2": 2})
    model = spec.build().eval()
    with torch.no_grad():
        model.conv1.conv.weight.zero_()
        model.conv1.conv.bias.copy_(torch.tensor([1.0, 2.0]))
        model.conv2.conv.weight.copy_(torch.tensor([[3.0, 1.0], [1.0, 1.0]])[:, :, None, None])
    scores = contribution(model, [torch.zeros(1, 3, 4, 4)])
    first = (9 / 13 + 1 / 5) / 2 * 2
    assert scores["conv1"].tolist() == pytest.approx([first, 2 - first])


def test_a_share_of_attention_by_hand() -> None:
    """Keys of spread 4 and 1 (whatever their mean), queries of energy 1 and 9: 4 and 9 of 13, times the two channels."""
    attend = SelfAttention(Dim.of("map", 3), Dim.of("keys", 2))
    with torch.no_grad():
        for layer in (attend.query, attend.key):
            layer.weight.zero_()
        attend.query.bias.copy_(torch.tensor([1.0, -3.0]))
        attend.key.bias.copy_(torch.tensor([5.0, -7.0]))
        attend.key.weight[0, 0] = 2
        attend.key.weight[1, 0] = 1
    x = torch.zeros(1, 3, 2, 2)
    x[0, 0] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert contribution(attend, [x])["keys"].tolist() == pytest.approx([8 / 13, 18 / 13])


def test_measuring_leaves_the_network_alone() -> None:
    spec = EXAMPLES["sagan"]["published"]
    model = randomize_(spec.build()).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    contribution(model, [example_input(spec)])
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_an_unknown_importance_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no importance named 'contribtion'. Did you mean 'contribution'"):
        IMPORTANCES["contribtion"]
