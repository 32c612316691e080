"""Families of networks: which of their widths go together, and what the numbers of a published configuration mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from pocketgan.models.munit_layers import STYLE
from pocketgan.search.space import Gene


class GeneTemplate(NamedTuple):
    """What one number of a configuration means: each group is so many times that number wide."""

    name: str
    factors: Mapping[str, int]
    """``{group: how many times}``."""

    def gene(self, choices: Iterable[int]) -> Gene:
        """The gene with these choices."""
        return Gene(self.name, tuple(self.factors), tuple(choices), tuple(self.factors.values()))


class Family(NamedTuple):
    """Some groups, and the numbers that drive them."""

    name: str
    numbers: tuple[GeneTemplate, ...]


_SHELL = {"stem": 1, "down1": 2, "trunk": 4, "up1": 2, "up2": 1}
"""A ResNet without its blocks, in units of the stem."""

_MLP = "mlp"
"""The number of MUNIT's MLP, which no published configuration has."""

_PUBLISHED = {"SPADE": ((8,), "8 numbers"), "MUNIT": ((10, 9), "10 numbers, 9 without a style encoder")}
"""How many numbers a configuration has, and in words; the ResNet's has several forms."""


def family_of(groups: Sequence[str]) -> Family:
    """The family of a network by the names of its groups, one of `FAMILIES`.

    ``other`` where it is none of them: then every group has a number of its own.
    """
    for name, latent_from_seed in FAMILIES.items():
        numbers = latent_from_seed(groups)
        if {group for number in numbers for group in number.factors} == set(groups):
            return Family(name, numbers)
    return Family("other", tuple(GeneTemplate(group, {group: 1}) for group in groups))


def published_genes(groups: Sequence[str], *, numbers: int | None = None, legacy: bool = False) -> tuple[GeneTemplate, ...]:
    """What so many numbers of a published configuration drive in a network of these groups; by default as many as it has.

    Raises ``ValueError`` for a network that none was published for, and for another count of numbers.
    """
    family = family_of(groups)
    if family.name == "ResNet":
        return resnet_genes(groups, numbers=numbers or 8, legacy=legacy)
    wanted, said = _PUBLISHED.get(family.name, ((), ""))
    own = tuple(number for number in family.numbers if number.name != _MLP)
    if len(own) not in wanted:
        raise ValueError(
            "published configurations are for networks with the groups stem, down1, trunk, block0, block1, block2, ..., up1, "
            f"up2 (ResNet), for SPADE generators of 5 or 6 upsamplings, and for MUNIT; this one has {', '.join(groups)}"
        )
    if numbers not in (None, len(own)) or legacy:
        raise ValueError(f"a {family.name} configuration has {said} and no legacy form; found {numbers or len(own)}")
    return own


def resnet_genes(groups: Sequence[str], *, numbers: int = 8, legacy: bool = False) -> tuple[GeneTemplate, ...]:
    """What the numbers of a (mobile) ResNet's configuration drive (GAN Compression, ``sub_mobile_resnet_generator``).

    Eight: stem, down1, trunk, the hidden widths of the first, second and last third of the blocks, up1, up2; in units of
    the stem, so 2x at half and 4x at a quarter of the resolution. Six: one hidden width for all blocks. ``legacy`` (the
    published edges2shoes checkpoint): only the first block of each third follows its number, the others the trunk's. None for
    fewer than three blocks.
    """
    if numbers not in (6, 8):
        raise ValueError(f"a ResNet configuration has 8 numbers, or 6 with one for all blocks; found {numbers}")
    blocks = [[group] for group in groups if re.fullmatch(r"block\d+", group)]
    if len(blocks) < 3:
        return ()
    tied = [name for third in _split(blocks, 3) for name in third[1:]] if legacy else []
    return _in_shell([block for block in blocks if block[0] not in tied], tied, shared=numbers == 6, times=4)


def spade_genes(groups: Sequence[str]) -> tuple[GeneTemplate, ...]:
    """What the numbers of a (mobile) SPADE generator's configuration drive (GAN Compression, ``sub_mobile_spade_generator``).

    Eight: the trunk, the hidden widths of head, middle0 and middle1 (16x each), then width and output of up0 to up3 (8x, 4x,
    2x, 1x). The modulations of a block are 2x its number wide. An ``up4``, which was not published, is a ninth: its
    modulations are 4x its output.
    """

    def number(block: str, times: int, modulated: int = 2) -> GeneTemplate:
        modulations = {group: modulated for group in groups if group.startswith(f"{block}_spade")}
        hidden = {f"{block}_hidden": times} if block.startswith("up") else {}
        return GeneTemplate(block, {block: times, **hidden, **modulations})

    middle = (number(block, 16) for block in ("head", "middle0", "middle1"))
    ups = (number(f"up{k}", times) for k, times in enumerate((8, 4, 2, 1)))
    return (GeneTemplate("trunk", {"trunk": 16}), *middle, *ups, *([number("up4", 1, 4)] if "up4" in groups else []))


