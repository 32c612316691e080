"""Networks of pytorch-CycleGAN-and-pix2pix (``models/networks.py``), and GAN Compression's mobile form of its ResNet.

ResNet, U-Net, PatchGAN and pixel discriminator. Names and shapes do not tell everything; assumed are: dropout in a U-Net
(no trace; 0.5, as pix2pix trains it); instance norm in a discriminator (``--norm none`` looks the same); reflection padding
inside residual blocks (the only one that the options offer); no last sigmoid (no trace; the losses take logits). Dropout and
sigmoid do not change a generator's image.

The mobile ResNet (``mobile_resnet_generator.py``: teacher, supernet and exported student alike) has separable convolutions
``conv_block.{1,6}.conv.{0,1,2}``: depthwise, instance norm, pointwise. Its blocks always have a dropout layer (rate 0 unless
asked for), so the second convolution is number 6. GAN Compression's full ResNet has the names of pytorch-CycleGAN-and-pix2pix
with dropout, and is recognized as that.
"""

from __future__ import annotations

import re

from pocketgan.checkpoints.layout import Layout, convolution_names, is_kernel, last_index, norm_words, side_of, width_words
from pocketgan.core.spec import Spec
from pocketgan.core.tensors import State
from pocketgan.models.discriminators import PatchSpec, PixelSpec, patchgan, pixel
from pocketgan.models.resnet import ResnetSpec, mobile_resnet, resnet
from pocketgan.models.unet import UnetSpec, unet

FAMILY = "pytorch-CycleGAN-and-pix2pix"
FIRST_BLOCK = 10
"""Index of the first residual block: three times pad or convolution, norm and activation come before."""

MAX_LEVELS = 16


class ResnetLayout(Layout[ResnetSpec]):
    """Names ``model.{index}``, of residual blocks ``model.{index}.conv_block.{index}``."""

    family, network, spec_type = FAMILY, "ResNet generator", ResnetSpec
    mobile = False

    def parse_spec(self, state: State) -> ResnetSpec | None:
        inside = [name for name in state if re.match(r"model\.\d+\.conv_block\.", name)]
        is_mobile = any(".conv_block.1.conv." in name for name in inside)
        if not (inside or is_kernel(state, "model.1.weight", 7)) or self.mobile != is_mobile:
            return None
        blocks = _count_blocks(state)
        # A dropout layer takes an index in the block, so the second convolution is number 6 and not 5.
        dropout = any(name.endswith(".conv_block.6.weight") and state[name].ndim == 4 for name in inside)
        return (mobile_resnet if self.mobile else resnet)(
            1,
            blocks,
            in_channels=side_of(state, "model.1.weight", 1),
            out_channels=side_of(state, f"model.{FIRST_BLOCK + blocks + 7}.weight", 0),
            dropout=0.5 if dropout else 0.0,
        )

    def modules(self, spec: ResnetSpec) -> dict[str, str]:
        # Blocks of width 0 are absent; the published names number the others without gaps.
        blocks = [i for i in range(spec.blocks) if spec.widths[f"block{i}"] > 0]
        after = FIRST_BLOCK + len(blocks)
        table = {"head": f"model.{after + 7}"}
        for unit, index in (("stem", 1), ("down1", 4), ("down2", 7), ("up1", after), ("up2", after + 3)):
            table |= {f"{unit}.conv": f"model.{index}", f"{unit}.norm": f"model.{index + 1}"}
        for k, i in enumerate(blocks):
            block = f"model.{FIRST_BLOCK + k}.conv_block"
            for half, index in (("a", 1), ("b", 6 if self.mobile or spec.dropout else 5)):
                table |= convolution_names(f"block{i}.{half}.conv", f"{block}.{index}", separable=self.mobile)
                table[f"block{i}.{half}.norm"] = f"{block}.{index + 1}"
        return table

    def details(self, spec: ResnetSpec) -> list[str]:
        full = (mobile_resnet if self.mobile else resnet)(spec.widths["stem"], spec.blocks)
        words = [f"{spec.blocks} blocks", width_words(spec, full, "ngf", "stem"), norm_words(spec.norm)]
        return [*words, f"dropout {spec.dropout:g}"] if spec.dropout else words


class MobileResnetLayout(ResnetLayout):
    """GAN Compression's ResNet with separable convolutions in its blocks."""

    family, network = "GAN Compression", "mobile ResNet generator"
    mobile = True

    def matches(self, spec: Spec) -> bool:
        return super().matches(spec) and isinstance(spec, ResnetSpec) and spec.depthwise_norm == "instance"


