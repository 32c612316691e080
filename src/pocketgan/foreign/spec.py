"""Generators that pocketgan did not write, as networks with named widths like its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm

from pocketgan.core.dims import FIXED, NORMS, Dim, Part, channel_map
from pocketgan.core.spec import ARCHITECTURES, Spec
from pocketgan.foreign.factory import given, made
from pocketgan.pruning.elastic import leading
from pocketgan.pruning.selection import resize

Parts = tuple[tuple[str, int, int], ...]
"""``(group, whole width, numbers a channel)`` one after the other; the group ``""`` stays."""


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """What a foreign generator reads and generates, where it is not RGB in [-1, 1]."""

    range: tuple[float, float] = (-1.0, 1.0)
    """The values of black and white."""
    bgr: bool = False
    """Whether blue comes first."""

    def __post_init__(self) -> None:
        low, high = self.range
        if not low < high:
            raise ValueError(f"range={low:g}..{high:g}: black comes first and is the lower, for example 0..255")

    @classmethod
    def of(cls, text: str, bgr: bool) -> PixelFormat:
        """From ``0..255``: the values of black and white. Raises ``ValueError`` for another form."""
        low, dots, high = text.partition("..")
        try:
            return cls(range=(float(low), float(high)), bgr=bgr)
        except ValueError as error:
            if dots and "black" in str(error):
                raise
            raise ValueError(f"range={text}: write black..white, for example 0..255 or 0..1") from None

    @property
    def ours(self) -> bool:
        """Whether that is what everything in the house reads and generates."""
        return self == PixelFormat()


class Adapted(nn.Module):
    """A generator of other values or channel order as one of RGB in [-1, 1], before it and behind it."""

    def __init__(self, net: nn.Module, images: PixelFormat):
        super().__init__()
        self.net, self.bgr = net, images.bgr
        low, high = images.range
        self.middle, self.reach = (high + low) / 2, (high - low) / 2

    def own(self, x: Tensor) -> Tensor:
        """An image, N x C x H x W in [-1, 1], as the generator reads it."""
        return (x.flip(1) if self.bgr else x) * self.reach + self.middle

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] -> the same."""
        image: Tensor = (self.net(self.own(x)) - self.middle) / self.reach
        return image.flip(1) if self.bgr else image


@ARCHITECTURES.register("foreign")
@dataclass(frozen=True, kw_only=True)
class ForeignSpec(Spec):
    """A generator that a function makes, with the widths that were traced in it (`pocketgan.foreign.wrap`).

    The groups are named after the layers that make them first.
    """

    name: ClassVar[str] = "foreign"

    factory: str
    """The name of the function, ``file.py:factory`` or ``package.module:factory``."""
    dims: Mapping[str, Mapping[str, Parts]]
    """``{module: {attribute: what sizes it}}``."""
    axes: Mapping[str, Mapping[str, tuple[str | None, ...]]]
    """``{module: {bare tensor: the attribute that sizes each axis}}``."""
    gate_sites: Mapping[str, str]
    """``{module after which a gate sits: the layer it gates}``."""
    kept: Mapping[str, str]
    """``{layer: why its channels all stay}``."""
    layers: tuple[str, ...]
    """The layers to distil."""
    stride: int
    """Heights and widths that it generates are multiples of this."""
    in_channels: int
    images: PixelFormat = field(default_factory=PixelFormat)
    norm: Literal["instance", "instance_affine"] = "instance_affine"
    """``instance``: some norms have no scale; ``instance_affine``: all have one, those that the factory left without got it."""

    def groups(self) -> tuple[str, ...]:
        """As they are made, from input to output."""
        return tuple(self.whole)

    @property
    def whole(self) -> dict[str, int]:
        """The widths of what the factory makes."""
        every = (parts for attributes in self.dims.values() for parts in attributes.values())
        return {group: width for parts in every for group, width, _ in parts if group != FIXED}

    @property
    def taps(self) -> tuple[str, ...]:
        """The layers to distil."""
        return self.layers

    def module(self) -> nn.Module:
        """What the factory makes, cut to the leading channels of every group.

        Raises ``ValueError`` where the factory was not named in this process, or makes another network by now.
        """
        target = torch.get_default_device()
        with torch.device("cpu"):  # a factory may look at values
            model = normalize_(made(given(self.factory), self.factory), self.images)
            attach_dims_(model, self)
            if self.norm == "instance_affine":
                give_scales_(model)
            table = channel_map(model)

            def fill(name: str, tensor: Tensor) -> Tensor:
                return leading(tensor, table.get(name, {}), self.widths).clone().to(target)

            return resize(model, self.widths, fill)

    def init_(self, model: nn.Module) -> None:
        """Whole: as the factory leaves them. Narrower: by each layer's own rule, as what is random depends on the widths."""
        if dict(self.widths) != self.whole:
            for module in model.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()


