"""The networks of MUNIT (NVlabs/MUNIT, ``networks.py``), the same in GAN Compression, and its mobile generator.

GAN Compression's ``models/modules/munit_architecture``: teacher, supernet and sub-network have the same names. A generator in
such a file is one domain's auto-encoder; a translation takes the content encoder of the other (`pocketgan.models.assembled`).

What names and shapes cannot tell, and what is assumed: borders reflected, ReLUs, no norms in the discriminator (the published
configurations). The statistics that some versions stored for instance norms are left away: NVlabs' own code drops them.
"""

from __future__ import annotations

import re

from pocketgan.checkpoints.layout import Layout, own_widths, side_of, width_words
from pocketgan.core.reading import State
from pocketgan.core.spec import Spec
from pocketgan.models.multiscale import MsImageSpec, ms_image
from pocketgan.models.munit import MunitSpec, mobile_munit, munit
from pocketgan.models.munit_layers import STYLE

FAMILY = "MUNIT"
SEPARABLE = {"depthwise": "conv.0", "norm": "conv.1", "pointwise": "conv.2"}
ENDS = {
    **{f"content.{unit}": f"enc_content.model.{k}" for k, unit in enumerate(("stem", "down1", "down2"))},
    **{f"decoder.{unit}": f"dec.model.{k}" for unit, k in (("up1", 2), ("up2", 4))},  # doublings between them
}
"""``{our unit: theirs}`` outside the residual blocks and the style encoder."""


def _parse_spec(state: State, *, mobile: bool) -> Spec | None:
    blocks = {
        match[1] for name in state if (match := re.match(r"(?:enc_content\.model\.3|dec\.model\.0)\.model\.(\d+)\.", name))
    }
    if not blocks or not any(name.startswith("mlp.model.") for name in state):
        return None
    if mobile != any(".conv.conv." in name for name in state):
        return None
    return (mobile_munit if mobile else munit)(
        1,
        1,
        1 + max(map(int, blocks)),
        in_channels=side_of(state, "enc_content.model.0.conv.weight", 1),
        out_channels=side_of(state, "dec.model.5.conv.weight", 0),
        style_dim=side_of(state, "mlp.model.0.fc.weight", 1, default=8),
        style_encoder=any(name.startswith("enc_style.") for name in state),
    )


def _modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, MunitSpec)
    table = {"decoder.head": "dec.model.5.conv"}
    for k, layer in enumerate(("first", "second", "last")):
        table[f"mlp.{layer}"] = f"mlp.model.{k}.fc"
    if spec.style_encoder:
        table |= {f"{ours.replace('_', '.')}.conv": f"enc_style.model.{k}.conv" for k, ours in enumerate(STYLE)}
        table["style.head"] = f"enc_style.model.{len(STYLE) + 1}"  # a pooling before it
    units = dict(ENDS)
    for k in range(spec.blocks):
        for place, half in enumerate("ab"):
            units[f"content.block{k}.{half}"] = f"enc_content.model.3.model.{k}.model.{place}"
            units[f"decoder.block{k}.{half}"] = f"dec.model.0.model.{k}.model.{place}"
    for ours, theirs in units.items():
        mixing = "block" in ours or ".up" in ours
        for part, index in (SEPARABLE if spec.separable and mixing else {"": ""}).items():
            table[f"{ours}.conv.{part}".rstrip(".")] = f"{theirs}.conv.{index}".rstrip(".")
        if ".up" in ours:  # the one norm with tensors
            table |= {f"{ours}.norm.weight": f"{theirs}.norm.gamma", f"{ours}.norm.bias": f"{theirs}.norm.beta"}
        else:
            table[f"{ours}.norm.norm" if "decoder" in ours else f"{ours}.norm"] = f"{theirs}.norm"
    return table


def _describe(spec: Spec) -> str:
    assert isinstance(spec, MunitSpec)
    full = (mobile_munit if spec.separable else munit)(
        spec.widths["stem"], spec.widths["mlp1"], spec.blocks, style_encoder=spec.style_encoder
    )
    encoder = "with its style encoder" if spec.style_encoder else "without a style encoder"
    return ", ".join(
        [
            f"{spec.blocks} blocks on either side",
            f"ngf {spec.widths['stem']}" if dict(spec.widths) == dict(full.widths) else own_widths(spec),
            f"styles of {spec.style_dim} numbers, {encoder}",
            f"{spec.in_channels} -> {spec.out_channels} channels",
        ]
    )


def _draft_evaluate(state: State) -> Spec | None:
    found = [re.match(r"cnns\.(\d+)\.(\d+)\.", name) for name in state]
    numbers = [(int(match[1]), int(match[2])) for match in found if match]
    if not numbers:
        return None
    scales, last = (max(column) for column in zip(*numbers, strict=True))
    return ms_image(1, scales + 1, max(1, last), in_channels=side_of(state, "cnns.0.0.conv.weight", 1))


def _evaluate_modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, MsImageSpec)
    table = {f"scale{k}.head": f"cnns.{k}.{spec.layers}" for k in range(spec.scales)}
    for k in range(spec.scales):
        table |= {f"scale{k}.conv{j}.conv": f"cnns.{k}.{j - 1}.conv" for j in range(1, spec.layers + 1)}
    return table


def _describe_evaluate(spec: Spec) -> str:
    assert isinstance(spec, MsImageSpec)
    full = ms_image(spec.widths["scale0_conv1"], spec.scales, spec.layers)
    return f"{spec.scales} scales of {spec.layers} layers, {width_words(spec, full, 'ndf')}, {spec.in_channels} channels"


def _generator(family: str, network: str, *, mobile: bool) -> Layout:
    return Layout(
        family=family,
        network=network,
        role="generator",
        parse_spec=lambda state: _parse_spec(state, mobile=mobile),
        matches=lambda spec: isinstance(spec, MunitSpec) and spec.separable == mobile and spec.norm == "instance",
        modules=_modules,
        describe=_describe,
        norms=lambda state, modules: {},
    )


LAYOUTS = (
    _generator(FAMILY, "AdaIN generator", mobile=False),
    _generator("GAN Compression", "mobile AdaIN generator", mobile=True),
    Layout(
        family=FAMILY,
        network="image discriminator",
        role="discriminator",
        parse_spec=_draft_evaluate,
        matches=lambda spec: isinstance(spec, MsImageSpec),
        modules=_evaluate_modules,
        describe=_describe_evaluate,
        norms=lambda state, modules: {},
    ),
)
