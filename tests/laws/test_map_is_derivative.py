"""Law 4: the declared map is the derivative of the shapes, found by building with one width one larger."""

from collections.abc import Mapping

import torch

from pocketgan.core.dims import channel_map, named_tensors
from pocketgan.core.spec import Spec
from zoo import every_example

Growth = dict[tuple[str, int, str], int]
"""``{(tensor, axis, group): numbers more for one channel more}``."""


def shapes(spec: Spec, widths: Mapping[str, int]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in named_tensors(spec.resized(widths).build(device="meta"))}


def derivative(spec: Spec) -> Growth:
    """By finite differences; a group that is absent has no shapes to differ."""
    whole, grown = shapes(spec, {}), {}
    for group, width in spec.widths.items():
        if width == 0:
            continue
        for name, shape in shapes(spec, {group: width + 1}).items():
            for axis, (old, new) in enumerate(zip(whole[name], shape, strict=True)):
                if new != old:
                    grown[name, axis, group] = new - old
    return grown


def declared(spec: Spec) -> Growth:
    found: Growth = {}
    for name, axes in channel_map(spec.build(device="meta")).items():
        for axis, dim in axes.items():
            for group, width, each in dim.parts:
                if width > 0:
                    found[name, axis, group] = found.get((name, axis, group), 0) + each
    return found


@every_example
def test_declared_map_is_the_derivative_of_the_shapes(spec: Spec) -> None:
    assert declared(spec) == derivative(spec)


@every_example
def test_every_present_group_sizes_something(spec: Spec) -> None:
    assert {group for _, _, group in derivative(spec)} == {group for group, width in spec.widths.items() if width > 0}
