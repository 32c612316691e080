"""Families of networks: groups that share a gene, and the meaning of the published configurations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from pocketgan.models.munit_layers import STYLE

Genes = dict[str, dict[str, int]]
"""``{gene: {group: factor}}``: each group is so many times the value of the gene wide."""

_SHELL = {"stem": 1, "down1": 2, "trunk": 4, "up1": 2, "up2": 1}
"""ResNet without its blocks, in units of the stem."""

_MLP = "mlp"
"""Gene of MUNIT's MLP, which no published configuration has."""

_PUBLISHED = {"SPADE": ((8,), "8 genes"), "MUNIT": ((10, 9), "10 genes, 9 without a style encoder")}
"""Number of genes of a configuration, and as text; the ResNet's has several forms."""


def family_of(groups: Sequence[str]) -> tuple[str, Genes]:
    """Name of the family of a network in `FAMILIES`, by the names of its groups, and its genes.

    ``other`` with a gene per group, where the network belongs to none.
    """
    for name, genes_of in FAMILIES.items():
        genes = genes_of(groups)
        if {group for factors in genes.values() for group in factors} == set(groups):
            return name, genes
    return "other", {group: {group: 1} for group in groups}


def published_genes(groups: Sequence[str], *, count: int | None = None, legacy: bool = False) -> Genes:
    """Genes of a published configuration of ``count`` genes for a network of these groups; by default of the usual form.

    Raises ``ValueError`` for a network without published configurations, and for another number of genes.
    """
    family, genes = family_of(groups)
    if family == "ResNet":
        return resnet_genes(groups, count=count or 8, legacy=legacy)
    expected, text = _PUBLISHED.get(family, ((), ""))
    genes = {name: factors for name, factors in genes.items() if name != _MLP}
    if len(genes) not in expected:
        raise ValueError(
            "published configurations are for networks with the groups stem, down1, trunk, block0, block1, block2, ..., up1, "
            f"up2 (ResNet), for SPADE generators of 5 or 6 upsamplings, and for MUNIT; this one has {', '.join(groups)}"
        )
    if count not in (None, len(genes)) or legacy:
        raise ValueError(f"a {family} configuration has {text} and no legacy form; found {count or len(genes)}")
    return genes


def resnet_genes(groups: Sequence[str], *, count: int = 8, legacy: bool = False) -> Genes:
    """Genes of a (mobile) ResNet (GAN Compression, ``sub_mobile_resnet_generator``).

    Eight: stem, down1, trunk, the hidden widths of the first, second and last third of the blocks, up1, up2; in units of
    the stem, so 2x at half and 4x at a quarter of the resolution. Six: one hidden width for all blocks. ``legacy`` (the
    published edges2shoes checkpoint): only the first block of each third follows its gene, the others the trunk's. None for
    fewer than three blocks.
    """
    if count not in (6, 8):
        raise ValueError(f"a ResNet configuration has 8 genes, or 6 with one for all blocks; found {count}")
    blocks = [[group] for group in groups if re.fullmatch(r"block\d+", group)]
    if len(blocks) < 3:
        return {}
    tied = [group for third in _split(blocks, 3) for group in third[1:]] if legacy else []
    free = [block for block in blocks if block[0] not in tied]
    parts = {"blocks": [group for block in free for group in block]} if count == 6 else _thirds(free)
    return _in_shell({name: dict.fromkeys(part, 4) for name, part in parts.items()}, tied)


def spade_genes(groups: Sequence[str]) -> Genes:
    """Genes of a (mobile) SPADE generator (GAN Compression, ``sub_mobile_spade_generator``).

    Eight: the trunk, the hidden widths of head, middle0 and middle1 (16x each), then width and output of up0 to up3 (8x, 4x,
    2x, 1x). The modulations of a block are 2x its gene wide. An ``up4``, which was not published, is a ninth: its modulations
    are 4x its output.
    """

    def gene(block: str, factor: int, modulated: int = 2) -> Genes:
        modulations = {group: modulated for group in groups if group.startswith(f"{block}_spade")}
        hidden = {f"{block}_hidden": factor} if block.startswith("up") else {}
        return {block: {block: factor, **hidden, **modulations}}

    genes: Genes = {"trunk": {"trunk": 16}}
    for block, factor in {"head": 16, "middle0": 16, "middle1": 16, "up0": 8, "up1": 4, "up2": 2, "up3": 1}.items():
        genes |= gene(block, factor)
    return genes | gene("up4", 1, 4) if "up4" in groups else genes


