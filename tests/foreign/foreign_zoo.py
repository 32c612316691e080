"""Foreign generators, each in another style, with the expected result: the table of the tests and of the manual."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import foreign_mixing as mixing
import foreign_plain as plain
from torch import nn

from pocketgan.foreign.factory import register_factory
from pocketgan.foreign.wrap import wrap_foreign
from zoo import randomize_

SHAPE = (32, 32)


class Style(NamedTuple):
    """A way to write generators, and the expected result."""

    title: str
    make: Callable[[], nn.Module]
    groups: Mapping[str, int] = {}
    """The traced widths; for a refused style, the widths once the layers in ``keep`` are kept."""
    kept: Mapping[str, str] = {}
    """Layers whose channels all stay, with the reason."""
    sized: Mapping[str, str] = {}
    """``{layer.attribute: its named width}`` if that is more than one group with one number per channel."""
    law: str | None = None
    """The law that does not hold; None if all hold."""
    keep: tuple[str, ...] = ()
    """Layers that the message tells the user to keep."""
    blamed: tuple[str, ...] = ()
    """Layers that the message names."""


ALONE = "its channels go all together or not at all"
VIEWED = "its channels are dealt out anew by a view (heads, or a channel shuffle)"
WITH_IMAGE = "its channels meet the image's"
LAYER_NORM = "its channels reach 'blocks.0.norm', a LayerNorm, whose channels go together"

TABLE: tuple[Style, ...] = (
    Style("functional forward with pads and crops", plain.Functional, {"conv1": 7, "conv2": 11, "conv3": 13}),
    Style(
        "ModuleList of pre-activation blocks",
        plain.PreActivation,
        {"head": 11, "body_0_conv1": 5, "body_1_conv1": 7},
        sized={"body.1.norm1.num_features": "head:11", "tail.2.in_channels": "head:11"},
    ),
    Style("one block that runs several times", plain.Reused, {"input": 11, "conv1": 7}),
    Style(
        "image residual, image joined to features",
        plain.ImageResidual,
        {"encode_0": 11, "encode_2": 7, "mix": 5},
        {"out": WITH_IMAGE},
        {"mix.in_channels": "encode_2:7 + (fixed):3"},
    ),
    Style(
        "dense connections",
        plain.Dense,
        {"conv_first": 11, "trunk_0_conv1": 5, "trunk_0_conv2": 5, "trunk_1_conv1": 7, "trunk_1_conv2": 7},
        sized={"trunk.1.conv3.in_channels": "conv_first:11 + trunk_1_conv1:7 + trunk_1_conv2:7"},
    ),
    Style(
        "U-Net with nearest upsampling, norm over a concatenation",
        plain.NearestUNet,
        {"down1_0": 5, "down2_0": 7, "bottom": 11, "up_0": 13},
        sized={"norm.num_features": "bottom:11 + down2_0:7", "last.in_channels": "up_0:13 + down1_0:5"},
    ),
    Style("norms without scales, in-place activations", plain.NonAffine, {"model_1": 5, "model_4": 11, "model_7": 7}),
    Style(
        "group norm",
        plain.GroupNormed,
        {"stem": 5, "conv1": 7},
        sized={"stem.out_channels": "stem:5*4", "norm2.num_channels": "conv1:7*3", "norm2.num_groups": "conv1:7"},
    ),
    Style("group norm of one group", plain.OneGroup, {"conv": 7}, {"stem": ALONE}),
    Style(
        "PixelShuffle and PixelUnshuffle",
        plain.PixelShuffled,
        {"body": 11, "wide": 7},
        sized={"wide.out_channels": "wide:7*4"},
    ),
    Style(
        "convolutions in groups (ResNeXt)",
        plain.ResNeXt,
        {"stem_0": 11, "reduce": 5},
        sized={"conv.in_channels": "reduce:5*4", "conv.groups": "reduce:5", "bn2.num_features": "reduce:5*4"},
    ),
    Style(
        "depthwise convolutions, one with a multiplier",
        plain.InvertedResidual,
        {"stem": 7, "block_0": 13, "point": 11},
        sized={"block.3.groups": "block_0:13", "twice.out_channels": "stem:7*2", "twice.groups": "stem:7"},
    ),
    Style(
        "channel shuffle",
        plain.ChannelShuffle,
        {"mid": 7},
        {"stem": VIEWED, "first": VIEWED, "second": "'second' takes its channels in an order that no named widths can say"},
    ),
    Style(
        "weight norm and spectral norm, old and new",
        plain.Normed,
        {"old_weight": 5, "new_weight": 7, "old_spectral": 11, "new_spectral": 13},
    ),
    Style(
        "a width written into a slice",
        plain.HardSlice,
        {"a": 5, "b": 7, "mid": 11},
        law="elastic",
        keep=("stem",),
        blamed=("stem", "a", "b"),
    ),
    Style("a width written into a view", plain.HardView, {"mid": 11}, law="elastic", keep=("stem",), blamed=("stem", "mid")),
    Style(
        "gated convolution by chunk",
        mixing.ChunkedGate,
        {"conv1": 7, "conv2": 11},
        sized={"conv2.out_channels": "conv2:11 + conv2:11"},
    ),
    Style(
        "gated convolution by two layers, and GLU",
        mixing.PairedGate,
        {"feature": 7, "wide": 11},
        sized={"gate.out_channels": "feature:7", "wide.out_channels": "wide:11 + wide:11"},
    ),
    Style("squeeze and excitation", mixing.SqueezeExcite, {"stem": 11, "fc_0": 5}, sized={"fc.2.out_features": "stem:11"}),
    Style(
        "SPADE-like conditional norm",
        mixing.ConditionalNorm,
        {"mlp_shared_0": 5, "fc": 11, "conv": 7},
        sized={"mlp_beta.out_channels": "fc:11"},
    ),
    Style(
        "AdaIN from pooled features",
        mixing.AdaptiveNorm,
        {"stem": 11, "style": 7},
        sized={"style.out_features": "style:7 + style:7", "conv.out_channels": "style:7"},
    ),
    Style(
        "self-attention of SAGAN",
        mixing.SelfAttention,
        {"stem": 11, "query": 5},
        sized={"key.out_channels": "query:5", "value.out_channels": "stem:11"},
    ),
    Style(
        "self-attention of BigGAN",
        mixing.NonLocal,
        {"stem": 11, "theta": 5, "g": 7},
        sized={"phi.out_channels": "theta:5", "o.in_channels": "g:7"},
    ),
    Style("attention in heads by einsum", mixing.EinsumAttention, {"stem": 11}, {"to_qkv": VIEWED}),
    Style(
        "transformer block on tokens, scaled_dot_product_attention",
        mixing.HeadAttention,
        {"stem": 12, "fc1": 17},
        {"qkv": "its channels go different ways"},
        {"fc2.out_features": "stem:12"},
    ),
    Style(
        "nn.MultiheadAttention",
        mixing.TorchAttention,
        {"mid": 7},
        {"stem": "its channels reach 'attention', a MultiheadAttention, whose channels go together"},
    ),
    Style(
        "attention between channels (Restormer)",
        mixing.TransposedAttention,
        {"mid": 7},
        {"qkv": VIEWED},
        law="elastic",
        keep=("stem",),
        blamed=("stem", "project", "qkv"),
    ),
    Style(
        "ConvNeXt: LayerNorm, LayerScale",
        mixing.ConvNeXt,
        {"blocks_0_pwconv1": 17, "blocks_1_pwconv1": 23},
        {"stem": LAYER_NORM, "blocks.0.pwconv2": LAYER_NORM, "blocks.1.pwconv2": LAYER_NORM},
    ),
    Style(
        "bare parameters in forward",
        mixing.BareParameters,
        {"conv1": 11},
        {"out": WITH_IMAGE},
        law="gates",
        keep=("conv2",),
        blamed=("conv2",),
    ),
    Style(
        "an activation of one's own with a shift",
        mixing.OwnActivation,
        {"conv1": 11, "conv2": 7},
        sized={"act1.bias_channels": "conv1:11"},
    ),
    Style(
        "a layer with its own kernel",
        mixing.OwnKernel,
        {"last": 5},
        {"first": "its channels meet the bare parameter 'own.weight': declare its AXES"},
    ),
    Style(
        "the same with AXES declared",
        partial(mixing.OwnKernel, mixing.DeclaredConv2d),
        {"first": 7, "own": 11, "last": 5},
        sized={"own.in_channel": "first:7", "own.out_channel": "own:11"},
    ),
    Style(
        "pixel norm",
        mixing.PixelNormed,
        {"conv3": 5},
        law="gates",
        keep=("conv1", "conv2"),
        blamed=("conv1", "conv2", "conv3"),
    ),
    Style("noise drawn in forward", mixing.Noisy, law="repeat"),
)

STYLES = {style.title: style for style in TABLE}
LAWFUL = {title: style for title, style in STYLES.items() if style.law is None}


def build(style: Style, *, seed: int = 0) -> nn.Module:
    """The generator with every tensor drawn at random, its factory registered."""
    register_factory(style.title, style.make)
    return randomize_(style.make(), seed=seed)


def wrap(style: Style, *, keep: tuple[str, ...] = ()) -> nn.Module:
    """The same with named widths."""
    return wrap_foreign(build(style), factory=style.title, shape=SHAPE, keep=keep)


def rows() -> list[str]:
    """The table of the manual: style, outcome, message."""
    return [f"| {style.title} | {_outcome(style)} | {_message(style)} |" for style in TABLE]


def _outcome(style: Style) -> str:
    if style.law is not None:
        return f"refused by law `{style.law}`"
    return f"cut: {len(style.groups)} groups" if len(style.groups) > 1 else "cut: 1 group"


def _message(style: Style) -> str:
    reasons: dict[str, list[str]] = {}
    for name, reason in style.kept.items():
        reasons.setdefault(reason, []).append(f"`{name}`")
    kept = [f"{', '.join(names)} whole: {reason}" for reason, names in reasons.items()]
    keep = ["`" + " ".join(f"--keep {name}" for name in style.keep) + "`"] if style.keep else []
    random = ["the same image gives the same image: no draws in forward"] if style.law == "repeat" else []
    return "; ".join([*keep, *random, *kept])
