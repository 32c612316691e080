"""The published search spaces and configurations, and spaces that a user writes in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.core.errors import unknown
from pocketgan.core.registry import Registry
from pocketgan.core.spec import Spec
from pocketgan.search.space import Gene, Space, format_numbers, parse_numbers

SPACES: Registry[Callable[[Mapping[str, int]], tuple[Gene, ...]]] = Registry("search space")
"""Functions from a network's widths to the genes of a published space."""


class Number(NamedTuple):
    """What one number of a published configuration means: the groups are ``times`` that number wide."""

    name: str
    groups: tuple[str, ...]
    times: int


def resnet_numbers(groups: Sequence[str], *, numbers: int = 8, legacy: bool = False) -> tuple[Number, ...]:
    """What the numbers of a (mobile) ResNet's configuration drive (GAN Compression, ``sub_mobile_resnet_generator``).

    Eight: stem, down1, trunk, the hidden widths of the first, second and last third of the blocks, up1, up2; in units of
    the stem, so 2x at half and 4x at a quarter of the resolution. Six: one hidden width for all blocks. ``legacy`` (the
    published edges2shoes checkpoint): only the first block of each third follows its number, the others the trunk's.
    Raises ``ValueError`` for groups that are not those of a ResNet of at least three blocks.
    """
    blocks = sum(group.startswith("block") for group in groups)
    if blocks < 3 or set(groups) != {"stem", "down1", "trunk", "up1", "up2", *(f"block{i}" for i in range(blocks))}:
        raise ValueError(
            "published ResNet configurations are for networks with the groups stem, down1, trunk, block0, block1, block2, "
            f"..., up1, up2; this one has {', '.join(groups)}"
        )
    if numbers not in (6, 8):
        raise ValueError(f"a ResNet configuration has 8 numbers, or 6 with one for all blocks; found {numbers}")
    bounds = [round(blocks * k / 3) for k in range(4)]
    thirds = [[f"block{i}" for i in range(a, b)] for a, b in pairwise(bounds)]
    free = [third[:1] if legacy else third for third in thirds]
    tied = [name for third in thirds for name in third[1:]] if legacy else []
    hidden = [[name for third in free for name in third]] if numbers == 6 else free
    return (
        Number("stem", ("stem",), 1),
        Number("down1", ("down1",), 2),
        Number("trunk", ("trunk", *tied), 4),
        *(Number("blocks" if numbers == 6 else f"blocks{k}", tuple(names), 4) for k, names in enumerate(hidden, 1)),
        Number("up1", ("up1",), 2),
        Number("up2", ("up2",), 1),
    )


def _resnet_space(name: str, *choices: tuple[int, ...]) -> None:
    """File a space of the (mobile) ResNet: the choices of its eight numbers."""

    @SPACES.register(name)
    def genes(widths: Mapping[str, int]) -> tuple[Gene, ...]:
        meanings = resnet_numbers(tuple(widths))
        return tuple(Gene(n, groups, own, times) for (n, groups, times), own in zip(meanings, choices, strict=True))


_BY_8 = tuple(range(64, 15, -8))
# GAN Compression, configs/resnet_configs.py: sizes 6 561, 5 184, 390 625 and 5 764 801.
_resnet_space("channels-32", *[(32, 24, 16)] * 8)
_resnet_space("channels-48", *[(48, 32)] * 2, *[(48, 40, 32)] * 4, *[(48, 32, 24, 16)] * 2)
_resnet_space("channels-64-cycleGAN", *[(64, 48, 32, 24, 16)] * 8)
_resnet_space("channels-64-pix2pix", *[_BY_8] * 8)


PARTS = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125)


@SPACES.register("parts")
def parts(widths: Mapping[str, int]) -> tuple[Gene, ...]:
    """From the whole to an eighth of any network: a number a group, or the eight numbers of a ResNet."""
    try:
        meanings = resnet_numbers(tuple(widths))
    except ValueError:
        meanings = tuple(Number(group, (group,), 1) for group, width in widths.items() if width)
    genes = []
    for name, groups, times in meanings:
        unit = min(widths[group] for group in groups) // times
        if unit:
            genes.append(Gene(name, groups, tuple(max(1, round(part * unit)) for part in PARTS), times))
    return tuple(genes)


def make_space(text: str, network: nn.Module | Spec) -> Space:
    """The published space of that name, or the one written out: ``stem=16,24,32 trunk=64..256:32 block*=16..64:8``.

    ``groups=widths``, apart by spaces. Left: a group, a pattern (``block*``, ``block[0-2]``) or several joined by ``+``; all
    that match share one number. Right: widths in channels, single or ``first..last:step``. Groups not named stay whole.
    Raises ``ValueError`` for an unknown name or group and for widths that the network has no room for.
    """
    widths, optional = _described(network)
    if "=" not in text:
        return Space(SPACES[text.strip()](widths), widths, optional)
    return Space(tuple(_gene(part, widths) for part in text.split()), widths, optional)


def parse_configuration(text: str, network: nn.Module | Spec, *, legacy: bool = False) -> dict[str, int]:
    """The widths that a published configuration of eight or six numbers stands for, whatever space it is from.

    Raises ``ValueError`` for another form, and for widths that the network has no room for.
    """
    widths, optional = _described(network)
    numbers = parse_numbers(text)
    meanings = resnet_numbers(tuple(widths), numbers=len(numbers), legacy=legacy)
    genes = (Gene(n, groups, (own,), times) for (n, groups, times), own in zip(meanings, numbers, strict=True))
    return Space(tuple(genes), widths, optional).widths(numbers)


def format_configuration(widths: Mapping[str, int], *, numbers: int = 8, legacy: bool = False) -> str:
    """The published configuration of those widths; ``ValueError`` where none has that form."""
    meanings = resnet_numbers(tuple(widths), numbers=numbers, legacy=legacy)
    return format_numbers(tuple(Gene(n, groups, (1,), times).read(widths) for n, groups, times in meanings))


def _described(network: nn.Module | Spec) -> tuple[dict[str, int], frozenset[str]]:
    if isinstance(network, Spec):
        return dict(network.widths), network.optional()
    return widths_of(network), removable_groups(network)


def _gene(part: str, widths: Mapping[str, int]) -> Gene:
    names, equals, choices = part.partition("=")
    if not (names and equals and choices):
        raise ValueError(f"'{part}' is not understood; write group=widths, like stem=16,24,32 or block*=16..64:8")
    groups = [group for pattern in names.split("+") for group in _matching(pattern, widths)]
    return Gene(names, tuple(dict.fromkeys(groups)), tuple(n for choice in choices.split(",") for n in _choices(choice, part)))


def _matching(pattern: str, widths: Mapping[str, int]) -> list[str]:
    found = [group for group in widths if fnmatchcase(group, pattern)]
    if not found:
        raise unknown("group", pattern, widths)
    return found


def _choices(text: str, part: str) -> range:
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+):(\d+))?", text)
    if match is None:
        raise ValueError(f"'{text}' in '{part}' is not understood; write a width (24) or a range with its step (16..64:8)")
    first, last, step = (int(number) if number else None for number in match.groups())
    assert first is not None
    if last is None or step is None:
        return range(first, first + 1)
    if step < 1 or last < first:
        raise ValueError(f"'{text}' in '{part}' holds no width; a range rises from its first to its last by at least 1")
    return range(first, last + 1, step)