def inception_genes(groups: Sequence[str]) -> Genes:
    """Genes of CAT's inception generator: those of the ResNet's shell, and one for the branches of each third of the blocks."""
    return _in_shell({name: dict.fromkeys(part, 1) for name, part in _thirds([*_branches(groups).values()]).items()})


def inception_spade_genes(groups: Sequence[str]) -> Genes:
    """Genes of CAT's SPADE generator: one for the whole stream, as published, and one for each sum of branches."""
    # The output of up4 is half as wide as that of up3: the unit is then half as large.
    stream = [group for group in ("up4", "up3", "up2", "up1", "up0", "trunk") if group in groups]
    factors = {group: 2**k for k, group in enumerate(stream)}
    branches = {head: dict.fromkeys(members, 1) for head, members in _branches(groups).items()}
    return {"trunk": dict(reversed(factors.items())), **branches}


def munit_genes(groups: Sequence[str]) -> Genes:
    """Genes of a (mobile) MUNIT generator (GAN Compression, ``sub_mobile_munit_generator``).

    Ten: the style encoder; stem, down1, trunk; the hidden widths of either half of the content encoder's blocks, of the
    decoder's; up1, up2; in units of the stem. Nine without a style encoder. The MLP, which keeps its width, has its own gene.
    """
    style = {group: factor for group, factor in STYLE.items() if group in groups}
    hidden: Genes = {}
    for part in ("content", "decoder"):
        blocks = [[group] for group in groups if re.fullmatch(rf"{part}\d+", group)]
        hidden |= {f"{part}s{k}": dict.fromkeys(half, 4) for k, half in enumerate(_split(blocks, 2), 1) if half}
    genes: Genes = {"style": style} if style else {}
    return genes | _in_shell(hidden) | {_MLP: {"mlp1": 1, "mlp2": 1}}


def _branches(groups: Sequence[str]) -> dict[str, list[str]]:
    """``{head: groups}`` of all sums of parallel branches: ``block0_res3`` and ``block0_dw1`` have the head ``block0``."""
    heads: dict[str, list[str]] = {}
    for group in groups:
        head, _, kind = group.rpartition("_")
        if head and re.fullmatch(r"(res|dw)\d+", kind):
            heads.setdefault(head, []).append(group)
    return heads


def _in_shell(hidden: Genes, tied: Sequence[str] = ()) -> Genes:
    """Genes of a ResNet's shell around ``hidden`` genes; ``tied`` groups follow the trunk."""
    shell = {group: {group: factor} for group, factor in _SHELL.items()}
    shell["trunk"] |= dict.fromkeys(tied, _SHELL["trunk"])
    return {**{group: shell[group] for group in ("stem", "down1", "trunk")}, **hidden, "up1": shell["up1"], "up2": shell["up2"]}


def _thirds(blocks: Sequence[list[str]]) -> dict[str, list[str]]:
    """Groups of the first, second and last third of the blocks; without empty thirds."""
    return {f"blocks{k}": third for k, third in enumerate(_split(blocks, 3), 1) if third}


def _split(blocks: Sequence[list[str]], parts: int) -> list[list[str]]:
    """Groups of the first, the second, ... and the last part of the blocks."""
    bounds = [round(len(blocks) * k / parts) for k in range(parts + 1)]
    return [[group for block in blocks[a:b] for group in block] for a, b in pairwise(bounds)]


FAMILIES: dict[str, Callable[[Sequence[str]], Genes]] = {
    "ResNet": resnet_genes,
    "SPADE": spade_genes,
    "MUNIT": munit_genes,
    "inception": inception_genes,
    "inception SPADE": inception_spade_genes,
}
"""Functions from groups to the genes of the family; a network belongs to it if they drive exactly its groups."""
