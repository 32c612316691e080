"""The networks of GauGAN: NVIDIA's SPADE, the same in GAN Compression and CAT, and GAN Compression's mobile generator.

Names from ``models/networks/{generator,architecture,normalization,discriminator}.py`` of NVlabs/SPADE and from
``models/modules/spade_architecture`` of GAN Compression. Its supernet has the mobile generator's names; a sub-network that it
exports has too, but with running statistics of the supernet's widths, of which it uses the leading ones.

What names and shapes cannot tell, and what is assumed: 5 or 6 upsamplings (6 where 36 channels are read, which is Cityscapes,
else 5: as all published files); ``--separable_conv_norm none`` looks like instance norm (instance norm, the default); in a
discriminator the stride of the last hidden layer (1, since SPADE's first months).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pocketgan.checkpoints.layout import Layout, Modules, norm_words, own_widths, side_of
from pocketgan.core.reading import State
from pocketgan.core.spec import Spec
from pocketgan.models.multiscale import MultiscaleSpec, multiscale
from pocketgan.models.spade import LabelledSpec, SpadeSpec, mobile_spade, spade

FAMILY = "GauGAN"
CITYSCAPES = 36
"""Channels of its label maps: 35 classes and the edges of instances."""
BLOCKS = {"head": "head_0", "middle0": "G_middle_0", "middle1": "G_middle_1", **{f"up{k}": f"up_{k}" for k in range(5)}}
"""``{our block: theirs}``."""
PAIRS = {"gamma": "mlp_gamma", "beta": "mlp_beta"}
SEPARABLE = {"depthwise": "conv.0", "norm": "conv.1", "pointwise": "conv.2"}


def label_channels(state: State) -> int:
    """Channels of the label map: what the first layer reads, and the first one of every modulation."""
    reading = re.compile(r"^fc\.weight$|\.(mlp_shared\.0|spade\.(res|dw)_ops\.\d+\.0\.conv)\.weight$")
    return side_of(state, next(filter(reading.search, state), ""), 1)


def upsamplings(state: State) -> int:
    """How many times the first map is doubled: 7 with the block ``up_4``, else assumed by the label maps."""
    if any(name.startswith("up_4.") for name in state):
        return 7
    return 6 if label_channels(state) == CITYSCAPES else 5


def plain_norm(state: State) -> str:
    """The norm that is modulated: of these only batch norm has tensors."""
    return "batch_plain" if any(name.endswith(".param_free_norm.running_mean") for name in state) else "instance"


def describe_labelled(spec: Spec, full: Spec) -> str:
    """For example ``6 upsamplings (assumed), ngf 64, modulated batch norm, spectral norm, 36 -> 3 channels``."""
    assert isinstance(spec, LabelledSpec)
    same = dict(spec.widths) == dict(full.widths)
    return ", ".join(
        [
            f"{spec.upsamplings} upsamplings{'' if spec.upsamplings == 7 else ' (5 and 6 have the same names)'}",
            f"ngf {spec.widths['up3']}" if same else own_widths(spec),
            f"modulated {'batch' if spec.spade_norm == 'batch_plain' else 'instance'} norm",
            *["spectral norm"] * spec.spectral,
            f"{spec.in_channels} -> {spec.out_channels} channels",
        ]
    )


def _parse_spec(state: State, *, mobile: bool) -> Spec | None:
    if not any(re.match(r"(head_0|G_middle_\d|up_\d)\.norm_[01s]\.mlp_", name) for name in state):
        return None
    if mobile != any(".mlp_gamma.conv." in name or ".mlp_beta.conv." in name for name in state):
        return None
    return (mobile_spade if mobile else spade)(
        2,
        in_channels=label_channels(state),
        out_channels=side_of(state, "conv_img.weight", 0),
        upsamplings=upsamplings(state),
        spectral=False,
    )


def _norms(state: State, modules: Modules) -> Mapping[str, str]:
    return {"spade_norm": plain_norm(state)}


def _mobile_norms(state: State, modules: Modules) -> Mapping[str, str]:
    halves = any(re.search(r"\.mlp_(gamma|beta)\.conv\.1\.", name) for name in state)
    return {"spade_norm": plain_norm(state), "depthwise_norm": "batch" if halves else "instance"}


def _modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, SpadeSpec)
    table = {"first.conv": "fc", "head_conv": "conv_img"}
    for block in spec.blocks:
        reads, writes = spec.ends(block)
        for end in "01" if reads == writes else "01s":
            ours, theirs = f"{block}.spade{end}", f"{BLOCKS[block]}.norm_{end}"
            table |= {f"{block}.conv{end}": f"{BLOCKS[block]}.conv_{end}", f"{ours}.norm": f"{theirs}.param_free_norm"}
            table[f"{ours}.modulation.shared.conv"] = f"{theirs}.mlp_shared.0"
            for half, name in PAIRS.items():
                parts = SEPARABLE if spec.separable else {"": ""}
                table |= {
                    f"{ours}.modulation.{half}.{part}".rstrip("."): f"{theirs}.{name}.{index}".rstrip(".")
                    for part, index in parts.items()
                }
    return table


def _describe(spec: Spec) -> str:
    assert isinstance(spec, SpadeSpec)
    return describe_labelled(
        spec, (mobile_spade if spec.separable else spade)(spec.widths["up3"], upsamplings=spec.upsamplings)
    )


def _draft_multiscale(state: State) -> Spec | None:
    found = [re.match(r"discriminator_(\d+)\.model(\d+)\.", name) for name in state]
    numbers = [(int(match[1]), int(match[2])) for match in found if match]
    if not numbers:
        return None
    scales, last = max(numbers)[0] + 1, max(layer for _, layer in numbers)
    if not any(f"discriminator_{k}.model{last}.0.weight" in state for k in range(scales)):  # the logits, which have no norm
        last += 1
    first = (name for name in state if name.endswith(".model0.0.weight"))
    return multiscale(1, scales, max(1, last), in_channels=side_of(state, next(first, ""), 1), spectral=False)


def _multiscale_norms(state: State, modules: Modules) -> Mapping[str, str]:
    """No convolution before a norm has a bias here, whichever it is."""
    norms = [theirs for ours, theirs in modules.items() if ours.endswith(".norm")]
    if any(f"{norm}.running_mean" in state for norm in norms):
        return {"norm": "batch"}
    return {"norm": "instance_affine" if any(f"{norm}.weight" in state for norm in norms) else "instance"}


def _multiscale_modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, MultiscaleSpec)
    table: dict[str, str] = {}
    for k in range(spec.scales):
        ours, theirs = f"scale{k}", f"discriminator_{k}"
        table |= {f"{ours}.conv1.conv": f"{theirs}.model0.0", f"{ours}.head": f"{theirs}.model{spec.layers}.0"}
        for j in range(2, spec.layers + 1):
            unit = f"{theirs}.model{j - 1}.0"
            table |= {f"{ours}.conv{j}.conv": f"{unit}.0", f"{ours}.conv{j}.norm": f"{unit}.1"}
    return table


def _describe_multiscale(spec: Spec) -> str:
    assert isinstance(spec, MultiscaleSpec)
    words = [f"{spec.scales} scales of {spec.layers} layers", norm_words(spec.norm), *["spectral norm"] * spec.spectral]
    return ", ".join([*words, f"{spec.in_channels} channels"])


LAYOUTS = (
    Layout(
        family=FAMILY,
        network="SPADE generator",
        role="generator",
        parse_spec=lambda state: _parse_spec(state, mobile=False),
        matches=lambda spec: isinstance(spec, SpadeSpec) and not spec.separable,
        modules=_modules,
        describe=_describe,
        norms=_norms,
        spectral=True,
    ),
    Layout(
        family="GAN Compression",
        network="mobile SPADE generator",
        role="generator",
        parse_spec=lambda state: _parse_spec(state, mobile=True),
        matches=lambda spec: isinstance(spec, SpadeSpec) and spec.separable,
        modules=_modules,
        describe=_describe,
        norms=_mobile_norms,
        spectral=True,
        cuts=True,
    ),
    Layout(
        family=FAMILY,
        network="multi-scale discriminator",
        role="discriminator",
        parse_spec=_draft_multiscale,
        matches=lambda spec: isinstance(spec, MultiscaleSpec),
        modules=_multiscale_modules,
        describe=_describe_multiscale,
        norms=_multiscale_norms,
        spectral=True,
    ),
)
