"""The mobile ResNet of GAN Compression (``mobile_resnet_generator.py``): teacher, supernet and exported student alike.

Its blocks hold separable convolutions ``conv_block.{1,6}.conv.{0,1,2}``: depthwise, instance norm, pointwise. A dropout
layer is always there (rate 0 unless asked for), so the second one is number 6. The code base's full ResNet has the names
of pytorch-CycleGAN-and-pix2pix with dropout, and is recognized as that.
"""

from __future__ import annotations

import re

from pocketgan.checkpoints.cyclegan import FIRST_BLOCK, describe_resnet, kept_blocks, resnet_blocks, resnet_ends
from pocketgan.checkpoints.layout import Layout, side_of
from pocketgan.core.reading import State
from pocketgan.core.spec import Spec
from pocketgan.models.resnet import ResnetSpec, mobile_resnet

FAMILY = "GAN Compression"


def _parse_spec(state: State) -> Spec | None:
    if not any(re.match(r"model\.\d+\.conv_block\.1\.conv\.", name) for name in state):
        return None
    blocks = resnet_blocks(state)
    return mobile_resnet(
        1,
        blocks,
        in_channels=side_of(state, "model.1.weight", 1),
        out_channels=side_of(state, f"model.{FIRST_BLOCK + blocks + 7}.weight", 0),
    )


def _modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, ResnetSpec)
    inner = {"conv.depthwise": "{}.conv.0", "conv.norm": "{}.conv.1", "conv.pointwise": "{}.conv.2"}
    blocks = kept_blocks(spec)
    table = resnet_ends(len(blocks))
    for k, i in enumerate(blocks):
        for half, index in (("a", 1), ("b", 6)):
            at = f"model.{FIRST_BLOCK + k}.conv_block"
            table |= {f"block{i}.{half}.{ours}": f"{at}.{theirs.format(index)}" for ours, theirs in inner.items()}
            table[f"block{i}.{half}.norm"] = f"{at}.{index + 1}"
    return table


LAYOUTS = (
    Layout(
        family=FAMILY,
        network="mobile ResNet generator",
        role="generator",
        parse_spec=_parse_spec,
        matches=lambda spec: isinstance(spec, ResnetSpec) and spec.separable and spec.depthwise_norm == "instance",
        modules=_modules,
        describe=describe_resnet,
    ),
)
