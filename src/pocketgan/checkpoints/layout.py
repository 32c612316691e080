"""Base of the published networks: recognition from names and shapes, and the published names of our modules.

A `Layout` states only the structure. The norm that the file was trained with and the width of every layer are read off the
tensors by the code below, which is the same for every layout: the channel map says which axis has which width.
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar

from torch import nn

from pocketgan.checkpoints import spectral
from pocketgan.core.dims import channel_map
from pocketgan.core.spec import Spec
from pocketgan.core.tensors import State
from pocketgan.models.layers import Norm
from pocketgan.utils.registry import listed

S = TypeVar("S", bound=Spec)

Role = Literal["generator", "discriminator"]

Modules = Mapping[str, str]
"""``{our module: theirs}``; a tensor whose own name differs is in it by its full name."""

MAX_INDEX = 1000
"""The largest number of a layer in a name."""

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Layout(ABC, Generic[S]):
    """Network of a published code base."""

    family: ClassVar[str]
    """Name of the code base."""
    network: ClassVar[str]
    """Name of the network, for example ``ResNet generator``."""
    role: ClassVar[Role] = "generator"
    spec_type: type[S]
    """Class of our specs of this network."""
    spectral: ClassVar[bool] = False
    """True if our network has spectral norm where theirs has; else the file's spectral norm is folded into the weights."""
    mobile: ClassVar[bool | None] = None
    """True for the separable one of two networks of one structure, False for the other."""
    wider_statistics: ClassVar[bool] = False
    """True if running statistics may be those of a wider network, of which the leading ones are used."""

    @abstractmethod
    def parse_spec(self, state: State) -> S | None:
        """The structure that the names state, at any widths and any norm; None for another network."""

    @abstractmethod
    def modules(self, spec: S) -> dict[str, str]:
        """``{our module: theirs}`` for every module that can have tensors; ``ValueError`` if their names cannot express it."""

    @abstractmethod
    def details(self, spec: S) -> list[str]:
        """The choices of the spec in words, without the channels of images."""

    def matches(self, spec: Spec) -> bool:
        """True if a network of ours with that spec is one of these."""
        return isinstance(spec, self.spec_type) and self.mobile in (None, getattr(spec, "separable", None))

    def norms(self, state: State, modules: Modules) -> Mapping[str, str]:
        """The spec's fields that name norms."""
        return {"norm": find_norm(state, modules)}

    def unused_layers(self, spec: S) -> Mapping[str, nn.Module]:
        """``{their name: module with its first values}`` of layers that the published code makes and never runs."""
        return {}

    def describe(self, spec: Any) -> str:
        """For example ``9 blocks, ngf 64, instance norm, 3 -> 3 channels``."""
        channels = f"{spec.in_channels} -> {spec.out_channels}" if self.role == "generator" else f"{spec.in_channels}"
        return ", ".join([*self.details(spec), f"{channels} channels"])

    def recognize(self, state: State) -> Spec | None:
        """The spec of the network in ``state``; None if it is not of this layout.

        The spec may match in part only, when tensors are missing or foreign. Raises ``ValueError`` for tensors of this
        layout whose norm is not one that we have.
        """
        plain = spectral.plain_names(state)
        parsed = self.parse_spec(plain)
        if parsed is None:
            return None
        spec = dataclasses.replace(parsed, **self.norms(plain, self.modules(parsed)))  # type: ignore[arg-type]
        spec = with_widths(spec, self.modules(spec), plain)  # type: ignore[assignment]
        return dataclasses.replace(spec, spectral=spectral.is_spectral(state)) if self.spectral else spec  # type: ignore[call-arg]


def renamed(tensor: str, modules: Modules) -> str | None:
    """The published name of our tensor; None if it has none."""
    if tensor in modules:
        return modules[tensor]
    for ours, theirs in spectral.LEAVES.items():
        if tensor.endswith(f".{ours}"):
            tensor = tensor.removesuffix(ours) + theirs
    module, _, leaf = tensor.rpartition(".")
    return f"{modules[module]}.{leaf}" if module in modules else None


def convolution_names(ours: str, theirs: str, *, separable: bool) -> dict[str, str]:
    """``{our module: theirs}`` of one convolution, plain or, as GAN Compression has it, depthwise, norm and pointwise."""
    if not separable:
        return {ours: theirs}
    return {f"{ours}.{part}": f"{theirs}.conv.{k}" for k, part in enumerate(("depthwise", "norm", "pointwise"))}


