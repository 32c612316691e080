import pytest
import torch
from torch import nn

from pocketgan.models.layers import ConvNormAct, SeparableConv2d, Shift, make_norm, needs_bias


@pytest.mark.parametrize(
    ("kind", "tensors"),
    [
        ("instance", []),
        ("instance_affine", ["weight", "bias"]),
        ("batch", ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]),
    ],
)
def test_the_tensors_of_each_norm(kind: str, tensors: list[str]) -> None:
    norm = make_norm(kind, 5)  # type: ignore[arg-type]
    assert list(norm.state_dict()) == tensors
    assert needs_bias(kind) == (kind != "batch")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["instance_affine", "batch"])
@pytest.mark.parametrize("separable", [False, True], ids=["dense", "separable"])
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_the_constant_output_without_input_channels(kind: str, separable: bool, training: bool) -> None:
    """The output of evaluation for an input of zeros, the same at every pixel."""
    conv = SeparableConv2d(4, 3, norm="instance", bias=True) if separable else nn.Conv2d(4, 3, 1)
    unit = ConvNormAct(conv, make_norm(kind, 3)).double()  # type: ignore[arg-type]
    for tensor in unit.norm.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2)
    expected = unit.eval()(torch.zeros(1, 4, 6, 6, dtype=torch.float64))
    before = {name: tensor.clone() for name, tensor in unit.state_dict().items()}
    constant = unit.train(training).constant()
    torch.testing.assert_close(constant[None, :, None, None].expand_as(expected), expected)
    assert unit.norm.training == training
    assert all(torch.equal(tensor, before[name]) for name, tensor in unit.state_dict().items())


def test_a_separable_convolution_is_its_dense_product() -> None:
    """Without the norm between them, the two halves are one dense convolution of rank one a channel."""
    layer = SeparableConv2d(3, 5, norm="instance", bias=False).double()
    layer.norm = nn.Identity()
    dense = nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect", bias=False).double()
    dense.weight.data = layer.pointwise.weight * layer.depthwise.weight.transpose(0, 1)
    x = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    torch.testing.assert_close(layer(x), dense(x))


def test_a_shift_is_one_constant_a_channel() -> None:
    shift = Shift(3)
    shift.value.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert (torch.zeros(2, 3, 4, 4) + shift()).unique(dim=0).shape == (1, 3, 4, 4)
    assert shift()[:, 0, 0].tolist() == [1, 2, 3]