def inception_genes(groups: Sequence[str]) -> tuple[GeneTemplate, ...]:
    """For CAT's inception generator: the shell's as of the ResNet, and one for the branches of each third of the blocks."""
    return _in_shell(list(_branches(groups).values()))


def inception_spade_genes(groups: Sequence[str]) -> tuple[GeneTemplate, ...]:
    """For CAT's SPADE generator: one for the whole stream, as published, and one for each sum of branches."""
    # up4 writes half of what up3 does: the unit is then half as large.
    stream = [group for group in ("up4", "up3", "up2", "up1", "up0", "trunk") if group in groups]
    schedule = {group: 2**k for k, group in enumerate(stream)}
    branches = (GeneTemplate(head, dict.fromkeys(own, 1)) for head, own in _branches(groups).items())
    return (GeneTemplate("trunk", dict(reversed(schedule.items()))), *branches)


def munit_genes(groups: Sequence[str]) -> tuple[GeneTemplate, ...]:
    """What the numbers of a (mobile) MUNIT generator's configuration drive (GAN Compression, ``sub_mobile_munit_generator``).

    Ten: the style encoder; stem, down1, trunk; the hidden widths of either half of the content encoder's blocks, of the
    decoder's; up1, up2; in units of the stem. Without a style encoder nine. The MLP, which stays whole, has one of its own.
    """
    halves = []
    for part in ("content", "decoder"):
        blocks = [[group] for group in groups if re.fullmatch(rf"{part}\d+", group)]
        halves += [GeneTemplate(f"{part}s{k}", dict.fromkeys(half, 4)) for k, half in enumerate(_split(blocks, 2), 1) if half]
    style = {group: times for group, times in STYLE.items() if group in groups}
    shell = [GeneTemplate(group, {group: factor}) for group, factor in _SHELL.items()]
    mlp = GeneTemplate(_MLP, {"mlp1": 1, "mlp2": 1})
    return (*([GeneTemplate("style", style)] if style else []), *shell[:3], *halves, *shell[3:], mlp)


def _branches(groups: Sequence[str]) -> dict[str, list[str]]:
    """``{head: its groups}`` of all sums of parallel branches: ``block0_res3`` and ``block0_dw1`` have the head ``block0``."""
    heads: dict[str, list[str]] = {}
    for group in groups:
        head, _, kind = group.rpartition("_")
        if head and re.fullmatch(r"(res|dw)\d+", kind):
            heads.setdefault(head, []).append(group)
    return heads


def _in_shell(
    blocks: Sequence[list[str]], tied: Sequence[str] = (), *, shared: bool = False, times: int = 1
) -> tuple[GeneTemplate, ...]:
    """The numbers of a ResNet's shell around thirds of ``blocks``, each a list of groups; ``tied`` go with the trunk."""
    thirds = [[group for block in blocks for group in block]] if shared else _split(blocks, 3)
    names = ["blocks"] if shared else [f"blocks{k}" for k in range(1, 4)]
    hidden = [GeneTemplate(name, dict.fromkeys(third, times)) for name, third in zip(names, thirds, strict=True) if third]
    shell = [GeneTemplate(group, {group: factor}) for group, factor in _SHELL.items()]
    trunk = GeneTemplate("trunk", {"trunk": _SHELL["trunk"], **dict.fromkeys(tied, _SHELL["trunk"])})
    return (*shell[:2], trunk, *hidden, *shell[3:])


def _split(blocks: Sequence[list[str]], parts: int) -> list[list[str]]:
    """The groups of the first, the second, ... and the last part of the blocks."""
    bounds = [round(len(blocks) * k / parts) for k in range(parts + 1)]
    return [[group for block in blocks[a:b] for group in block] for a, b in pairwise(bounds)]


FAMILIES: dict[str, Callable[[Sequence[str]], tuple[GeneTemplate, ...]]] = {
    "ResNet": resnet_genes,
    "SPADE": spade_genes,
    "MUNIT": munit_genes,
    "inception": inception_genes,
    "inception SPADE": inception_spade_genes,
}
"""Functions from groups to the numbers that drive the family; a network belongs to it if they drive exactly its groups."""
