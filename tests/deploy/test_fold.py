"""Folding of batch norms: the same function, without a batch norm anywhere."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pocketgan.core.spec import Spec
from pocketgan.deploy import export_onnx
from pocketgan.deploy.fold import PerChannel, fold_norms
from pocketgan.models.layers import ConvNormAct, SeparableConv2d
from pocketgan.pruning.calibrate import tracked
from pocketgan.pruning.gate import add_gates_
from zoo import every_example, example_input, generate, randomize_, randomized


def kinds(model: nn.Module) -> Counter[type[nn.Module]]:
    return Counter(type(module) for module in model.modules())


@every_example
def test_every_network_computes_the_same_without_batch_norms(spec: Spec) -> None:
    model, image = randomized(spec, dtype=torch.float64), example_input(spec, dtype=torch.float64)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_norms(model)
    with torch.no_grad():
        torch.testing.assert_close(generate(folded, image), generate(model, image), rtol=1e-9, atol=1e-9)
    assert not kinds(folded)[nn.BatchNorm2d]
    assert kinds(folded)[nn.InstanceNorm2d] == kinds(model)[nn.InstanceNorm2d]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    # A norm with a gate after it goes into the convolution before it, which costs nothing.
    folding = [
        module.get_submodule(child)
        for module in model.modules()
        for child, producer in getattr(module, "GATES", {}).items()
        if isinstance(module.get_submodule(producer), nn.Conv2d | nn.ConvTranspose2d | SeparableConv2d)
    ]
    left = kinds(model)[nn.BatchNorm2d] - sum(isinstance(norm, nn.BatchNorm2d) for norm in folding)
    assert kinds(folded)[PerChannel] <= left
    again = fold_norms(folded).state_dict()
    assert again.keys() == folded.state_dict().keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in folded.state_dict().items())


@pytest.mark.parametrize(
    "conv",
    [
        lambda: nn.Conv2d(3, 5, 3, padding=1),
        lambda: nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect", bias=False),
        lambda: nn.Conv2d(3, 6, 3, padding=1, groups=3),
        lambda: nn.ConvTranspose2d(3, 5, 3, 2, 1, 1),
        lambda: nn.ConvTranspose2d(3, 5, 4, 2, 1, bias=False),
        lambda: nn.ConvTranspose2d(3, 6, 4, 2, 1, groups=3),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 5, 3)),
        lambda: SeparableConv2d(3, 5, norm="batch", bias=False),
    ],
)
@pytest.mark.parametrize("affine", [True, False])
def test_every_kind_of_convolution(conv: object, affine: bool) -> None:
    layer = conv()  # type: ignore[operator]
    channels = layer.pointwise.out_channels if isinstance(layer, SeparableConv2d) else layer.out_channels
    model = randomize_(ConvNormAct(layer, nn.BatchNorm2d(channels, affine=affine), nn.ReLU())).double().eval()
    image = torch.randn(2, 3, 8, 10, dtype=torch.float64)
    folded = fold_norms(model)
    torch.testing.assert_close(generate(folded, image), generate(model, image), rtol=1e-9, atol=1e-9)
    special = hasattr(layer, "parametrizations") or (isinstance(layer, nn.ConvTranspose2d) and layer.groups > 1)
    assert kinds(folded)[PerChannel] == int(special)


class Alone(nn.Module):
    """A norm without parameters after an activation, as in SPADE."""

    stride, in_channels = 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.act, self.norm = nn.ReLU(), nn.BatchNorm2d(3, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.act(x)).tanh()


class Branches(nn.Module):
    """A norm after a sum of two branches, folded by the module that holds it."""

    stride, in_channels = 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = ConvNormAct(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.ReLU()), nn.Conv2d(3, 4, 3, padding=1)
        self.last, self.post = nn.Conv2d(5, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        total = self.last(self.a(x)) + self.b(x)
        return (total if self.post is None else self.post(total)).tanh()

    def fold_norm_(self) -> None:
        if self.post is None:
            return
        factor = self.post.weight * (self.post.running_var + self.post.eps).rsqrt()
        for conv in (self.last, self.b):
            conv.weight.mul_(factor[:, None, None, None])
            conv.bias.mul_(factor)
        self.b.bias.add_(self.post.bias - self.post.running_mean * factor)
        self.post = None


@pytest.mark.parametrize(("kind", "left"), [(Alone, 1), (Branches, 0)])
def test_norms_that_no_single_convolution_feeds(kind: type[nn.Module], left: int) -> None:
    model = randomize_(kind()).eval()
    folded, image = fold_norms(model), torch.randn(2, 3, 6, 7)
    torch.testing.assert_close(generate(folded, image), generate(model, image), rtol=1e-5, atol=1e-5)
    assert (kinds(folded)[nn.BatchNorm2d], kinds(folded)[PerChannel]) == (0, left)
    torch.testing.assert_close(fold_norms(folded)(image), folded(image), rtol=0, atol=0)


def test_a_gate_stays_where_it_was() -> None:
    model = randomize_(ConvNormAct(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))).eval()
    for gate in add_gates_(model).values():
        gate.mask = torch.tensor([1.0, 0.0, 0.5, 1.0, 0.0])
    image = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(fold_norms(model)(image), model(image), rtol=1e-5, atol=1e-5)


def test_a_shared_convolution_keeps_its_filter() -> None:
    model = nn.Sequential(*(ConvNormAct(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(2)))
    model[1].conv = model[0].conv
    randomize_(model).eval()
    image = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(fold_norms(model)(image), model(image), rtol=1e-5, atol=1e-5)


class Untracked(Branches):
    def __init__(self) -> None:
        super().__init__()
        self.a.norm = nn.BatchNorm2d(5, track_running_stats=False)


def test_a_norm_without_statistics_is_refused_by_name_with_the_way_out(tmp_path: Path) -> None:
    model = randomize_(Untracked()).eval()
    with pytest.raises(
        ValueError, match=r"layer 'a\.norm' is a batch norm without running statistics: .*tracked\(model, images"
    ):
        export_onnx(model, tmp_path / "g.onnx", size=8)
    assert not list(tmp_path.iterdir())
    image = torch.randn(4, 3, 8, 8)
    model = tracked(copy.deepcopy(model), [image])
    torch.testing.assert_close(fold_norms(model)(image), model(image), rtol=1e-5, atol=1e-5)
