"""How one published network is recognised from names and shapes, and what its modules are called.

A `Layout` states only the structure. Which norm the file was trained with and how wide every layer is are read off the
tensors by the code below, which is the same for every layout: the channel map says which axis shows which width.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from pocketgan.core.dims import channel_map
from pocketgan.core.spec import Spec
from pocketgan.models.layers import Norm

State = Mapping[str, Tensor]
"""``{name: tensor}``, as ``state_dict()`` gives it."""

Role = Literal["generator", "discriminator"]

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One network of one published code base."""

    family: str
    """The code base."""
    network: str
    """The network in words, for example ``ResNet generator``."""
    role: Role
    draft: Callable[[State], Spec | None]
    """The structure that the names tell, at any widths and any norm; None if this is some other network."""
    covers: Callable[[Spec], bool]
    """Whether a network of ours with that spec is one of these."""
    modules: Callable[[Spec], dict[str, str]]
    """``{our module: theirs}`` for every module that can have tensors; ``ValueError`` if their names cannot say it."""
    describe: Callable[[Spec], str]
    """The choices of the spec in words."""

    def recognise(self, state: State) -> Spec | None:
        """The spec of the network that ``state`` holds, None if it is not of this layout.

        The answer may fit in part only, when tensors are missing or foreign. Raises ``ValueError`` for tensors of this
        layout whose norm is not one that we have.
        """
        draft = self.draft(state)
        if draft is None:
            return None
        chosen: Any = draft  # every spec with a layout has a norm
        chosen = dataclasses.replace(chosen, norm=find_norm(state, self.modules(draft)))
        return with_widths(chosen, self.modules(chosen), state)


def renamed(tensor: str, modules: Mapping[str, str]) -> str | None:
    """The published name of our tensor, None where there is none."""
    module, _, leaf = tensor.rpartition(".")
    return f"{modules[module]}.{leaf}" if module in modules else None


def find_norm(state: State, modules: Mapping[str, str]) -> Norm:
    """The norm that the tensors tell, seen over all pairs of a convolution and the norm after it.

    Batch norm: scales and statistics, no biases before it. Affine instance norm: scales and biases. Instance norm:
    biases only, or with statistics that were stored but are not used.
    """
    pairs = [(modules[f"{unit}.conv"], norm) for unit, norm in _norms(modules) if f"{unit}.conv" in modules]
    scaled = any(f"{norm}.weight" in state for _, norm in pairs)
    tracked = any(f"{norm}.running_mean" in state for _, norm in pairs)
    biased = any(f"{conv}.bias" in state for conv, _ in pairs)
    if scaled and tracked and biased:
        raise ValueError(
            "it has norms with scales and running statistics after convolutions with biases, which is neither published "
            "batch norm (no such biases) nor instance norm (no statistics in use)"
        )
    if not scaled and not biased and any(f"{conv}.weight" in state for conv, _ in pairs):
        raise ValueError(
            "its convolutions have no biases and no norms after them: it was trained without norm (--norm none), or the "
            "norms were folded away; only instance and batch norm are known"
        )
    if not scaled:
        return "instance"
    return "instance_affine" if biased else "batch"


def _norms(modules: Mapping[str, str]) -> list[tuple[str, str]]:
    """``(our unit, their norm)`` of every norm in the table."""
    return [(ours.removesuffix(".norm"), theirs) for ours, theirs in modules.items() if ours.endswith(".norm")]


def with_widths(spec: Spec, modules: Mapping[str, str], state: State) -> Spec:
    """``spec`` at the widths that the tensors' shapes show; where they disagree, at those that most of them show."""
    votes: dict[str, Counter[int]] = {}
    for tensor, axes in channel_map(spec.build(device="meta")).items():
        theirs = state.get(renamed(tensor, modules) or "")
        for axis, dim in axes.items():
            if theirs is not None and axis < theirs.ndim and theirs.shape[axis] > 0 and len(dim.parts) == 1:
                group, _, each = dim.parts[0]
                votes.setdefault(group, Counter())[theirs.shape[axis] // each] += 1
    return spec.resized({group: count.most_common(1)[0][0] for group, count in votes.items()})


@dataclass(frozen=True)
class Fit:
    """How the tensors of a file and those of the recognised network go together."""

    layout: Layout
    spec: Spec
    ours: dict[str, str]
    """``{our tensor: theirs}`` for the tensors that fit."""
    missing: list[str]
    """Names that the network needs and the file lacks."""
    unknown: list[str]
    """Names in the file that the network does not have."""
    misshapen: list[str]
    """``name is 64x32x3x3 instead of 64x16x3x3``."""
    stale: list[str]
    """Running statistics of norms that use none: stored by old PyTorch versions, without effect."""

    @property
    def faults(self) -> int:
        """How many tensors do not fit."""
        return len(self.missing) + len(self.unknown) + len(self.misshapen)


def fit(layout: Layout, spec: Spec, state: State) -> Fit:
    """Compare the tensors of ``state``, name by name and shape by shape, with the network that ``spec`` describes."""
    model, modules = spec.build(device="meta"), layout.modules(spec)
    missing, misshapen, ours = [], [], {}
    seen = set(stale := _stale(model, modules, state))
    for tensor, value in model.state_dict().items():
        theirs = renamed(tensor, modules)
        assert theirs is not None, f"{layout.network}: {tensor} has no published name"
        seen.add(theirs)
        if theirs not in state:
            if not tensor.endswith(".num_batches_tracked"):  # younger than some files, and without effect here
                missing.append(theirs)
        elif state[theirs].shape != value.shape:
            misshapen.append(f"{theirs} is {sides(state[theirs].shape)} instead of {sides(value.shape)}")
        else:
            ours[tensor] = theirs
    return Fit(layout, spec, ours, missing, [name for name in state if name not in seen], misshapen, stale)


def _stale(model: nn.Module, modules: Mapping[str, str], state: State) -> list[str]:
    return [
        f"{theirs}.{leaf}"
        for unit, theirs in _norms(modules)
        if getattr(model.get_submodule(f"{unit}.norm"), "running_mean", None) is None
        for leaf in STATISTICS
        if f"{theirs}.{leaf}" in state
    ]


def sides(shape: Iterable[int]) -> str:
    """A shape in words: ``64x3x7x7``."""
    return "x".join(map(str, shape)) or "one number"


def width_words(spec: Spec, full: Spec, unit: str) -> str:
    """``ngf 64`` where the widths are those of the published ``full`` network, else their range."""
    if dict(spec.widths) == dict(full.widths):
        return f"{unit} {next(iter(spec.widths.values()))}"
    return f"own widths ({min(spec.widths.values())} to {max(spec.widths.values())})"


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
