"""CAT's inception generator against its published counts, and its block against a plain one from the published description."""

import pytest
import torch
from torch import Tensor, nn

from pocketgan.core.dims import removable_groups
from pocketgan.metrics.cost import Cost, CostModel
from pocketgan.models import inception
from pocketgan.pruning.selection import prefix, shrink
from zoo import randomize_, randomized

HW = 64 * 64
"""Pixels of the trunk at 256 x 256."""


@pytest.mark.parametrize(("norm", "params"), [("instance_affine", 8_154_255), ("instance", 8_141_563), ("batch", 8_136_389)])
def test_published_counts(norm: str, params: int) -> None:
    """43.527 G in the literature's count: 43.490 G of convolutions, one for each element that leaves a norm; 36.243 G exact."""
    cost = CostModel(inception(64, norm=norm).build(device="meta"), 256)()  # type: ignore[arg-type]
    assert cost.params == params
    assert (round(cost.macs / 1e6), round(cost.macs_paper / 1e6)) == (36_243, 43_527)


@pytest.fixture(scope="module")
def batch() -> CostModel:
    return CostModel(inception(64, norm="batch").build(device="meta"), 256)


def below(cost: CostModel, *layers: str) -> Cost:
    """The cost of those layers and of all layers inside them."""
    costs = [term.at(cost.widths) for term in cost.terms if f"{term.layer}.".startswith(tuple(f"{layer}." for layer in layers))]
    return Cost(*(sum(column) for column in zip(*costs, strict=True)))


@pytest.mark.parametrize(
    ("layers", "params", "millions"),
    [
        (("stem", "down1", "down2"), 378_944, 3_032),
        (("block0",), 819_890, 3_353),
        (("block8",), 819_890, 3_353),
        (("up1", "up2", "head"), 378_435, 2_416 + 617),
    ],
)
def test_published_counts_of_the_parts(batch: CostModel, layers: tuple[str, ...], params: int, millions: int) -> None:
    cost = below(batch, *layers)
    assert (cost.params, round(cost.macs / 1e6)) == (params, pytest.approx(millions, abs=1))


@pytest.mark.parametrize(
    ("branch", "params"),
    [("res1", 21_588), ("res3", 193_620), ("res5", 537_684), ("dw1", 21_714), ("dw3", 22_050), ("dw5", 22_722)],
)
def test_the_cost_of_a_branch(batch: CostModel, branch: str, params: int) -> None:
    """``2 C m k^2`` a pixel for two k x k convolutions, ``2 C m + m k^2`` for a depthwise one between two of 1 x 1."""
    c, m, k = 256, 42, int(branch[-1])
    macs = 2 * c * m * k**2 if branch.startswith("res") else 2 * c * m + m * k**2
    cost = below(batch, f"block3.branches.{branch}")
    assert (cost.params, cost.macs) == (params, macs * HW)


def norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=kind == "instance_affine")


class Published(nn.Module):
    """``x + norm(sum of six branches)`` (CAT, section 3.1, as released)."""

    def __init__(self, c: int, m: int, kind: str, kernels: tuple[int, ...]):
        super().__init__()
        bias = kind != "batch"

        def res(k: int) -> nn.Module:
            pad = nn.ReflectionPad2d((k - 1) // 2)
            first, last = nn.Conv2d(c, m, k, bias=bias), nn.Conv2d(m, c, k, bias=bias)
            return nn.Sequential(pad, first, norm(kind, m), nn.ReLU(), pad, last)

        def dw(k: int) -> nn.Module:
            first, last = nn.Conv2d(c, m, 1, bias=bias), nn.Conv2d(m, c, 1, bias=bias)
            middle = nn.ReflectionPad2d((k - 1) // 2), nn.Conv2d(m, m, k, groups=m, bias=bias)
            return nn.Sequential(first, norm(kind, m), nn.ReLU(), *middle, norm(kind, m), nn.ReLU(), last)

        self.branches = nn.ModuleList([*map(res, kernels), *map(dw, kernels)])
        self.post = norm(kind, c)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.post(torch.stack([branch(x) for branch in self.branches]).sum(0))


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("kind", ["instance", "instance_affine", "batch"])
def test_parity_of_a_block_with_the_published_one(kind: str, training: bool) -> None:
    ours = randomized(inception(3, blocks=1, norm=kind)).block0.train(training)  # type: ignore[arg-type]
    theirs = Published(12, 2, kind, (1, 3, 5)).train(training)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 12, 6, 7)
    torch.testing.assert_close(ours(x), theirs(x), atol=2e-6, rtol=0)
    for own, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other)  # the same running statistics


@pytest.mark.parametrize("kind", ["instance", "instance_affine", "batch"])
def test_a_block_without_branches_is_the_identity(kind: str) -> None:
    spec = inception(3, blocks=1, kernels=(1, 3), norm=kind)  # type: ignore[arg-type]
    block = spec.resized(dict.fromkeys(spec.optional(), 0)).build().block0
    x = torch.randn(2, 12, 4, 4)
    assert torch.equal(block(x), x)
    assert not list(block.parameters())


def test_a_removed_block_keeps_the_shift_of_its_norm() -> None:
    """The output of an affine norm for zeros is its shift, a constant a channel."""
    model = randomized(inception(3, blocks=1, kernels=(1,)))
    block = shrink(model, prefix(dict.fromkeys(removable_groups(model), 0))).block0
    x = torch.randn(2, 12, 4, 4)
    assert torch.equal(block(x), x + model.block0.post.bias[:, None, None])


def test_the_norm_after_the_sum_goes_into_the_branches() -> None:
    model = randomized(inception(3, blocks=1, norm="batch")).double()
    block, x = model.block0, torch.randn(2, 12, 6, 6, dtype=torch.float64)
    before = block(x)
    for _ in range(2):  # the second call changes nothing
        block.fold_norm_()
        assert isinstance(block.post, nn.Identity)
        torch.testing.assert_close(block(x), before, atol=1e-12, rtol=0)


def test_dropout_acts_inside_the_branches_and_in_training_only() -> None:
    block = randomize_(inception(3, blocks=1, dropout=0.5).build()).block0
    x = torch.randn(1, 12, 6, 6)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


def test_published_widths_and_taps() -> None:
    spec = inception()
    branches = [f"block{i}_{kind}{k}" for i in range(9) for kind in ("res", "dw") for k in (1, 3, 5)]
    assert spec.widths == {"stem": 64, "down1": 128, "trunk": 256, **dict.fromkeys(branches, 42), "up1": 128, "up2": 64}
    assert spec.taps == ("down2", "block2", "block5", "block8")


@pytest.mark.parametrize("kernels", [(), (2,), (1, 3, 3), (-1, 3)])
def test_invalid_kernels(kernels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"inception kernels=.*: use different odd sizes, such as \(1, 3, 5\)"):
        inception(4, kernels=kernels)
