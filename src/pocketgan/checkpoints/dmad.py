"""Width lists that DMAD stores beside the weights (``cfg`` in its checkpoints: ``G_A``, ``G_B`` or ``G``, and ``D``).

Its networks have the names of pytorch-CycleGAN-and-pix2pix and of GAN Compression's mobile ResNet. The list has one number for
each mask of the search, in the order of the layers. For a ResNet: stem, down1, trunk, then for every block its hidden width
and the trunk's, then the upsamplings (the last one only where it was masked). A block whose hidden width is 0 is not in the
file, and the blocks after it are numbered anew: only the list tells which block was removed. For a U-Net: the levels down and
up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pocketgan.checkpoints.layout import MAX_INDEX
from pocketgan.core.spec import Spec
from pocketgan.core.tensors import State
from pocketgan.models.resnet import ResnetSpec
from pocketgan.models.unet import UnetSpec

FAMILY = "DMAD"
SIDES = {"G": 0, "G_A": 0, "G_B": 1}
"""``{key of a network: index of its list}``."""


def is_search(state: State) -> bool:
    """True for the masked weights of a search that has not been pruned yet."""
    return any(name.endswith(".mask_weight") for name in state)


def stored_widths(beside: Mapping[str, Any], key: str) -> tuple[int, ...] | None:
    """The list for the network under ``key``; None if there is none."""
    lists = beside.get("cfg")
    if key not in SIDES or not isinstance(lists, tuple | list) or len(lists) <= SIDES[key]:
        return None
    widths = lists[SIDES[key]]
    if not isinstance(widths, tuple | list) or not 0 < len(widths) <= MAX_INDEX:
        return None
    if not all(type(width) is int and 0 <= width < 2**20 for width in widths):
        return None
    return tuple(widths)


def with_stored_widths(spec: Spec, listed: tuple[int, ...]) -> tuple[Spec, str]:
    """``spec`` (by the tensors) with the removed blocks of the list in their places, and a note for the user.

    If list and tensors contradict each other, the tensors win and the note names the contradiction.
    """
    if isinstance(spec, ResnetSpec) and len(listed) > 4:
        return _with_removed_blocks(spec, listed)
    if isinstance(spec, UnetSpec) and len(listed) == len(spec.groups()):
        return spec, _verdict(spec, dict(zip(spec.groups(), listed, strict=True)), listed)
    return spec, f"{FAMILY}'s list of {len(listed)} widths is that of another network and was not used"


def _with_removed_blocks(spec: ResnetSpec, listed: tuple[int, ...]) -> tuple[Spec, str]:
    blocks = (len(listed) - 4) // 2  # one number less where the last upsampling had no mask
    end = 3 + 2 * blocks
    hidden = dict(enumerate(listed[3:end:2]))
    kept = [i for i, width in hidden.items() if width]
    if len(kept) != spec.blocks:
        return spec, (
            f"{FAMILY}'s list of widths contradicts the tensors: it has {len(kept)} blocks, they have {spec.blocks}; the "
            "tensors are right"
        )
    removed = [f"block{i}" for i in hidden if i not in kept]
    widths = {group: width for group, width in spec.widths.items() if not group.startswith("block")}
    widths |= {f"block{i}": spec.widths[f"block{k}"] for k, i in enumerate(kept)} | dict.fromkeys(removed, 0)
    full = replace(spec, blocks=blocks, widths=widths)
    named = dict(zip(("stem", "down1", "trunk"), listed, strict=False)) | {f"block{i}": width for i, width in hidden.items()}
    verdict = _verdict(full, named | dict(zip(("up1", "up2"), listed[end:], strict=False)), listed)
    return full, f"{verdict}; by it {', '.join(removed)} had been removed" if removed else verdict


def _verdict(spec: Spec, named: Mapping[str, int], listed: tuple[int, ...]) -> str:
    wrong = {group: width for group, width in named.items() if width != spec.widths[group]}
    if wrong:
        words = ", ".join(f"{group} {width} (tensors {spec.widths[group]})" for group, width in wrong.items())
        return f"{FAMILY}'s list of widths contradicts the tensors: {words}; the tensors are right"
    return f"{FAMILY}'s list of {len(listed)} widths agrees"
