"""The networks of pytorch-CycleGAN-and-pix2pix (``models/networks.py``): ResNet, U-Net, PatchGAN and pixel discriminator.

What names and shapes cannot tell, and what is assumed: dropout in a U-Net leaves no trace (0.5, as pix2pix trains it);
``--norm none`` in a discriminator looks like instance norm (instance norm, the default); padding other than reflection
inside residual blocks, where it keeps the names, looks like reflection (reflection, the only one its options offer); a
last sigmoid leaves no trace (none: the losses take logits). Dropout and sigmoid do not change a generator's image.
"""

from __future__ import annotations

import re

from pocketgan.checkpoints.layout import Layout, is_kernel, norm_words, side_of, width_words
from pocketgan.core.reading import State
from pocketgan.core.spec import Spec
from pocketgan.models.discriminators import PatchSpec, PixelSpec, patchgan, pixel
from pocketgan.models.resnet import ResnetSpec, mobile_resnet, resnet
from pocketgan.models.unet import UnetSpec, unet

FAMILY = "pytorch-CycleGAN-and-pix2pix"
FIRST_BLOCK = 10
"""Index of the first residual block: three times pad or convolution, norm and activation come before."""


def resnet_blocks(state: State) -> int:
    """How many residual blocks the names speak of: by the last block and by the last 7x7 convolution."""
    inner = [int(found[1]) for name in state if (found := re.match(r"model\.(\d+)\.conv_block\.", name))]
    last = [
        int(found[1]) for name in state if (found := re.fullmatch(r"model\.(\d+)\.weight", name)) and is_kernel(state, name, 7)
    ]
    return max(0, max(inner, default=0) - FIRST_BLOCK + 1, max(last, default=0) - FIRST_BLOCK - 7)


def resnet_ends(blocks: int) -> dict[str, str]:
    """``{our module: theirs}`` of everything outside the residual blocks."""
    after = FIRST_BLOCK + blocks
    first = {"stem": 1, "down1": 4, "down2": 7, "up1": after, "up2": after + 3}
    units = {f"{unit}.{part}": f"model.{i + k}" for unit, i in first.items() for k, part in enumerate(("conv", "norm"))}
    return units | {"head": f"model.{after + 7}"}


def kept_blocks(spec: ResnetSpec) -> list[int]:
    """Our blocks that are there; they are numbered without gaps in the published names."""
    return [i for i in range(spec.blocks) if spec.widths[f"block{i}"] > 0]


def describe_resnet(spec: Spec) -> str:
    """For example ``9 blocks, ngf 64, instance norm, 3 -> 3 channels``."""
    assert isinstance(spec, ResnetSpec)
    full = (mobile_resnet if spec.separable else resnet)(spec.widths["stem"], spec.blocks)
    words = [f"{spec.blocks} blocks", width_words(spec, full, "ngf"), norm_words(spec.norm)]
    if spec.dropout:
        words.append(f"dropout {spec.dropout:g}")
    return ", ".join([*words, f"{spec.in_channels} -> {spec.out_channels} channels"])


def _draft_resnet(state: State) -> Spec | None:
    inside = [name for name in state if re.match(r"model\.\d+\.conv_block\.", name)]
    if not (inside or is_kernel(state, "model.1.weight", 7)) or any(".conv_block.1.conv." in name for name in inside):
        return None
    blocks = resnet_blocks(state)
    # A dropout layer takes an index in the block, so the second convolution is number 6 and not 5.
    dropout = any(re.fullmatch(r".*\.conv_block\.6\.weight", name) and state[name].ndim == 4 for name in inside)
    return resnet(
        1,
        blocks,
        in_channels=side_of(state, "model.1.weight", 1),
        out_channels=side_of(state, f"model.{FIRST_BLOCK + blocks + 7}.weight", 0),
        dropout=0.5 if dropout else 0.0,
    )


def _resnet_modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, ResnetSpec)
    blocks, second = kept_blocks(spec), 6 if spec.dropout else 5
    inner = {"a.conv": 1, "a.norm": 2, "b.conv": second, "b.norm": second + 1}
    return resnet_ends(len(blocks)) | {
        f"block{i}.{ours}": f"model.{FIRST_BLOCK + k}.conv_block.{theirs}"
        for k, i in enumerate(blocks)
        for ours, theirs in inner.items()
    }


def _level(k: int) -> str:
    """The published name of level ``k`` of a U-Net, 1 the outermost: each level is the inner module of the one before."""
    return "model.model" + (".1.model" if k > 1 else "") + ".3.model" * (k - 2)


