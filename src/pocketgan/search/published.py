"""Published search spaces and configurations, and spaces that a user writes in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.core.spec import Spec
from pocketgan.search.families import family_of, published_genes
from pocketgan.search.space import Gene, Space, parse_widths
from pocketgan.utils.registry import Registry, listed, unknown

SPACES: Registry[Callable[[Mapping[str, int]], tuple[Gene, ...]]] = Registry("search space")
"""Functions from the widths of a network to the genes of a published space."""


def _register(name: str, **families: Sequence[tuple[int, ...]]) -> None:
    """Register a published space: the choices of its genes, by family of networks."""

    @SPACES.register(name)
    def genes_of(widths: Mapping[str, int]) -> tuple[Gene, ...]:
        genes, (family, _) = published_genes(tuple(widths)), family_of(tuple(widths))
        if family not in families:
            raise ValueError(f"{name} is a space of {' and '.join(families)} generators, this is a {family} generator")
        choices = families[family][-len(genes) :]  # a MUNIT without style encoder lacks the first gene
        return tuple(Gene(*gene, values) for gene, values in zip(genes.items(), choices, strict=True))


_BY_8 = tuple(range(64, 15, -8))
# GAN Compression, configs/resnet_configs.py: sizes 6 561, 5 184, 390 625 and 5 764 801; configs/spade_configs.py: 15 552,
# 128 000, 390 625 and 5 764 801; configs/munit_configs.py: 282 475 249.
_register("channels-32", ResNet=[(32, 24, 16)] * 8)
_register(
    "channels-48",
    ResNet=[*[(48, 32)] * 2, *[(48, 40, 32)] * 4, *[(48, 32, 24, 16)] * 2],
    SPADE=[*[(48, 40, 32)] * 5, *[(48, 40, 32, 24)] * 3],
)
_register("channels-64", SPADE=[*[(64, 48, 40, 32)] * 5, *[(64, 48, 40, 32, 24)] * 3], MUNIT=[_BY_8] * 10)
_register("channels-64-coco", SPADE=[(64, 48, 40, 32, 24)] * 8)
_register("channels-64-cycleGAN", ResNet=[(64, 48, 32, 24, 16)] * 8)
_register("channels-64-pix2pix", ResNet=[_BY_8] * 8)
_register("channels-64_2", SPADE=[_BY_8] * 8)


PARTS = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125)


@SPACES.register("parts")
def parts(widths: Mapping[str, int]) -> tuple[Gene, ...]:
    """From the full width to an eighth of any network: the genes of its family (`FAMILIES`), or a gene per group."""
    genes = []
    for name, factors in family_of(tuple(widths))[1].items():
        present = {group: factor for group, factor in factors.items() if widths[group]}
        unit = min((widths[group] // factor for group, factor in present.items()), default=0)
        if unit:
            genes.append(Gene(name, present, tuple(max(1, round(part * unit)) for part in PARTS)))
    return tuple(genes)


def make_space(text: str, network: nn.Module | Spec) -> Space:
    """Published space of that name, or one written out: ``stem=16,24,32 trunk=64..256:32 block*=16..64:8``.

    ``groups=widths``, separated by spaces. Left: a group, a pattern (``block*``, ``block[0-2]``) or several joined by ``+``;
    all matching groups share a gene. Right: widths in channels, single or ``first..last:step``. Groups not named keep their
    width. Raises ``ValueError`` for an unknown name or group and for widths above those of the network.
    """
    widths, optional = _widths_and_optional(network)
    if "=" not in text:
        return Space(SPACES[text.strip()](widths), widths, optional)
    return Space(tuple(_parse_gene(part, widths) for part in text.split()), widths, optional)


def parse_configuration(text: str, network: nn.Module | Spec, *, legacy: bool = False) -> dict[str, int]:
    """Widths of a published configuration, from any space.

    Eight or six genes for a ResNet, eight for a SPADE generator, ten for a MUNIT (nine without its style encoder). Raises
    ``ValueError`` for another form, and for widths above those of the network.
    """
    widths, optional = _widths_and_optional(network)
    configuration = parse_widths(text)
    genes = published_genes(tuple(widths), count=len(configuration), legacy=legacy)
    fixed = tuple(Gene(*gene, (value,)) for gene, value in zip(genes.items(), configuration, strict=True))
    return Space(fixed, widths, optional).widths(configuration)


def _widths_and_optional(network: nn.Module | Spec) -> tuple[dict[str, int], frozenset[str]]:
    if isinstance(network, Spec):
        return dict(network.widths), network.optional()
    return widths_of(network), removable_groups(network)


def _parse_gene(part: str, widths: Mapping[str, int]) -> Gene:
    names, equals, choices = part.partition("=")
    if not (names and equals and choices):
        raise ValueError(f"'{listed([part])}' is not understood; write group=widths, like stem=16,24,32 or block*=16..64:8")
    groups: dict[str, int] = {}
    for pattern in names.split("+"):
        found = [group for group in widths if fnmatchcase(group, pattern)]
        if not found:
            raise unknown("group", pattern, widths)
        groups |= dict.fromkeys(found, 1)
    most = max(widths[group] for group in groups)
    return Gene(names, groups, tuple(value for choice in choices.split(",") for value in _parse_choices(choice, part, most)))


def _parse_choices(text: str, part: str, most: int) -> range:
    match, here = re.fullmatch(r"(\d{1,9})(?:\.\.(\d{1,9}):(\d{1,9}))?", text), f"'{listed([text])}' in '{listed([part])}'"
    if match is None:
        raise ValueError(f"{here} is not understood; write a width (24) or a range with its step (16..64:8)")
    first, last, step = (int(value or 0) for value in match.groups())
    if match[2] is None:
        return range(first, first + 1)
    if step < 1 or last < first:
        raise ValueError(f"{here} holds no width; a range rises from its first to its last by at least 1")
    if last > most:
        raise ValueError(f"{here} goes beyond the {most} channels of the widest of these groups")
    return range(first, last + 1, step)
