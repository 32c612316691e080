"""How one published network is recognized from names and shapes, and what its modules are called.

A `Layout` states only the structure. Which norm the file was trained with and how wide every layer is are read off the
tensors by the code below, which is the same for every layout: the channel map says which axis shows which width.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from pocketgan.checkpoints import spectral
from pocketgan.core.dims import channel_map
from pocketgan.core.reading import State
from pocketgan.core.spec import Spec
from pocketgan.models.layers import Norm

Role = Literal["generator", "discriminator"]

Modules = Mapping[str, str]
"""``{our module: theirs}``; a tensor whose own name differs is there by its whole name."""

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def one_norm(state: State, modules: Modules) -> Mapping[str, str]:
    """The field ``norm``, by `find_norm`."""
    return {"norm": find_norm(state, modules)}


def no_unused_layers(spec: Spec) -> Mapping[str, nn.Module]:
    """Of a network all of whose published layers run."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One network of one published code base."""

    family: str
    """The code base."""
    network: str
    """The network in words, for example ``ResNet generator``."""
    role: Role
    parse_spec: Callable[[State], Spec | None]
    """The structure that the names tell, at any widths and any norm; None if this is some other network."""
    matches: Callable[[Spec], bool]
    """Whether a network of ours with that spec is one of these."""
    modules: Callable[[Spec], dict[str, str]]
    """``{our module: theirs}`` for every module that can have tensors; ``ValueError`` if their names cannot say it."""
    describe: Callable[[Spec], str]
    """The choices of the spec in words."""
    norms: Callable[[State, Modules], Mapping[str, str]] = one_norm
    """The spec's fields that say which norms there are."""
    unused_layers: Callable[[Spec], Mapping[str, nn.Module]] = no_unused_layers
    """``{their name: as it is made}`` of layers that the published code makes and never runs; ours has none of them."""
    spectral: bool = False
    """Whether ours has spectral norm where theirs has; else what a file has of it is folded into the weights."""
    cuts: bool = False
    """Whether running statistics may be those of a wider network, of which the leading ones are used."""

    def recognize(self, state: State) -> Spec | None:
        """The spec of the network that ``state`` holds, None if it is not of this layout.

        The answer may fit in part only, when tensors are missing or foreign. Raises ``ValueError`` for tensors of this
        layout whose norm is not one that we have.
        """
        plain = spectral.plain_names(state)
        parse_spec = self.parse_spec(plain)
        if parse_spec is None:
            return None
        spec = replaced(parse_spec, **self.norms(plain, self.modules(parse_spec)))
        spec = with_widths(spec, self.modules(spec), plain)
        return replaced(spec, spectral=spectral.is_spectral(state)) if self.spectral else spec


def replaced(spec: Spec, **fields: Any) -> Spec:
    """The same description with other choices."""
    return dataclasses.replace(spec, **fields)


def renamed(tensor: str, modules: Modules) -> str | None:
    """The published name of our tensor, None where there is none."""
    if tensor in modules:
        return modules[tensor]
    for ours, theirs in spectral.LEAVES.items():
        if tensor.endswith(f".{ours}"):
            tensor = tensor.removesuffix(ours) + theirs
    module, _, leaf = tensor.rpartition(".")
    return f"{modules[module]}.{leaf}" if module in modules else None


def find_norm(state: State, modules: Modules) -> Norm:
    """The norm that the tensors tell, seen over all pairs of a convolution and the norm after it.

    Batch norm: scales and statistics, no biases before it. Affine instance norm: scales and biases. Instance norm:
    biases only, or with statistics that were stored but are not used. Batch norm that keeps no statistics (CAT's
    zebra2horse): scales only; on one image at a time it is affine instance norm.
    """
    pairs = _pairs(modules)
    scaled = any(f"{norm}.weight" in state for _, norm in pairs)
    tracked = any(f"{norm}.running_mean" in state for _, norm in pairs)
    biased = has_biases(state, modules)
    if scaled and tracked and biased:
        raise ValueError(
            "it has norms with scales and running statistics after convolutions with biases, which is neither published "
            "batch norm (no such biases) nor instance norm (no statistics in use)"
        )
    if not scaled and not biased and any(f"{conv}.weight" in state for conv, _ in pairs):
        raise ValueError(
            "its convolutions have no biases and no norms after them: it was trained without norm (--norm none) or with norms "
            "that keep nothing, or they were folded away; only instance and batch norm are known"
        )
    if not scaled:
        return "instance"
    return "batch" if tracked and not biased else "instance_affine"