def _draft_unet(state: State) -> Spec | None:
    found = [re.match(r"model\.model\.1\.model((?:\.3\.model)*)\.", name) for name in state]
    levels = [match[1].count(".3.model") for match in found if match]
    if not levels:
        return None
    depth = 2 + max(levels)
    if f"{_level(depth)}.5.weight" in state:  # only a level with another one inside has this: that one is missing
        depth += 1
    return unet(
        1,
        depth,
        in_channels=side_of(state, "model.model.0.weight", 1),
        out_channels=side_of(state, "model.model.3.weight", 1),
    )


def _unet_modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, UnetSpec)
    absent = [group for group, width in spec.widths.items() if width == 0]
    if absent:
        raise ValueError(
            f"the published names have no U-Net whose inner levels were removed ({', '.join(absent)} are 0): its "
            "innermost level has a norm, theirs never has; save it as an artifact of pocketgan instead"
        )
    table = {"down1.conv": "model.model.0", "up1": "model.model.3"}
    for k in range(2, spec.depth + 1):
        inner, at = k < spec.depth, _level(k)
        table[f"down{k}.conv"] = f"{at}.1"
        if inner:
            table[f"down{k}.norm"] = f"{at}.2"
        table[f"up{k}.conv"] = f"{at}.{5 if inner else 3}"
        table[f"up{k}.norm"] = f"{at}.{6 if inner else 4}"
    return table


def _describe_unet(spec: Spec) -> str:
    assert isinstance(spec, UnetSpec)
    width = width_words(spec, unet(spec.widths["down1"], spec.depth), "ngf")
    return f"{spec.depth} levels, {width}, {norm_words(spec.norm)}, {spec.in_channels} -> {spec.out_channels} channels"


def _draft_patch(state: State) -> Spec | None:
    if not is_kernel(state, "model.0.weight", 4):
        return None
    found = [re.fullmatch(r"model\.(\d+)\.weight", name) for name in state]
    last = max(int(match[1]) for match in found if match and state[match[0]].ndim == 4)
    if side_of(state, f"model.{last}.weight", 0) != 1:  # the last one makes one logit: it is missing
        last += 3
    return patchgan(1, max(1, last // 3), in_channels=side_of(state, "model.0.weight", 1))


def _patch_modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, PatchSpec)
    table = {"conv1.conv": "model.0", "head": f"model.{3 * spec.layers + 2}"}
    for k in range(2, spec.layers + 2):
        table |= {f"conv{k}.conv": f"model.{3 * k - 4}", f"conv{k}.norm": f"model.{3 * k - 3}"}
    return table


def _describe_patch(spec: Spec) -> str:
    assert isinstance(spec, PatchSpec)
    width = width_words(spec, patchgan(spec.widths["conv1"], spec.layers), "ndf")
    return f"{spec.layers} layers, {width}, {norm_words(spec.norm)}, {spec.in_channels} channels"


def _draft_pixel(state: State) -> Spec | None:
    if not is_kernel(state, "net.0.weight", 1):
        return None
    return pixel(1, in_channels=side_of(state, "net.0.weight", 1))


def _pixel_modules(spec: Spec) -> dict[str, str]:
    return {"conv1.conv": "net.0", "conv2.conv": "net.2", "conv2.norm": "net.3", "head": "net.5"}


def _describe_pixel(spec: Spec) -> str:
    assert isinstance(spec, PixelSpec)
    width = width_words(spec, pixel(spec.widths["conv1"]), "ndf")
    return f"{width}, {norm_words(spec.norm)}, {spec.in_channels} channels"


LAYOUTS = (
    Layout(
        family=FAMILY,
        network="ResNet generator",
        role="generator",
        parse_spec=_draft_resnet,
        matches=lambda spec: isinstance(spec, ResnetSpec) and not spec.separable,
        modules=_resnet_modules,
        describe=describe_resnet,
    ),
    Layout(
        family=FAMILY,
        network="U-Net generator",
        role="generator",
        parse_spec=_draft_unet,
        matches=lambda spec: isinstance(spec, UnetSpec),
        modules=_unet_modules,
        describe=_describe_unet,
    ),
    Layout(
        family=FAMILY,
        network="PatchGAN discriminator",
        role="discriminator",
        parse_spec=_draft_patch,
        matches=lambda spec: isinstance(spec, PatchSpec),
        modules=_patch_modules,
        describe=_describe_patch,
    ),
    Layout(
        family=FAMILY,
        network="pixel discriminator",
        role="discriminator",
        parse_spec=_draft_pixel,
        matches=lambda spec: isinstance(spec, PixelSpec),
        modules=_pixel_modules,
        describe=_describe_pixel,
    ),
)
