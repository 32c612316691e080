"""The trace and the declarations test each other: on networks of ours the traced table is the declared one, up to names."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim, Part, channel_map, dims_of
from pocketgan.core.spec import Spec
from pocketgan.foreign.trace import trace
from zoo import SPECS, in_channels, size

Table = dict[tuple[str, int], list[Part]]

UNTRACED = ("multiscale", "ms-image", "stylegan2-discriminator")
"""Of several outputs, and with a convolution that is no layer (a fixed filter), whose channels the trace does not follow."""

SINGLE = {name: spec for name, spec in SPECS.items() if spec.name not in UNTRACED and not spec.inputs}
"""Networks that give one tensor for one image."""


def bare(model: nn.Module) -> nn.Module:
    """A copy whose widths are plain numbers."""
    model = copy.deepcopy(model)
    for module in model.modules():
        for name, dim in dims_of(module).items():
            setattr(module, name, int(dim))
        module.GATES = {}  # type: ignore[assignment]
    return model


def described(model: nn.Module, image: Tensor) -> nn.Module:
    """The same with the traced widths."""
    found = trace(model, image)
    for name, attributes in found.dims.items():
        for attribute, dim in attributes.items():
            setattr(model.get_submodule(name), attribute, dim)
    for name, axes in found.axes.items():
        module = model.get_submodule(name)
        module.AXES = {**getattr(module, "AXES", {}), **axes}  # type: ignore[assignment]
    return model


def table_of(model: nn.Module) -> Table:
    """``{(tensor, axis): its parts}``, without parts of width 0, which leave no trace."""
    found = {}
    for tensor, axes in channel_map(model).items():
        for axis, dim in axes.items():
            if parts := [part for part in dim.parts if part.width]:
                found[tensor, axis] = parts
    return found


def renamed(table: Table) -> Table:
    """The groups numbered in the order in which they occur, so that tables with other names can be equal."""
    names: dict[str, str] = {}
    return {
        place: [part._replace(group=names.setdefault(part.group, f"group {len(names)}")) for part in table[place]]
        for place in sorted(table)
    }


@pytest.mark.parametrize("spec", SINGLE.values(), ids=SINGLE)
def test_the_traced_table_is_the_declared_one(spec: Spec) -> None:
    model = spec.build()
    traced = described(bare(model), torch.zeros(1, in_channels(spec), *size(spec)))
    assert renamed(table_of(traced)) == renamed(table_of(model))


def test_a_table_of_other_widths_is_another_table() -> None:
    """The comparison above notices a split group, a lost repetition, another order."""

    def table(*dims: Dim) -> Table:
        return {(f"layer{k}.weight", 0): list(dim.parts) for k, dim in enumerate(dims)}

    a, b = Dim.of("a", 3), Dim.of("b", 3)
    assert renamed(table(a, a, b)) == renamed(table(b, b, a))
    assert renamed(table(a, a)) != renamed(table(a, b))
    assert renamed(table(a * 2)) != renamed(table(a + a))
    assert renamed(table(a + b, a)) != renamed(table(a + b, b))
