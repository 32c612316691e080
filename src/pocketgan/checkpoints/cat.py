"""Generators of CAT: the inception generator, and the inception generator from label maps.

Names from ``models/modules/inception_architecture`` and ``models/modules/inception_modules.py``. A pruned file does not state
its structure: branches that were cut are absent, and the others are numbered anew, so their kernels are read off the
shapes. The norm after the branches of a block and the modulation before them are in the file even if all branches are gone.

Names and shapes do not tell paddings and activations; assumed are reflection in the first generator, zeros in the second, and
ReLU, as in the published scripts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from pocketgan.checkpoints.gaugan import BLOCKS, label_channels, labelled_details, plain_norm, upsamplings
from pocketgan.checkpoints.layout import Layout, Modules, last_index, norm_words, side_of, width_words
from pocketgan.core.tensors import State
from pocketgan.models.inception import InceptionSpec, branch_names, inception
from pocketgan.models.inception_spade import InceptionSpadeSpec, inception_spade
from pocketgan.models.layers import make_norm

FAMILY = "CAT"


@dataclass(frozen=True)
class Branches:
    """Published names of the layers of parallel branches, for each of the two kinds: ``{our module: theirs}``."""

    res: Mapping[str, str]
    dw: Mapping[str, str]

    def modules(self, ours: str, theirs: str, names: list[str]) -> dict[str, str]:
        """``{our module: theirs}`` for the branches of these names, numbered without gaps."""
        table: dict[str, str] = {}
        for kind, layers in (("res", self.res), ("dw", self.dw)):
            for index, name in enumerate(name for name in names if name.startswith(kind)):
                table |= {f"{ours}.{name}.{layer}": f"{theirs}.{kind}_ops.{index}.{at}" for layer, at in layers.items()}
        return table

    def names(self, state: State, theirs: str) -> list[str]:
        """The branches in the file: kind and kernel, as ``res3``.

        A branch whose kernel is missing is taken for the next larger one after the branch before it.
        """
        names = []
        for kind, layer in (("res", self.res["first.conv"]), ("dw", self.dw["depthwise.conv"])):
            kernel = -1
            for index in range(1 + last_index(state, rf"{re.escape(theirs)}\.{kind}_ops\.(\d+)\.")):
                kernel = side_of(state, f"{theirs}.{kind}_ops.{index}.{layer}.weight", 2, default=kernel + 2)
                names.append(f"{kind}{kernel}")
        return names


PLAIN = Branches(
    res={"first.conv": "1.0", "first.norm": "1.1", "last": "4"},
    dw={"first.conv": "0.0", "first.norm": "0.1", "depthwise.conv": "2.0", "depthwise.norm": "2.1", "last": "4"},
)
_FIRST = {"first.conv": "0.conv", "first.norm": "0.norm"}
_SECOND = {"depthwise.conv": "1.conv", "depthwise.norm": "1.norm"}
INNER = Branches(res={**_FIRST, "last": "1.conv"}, dw={**_FIRST, **_SECOND, "last": "2.conv"})
MODULATION = Branches(res={**_FIRST, "last": "1"}, dw={**_FIRST, **_SECOND, "last": "2"})

_OUTER = {
    **{f"{unit}.conv": f"down_sampling.{i}" for unit, i in (("stem", 1), ("down1", 4), ("down2", 7))},
    **{f"{unit}.norm": f"down_sampling.{i}" for unit, i in (("stem", 2), ("down1", 5), ("down2", 8))},
    **{f"{unit}.conv": f"up_sampling.{i}" for unit, i in (("up1", 0), ("up2", 3))},
    **{f"{unit}.norm": f"up_sampling.{i}" for unit, i in (("up1", 1), ("up2", 4))},
    "head": "up_sampling.7",
}

BranchySpec = InceptionSpec | InceptionSpadeSpec


def _kernels(branches: Mapping[str, list[str]]) -> tuple[int, ...]:
    """All kernels that any branch has, rising; the published three if there is no branch at all."""
    return tuple(sorted({int(re.sub(r"\D", "", name)) for names in branches.values() for name in names})) or (1, 3, 5)


def _present(spec: BranchySpec, block: str) -> list[str]:
    """The branches of a block that are not absent."""
    return [name for name in branch_names(spec.kernels) if spec.widths[f"{block}_{name}"]]


def _absent_widths(full: BranchySpec, branches: Mapping[str, list[str]]) -> dict[str, int]:
    """Widths of 0 for the branches that are not in the file."""
    kept = {f"{block}_{name}" for block, names in branches.items() for name in names}
    return {group: 0 for group in full.optional() if group not in kept}


def _branch_words(spec: BranchySpec) -> str:
    total = len(spec.optional())
    present = sum(spec.widths[group] > 0 for group in spec.optional())
    kernels = "/".join(map(str, spec.kernels))
    return f"{present}{'' if present == total else f' of {total}'} branches of kernels {kernels}"


class InceptionLayout(Layout[InceptionSpec]):
    """Names ``down_sampling``, ``features.{block}`` and ``up_sampling``."""

    family, network, spec_type = FAMILY, "inception generator", InceptionSpec

    def parse_spec(self, state: State) -> InceptionSpec | None:
        names = r"(down_sampling|up_sampling)\.\d+\.|features\.\d+\.(res_ops|dw_ops|pw_bn)\."
        if not any(re.match(names, name) for name in state):
            return None
        blocks = 1 + last_index(state, r"features\.(\d+)\.")
        branches = {f"block{i}": PLAIN.names(state, f"features.{i}") for i in range(blocks)}
        full = inception(
            1,
            blocks,
            kernels=_kernels(branches),
            in_channels=side_of(state, "down_sampling.1.weight", 1),
            out_channels=side_of(state, "up_sampling.7.weight", 0),
        )
        return full.resized(_absent_widths(full, branches))  # type: ignore[return-value]

    def modules(self, spec: InceptionSpec) -> dict[str, str]:
        table = dict(_OUTER)
        for i in range(spec.blocks):
            if names := _present(spec, f"block{i}"):
                table |= PLAIN.modules(f"block{i}.branches", f"features.{i}", names)
                table[f"block{i}.post"] = f"features.{i}.pw_bn"
        return table

    def unused_layers(self, spec: InceptionSpec) -> dict[str, nn.Module]:
        empty = [i for i in range(spec.blocks) if not _present(spec, f"block{i}")]
        return {f"features.{i}.pw_bn": make_norm(spec.norm, spec.widths["trunk"]) for i in empty}

    def details(self, spec: InceptionSpec) -> list[str]:
        full = inception(spec.widths["stem"], spec.blocks, kernels=spec.kernels)
        widths = width_words(spec, full, "ngf", "stem")
        return [f"{spec.blocks} blocks", _branch_words(spec), widths, norm_words(spec.norm)]


class InceptionSpadeLayout(Layout[InceptionSpadeSpec]):
    """SPADE's names, with ``res_ops`` and ``dw_ops`` in blocks and in modulations."""

    family, network, spec_type = FAMILY, "inception SPADE generator", InceptionSpadeSpec

    def parse_spec(self, state: State) -> InceptionSpadeSpec | None:
        if not any(re.match(r"(head_0|G_middle_\d|up_\d)\.(res_ops|dw_ops|spade)\.", name) for name in state):
            return None
        doublings, branches = upsamplings(state), {}
        for block in inception_spade(upsamplings=doublings).blocks:
            branches[block] = INNER.names(state, BLOCKS[block])
            # A modulation before no branches is in the file, too, but never runs.
            branches[f"{block}_spade"] = MODULATION.names(state, f"{BLOCKS[block]}.spade") if branches[block] else []
        full = inception_spade(
            2,
            in_channels=label_channels(state),
            out_channels=side_of(state, "conv_img.weight", 0),
            upsamplings=doublings,
            kernels=_kernels(branches),
        )
        return full.resized(_absent_widths(full, branches))  # type: ignore[return-value]

    def norms(self, state: State, modules: Modules) -> Mapping[str, str]:
        return {"spade_norm": plain_norm(state)}

    def modules(self, spec: InceptionSpadeSpec) -> dict[str, str]:
        table = {"first.conv": "fc", "first.norm": "fc_norm", "head_conv": "conv_img"}
        for block in spec.blocks:
            theirs, spade = BLOCKS[block], f"{block}.spade"
            table |= {f"{block}.shortcut.norm": f"{theirs}.shortcut.0", f"{block}.shortcut.conv": f"{theirs}.shortcut.1.conv"}
            if names := _present(spec, block):
                table[f"{spade}.norm"] = f"{theirs}.spade.param_free_norm"
                table |= INNER.modules(f"{block}.branches", theirs, names)
                names = _present(spec, f"{block}_spade")
                table |= MODULATION.modules(f"{spade}.modulation.branches", f"{theirs}.spade", names)
        return table

    def unused_layers(self, spec: InceptionSpadeSpec) -> dict[str, nn.Module]:
        empty = [block for block in spec.blocks if not _present(spec, block)]
        norms = {block: make_norm(spec.spade_norm, spec.widths[spec.ends(block)[0]]) for block in empty}
        return {f"{BLOCKS[block]}.spade": nn.ModuleDict({"param_free_norm": norm}) for block, norm in norms.items()}

    def details(self, spec: InceptionSpadeSpec) -> list[str]:
        full = inception_spade(spec.widths["up3"], upsamplings=spec.upsamplings, kernels=spec.kernels)
        return [_branch_words(spec), *labelled_details(spec, full)]


LAYOUTS = (InceptionLayout(), InceptionSpadeLayout())
