"""Networks of MUNIT (NVlabs/MUNIT, ``networks.py``), the same in GAN Compression, and its mobile generator.

GAN Compression's ``models/modules/munit_architecture``: teacher, supernet and sub-network have the same names. A generator in
such a file is one domain's auto-encoder; a translation takes the content encoder of the other (`pocketgan.models.assembled`).

Names and shapes do not tell everything; assumed are: reflected borders, ReLUs, no norms in the discriminator (the published
configurations). Statistics that some versions stored for instance norms are dropped, as NVlabs' own code does.
"""

from __future__ import annotations

from collections.abc import Mapping

from pocketgan.checkpoints.layout import Layout, Modules, convolution_names, last_index, side_of, width_words
from pocketgan.core.spec import Spec
from pocketgan.core.tensors import State
from pocketgan.models.discriminators import MsImageSpec, ms_image
from pocketgan.models.munit import MunitSpec, mobile_munit, munit
from pocketgan.models.munit_layers import STYLE

FAMILY = "MUNIT"
ENDS = {
    **{f"content.{unit}": f"enc_content.model.{k}" for k, unit in enumerate(("stem", "down1", "down2"))},
    **{f"decoder.{unit}": f"dec.model.{k}" for unit, k in (("up1", 2), ("up2", 4))},  # upsamplings between them
}
"""``{our unit: theirs}`` outside the residual blocks and the style encoder."""


class MunitLayout(Layout[MunitSpec]):
    """The auto-encoder of one domain."""

    family, network, spec_type = FAMILY, "AdaIN generator", MunitSpec
    mobile = False

    def parse_spec(self, state: State) -> MunitSpec | None:
        blocks = 1 + last_index(state, r"(?:enc_content\.model\.3|dec\.model\.0)\.model\.(\d+)\.")
        if not blocks or not any(name.startswith("mlp.model.") for name in state):
            return None
        if self.mobile != any(".conv.conv." in name for name in state):
            return None
        return (mobile_munit if self.mobile else munit)(
            1,
            1,
            blocks,
            in_channels=side_of(state, "enc_content.model.0.conv.weight", 1),
            out_channels=side_of(state, "dec.model.5.conv.weight", 0),
            style_dim=side_of(state, "mlp.model.0.fc.weight", 1, default=8),
            style_encoder=any(name.startswith("enc_style.") for name in state),
        )

    def matches(self, spec: Spec) -> bool:
        return isinstance(spec, MunitSpec) and spec.separable == self.mobile and spec.norm == "instance"

    def norms(self, state: State, modules: Modules) -> Mapping[str, str]:
        return {}

    def modules(self, spec: MunitSpec) -> dict[str, str]:
        table = {"decoder.head": "dec.model.5.conv"}
        table |= {f"mlp.{layer}": f"mlp.model.{k}.fc" for k, layer in enumerate(("first", "second", "last"))}
        if spec.style_encoder:
            table |= {f"{ours.replace('_', '.')}.conv": f"enc_style.model.{k}.conv" for k, ours in enumerate(STYLE)}
            table["style.head"] = f"enc_style.model.{len(STYLE) + 1}"  # a pooling before it
        units = dict(ENDS)
        for k in range(spec.blocks):
            for index, half in enumerate("ab"):
                units[f"content.block{k}.{half}"] = f"enc_content.model.3.model.{k}.model.{index}"
                units[f"decoder.block{k}.{half}"] = f"dec.model.0.model.{k}.model.{index}"
        for ours, theirs in units.items():
            inner = "block" in ours or ".up" in ours
            table |= convolution_names(f"{ours}.conv", f"{theirs}.conv", separable=spec.separable and inner)
            if ".up" in ours:  # the one norm with tensors
                table |= {f"{ours}.norm.weight": f"{theirs}.norm.gamma", f"{ours}.norm.bias": f"{theirs}.norm.beta"}
            else:
                table[f"{ours}.norm.norm" if "decoder" in ours else f"{ours}.norm"] = f"{theirs}.norm"
        return table

    def details(self, spec: MunitSpec) -> list[str]:
        full = (mobile_munit if self.mobile else munit)(
            spec.widths["stem"], spec.widths["mlp1"], spec.blocks, style_encoder=spec.style_encoder
        )
        encoder = "with its style encoder" if spec.style_encoder else "without a style encoder"
        widths = width_words(spec, full, "ngf", "stem")
        return [f"{spec.blocks} blocks on either side", widths, f"styles of {spec.style_dim} numbers, {encoder}"]


class MobileMunitLayout(MunitLayout):
    """GAN Compression's generator with separable convolutions."""

    family, network = "GAN Compression", "mobile AdaIN generator"
    mobile = True


class MsImageLayout(Layout[MsImageSpec]):
    """The discriminator: one PatchGAN a scale."""

    family, network, spec_type = FAMILY, "image discriminator", MsImageSpec
    role = "discriminator"

    def parse_spec(self, state: State) -> MsImageSpec | None:
        scales, last = 1 + last_index(state, r"cnns\.(\d+)\.\d+\."), last_index(state, r"cnns\.\d+\.(\d+)\.")
        if not scales:
            return None
        return ms_image(1, scales, max(1, last), in_channels=side_of(state, "cnns.0.0.conv.weight", 1))

    def norms(self, state: State, modules: Modules) -> Mapping[str, str]:
        return {}

    def modules(self, spec: MsImageSpec) -> dict[str, str]:
        table = {f"scale{k}.head": f"cnns.{k}.{spec.layers}" for k in range(spec.scales)}
        for k in range(spec.scales):
            table |= {f"scale{k}.conv{j}.conv": f"cnns.{k}.{j - 1}.conv" for j in range(1, spec.layers + 1)}
        return table

    def details(self, spec: MsImageSpec) -> list[str]:
        full = ms_image(spec.widths["scale0_conv1"], spec.scales, spec.layers)
        return [f"{spec.scales} scales of {spec.layers} layers", width_words(spec, full, "ndf", "scale0_conv1")]


LAYOUTS = (MunitLayout(), MobileMunitLayout(), MsImageLayout())
