"""The published search spaces and configurations, and spaces that a user writes in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.core.registry import Registry
from pocketgan.core.spec import Spec
from pocketgan.search.families import GeneTemplate, family_of, published_genes
from pocketgan.search.space import Gene, Space, format_widths, parse_widths
from pocketgan.utils.errors import unknown

SPACES: Registry[Callable[[Mapping[str, int]], tuple[Gene, ...]]] = Registry("search space")
"""Functions from a network's widths to the genes of a published space."""


def _published(name: str, **families: Sequence[tuple[int, ...]]) -> None:
    """File a space under its published name: the choices of its numbers, by the family of networks they are for."""

    @SPACES.register(name)
    def genes(widths: Mapping[str, int]) -> tuple[Gene, ...]:
        numbers, family = published_genes(tuple(widths)), family_of(tuple(widths)).name
        if family not in families:
            raise ValueError(f"{name} is a space of {' and '.join(families)} generators, this is a {family} generator")
        choices = families[family][-len(numbers) :]  # a MUNIT without style encoder lacks the first number
        return tuple(number.gene(own) for number, own in zip(numbers, choices, strict=True))


_BY_8 = tuple(range(64, 15, -8))
# GAN Compression, configs/resnet_configs.py: sizes 6 561, 5 184, 390 625 and 5 764 801; configs/spade_configs.py: 15 552,
# 128 000, 390 625 and 5 764 801; configs/munit_configs.py: 282 475 249.
_published("channels-32", ResNet=[(32, 24, 16)] * 8)
_published(
    "channels-48",
    ResNet=[*[(48, 32)] * 2, *[(48, 40, 32)] * 4, *[(48, 32, 24, 16)] * 2],
    SPADE=[*[(48, 40, 32)] * 5, *[(48, 40, 32, 24)] * 3],
)
_published("channels-64", SPADE=[*[(64, 48, 40, 32)] * 5, *[(64, 48, 40, 32, 24)] * 3], MUNIT=[_BY_8] * 10)
_published("channels-64-coco", SPADE=[(64, 48, 40, 32, 24)] * 8)
_published("channels-64-cycleGAN", ResNet=[(64, 48, 32, 24, 16)] * 8)
_published("channels-64-pix2pix", ResNet=[_BY_8] * 8)
_published("channels-64_2", SPADE=[_BY_8] * 8)


PARTS = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125)


@SPACES.register("parts")
def parts(widths: Mapping[str, int]) -> tuple[Gene, ...]:
    """From the whole to an eighth of any network: the numbers of its family (`FAMILIES`), or a number a group."""
    genes = []
    for name, factors in family_of(tuple(widths)).numbers:
        there = GeneTemplate(name, {group: times for group, times in factors.items() if widths[group]})
        unit = min((widths[group] // times for group, times in there.factors.items()), default=0)
        if unit:
            genes.append(there.gene(max(1, round(part * unit)) for part in PARTS))
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
    """The widths that a published configuration stands for, whatever space it is from.

    It has eight or six numbers for a ResNet, eight for a SPADE generator, ten for a MUNIT (nine without its style encoder).
    Raises ``ValueError`` for another form, and for widths that the network has no room for.
    """
    widths, optional = _described(network)
    configuration = parse_widths(text)
    numbers = published_genes(tuple(widths), numbers=len(configuration), legacy=legacy)
    genes = (number.gene((own,)) for number, own in zip(numbers, configuration, strict=True))
    return Space(tuple(genes), widths, optional).widths(configuration)


def format_configuration(widths: Mapping[str, int], *, numbers: int | None = None, legacy: bool = False) -> str:
    """The published configuration of those widths; ``ValueError`` where none has that form."""
    meant = published_genes(tuple(widths), numbers=numbers, legacy=legacy)
    return format_widths(tuple(number.gene((1,)).read(widths) for number in meant))


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