def find_norm(state: State, modules: Modules) -> Norm:
    """The norm by the tensors of all pairs of a convolution and the norm after it.

    Batch norm: scales and statistics, no biases before it. Affine instance norm: scales and biases. Instance norm:
    biases only, or with statistics that were stored but are not used. Batch norm that keeps no statistics (CAT's
    zebra2horse): scales only; on one image at a time it is affine instance norm.
    """
    pairs = _pairs(modules)
    scaled = any(f"{norm}.weight" in state for _, norm in pairs)
    tracked = any(f"{norm}.running_mean" in state for _, norm in pairs)
    biased = _has_biases(state, modules)
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


def _pairs(modules: Modules) -> list[tuple[str, str]]:
    """``(their convolution, their norm after it)``."""
    units = ((ours.removesuffix(".norm"), theirs) for ours, theirs in modules.items() if ours.endswith(".norm"))
    return [(modules[f"{unit}.conv"], norm) for unit, norm in units if f"{unit}.conv" in modules]


def _has_biases(state: State, modules: Modules) -> bool:
    """True if any convolution before a norm has a bias."""
    return any(f"{conv}.bias" in state for conv, _ in _pairs(modules))


def may_lack(tensor: str, spec: Spec, state: State, modules: Modules) -> bool:
    """True if the network is the same without that tensor of ours: a bias that a norm removes, if the file has none."""
    module, _, leaf = tensor.rpartition(".")
    unit, _, layer = module.rpartition(".")
    normed = layer == "last" or (layer == "conv" and f"{unit}.norm" in modules)
    return leaf == "bias" and normed and getattr(spec, "norm", None) == "instance_affine" and not _has_biases(state, modules)


def with_widths(spec: Spec, modules: Modules, state: State) -> Spec:
    """``spec`` at the widths of the shapes; where shapes disagree, at the width of most of them.

    Running statistics have no vote: they may be those of a wider network.
    """
    votes: dict[str, Counter[int]] = {}
    for tensor, axes in channel_map(spec.build(device="meta")).items():
        theirs = None if tensor.endswith(STATISTICS) else state.get(renamed(tensor, modules) or "")
        for axis, dim in axes.items():
            if theirs is not None and axis < theirs.ndim and theirs.shape[axis] > 0 and len(dim.parts) == 1:
                group, _, repeat = dim.parts[0]
                votes.setdefault(group, Counter())[theirs.shape[axis] // repeat] += 1
    return spec.resized({group: count.most_common(1)[0][0] for group, count in votes.items()})


def width_words(spec: Spec, full: Spec, unit: str, group: str) -> str:
    """``ngf 64``, the width of ``group``, if all widths are those of the published ``full`` network; else their range."""
    if dict(spec.widths) == dict(full.widths):
        return f"{unit} {spec.widths[group]}"
    present = [width for width in spec.widths.values() if width]
    return f"own widths ({min(present)} to {max(present)})"


def norm_words(norm: Norm) -> str:
    """``affine instance norm``."""
    return {"instance": "instance norm", "instance_affine": "affine instance norm", "batch": "batch norm"}[norm]


def last_index(state: State, pattern: str) -> int:
    """The largest number that the group of ``pattern`` has at the beginning of a name; -1 if no name begins so.

    Raises ``ValueError`` for a number beyond `MAX_INDEX`, or beyond what so few tensors can need.
    """
    numbers = [match[1] for match in (re.match(pattern, name) for name in state) if match]
    most = min(MAX_INDEX, 4 * len(state) + 64)
    if wrong := [number for number in numbers if len(number) > len(str(MAX_INDEX)) or int(number) > most]:
        raise ValueError(f"its {len(state)} tensors have layers numbered up to {listed(wrong, 1)}; networks have up to {most}")
    return max(map(int, numbers), default=-1)


def side_of(state: State, name: str, axis: int, *, default: int = 3) -> int:
    """The length of one axis of a tensor; ``default`` if the file lacks the tensor (it is then reported as missing)."""
    tensor = state.get(name)
    return default if tensor is None or tensor.ndim <= axis else max(1, int(tensor.shape[axis]))


def is_kernel(state: State, name: str, size: int) -> bool:
    """True if the tensor exists and is a convolution's with square kernels of that size."""
    tensor = state.get(name)
    return tensor is not None and tensor.ndim == 4 and tuple(tensor.shape[2:]) == (size, size)
