"""Law 4: the declared map is the derivative of the shapes, found by building with larger widths."""

from collections.abc import Mapping

import torch

from pocketgan.core.dims import FIXED, channel_map, named_tensors
from pocketgan.core.spec import Spec
from zoo import every_example, once

BASE = 20
"""Above any number of channels that one channel of a group adds to an axis."""
Growth = dict[tuple[str, int, str], int]
"""``{(tensor, axis, group): numbers more for one channel more}``."""


def shapes(spec: Spec, widths: Mapping[str, int]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in named_tensors(spec.resized(widths).build(device="meta"))}


@once
def derivative(spec: Spec) -> Growth:
    """By finite differences; a group that is absent has no shapes to differ.

    A few groups at a time, each grown by another power of ``BASE``: the digits of a growth say which group has what part.
    """
    whole, grown = shapes(spec, {}), {}
    present = [group for group, width in spec.widths.items() if width > 0]
    for groups in batched(present, 4):
        more = {group: BASE**place for place, group in enumerate(groups)}
        for name, shape in shapes(spec, {group: spec.widths[group] + extra for group, extra in more.items()}).items():
            for axis, (old, new) in enumerate(zip(whole[name], shape, strict=True)):
                assert 0 <= new - old < BASE**4
                for place, group in enumerate(groups):
                    if digit := (new - old) // BASE**place % BASE:
                        grown[name, axis, group] = digit
    return grown


def batched(groups: list[str], count: int) -> list[list[str]]:
    return [groups[start : start + count] for start in range(0, len(groups), count)]


def declared(spec: Spec) -> Growth:
    found: Growth = {}
    for name, axes in channel_map(spec.build(device="meta")).items():
        for axis, dim in axes.items():
            for group, width, each in dim.parts:
                if width > 0 and group != FIXED:
                    found[name, axis, group] = found.get((name, axis, group), 0) + each
    return found


@every_example
def test_declared_map_is_the_derivative_of_the_shapes(spec: Spec) -> None:
    assert declared(spec) == derivative(spec)


@every_example
def test_every_present_group_sizes_something(spec: Spec) -> None:
    assert {group for _, _, group in derivative(spec)} == {group for group, width in spec.widths.items() if width > 0}
