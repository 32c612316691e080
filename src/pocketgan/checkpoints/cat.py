"""The generators of CAT: the inception generator, and the one from label maps.

Names from ``models/modules/inception_architecture`` and ``models/modules/inception_modules.py``. A pruned file says nowhere
what it is: branches that were cut are not there, and those that stay are numbered anew, so their kernels are read off the
shapes. The norm after the branches of a block and the modulation before them are in the file even where all branches are gone.

What cannot be told, and what is assumed: paddings and activations (reflection in the one, zeros in the other; ReLU, as the
scripts have it).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from pocketgan.checkpoints.gaugan import BLOCKS, describe_labelled, label_channels, plain_norm, upsamplings
from pocketgan.checkpoints.layout import Layout, Modules, norm_words, side_of, width_words
from pocketgan.core.reading import State
from pocketgan.core.spec import Spec
from pocketgan.models.branches import branch_names
from pocketgan.models.inception import InceptionSpec, inception
from pocketgan.models.inception_spade import InceptionSpadeSpec, inception_spade
from pocketgan.models.layers import make_norm

FAMILY = "CAT"


@dataclass(frozen=True)
class Branches:
    """What the layers of the parallel branches are called, of each of the two kinds: ``{our module: theirs}``."""

    res: Mapping[str, str]
    dw: Mapping[str, str]

    def modules(self, ours: str, theirs: str, there: list[str]) -> dict[str, str]:
        """The table of the branches that are ``there`` (their names), numbered without gaps."""
        table: dict[str, str] = {}
        for kind, layers in (("res", self.res), ("dw", self.dw)):
            for index, name in enumerate(name for name in there if name.startswith(kind)):
                table |= {f"{ours}.{name}.{layer}": f"{theirs}.{kind}_ops.{index}.{at}" for layer, at in layers.items()}
        return table

    def names(self, state: State, theirs: str) -> list[str]:
        """The branches that are in the file: kind and kernel, as ``res3``.

        One whose kernel is missing is taken for the next after the one before it.
        """
        found = []
        for kind, at in (("res", self.res["first.conv"]), ("dw", self.dw["depthwise.conv"])):
            ops = [re.match(rf"{re.escape(theirs)}\.{kind}_ops\.(\d+)\.", name) for name in state]
            kernel = -1
            for index in range(1 + max((int(match[1]) for match in ops if match), default=-1)):
                kernel = side_of(state, f"{theirs}.{kind}_ops.{index}.{at}.weight", 2, default=kernel + 2)
                found.append(f"{kind}{kernel}")
        return found


PLAIN = Branches(
    res={"first.conv": "1.0", "first.norm": "1.1", "last": "4"},
    dw={"first.conv": "0.0", "first.norm": "0.1", "depthwise.conv": "2.0", "depthwise.norm": "2.1", "last": "4"},
)
_FIRST = {"first.conv": "0.conv", "first.norm": "0.norm"}
_SECOND = {"depthwise.conv": "1.conv", "depthwise.norm": "1.norm"}
INNER = Branches(res={**_FIRST, "last": "1.conv"}, dw={**_FIRST, **_SECOND, "last": "2.conv"})
MAPPING = Branches(res={**_FIRST, "last": "1"}, dw={**_FIRST, **_SECOND, "last": "2"})

_SHELL = {
    **{f"{unit}.conv": f"down_sampling.{i}" for unit, i in (("stem", 1), ("down1", 4), ("down2", 7))},
    **{f"{unit}.norm": f"down_sampling.{i}" for unit, i in (("stem", 2), ("down1", 5), ("down2", 8))},
    **{f"{unit}.conv": f"up_sampling.{i}" for unit, i in (("up1", 0), ("up2", 3))},
    **{f"{unit}.norm": f"up_sampling.{i}" for unit, i in (("up1", 1), ("up2", 4))},
    "head": "up_sampling.7",
}


def _kernels(heads: Mapping[str, list[str]]) -> tuple[int, ...]:
    """All kernels that any branch has, rising; the published three where there is no branch at all."""
    return tuple(sorted({int(re.sub(r"\D", "", name)) for names in heads.values() for name in names})) or (1, 3, 5)


def _there(spec: InceptionSpec | InceptionSpadeSpec, head: str) -> list[str]:
    return [name for name in branch_names(spec.kernels) if spec.widths[f"{head}_{name}"]]


def _thinned(full: Spec, heads: Mapping[str, list[str]]) -> Spec:
    """Without the branches that are not in the file."""
    kept = {f"{head}_{name}" for head, names in heads.items() for name in names}
    return full.resized({group: 0 for group in full.optional() if group not in kept})


def _branch_words(spec: InceptionSpec | InceptionSpadeSpec) -> str:
    whole = len(spec.optional())
    left = sum(spec.widths[group] > 0 for group in spec.optional())
    kernels = "/".join(map(str, spec.kernels))
    return f"{left} branches of kernels {kernels}" if left == whole else f"{left} of {whole} branches of kernels {kernels}"


def _parse_spec(state: State) -> Spec | None:
    if not any(re.match(r"(down_sampling|up_sampling)\.\d+\.|features\.\d+\.(res_ops|dw_ops|pw_bn)\.", name) for name in state):
        return None
    blocks = [int(match[1]) for name in state if (match := re.match(r"features\.(\d+)\.", name))]
    heads = {f"block{i}": PLAIN.names(state, f"features.{i}") for i in range(1 + max(blocks, default=-1))}
    return _thinned(
        inception(
            1,
            len(heads),
            kernels=_kernels(heads),
            in_channels=side_of(state, "down_sampling.1.weight", 1),
            out_channels=side_of(state, "up_sampling.7.weight", 0),
        ),
        heads,
    )


def _modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, InceptionSpec)
    table = dict(_SHELL)
    for i in range(spec.blocks):
        if there := _there(spec, f"block{i}"):
            table |= PLAIN.modules(f"block{i}.branches", f"features.{i}", there)
            table[f"block{i}.post"] = f"features.{i}.pw_bn"
    return table


def _unused_layers(spec: Spec) -> dict[str, nn.Module]:
    assert isinstance(spec, InceptionSpec)
    empty = [i for i in range(spec.blocks) if not _there(spec, f"block{i}")]
    return {f"features.{i}.pw_bn": make_norm(spec.norm, spec.widths["trunk"]) for i in empty}


def _describe(spec: Spec) -> str:
    assert isinstance(spec, InceptionSpec)
    full = inception(spec.widths["stem"], spec.blocks, kernels=spec.kernels)
    words = [f"{spec.blocks} blocks", _branch_words(spec), width_words(spec, full, "ngf"), norm_words(spec.norm)]
    return ", ".join([*words, f"{spec.in_channels} -> {spec.out_channels} channels"])


def _parse_spade_spec(state: State) -> Spec | None:
    if not any(re.match(r"(head_0|G_middle_\d|up_\d)\.(res_ops|dw_ops|spade)\.", name) for name in state):
        return None
    doublings, heads = upsamplings(state), {}
    for block in inception_spade(upsamplings=doublings).blocks:
        heads[block] = INNER.names(state, BLOCKS[block])
        # A modulation before no branches is in the file, too, but never runs.
        heads[f"{block}_spade"] = MAPPING.names(state, f"{BLOCKS[block]}.spade") if heads[block] else []
    return _thinned(
        inception_spade(
            2,
            in_channels=label_channels(state),
            out_channels=side_of(state, "conv_img.weight", 0),
            upsamplings=doublings,
            kernels=_kernels(heads),
        ),
        heads,
    )


def _spade_norms(state: State, modules: Modules) -> Mapping[str, str]:
    return {"spade_norm": plain_norm(state)}


def _spade_modules(spec: Spec) -> dict[str, str]:
    assert isinstance(spec, InceptionSpadeSpec)
    table = {"first.conv": "fc", "first.norm": "fc_norm", "head_conv": "conv_img"}
    for block in spec.blocks:
        theirs = BLOCKS[block]
        table |= {f"{block}.shortcut.norm": f"{theirs}.shortcut.0", f"{block}.shortcut.conv": f"{theirs}.shortcut.1.conv"}
        if there := _there(spec, block):
            table[f"{block}.spade.norm"] = f"{theirs}.spade.param_free_norm"
            table |= INNER.modules(f"{block}.branches", theirs, there)
            modulation = f"{block}.spade.modulation.branches"
            table |= MAPPING.modules(modulation, f"{theirs}.spade", _there(spec, f"{block}_spade"))
    return table


def _spade_unused_layers(spec: Spec) -> dict[str, nn.Module]:
    assert isinstance(spec, InceptionSpadeSpec)
    empty = [block for block in spec.blocks if not _there(spec, block)]
    return {
        f"{BLOCKS[block]}.spade": nn.ModuleDict(
            {"param_free_norm": make_norm(spec.spade_norm, spec.widths[spec.ends(block)[0]])}
        )
        for block in empty
    }


def _describe_spade(spec: Spec) -> str:
    assert isinstance(spec, InceptionSpadeSpec)
    full = inception_spade(spec.widths["up3"], upsamplings=spec.upsamplings, kernels=spec.kernels)
    return f"{_branch_words(spec)}, {describe_labelled(spec, full)}"


LAYOUTS = (
    Layout(
        family=FAMILY,
        network="inception generator",
        role="generator",
        parse_spec=_parse_spec,
        matches=lambda spec: isinstance(spec, InceptionSpec),
        modules=_modules,
        describe=_describe,
        unused_layers=_unused_layers,
    ),
    Layout(
        family=FAMILY,
        network="inception SPADE generator",
        role="generator",
        parse_spec=_parse_spade_spec,
        matches=lambda spec: isinstance(spec, InceptionSpadeSpec),
        modules=_spade_modules,
        describe=_describe_spade,
        norms=_spade_norms,
        unused_layers=_spade_unused_layers,
    ),
)
