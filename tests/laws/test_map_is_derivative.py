"""Law 4: the declared map is the derivative of the shapes, found by building with larger widths."""

from collections.abc import Mapping

import torch

from pocketgan.core.dims import FIXED, channel_map, named_tensors
from pocketgan.core.spec import Spec
from zoo import every_example

BASE = 20
"""Above the numbers that one channel of a group adds to any axis."""
AT_ONCE = 4
Growth = dict[tuple[str, int, str], int]
"""``{(tensor, axis, group): numbers more for one channel more}``."""


def shapes(spec: Spec, widths: Mapping[str, int]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in named_tensors(spec.resized(widths).build(device="meta"))}


def derivative(spec: Spec) -> Growth:
    """By finite differences; an absent group has no shapes that could differ.

    A few groups at a time, each grown by another power of ``BASE``: the digits of a growth are the parts of the groups.
    """
    original, grown = shapes(spec, {}), {}
    present = [group for group, width in spec.widths.items() if width > 0]
    for start in range(0, len(present), AT_ONCE):
        groups = present[start : start + AT_ONCE]
        wider = {group: spec.widths[group] + BASE**place for place, group in enumerate(groups)}
        for name, shape in shapes(spec, wider).items():
            for axis, (old, new) in enumerate(zip(original[name], shape, strict=True)):
                assert 0 <= new - old < BASE**AT_ONCE
                for place, group in enumerate(groups):
                    if digit := (new - old) // BASE**place % BASE:
                        grown[name, axis, group] = digit
    return grown


def declared(spec: Spec) -> Growth:
    table: Growth = {}
    for name, axes in channel_map(spec.build(device="meta")).items():
        for axis, dim in axes.items():
            for group, width, repeat in dim.parts:
                if width > 0 and group != FIXED:
                    table[name, axis, group] = table.get((name, axis, group), 0) + repeat
    return table


@every_example
def test_declared_map_is_the_derivative_of_the_shapes(spec: Spec) -> None:
    growth = derivative(spec)
    assert declared(spec) == growth
    assert {group for _, _, group in growth} == {group for group, width in spec.widths.items() if width > 0}
