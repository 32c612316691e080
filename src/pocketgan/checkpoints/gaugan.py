"""Networks of GauGAN: NVIDIA's SPADE, the same in GAN Compression and CAT, and GAN Compression's mobile generator.

Names from ``models/networks/{generator,architecture,normalization,discriminator}.py`` of NVlabs/SPADE and from
``models/modules/spade_architecture`` of GAN Compression. Its supernet has the mobile generator's names; an exported
sub-network has them too, but with running statistics of the supernet's widths, of which it uses the leading ones.

Names and shapes do not tell everything; assumed are: 5 or 6 upsamplings (6 for 36 label channels, which is Cityscapes, else 5:
as all published files); instance norm in separable convolutions (``--separable_conv_norm none`` looks the same); stride 1 in
the last hidden layer of a discriminator (since SPADE's first months).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pocketgan.checkpoints.layout import Layout, Modules, convolution_names, last_index, norm_words, side_of, width_words
from pocketgan.core.spec import Spec
from pocketgan.core.tensors import State
from pocketgan.models.discriminators import MultiscaleSpec, multiscale
from pocketgan.models.spade import LabelMapSpec, SpadeSpec, mobile_spade, spade

FAMILY = "GauGAN"
CITYSCAPES = 36
"""Channels of the label maps of Cityscapes: 35 classes and the edges of instances."""
BLOCKS = {"head": "head_0", "middle0": "G_middle_0", "middle1": "G_middle_1", **{f"up{k}": f"up_{k}" for k in range(5)}}
"""``{our block: theirs}``."""


def label_channels(state: State) -> int:
    """Channels of the label map: input channels of the first layer, or of the first layer of any modulation."""
    first = re.compile(r"^fc\.weight$|\.(mlp_shared\.0|spade\.(res|dw)_ops\.\d+\.0\.conv)\.weight$")
    return side_of(state, next(filter(first.search, state), ""), 1)


def upsamplings(state: State) -> int:
    """The number of upsamplings: 7 with the block ``up_4``, else assumed by the label maps."""
    if any(name.startswith("up_4.") for name in state):
        return 7
    return 6 if label_channels(state) == CITYSCAPES else 5


def plain_norm(state: State) -> str:
    """The norm that is modulated; of the two only batch norm has tensors."""
    return "batch_plain" if any(name.endswith(".param_free_norm.running_mean") for name in state) else "instance"


def labelled_details(spec: LabelMapSpec, full: Spec) -> list[str]:
    """Choices of a generator from label maps, such as ``6 upsamplings``, ``ngf 64``, ``modulated batch norm``."""
    return [
        f"{spec.upsamplings} upsamplings{'' if spec.upsamplings == 7 else ' (5 and 6 have the same names)'}",
        width_words(spec, full, "ngf", "up3"),
        f"modulated {'batch' if spec.spade_norm == 'batch_plain' else 'instance'} norm",
        *["spectral norm"] * spec.spectral,
    ]


class SpadeLayout(Layout[SpadeSpec]):
    """Layout of SPADE's published generators."""

    family, network, spec_type = FAMILY, "SPADE generator", SpadeSpec
    spectral = True
    mobile = False

    def parse_spec(self, state: State) -> SpadeSpec | None:
        if not any(re.match(r"(head_0|G_middle_\d|up_\d)\.norm_[01s]\.mlp_", name) for name in state):
            return None
        if self.mobile != any(re.search(r"\.mlp_(gamma|beta)\.conv\.", name) for name in state):
            return None
        return (mobile_spade if self.mobile else spade)(
            2,
            in_channels=label_channels(state),
            out_channels=side_of(state, "conv_img.weight", 0),
            upsamplings=upsamplings(state),
            spectral=False,
        )

    def norms(self, state: State, modules: Modules) -> Mapping[str, str]:
        return {"spade_norm": plain_norm(state)}

    def modules(self, spec: SpadeSpec) -> dict[str, str]:
        table = {"first.conv": "fc", "head_conv": "conv_img"}
        for block in spec.blocks:
            reads, writes = spec.ends(block)
            for end in "01" if reads == writes else "01s":
                ours, theirs = f"{block}.spade{end}", f"{BLOCKS[block]}.norm_{end}"
                table |= {f"{block}.conv{end}": f"{BLOCKS[block]}.conv_{end}", f"{ours}.norm": f"{theirs}.param_free_norm"}
                table[f"{ours}.modulation.shared.conv"] = f"{theirs}.mlp_shared.0"
                for half in ("gamma", "beta"):
                    table |= convolution_names(f"{ours}.modulation.{half}", f"{theirs}.mlp_{half}", separable=self.mobile)
        return table

    def details(self, spec: SpadeSpec) -> list[str]:
        full = (mobile_spade if self.mobile else spade)(spec.widths["up3"], upsamplings=spec.upsamplings)
        return labelled_details(spec, full)


class MobileSpadeLayout(SpadeLayout):
    """GAN Compression's generator, whose modulations have separable convolutions."""

    family, network = "GAN Compression", "mobile SPADE generator"
    wider_statistics = True
    mobile = True

    def norms(self, state: State, modules: Modules) -> Mapping[str, str]:
        depthwise = any(re.search(r"\.mlp_(gamma|beta)\.conv\.1\.", name) for name in state)
        return {"spade_norm": plain_norm(state), "depthwise_norm": "batch" if depthwise else "instance"}


class MultiscaleLayout(Layout[MultiscaleSpec]):
    """SPADE's discriminator: one PatchGAN a scale."""

    family, network, spec_type = FAMILY, "multi-scale discriminator", MultiscaleSpec
    role = "discriminator"
    spectral = True

    def parse_spec(self, state: State) -> MultiscaleSpec | None:
        scales = 1 + last_index(state, r"discriminator_(\d+)\.model\d+\.")
        last = last_index(state, r"discriminator_\d+\.model(\d+)\.")
        if not scales:
            return None
        if not any(f"discriminator_{k}.model{last}.0.weight" in state for k in range(scales)):  # the logits, without norm
            last += 1
        first = (name for name in state if name.endswith(".model0.0.weight"))
        return multiscale(1, scales, max(1, last), in_channels=side_of(state, next(first, ""), 1), spectral=False)

    def norms(self, state: State, modules: Modules) -> Mapping[str, str]:
        # No convolution before a norm has a bias here, whatever the norm.
        norms = [theirs for ours, theirs in modules.items() if ours.endswith(".norm")]
        if any(f"{norm}.running_mean" in state for norm in norms):
            return {"norm": "batch"}
        return {"norm": "instance_affine" if any(f"{norm}.weight" in state for norm in norms) else "instance"}

    def modules(self, spec: MultiscaleSpec) -> dict[str, str]:
        table: dict[str, str] = {}
        for k in range(spec.scales):
            ours, theirs = f"scale{k}", f"discriminator_{k}"
            table |= {f"{ours}.conv1.conv": f"{theirs}.model0.0", f"{ours}.head": f"{theirs}.model{spec.layers}.0"}
            for j in range(2, spec.layers + 1):
                unit = f"{theirs}.model{j - 1}.0"
                table |= {f"{ours}.conv{j}.conv": f"{unit}.0", f"{ours}.conv{j}.norm": f"{unit}.1"}
        return table

    def details(self, spec: MultiscaleSpec) -> list[str]:
        words = [f"{spec.scales} scales of {spec.layers} layers", norm_words(spec.norm)]
        return [*words, "spectral norm"] if spec.spectral else words


LAYOUTS = (SpadeLayout(), MobileSpadeLayout(), MultiscaleLayout())
