"""Reconstruction: rows are what a layer reads, what is kept whole stays, what can be made up for is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pocketgan.core.dims import channel_map, is_depthwise
from pocketgan.core.inputs import ModelInputs, as_tuple
from pocketgan.core.spec import Spec
from pocketgan.pruning.reconstruct import _flat, _groups, _solve_, _Target, _weights, layer_rows, reconstruct_
from pocketgan.pruning.selection import prefix, resize, shrink
from zoo import SPECS, example, example_input, one_of_each_block, predict

LAYERS = {
    "conv": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "stride": lambda: nn.Conv2d(4, 6, (3, 5), stride=(2, 3), padding=(1, 0)),
    "dilation": lambda: nn.Conv2d(4, 6, 3, padding=2, dilation=2, bias=False),
    "same": lambda: nn.Conv2d(4, 6, (3, 5), padding="same"),
    "reflect": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "groups": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(4, 8, 3, padding=1, groups=4),
    "transposed": lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
    "transposed groups": lambda: nn.ConvTranspose2d(4, 6, (4, 3), stride=(2, 1), padding=(1, 0), groups=2, dilation=(1, 2)),
    "linear": lambda: nn.Linear(4, 6),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_rows_times_weights_is_the_layer(kind: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]().double()
    x = torch.randn(11, 4).double() if kind == "linear" else torch.randn(4, 9, 7).double()
    expected = layer(x[None])[0]
    flat = expected if kind == "linear" else expected.flatten(1).T
    rows = layer_rows(layer, x, torch.arange(len(flat)))
    torch.testing.assert_close((rows @ _weights(layer)).transpose(0, 1).flatten(1), flat)


@pytest.mark.parametrize("kind", LAYERS)
def test_no_layer_is_worse_than_its_inherited_weights(kind: str) -> None:
    """On all rows, and equal to ordinary least squares where the ridge does not matter."""
    torch.manual_seed(0)
    layer, x = (
        LAYERS[kind]().double(),
        torch.randn(16, 11, 4).double() if kind == "linear" else torch.randn(16, 4, 9, 7).double(),
    )
    y = _flat(layer(x)).detach()
    y += torch.randn_like(y)
    places = torch.arange(y.shape[1])
    rows = torch.cat([layer_rows(layer, image, places) for image in x], 1)
    goal = y.flatten(0, 1).reshape(rows.shape[1], _groups(layer), -1).transpose(0, 1)
    before = (goal - rows @ _weights(layer)).square().sum().item()
    with torch.no_grad():
        error = _solve_(layer, x, _Target([places], [y]))
    after = (goal - rows @ _weights(layer)).square().sum().item()
    best = (goal - rows @ torch.linalg.lstsq(rows, goal).solution).square().sum().item()
    assert best <= after * (1 + 1e-9)
    assert after <= before
    assert error.reconstructed <= error.inherited


def batches(spec: Spec) -> list[ModelInputs]:
    x = as_tuple(example_input(spec, batch=4, dtype=torch.float64))
    return [tuple(tensor[start : start + 2] for tensor in x) for start in (0, 2)]


@one_of_each_block
def test_a_network_that_keeps_everything_keeps_its_weights(spec: Spec) -> None:
    shared = example(spec)
    same, everything = shrink(shared.model, {}), as_tuple(example_input(spec, batch=4, dtype=torch.float64))
    errors = reconstruct_(same, copy.deepcopy(shared.model), {}, [everything])
    assert all(torch.equal(tensor, shared.model.state_dict()[name]) for name, tensor in same.state_dict().items())
    assert {error.ridge for error in errors.values()} == {None}


@one_of_each_block
def test_each_layer_comes_nearer_to_the_teacher(spec: Spec) -> None:
    shared = example(spec)
    student = copy.deepcopy(shared.small)
    errors = reconstruct_(student, copy.deepcopy(shared.model), shared.selection, batches(spec))
    changed = {
        name for name, tensor in student.state_dict().items() if not torch.equal(tensor, shared.small.state_dict()[name])
    }
    assert {name.rpartition(".")[0] for name in changed} == {name for name, error in errors.items() if error.ridge is not None}
    assert len(changed) > 0
    assert all(error.reconstructed <= error.inherited for error in errors.values())


@pytest.mark.parametrize("name", ["resnet-batch", "unet-depth-3-instance"])
def test_the_order_of_the_kept_channels_changes_nothing(name: str) -> None:
    shared, outputs = example(SPECS[name]), []
    turned = {group: kept.flip(0) for group, kept in shared.selection.items()}
    for selection in (shared.selection, turned):
        student = shrink(shared.model, selection)
        reconstruct_(student, copy.deepcopy(shared.model), selection, batches(SPECS[name]))
        outputs.append(predict(student, shared.x))
    torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet-batch", "mobile-resnet-absent-block", "unet-depth-3-instance"])
def test_channels_that_repeat_others_are_made_up_for(name: str) -> None:
    """A network with every channel twice, at half of the weight, is the network itself; with each once it is so again."""
    small = example(SPECS[name])
    table = channel_map(small.model)

    def twice(tensor_name: str, tensor: Tensor) -> Tensor:
        for axis, dim in table.get(tensor_name, {}).items():
            pieces = tensor.split([part.width * part.repeat for part in dim.parts], axis)
            reads = is_input_axis(small.model, tensor_name, axis)
            tensor = torch.cat([torch.cat([piece, piece], axis) for piece in pieces], axis) / (2 if reads else 1)
        return tensor.clone()

    teacher = resize(small.model, {group: 2 * width for group, width in small.widths.items()}, twice)
    torch.testing.assert_close(predict(teacher, small.x), small.output)
    student = shrink(teacher, prefix(small.widths))
    before = (predict(student, small.x) - small.output).square().mean()
    reconstruct_(student, teacher, prefix(small.widths), batches(SPECS[name]))
    assert (predict(student, small.x) - small.output).square().mean() < 1e-3 * before


def is_input_axis(model: nn.Module, tensor: str, axis: int) -> bool:
    module = model.get_submodule(tensor.rpartition(".")[0])
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or is_depthwise(module) or tensor.endswith("bias"):
        return False
    return axis == (0 if isinstance(module, nn.ConvTranspose2d) else 1)