def _norms(modules: Modules) -> list[tuple[str, str]]:
    """``(our unit, their norm)`` of every norm in the table."""
    return [(ours.removesuffix(".norm"), theirs) for ours, theirs in modules.items() if ours.endswith(".norm")]


def _pairs(modules: Modules) -> list[tuple[str, str]]:
    """``(their convolution, their norm after it)``."""
    return [(modules[f"{unit}.conv"], norm) for unit, norm in _norms(modules) if f"{unit}.conv" in modules]


def has_biases(state: State, modules: Modules) -> bool:
    """Whether any convolution before a norm has a bias."""
    return any(f"{conv}.bias" in state for conv, _ in _pairs(modules))


def may_lack(tensor: str, spec: Spec, state: State, modules: Modules) -> bool:
    """Whether the network is the same without that tensor of ours: a bias that a norm takes away, where none such is there."""
    module, _, leaf = tensor.rpartition(".")
    unit, _, layer = module.rpartition(".")
    normed = layer == "last" or (layer == "conv" and f"{unit}.norm" in modules)
    return leaf == "bias" and normed and getattr(spec, "norm", None) == "instance_affine" and not has_biases(state, modules)


def with_widths(spec: Spec, modules: Modules, state: State) -> Spec:
    """``spec`` at the widths that the shapes show; where they disagree, at those that most of them show.

    Running statistics have no vote: they may be those of a wider network.
    """
    votes: dict[str, Counter[int]] = {}
    for tensor, axes in channel_map(spec.build(device="meta")).items():
        theirs = None if tensor.endswith(STATISTICS) else state.get(renamed(tensor, modules) or "")
        for axis, dim in axes.items():
            if theirs is not None and axis < theirs.ndim and theirs.shape[axis] > 0 and len(dim.parts) == 1:
                group, _, each = dim.parts[0]
                votes.setdefault(group, Counter())[theirs.shape[axis] // each] += 1
    return spec.resized({group: count.most_common(1)[0][0] for group, count in votes.items()})


def sides(shape: Iterable[int]) -> str:
    """A shape in words: ``64x3x7x7``."""
    return "x".join(map(str, shape)) or "one number"


def width_words(spec: Spec, full: Spec, unit: str) -> str:
    """``ngf 64`` where the widths are those of the published ``full`` network, else their range."""
    if dict(spec.widths) == dict(full.widths):
        return f"{unit} {next(iter(spec.widths.values()))}"
    return own_widths(spec)


def own_widths(spec: Spec) -> str:
    """The range of the widths of what is there."""
    there = [width for width in spec.widths.values() if width]
    return f"own widths ({min(there)} to {max(there)})"


def norm_words(norm: Norm) -> str:
    """``affine instance norm``."""
    return {"instance": "instance norm", "instance_affine": "affine instance norm", "batch": "batch norm"}[norm]


def side_of(state: State, name: str, axis: int, *, default: int = 3) -> int:
    """The length of one axis of a tensor; ``default`` where the file lacks it (it is then reported as missing)."""
    tensor = state.get(name)
    return default if tensor is None or tensor.ndim <= axis else max(1, int(tensor.shape[axis]))


def is_kernel(state: State, name: str, size: int) -> bool:
    """Whether that tensor is there and is a convolution's with square kernels of that size."""
    tensor = state.get(name)
    return tensor is not None and tensor.ndim == 4 and tuple(tensor.shape[2:]) == (size, size)