def copied(model: nn.Module) -> nn.Module:
    """A copy, on the CPU, of somebody else's network; of what a forward left in it (caches, normed weights) the values alone.

    Raises ``ValueError`` for one that cannot be copied.
    """
    left = (value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor))
    memo = {id(value): value.detach().clone() for value in left if not value.is_leaf}
    try:
        return copy.deepcopy(model, memo).cpu()
    except Exception as error:  # whatever it holds
        raise ValueError(
            f"the generator cannot be copied ({type(error).__name__}: {error}), and that is how it is cut: let it hold no "
            "locks, files or tensors with gradients beside its parameters"
        ) from error


def normalize_(model: nn.Module, images: PixelFormat) -> nn.Module:
    """A generator as it is cut: weight and spectral norm folded into plain weights, every constant in ``state_dict``.

    One of other values or channel order is put between their conversions. Changes ``model`` in place.
    """
    for module in model.modules():
        fold_parametrizations_(module)
        module._non_persistent_buffers_set.clear()
    return model if images.ours else Adapted(model, images)


def fold_parametrizations_(module: nn.Module) -> None:
    """What the module computes its weights from (weight norm, spectral norm) becomes the weights, in place."""
    if parametrize.is_parametrized(module):
        training = module.training
        module.eval()  # spectral norm would iterate
        for tensor in list(module.parametrizations):  # type: ignore[arg-type]
            parametrize.remove_parametrizations(module, str(tensor), leave_parametrized=True)
        module.train(training)
    for hook in list(module._forward_pre_hooks.values()):
        match type(hook).__name__:
            case "WeightNorm":
                remove_weight_norm(module, hook.name)  # type: ignore[attr-defined]
            case "SpectralNorm":
                remove_spectral_norm(module, hook.name)  # type: ignore[attr-defined]
                _forget_spectral_norm_(module)


def _forget_spectral_norm_(module: nn.Module) -> None:
    """Drop what torch leaves behind of the old form: a hook that asks every state for the tensors that are gone."""
    for hooks in (module._state_dict_hooks, module._load_state_dict_pre_hooks):
        for key, hook in list(hooks.items()):
            if type(getattr(hook, "hook", hook)).__name__.startswith("SpectralNorm"):
                del hooks[key]


def attach_dims_(model: nn.Module, spec: ForeignSpec) -> None:
    """Write the named widths into the modules, in place.

    Raises ``ValueError`` where the model is not the one that they were traced in.
    """
    modules = dict(model.named_modules())
    for name, attributes in spec.dims.items():
        for attribute, parts in attributes.items():
            dim, own = Dim(parts), getattr(modules.get(name), attribute, None)
            bare = any(attribute in named for named in spec.axes.get(name, {}).values())
            if name not in modules or (own != int(dim) and not (bare and own is None)):
                raise ValueError(
                    f"{spec.factory} makes another generator than the one that was compressed: {name}.{attribute} is {own}, "
                    f"it was {int(dim)}"
                )
            setattr(modules[name], attribute, dim)
    for name, axes in spec.axes.items():
        modules[name].AXES = {**getattr(modules[name], "AXES", {}), **axes}
        modules[name].PASS_THROUGH = True
    model.GATES = dict(spec.gate_sites)  # type: ignore[assignment]


def give_scales_(model: nn.Module) -> None:
    """A scale of 1 and a shift of 0 for every norm without them, in place; what the network computes stays."""
    for module in model.modules():
        if isinstance(module, NORMS) and module.weight is None:
            size = int(module.num_channels if isinstance(module, nn.GroupNorm) else module.num_features)
            module.affine = True
            module.weight, module.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))


def norm_of(model: nn.Module) -> Literal["instance", "instance_affine"]:
    """Whether all norms have a scale."""
    bare = any(isinstance(module, NORMS) and module.weight is None for module in model.modules())
    return "instance" if bare else "instance_affine"


def parts_of(dims: Mapping[str, Mapping[str, Dim]]) -> dict[str, dict[str, Parts]]:
    """Named widths as plain data."""
    return {name: {key: tuple(map(_plain, dim.parts)) for key, dim in own.items()} for name, own in dims.items()}


def _plain(part: Part) -> tuple[str, int, int]:
    return part.group, part.width, part.each
