"""The list of widths that DMAD keeps beside the weights (``cfg`` in its checkpoints: ``G_A``, ``G_B`` or ``G``, and ``D``).

Its networks have the names of pytorch-CycleGAN-and-pix2pix and of GAN Compression's mobile ResNet. The list has one number for
each mask of the search, in the order of the layers. For a ResNet: stem, down1, trunk, then for every block its hidden width
and the trunk's, then the upsamplings (the last one only where it was masked). A block whose hidden width is 0 is not in the
file, and those after it are numbered anew: only the list tells which one it was. For a U-Net: the levels down and up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pocketgan.checkpoints.layout import replaced
from pocketgan.core.reading import State
from pocketgan.core.spec import Spec
from pocketgan.models.resnet import ResnetSpec
from pocketgan.models.unet import UnetSpec

FAMILY = "DMAD"
SIDES = {"G": 0, "G_A": 0, "G_B": 1}
"""Which list is that of which network."""


def is_search(state: State) -> bool:
    """Whether these are the masked weights of a search that has not been cut yet."""
    return any(name.endswith(".mask_weight") for name in state)


def stored_widths(beside: Mapping[str, Any], key: str) -> tuple[int, ...] | None:
    """The list for the network under ``key``; None where there is none."""
    lists = beside.get("cfg")
    if key not in SIDES or not isinstance(lists, tuple | list) or len(lists) <= SIDES[key]:
        return None
    own = lists[SIDES[key]]
    if not isinstance(own, tuple | list) or not own or not all(isinstance(width, int) for width in own):
        return None
    return tuple(own)


def with_stored(spec: Spec, listed: tuple[int, ...]) -> tuple[Spec, str]:
    """``spec`` (as the tensors tell it) with the removed blocks of the list in their places, and what there is to say.

    Where the two contradict each other the tensors are right, and the contradiction is said.
    """
    if isinstance(spec, ResnetSpec) and len(listed) > 4:
        return _resnet(spec, listed)
    if isinstance(spec, UnetSpec) and len(listed) == len(spec.groups()):
        return spec, _verdict(spec, dict(zip(spec.groups(), listed, strict=True)), listed)
    return spec, f"{FAMILY}'s list of {len(listed)} widths is that of another network and was not used"


def _resnet(spec: ResnetSpec, listed: tuple[int, ...]) -> tuple[Spec, str]:
    blocks = (len(listed) - 4) // 2  # one number less where the last upsampling had no mask
    end = 3 + 2 * blocks
    hidden = dict(enumerate(listed[3:end:2]))
    kept = [i for i, width in hidden.items() if width]
    if len(kept) != spec.blocks:
        return spec, (
            f"{FAMILY}'s list of widths contradicts the tensors: it has {len(kept)} blocks, they have {spec.blocks}; the "
            "tensors are right"
        )
    gone = [f"block{i}" for i in hidden if i not in kept]
    widths = {group: width for group, width in spec.widths.items() if not group.startswith("block")}
    widths |= {f"block{i}": spec.widths[f"block{k}"] for k, i in enumerate(kept)} | dict.fromkeys(gone, 0)
    whole = replaced(spec, blocks=blocks, widths=widths)
    named = dict(zip(("stem", "down1", "trunk"), listed, strict=False)) | {f"block{i}": width for i, width in hidden.items()}
    verdict = _verdict(whole, named | dict(zip(("up1", "up2"), listed[end:], strict=False)), listed)
    return whole, f"{verdict}; by it {', '.join(gone)} had been removed" if gone else verdict


def _verdict(spec: Spec, named: Mapping[str, int], listed: tuple[int, ...]) -> str:
    against = [
        f"{group} {width} (tensors {spec.widths[group]})" for group, width in named.items() if width != spec.widths[group]
    ]
    if against:
        return f"{FAMILY}'s list of widths contradicts the tensors: {', '.join(against)}; the tensors are right"
    return f"{FAMILY}'s list of {len(listed)} widths agrees"