def _count_blocks(state: State) -> int:
    """The number of residual blocks: by the last block and by the last 7x7 convolution."""
    last_block = last_index(state, r"model\.(\d+)\.conv_block\.")
    head = last_index({name: state[name] for name in state if is_kernel(state, name, 7)}, r"model\.(\d+)\.weight$")
    return max(0, last_block - FIRST_BLOCK + 1, head - FIRST_BLOCK - 7)


class UnetLayout(Layout[UnetSpec]):
    """Each level is the inner module of the level before."""

    family, network, spec_type = FAMILY, "U-Net generator", UnetSpec

    def parse_spec(self, state: State) -> UnetSpec | None:
        matches = [re.match(r"model\.model\.1\.model((?:\.3\.model)*)\.", name) for name in state]
        levels = [match[1].count(".3.model") for match in matches if match]
        if not levels:
            return None
        if max(levels) >= MAX_LEVELS:
            raise ValueError(f"it has {max(levels)} levels: {MAX_LEVELS} halve even the largest image to one pixel")
        depth = 2 + max(levels)
        if f"{_level(depth)}.5.weight" in state:  # only a level around another has this: the inner one is missing
            depth += 1
        return unet(
            1,
            depth,
            in_channels=side_of(state, "model.model.0.weight", 1),
            out_channels=side_of(state, "model.model.3.weight", 1),
        )

    def modules(self, spec: UnetSpec) -> dict[str, str]:
        absent = [group for group, width in spec.widths.items() if width == 0]
        if absent:
            raise ValueError(
                f"the published names have no U-Net whose inner levels were removed ({', '.join(absent)} are 0): its "
                "innermost level has a norm, theirs never has; save it as an artifact of pocketgan instead"
            )
        table = {"down1.conv": "model.model.0", "up1": "model.model.3"}
        for k in range(2, spec.depth + 1):
            inner, level = k < spec.depth, _level(k)
            table[f"down{k}.conv"] = f"{level}.1"
            if inner:
                table[f"down{k}.norm"] = f"{level}.2"
            table[f"up{k}.conv"] = f"{level}.{5 if inner else 3}"
            table[f"up{k}.norm"] = f"{level}.{6 if inner else 4}"
        return table

    def details(self, spec: UnetSpec) -> list[str]:
        full = unet(spec.widths["down1"], spec.depth)
        return [f"{spec.depth} levels", width_words(spec, full, "ngf", "down1"), norm_words(spec.norm)]


def _level(k: int) -> str:
    """The published name of level ``k`` of a U-Net, 1 the outermost."""
    return "model.model" + (".1.model" if k > 1 else "") + ".3.model" * (k - 2)


class PatchLayout(Layout[PatchSpec]):
    """Names ``model.{index}`` of a sequence of 4x4 convolutions."""

    family, network, spec_type, role = FAMILY, "PatchGAN discriminator", PatchSpec, "discriminator"

    def parse_spec(self, state: State) -> PatchSpec | None:
        if not is_kernel(state, "model.0.weight", 4):
            return None
        kernels = {name: tensor for name, tensor in state.items() if tensor.ndim == 4}
        last = last_index(kernels, r"model\.(\d+)\.weight$")
        if side_of(state, f"model.{last}.weight", 0) != 1:  # the last convolution makes one logit: it is missing
            last += 3
        return patchgan(1, max(1, last // 3), in_channels=side_of(state, "model.0.weight", 1))

    def modules(self, spec: PatchSpec) -> dict[str, str]:
        table = {"conv1.conv": "model.0", "head": f"model.{3 * spec.layers + 2}"}
        for k in range(2, spec.layers + 2):
            table |= {f"conv{k}.conv": f"model.{3 * k - 4}", f"conv{k}.norm": f"model.{3 * k - 3}"}
        return table

    def details(self, spec: PatchSpec) -> list[str]:
        full = patchgan(spec.widths["conv1"], spec.layers)
        return [f"{spec.layers} layers", width_words(spec, full, "ndf", "conv1"), norm_words(spec.norm)]


class PixelLayout(Layout[PixelSpec]):
    """Names ``net.{index}`` of three 1x1 convolutions."""

    family, network, spec_type, role = FAMILY, "pixel discriminator", PixelSpec, "discriminator"

    def parse_spec(self, state: State) -> PixelSpec | None:
        if not is_kernel(state, "net.0.weight", 1):
            return None
        return pixel(1, in_channels=side_of(state, "net.0.weight", 1))

    def modules(self, spec: PixelSpec) -> dict[str, str]:
        return {"conv1.conv": "net.0", "conv2.conv": "net.2", "conv2.norm": "net.3", "head": "net.5"}

    def details(self, spec: PixelSpec) -> list[str]:
        return [width_words(spec, pixel(spec.widths["conv1"]), "ndf", "conv1"), norm_words(spec.norm)]


LAYOUTS = (ResnetLayout(), MobileResnetLayout(), UnetLayout(), PatchLayout(), PixelLayout())
